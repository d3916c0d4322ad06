//! The graphs: which are shown, how much time, and where the cursor is.

use chrono::{DateTime, TimeDelta, Utc};

use crate::console::keymap::{Action, Move};
use crate::console::message::Effect;
use crate::console::panes::graph::span::{LENGTHS, Span, first, last, length};
use crate::console::source::View;
use crate::console::ui::{GraphPage, Ui};

/// Whether there are any.
pub(super) fn there(view: &View) -> bool {
    last(&view.graph).is_some()
}

/// The next two.
pub(super) fn turn(ui: &mut Ui) -> Vec<Effect> {
    ui.graphs.page = match ui.graphs.page {
        GraphPage::Health => GraphPage::Traffic,
        GraphPage::Traffic => GraphPage::Evidence,
        GraphPage::Evidence => GraphPage::Health,
    };
    Vec::new()
}

/// Less time, or more; the cursor stays inside.
pub(super) fn resize(ui: &mut Ui, view: &View, action: Action) -> Vec<Effect> {
    let now = length(&view.graph, &ui.graphs);
    let wanted = if action == Action::Closer { now.saturating_sub(1) } else { (now + 1).min(LENGTHS.len() - 1) };
    ui.graphs.length = Some(wanted);
    keep_cursor_inside(ui, view);
    Vec::new()
}

/// Moves the cursor, or the time that is shown.
pub(super) fn go(ui: &mut Ui, view: &View, to: Move) -> Vec<Effect> {
    match to {
        Move::Left => step(ui, view, Direction::Back),
        Move::Right => step(ui, view, Direction::On),
        Move::PageUp => pan(ui, view, Direction::Back),
        Move::PageDown => pan(ui, view, Direction::On),
        Move::Top => {
            let start = first(&view.graph).zip(Span::of(&view.graph, &ui.graphs)).map(|(start, span)| start + span.length);
            ui.graphs.end = start.filter(|end| last(&view.graph).is_some_and(|last| *end < last));
            ui.graphs.cursor = first(&view.graph);
        }
        Move::Bottom | Move::Follow => (ui.graphs.end, ui.graphs.cursor) = (None, None),
        Move::Up | Move::Down => return turn(ui),
        Move::Wrap => {}
    }
    Vec::new()
}

/// Which way in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Back,
    On,
}

/// The cursor goes to the next point that another column shows.
fn step(ui: &mut Ui, view: &View, direction: Direction) {
    let points = if view.graph.canary.is_empty() { &view.graph.stable } else { &view.graph.canary };
    let (Some(span), Some(newest)) = (Span::of(&view.graph, &ui.graphs), points.last()) else { return };
    let columns = i32::from(ui.size.width.max(2) / 2);
    let least = span.length / columns;
    let from = ui.graphs.cursor.unwrap_or(newest.at);
    let found = match (direction, ui.graphs.cursor) {
        (Direction::Back, _) => {
            points.iter().rev().map(|point| point.at).find(|at| *at <= from - least).or(points.first().map(|point| point.at))
        }
        (Direction::On, None) => None,
        (Direction::On, Some(_)) => points.iter().map(|point| point.at).find(|at| *at >= from + least),
    };
    // Past the newest point there is nothing to read: the newest is read again as it comes.
    ui.graphs.cursor = found;
    if found.is_none() {
        ui.graphs.end = None;
    }
    show(ui, view, found);
}

/// Half of the time that is shown.
fn pan(ui: &mut Ui, view: &View, direction: Direction) {
    let (Some(span), Some(newest), Some(oldest)) = (Span::of(&view.graph, &ui.graphs), last(&view.graph), first(&view.graph)) else {
        return;
    };
    let half: TimeDelta = span.length / 2;
    let end = match direction {
        Direction::Back => (span.end - half).max((oldest + span.length).min(newest)),
        Direction::On => span.end + half,
    };
    ui.graphs.end = (end < newest).then_some(end);
    keep_cursor_inside(ui, view);
}

fn keep_cursor_inside(ui: &mut Ui, view: &View) {
    if let (Some(cursor), Some(span)) = (ui.graphs.cursor, Span::of(&view.graph, &ui.graphs)) {
        ui.graphs.cursor = Some(cursor.clamp(span.end - span.length, span.end));
    }
}

/// Moves the time so that a moment is in it.
fn show(ui: &mut Ui, view: &View, at: Option<DateTime<Utc>>) {
    let (Some(at), Some(span)) = (at, Span::of(&view.graph, &ui.graphs)) else { return };
    if at > span.end {
        ui.graphs.end = Some(at).filter(|end| last(&view.graph).is_some_and(|last| *end < last));
    } else if at < span.end - span.length {
        ui.graphs.end = Some(at + span.length);
    }
}
