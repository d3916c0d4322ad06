//! What was measured, and what is concluded from it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// One scrape: cumulative counters by version, as they were found (`docs/decisions.md` 9.1).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// When the numbers were true, by the source's clock where it says so.
    pub at: DateTime<Utc>,
    /// Counters by the value of the version label.
    pub versions: BTreeMap<String, VersionCounters>,
    /// Which of several servers said so. Another one's counters are not continued: each scrapes at moments of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// The counters of one version.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct VersionCounters {
    /// Requests, one series for each set of labels.
    pub requests: Vec<CounterSeries>,
    /// Durations, one histogram for each set of labels.
    #[serde(default)]
    pub latency: Vec<HistogramSeries>,
    /// How many of the requests hms itself made to show the story (`hms local load`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synthetic: Option<f64>,
    /// The user's own metrics, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub own: BTreeMap<String, OwnCounters>,
}

/// The counters of one of the user's own metrics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OwnCounters {
    /// What happened, and what of it was bad: the series that were chosen as bad carry `error`. None that counts all of them: bad ones
    /// are of the requests.
    Ratio {
        /// Series that count everything; empty when everything is the requests.
        all: Vec<CounterSeries>,
        /// Series that count what was bad.
        bad: Vec<CounterSeries>,
    },
    /// Durations; what is slower than a bound is bad.
    Latency(Vec<HistogramSeries>),
}

/// The limit of one of the user's own metrics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OwnMetric {
    /// Its name.
    pub name: String,
    /// The largest share that may be bad, above 0 and below 1.
    pub slo: f64,
    /// For durations: what is bad is slower than this many seconds, counted at the first bucket's bound that is as high or higher.
    /// None for ratios.
    #[serde(default)]
    pub threshold_seconds: Option<f64>,
}

/// One counter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CounterSeries {
    /// Its labels, in order, as text; two samples are compared by it.
    pub key: String,
    /// Whether it counts requests that went wrong.
    pub error: bool,
    /// The value, 0 or more.
    pub value: f64,
}

/// One classic histogram.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistogramSeries {
    /// Its labels without `le`, in order, as text.
    pub key: String,
    /// Upper bounds in seconds, ascending, without +Inf.
    pub bounds: Vec<f64>,
    /// Cumulative counts for each bound, then for +Inf: one longer than `bounds`.
    pub counts: Vec<f64>,
}

/// What the judge says of a canary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum VerdictClass {
    /// Proven good enough.
    Pass,
    /// Not known yet, or it cannot be known: the reason says which.
    Hold,
    /// Proven worse.
    Rollback,
}

impl std::fmt::Display for VerdictClass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Pass => "PASS",
            Self::Hold => "HOLD",
            Self::Rollback => "ROLLBACK",
        })
    }
}

/// A verdict with what it rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The word.
    pub class: VerdictClass,
    /// One plain sentence: why.
    pub reason: String,
    /// Canary requests seen so far.
    pub canary_requests: u64,
    /// Stable requests seen over the same time.
    pub stable_requests: u64,
    /// Canary requests that PASS needs at the least.
    pub floor: u64,
    /// At this traffic, in how many seconds PASS can be known; none when it cannot be told.
    #[serde(default)]
    pub forecast_seconds: Option<u64>,
    /// Part of the traffic was made by `hms local load`.
    #[serde(default)]
    pub synthetic: bool,
    /// Measured share of the canary since its weight was set, 0 to 1; none without requests.
    #[serde(default)]
    pub measured_share: Option<f64>,
    /// By metric.
    pub metrics: Vec<MetricEvidence>,
    /// What can be known when at this traffic, and what to beware of: a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forecast: Vec<String>,
}

impl Verdict {
    /// How far the evidence is on its way to ROLLBACK: 0 none, 1 proven. The metric that is farthest counts.
    #[must_use]
    pub fn toward_rollback(&self) -> f64 {
        let metrics = self.metrics.iter().map(MetricEvidence::toward_rollback).fold(0.0, f64::max);
        if self.class == VerdictClass::Rollback { 1.0 } else { metrics }
    }

    /// How far the evidence is on its way to PASS: 0 none, 1 proven. The metric that lags, or the requests still missing, count; time
    /// to bake does not.
    #[must_use]
    pub fn toward_pass(&self) -> f64 {
        if self.class == VerdictClass::Pass {
            return 1.0;
        }
        let small = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        let requests = if self.floor == 0 { 1.0 } else { small(self.canary_requests) / small(self.floor) };
        let metrics = self.metrics.iter().map(MetricEvidence::toward_pass);
        if self.metrics.is_empty() { 0.0 } else { metrics.fold(requests.min(1.0), f64::min) }
    }
}

/// What is known of one metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricEvidence {
    /// `errors`, or `latency`.
    pub name: String,
    /// The limit as a share of requests, 0 to 1.
    pub slo: f64,
    /// For latency: the threshold in seconds above which a request is slow.
    #[serde(default)]
    pub threshold_seconds: Option<f64>,
    /// Bad canary requests.
    pub canary_bad: u64,
    /// Bad stable requests.
    pub stable_bad: u64,
    /// ln of the HARM e-value.
    pub harm_ln: f64,
    /// ln of the ABS e-value.
    pub abs_ln: f64,
    /// This metric alone has passed.
    pub passed: bool,
    /// This metric alone has shown harm.
    pub harmed: bool,
    /// What the two words rest on; none in verdicts of programs before this was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Box<MetricDetail>>,
}

impl MetricEvidence {
    /// How far HARM's e-value is on its way to a ROLLBACK, by its logarithm: 0 none, 1 proven.
    #[must_use]
    pub fn toward_rollback(&self) -> f64 {
        match &self.detail {
            Some(detail) if !self.harmed => part(self.harm_ln, Some(detail.harm_goal_ln)),
            Some(_) | None => f64::from(u8::from(self.harmed)),
        }
    }

    /// How far the better of SAFE and ABS is on its way to passing this metric, likewise.
    #[must_use]
    pub fn toward_pass(&self) -> f64 {
        match &self.detail {
            Some(detail) if !self.passed => {
                part(detail.safe_ln.unwrap_or_default(), detail.safe_goal_ln).max(part(self.abs_ln, detail.abs_goal_ln))
            }
            Some(_) | None => f64::from(u8::from(self.passed)),
        }
    }
}

/// What of the way to its goal a logarithm has gone, 0 to 1; no goal is no way.
fn part(ln: f64, goal_ln: Option<f64>) -> f64 {
    let part = goal_ln.filter(|goal| *goal > 0.0).map_or(0.0, |goal| ln / goal);
    // What rounding leaves of no evidence is none.
    if part.is_finite() && part > 1e-9 { part.min(1.0) } else { 0.0 }
}

/// What the judge knows of a metric beside whether it passed. E-values as natural logs, each with the value that decides.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct MetricDetail {
    /// Canary requests (or durations, or what else is counted) that `canary_bad` is of.
    pub canary_all: u64,
    /// The same of stable.
    pub stable_all: u64,
    /// The canary's bad rate; none without requests.
    pub canary_rate: Option<Estimate>,
    /// Stable's.
    pub stable_rate: Option<Estimate>,
    /// The canary's rate over stable's, compared interval by interval; none without a bad request on either side.
    pub ratio: Option<Estimate>,
    /// ln of the HARM e-value that is a ROLLBACK.
    pub harm_goal_ln: f64,
    /// ln of the SAFE e-value; none where there is nothing to compare with.
    pub safe_ln: Option<f64>,
    /// ln of the SAFE e-value that passes; none when SAFE has no say.
    pub safe_goal_ln: Option<f64>,
    /// ln of the ABS e-value that passes; none when ABS has no say.
    pub abs_goal_ln: Option<f64>,
    /// Which test passed.
    pub passed_by: Option<PassedBy>,
    /// How bursty stable's bad requests are: variance over mean, about 1 when they are independent; none when too few were seen.
    pub dispersion: Option<f64>,
}

/// A number with an interval that holds however often one looks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The best guess; none where there is none (a ratio to a stable without bad requests).
    pub value: Option<f64>,
    /// The lower end.
    pub low: f64,
    /// The upper end; none when nothing bounds it.
    pub high: Option<f64>,
}

/// Which test passed a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PassedBy {
    /// SAFE: not twice as bad as stable.
    Relative,
    /// ABS: within its SLO.
    Absolute,
}
