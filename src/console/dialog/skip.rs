//! The question for the reason of a weight without a PASS.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::{Modifier, Style};

use crate::console::panes::Scene;
use crate::console::ui::Skip;
use crate::console::words;

use super::{ROLLS_BACK, field_row, framed, row};

/// As wide as is read well.
const WIDTH: u16 = 90;

pub(super) fn draw(buffer: &mut Buffer, body: Rect, skip: &Skip, scene: Scene<'_>) -> Position {
    let theme = scene.ui.theme;
    let width = WIDTH.min(body.width.saturating_sub(4));
    let bottom = format!(" Enter does it  Esc leaves {ROLLS_BACK}");
    let title = format!("{} {} {} without a PASS", skip.from, theme.arrow(), skip.to);
    let inner = framed(buffer, body, (width, 6), &title, &bottom, theme.production_border());
    let what = format!("{} gets {} of the traffic of {} at once; it cannot be undone but by R", skip.tag, skip.to, skip.environment);
    let lines = words::wrap(&what, usize::from(inner.width.max(1)));
    for (y, line) in (0..inner.height.saturating_sub(3)).zip(&lines) {
        row(buffer, inner, y, line, Style::new().add_modifier(Modifier::BOLD));
    }
    let field_y = inner.height.saturating_sub(2);
    row(buffer, inner, field_y.saturating_sub(1), "the reason goes into the ledger, with the evidence of this moment", theme.muted());
    if let Some(complaint) = &skip.field.complaint {
        row(buffer, inner, field_y + 1, complaint, theme.bad());
    }
    field_row(buffer, inner, field_y, "why: ", &skip.field)
}
