//! From folded journals to what the console shows.

use std::time::Duration;

use crate::canary::series_for_graph;
use crate::console::{EngineLife, Graph, GraphPoint, RunSummary};
use crate::event::{RolloutEvent, RolloutState};
use crate::run::RepositoryFolder;
use crate::run::reader::{self, RunReader, list};

use super::observer::Observed;

/// Between two points of a graph at the least.
const STEP: Duration = Duration::from_secs(1);
/// How many runs are listed.
const RUNS: usize = 20;

/// The graphs of a rollout's watch.
pub(super) fn graph(rollout: &RolloutState, observed: &Observed) -> Graph {
    let Some(RolloutEvent::WatchStarted { canary_version, stable_version, .. }) = &rollout.watch else { return Graph::default() };
    let points = |version: &str| -> Vec<GraphPoint> {
        series_for_graph(&rollout.samples, version, STEP)
            .into_iter()
            .map(|point| GraphPoint {
                at: point.at,
                p95: point.p95.map(|quantile| quantile.seconds),
                p95_at_least: point.p95.is_some_and(|quantile| quantile.at_least),
                error_rate: point.error_rate,
                requests: whole(point.requests),
            })
            .collect()
    };
    let slo_errors =
        rollout.verdict.as_ref().and_then(|verdict| verdict.metrics.iter().find(|metric| metric.name == "errors")).map(|metric| metric.slo);
    Graph {
        canary: points(canary_version),
        stable: stable_version.as_deref().map(points).unwrap_or_default(),
        slo_p95: observed.slo_p95,
        slo_errors: slo_errors.or(observed.slo_errors),
        floor: rollout.verdict.as_ref().map(|verdict| verdict.floor),
    }
}

/// A count that a counter's difference gave: whole but for rounding.
fn whole(requests: f64) -> u64 {
    std::time::Duration::try_from_secs_f64(requests.max(0.0).round()).unwrap_or_default().as_secs()
}

/// The repository's newest runs, newest first.
pub(super) fn summaries(repository: &RepositoryFolder) -> Vec<RunSummary> {
    let listed = list(repository).unwrap_or_default();
    let newest = listed.into_iter().rev().take(RUNS);
    newest
        .filter_map(|listed| {
            let mut reader = RunReader::new(&listed.folder);
            reader.poll().ok()?;
            let created = reader.state().created.as_ref()?;
            Some(RunSummary {
                number: listed.number,
                run: listed.run,
                revision: listed.revision,
                title: created.title.clone(),
                outcome: reader.state().outcome(),
            })
        })
        .collect()
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
