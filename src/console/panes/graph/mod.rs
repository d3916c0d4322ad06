//! The canary's graphs: p95 and errors of both arms against their limits, requests and share, and the evidence itself. The numbers in
//! the title decide, the curve gives the shape; a cursor reads them at a moment, and marks say what changed when.

mod curve;
mod picture;
pub(crate) mod span;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::widgets::{Axis, Chart, Dataset, GraphType, Widget};

use crate::console::source::View;
use crate::console::ui::GraphPage;
use crate::console::words;

use super::frame::{self, Focused};
use super::{Scene, columns, put};
use curve::pieces;
use picture::{Picture, mark_word, text_of};
use span::{Span, seconds};

pub(crate) use picture::{Plot, shares};

/// A graph needs so many rows and columns to be one.
const LEAST_ROWS: u16 = 6;
const SIDE_BY_SIDE: u16 = 80;

/// Whether there is anything to draw.
pub(super) fn wanted(view: &View) -> bool {
    !view.graph.canary.is_empty() || !view.graph.stable.is_empty()
}

/// The two of a page.
pub(super) fn draw(buffer: &mut Buffer, one: Rect, other: Rect, scene: Scene<'_>) {
    let (left, right) = page(scene.ui.graphs.page);
    draw_one(buffer, one, left, scene);
    draw_one(buffer, other, right, scene);
}

fn page(page: GraphPage) -> (Plot, Plot) {
    match page {
        GraphPage::Health => (Plot::P95, Plot::Errors),
        GraphPage::Traffic => (Plot::Rate, Plot::Share),
        GraphPage::Evidence => (Plot::Evidence, Plot::Errors),
    }
}

/// As many of all five as there is room for, those of the page first. Neighbours share their border.
pub(super) fn draw_all(buffer: &mut Buffer, body: Rect, scene: Scene<'_>) {
    let (first, second) = page(scene.ui.graphs.page);
    let all = [first, second, Plot::P95, Plot::Errors, Plot::Evidence, Plot::Rate, Plot::Share];
    let mut wanted: Vec<Plot> = Vec::new();
    for plot in all {
        if !wanted.contains(&plot) {
            wanted.push(plot);
        }
    }
    let beside = body.width >= SIDE_BY_SIDE;
    let each_row = if beside { 2 } else { 1 };
    let rows = (body.height / LEAST_ROWS).max(1).min(if beside { 3 } else { 5 });
    let height = body.height / rows;
    let mut plots = wanted.into_iter();
    for row in 0..rows {
        let top = body.y + row * height;
        let bottom = if row + 1 == rows { body.bottom() } else { top + height + 1 };
        let whole = Rect { y: top, height: bottom - top, ..body };
        let here: Vec<Plot> = plots.by_ref().take(each_row).collect();
        match here.as_slice() {
            [one, other] => {
                let half = whole.width / 2;
                draw_one(buffer, Rect { width: half + 1, ..whole }, *one, scene);
                draw_one(buffer, Rect { x: whole.x + half, width: whole.width - half, ..whole }, *other, scene);
            }
            [one] => draw_one(buffer, whole, *one, scene),
            _ => {}
        }
    }
}

fn draw_one(buffer: &mut Buffer, area: Rect, plot: Plot, scene: Scene<'_>) {
    let theme = scene.ui.theme;
    let picture = picture::picture(plot, scene);
    let room = usize::from(area.width.saturating_sub(4));
    let title = picture.titles.iter().find(|title| words::width(&text_of(title)) <= room).or(picture.titles.last());
    let title = title.cloned().unwrap_or_default();
    let inner = frame::draw(buffer, area, &text_of(&title), focused(scene), theme);
    let mut x = area.x + 2;
    for (text, style) in &title {
        let part = Rect::new(x, area.y, columns(text), 1).intersection(Rect { width: area.width.saturating_sub(2), ..area });
        buffer.set_style(part, *style);
        x = x.saturating_add(columns(text));
    }
    let (Some(span), true) = (Span::of(&scene.view.graph, &scene.ui.graphs), picture.max > 0.0 && inner.height > 0) else {
        return;
    };
    let top = (picture.label)(picture.max);
    let gutter = columns(&top).max(5) + 1;
    if inner.width <= gutter + 4 {
        return;
    }
    put(buffer, inner, 0, 0, &top, theme.muted());
    put(buffer, inner, 0, inner.height - 1, &left_edge(span, scene), theme.muted());
    let plot = Rect { x: inner.x + gutter, width: inner.width - gutter, ..inner };
    draw_plot(buffer, plot, &picture, span, scene);
}

fn focused(scene: Scene<'_>) -> Focused {
    if scene.ui.focus == crate::console::ui::Focus::Graphs { Focused::Yes } else { Focused::No }
}

/// How far back it goes; where that is when it does not end now.
fn left_edge(span: Span, scene: Scene<'_>) -> String {
    match scene.ui.graphs.end {
        Some(end) => (end - span.length).with_timezone(&scene.ui.zone).format("%H:%M").to_string(),
        None => format!("-{}", words::duration(span.length.to_std().unwrap_or_default()).replace("m00s", "m").replace("h00m", "h")),
    }
}

fn draw_plot(buffer: &mut Buffer, plot: Rect, picture: &Picture, span: Span, scene: Scene<'_>) {
    let theme = scene.ui.theme;
    let limit = limit_row(plot, picture);
    for x in limit.iter().flat_map(|_| 0..plot.width) {
        put(buffer, plot, x, limit.unwrap_or_default(), theme.limit_symbol(), Style::new());
    }
    let marks: Vec<(u16, String)> =
        scene.view.graph.marks.iter().filter_map(|mark| Some((span.column(mark.at, plot.width)?, mark_word(mark.kind)))).collect();
    for (x, y) in marks.iter().flat_map(|(x, _)| (0..plot.height).map(move |y| (*x, y))) {
        put(buffer, plot, x, y, theme.mark_symbol(), theme.muted());
    }
    let dots = usize::from(plot.width) * 2;
    let drawn: Vec<_> = picture
        .curves
        .iter()
        .flat_map(|curve| pieces(&curve.points, curve.gaps, span, dots).into_iter().map(move |piece| (piece, curve.style, curve.marker)))
        .collect();
    let sets = drawn
        .iter()
        .map(|(piece, style, marker)| Dataset::default().marker(*marker).graph_type(GraphType::Line).style(*style).data(piece))
        .collect();
    Chart::new(sets)
        .legend_position(None)
        .x_axis(Axis::default().bounds([-seconds(span.length), 0.0]))
        .y_axis(Axis::default().bounds([0.0, picture.max]))
        .render(plot, buffer);
    // The lines lie under the curves, their names over them: a style without a colour would keep the curve's.
    let over = theme.muted().fg(Color::Reset);
    let mut free_from = 0;
    for (x, word) in &marks {
        let at = (*x + 1).min(plot.width.saturating_sub(columns(word)));
        if at >= free_from && *x >= free_from && limit != Some(0) {
            put(buffer, plot, at, 0, word, over);
            free_from = at + columns(word) + 1;
        }
    }
    if let Some(row) = limit {
        let named = format!(" {}", picture.limit.map(|(_, name)| name).unwrap_or_default());
        put(buffer, plot, plot.width.saturating_sub(columns(&named)), row, &named, over);
    }
    if let Some(x) = scene.ui.graphs.cursor.and_then(|at| span.column(at, plot.width)) {
        buffer.set_style(Rect { x: plot.x + x, width: 1, ..plot }, Style::new().add_modifier(Modifier::REVERSED));
    }
}

/// The row whose part of the axis holds the limit, counted from the top.
fn limit_row(plot: Rect, picture: &Picture) -> Option<u16> {
    let (limit, _) = picture.limit.filter(|(limit, _)| *limit > 0.0 && *limit <= picture.max)?;
    let share = 1.0 - limit / picture.max;
    (0..plot.height).rev().find(|row| f64::from(*row) / f64::from(plot.height) <= share)
}
