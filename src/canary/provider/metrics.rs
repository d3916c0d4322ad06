//! Which metrics tell of requests and durations, and which label tells the version.

use serde::{Deserialize, Serialize};

use super::exposition::Labels;
use super::selector::Selector;
use crate::event::{AppName, EnvironmentName};

/// Which metrics to read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricsSettings {
    /// A counter of requests, with a status label.
    pub requests: Selector,
    /// A classic histogram of durations in seconds, by its base name; none when latency is not measured.
    #[serde(default)]
    pub latency: Option<Selector>,
    /// The label that tells the version.
    pub version_label: String,
    /// Labels that may tell the status, the first found counts. A 5xx is an error.
    pub status_labels: Vec<String>,
    /// The durations' unit in seconds: 0.001 where they are milliseconds.
    #[serde(default = "second")]
    pub latency_unit_seconds: f64,
    /// The user's own metrics.
    #[serde(default)]
    pub own: Vec<OwnSelectors>,
}

/// Labels that tell a status, as the usual exporters name them.
const STATUS_LABELS: [&str; 6] = ["code", "status", "status_code", "response_code", "http_response_status_code", "envoy_response_code"];

/// The unit that a histogram's name says, in seconds.
pub(super) fn unit_of(name: &str) -> f64 {
    let is_milliseconds = name.ends_with("_milliseconds") || name.ends_with("_ms") || name == "envoy_cluster_upstream_rq_time";
    if is_milliseconds { 1e-3 } else { second() }
}

fn second() -> f64 {
    1.0
}

/// Which series count one of the user's own metrics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OwnSelectors {
    /// Its name.
    pub name: String,
    /// What counts it.
    pub series: OwnSeries,
}

/// The series of one of the user's own metrics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OwnSeries {
    /// The requests with a status.
    Status(StatusRange),
    /// Two counters.
    Ratio {
        /// What counts everything; none when everything is the requests.
        #[serde(default)]
        all: Option<Selector>,
        /// What counts the bad ones.
        bad: Selector,
    },
    /// A classic histogram of durations, by its base name.
    Latency(Selector),
}

impl OwnSelectors {
    /// The selectors of counters.
    pub(super) fn counters(&self) -> impl Iterator<Item = &Selector> {
        let (all, bad) = match &self.series {
            OwnSeries::Ratio { all, bad } => (all.as_ref(), Some(bad)),
            OwnSeries::Status(_) | OwnSeries::Latency(_) => (None, None),
        };
        all.into_iter().chain(bad)
    }

    /// The selector of a histogram.
    pub(super) fn histogram(&self) -> Option<&Selector> {
        match &self.series {
            OwnSeries::Latency(latency) => Some(latency),
            OwnSeries::Status(_) | OwnSeries::Ratio { .. } => None,
        }
    }
}

/// A class of statuses, or one of them: `4xx`, `429`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum StatusRange {
    /// All from this hundred.
    Class(u16),
    /// This one.
    Code(u16),
}

/// A text that names no status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no status: write a class, as 4xx, or a code, as 429")]
pub struct BadStatus(String);

impl StatusRange {
    /// Whether a status is meant; none when it cannot be told: `4xx` may be a 429 or not. What is no status is nobody's.
    pub(super) fn holds(self, status: &str) -> Option<bool> {
        let digit = status.chars().next()?.to_digit(10)?;
        match (self, status.parse::<u16>()) {
            (Self::Class(hundreds), _) => Some(digit == u32::from(hundreds)),
            (Self::Code(code), Ok(status)) => Some(code == status),
            (Self::Code(code), Err(_)) => (digit != u32::from(code / 100)).then_some(false),
        }
    }
}

impl std::str::FromStr for StatusRange {
    type Err = BadStatus;

    fn from_str(text: &str) -> Result<Self, BadStatus> {
        let bad = || BadStatus(text.to_owned());
        if let Some(class) = text.strip_suffix("xx").or_else(|| text.strip_suffix("XX")) {
            return class.parse().ok().filter(|class| (1..=5).contains(class)).map(Self::Class).ok_or_else(bad);
        }
        text.parse().ok().filter(|code| (100..600).contains(code)).map(Self::Code).ok_or_else(bad)
    }
}

impl TryFrom<String> for StatusRange {
    type Error = BadStatus;
    fn try_from(text: String) -> Result<Self, BadStatus> {
        text.parse()
    }
}

impl From<StatusRange> for String {
    fn from(range: StatusRange) -> Self {
        match range {
            StatusRange::Class(class) => format!("{class}xx"),
            StatusRange::Code(code) => code.to_string(),
        }
    }
}

/// Labels that may name a path.
const PATH_LABELS: [&str; 8] = ["path", "route", "handler", "uri", "url", "endpoint", "http_route", "http_target"];
/// Paths that only machines ask for. Their requests are not users': they would make a canary without traffic look healthy.
const PROBES: [&str; 16] = [
    "/health",
    "/healthz",
    "/healthcheck",
    "/health/live",
    "/health/ready",
    "/live",
    "/livez",
    "/ready",
    "/readyz",
    "/readiness",
    "/liveness",
    "/ping",
    "/metrics",
    "/-/healthy",
    "/-/ready",
    "/actuator/health",
];

/// Whether a series counts probes or scrapes.
pub(super) fn is_probe(labels: &Labels) -> bool {
    PATH_LABELS.iter().any(|label| labels.get(*label).is_some_and(|path| PROBES.contains(&path.trim_end_matches('/'))))
}

impl MetricsSettings {
    /// Reads these metrics; statuses are looked for under the labels that the usual exporters give them, and durations are taken for
    /// milliseconds where the name says so.
    #[must_use]
    pub fn new(requests: Selector, latency: Option<Selector>, version_label: impl Into<String>) -> Self {
        let status_labels = STATUS_LABELS.map(str::to_owned).to_vec();
        let latency_unit_seconds = latency.as_ref().map_or_else(second, |latency| unit_of(latency.base_name()));
        Self { requests, latency, version_label: version_label.into(), status_labels, latency_unit_seconds, own: Vec::new() }
    }

    /// What the local target's proxy exports for an environment of an app.
    #[must_use]
    pub fn local_proxy(app: &AppName, environment: &EnvironmentName) -> Self {
        let labels = [("app", app.to_string()), ("environment", environment.to_string())];
        let requests = Selector::exact("hms_requests_total", &labels);
        let latency = Selector::exact("hms_request_duration_seconds", &labels);
        Self::new(requests, Some(latency), "version")
    }
}
