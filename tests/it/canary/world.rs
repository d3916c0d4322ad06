//! Samples made by hand: two arms, `new` and `old`, with cumulative counts.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use hms::canary::{JudgeSettings, LatencySettings, PassOn, SourceState, assess};
use hms::event::{CounterSeries, HistogramSeries, Sample, Verdict, VersionCounters, Weight};

/// Cumulative counts of one arm.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Arm {
    pub(crate) good: f64,
    pub(crate) errors: f64,
    /// Of all requests, those above 250 ms.
    pub(crate) slow: f64,
}

pub(crate) fn arm(good: u32, errors: u32, slow: u32) -> Arm {
    Arm { good: good.into(), errors: errors.into(), slow: slow.into() }
}

pub(crate) fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

pub(crate) fn at(second: i64) -> DateTime<Utc> {
    start() + TimeDelta::seconds(second)
}

/// Errors alone, at 1 % of the traffic, passed by the absolute test alone; the share is not tested, so that a table can have any counts.
pub(crate) fn settings() -> JudgeSettings {
    JudgeSettings { pass_on: PassOn::Absolute, share_tolerance: None, ..by_default() }
}

/// The same with every default.
pub(crate) fn by_default() -> JudgeSettings {
    JudgeSettings::new("new", Some("old".into()), Weight::from_thousandths(10).unwrap())
}

pub(crate) fn with_latency() -> JudgeSettings {
    JudgeSettings { latency: Some(LatencySettings { threshold_seconds: 0.25, slow_share: 0.05 }), ..settings() }
}

pub(crate) fn without_bake() -> JudgeSettings {
    JudgeSettings { bake: Duration::ZERO, ..settings() }
}

pub(crate) fn counters(arm: Arm) -> VersionCounters {
    let all = arm.good + arm.errors;
    let series = |key: &str, error, value| CounterSeries { key: key.to_owned(), error, value };
    VersionCounters {
        requests: vec![series("code=\"200\"", false, arm.good), series("code=\"503\"", true, arm.errors)],
        latency: vec![HistogramSeries {
            key: String::new(),
            bounds: vec![0.1, 0.25, 1.0],
            counts: vec![(all - arm.slow) / 2.0, all - arm.slow, all, all],
        }],
        synthetic: None,
        own: BTreeMap::new(),
    }
}

pub(crate) fn sample(second: i64, new: Option<Arm>, old: Option<Arm>) -> Sample {
    let arms = [("new", new), ("old", old)].into_iter().filter_map(|(name, arm)| Some((name.to_owned(), counters(arm?))));
    Sample { at: at(second), versions: arms.collect::<BTreeMap<_, _>>(), source: None }
}

/// Two samples, one interval of five seconds that holds it all, judged at its end.
pub(crate) fn judged(settings: &JudgeSettings, new: Arm, old: Arm) -> Verdict {
    let samples = [sample(0, Some(Arm::default()), Some(Arm::default())), sample(5, Some(new), Some(old))];
    assess(settings, &samples, start(), at(5), &SourceState::default())
}
