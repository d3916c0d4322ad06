//! The last row: what `R` would do, always first and always named by value, then hints from the key table.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::console::keymap::{Action, BINDINGS};
use crate::console::rollback::{Stage, Target, under_way};
use crate::console::source::{Access, EngineLife};
use crate::console::ui::{Dialog, Tone};
use crate::console::update::{live, may_be_retried};
use crate::console::words;
use crate::event::{JobStatus, VerdictClass};

use super::{Scene, columns, graph, notices, put};

pub(super) fn draw(buffer: &mut Buffer, area: Rect, scene: Scene<'_>) {
    let theme = scene.ui.theme;
    let field = matches!(scene.ui.dialog, Some(Dialog::Search(_) | Dialog::Review(_) | Dialog::Skip(_)));
    // In a text field R is a letter: the way to it is named.
    let rollback = if field { format!("Esc {}", rollback(scene)) } else { rollback(scene) };
    let mut x = 1 + put(buffer, area, 1, 0, &rollback, theme.strong());
    if scene.ui.dialog.is_some() {
        return;
    }
    let hints: Vec<(String, &str)> = BINDINGS
        .iter()
        .filter(|binding| !binding.hint.is_empty() && useful(binding.action, scene))
        .filter_map(|binding| Some((binding.keys.first()?.name(), hint(binding.action, binding.hint, scene))))
        .collect();
    // Help and the way out are kept when others must go.
    let last: Vec<_> = hints.iter().rev().take(2).rev().cloned().collect();
    let reserved: u16 = last.iter().map(|(key, hint)| columns(key) + columns(hint) + 3).sum();
    let first = hints.len().saturating_sub(last.len());
    for (key, hint) in hints.iter().take(first) {
        let needed = columns(key) + columns(hint) + 3;
        if x + needed + reserved > area.width {
            break;
        }
        x += draw_hint(buffer, area, x, key, hint, scene);
    }
    for (key, hint) in &last {
        x += draw_hint(buffer, area, x, key, hint, scene);
    }
}

/// What a key is called now.
fn hint(action: Action, hint: &'static str, scene: Scene<'_>) -> &'static str {
    let paused = action == Action::Pause && live(scene.view).is_some_and(|rollout| rollout.paused.is_some());
    if paused { "go on" } else { hint }
}

fn draw_hint(buffer: &mut Buffer, area: Rect, x: u16, key: &str, hint: &str, scene: Scene<'_>) -> u16 {
    let used = put(buffer, area, x + 2, 0, key, scene.ui.theme.strong());
    2 + used + put(buffer, area, x + 2 + used, 0, &format!(" {hint}"), Style::new())
}

/// Whether a key would do something now.
fn useful(action: Action, scene: Scene<'_>) -> bool {
    let (view, full) = (scene.view, scene.view.access == Access::Full);
    let run = view.run.as_deref();
    match action {
        Action::Promote => full && run.is_some_and(|run| run.jobs.iter().any(|job| job.status == JobStatus::Manual && !job.gate_open)),
        Action::Abort => full && run.is_some_and(|run| run.ended.is_none() && run.cancel.is_none()),
        Action::Retry => {
            let selected = run.and_then(|run| run.jobs.iter().find(|job| Some(&job.plan.name) == scene.ui.selected.job()));
            full && (view.engine == EngineLife::Dead || selected.is_some_and(may_be_retried))
        }
        Action::Pause => full && live(view).is_some(),
        Action::Skip => full && live(view).is_some_and(|rollout| rollout.next_weight().is_some()),
        Action::Extend => {
            full && live(view).is_some_and(|rollout| !rollout.hold_expired && rollout.verdict_class() == Some(VerdictClass::Hold))
        }
        Action::Start => full && run.is_none_or(|run| run.ended.is_some()),
        Action::Notices => !notices::of(view).is_empty(),
        Action::Graphs | Action::Closer | Action::Wider => graph::wanted(view),
        Action::Search | Action::NextError | Action::Move(_) => scene.ui.log.log.is_some(),
        Action::Rollback
        | Action::NextMatch
        | Action::PreviousMatch
        | Action::Zoom
        | Action::Focus
        | Action::Help
        | Action::Leave
        | Action::Suspend
        | Action::Redraw
        | Action::Submit
        | Action::Cancel
        | Action::Yes
        | Action::Erase
        | Action::Clear => true,
    }
}

/// `R` and its target.
pub(super) fn rollback(scene: Scene<'_>) -> String {
    let arrow = scene.ui.theme.arrow();
    if scene.view.access != Access::Full {
        return "R is off: only looking".into();
    }
    if let Some(going) = under_way(scene.view) {
        let to = words::plain(&going.to.tag);
        return match going.stage {
            Stage::Armed(_) => format!("R now: {} {arrow} {to}  Esc cancel", going.environment),
            Stage::Going(_) => format!("R is at work: {} {arrow} {to}", going.environment),
        };
    }
    match Target::of(scene.view) {
        Target::Canary { weight, .. } => format!("R canary {} {arrow} 0", words::share(weight.fraction())),
        Target::Production { environment, from, to } => {
            format!("R {environment} {} {arrow} {}", words::cut(&words::plain(&from.tag), 20), words::cut(&words::plain(&to.tag), 20))
        }
        Target::Nothing(why) => format!("R {}", words::plain(&why)),
    }
}

/// A line for people, over the last row of the panes.
pub(super) fn draw_notice(buffer: &mut Buffer, body: Rect, scene: Scene<'_>) {
    let (Some(notice), Some(y)) = (&scene.ui.notice, body.height.checked_sub(1)) else {
        return;
    };
    let style = match notice.tone {
        Tone::Said => scene.ui.theme.strong(),
        Tone::Refused => scene.ui.theme.bad(),
    };
    put(buffer, body, 2, y, &format!(" {} ", notice.text), style);
}
