//! What lies over the panes: help, questions, text fields.

mod help;
mod notices;
mod question;
mod review;
mod skip;

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use ratatui::symbols::border;
use ratatui::widgets::{Block, Clear, Widget};

use super::panes::{self, Scene};
use super::source::View;
use super::ui::{Dialog, Field, Ui};
use super::words;

/// Draws the dialog that is open; returns where the cursor belongs.
pub(super) fn draw(buffer: &mut Buffer, body: Rect, scene: Scene<'_>) -> Option<Position> {
    match scene.ui.dialog.as_ref()? {
        Dialog::Help { scroll } => {
            help::draw(buffer, body, *scroll, scene);
            None
        }
        Dialog::Notices { scroll } => {
            notices::draw(buffer, body, *scroll, scene);
            None
        }
        Dialog::Search(field) => Some(search(buffer, body, field, scene)),
        Dialog::Abort { run, .. } => {
            question::abort(buffer, body, run, scene);
            None
        }
        Dialog::Gate { job, .. } => {
            question::gate(buffer, body, job, scene);
            None
        }
        Dialog::Review(review) => Some(review::draw(buffer, body, review, scene)),
        Dialog::Skip(skip) => Some(skip::draw(buffer, body, skip, scene)),
        Dialog::Extend { rollout, .. } => {
            question::extend(buffer, body, rollout, scene);
            None
        }
    }
}

/// How far the list that is open can be scrolled; 0 when none is.
pub(super) fn last_scroll(ui: &Ui, view: &View) -> usize {
    let Some(body) = panes::body(ui, view) else { return 0 };
    let lines = match &ui.dialog {
        Some(Dialog::Help { .. }) => help::lines(ui.leaving).len(),
        Some(Dialog::Notices { .. }) => notices::lines(view, body.width).len(),
        Some(
            Dialog::Search(_) | Dialog::Abort { .. } | Dialog::Gate { .. } | Dialog::Review(_) | Dialog::Skip(_) | Dialog::Extend { .. },
        )
        | None => 0,
    };
    lines.saturating_sub(usize::from(body.height.saturating_sub(2)))
}

/// What the frame of every text field says, for in it `R` is a letter.
const ROLLS_BACK: &str = " Esc R rolls back ";

/// Clears a box in the middle of `body` and frames it; returns the room inside.
fn framed(buffer: &mut Buffer, body: Rect, size: (u16, u16), title: &str, bottom: &str, border: border::Set<'static>) -> Rect {
    let width = size.0.saturating_add(4).min(body.width);
    let height = size.1.saturating_add(2).min(body.height);
    let area = Rect::new(body.x + (body.width - width) / 2, body.y + (body.height - height) / 2, width, height);
    Clear.render(area, buffer);
    let room = usize::from(width.saturating_sub(4));
    let block = Block::bordered().border_set(border).title(format!(" {} ", words::cut(title, room))).title_bottom(words::cut(bottom, room));
    let inner = block.inner(area);
    block.render(area, buffer);
    Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner }
}

/// A row of a dialog.
fn row(buffer: &mut Buffer, area: Rect, y: u16, text: &str, style: Style) {
    if y < area.height {
        buffer.set_stringn(area.x, area.y + y, words::cut(text, usize::from(area.width)), usize::from(area.width), style);
    }
}

/// The field's text with its prompt; the end of a long one is shown. Returns where the cursor belongs.
fn field_row(buffer: &mut Buffer, area: Rect, y: u16, prompt: &str, field: &Field) -> Position {
    let room = usize::from(area.width).saturating_sub(words::width(prompt) + 1);
    let mut shown = words::plain(&field.text);
    while words::width(&shown) > room && !shown.is_empty() {
        shown.remove(0);
    }
    let text = format!("{prompt}{shown}");
    row(buffer, area, y, &text, Style::new());
    let x = u16::try_from(words::width(&text)).unwrap_or(u16::MAX);
    Position::new(area.x.saturating_add(x).min(area.right().saturating_sub(1)), area.y + y.min(area.height.saturating_sub(1)))
}

/// The search field lies on the last row of the panes.
fn search(buffer: &mut Buffer, body: Rect, field: &Field, scene: Scene<'_>) -> Position {
    let theme = scene.ui.theme;
    let place = Rect { y: body.bottom().saturating_sub(4).max(body.y), height: body.height.min(4), ..body };
    let bottom = format!(" Enter searches  Esc leaves {ROLLS_BACK}");
    let inner = framed(buffer, place, (body.width, 2), "Search (regular expression)", &bottom, theme.border());
    if let Some(complaint) = &field.complaint {
        row(buffer, inner, 1, complaint, theme.bad());
    }
    field_row(buffer, inner, 0, "/", field)
}
