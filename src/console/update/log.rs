//! The log under the keys: scrolling, following, searching.

use regex::{Regex, RegexBuilder};

use crate::console::keymap::{Action, Move};
use crate::console::log::{Direction, Found, Growth, Log, Search, error_pattern};
use crate::console::message::{Effect, Moment};
use crate::console::panes;
use crate::console::source::View;
use crate::console::ui::{Tone, Ui};
use crate::event::JobName;

use super::say;

/// Columns that one press goes sideways.
const SIDEWAYS: usize = 10;

/// The log has more bytes: they are indexed, a piece at a time.
pub(super) fn grow(ui: &mut Ui) -> Vec<Effect> {
    let Some(log) = &mut ui.log.log else {
        // An attempt begins before its log is there.
        let wanted = ui.log.of.as_ref().filter(|_| ui.log.trouble.is_none());
        return wanted.map(|(job, _)| Effect::OpenLog(job.clone())).into_iter().collect();
    };
    match log.grow() {
        Ok(Growth::Complete) => Vec::new(),
        Ok(Growth::More) => vec![Effect::Continue],
        Err(error) => {
            ui.log.trouble = Some(format!("the log cannot be read: {error}"));
            Vec::new()
        }
    }
}

/// The log that was asked for is here, unless another was asked for meanwhile.
pub(super) fn opened(ui: &mut Ui, job: &JobName, opened: Result<Option<Log>, String>) -> Vec<Effect> {
    if ui.log.of.as_ref().map(|(of, _)| of) != Some(job) {
        return Vec::new();
    }
    match opened {
        Ok(Some(log)) => ui.log.log = Some(log),
        Ok(None) => return Vec::new(),
        Err(why) => ui.log.trouble = Some(why),
    }
    grow(ui)
}

/// Moves the window over the log.
pub(super) fn scroll(ui: &mut Ui, view: &View, to: Move) {
    let bottom = panes::log::bottom(ui, view);
    let page = panes::log::height(ui, view).saturating_sub(1).max(1);
    let top = if ui.log.follow { bottom } else { ui.log.top };
    let end = bottom.max(top);
    match to {
        Move::Up => hold(ui, top.saturating_sub(1)),
        Move::PageUp => hold(ui, top.saturating_sub(page)),
        Move::Top => hold(ui, 0),
        // Going down at the end of a log that is followed goes on following it.
        Move::Down | Move::PageDown if ui.log.follow => {}
        Move::Down => hold(ui, (top + 1).min(end)),
        Move::PageDown => hold(ui, (top + page).min(end)),
        Move::Follow if ui.log.follow => hold(ui, top),
        Move::Follow | Move::Bottom => ui.log.follow = true,
        Move::Wrap => ui.log.wrap = !ui.log.wrap,
        Move::Left => ui.log.left = ui.log.left.saturating_sub(SIDEWAYS),
        Move::Right => ui.log.left = (ui.log.left + SIDEWAYS).min(60_000),
    }
}

fn hold(ui: &mut Ui, top: usize) {
    (ui.log.top, ui.log.follow) = (top, false);
}

/// A pattern was typed.
pub(super) fn search_for(ui: &mut Ui, view: &View, text: &str) -> Result<Vec<Effect>, String> {
    let insensitive = !text.chars().any(char::is_uppercase);
    let pattern = RegexBuilder::new(text)
        .case_insensitive(insensitive)
        .size_limit(1 << 20)
        .build()
        .map_err(|error| error.to_string().lines().last().unwrap_or("is no regular expression").to_owned())?;
    // The flag travels with the pattern's text, for a search in bytes is built from it.
    let pattern = if insensitive { Regex::new(&format!("(?i:{text})")).unwrap_or(pattern) } else { pattern };
    let from = if ui.log.follow { panes::log::bottom(ui, view) } else { ui.log.top };
    ui.log.searching = Search::at(&pattern, from, ui.log.lines());
    ui.log.pattern = Some(pattern);
    ui.log.at = None;
    Ok(vec![Effect::Continue])
}

/// The next match, the one before, or the next error.
pub(super) fn find(ui: &mut Ui, action: Action, now: Moment) -> Vec<Effect> {
    let direction = if action == Action::PreviousMatch { Direction::Up } else { Direction::Down };
    if action == Action::NextError {
        if ui.log.pattern.as_ref().is_none_or(|pattern| pattern.as_str() != error_pattern()) {
            ui.log.at = None;
        }
        ui.log.pattern = Regex::new(error_pattern()).ok();
    }
    let Some(pattern) = &ui.log.pattern else {
        say(ui, Tone::Said, "nothing was searched for yet: / searches".into(), now);
        return Vec::new();
    };
    let lines = ui.log.lines();
    ui.log.searching = match (ui.log.at, action, ui.log.follow) {
        (Some(at), ..) => Search::new(pattern, direction, at, lines),
        // The first error is looked for from the beginning when the end is followed: that is where causes are.
        (None, Action::NextError, true) => Search::at(pattern, 0, lines),
        (None, ..) => Search::new(pattern, direction, ui.log.top, lines),
    };
    vec![Effect::Continue]
}

/// One piece of the search under way.
pub(super) fn search(ui: &mut Ui, view: &View, now: Moment) -> Vec<Effect> {
    let (Some(search), Some(log)) = (&mut ui.log.searching, &ui.log.log) else {
        ui.log.searching = None;
        return Vec::new();
    };
    match search.step(log) {
        Found::NotYet => return vec![Effect::Continue],
        Found::Nowhere => say(ui, Tone::Said, "no line of this log has it".into(), now),
        Found::Line(line) => {
            let height = panes::log::height(ui, view);
            ui.log.at = Some(line);
            ui.log.follow = false;
            if line < ui.log.top || line >= ui.log.top + height {
                ui.log.top = line.saturating_sub(height / 3);
            }
        }
    }
    ui.log.searching = None;
    Vec::new()
}
