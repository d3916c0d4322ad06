//! Which job is selected, and whose log is open.

use crate::console::keymap::Move;
use crate::console::message::{Effect, Moment};
use crate::console::panes;
use crate::console::source::{GraphPoint, View};
use crate::console::ui::{GraphView, LogView, Selection, Ui};
use crate::event::{AttemptId, JobName, JobStatus, MarkKind, RunState};

/// The view is another: the selection, the log and the graphs' scales go with it.
pub(super) fn follow_view(ui: &mut Ui, view: &View, now: Moment) -> Vec<Effect> {
    let run = view.run.as_ref().and_then(|run| run.created.as_ref()).map(|created| created.run.clone());
    if ui.run != run {
        ui.run = run;
        ui.selected = Selection::Automatic(None);
        ui.log = LogView { wrap: ui.log.wrap, ..LogView::default() };
        // Another run's time is another time; which graphs are shown stays.
        ui.graphs = GraphView { page: ui.graphs.page, ..GraphView::default() };
    }
    let kept = |name: &JobName| view.run.as_ref().is_some_and(|run| run.jobs.iter().any(|job| &job.plan.name == name));
    if !matches!(&ui.selected, Selection::Chosen(job) if kept(job)) {
        ui.selected = Selection::Automatic(view.run.as_ref().and_then(|run| interesting(run)));
    }
    scale(ui, view, now);
    open_log(ui, view)
}

/// The job above or below.
pub(super) fn go(ui: &mut Ui, view: &View, to: Move) -> Vec<Effect> {
    let Some(run) = &view.run else {
        return Vec::new();
    };
    let at = ui.selected.job().and_then(|name| run.jobs.iter().position(|job| &job.plan.name == name));
    let to = match at {
        None => 0,
        Some(at) if to == Move::Up => at.saturating_sub(1),
        Some(at) => (at + 1).min(run.jobs.len().saturating_sub(1)),
    };
    if let Some(job) = run.jobs.get(to) {
        ui.selected = Selection::Chosen(job.plan.name.clone());
    }
    open_log(ui, view)
}

/// Where something happens: the last job that runs, else one that failed, else the last that ended, else the first.
fn interesting(run: &RunState) -> Option<JobName> {
    let last = |wanted: &dyn Fn(JobStatus) -> bool| run.jobs.iter().rev().find(|job| wanted(job.status));
    last(&|status| matches!(status, JobStatus::Running | JobStatus::Preparing))
        .or_else(|| last(&|status| status == JobStatus::Failed))
        .or_else(|| {
            run.jobs.iter().filter(|job| !job.attempts.is_empty()).max_by_key(|job| job.attempts.last().map(|last| last.started_at))
        })
        .or_else(|| run.jobs.first())
        .map(|job| job.plan.name.clone())
}

fn open_log(ui: &mut Ui, view: &View) -> Vec<Effect> {
    let wanted: Option<(JobName, AttemptId)> = ui.selected.job().and_then(|name| {
        let job = view.run.as_ref()?.jobs.iter().find(|job| &job.plan.name == name)?;
        Some((name.clone(), job.attempts.last()?.id.clone()))
    });
    if ui.log.of == wanted {
        // One that was not there yet may be by now.
        let missing = ui.log.log.is_none() && ui.log.trouble.is_none();
        return wanted.filter(|_| missing).map(|(job, _)| Effect::OpenLog(job)).into_iter().collect();
    }
    let (wrap, pattern) = (ui.log.wrap, ui.log.pattern.take());
    ui.log = LogView { of: wanted.clone(), wrap, pattern, ..LogView::default() };
    wanted.map(|(job, _)| Effect::OpenLog(job)).into_iter().collect()
}

/// A curve without a limit has some room over it.
const ROOM: f64 = 1.15;

fn scale(ui: &mut Ui, view: &View, now: Moment) {
    let points = || view.graph.canary.iter().chain(&view.graph.stable);
    let peak = |values: &mut dyn Iterator<Item = f64>, slo: Option<f64>| {
        values.filter(|value| value.is_finite()).fold(slo.unwrap_or_default() * 1.2, f64::max)
    };
    let shares = panes::shares(&view.graph);
    let asked = view.graph.marks.iter().filter_map(|mark| match mark.kind {
        MarkKind::Weight(weight) => Some(weight.fraction()),
        MarkKind::Verdict(_) | MarkKind::Overridden | MarkKind::Left | MarkKind::Promoted | MarkKind::RolledBack => None,
    });
    let scales = &mut ui.scales;
    scales.p95.fit(peak(&mut points().filter_map(|point| point.p95), view.graph.p95_limit()), now.monotonic);
    scales.errors.fit(peak(&mut points().filter_map(|point| point.error_rate), view.graph.slo_errors), now.monotonic);
    scales.rate.fit(peak(&mut points().filter_map(GraphPoint::per_second), None) * ROOM, now.monotonic);
    scales.share.fit(peak(&mut shares.iter().filter_map(|(_, share)| *share).chain(asked), None) * ROOM, now.monotonic);
}
