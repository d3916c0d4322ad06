//! The screen: pure functions of (own state, view, time) into a buffer. No pane remembers anything between frames.

mod banner;
mod footer;
mod frame;
pub(crate) mod graph;
mod header;
pub(crate) mod log;
pub(crate) mod notices;
mod pipeline;
pub(crate) mod status;
mod versions;

use chrono::{DateTime, Utc};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;

use crate::event::JobStatus;

use super::dialog;
use super::rollback::{Stage, under_way};
use super::source::View;
use super::theme::Glyphs;
use super::ui::{Focus, Ui};
use super::words;

pub(crate) use graph::shares;

/// A finished frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Screen {
    pub(crate) buffer: Buffer,
    /// Where the terminal's own cursor belongs: at a text field, if one is open.
    pub(crate) cursor: Option<Position>,
}

/// What every pane draws from.
#[derive(Clone, Copy)]
pub(crate) struct Scene<'a> {
    pub(crate) ui: &'a Ui,
    pub(crate) view: &'a View,
    pub(crate) now: DateTime<Utc>,
}

/// Draws everything.
pub(crate) fn render(ui: &Ui, view: &View, now: DateTime<Utc>) -> Screen {
    let area = Rect::new(0, 0, ui.size.width, ui.size.height);
    let mut buffer = Buffer::empty(area);
    let scene = Scene { ui, view, now: view.at.unwrap_or(now) };
    let mut cursor = None;
    if let Some(layout) = layout(ui, view, scene.now) {
        header::draw(&mut buffer, layout.header, scene);
        if let Some(area) = layout.notices {
            notices::draw(&mut buffer, area, scene);
        }
        if let Some(area) = layout.pipeline {
            pipeline::draw(&mut buffer, area, scene);
        }
        if let Some(area) = layout.versions {
            versions::draw(&mut buffer, area, scene);
        }
        if let Some(area) = layout.log {
            log::draw(&mut buffer, area, scene);
        }
        if let Some((p95, errors)) = layout.graphs {
            graph::draw(&mut buffer, p95, errors, scene);
        }
        if let Some(area) = layout.all_graphs {
            graph::draw_all(&mut buffer, area, scene);
        }
        status::draw(&mut buffer, layout.status, scene);
        footer::draw(&mut buffer, layout.footer, scene);
        footer::draw_notice(&mut buffer, layout.body, scene);
        cursor = dialog::draw(&mut buffer, layout.body, scene);
        banner::draw(&mut buffer, layout.body, scene);
    } else {
        tiny(&mut buffer, area, scene);
    }
    if ui.theme.glyphs == Glyphs::Ascii {
        to_ascii(&mut buffer);
    }
    Screen { buffer, cursor }
}

/// Where each pane lies.
struct Layout {
    header: Rect,
    notices: Option<Rect>,
    body: Rect,
    pipeline: Option<Rect>,
    versions: Option<Rect>,
    log: Option<Rect>,
    graphs: Option<(Rect, Rect)>,
    /// The graphs have all the room.
    all_graphs: Option<Rect>,
    status: Rect,
    footer: Rect,
}

/// Under this there is one line with the state and nothing else.
const MINIMUM: (u16, u16) = (40, 10);
/// Under this the left and the right half take turns.
const TWO_COLUMNS: (u16, u16) = (70, 16);

/// Lays out the screen; none when it is too small for panes. Neighbours share their border, so each overlaps the next by one.
fn layout(ui: &Ui, view: &View, now: DateTime<Utc>) -> Option<Layout> {
    let (width, height) = (ui.size.width, ui.size.height);
    if width < MINIMUM.0 || height < MINIMUM.1 {
        return None;
    }
    let status_rows = status::rows(Scene { ui, view, now }, width);
    // A low screen keeps its rows for the panes: there the key says what the row would.
    let notice_rows = u16::from(height >= 16 && !notices::of(view).is_empty());
    let body_rows = height - 2 - status_rows - notice_rows;
    let body = Rect::new(0, 1 + notice_rows, width, body_rows);
    let mut layout = Layout {
        header: Rect::new(0, 0, width, 1),
        notices: (notice_rows > 0).then(|| Rect::new(0, 1, width, notice_rows)),
        body,
        pipeline: None,
        versions: None,
        log: None,
        graphs: None,
        all_graphs: None,
        status: Rect::new(0, body.bottom(), width, status_rows),
        footer: Rect::new(0, height - 1, width, 1),
    };
    let graphs_focused = ui.focus == Focus::Graphs && graph::wanted(view);
    if ui.zoom {
        *(if graphs_focused { &mut layout.all_graphs } else { &mut layout.log }) = Some(body);
        return Some(layout);
    }
    if width < TWO_COLUMNS.0 || height < TWO_COLUMNS.1 {
        match ui.focus {
            Focus::Pipeline => layout.pipeline = Some(body),
            Focus::Graphs if graphs_focused => layout.all_graphs = Some(body),
            Focus::Log | Focus::Graphs => layout.log = Some(body),
        }
        return Some(layout);
    }
    let left = if width < 100 {
        30
    } else if width < 160 {
        38
    } else {
        46
    };
    let versions = versions::rows(view).min(body.height / 2);
    let split = body.bottom() - versions;
    layout.pipeline = Some(Rect::new(0, body.y, left, split + 1 - body.y));
    layout.versions = Some(Rect::new(0, split, left, versions));
    let right = Rect::new(left - 1, body.y, width - left + 1, body.height);
    (layout.log, layout.graphs) = right_side(right, graph::wanted(view));
    Some(layout)
}

/// The log, and the graphs under it: beside each other where there is room, else one under the other.
fn right_side(right: Rect, graphs: bool) -> (Option<Rect>, Option<(Rect, Rect)>) {
    if !graphs {
        return (Some(right), None);
    }
    let beside = right.width >= 80;
    let each = if beside { (right.height / 3).clamp(7, 14) } else { (right.height / 4).clamp(5, 12) };
    let rows = if beside { each } else { 2 * each - 1 };
    let top = right.bottom() - rows;
    let log = Rect { height: top + 1 - right.y, ..right };
    let graphs = if beside {
        let wide = right.width * 3 / 5 - 1;
        (Rect::new(right.x, top, wide, each), Rect::new(right.x + wide - 1, top, right.width - wide + 1, each))
    } else {
        (Rect::new(right.x, top, right.width, each), Rect::new(right.x, top + each - 1, right.width, each))
    };
    (Some(log), Some(graphs))
}

/// What the state is, and what `R` would do: in two lines, or in one.
fn tiny(buffer: &mut Buffer, area: Rect, scene: Scene<'_>) {
    let text = format!("{}  {}", status::line(scene).text(), footer::rollback(scene));
    if area.height > 1 {
        put(buffer, area, 0, 0, &status::line(scene).text(), Style::new());
        put(buffer, area, 0, 1, &footer::rollback(scene), Style::new());
        return;
    }
    put(buffer, area, 0, 0, &text, Style::new());
}

/// Our own signs in ASCII, for a terminal that has nothing else. Foreign text stays as it is.
fn to_ascii(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        let plain = match cell.symbol() {
            "…" => "~",
            "“" | "”" => "\"",
            "↑" => "^",
            "↓" => "v",
            "←" => "<",
            "→" => ">",
            _ => continue,
        };
        cell.set_symbol(plain);
    }
}

/// Since when (or until when) something on the screen counts seconds; none when nothing does.
pub(crate) fn ageing(ui: &Ui, view: &View) -> Option<DateTime<Utc>> {
    if view.at.is_some() {
        return None;
    }
    if let Some(Stage::Armed(fires_at)) = under_way(view).map(|going| going.stage) {
        return Some(fires_at);
    }
    let layout = layout(ui, view, DateTime::<Utc>::UNIX_EPOCH)?;
    layout.pipeline?;
    let running = |status: JobStatus| matches!(status, JobStatus::Running | JobStatus::Preparing);
    let run = view.run.as_ref()?;
    run.jobs.iter().filter(|job| running(job.status)).find_map(|job| job.attempts.last()).map(|attempt| attempt.started_at)
}

/// The room that panes and dialogs have.
pub(crate) fn body(ui: &Ui, view: &View) -> Option<Rect> {
    layout(ui, view, DateTime::<Utc>::UNIX_EPOCH).map(|layout| layout.body)
}

/// Writes text that was made harmless at column `x` of row `y` inside `area`, cut to it; returns the columns used.
fn put(buffer: &mut Buffer, area: Rect, x: u16, y: u16, text: &str, style: Style) -> u16 {
    if x >= area.width || y >= area.height {
        return 0;
    }
    let room = area.width - x;
    let text = words::cut(text, usize::from(room));
    let (end, _) = buffer.set_stringn(area.x + x, area.y + y, &text, usize::from(room), style);
    end.saturating_sub(area.x + x)
}

/// Columns of a text, as far as a screen is wide.
fn columns(text: &str) -> u16 {
    u16::try_from(words::width(text)).unwrap_or(u16::MAX)
}
