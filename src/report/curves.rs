//! A canary's numbers over time, as a table, as CSV and as JSON: the same that the graphs show.

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::{Value, json};

use crate::event::{Course, Estimate, MarkKind};
use crate::text::{count, seconds_latency, share};

/// Both arms over time, and their limits.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Curves {
    /// The canary's, oldest first.
    pub canary: Vec<CurvePoint>,
    /// Stable's, oldest first; empty where there is nothing to compare with.
    pub stable: Vec<CurvePoint>,
    /// The p95 that is promised, in seconds.
    pub slo_p95: Option<f64>,
    /// The duration in seconds above which the judge calls a request slow.
    pub slow_above: Option<f64>,
    /// The share of requests that may fail, 0 to 1.
    pub slo_errors: Option<f64>,
}

/// One interval of one arm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CurvePoint {
    /// Its beginning.
    pub from: DateTime<Utc>,
    /// Its end.
    pub at: DateTime<Utc>,
    /// Requests in it.
    pub requests: f64,
    /// Those that failed.
    pub errors: f64,
    /// Its own quantiles in seconds: the median, the p95, the p99; none without durations.
    pub quantiles: [Option<f64>; 3],
    /// Which of them lie above the last bucket's bound, so that the truth is that or more.
    pub at_least: [bool; 3],
    /// The p95 of it and what came just before, for a curve and not a rattle.
    pub smooth_p95: Option<f64>,
    /// That p95 lies above the last bucket's bound.
    pub smooth_at_least: bool,
    /// Likewise the share that failed.
    pub smooth_errors: Option<f64>,
}

impl CurvePoint {
    /// How long it lasted, in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        (self.at - self.from).as_seconds_f64()
    }

    /// Requests a second; none for an interval without length.
    #[must_use]
    pub fn per_second(&self) -> Option<f64> {
        (self.seconds() > 0.0).then(|| self.requests / self.seconds())
    }
}

/// A row of the table: an interval of one arm, with what was known by then.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Row {
    at: String,
    seconds: f64,
    arm: &'static str,
    requests: f64,
    errors: f64,
    error_rate: Option<f64>,
    p50_seconds: Option<f64>,
    p95_seconds: Option<f64>,
    p99_seconds: Option<f64>,
    p95_at_least: bool,
    canary_share: Option<f64>,
    weight: Option<f64>,
    verdict: Option<String>,
    toward_pass: Option<f64>,
    toward_rollback: Option<f64>,
    error_rate_low: Option<f64>,
    error_rate_high: Option<f64>,
}

/// The columns of the CSV file, in order: a contract, added to at the end.
const COLUMNS: &str = "at,seconds,arm,requests,errors,error_rate,p50_seconds,p95_seconds,p99_seconds,p95_at_least,canary_share,weight,verdict,toward_pass,toward_rollback,error_rate_low,error_rate_high";

fn rows(curves: &Curves, course: &Course) -> Vec<Row> {
    let mut rows = Vec::new();
    for (index, canary) in curves.canary.iter().enumerate() {
        let stable = curves.stable.get(index).filter(|stable| stable.at == canary.at);
        let all = canary.requests + stable.map_or(0.0, |stable| stable.requests);
        let part = stable.filter(|_| all > 0.0).map(|_| canary.requests / all);
        rows.push(row("canary", canary, part, course));
        rows.extend(stable.map(|stable| row("stable", stable, part, course)));
    }
    rows
}

fn row(arm: &'static str, point: &CurvePoint, canary_share: Option<f64>, course: &Course) -> Row {
    let told = course.told.iter().rev().find(|told| told.at <= point.at);
    let weight = course.marks.iter().rev().filter(|mark| mark.at <= point.at).find_map(|mark| match mark.kind {
        MarkKind::Weight(weight) => Some(weight.fraction()),
        MarkKind::Verdict(_) | MarkKind::Overridden | MarkKind::Left | MarkKind::Promoted | MarkKind::RolledBack => None,
    });
    let interval: Option<Estimate> = told.and_then(|told| told.error_rate).filter(|_| arm == "canary");
    let [p50_seconds, p95_seconds, p99_seconds] = point.quantiles;
    Row {
        at: stamp(point.at),
        seconds: point.seconds(),
        arm,
        requests: point.requests,
        errors: point.errors,
        error_rate: (point.requests > 0.0).then(|| point.errors / point.requests),
        p50_seconds,
        p95_seconds,
        p99_seconds,
        p95_at_least: point.at_least[1],
        canary_share,
        weight,
        verdict: told.map(|told| told.class.to_string()),
        toward_pass: told.map(|told| told.to_pass),
        toward_rollback: told.map(|told| told.to_rollback),
        error_rate_low: interval.map(|interval| interval.low),
        error_rate_high: interval.and_then(|interval| interval.high),
    }
}

/// One line for each interval of each arm, after a line of names. What is not known is empty; a number is never quoted.
#[must_use]
pub fn curves_csv(curves: &Curves, course: &Course) -> String {
    let mut text = format!("{COLUMNS}\n");
    for row in rows(curves, course) {
        let number = |value: Option<f64>| value.filter(|value| value.is_finite()).map_or_else(String::new, |value| value.to_string());
        let cells = [
            row.at,
            number(Some(row.seconds)),
            row.arm.to_owned(),
            number(Some(row.requests)),
            number(Some(row.errors)),
            number(row.error_rate),
            number(row.p50_seconds),
            number(row.p95_seconds),
            number(row.p99_seconds),
            row.p95_at_least.to_string(),
            number(row.canary_share),
            number(row.weight),
            row.verdict.unwrap_or_default(),
            number(row.toward_pass),
            number(row.toward_rollback),
            number(row.error_rate_low),
            number(row.error_rate_high),
        ];
        let _ = writeln!(text, "{}", cells.join(","));
    }
    text
}

/// The rows under `points`, with limits and marks.
#[must_use]
pub fn curves_json(curves: &Curves, course: &Course) -> Value {
    let marks: Vec<Value> =
        course.marks.iter().map(|mark| json!({"at": stamp(mark.at), "what": super::canary::mark_words(mark.kind)})).collect();
    json!({
        "format": 1,
        "slo_p95_seconds": curves.slo_p95,
        "slow_above_seconds": curves.slow_above,
        "slo_errors": curves.slo_errors,
        "points": rows(curves, course),
        "marks": marks,
    })
}

/// The rows for people, in columns.
#[must_use]
pub fn curves_table(curves: &Curves, course: &Course) -> String {
    let mut table = vec![
        ["time", "arm", "requests", "errors", "rate", "p50", "p95", "p99", "share", "weight", "verdict", "to PASS", "to ROLLBACK"]
            .map(str::to_owned),
    ];
    for row in rows(curves, course) {
        let part = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), share);
        let latency = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), seconds_latency);
        let at_least = if row.p95_at_least { "≥ " } else { "" };
        table.push([
            row.at,
            row.arm.to_owned(),
            whole(row.requests),
            whole(row.errors),
            part(row.error_rate),
            latency(row.p50_seconds),
            format!("{at_least}{}", latency(row.p95_seconds)),
            latency(row.p99_seconds),
            part(row.canary_share),
            part(row.weight),
            row.verdict.unwrap_or_else(|| "–".to_owned()),
            part(row.toward_pass),
            part(row.toward_rollback),
        ]);
    }
    let width = |column: usize| table.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..13).map(width).collect();
    let mut text = String::new();
    for row in &table {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell}{}", " ".repeat(width - cell.chars().count())));
        let _ = writeln!(text, "{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    text
}

/// A count that a counter's difference gave: whole but for rounding.
fn whole(value: f64) -> String {
    count(std::time::Duration::try_from_secs_f64(value.max(0.0).round()).unwrap_or_default().as_secs())
}

fn stamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::event::{Mark, Told, VerdictClass, Weight};

    fn point(second: i64, requests: f64, errors: f64) -> CurvePoint {
        let at = DateTime::UNIX_EPOCH + TimeDelta::seconds(second);
        let quantiles = [Some(0.01), Some(10.0), None];
        CurvePoint {
            from: at - TimeDelta::seconds(5),
            at,
            requests,
            errors,
            quantiles,
            at_least: [false, true, false],
            smooth_p95: None,
            smooth_at_least: false,
            smooth_errors: None,
        }
    }

    fn example() -> (Curves, Course) {
        let curves = Curves {
            canary: vec![point(5, 0.0, 0.0), point(10, 10.0, 1.0)],
            stable: vec![point(5, 90.0, 0.0), point(10, 90.0, 0.0)],
            ..Curves::default()
        };
        let at = DateTime::UNIX_EPOCH + TimeDelta::seconds(6);
        let error_rate = Some(Estimate { value: Some(0.1), low: 0.01, high: Some(0.5) });
        let course = Course {
            told: vec![Told { at, class: VerdictClass::Hold, to_rollback: 0.25, to_pass: 0.5, error_rate }],
            marks: vec![Mark { at: DateTime::UNIX_EPOCH, kind: MarkKind::Weight(Weight::from_thousandths(100).unwrap()) }],
        };
        (curves, course)
    }

    #[test]
    fn a_line_has_what_was_measured_and_what_was_known_by_then() {
        let (curves, course) = example();
        let csv = curves_csv(&curves, &course);
        let lines: Vec<&str> = csv.lines().collect();
        assert_eq!(lines.len(), 5);
        assert!(lines.iter().all(|line| line.split(',').count() == COLUMNS.split(',').count()), "{csv}");
        assert_eq!(lines[1], "1970-01-01T00:00:05.000Z,5,canary,0,0,,0.01,10,,true,0,0.1,,,,,");
        assert_eq!(lines[3], "1970-01-01T00:00:10.000Z,5,canary,10,1,0.1,0.01,10,,true,0.1,0.1,HOLD,0.5,0.25,0.01,0.5");
        assert!(lines[4].ends_with("HOLD,0.5,0.25,,"), "the interval is the canary's: {}", lines[4]);
    }

    #[test]
    fn the_three_shapes_say_the_same() {
        let (curves, course) = example();
        let json = curves_json(&curves, &course);
        assert_eq!(json["points"].as_array().unwrap().len(), 4);
        assert_eq!((&json["points"][2]["error_rate_high"], &json["points"][0]["verdict"]), (&0.5.into(), &Value::Null));
        assert_eq!(json["marks"][0]["what"], "weight 10%");
        let table = curves_table(&curves, &course);
        assert!(table.contains("≥ 10 s") && table.lines().count() == 5, "{table}");
    }
}
