//! From folded journals to what the console shows.

use std::time::Duration;

use crate::canary::{self, series_for_graph};
use crate::console::{EngineLife, Graph, GraphPoint};
use crate::event::{RolloutEvent, RolloutState, Sample};
use crate::run::reader;

use super::observer::Observed;

/// A point shows what came in so long before it at the least, so that a thin canary gives a curve and not a rattle.
const SMOOTH: Duration = Duration::from_secs(15);

/// The graphs of a rollout's watch.
pub(super) fn graph(rollout: &RolloutState, observed: &Observed) -> Graph {
    let Some(RolloutEvent::WatchStarted { canary_version, stable_version, threshold_seconds, .. }) = &rollout.watch else {
        return Graph::default();
    };
    let usual = usual_interval(&rollout.samples);
    let points = |version: &str| -> Vec<GraphPoint> {
        // Each interval by itself, for what is counted; several together, for what is drawn. Both have a point for each interval.
        let own = series_for_graph(&rollout.samples, version, usual * 3 / 2);
        let smooth = series_for_graph(&rollout.samples, version, SMOOTH.max(usual * 7 / 2));
        let point = |(smooth, own): (canary::GraphPoint, canary::GraphPoint)| GraphPoint {
            at: smooth.at,
            p95: smooth.p95.map(|quantile| quantile.seconds),
            p95_at_least: smooth.p95.is_some_and(|quantile| quantile.at_least),
            error_rate: smooth.error_rate,
            requests: whole(own.requests),
        };
        smooth.into_iter().zip(own).map(point).collect()
    };
    let slo_errors =
        rollout.verdict.as_ref().and_then(|verdict| verdict.metrics.iter().find(|metric| metric.name == "errors")).map(|metric| metric.slo);
    Graph {
        canary: points(canary_version),
        stable: stable_version.as_deref().map(points).unwrap_or_default(),
        slo_p95: observed.slo_p95,
        slow_above: *threshold_seconds,
        slo_errors: slo_errors.or(observed.slo_errors),
        floor: rollout.verdict.as_ref().map(|verdict| verdict.floor),
    }
}

/// The middle of the times between two samples.
fn usual_interval(samples: &[Sample]) -> Duration {
    let mut gaps: Vec<Duration> =
        samples.iter().zip(samples.iter().skip(1)).filter_map(|(one, next)| (next.at - one.at).to_std().ok()).collect();
    gaps.sort_unstable();
    gaps.get(gaps.len() / 2).copied().unwrap_or(SMOOTH)
}

/// A count that a counter's difference gave: whole but for rounding.
fn whole(requests: f64) -> u64 {
    std::time::Duration::try_from_secs_f64(requests.max(0.0).round()).unwrap_or_default().as_secs()
}

/// The life of an engine in the console's words.
pub(super) fn life(life: reader::EngineLife) -> EngineLife {
    match life {
        reader::EngineLife::Alive => EngineLife::Alive,
        reader::EngineLife::Parked => EngineLife::Parked,
        reader::EngineLife::Ended => EngineLife::Ended,
        reader::EngineLife::Dead => EngineLife::Dead,
    }
}
