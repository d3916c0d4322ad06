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
}
