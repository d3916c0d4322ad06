//! Which metrics tell of requests and durations, and which label tells the version.

use serde::{Deserialize, Serialize};

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
}

impl MetricsSettings {
    /// Reads these metrics; statuses are looked for under `code`, `status`, `status_code`.
    #[must_use]
    pub fn new(requests: Selector, latency: Option<Selector>, version_label: impl Into<String>) -> Self {
        let status_labels = ["code", "status", "status_code"].map(str::to_owned).to_vec();
        Self { requests, latency, version_label: version_label.into(), status_labels }
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
