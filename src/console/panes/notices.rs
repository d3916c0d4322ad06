//! What is to be known of the run that no other pane says: an image that is not honoured, changes that are not in it. One row under
//! the header, and the key that shows them whole.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::console::source::View;
use crate::console::words;

use super::{Scene, columns, put};

/// The run's notices, each once, oldest first.
pub(crate) fn of(view: &View) -> Vec<String> {
    let mut said: Vec<String> = Vec::new();
    for (job, text) in view.run.iter().flat_map(|run| run.standing_notices()) {
        let text = job.as_ref().map_or_else(|| words::plain(text), |job| format!("{}: {}", words::plain(job.as_str()), words::plain(text)));
        if !said.contains(&text) {
            said.push(text);
        }
    }
    said
}

pub(super) fn draw(buffer: &mut Buffer, area: Rect, scene: Scene<'_>) {
    let said = of(scene.view);
    let theme = scene.ui.theme;
    let key = match said.len() {
        1 => " i ".to_owned(),
        count => format!(" i {} ", words::several(u64::try_from(count).unwrap_or(u64::MAX), "notice", "notices")),
    };
    let at = area.width.saturating_sub(columns(&key));
    put(buffer, area, 1, 0, "!", theme.bad());
    let all = said.join(&format!(" {} ", theme.dot()));
    put(buffer, Rect { width: at.saturating_sub(1), ..area }, 3, 0, &all, Style::new());
    put(buffer, area, at, 0, &key, theme.strong());
}
