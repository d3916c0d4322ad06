//! A pane's frame with its title. Neighbours share lines.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::symbols::merge::MergeStrategy;
use ratatui::widgets::{Block, Widget};

use crate::console::theme::Theme;
use crate::console::words;

/// Whether the arrows move this pane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Focused {
    Yes,
    No,
}

/// Draws the frame; returns the room inside.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, title: &str, focused: Focused, theme: Theme) -> Rect {
    let title = words::cut(title, usize::from(area.width.saturating_sub(4)));
    let style = match focused {
        Focused::Yes => theme.strong(),
        Focused::No => Style::new(),
    };
    let block =
        Block::bordered().border_set(theme.border()).merge_borders(MergeStrategy::Exact).title(format!(" {title} ")).title_style(style);
    let inner = block.inner(area);
    block.render(area, buffer);
    inner
}
