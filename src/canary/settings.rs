//! What the judge is told: limits, error levels, times, and the names of the two arms.
//!
//! The values come from policy; the defaults and the reason for each are here. The whole is kept with the evidence of a verdict
//! (`docs/decisions.md` 7.4), so a verdict can be computed again years later.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::whole;
use crate::event::{OwnMetric, Weight};

/// The settings of one rollout's judge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JudgeSettings {
    /// The largest share of requests that may fail, above 0 and below 1. Default 0.01: one request in a hundred.
    pub error_slo: f64,
    /// What is slow, and how much of it may be; none when latency is not judged.
    #[serde(default)]
    pub latency: Option<LatencySettings>,
    /// Chance of ever calling a healthy canary harmful, over all metrics and however often one looks. Default 0.01: a false alarm
    /// costs a release a day's delay, and one in a hundred is rarer than other reasons to stop.
    pub alpha: f64,
    /// Chance, per metric, of ever passing a canary that breaks its SLO. Default 0.05: passing opens a gate, it does not close an eye;
    /// HARM goes on watching afterwards. PASS needs every metric, so it is not shared among them.
    pub beta: f64,
    /// Ratios canary : stable that HARM looks for, equally likely beforehand. Default 2, 4, 8, 16, 64: a factor of two between
    /// neighbours costs little power in between; below 2 the traffic of an afternoon cannot tell; 64 is for what is simply broken.
    pub harm_ratios: Vec<f64>,
    /// Multiples of the SLO that HARM looks for when there is nothing to compare with. Default 2, 4, 8, 16, each kept below 1.
    pub absolute_harm_ratios: Vec<f64>,
    /// Fractions of the SLO that ABS takes a good canary to fail at. Default 0, 1/10, 1/4: 0 is the quickest proof and dies with the
    /// first failure, 1/4 is the worst that can still be told from the SLO in reasonable time.
    pub absolute_fractions: Vec<f64>,
    /// HARM needs so many bad canary requests. Default 3: errors come in bursts (one retrying client), and the test takes them for
    /// independent.
    pub min_bad_events: u64,
    /// PASS needs the weight to be in force for so long. Default 10 minutes: leaks, caches and timers need time, not requests.
    #[serde(rename = "bake_ms", with = "milliseconds")]
    pub bake: Duration,
    /// What happens so soon after the first sample does not count, nor, for PASS, so soon after a weight. Default 0: a canary that fails while it warms up fails its users.
    #[serde(rename = "warm_up_ms", with = "milliseconds")]
    pub warm_up: Duration,
    /// Time from scrape to scrape; three without a sample are no data. Default 5 s.
    #[serde(rename = "scrape_interval_ms", with = "milliseconds")]
    pub scrape_interval: Duration,
    /// There is nothing to compare with (the first release): HARM is judged against the SLO.
    pub absolute_only: bool,
    /// What is judged, as the sentences name it.
    #[serde(default, skip_serializing_if = "Subject::is_canary")]
    pub subject: Subject,
    /// The version label's value of the canary.
    pub canary_version: String,
    /// The version label's value of the stable arm; none on a first release.
    #[serde(default)]
    pub stable_version: Option<String>,
    /// The share that was asked for, shown beside the measured one.
    pub requested: Weight,
    /// The same, where it is finer than a weight; none when `requested` is exact.
    #[serde(default)]
    pub exact_share: Option<f64>,
    /// How far the measured share may be from it, as a part of it; none: it is not tested. Default 0.1: gateways round, clients stay
    /// on connections, and a tenth more or less of 1 % is no broken route.
    #[serde(default)]
    pub share_tolerance: Option<f64>,
    /// Whether errors are judged. Default true; false where a source counts none.
    #[serde(default = "yes")]
    pub judge_errors: bool,
    /// The user's own metrics, each with its limit.
    #[serde(default)]
    pub own: Vec<OwnMetric>,
    /// Which proof passes a metric. Default either: under its SLO, or not twice as bad as stable. Settings without it are older, and
    /// mean absolute.
    #[serde(default = "PassOn::before_it_was_written")]
    pub pass_on: PassOn,
    /// SAFE rules out that the canary is so many times as bad as stable. Default 2: what users notice, and what a day's traffic can tell.
    #[serde(default = "two")]
    pub safe_ratio: f64,
    /// Ratios SAFE takes a good canary to have. Default 1 and 1/2: as good as stable, or better.
    #[serde(default = "one_and_a_half")]
    pub safe_ratios: Vec<f64>,
    /// So many requests may fail together and count as one. Default 1; where one client's retries or one pause hit n requests at once,
    /// n keeps the promise of α, and n times the requests are needed for it.
    #[serde(default = "one")]
    pub burst: f64,
    /// PASS needs so many canary requests; none: [`JudgeSettings::floor`]'s own formula.
    #[serde(default)]
    pub min_requests: Option<u64>,
    /// The part of HARM's capital that is kept for fresh stakes, 0 to below 1. Default 0.2: harm at the start is found a tenth
    /// later, harm after a good day many times sooner (`docs/judge.md`).
    #[serde(default)]
    pub kept_stake: f64,
    /// Time from one fresh stake to the next. Default 15 min.
    #[serde(rename = "fresh_stake_ms", with = "milliseconds", default = "quarter_hour")]
    pub fresh_stake: Duration,
    /// Evidence for PASS above so many times what it needs is thrown away; none: it is kept. Default 10,000: some seven failures more
    /// than the SLO allows and the canary is on HOLD again, however long it was good.
    #[serde(default)]
    pub surplus: Option<f64>,
}

/// What is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// A release that has a share of the traffic.
    #[default]
    Canary,
    /// One that has all of it: there is nothing else to be compared with.
    Production,
}

impl Subject {
    /// Whether it is the usual one, which is not written.
    #[must_use]
    pub fn is_canary(&self) -> bool {
        *self == Self::Canary
    }
}

/// Which proof passes a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PassOn {
    /// SAFE alone: not `safe_ratio` times as bad as stable.
    Relative,
    /// ABS alone: under its SLO.
    Absolute,
    /// One of them, each at half of β.
    Either,
}

impl PassOn {
    /// The words for it, as they are written.
    pub const WORDS: [(&'static str, Self); 3] = [("relative", Self::Relative), ("absolute", Self::Absolute), ("either", Self::Either)];

    fn before_it_was_written() -> Self {
        Self::Absolute
    }
}

/// What a slow request is. One threshold serves HARM and ABS, fixed when the canary starts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LatencySettings {
    /// A request is slow above this; a bucket bound of the histograms, in seconds, so that counting needs no interpolation.
    pub threshold_seconds: f64,
    /// The largest share of slow requests. 0.05 where the SLO is a p95 (that is what a p95 says); 0.10 where the threshold comes from
    /// stable's own p95: there about 5 % are slow by construction, and a canary just like stable must be able to pass.
    pub slow_share: f64,
}

/// Settings with which nothing can be judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} must lie {range}")]
pub struct BadSettings {
    field: &'static str,
    range: &'static str,
}

impl JudgeSettings {
    /// Makes the default settings for a canary beside a stable version, or for a first release when there is none.
    #[must_use]
    pub fn new(canary_version: impl Into<String>, stable_version: Option<String>, requested: Weight) -> Self {
        Self {
            error_slo: 0.01,
            latency: None,
            alpha: 0.01,
            beta: 0.05,
            harm_ratios: vec![2.0, 4.0, 8.0, 16.0, 64.0],
            absolute_harm_ratios: vec![2.0, 4.0, 8.0, 16.0],
            absolute_fractions: vec![0.0, 0.1, 0.25],
            min_bad_events: 3,
            bake: Duration::from_mins(10),
            warm_up: Duration::ZERO,
            scrape_interval: Duration::from_secs(5),
            absolute_only: stable_version.is_none(),
            subject: Subject::Canary,
            canary_version: canary_version.into(),
            stable_version,
            requested,
            exact_share: None,
            share_tolerance: Some(0.1),
            judge_errors: true,
            own: Vec::new(),
            pass_on: PassOn::Either,
            safe_ratio: two(),
            safe_ratios: one_and_a_half(),
            burst: one(),
            min_requests: None,
            kept_stake: 0.2,
            fresh_stake: quarter_hour(),
            surplus: Some(1e4),
        }
    }

    /// Canary requests that PASS needs at the least, unless `min_requests` says it: with fewer, not even a canary without one failure could rule out the SLO at
    /// level β. ⌈ln(1/β) / −ln(1−SLO)⌉, 299 at 1 %.
    #[must_use]
    pub fn floor(&self) -> u64 {
        let errors = self.judge_errors.then_some(self.error_slo);
        let latency = self.latency.map(|latency| latency.slow_share);
        let tightest = errors.into_iter().chain(latency).fold(f64::INFINITY, f64::min);
        let tightest = if tightest.is_finite() { tightest } else { self.own.iter().map(|own| own.slo).fold(0.5, f64::min) };
        self.min_requests.unwrap_or_else(|| zero_failure_requests(tightest, self.beta))
    }

    /// The share asked for, 0 to 1.
    #[must_use]
    pub fn share(&self) -> f64 {
        self.exact_share.unwrap_or_else(|| self.requested.fraction())
    }

    /// The proof that passes a metric here: with nothing to compare with it is the absolute one.
    #[must_use]
    pub fn passes_on(&self) -> PassOn {
        if self.absolute_only { PassOn::Absolute } else { self.pass_on }
    }

    /// ln of the HARM e-value that is a ROLLBACK: α is shared evenly by the metrics.
    #[must_use]
    pub fn harm_goal_ln(&self) -> f64 {
        (f64::from(self.metrics().max(1)) / self.alpha).ln()
    }

    /// ln of the SAFE or ABS e-value that passes a metric.
    #[must_use]
    pub fn pass_goal_ln(&self) -> f64 {
        match self.passes_on() {
            PassOn::Relative | PassOn::Absolute => -self.beta.ln(),
            PassOn::Either => -(self.beta / 2.0).ln(),
        }
    }

    /// How many metrics share α.
    #[must_use]
    pub fn metrics(&self) -> u32 {
        let own = u32::try_from(self.own.len()).unwrap_or(u32::MAX);
        own.saturating_add(u32::from(self.judge_errors) + u32::from(self.latency.is_some()))
    }

    /// Checks that the numbers mean something.
    ///
    /// # Errors
    /// When a share or a level is not strictly between 0 and 1, an alternative is on the wrong side of its limit or missing, the
    /// scrape interval is 0, or a comparison is asked for without a version to compare with.
    pub fn check(&self) -> Result<(), BadSettings> {
        let share = |field, value: f64| must(value > 0.0 && value < 1.0, field, "between 0 and 1, both excluded");
        let all =
            |values: &[f64], good: fn(f64) -> bool| !values.is_empty() && values.iter().all(|value| value.is_finite() && good(*value));
        share("the error SLO", self.error_slo)?;
        share("alpha", self.alpha)?;
        share("beta", self.beta)?;
        if let Some(latency) = self.latency {
            share("the share of slow requests", latency.slow_share)?;
            must(latency.threshold_seconds > 0.0 && latency.threshold_seconds.is_finite(), "the latency threshold", "above 0 s")?;
        }
        for own in &self.own {
            share("each own metric's SLO", own.slo)?;
        }
        if let Some(tolerance) = self.share_tolerance {
            must((0.0..1.0).contains(&tolerance), "the share's tolerance", "from 0 to below 1")?;
        }
        must(self.safe_ratio > 1.0 && self.safe_ratio.is_finite(), "the ratio that SAFE rules out", "above 1")?;
        let below = |ratio: &f64| *ratio > 0.0 && *ratio < self.safe_ratio;
        must(
            !self.safe_ratios.is_empty() && self.safe_ratios.iter().all(below),
            "each ratio of a safe canary",
            "between 0 and what SAFE rules out",
        )?;
        must(self.burst >= 1.0 && self.burst.is_finite(), "the burst", "at 1 or above")?;
        must((0.0..1.0).contains(&self.kept_stake), "the stake that is kept", "from 0 to below 1")?;
        must(!self.fresh_stake.is_zero(), "the time between fresh stakes", "above 0 s")?;
        must(self.surplus.is_none_or(|surplus| surplus >= 1.0), "the surplus", "at 1 or above")?;
        must(all(&self.harm_ratios, |ratio| ratio > 1.0), "each harm ratio", "above 1")?;
        must(all(&self.absolute_harm_ratios, |ratio| ratio > 1.0), "each absolute harm ratio", "above 1")?;
        must(all(&self.absolute_fractions, |fraction| (0.0..1.0).contains(&fraction)), "each absolute fraction", "from 0 to below 1")?;
        must(!self.scrape_interval.is_zero(), "the scrape interval", "above 0 s")?;
        must(self.absolute_only || self.stable_version.is_some(), "the version to compare with", "in the settings")?;
        must(self.stable_version.as_ref() != Some(&self.canary_version), "the two versions", "apart")
    }
}

fn yes() -> bool {
    true
}

fn one() -> f64 {
    1.0
}

fn two() -> f64 {
    2.0
}

fn one_and_a_half() -> Vec<f64> {
    vec![1.0, 0.5]
}

fn quarter_hour() -> Duration {
    Duration::from_mins(15)
}

/// ⌈ln(1/β) / −ln(1−SLO)⌉: so many requests without a failure rule out a failure rate of `slo` at level `beta`.
fn zero_failure_requests(slo: f64, beta: f64) -> u64 {
    whole::floor((beta.ln() / (-slo).ln_1p()).ceil())
}

fn must(good: bool, field: &'static str, range: &'static str) -> Result<(), BadSettings> {
    if good { Ok(()) } else { Err(BadSettings { field, range }) }
}

mod milliseconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> JudgeSettings {
        JudgeSettings::new("new", Some("old".into()), Weight::from_thousandths(10).unwrap())
    }

    #[test]
    fn the_floor_is_the_zero_failure_bound() {
        for (slo, floor) in [(0.05, 59), (0.02, 149), (0.01, 299), (0.005, 598), (0.001, 2995)] {
            assert_eq!(JudgeSettings { error_slo: slo, ..settings() }.floor(), floor, "{slo}");
        }
    }

    /// What the first programs wrote with their evidence is judged again as they judged it.
    #[test]
    fn older_settings_keep_their_meaning() {
        let mut json = serde_json::to_value(settings()).unwrap();
        let newer = [
            "exact_share",
            "share_tolerance",
            "judge_errors",
            "own",
            "pass_on",
            "safe_ratio",
            "safe_ratios",
            "burst",
            "min_requests",
            "kept_stake",
            "fresh_stake_ms",
            "surplus",
        ];
        for key in newer {
            assert!(json.as_object_mut().unwrap().remove(key).is_some(), "{key}");
        }
        let old: JudgeSettings = serde_json::from_value(json).unwrap();
        old.check().unwrap();
        assert_eq!((old.pass_on, old.share_tolerance, old.surplus), (PassOn::Absolute, None, None));
        assert_eq!((old.kept_stake.to_bits(), old.burst.to_bits()), (0.0_f64.to_bits(), 1.0_f64.to_bits()));
        assert_eq!(old.pass_goal_ln().to_bits(), 0.05_f64.ln().abs().to_bits());
    }

    #[test]
    fn nonsense_is_refused_and_json_keeps_everything() {
        let good = JudgeSettings { latency: Some(LatencySettings { threshold_seconds: 0.25, slow_share: 0.05 }), ..settings() };
        good.check().unwrap();
        let json = serde_json::to_value(&good).unwrap();
        assert_eq!(json["bake_ms"], 600_000);
        assert_eq!(serde_json::from_value::<JudgeSettings>(json).unwrap(), good);
        for bad in [0.0, 1.0, -0.1, f64::NAN, f64::INFINITY] {
            assert!(JudgeSettings { error_slo: bad, ..settings() }.check().is_err(), "{bad}");
        }
        assert!(JudgeSettings { harm_ratios: vec![1.0], ..settings() }.check().is_err());
        assert!(JudgeSettings { stable_version: None, ..settings() }.check().is_err());
        assert!(JudgeSettings { stable_version: Some("new".into()), ..settings() }.check().is_err());
    }
}
