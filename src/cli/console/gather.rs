//! From folded journals to what the console shows.

use crate::cli::canary::points_of;
use crate::console::{EngineLife, Graph, GraphPoint};
use crate::event::{RolloutEvent, RolloutState};
use crate::report::CurvePoint;
use crate::run::reader;

use super::observer::Observed;

/// The graphs of a rollout's watch.
pub(super) fn graph(rollout: &RolloutState, observed: &Observed) -> Graph {
    let Some(RolloutEvent::WatchStarted { canary_version, stable_version, threshold_seconds, .. }) = &rollout.watch else {
        return Graph::default();
    };
    let points = |version: &str| -> Vec<GraphPoint> {
        let point = |point: &CurvePoint| GraphPoint {
            at: point.at,
            p95: point.smooth_p95,
            p95_at_least: point.smooth_at_least,
            error_rate: point.smooth_errors,
            requests: whole(point.requests),
            seconds: point.seconds(),
        };
        points_of(&rollout.samples, version).iter().map(point).collect()
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
        told: rollout.course.told.clone(),
        marks: rollout.course.marks.clone(),
    }
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
