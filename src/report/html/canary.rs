//! A canary on the page: verdict, evidence by metric, graphs, the same as a table, and how it came to the verdict.

use std::fmt::Write as _;

use chrono::{DateTime, TimeDelta, Utc};

use super::chart::{Band, Chart, Gaps, Series};
use super::escape::escape;
use super::page::{CanaryPage, list, table};
use crate::event::{Estimate, MarkKind, MetricEvidence};
use crate::report::canary::mark_words;
use crate::report::{CurvePoint, e_value, happened, metric_key};
use crate::text::{count, seconds_latency, share};

/// So much time is looked at together for the share: a thin canary has no requests in most intervals.
const SHARE_WINDOW: TimeDelta = TimeDelta::seconds(60);
/// The most rows of the table of numbers.
const MOST_ROWS: usize = 400;

pub(super) fn section(page: &CanaryPage<'_>) -> String {
    let state = page.state;
    let Some(created) = &state.created else { return String::new() };
    let mut html = format!("<h2>Canary in {} – {}</h2>\n", escape(created.environment.as_str()), escape(&created.release.tag));
    if let Some(since) = page.unwatched_since {
        let _ = writeln!(html, "<p><strong>UNWATCHED since {}</strong></p>", since.format("%Y-%m-%d %H:%M:%S UTC"));
    }
    if let Some(watched) = state.production {
        let how = watched
            .holdback
            .map_or_else(|| "judged by its SLOs alone".to_owned(), |held| format!("the release before kept {held} to be compared with"));
        let (since, until) = (watched.since.format("%Y-%m-%d %H:%M:%S"), watched.until.format("%H:%M:%S UTC"));
        let _ = writeln!(html, "<p>In production from {since}, watched until {until}: {}</p>", escape(&how));
    }
    html.push_str(&verdict(page));
    html.push_str(&graphs(page));
    html.push_str(&numbers(page));
    let rows = happened(page.events).into_iter().map(|one| vec![one.at.format("%Y-%m-%d %H:%M:%S").to_string(), one.what]);
    let _ = write!(html, "<details open><summary>How it came to this</summary>\n{}</details>\n", table(&["time", ""], rows));
    html
}

fn verdict(page: &CanaryPage<'_>) -> String {
    let state = page.state;
    let Some(verdict) = &state.verdict else {
        let why = state.voided.as_deref().unwrap_or("nothing was concluded");
        return format!("<div class=\"verdict\"><strong>no verdict</strong> {}</div>\n", escape(why));
    };
    let mut html = format!("<div class=\"verdict {0}\"><strong>{0}</strong> {1}", verdict.class, escape(&verdict.reason));
    for sentence in &verdict.forecast {
        let _ = write!(html, "<br>{}", escape(sentence));
    }
    if verdict.synthetic {
        html.push_str("<br>Part of the traffic was synthetic.");
    }
    html.push_str("</div>\n");
    let overridden = state.overridden.as_ref().map(|(actor, reason)| ("HOLD passed by", format!("{}: {reason}", actor.login)));
    let asked = state.requested.map(|weight| ("weight asked for", weight.to_string()));
    let applied = state.applied.map(|weight| ("weight in force", weight.to_string()));
    let measured = verdict.measured_share.map(|measured| ("share measured", share(measured)));
    let requests = format!(
        "{} of the canary ({} needed), {} of stable",
        count(verdict.canary_requests),
        count(verdict.floor),
        count(verdict.stable_requests)
    );
    html.push_str(&list([asked, applied, measured, Some(("requests", requests)), overridden].into_iter().flatten()));
    let names = ["metric", "limit", "canary", "stable", "ratio", "HARM", "SAFE", "ABS", ""];
    html.push_str(&table(&names, verdict.metrics.iter().map(metric_row)));
    html.push_str("<p>Intervals (95 %) hold however often one looks. HARM, SAFE and ABS are e-values with what each needs.</p>\n");
    html
}

fn metric_row(metric: &MetricEvidence) -> Vec<String> {
    let detail = metric.detail.as_deref().cloned().unwrap_or_default();
    let rate = |bad: u64, all: u64, rate: Option<Estimate>| {
        let interval = rate.map(|rate| {
            format!(
                " = {} ({} to {})",
                rate.value.map_or_else(String::new, share),
                share(rate.low),
                rate.high.map_or_else(|| "100 %".to_owned(), share)
            )
        });
        format!("{} of {}{}", count(bad), count(all), interval.unwrap_or_default())
    };
    let of = |ln: f64, goal: f64| format!("{} of {}", e_value(ln), e_value(goal));
    let ratio = detail.ratio.map_or_else(String::new, |ratio| {
        let high = ratio.high.map_or_else(|| "∞".to_owned(), |high| format!("{high:.2}"));
        format!("{} ({:.2} to {high})", ratio.value.map_or_else(|| "–".to_owned(), |value| format!("{value:.2}")), ratio.low)
    });
    let slower = metric.threshold_seconds.map(|seconds| format!(" slower than {}", seconds_latency(seconds)));
    let end = match (metric.harmed, metric.passed) {
        (true, _) => "harm",
        (false, true) => "passed",
        (false, false) => "open",
    };
    vec![
        metric_key(&metric.name).to_owned(),
        format!("{}{}", share(metric.slo), slower.unwrap_or_default()),
        rate(metric.canary_bad, detail.canary_all, detail.canary_rate),
        if detail.stable_all > 0 { rate(metric.stable_bad, detail.stable_all, detail.stable_rate) } else { String::new() },
        ratio,
        of(metric.harm_ln, detail.harm_goal_ln),
        detail.safe_ln.zip(detail.safe_goal_ln).map(|(safe, goal)| of(safe, goal)).unwrap_or_default(),
        detail.abs_goal_ln.map(|goal| of(metric.abs_ln, goal)).unwrap_or_default(),
        end.to_owned(),
    ]
}

fn graphs(page: &CanaryPage<'_>) -> String {
    let (curves, course) = (page.curves, &page.state.course);
    let times = || curves.canary.iter().chain(&curves.stable).map(|point| point.at).chain(course.told.iter().map(|told| told.at));
    let (Some(start), Some(end)) = (times().min(), times().max()) else {
        return "<p>No samples were taken.</p>\n".to_owned();
    };
    let marks: Vec<(DateTime<Utc>, String)> = course.marks.iter().map(|mark| (mark.at.clamp(start, end), mark_words(mark.kind))).collect();
    let arms = |value: fn(&CurvePoint) -> Option<f64>| {
        let line = |points: &[CurvePoint]| points.iter().map(|point| (point.at, value(point))).collect();
        let stable = Series { name: "stable", class: "stable", points: line(&curves.stable), gaps: Gaps::Silence };
        let canary = Series { name: "canary", class: "canary", points: line(&curves.canary), gaps: Gaps::Silence };
        // The canary is drawn last: it lies on top.
        if curves.stable.is_empty() { vec![canary] } else { vec![stable, canary] }
    };
    let chart =
        |title, series, limit, label| Chart { title, span: (start, end), series, limit, band: None, marks: &marks, at_least: 0.0, label };
    let p95_limit = curves.slo_p95.map(|slo| (slo, "SLO")).or(curves.slow_above.map(|slow| (slow, "slow")));
    let p95 = chart("p95", arms(|point| point.smooth_p95), p95_limit, seconds_latency);
    let band: Vec<Band> = course
        .told
        .iter()
        .filter_map(|told| Some((told.at, told.error_rate?)))
        .map(|(at, rate)| Band { at, low: rate.low, high: rate.high.unwrap_or(1.0) })
        .collect();
    let errors = Chart {
        band: (band.len() > 1).then_some(("the canary's rate so far, 95 %", band)),
        ..chart("error rate", arms(|point| point.smooth_errors), curves.slo_errors.map(|slo| (slo, "SLO")), share)
    };
    let rate = chart("requests a second", arms(CurvePoint::per_second), None, |value| {
        if value < 10.0 { format!("{value:.1}") } else { format!("{value:.0}") }
    });
    let evidence = |class, name, value: fn(&crate::event::Told) -> f64| Series {
        name,
        class,
        points: course.told.iter().map(|told| (told.at, Some(value(told)))).collect(),
        gaps: Gaps::Never,
    };
    let proof = vec![evidence("good", "to PASS", |told| told.to_pass), evidence("bad", "to ROLLBACK", |told| told.to_rollback)];
    let proof = Chart { at_least: 1.0, ..chart("evidence: how far from a verdict", proof, Some((1.0, "proven")), share) };
    let shares = Series {
        name: "measured",
        class: "canary",
        points: shares(curves.canary.as_slice(), curves.stable.as_slice()),
        gaps: Gaps::Silence,
    };
    let asked = Series { name: "in force", class: "stable", points: weights(page, start, end), gaps: Gaps::Never };
    let split = chart("the canary's share", vec![asked, shares], None, share);
    [p95, errors, rate, split, proof].iter().map(Chart::svg).collect()
}

/// The measured share over the last minute at each moment.
fn shares(canary: &[CurvePoint], stable: &[CurvePoint]) -> Vec<(DateTime<Utc>, Option<f64>)> {
    let (mut first, mut of_canary, mut of_all) = (0, 0.0, 0.0);
    let mut found = Vec::with_capacity(canary.len());
    let both: Vec<(&CurvePoint, f64)> =
        canary.iter().zip(stable).map(|(canary, stable)| (canary, canary.requests + stable.requests)).collect();
    for (point, all) in &both {
        of_canary += point.requests;
        of_all += all;
        while let Some((old, old_all)) = both.get(first).filter(|(old, _)| point.at - old.at > SHARE_WINDOW) {
            of_canary -= old.requests;
            of_all -= old_all;
            first += 1;
        }
        found.push((point.at, (of_all > 0.5).then(|| (of_canary / of_all).clamp(0.0, 1.0))));
    }
    found
}

/// The weight as stairs.
fn weights(page: &CanaryPage<'_>, start: DateTime<Utc>, end: DateTime<Utc>) -> Vec<(DateTime<Utc>, Option<f64>)> {
    let mut stairs: Vec<(DateTime<Utc>, Option<f64>)> = Vec::new();
    for mark in &page.state.course.marks {
        if let MarkKind::Weight(weight) = mark.kind {
            let at = mark.at.clamp(start, end);
            let before = stairs.last().and_then(|(_, before)| *before);
            stairs.extend(before.map(|before| (at, Some(before))));
            stairs.push((at, Some(weight.fraction())));
        }
    }
    let last = stairs.last().and_then(|(_, last)| *last);
    stairs.extend(last.map(|last| (end, Some(last))));
    stairs
}

fn numbers(page: &CanaryPage<'_>) -> String {
    let canary = &page.curves.canary;
    let every = canary.len().div_ceil(MOST_ROWS).max(1);
    let cells = |point: &CurvePoint| {
        let p95 = match (point.quantiles[1], point.at_least[1]) {
            (Some(p95), true) => format!("≥ {}", seconds_latency(p95)),
            (Some(p95), false) => seconds_latency(p95),
            (None, _) => "–".to_owned(),
        };
        [format!("{:.0}", point.requests), format!("{:.0}", point.errors), p95]
    };
    let rows = canary.iter().enumerate().filter(|(index, _)| index % every == 0).map(|(index, point)| {
        let stable = page.curves.stable.get(index).map(cells).unwrap_or_default();
        [point.at.format("%H:%M:%S").to_string()].into_iter().chain(cells(point)).chain(stable).collect()
    });
    let names = ["time", "canary requests", "errors", "p95", "stable requests", "errors", "p95"];
    let thinned = if every > 1 { format!(", one interval of {every}; hms canary export has all of them") } else { String::new() };
    format!("<details><summary>The numbers, interval by interval{thinned}</summary>\n{}</details>\n", table(&names, rows))
}
