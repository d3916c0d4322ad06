//! Counters and histograms of the proxy by version, and their Prometheus text
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>).
//!
//! They begin at 0 with each supervisor; readers see a reset. A request counts once per release that it was given to, when its
//! last byte went out: one that a dead canary could not take counts there as 502, and again for stable, which answered it. A
//! client that left before the answer began counts as 499.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::time::Duration;

use super::held;
use crate::event::{AppName, EnvironmentName};

/// Upper bounds of the histogram: milliseconds, and as the text has them in seconds.
const BOUNDS: [(u64, &str); 11] = [
    (5, "0.005"),
    (10, "0.01"),
    (25, "0.025"),
    (50, "0.05"),
    (100, "0.1"),
    (250, "0.25"),
    (500, "0.5"),
    (1000, "1"),
    (2500, "2.5"),
    (5000, "5"),
    (10000, "10"),
];

/// Whose request it was.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Series {
    pub(super) environment: EnvironmentName,
    pub(super) version: String,
}

#[derive(Debug, Default)]
struct Counted {
    codes: BTreeMap<(u16, bool), u64>,
    buckets: [u64; BOUNDS.len()],
    seconds: f64,
    count: u64,
}

/// The counters of one app.
#[derive(Debug)]
pub(super) struct Metrics {
    app: AppName,
    series: Mutex<BTreeMap<Series, Counted>>,
}

impl Metrics {
    pub(super) fn new(app: AppName) -> Self {
        Self { app, series: Mutex::new(BTreeMap::new()) }
    }

    /// Counts one request.
    pub(super) fn count(&self, series: &Series, code: u16, synthetic: bool, took: Duration) {
        let mut all = held(&self.series);
        if !all.contains_key(series) {
            all.insert(series.clone(), Counted::default());
        }
        let Some(counted) = all.get_mut(series) else { return };
        *counted.codes.entry((code, synthetic)).or_default() += 1;
        for (bucket, (bound, _)) in counted.buckets.iter_mut().zip(BOUNDS) {
            if took <= Duration::from_millis(bound) {
                *bucket += 1;
            }
        }
        counted.seconds += took.as_secs_f64();
        counted.count += 1;
    }

    /// The exposition text, version 0.0.4.
    pub(super) fn text(&self) -> String {
        let all = held(&self.series);
        let app = &self.app;
        let mut text = String::new();
        let _ = writeln!(text, "# HELP hms_requests_total Requests answered through the proxy.");
        let _ = writeln!(text, "# TYPE hms_requests_total counter");
        for (Series { environment, version }, counted) in all.iter() {
            let labels = format!("app=\"{app}\",environment=\"{environment}\",version=\"{version}\"");
            for ((code, synthetic), number) in &counted.codes {
                let _ = writeln!(text, "hms_requests_total{{{labels},code=\"{code}\",synthetic=\"{synthetic}\"}} {number}");
            }
        }
        let _ = writeln!(text, "# HELP hms_request_duration_seconds Time from a request's head to the last byte of its response.");
        let _ = writeln!(text, "# TYPE hms_request_duration_seconds histogram");
        for (Series { environment, version }, counted) in all.iter() {
            let labels = format!("app=\"{app}\",environment=\"{environment}\",version=\"{version}\"");
            for (number, (_, bound)) in counted.buckets.iter().zip(BOUNDS) {
                let _ = writeln!(text, "hms_request_duration_seconds_bucket{{{labels},le=\"{bound}\"}} {number}");
            }
            let _ = writeln!(text, "hms_request_duration_seconds_bucket{{{labels},le=\"+Inf\"}} {}", counted.count);
            let _ = writeln!(text, "hms_request_duration_seconds_sum{{{labels}}} {}", counted.seconds);
            let _ = writeln!(text, "hms_request_duration_seconds_count{{{labels}}} {}", counted.count);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative_and_end_in_the_count() {
        let metrics = Metrics::new("shop".parse().unwrap());
        let series = Series { environment: "prod".parse().unwrap(), version: "0123456789ab".to_owned() };
        for ms in [1, 5, 90, 11_000] {
            metrics.count(&series, 200, false, Duration::from_millis(ms));
        }
        metrics.count(&series, 502, true, Duration::from_millis(100));
        let text = metrics.text();
        let labels = "app=\"shop\",environment=\"prod\",version=\"0123456789ab\"";
        for line in [
            format!("hms_requests_total{{{labels},code=\"200\",synthetic=\"false\"}} 4"),
            format!("hms_requests_total{{{labels},code=\"502\",synthetic=\"true\"}} 1"),
            format!("hms_request_duration_seconds_bucket{{{labels},le=\"0.005\"}} 2"),
            format!("hms_request_duration_seconds_bucket{{{labels},le=\"0.1\"}} 4"),
            format!("hms_request_duration_seconds_bucket{{{labels},le=\"10\"}} 4"),
            format!("hms_request_duration_seconds_bucket{{{labels},le=\"+Inf\"}} 5"),
            format!("hms_request_duration_seconds_count{{{labels}}} 5"),
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\nis not in\n{text}");
        }
    }
}
