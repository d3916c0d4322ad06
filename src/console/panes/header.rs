//! The first row: what is released, from which commit, where to, and what is in production now.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::console::rollback::production;
use crate::console::source::{Access, SourceState};
use crate::console::words;

use super::{Scene, columns, put};

pub(super) fn draw(buffer: &mut Buffer, area: Rect, scene: Scene<'_>) {
    let theme = scene.ui.theme;
    let right = right(scene);
    let right_width: u16 = right.iter().map(|(text, _)| columns(text)).sum();
    let room = area.width.saturating_sub(right_width + 1);
    let left_area = Rect { width: room, ..area };
    let mut x = put(buffer, left_area, 0, 0, " hms ", theme.strong());
    for (text, style) in left(scene) {
        x += put(buffer, left_area, x, 0, &format!(" {text} "), style);
    }
    let mut x = area.width.saturating_sub(right_width);
    for (text, style) in right {
        x += put(buffer, area, x, 0, &text, style);
    }
}

fn left(scene: Scene<'_>) -> Vec<(String, Style)> {
    let (view, theme) = (scene.view, scene.ui.theme);
    let mut parts = Vec::new();
    let app = view.app.as_ref().map_or_else(|| words::plain(&view.repository), ToString::to_string);
    if !app.is_empty() {
        parts.push((app, theme.strong()));
    }
    match view.access {
        Access::Full => {}
        Access::ReadOnly => parts.push(("READ ONLY".into(), theme.selected())),
        Access::Replay => parts.push(("REPLAY".into(), theme.selected())),
    }
    if view.state == SourceState::Loading {
        parts.push(("looking …".into(), theme.muted()));
    }
    if let Some(created) = view.run.as_ref().and_then(|run| run.created.as_ref()) {
        let branch = created.ref_name.as_deref().map_or(String::new(), |name| format!("{} ", words::plain(name)));
        parts.push((format!("#{} {branch}{}", created.number, created.revision.short()), Style::new()));
        parts.push((format!("“{}”", words::plain(&created.title)), theme.muted()));
    }
    parts
}

fn right(scene: Scene<'_>) -> Vec<(String, Style)> {
    let (view, theme) = (scene.view, scene.ui.theme);
    let mut parts = Vec::new();
    if let Some(target) = &view.target {
        parts.push((format!("{}  ", words::cut(&words::plain(&target.name), 28)), Style::new()));
    }
    if let Some(environment) = production(view) {
        let current = match &environment.record {
            Some(record) => record.current.as_ref().map_or("no release yet".into(), |release| words::cut(&words::plain(&release.tag), 20)),
            None => "?".into(),
        };
        parts.push((format!(" {} {current} ", environment.name.as_str().to_uppercase()), theme.production()));
    }
    parts
}
