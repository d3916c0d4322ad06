//! Points for the screen. A gap is a gap: no traffic is not 0 %, and no sample is not the last one again.

use std::collections::VecDeque;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::buckets::{Buckets, Quantile, quantile};
use super::interval::{VersionDelta, deltas};
use crate::event::Sample;

/// One version at one moment, over the window that ends there.
#[derive(Debug, Clone, PartialEq)]
pub struct GraphPoint {
    /// The time of the sample before.
    pub from: DateTime<Utc>,
    /// The sample's time.
    pub at: DateTime<Utc>,
    /// The median; none without durations.
    pub p50: Option<Quantile>,
    /// The p95.
    pub p95: Option<Quantile>,
    /// The p99.
    pub p99: Option<Quantile>,
    /// Share of requests that failed, 0 to 1; none without requests.
    pub error_rate: Option<f64>,
    /// Requests in the window.
    pub requests: f64,
    /// Those of them that failed.
    pub errors: f64,
}

/// A point for each sample after the first. An interval belongs to a window that it fits into: one longer than the window, as after
/// an unwatched hour, shows as a gap and not as an average over the hour; so does a refused sample.
#[must_use]
pub fn series_for_graph(samples: &[Sample], version: &str, window: Duration) -> Vec<GraphPoint> {
    let window = TimeDelta::from_std(window).unwrap_or(TimeDelta::MAX);
    let mut inside: VecDeque<(DateTime<Utc>, VersionDelta)> = VecDeque::new();
    let mut points = Vec::new();
    for mut interval in deltas(samples) {
        let at = interval.to;
        while inside.front().is_some_and(|(from, _)| at - *from > window) {
            inside.pop_front();
        }
        if interval.refused.is_some() {
            points.push(point(interval.from, at, std::iter::empty()));
            continue;
        }
        let delta = interval.versions.remove(version).filter(|_| at - interval.from <= window);
        inside.extend(delta.map(|delta| (interval.from, delta)));
        points.push(point(interval.from, at, inside.iter().map(|(_, delta)| delta)));
    }
    points
}

fn point<'a>(from: DateTime<Utc>, at: DateTime<Utc>, deltas: impl Iterator<Item = &'a VersionDelta>) -> GraphPoint {
    let (mut requests, mut errors, mut latency) = (0.0, 0.0, None::<Buckets>);
    for delta in deltas {
        requests += delta.requests;
        errors += delta.errors;
        if let Some(more) = &delta.latency {
            latency = Some(latency.map_or_else(|| more.clone(), |sum| sum.plus(more)));
        }
    }
    let of = |share: f64| latency.as_ref().and_then(|buckets| quantile(buckets, share));
    let error_rate = (requests > 0.0).then(|| errors / requests);
    GraphPoint { from, at, p50: of(0.5), p95: of(0.95), p99: of(0.99), error_rate, requests, errors }
}
