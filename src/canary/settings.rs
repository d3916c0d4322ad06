//! What the judge is told: limits, error levels, times, and the names of the two arms.
//!
//! The values come from policy; the defaults and the reason for each are here. The whole is kept with the evidence of a verdict
//! (`docs/decisions.md` 7.4), so a verdict can be computed again years later.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::whole;
use crate::event::Weight;

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
    /// The version label's value of the canary.
    pub canary_version: String,
    /// The version label's value of the stable arm; none on a first release.
    #[serde(default)]
    pub stable_version: Option<String>,
    /// The share that was asked for, shown beside the measured one.
    pub requested: Weight,
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
            canary_version: canary_version.into(),
            stable_version,
            requested,
        }
    }

    /// Canary requests that PASS needs at the least: with fewer, not even a canary without one failure could rule out the SLO at
    /// level β. ⌈ln(1/β) / −ln(1−SLO)⌉, 299 at 1 %.
    #[must_use]
    pub fn floor(&self) -> u64 {
        let tightest = self.latency.map_or(self.error_slo, |latency| latency.slow_share.min(self.error_slo));
        zero_failure_requests(tightest, self.beta)
    }

    /// How many metrics share α.
    #[must_use]
    pub fn metrics(&self) -> u32 {
        1 + u32::from(self.latency.is_some())
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
        must(all(&self.harm_ratios, |ratio| ratio > 1.0), "each harm ratio", "above 1")?;
        must(all(&self.absolute_harm_ratios, |ratio| ratio > 1.0), "each absolute harm ratio", "above 1")?;
        must(all(&self.absolute_fractions, |fraction| (0.0..1.0).contains(&fraction)), "each absolute fraction", "from 0 to below 1")?;
        must(!self.scrape_interval.is_zero(), "the scrape interval", "above 0 s")?;
        must(self.absolute_only || self.stable_version.is_some(), "the version to compare with", "in the settings")?;
        must(self.stable_version.as_ref() != Some(&self.canary_version), "the two versions", "apart")
    }
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
