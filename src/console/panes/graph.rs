//! p95 and error rate of both arms against their limits. The numbers in the title decide, the curve gives the shape. A gap
//! is a gap: each contiguous piece is a data set of its own, and nothing that is not a number is ever drawn.

use chrono::{DateTime, TimeDelta, Utc};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};
use ratatui::widgets::{Axis, Chart, Dataset, GraphType, Widget};

use crate::console::source::{Graph, GraphPoint, View};
use crate::console::ui::Scale;
use crate::console::words;

use super::frame::{self, Focused};
use super::{Scene, columns, put};

/// A curve in pieces without gaps: seconds before the right edge (0 or less), value.
type Pieces = Vec<Vec<(f64, f64)>>;

/// Whether there is anything to draw.
pub(super) fn wanted(view: &View) -> bool {
    !view.graph.canary.is_empty() || !view.graph.stable.is_empty()
}

pub(super) fn draw(buffer: &mut Buffer, p95: Rect, errors: Rect, scene: Scene<'_>) {
    let (graph, ui) = (&scene.view.graph, scene.ui);
    let latency = Metric {
        value: |point| point.p95,
        limit: graph.p95_limit(),
        named: p95_limit_name(graph),
        scale: ui.p95_scale,
        label: words::latency,
    };
    let failed =
        Metric { value: |point| point.error_rate, limit: graph.slo_errors, named: "SLO", scale: ui.error_scale, label: words::share };
    one(buffer, p95, &latency_titles(scene), &latency, scene);
    one(buffer, errors, &error_titles(scene), &failed, scene);
}

/// What a graph shows.
struct Metric {
    value: fn(&GraphPoint) -> Option<f64>,
    limit: Option<f64>,
    /// What the limit is.
    named: &'static str,
    scale: Scale,
    label: fn(f64) -> String,
}

/// An SLO is a promise; what the judge calls slow without one is only where it counts from.
fn p95_limit_name(graph: &Graph) -> &'static str {
    if graph.slo_p95.is_some() { "SLO" } else { "slow" }
}

/// A title in pieces: the words that name a curve have its style.
type Title = Vec<(String, Style)>;

/// Titles from the most to the least telling; the first that fits is taken.
fn latency_titles(scene: Scene<'_>) -> Vec<Title> {
    let graph = &scene.view.graph;
    let show =
        |point: &GraphPoint| point.p95.map(|p95| format!("{}{}", if point.p95_at_least { "over " } else { "" }, words::latency(p95)));
    let canary = last(&graph.canary, show).unwrap_or_else(|| no_data(&graph.canary, scene));
    let stable = last(&graph.stable, show).unwrap_or_else(|| "no data".into());
    let limit = graph.p95_limit().map(|limit| format!("{} {}", p95_limit_name(graph), words::latency(limit)));
    titles(["p95", "p95"], [&canary, &canary], compared(graph).then_some(stable.as_str()), limit.as_deref(), scene)
}

fn error_titles(scene: Scene<'_>) -> Vec<Title> {
    let graph = &scene.view.graph;
    // What the judge has set aside (the first interval) was measured all the same.
    let judged = judged(scene.view).filter(|(canary, _)| canary.1 > 0);
    let total = judged.map_or_else(|| graph.canary.iter().map(|point| point.requests).sum(), |(canary, _)| canary.1);
    let rate = |arm: (u64, u64)| (arm.1 > 0).then(|| float(arm.0) / float(arm.1));
    let canary = judged.map_or_else(|| overall(&graph.canary), |(canary, _)| rate(canary));
    let canary = canary.map_or_else(|| no_data(&graph.canary, scene), words::share);
    // A share of three requests is no rate: the count stands beside it until PASS's floor is reached.
    let few = graph.floor.filter(|floor| total > 0 && total < *floor);
    let with_count = |count: String| if few.is_some() { format!("{canary} of {count}") } else { canary.clone() };
    let (long, short) = (with_count(words::several(total, "request", "requests")), with_count(words::count(total)));
    let stable = judged.map_or_else(|| overall(&graph.stable), |(_, stable)| rate(stable)).map_or_else(|| "no data".into(), words::share);
    let limit = graph.slo_errors.map(|limit| format!("SLO {}", words::share(limit)));
    titles(["errors", "err"], [&long, &short], compared(graph).then_some(stable.as_str()), limit.as_deref(), scene)
}

/// The word canary and the limit stay when other things must go: a number is nothing without what it is and what it may be.
fn titles(names: [&str; 2], canary: [&str; 2], stable: Option<&str>, limit: Option<&str>, scene: Scene<'_>) -> Vec<Title> {
    let theme = scene.ui.theme;
    let [name, brief] = names;
    let [long, short] = canary;
    let title = |name: &str, gap: &str, canary: &str, stable: Option<&str>, limit: Option<&str>| {
        // One column more or less between words decides what fits on a narrow screen.
        let near = if gap.len() > 1 { " " } else { "" };
        let mut parts = vec![(name.to_owned(), Style::new())];
        parts.push((format!("{gap}{}{near}canary", theme.canary_sign()), theme.canary()));
        parts.push((format!(" {canary}"), Style::new()));
        if let Some(stable) = stable {
            parts.push((format!("{gap}{}{near}stable", theme.stable_sign()), theme.stable()));
            parts.push((format!(" {stable}"), Style::new()));
        }
        parts.extend(limit.map(|limit| (format!("{gap}{limit}"), Style::new())));
        parts
    };
    vec![
        title(name, "  ", long, stable, limit),
        title(name, " ", short, stable, limit),
        title(brief, " ", short, stable, limit),
        title(name, " ", short, None, limit),
        title(brief, " ", short, None, limit),
        title(brief, " ", short, None, None),
    ]
}

fn text_of(title: &Title) -> String {
    title.iter().map(|(text, _)| text.as_str()).collect()
}

/// The judge's own counts, where it has judged: bad and all of the canary, bad and all of stable.
fn judged(view: &View) -> Option<((u64, u64), (u64, u64))> {
    let verdict = view.rollouts.iter().rev().find(|rollout| rollout.watch.is_some())?.verdict.as_ref()?;
    let errors = verdict.metrics.iter().find(|metric| metric.name == "errors")?;
    Some(((errors.canary_bad, verdict.canary_requests), (errors.stable_bad, verdict.stable_requests)))
}

/// Whether there is anything that the canary is compared with: the first release of an environment has nothing.
fn compared(graph: &Graph) -> bool {
    !graph.stable.is_empty()
}

/// The newest interval's value, if that interval has one.
fn last<T>(points: &[GraphPoint], value: impl Fn(&GraphPoint) -> Option<T>) -> Option<T> {
    points.last().and_then(value)
}

/// Errors over all requests shown.
fn overall(points: &[GraphPoint]) -> Option<f64> {
    let (bad, all) = points
        .iter()
        .filter_map(|point| Some((point.error_rate?, float(point.requests))))
        .fold((0.0, 0.0), |(bad, all), (rate, requests)| (bad + rate * requests, all + requests));
    (all > 0.0).then(|| bad / all)
}

/// Beyond what a float holds exactly nobody counts.
fn float(count: u64) -> f64 {
    u32::try_from(count).map_or(f64::from(u32::MAX), f64::from)
}

fn no_data(points: &[GraphPoint], scene: Scene<'_>) -> String {
    let seen = points.iter().rev().find(|point| point.requests > 0);
    seen.map_or("no data".into(), |point| format!("no data since {}", words::time_of_day(point.at, scene.now, scene.ui.zone)))
}

fn one(buffer: &mut Buffer, area: Rect, titles: &[Title], metric: &Metric, scene: Scene<'_>) {
    let theme = scene.ui.theme;
    let room = usize::from(area.width.saturating_sub(4));
    let title = titles.iter().find(|title| words::width(&text_of(title)) <= room).or(titles.last()).cloned().unwrap_or_default();
    let inner = frame::draw(buffer, area, &text_of(&title), Focused::No, theme);
    let mut x = area.x + 2;
    for (text, style) in &title {
        let part = Rect::new(x, area.y, columns(text), 1).intersection(Rect { width: area.width.saturating_sub(2), ..area });
        buffer.set_style(part, *style);
        x = x.saturating_add(columns(text));
    }
    let graph = &scene.view.graph;
    let (Some(edge), true) = (right_edge(graph), metric.scale.max > 0.0 && inner.height > 0) else {
        return;
    };
    let window = window(graph, edge);
    let top = (metric.label)(metric.scale.max);
    let gutter = columns(&top).max(5) + 1;
    if inner.width <= gutter + 4 {
        return;
    }
    put(buffer, inner, 0, 0, &top, theme.muted());
    put(
        buffer,
        inner,
        0,
        inner.height - 1,
        &format!("-{}", words::duration(window.to_std().unwrap_or_default()).replace("m00s", "m")),
        theme.muted(),
    );
    let plot = Rect { x: inner.x + gutter, width: inner.width - gutter, ..inner };
    let limit = limit_row(plot, metric);
    for x in limit.iter().flat_map(|_| 0..plot.width) {
        put(buffer, plot, x, limit.unwrap_or_default(), theme.limit_symbol(), Style::new());
    }
    let dots = usize::from(plot.width) * 2;
    let stable = pieces(&graph.stable, metric.value, edge, window, dots);
    let canary = pieces(&graph.canary, metric.value, edge, window, dots);
    // The canary is drawn last: a cell has one colour, and its is the one that matters.
    let sets = stable
        .iter()
        .map(|piece| (piece, theme.stable(), theme.stable_marker()))
        .chain(canary.iter().map(|piece| (piece, theme.canary(), theme.marker())));
    let sets =
        sets.map(|(piece, style, marker)| Dataset::default().marker(marker).graph_type(GraphType::Line).style(style).data(piece)).collect();
    Chart::new(sets)
        .legend_position(None)
        .x_axis(Axis::default().bounds([-seconds(window), 0.0]))
        .y_axis(Axis::default().bounds([0.0, metric.scale.max]))
        .render(plot, buffer);
    // The line lies under the curves, its name over them.
    if let Some(row) = limit {
        let named = format!(" {}", metric.named);
        // A style without a colour would keep the curve's.
        put(buffer, plot, plot.width.saturating_sub(columns(&named)), row, &named, theme.muted().fg(Color::Reset));
    }
}

/// The row whose part of the axis holds the limit, counted from the top.
fn limit_row(plot: Rect, metric: &Metric) -> Option<u16> {
    let limit = metric.limit.filter(|limit| *limit > 0.0 && *limit <= metric.scale.max)?;
    let share = 1.0 - limit / metric.scale.max;
    (0..plot.height).rev().find(|row| f64::from(*row) / f64::from(plot.height) <= share)
}

fn right_edge(graph: &Graph) -> Option<DateTime<Utc>> {
    graph.canary.last().into_iter().chain(graph.stable.last()).map(|point| point.at).max()
}

/// The least of 2, 5, 15, 60 minutes that holds everything, else an hour: a window that moves all the time cannot be read.
fn window(graph: &Graph, edge: DateTime<Utc>) -> TimeDelta {
    let oldest = graph.canary.first().into_iter().chain(graph.stable.first()).map(|point| point.at).min().unwrap_or(edge);
    [2, 5, 15].map(TimeDelta::minutes).into_iter().find(|window| edge - oldest <= *window).unwrap_or(TimeDelta::minutes(60))
}

fn seconds(delta: TimeDelta) -> f64 {
    i32::try_from(delta.num_milliseconds()).map_or(f64::from(i32::MAX), f64::from) / 1000.0
}

/// Cuts a curve where nothing was measured, or nothing was sampled for long; where points are closer than dots, the highest counts.
fn pieces(points: &[GraphPoint], value: fn(&GraphPoint) -> Option<f64>, edge: DateTime<Utc>, window: TimeDelta, dots: usize) -> Pieces {
    let longest = usual_interval(points) * 5 / 2;
    let mut pieces: Pieces = Vec::new();
    let mut before: Option<DateTime<Utc>> = None;
    for point in points.iter().filter(|point| edge - point.at <= window) {
        let Some(y) = value(point).filter(|y| y.is_finite()) else {
            before = None;
            continue;
        };
        let contiguous = before.is_some_and(|before| longest.is_zero() || point.at - before <= longest);
        before = Some(point.at);
        let dot = (-seconds(edge - point.at), y);
        match pieces.last_mut() {
            Some(piece) if contiguous => piece.push(dot),
            _ => pieces.push(vec![dot]),
        }
    }
    let width = seconds(window) / u32::try_from(dots.max(1)).map_or(1.0, f64::from);
    pieces.into_iter().map(|piece| thin(piece, width)).collect()
}

/// The median time between two points.
fn usual_interval(points: &[GraphPoint]) -> TimeDelta {
    let mut intervals: Vec<TimeDelta> = points.windows(2).filter_map(|pair| Some(pair.get(1)?.at - pair.first()?.at)).collect();
    intervals.sort_unstable();
    intervals.get(intervals.len() / 2).copied().unwrap_or_default()
}

/// One point for each dot: the highest, so that a spike survives.
fn thin(piece: Vec<(f64, f64)>, width: f64) -> Vec<(f64, f64)> {
    let mut thinned: Vec<(f64, f64)> = Vec::with_capacity(piece.len());
    for (x, y) in piece {
        match thinned.last_mut() {
            Some((start, highest)) if x - *start < width => *highest = highest.max(y),
            _ => thinned.push((x, y)),
        }
    }
    thinned
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(second: i64, p95: Option<f64>) -> GraphPoint {
        let at = DateTime::UNIX_EPOCH + TimeDelta::seconds(second);
        GraphPoint { at, p95, p95_at_least: false, error_rate: None, requests: 1 }
    }

    fn cut(points: &[GraphPoint]) -> Vec<usize> {
        let edge = points.last().unwrap().at;
        pieces(points, |point| point.p95, edge, TimeDelta::minutes(5), 1000).iter().map(Vec::len).collect()
    }

    #[test]
    fn a_missing_value_or_a_long_silence_cuts_the_curve() {
        assert_eq!(cut(&[point(0, Some(1.0)), point(5, None), point(10, Some(1.0)), point(15, Some(1.0))]), [1, 2]);
        assert_eq!(cut(&[point(0, Some(1.0)), point(5, Some(1.0)), point(10, Some(1.0)), point(60, Some(1.0))]), [3, 1]);
        assert_eq!(cut(&[point(0, Some(f64::NAN)), point(5, Some(f64::INFINITY)), point(10, Some(1.0))]), [1]);
    }

    #[test]
    fn a_spike_survives_thinning() {
        let piece = (0..100).map(|x| (f64::from(x), if x == 57 { 9.0 } else { 1.0 })).collect();
        let thinned = thin(piece, 10.0);
        assert_eq!(thinned.len(), 10);
        assert!(thinned.iter().any(|(_, y)| (*y - 9.0).abs() < 1e-9));
    }
}
