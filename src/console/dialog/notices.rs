//! The run's notices, whole.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::console::panes::{Scene, notices};
use crate::console::source::View;
use crate::console::words;

use super::{framed, row};

/// As wide as is read well.
const WIDTH: u16 = 100;

/// The lines, each with whether it begins a notice.
pub(in crate::console) fn lines(view: &View, room: u16) -> Vec<(bool, String)> {
    let width = usize::from(WIDTH.min(room.saturating_sub(4)).saturating_sub(2)).max(1);
    let wrapped = |text: String| words::wrap(&text, width).into_iter().enumerate().map(|(index, line)| (index == 0, line)).collect();
    let lines: Vec<(bool, String)> =
        notices::of(view).into_iter().flat_map(|text: String| -> Vec<(bool, String)> { wrapped(text) }).collect();
    if lines.is_empty() { vec![(false, "nothing: this run is as its file says".into())] } else { lines }
}

pub(super) fn draw(buffer: &mut Buffer, body: Rect, scroll: usize, scene: Scene<'_>) {
    let lines = lines(scene.view, body.width);
    let theme = scene.ui.theme;
    let inner =
        framed(buffer, body, (WIDTH, u16::try_from(lines.len()).unwrap_or(u16::MAX)), "Notices", " ↓ more  Esc leaves ", theme.border());
    for (y, (first, line)) in (0..inner.height).zip(lines.iter().skip(scroll)) {
        row(buffer, inner, y, if *first { "!" } else { "" }, theme.bad());
        let right = Rect { x: inner.x + 2.min(inner.width), width: inner.width.saturating_sub(2), ..inner };
        row(buffer, right, y, line, Style::new());
    }
}
