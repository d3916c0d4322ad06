//! From a rollout's samples to its numbers over time: what graphs, tables and pages show.

use std::path::Path;
use std::time::Duration;

use crate::canary::{GraphPoint, Quantile, series_for_graph};
use crate::event::{RolloutEvent, RolloutState, Sample};
use crate::report::{CurvePoint, Curves};

/// A point of a curve shows what came in so long before it at the least, so that a thin canary gives a curve and not a rattle.
const SMOOTH: Duration = Duration::from_secs(15);

/// Both arms of a rollout over time. `folder` is the rollout's, whose evidence knows what was promised.
pub(crate) fn curves(rollout: &RolloutState, folder: &Path) -> Curves {
    let Some(RolloutEvent::WatchStarted { canary_version, stable_version, threshold_seconds, .. }) = &rollout.watch else {
        return Curves::default();
    };
    let errors = rollout.verdict.as_ref().and_then(|verdict| verdict.metrics.iter().find(|metric| metric.name == "errors"));
    Curves {
        canary: points_of(&rollout.samples, canary_version),
        stable: stable_version.as_deref().map(|version| points_of(&rollout.samples, version)).unwrap_or_default(),
        slo_p95: promised_p95(folder),
        slow_above: *threshold_seconds,
        slo_errors: errors.map(|errors| errors.slo),
    }
}

/// One version over time: a point for each interval.
pub(crate) fn points_of(samples: &[Sample], version: &str) -> Vec<CurvePoint> {
    let usual = usual_interval(samples);
    // Each interval by itself, for what is counted; several together, for what is drawn. Both have a point for each interval.
    let own = series_for_graph(samples, version, usual * 3 / 2);
    let smooth = series_for_graph(samples, version, SMOOTH.max(usual * 7 / 2));
    own.into_iter().zip(smooth).map(|(own, smooth)| point(&own, &smooth)).collect()
}

fn point(own: &GraphPoint, smooth: &GraphPoint) -> CurvePoint {
    let quantiles = [own.p50, own.p95, own.p99];
    let at_least = |quantile: Option<Quantile>| quantile.is_some_and(|quantile| quantile.at_least);
    CurvePoint {
        from: own.from,
        at: own.at,
        requests: own.requests,
        errors: own.errors,
        quantiles: quantiles.map(|quantile| quantile.map(|quantile| quantile.seconds)),
        at_least: quantiles.map(at_least),
        smooth_p95: smooth.p95.map(|quantile| quantile.seconds),
        smooth_at_least: at_least(smooth.p95),
        smooth_errors: smooth.error_rate,
    }
}

/// The middle of the times between two samples.
fn usual_interval(samples: &[Sample]) -> Duration {
    let mut gaps: Vec<Duration> =
        samples.iter().zip(samples.iter().skip(1)).filter_map(|(one, next)| (next.at - one.at).to_std().ok()).collect();
    gaps.sort_unstable();
    gaps.get(gaps.len() / 2).copied().unwrap_or(SMOOTH)
}

/// The p95 of the policy that the verdict was reached under, in seconds: the evidence file keeps it.
fn promised_p95(folder: &Path) -> Option<f64> {
    let number = |name: &str| name.strip_prefix("evidence-")?.strip_suffix(".json")?.parse::<u32>().ok();
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let newest = files.filter_map(|file| Some((number(file.file_name().to_str()?)?, file.path()))).max()?;
    let evidence: serde_json::Value = serde_json::from_slice(&std::fs::read(newest.1).ok()?).ok()?;
    evidence.pointer("/judge/p95_slo_seconds")?.as_f64()
}
