//! When PASS can be known, if every request from here on is good: the earliest answer, not the likely one. Where the requests so far
//! were so bad that more of them never prove anything, there is no such time.

use std::time::Duration;

use super::evidence::Evidence;
use super::judge::Ground;
use super::metric::MetricState;
use super::mixture::{bernoulli_growth, ratio_growth};
use super::sentence::{percent, rough_time};
use super::settings::{JudgeSettings, PassOn};
use super::whole;

/// Beyond this a forecast is no help: the answer is more traffic.
pub(super) const HORIZON: Duration = Duration::from_hours(6);
/// Shares that may be advised, ascending.
const SHARES: [f64; 4] = [0.05, 0.10, 0.25, 0.50];
/// An answer within this is soon enough: no more share is advised.
const SOON: Duration = Duration::from_mins(10);
/// Stable's bad requests come in bursts from this dispersion on.
const BURSTY: f64 = 3.0;

/// What PASS still needs.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Forecast {
    /// More canary requests, all good; none when no number of them is enough.
    pub(super) more_requests: Option<u64>,
    /// Bake time still to come.
    pub(super) bake_left: Duration,
    /// When that can be, at the traffic of the last minutes; none without traffic, or when a metric is stuck.
    pub(super) wait: Option<Duration>,
}

/// Looks ahead from what is known. `elapsed` is the time since this weight came into force.
pub(super) fn forecast(settings: &JudgeSettings, evidence: &Evidence, elapsed: Duration) -> Forecast {
    let seen = whole::floor(evidence.this_weight().canary);
    let for_floor = settings.floor().saturating_sub(seen);
    let more_requests = evidence
        .metrics()
        .map(|state| state.requests_until_passed(settings))
        .try_fold(for_floor, |most, needed| needed.map(|needed| most.max(needed)));
    let bake_left = settings.bake.saturating_sub(elapsed);
    let stuck = evidence.metrics().any(|state| !state.passed() && state.stuck(settings));
    let wait = more_requests.filter(|_| !stuck).and_then(|more| traffic_time(more, evidence.canary_rate())).map(|time| time.max(bake_left));
    Forecast { more_requests, bake_left, wait }
}

/// How long so many requests take; none when they never come.
pub(super) fn traffic_time(requests: u64, per_second: Option<f64>) -> Option<Duration> {
    if requests == 0 {
        return Some(Duration::ZERO);
    }
    let per_second = per_second.filter(|rate| *rate > 0.0)?;
    Duration::try_from_secs_f64(whole::float(requests) / per_second).ok()
}

/// What can be known when, and what to beware of, a sentence each.
pub(super) fn outlook(ground: &Ground, settings: &JudgeSettings, evidence: &Evidence) -> Vec<String> {
    let mut told = Vec::new();
    if let Ground::Gathering(forecast) = ground {
        told.extend(pass_in(forecast));
        told.extend(more_share(forecast, settings, evidence));
    }
    if !matches!(ground, Ground::Unfit(_) | Ground::Down(_) | Ground::Harm) {
        told.extend(evidence.metrics().filter_map(|state| doubling(state, settings, evidence)));
    }
    told.extend(evidence.metrics().filter_map(|state| bursty(state, settings)));
    told
}

fn pass_in(forecast: &Forecast) -> Option<String> {
    let wait = forecast.wait?;
    (wait <= HORIZON).then(|| format!("at this traffic: PASS in about {}", rough_time(wait)))
}

/// The least share that knows soon, when this one does not.
fn more_share(forecast: &Forecast, settings: &JudgeSettings, evidence: &Evidence) -> Option<String> {
    let share = settings.share_tolerance.map(|_| settings.share()).filter(|share| *share > 0.0).or_else(|| evidence.measured_share())?;
    let rate = evidence.canary_rate().filter(|rate| *rate > 0.0)?;
    let more = forecast.more_requests.filter(|more| *more > 0)?;
    let by_traffic = traffic_time(more, Some(rate))?;
    if by_traffic <= SOON.max(forecast.bake_left) {
        return None;
    }
    let at = |wanted: f64| Some((wanted, traffic_time(more, Some(rate * wanted / share))?));
    let raised: Vec<(f64, Duration)> = SHARES.into_iter().filter(|wanted| *wanted > share).filter_map(at).collect();
    let (wanted, time) = raised.iter().find(|(_, time)| *time <= SOON).or(raised.last())?;
    Some(format!("raise to {} to know in {}", percent(*wanted), rough_time(*time)))
}

fn doubling(state: &MetricState, settings: &JudgeSettings, evidence: &Evidence) -> Option<String> {
    let counts = state.this_weight();
    let (rate, traffic) = (counts.stable_share()?, evidence.canary_rate()?);
    let each = if counts.canary > 0.0 { counts.stable / counts.canary } else { settings.share().recip() - 1.0 };
    let time = traffic_time(requests_to_find(settings, 2.0, rate, each)?, Some(traffic))?;
    let name = plural(state);
    Some(match (settings.absolute_only, time <= HORIZON) {
        (true, _) => return None,
        (false, true) => format!("a doubling of {name} would be found in about {}", rough_time(time)),
        (false, false) => format!("a doubling of {name} would not be found within {}", super::sentence::time(HORIZON)),
    })
}

fn bursty(state: &MetricState, settings: &JudgeSettings) -> Option<String> {
    let dispersion = state.dispersion().filter(|dispersion| *dispersion >= BURSTY.max(2.0 * settings.burst))?;
    let name = state.name();
    Some(format!(
        "beware: stable's {name} come in bursts of about {dispersion:.0}, and the tests take them for independent; set burst: {dispersion:.0}"
    ))
}

/// What the bad ones of a metric are called.
fn plural(state: &MetricState) -> &str {
    match state.name() {
        "slow" | "latency" => "slow requests",
        name => name,
    }
}

/// About how many canary requests HARM needs to find a ratio, from its beginning: Wald's mean with the best of its alternatives. None
/// when it is never found.
pub(super) fn requests_to_find(settings: &JudgeSettings, truth: f64, stable_rate: f64, stable_each: f64) -> Option<u64> {
    let growth = settings.harm_ratios.iter().map(|ratio| ratio_growth(*ratio, 1.0, truth, stable_rate, stable_each)).fold(0.0, f64::max);
    let alternatives = whole::float(u64::try_from(settings.harm_ratios.len()).ok()?);
    let goal = settings.harm_goal_ln() + alternatives.ln() - (-settings.kept_stake).ln_1p();
    let by_evidence = requests_for(goal * settings.burst, growth)?;
    // At least so many events must come.
    let by_events = requests_for(whole::float(settings.min_bad_events), stable_rate * truth)?;
    Some(by_evidence.max(by_events))
}

/// About how many canary requests PASS needs by the absolute and by the relative test, when the canary is as good as stable, whose bad
/// rate this is; none where the test has no say or never passes.
pub(super) fn requests_to_pass(settings: &JudgeSettings, limit: f64, stable_rate: f64, stable_each: f64) -> (Option<u64>, Option<u64>) {
    let (pass_on, goal) = (settings.passes_on(), settings.pass_goal_ln());
    let needs = |growths: &mut dyn Iterator<Item = f64>| {
        let growths: Vec<f64> = growths.collect();
        let alternatives = whole::float(u64::try_from(growths.len()).unwrap_or(u64::MAX));
        requests_for((goal + alternatives.ln()) * settings.burst, growths.into_iter().fold(0.0, f64::max))
    };
    let absolute = || needs(&mut settings.absolute_fractions.iter().map(|fraction| bernoulli_growth(fraction * limit, stable_rate, limit)));
    let relative =
        || needs(&mut settings.safe_ratios.iter().map(|ratio| ratio_growth(*ratio, settings.safe_ratio, 1.0, stable_rate, stable_each)));
    match pass_on {
        PassOn::Absolute => (absolute(), None),
        PassOn::Relative => (None, relative()),
        PassOn::Either => (absolute(), relative()),
    }
}

fn requests_for(goal: f64, growth: f64) -> Option<u64> {
    (growth > 0.0).then(|| whole::floor((goal / growth).ceil()))
}
