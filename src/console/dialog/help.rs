//! The help, written by the key table itself.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::console::keymap::BINDINGS;
use crate::console::live::Leaving;
use crate::console::panes::Scene;
use crate::console::words;

use super::{framed, row};

/// Lines of the help: keys, and what they do.
pub(in crate::console) fn lines(leaving: Leaving) -> Vec<(String, &'static str)> {
    BINDINGS
        .iter()
        .map(|binding| (binding.keys.iter().map(|key| key.name()).collect::<Vec<_>>().join(" "), binding.help(leaving)))
        .filter(|(_, help)| !help.is_empty())
        .collect()
}

pub(super) fn draw(buffer: &mut Buffer, body: Rect, scroll: usize, scene: Scene<'_>) {
    let lines = lines(scene.ui.leaving);
    let widest = lines.iter().map(|(_, help)| words::width(help)).max().unwrap_or_default() + 16;
    let size = (u16::try_from(widest).unwrap_or(u16::MAX), u16::try_from(lines.len()).unwrap_or(u16::MAX));
    let theme = scene.ui.theme;
    let inner = framed(buffer, body, size, "Keys", " ↓ more  Esc leaves ", theme.border());
    let scroll = scroll.min(lines.len().saturating_sub(usize::from(inner.height)));
    for (y, (keys, help)) in (0..inner.height).zip(lines.iter().skip(scroll)) {
        row(buffer, inner, y, keys, theme.strong());
        let right = Rect { x: inner.x + 16.min(inner.width), width: inner.width.saturating_sub(16), ..inner };
        row(buffer, right, y, help, Style::new());
    }
}
