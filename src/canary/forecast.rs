//! When PASS can be known, if every request from here on is good: the earliest answer, not the likely one. Where the requests so far
//! were so bad that more of them never prove anything, there is no such time.

use std::time::Duration;

use super::evidence::Evidence;
use super::settings::JudgeSettings;
use super::whole;

/// Beyond this a forecast is no help: the answer is more traffic.
pub(super) const HORIZON: Duration = Duration::from_hours(6);

/// What PASS still needs.
#[derive(Debug, Clone, Copy, PartialEq)]
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
    let seen = whole::floor(evidence.errors().this_weight().canary);
    let for_floor = settings.floor().saturating_sub(seen);
    let more_requests = evidence
        .metrics()
        .map(|(_, state)| state.good_requests_until_passed(settings.beta))
        .try_fold(for_floor, |most, needed| needed.map(|needed| most.max(needed)));
    let bake_left = settings.bake.saturating_sub(elapsed);
    let stuck = evidence.metrics().any(|(_, state)| !state.passed(settings.beta) && state.stuck(settings.min_bad_events));
    let wait = more_requests.filter(|_| !stuck).and_then(|more| traffic_time(more, evidence.canary_rate())).map(|time| time.max(bake_left));
    Forecast { more_requests, bake_left, wait }
}

/// How long so many requests take; none when they never come.
fn traffic_time(requests: u64, per_second: Option<f64>) -> Option<Duration> {
    if requests == 0 {
        return Some(Duration::ZERO);
    }
    let per_second = per_second.filter(|rate| *rate > 0.0)?;
    Duration::try_from_secs_f64(whole::float(requests) / per_second).ok()
}
