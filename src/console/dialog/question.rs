//! Questions that want `y`; every other answer is no.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::console::panes::Scene;
use crate::console::rollback::Target;
use crate::console::update::{EXTEND_SECONDS, live};
use crate::console::words;
use crate::event::{JobName, JobStatus, RolloutId, RunId};

use super::{framed, row};

/// Abort the run? Names it, and everything that would end.
pub(super) fn abort(buffer: &mut Buffer, body: Rect, run: &RunId, scene: Scene<'_>) {
    let state = scene.view.run.as_ref().filter(|state| state.created.as_ref().is_some_and(|created| &created.run == run));
    let mut lines = Vec::new();
    match state.and_then(|state| state.created.as_ref()) {
        Some(created) => {
            lines.push(format!("run {} of {}  “{}”", created.number, created.revision.short(), words::plain(&created.title)));
        }
        None => lines.push(format!("run {run}")),
    }
    if let Target::Canary { weight, environment, .. } = Target::of(scene.view) {
        lines.push(format!("first: canary of {environment} {weight} {} 0", scene.ui.theme.arrow()));
    }
    let running: Vec<_> = state
        .map(|state| state.jobs.iter().filter(|job| job.status == JobStatus::Running).map(|job| job.plan.name.to_string()).collect())
        .unwrap_or_default();
    if !running.is_empty() {
        lines.push(format!("then ends: {}", running.join(", ")));
    }
    ask(buffer, body, "Abort the run?", &lines, " y aborts  N goes on ", scene);
}

/// Yes to a gate that deploys nothing?
pub(super) fn gate(buffer: &mut Buffer, body: Rect, job: &JobName, scene: Scene<'_>) {
    let mut lines =
        vec![format!("{job} waits for a yes; it deploys nothing by itself"), "it starts as soon as it has all its yeses".to_owned()];
    let text = scene.view.run.as_ref().and_then(|run| run.job(job)?.plan.manual_confirmation.as_deref());
    lines.extend(text.map(words::plain));
    ask(buffer, body, &format!("Yes to {job}?"), &lines, " y says yes  N does not ", scene);
}

/// A longer HOLD?
pub(super) fn extend(buffer: &mut Buffer, body: Rect, rollout: &RolloutId, scene: Scene<'_>) {
    let found = live(scene.view).and_then(|state| state.created.as_ref()).filter(|created| created.rollout == *rollout);
    let minutes = EXTEND_SECONDS / 60;
    let lines = match found {
        Some(created) => vec![
            format!("{} in {} may be on HOLD for {minutes} minutes more", words::plain(&created.release.tag), created.environment),
            "it is entered in the ledger and cannot be taken back".to_owned(),
            "harm is acted on all the same".to_owned(),
        ],
        None => vec!["that canary has no weight any more".to_owned()],
    };
    ask(buffer, body, "Extend the HOLD?", &lines, " y extends  N does not ", scene);
}

fn ask(buffer: &mut Buffer, body: Rect, title: &str, lines: &[String], keys: &str, scene: Scene<'_>) {
    let widest = lines.iter().map(|line| words::width(line)).chain([words::width(title), words::width(keys), 40]).max().unwrap_or(40);
    let size = (u16::try_from(widest).unwrap_or(u16::MAX), u16::try_from(lines.len()).unwrap_or(u16::MAX));
    let inner = framed(buffer, body, size, title, keys, scene.ui.theme.production_border());
    for (y, line) in (0..inner.height).zip(lines) {
        row(buffer, inner, y, line, Style::new());
    }
}
