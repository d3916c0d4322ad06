//! The live log of the selected job: only what is visible is read and decoded.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use regex::Regex;
use unicode_width::UnicodeWidthChar;

use crate::console::log::{Log, ranges, spans};
use crate::console::source::View;
use crate::console::ui::{Focus, LogView, Ui};
use crate::console::words;

use super::frame::{self, Focused};
use super::{Scene, layout, put};

pub(super) fn draw(buffer: &mut Buffer, area: Rect, scene: Scene<'_>) {
    let ui = scene.ui;
    let focused = if ui.focus == Focus::Log || ui.zoom { Focused::Yes } else { Focused::No };
    let inner = frame::draw(buffer, area, &title(scene), focused, ui.theme);
    if let Some(trouble) = &ui.log.trouble {
        put(buffer, inner, 0, 0, trouble, ui.theme.bad());
        return;
    }
    let Some(log) = &ui.log.log else {
        return;
    };
    let top = if ui.log.follow { last_top(&ui.log, inner) } else { ui.log.top };
    let mut y = 0;
    for index in top..log.lines() {
        if y >= inner.height {
            break;
        }
        y += draw_line(buffer, Rect { y: inner.y + y, height: inner.height - y, ..inner }, log, index, scene);
    }
}

fn title(scene: Scene<'_>) -> String {
    let (ui, dot) = (scene.ui, scene.ui.theme.dot());
    let Some(job) = ui.selected.job() else {
        return "log".into();
    };
    let mut parts = vec![words::plain(job.as_str())];
    // Scrolled sideways there is more to be said than what this is.
    if ui.log.left == 0 || ui.log.wrap {
        parts.push("log".into());
    }
    if ui.log.log.is_none() {
        parts.push("not started".into());
        return parts.join(&format!(" {dot} "));
    }
    parts.push(if ui.log.follow { "following".into() } else { format!("paused at line {}", words::count(number(ui.log.top + 1))) });
    parts.push(words::several(number(ui.log.lines()), "line", "lines"));
    if ui.log.wrap {
        parts.push("wrapped".into());
    } else if ui.log.left > 0 {
        parts.push(format!("column {}", ui.log.left + 1));
    }
    if ui.log.searching.is_some() {
        parts.push("searching …".into());
    }
    parts.join(&format!(" {dot} "))
}

fn number(lines: usize) -> u64 {
    u64::try_from(lines).unwrap_or(u64::MAX)
}

/// Rows inside the log's frame, at least 1.
pub(crate) fn height(ui: &Ui, view: &View) -> usize {
    usize::from(inner(ui, view).height).max(1)
}

/// The first line when the end is shown.
pub(crate) fn bottom(ui: &Ui, view: &View) -> usize {
    last_top(&ui.log, inner(ui, view))
}

fn inner(ui: &Ui, view: &View) -> Rect {
    let area = layout(ui, view, chrono::DateTime::UNIX_EPOCH).and_then(|layout| layout.log).unwrap_or_default();
    Rect::new(area.x + 1, area.y + 1, area.width.saturating_sub(2), area.height.saturating_sub(2))
}

/// Counts rows from the end upwards: wrapping is only ever computed for what is visible.
fn last_top(view: &LogView, area: Rect) -> usize {
    let lines = view.lines();
    let height = usize::from(area.height);
    let (true, Some(log)) = (view.wrap, &view.log) else {
        return lines.saturating_sub(height);
    };
    let mut rows = 0;
    for index in (0..lines).rev() {
        rows += wrapped(&decode(log, index), usize::from(area.width)).len();
        if rows > height {
            // A line taller than the pane is shown from its beginning.
            return (index + 1).min(lines - 1);
        }
    }
    0
}

/// A character with its style.
type Glyph = (char, Style);

fn decode(log: &Log, index: usize) -> Vec<Glyph> {
    let bytes = log.line(index).unwrap_or_else(|error| format!("(cannot be read: {error})").into_bytes());
    spans(&bytes).into_iter().flat_map(|(style, text)| text.chars().map(move |c| (c, style)).collect::<Vec<_>>()).collect()
}

fn wrapped(glyphs: &[Glyph], width: usize) -> Vec<&[Glyph]> {
    let mut rows = Vec::new();
    let (mut start, mut used) = (0, 0);
    for (index, (c, _)) in glyphs.iter().enumerate() {
        let wide = c.width().unwrap_or_default();
        if used + wide > width.max(2) {
            rows.push(glyphs.get(start..index).unwrap_or_default());
            (start, used) = (index, 0);
        }
        used += wide;
    }
    rows.push(glyphs.get(start..).unwrap_or_default());
    rows
}

/// Draws one line; returns the rows it took.
fn draw_line(buffer: &mut Buffer, area: Rect, log: &Log, index: usize, scene: Scene<'_>) -> u16 {
    let (ui, theme) = (scene.ui, scene.ui.theme);
    let mut glyphs = decode(log, index);
    for (_, style) in &mut glyphs {
        *style = theme.foreign(*style);
    }
    if let Some(pattern) = &ui.log.pattern {
        mark(&mut glyphs, pattern, theme.found());
    }
    if !ui.log.wrap {
        let visible = skip(&glyphs, ui.log.left);
        row(buffer, area, 0, visible);
        let columns: usize = visible.iter().map(|(c, _)| c.width().unwrap_or_default()).sum();
        if columns > usize::from(area.width) {
            put(buffer, area, area.width.saturating_sub(1), 0, theme.cut_symbol(), theme.strong());
        }
        return 1;
    }
    let mut y = 0;
    for glyphs in wrapped(&glyphs, usize::from(area.width)) {
        if y >= area.height {
            break;
        }
        row(buffer, area, y, glyphs);
        y += 1;
    }
    y
}

/// What is right of so many columns.
fn skip(glyphs: &[Glyph], columns: usize) -> &[Glyph] {
    let mut used = 0;
    let at = glyphs.iter().position(|(c, _)| {
        let here = used;
        used += c.width().unwrap_or_default();
        here >= columns
    });
    at.and_then(|at| glyphs.get(at..)).unwrap_or_default()
}

fn row(buffer: &mut Buffer, area: Rect, y: u16, glyphs: &[Glyph]) {
    let mut x = 0;
    let mut rest = glyphs;
    while let Some((_, style)) = rest.first() {
        let same = rest.iter().take_while(|(_, other)| other == style).count();
        let (run, after) = rest.split_at(same);
        let text: String = run.iter().map(|(c, _)| *c).collect();
        let room = usize::from(area.width.saturating_sub(x));
        if room == 0 {
            break;
        }
        let (end, _) = buffer.set_stringn(area.x + x, area.y + y, &text, room, *style);
        x = end.saturating_sub(area.x);
        rest = after;
    }
}

fn mark(glyphs: &mut [Glyph], pattern: &Regex, found: Style) {
    let text: String = glyphs.iter().map(|(c, _)| *c).collect();
    for range in ranges(pattern, &text) {
        let start = text.get(..range.start).map_or(0, |before| before.chars().count());
        let count = text.get(range).map_or(0, |inside| inside.chars().count());
        for (_, style) in glyphs.iter_mut().skip(start).take(count) {
            *style = style.patch(found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrapping_never_splits_a_wide_character() {
        let glyphs: Vec<Glyph> = "a日本b".chars().map(|c| (c, Style::new())).collect();
        let rows: Vec<String> = wrapped(&glyphs, 2).iter().map(|row| row.iter().map(|(c, _)| *c).collect()).collect();
        assert_eq!(rows, ["a", "日", "本", "b"]);
        assert_eq!(wrapped(&[], 10).len(), 1);
    }
}
