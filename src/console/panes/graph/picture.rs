//! What each graph shows: its titles, its curves, its limit.

use chrono::{DateTime, TimeDelta, Utc};
use ratatui::style::Style;
use ratatui::symbols::Marker;

use super::curve::{Gaps, Points};
use crate::console::panes::Scene;
use crate::console::source::{Graph, GraphPoint, View};
use crate::console::words;
use crate::event::{MarkKind, Told, Weight};

/// So much time is looked at together for the share: a thin canary has no request in most intervals.
const SHARE_WINDOW: TimeDelta = TimeDelta::seconds(60);

/// A graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plot {
    P95,
    Errors,
    Rate,
    Share,
    Evidence,
}

/// A title in pieces: the words that name a curve have its style.
pub(super) type Title = Vec<(String, Style)>;

/// A graph, ready to be drawn.
pub(super) struct Picture {
    /// From the most to the least telling; the first that fits is taken.
    pub(super) titles: Vec<Title>,
    pub(super) curves: Vec<Curve>,
    pub(super) limit: Option<(f64, &'static str)>,
    pub(super) max: f64,
    pub(super) label: fn(f64) -> String,
}

pub(super) struct Curve {
    pub(super) points: Points,
    pub(super) style: Style,
    pub(super) marker: Marker,
    pub(super) gaps: Gaps,
}

/// Makes it from the scene.
pub(super) fn picture(plot: Plot, scene: Scene<'_>) -> Picture {
    let (graph, ui) = (&scene.view.graph, scene.ui);
    let by_arm = |value: fn(&GraphPoint) -> Option<f64>| {
        let line = |points: &[GraphPoint]| points.iter().map(|point| (point.at, value(point))).collect();
        // The canary is drawn last: a cell has one colour, and its is the one that matters.
        vec![beside(line(&graph.stable), Gaps::Silence, scene), front(line(&graph.canary), scene)]
    };
    match plot {
        Plot::P95 => Picture {
            titles: latency_titles(scene),
            curves: by_arm(|point| point.p95),
            limit: graph.p95_limit().map(|limit| (limit, p95_limit_name(graph))),
            max: ui.scales.p95.max,
            label: words::latency,
        },
        Plot::Errors => Picture {
            titles: error_titles(scene),
            curves: by_arm(|point| point.error_rate),
            limit: graph.slo_errors.map(|slo| (slo, "SLO")),
            max: ui.scales.errors.max,
            label: words::share,
        },
        Plot::Rate => Picture {
            titles: rate_titles(scene),
            curves: by_arm(GraphPoint::per_second),
            limit: None,
            max: ui.scales.rate.max,
            label: rate,
        },
        Plot::Share => Picture {
            titles: share_titles(scene),
            curves: vec![beside(asked(graph), Gaps::Never, scene), front(shares(graph), scene)],
            limit: None,
            max: ui.scales.share.max,
            label: words::share,
        },
        Plot::Evidence => {
            let line = |value: fn(&Told) -> f64| until_now(graph, graph.told.iter().map(|told| (told.at, Some(value(told)))).collect());
            let bad = Curve { gaps: Gaps::Never, ..front(line(|told| told.to_rollback), scene) };
            Picture {
                titles: evidence_titles(scene),
                curves: vec![beside(line(|told| told.to_pass), Gaps::Never, scene), bad],
                limit: Some((1.0, "proven")),
                max: 1.2,
                label: words::share,
            }
        }
    }
}

fn front(points: Points, scene: Scene<'_>) -> Curve {
    Curve { points, style: scene.ui.theme.canary(), marker: scene.ui.theme.marker(), gaps: Gaps::Silence }
}

fn beside(points: Points, gaps: Gaps, scene: Scene<'_>) -> Curve {
    Curve { points, style: scene.ui.theme.stable(), marker: scene.ui.theme.stable_marker(), gaps }
}

/// What was said last holds until the newest sample.
fn until_now(graph: &Graph, mut points: Points) -> Points {
    let end = super::span::last(graph).zip(points.last().map(|(_, value)| *value));
    points.extend(end);
    points
}

/// The measured share over the last minute at each moment.
pub(crate) fn shares(graph: &Graph) -> Points {
    let both = || graph.canary.iter().zip(&graph.stable);
    let (mut first, mut of_canary, mut of_all) = (0, 0.0, 0.0);
    let mut found = Points::new();
    for (canary, stable) in both() {
        of_canary += float(canary.requests);
        of_all += float(canary.requests) + float(stable.requests);
        while let Some((old, beside)) =
            graph.canary.get(first).zip(graph.stable.get(first)).filter(|(old, _)| canary.at - old.at > SHARE_WINDOW)
        {
            of_canary -= float(old.requests);
            of_all -= float(old.requests) + float(beside.requests);
            first += 1;
        }
        found.push((canary.at, (of_all > 0.5).then(|| of_canary / of_all)));
    }
    found
}

/// The weights in force, as stairs.
fn asked(graph: &Graph) -> Points {
    let mut stairs = Points::new();
    for mark in &graph.marks {
        if let MarkKind::Weight(weight) = mark.kind {
            let before = stairs.last().and_then(|(_, before): &(DateTime<Utc>, Option<f64>)| *before);
            stairs.extend(before.map(|before| (mark.at, Some(before))));
            stairs.push((mark.at, Some(weight.fraction())));
        }
    }
    until_now(graph, stairs)
}

/// An SLO is a promise; what the judge calls slow without one is only where it counts from.
fn p95_limit_name(graph: &Graph) -> &'static str {
    if graph.slo_p95.is_some() { "SLO" } else { "slow" }
}

/// The point at the cursor, else the newest.
fn read<'a>(points: &'a [GraphPoint], scene: Scene<'_>) -> Option<&'a GraphPoint> {
    match scene.ui.graphs.cursor {
        Some(cursor) => points.iter().rev().find(|point| point.at <= cursor),
        None => points.last(),
    }
}

/// The name of a graph, with the moment that is read.
fn named(name: &str, scene: Scene<'_>) -> String {
    scene.ui.graphs.cursor.map_or_else(|| name.to_owned(), |at| format!("{name} {}", at.with_timezone(&scene.ui.zone).format("%H:%M:%S")))
}

fn latency_titles(scene: Scene<'_>) -> Vec<Title> {
    let graph = &scene.view.graph;
    let show =
        |point: &GraphPoint| point.p95.map(|p95| format!("{}{}", if point.p95_at_least { "over " } else { "" }, words::latency(p95)));
    let canary = read(&graph.canary, scene).and_then(show).unwrap_or_else(|| no_data(&graph.canary, scene));
    let stable = read(&graph.stable, scene).and_then(show).unwrap_or_else(|| "no data".into());
    // At a moment of the past its time counts for more than the limit, which the line shows.
    let limit = graph.p95_limit().filter(|_| scene.ui.graphs.cursor.is_none());
    let limit = limit.map(|limit| format!("{} {}", p95_limit_name(graph), words::latency(limit)));
    let name = named("p95", scene);
    titles([&name, &name], [&canary, &canary], compared(graph).then_some(stable.as_str()), limit.as_deref(), scene)
}

fn error_titles(scene: Scene<'_>) -> Vec<Title> {
    let graph = &scene.view.graph;
    let limit = graph.slo_errors.map(|limit| format!("SLO {}", words::share(limit)));
    let name = named("errors", scene);
    if scene.ui.graphs.cursor.is_some() {
        let show =
            |points: &[GraphPoint]| read(points, scene).and_then(|point| point.error_rate).map_or_else(|| "no data".into(), words::share);
        let (canary, stable) = (show(&graph.canary), show(&graph.stable));
        return titles([&name, &name], [&canary, &canary], compared(graph).then_some(stable.as_str()), None, scene);
    }
    // What the judge has set aside (the first interval) was measured all the same.
    let judged = judged(scene.view).filter(|(canary, _)| canary.1 > 0);
    let total = judged.map_or_else(|| graph.canary.iter().map(|point| point.requests).sum(), |(canary, _)| canary.1);
    let rate = |(bad, all): (u64, u64)| (all > 0).then(|| float(bad) / float(all));
    let canary = judged.map_or_else(|| overall(&graph.canary), |(canary, _)| rate(canary));
    let canary = canary.map_or_else(|| no_data(&graph.canary, scene), words::share);
    // A share of three requests is no rate: the count stands beside it until PASS's floor is reached.
    let few = graph.floor.filter(|floor| total > 0 && total < *floor);
    let with_count = |count: String| if few.is_some() { format!("{canary} of {count}") } else { canary.clone() };
    let (long, short) = (with_count(words::several(total, "request", "requests")), with_count(words::count(total)));
    let interval = graph.told.last().and_then(|told| told.error_rate).filter(|_| judged.is_some());
    let within = interval.and_then(|rate| Some(format!("{long} ({} to {})", words::share(rate.low), words::share(rate.high?))));
    let stable = judged.map_or_else(|| overall(&graph.stable), |(_, stable)| rate(stable)).map_or_else(|| "no data".into(), words::share);
    let stable = compared(graph).then_some(stable.as_str());
    let shorter = titles(["errors", "err"], [&long, &short], stable, limit.as_deref(), scene);
    let longest =
        within.and_then(|within| titles(["errors", "err"], [&within, &within], stable, limit.as_deref(), scene).into_iter().next());
    longest.into_iter().chain(shorter).collect()
}

fn rate_titles(scene: Scene<'_>) -> Vec<Title> {
    let graph = &scene.view.graph;
    let show = |points: &[GraphPoint]| read(points, scene).and_then(GraphPoint::per_second).map_or_else(|| "no data".into(), rate);
    let (canary, stable) = (show(&graph.canary), show(&graph.stable));
    let name = named("requests/s", scene);
    titles([&name, "req/s"], [&canary, &canary], compared(graph).then_some(stable.as_str()), None, scene)
}

fn share_titles(scene: Scene<'_>) -> Vec<Title> {
    let graph = &scene.view.graph;
    let at = |points: &Points| {
        let until = scene.ui.graphs.cursor.unwrap_or(DateTime::<Utc>::MAX_UTC);
        points.iter().rev().find(|(at, _)| *at <= until).and_then(|(_, value)| *value).map_or_else(|| "–".to_owned(), words::share)
    };
    pair(&named("share", scene), "share", ("measured", &at(&shares(graph))), ("set", &at(&asked(graph))), scene)
}

fn evidence_titles(scene: Scene<'_>) -> Vec<Title> {
    let until = scene.ui.graphs.cursor.unwrap_or(DateTime::<Utc>::MAX_UTC);
    let told = scene.view.graph.told.iter().rev().find(|told| told.at <= until);
    let show = |value: fn(&Told) -> f64| told.map_or_else(|| "–".to_owned(), |told| words::share(value(told)));
    let (bad, good) = (show(|told| told.to_rollback), show(|told| told.to_pass));
    pair(&named("evidence", scene), "proof", ("ROLLBACK", &bad), ("PASS", &good), scene)
}

/// The titles of a graph whose curves are no arms: what is drawn as the canary is, then what is drawn as stable is.
fn pair(name: &str, brief: &str, front: (&str, &str), beside: (&str, &str), scene: Scene<'_>) -> Vec<Title> {
    let theme = scene.ui.theme;
    let title = |name: &str, gap: &str| {
        let near = if gap.len() > 1 { " " } else { "" };
        vec![
            (name.to_owned(), Style::new()),
            (format!("{gap}{}{near}{}", theme.canary_sign(), front.0), theme.canary()),
            (format!(" {}", front.1), Style::new()),
            (format!("{gap}{}{near}{}", theme.stable_sign(), beside.0), theme.stable()),
            (format!(" {}", beside.1), Style::new()),
        ]
    };
    let [long, short, shortest] = [title(name, "  "), title(name, " "), title(brief, " ")];
    let alone = shortest.iter().take(3).cloned().collect();
    vec![long, short, shortest, alone]
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

pub(super) fn text_of(title: &Title) -> String {
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

/// Requests a second.
fn rate(value: f64) -> String {
    if value < 9.95 { format!("{value:.1}") } else { format!("{value:.0}") }
}

/// A weight or a word over its mark.
pub(super) fn mark_word(kind: MarkKind) -> String {
    match kind {
        MarkKind::Weight(Weight::ZERO) => "0".to_owned(),
        MarkKind::Weight(weight) => weight.to_string(),
        MarkKind::Verdict(class) => class.to_string(),
        MarkKind::Overridden => "passed".to_owned(),
        MarkKind::Left => "left".to_owned(),
        MarkKind::Promoted => "prod".to_owned(),
        MarkKind::RolledBack => "back".to_owned(),
    }
}
