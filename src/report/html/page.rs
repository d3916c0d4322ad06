//! The page: what the run was, its canaries, its pipeline, its ledger entries.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::canary;
use super::escape::escape;
use crate::event::{RolloutEvent, RolloutState, Stamped};
use crate::report::{Curves, JobReport, RunReport};
use crate::text::{count, duration};

/// What a page tells.
#[derive(Debug)]
pub struct Page<'a> {
    /// The run.
    pub run: &'a RunReport,
    /// Its app.
    pub app: &'a str,
    /// Its commit's title.
    pub title: &'a str,
    /// Its canaries, oldest first.
    pub canaries: Vec<CanaryPage<'a>>,
    /// The ledger's entries that are about it, as they are in the ledger, oldest first.
    pub ledger: &'a [Value],
    /// When the page is made.
    pub now: DateTime<Utc>,
    /// The program that makes it.
    pub tool: &'a str,
}

/// A canary on a page.
#[derive(Debug)]
pub struct CanaryPage<'a> {
    /// Its rollout, folded.
    pub state: &'a RolloutState,
    /// Its journal.
    pub events: &'a [Stamped<RolloutEvent>],
    /// Its numbers over time.
    pub curves: &'a Curves,
    /// Since when nobody watches although it has weight.
    pub unwatched_since: Option<DateTime<Utc>>,
}

/// Writes the page.
#[must_use]
pub fn page(page: &Page<'_>) -> String {
    let run = page.run;
    let heading = format!("{} {} – run {} – {}", page.app, run.tag, run.number, word(&run.outcome));
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n<meta name=\"viewport\" content=\"width=device-width\">\n<title>{0}</title>\n<style>\n{1}</style></head>\n<body>\n<h1>{0}</h1>\n",
        escape(&heading),
        include_str!("style.css")
    );
    html.push_str(&facts(page));
    for canary in &page.canaries {
        html.push_str(&canary::section(canary));
    }
    html.push_str(&pipeline(&run.jobs));
    html.push_str(&notices(&run.notices));
    html.push_str(&ledger(page.ledger));
    let made = page.now.format("%Y-%m-%d %H:%M:%S UTC");
    let _ = writeln!(
        html,
        "<footer>Made {made} by {} from the run's journals and the ledger; times are UTC. <code>hms ledger verify</code> proves the entries.</footer>\n</body></html>",
        escape(page.tool)
    );
    html
}

fn facts(page: &Page<'_>) -> String {
    let run = page.run;
    let release = run.release.as_ref().map(|release| release.digest.to_string());
    let rows = [
        ("commit", Some(format!("{} “{}”", run.revision, page.title))),
        ("ref", run.ref_name.clone()),
        ("release", release),
        ("created", run.created_at.clone()),
        ("finished", run.finished_at.clone()),
        ("outcome", Some(format!("{}{}", word(&run.outcome), run.exit_code.map(|code| format!(", exit code {code}")).unwrap_or_default()))),
        ("run", Some(run.run.clone())),
    ];
    list(rows.into_iter().filter_map(|(name, value)| Some((name, value?))))
}

/// A list of names and texts.
pub(super) fn list<'n>(rows: impl Iterator<Item = (&'n str, String)>) -> String {
    let rows = joined(rows, |(name, value)| format!("<dt>{}</dt><dd>{}</dd>\n", escape(name), escape(&value)));
    format!("<dl>\n{rows}</dl>\n")
}

/// A table of texts.
pub(super) fn table(names: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let head = joined(names.iter(), |name| format!("<th scope=\"col\">{}</th>", escape(name)));
    let row = |row: Vec<String>| format!("<tr>{}</tr>\n", joined(row.iter(), |cell| format!("<td>{}</td>", escape(cell))));
    // Words stay whole: on a narrow screen the table is moved sideways.
    format!("<div class=\"wide\"><table><thead><tr>{head}</tr></thead><tbody>\n{}</tbody></table></div>\n", joined(rows, row))
}

fn joined<T>(items: impl Iterator<Item = T>, piece: impl Fn(T) -> String) -> String {
    items.map(piece).collect::<Vec<String>>().concat()
}

fn pipeline(jobs: &[JobReport]) -> String {
    let rows = jobs.iter().map(|job| {
        let tests = job.tests.map(|tests| format!("{} passed, {} failed", count(tests.passed), count(tests.failed)));
        let said: Vec<String> = tests.into_iter().chain(job.why.clone()).collect();
        vec![
            job.stage.clone(),
            job.name.to_string(),
            format!("{} {}", sign(&word(&job.status)), word(&job.status)),
            job.duration_ms.map(duration).unwrap_or_default(),
            if job.attempts.len() > 1 { job.attempts.len().to_string() } else { String::new() },
            said.join("; "),
        ]
    });
    format!("<h2>Pipeline</h2>\n{}", table(&["stage", "job", "status", "took", "attempts", ""], rows))
}

fn sign(status: &str) -> &'static str {
    match status {
        "success" => "✔",
        "failed" | "interrupted" => "✘",
        "skipped" | "canceled" => "–",
        "running" | "pending" | "preparing" => "◐",
        _ => "○",
    }
}

fn notices(notices: &[String]) -> String {
    if notices.is_empty() {
        return String::new();
    }
    let items = joined(notices.iter(), |notice| format!("<li>{}</li>\n", escape(notice)));
    format!("<h2>Notices</h2>\n<ul>\n{items}</ul>\n")
}

/// The entries' own fields, by name: what the page says of one is what is in it.
fn ledger(entries: &[Value]) -> String {
    let text = |entry: &Value, pointer: &str| {
        entry.pointer(pointer).map_or_else(String::new, |value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    };
    let share = |entry: &Value, name: &str| {
        entry.pointer(&format!("/weights/{name}")).and_then(Value::as_f64).map(|part| format!("{name} {}", crate::text::share(part)))
    };
    let rows = entries.iter().map(|entry| {
        let yeses = entry.pointer("/yeses").and_then(Value::as_array).into_iter().flatten();
        let yeses: Vec<String> = yeses.map(|yes| text(yes, "/actor/login")).collect();
        let weights = ["requested", "applied", "measured"].into_iter().filter_map(|name| share(entry, name));
        let said = [text(entry, "/tag"), text(entry, "/evidence/verdict"), text(entry, "/outcome"), text(entry, "/reason")];
        let yeses = (!yeses.is_empty()).then(|| format!("yes from {}", yeses.join(", ")));
        let said = said.into_iter().filter(|part| !part.is_empty()).chain(weights).chain(yeses);
        vec![
            text(entry, "/seq"),
            text(entry, "/time"),
            format!("{}@{}", text(entry, "/actor/login"), text(entry, "/actor/host")),
            format!("{} {}", text(entry, "/type"), text(entry, "/phase")),
            said.collect::<Vec<_>>().join(" · "),
        ]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    if rows.is_empty() {
        return "<h2>Ledger</h2>\n<p>No entry of this host's ledger is about this run.</p>\n".to_owned();
    }
    format!("<h2>Ledger</h2>\n{}", table(&["#", "time", "who", "what", ""], rows.into_iter()))
}

/// A word of an enumeration as JSON has it.
fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
