//! `artifacts`.

use super::fields::{Context, shorten};
use crate::document::{Entry, Node, Place};
use crate::pipeline::duration;
use crate::pipeline::kept::{Artifacts, ArtifactsWhen};
use crate::pipeline::keyword;

pub(super) const WHEN: &[(&str, ArtifactsWhen)] =
    &[("on_success", ArtifactsWhen::OnSuccess), ("on_failure", ArtifactsWhen::OnFailure), ("always", ArtifactsWhen::Always)];

pub(super) fn read(context: &mut Context, subject: &str, node: &Node, place: Place) -> Artifacts {
    if let Some(path) = node.as_str().filter(|path| !path.trim().is_empty()) {
        return shorthand(context, subject, node.place, path);
    }
    let mut artifacts = Artifacts::default();
    let Some(entries) = context.entries(subject, node, place) else { return artifacts };
    for entry in context.keywords(subject, keyword::ARTIFACTS, entries) {
        let of = format!("{subject}: `{}`", entry.key);
        match entry.key.as_str() {
            "paths" => artifacts.paths = paths(context, &of, entry),
            "exclude" => artifacts.exclude = paths(context, &of, entry),
            "when" => artifacts.when = context.word(&of, WHEN, &entry.value, entry.place).unwrap_or_default(),
            "untracked" => artifacts.untracked = context.truth(&of, &entry.value, entry.place).unwrap_or_default(),
            "reports" => reports(context, &of, entry, &mut artifacts),
            "expire_in" => artifacts.expire_in_seconds = expiry(context, &of, entry),
            "name" => artifacts.name = context.text(&of, &entry.value, entry.place),
            "expose_as" => expose_as(context, &of, entry, node),
            "access" => access(context, &of, entry, node),
            "public" => {
                context.truth(&of, &entry.value, entry.place);
            }
            _ => {}
        }
    }
    if !artifacts.exclude.is_empty() && artifacts.paths.is_empty() && !artifacts.untracked {
        context
            .problems
            .warning(node.place, "artifacts", format!("{subject} leaves something out but takes nothing in"))
            .hint("add `paths:`");
    }
    artifacts
}

/// Deviation (a): `artifacts: dist/`.
fn shorthand(context: &mut Context, subject: &str, place: Place, path: &str) -> Artifacts {
    let long = format!("artifacts: {{paths: [{path}]}}");
    if context.strict {
        context.problems.error(place, "type", format!("{subject} must be a mapping, not text")).hint(format!("write `{long}`"));
        return Artifacts::default();
    }
    context
        .problems
        .note(place, "deviation-artifacts", format!("{subject} is shorthand that GitLab does not read"))
        .hint(format!("for GitLab write `{long}`"));
    warn_outside(context, subject, path, place);
    Artifacts { paths: vec![path.to_owned()], ..Artifacts::default() }
}

fn paths(context: &mut Context, of: &str, entry: &Entry) -> Vec<String> {
    let paths = context.texts(of, &entry.value, entry.place);
    for path in &paths {
        warn_outside(context, of, path, entry.value.place);
    }
    paths
}

/// GitLab's runner passes over what is outside with a warning in the job's log; said here, it is seen before the run.
fn warn_outside(context: &mut Context, of: &str, path: &str, place: Place) {
    if path.starts_with(['/', '~']) || path.split('/').any(|part| part == "..") {
        let message = format!("{of}: `{}` is outside the project and will match nothing", shorten(path));
        context.problems.warning(place, "artifacts", message).hint("paths are relative to the job's checkout");
    }
}

/// Kinds whose value is a mapping that says where, and not globs.
const WITH_PATH: &str = "coverage_report";

fn reports(context: &mut Context, of: &str, entry: &Entry, artifacts: &mut Artifacts) {
    let Some(entries) = context.entries(of, &entry.value, entry.place) else { return };
    for report in context.keywords(of, keyword::REPORTS, entries) {
        let of = format!("{of}: `{}`", report.key);
        let globs = if report.key == WITH_PATH {
            coverage_report(context, &of, report)
        } else {
            context.text_or_texts(&of, &report.value, report.place)
        };
        if report.key == "junit" {
            artifacts.reports_junit = globs;
        } else {
            artifacts.reports.insert(report.key.clone(), globs);
        }
    }
}

const FORMATS: &[(&str, ())] = &[("cobertura", ()), ("jacoco", ())];

/// `{coverage_format: cobertura, path: …}`.
fn coverage_report(context: &mut Context, of: &str, report: &Entry) -> Vec<String> {
    let Some(entries) = context.entries(of, &report.value, report.place) else { return Vec::new() };
    let mut path = None;
    for entry in entries {
        let field = format!("{of}: `{}`", entry.key);
        match entry.key.as_str() {
            _ if entry.value.is_null() => {}
            "coverage_format" => {
                context.word(&field, FORMATS, &entry.value, entry.place);
            }
            "path" => path = context.text(&field, &entry.value, entry.place),
            key => {
                let message = format!("{of}: unknown key `{}`", shorten(key));
                context.problems.error(entry.place, "unknown-key", message).suggest(key, ["coverage_format", "path"], None);
            }
        }
    }
    for missing in ["coverage_format", "path"].into_iter().filter(|key| !Context::says(&report.value, key)) {
        context.problems.error(report.value.place, "artifacts", format!("{of} has no `{missing}`"));
    }
    path.into_iter().collect()
}

fn expiry(context: &mut Context, of: &str, entry: &Entry) -> Option<u64> {
    let text = context.text(of, &entry.value, entry.place)?;
    let seconds = duration::parse(&text);
    if !text.eq_ignore_ascii_case("never") && seconds.is_none() {
        let message = format!("{of} is `{}`, which is no duration", shorten(&text));
        context.problems.error(entry.value.place, "duration", message).hint("for instance `1 week`, `30 mins` or `never`");
    }
    seconds
}

/// Letters, digits, `-`, `_` and blanks (`entry/artifacts.rb`).
fn expose_as(context: &mut Context, of: &str, entry: &Entry, artifacts: &Node) {
    let Some(text) = context.text(of, &entry.value, entry.place) else { return };
    let first = text.starts_with(|letter: char| letter.is_ascii_alphanumeric() || letter == '_');
    if !first || !text.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_ ".contains(letter)) || text.len() > 100 {
        let message = format!("{of} can have letters, digits, `-`, `_` and blanks, at most 100, and no `-` or blank first");
        context.problems.error(entry.value.place, "artifacts", message);
    }
    let globs = artifacts.get("paths").and_then(Node::items);
    match globs.filter(|globs| !globs.is_empty()) {
        None => {
            context.problems.error(entry.place, "artifacts", format!("{of} goes with `paths`"));
        }
        Some(globs) => {
            if let Some(glob) = globs.iter().find(|glob| glob.as_str().is_some_and(|text| text.contains('*'))) {
                context.problems.error(glob.place, "artifacts", format!("{of} cannot go with a glob in `paths`"));
            }
        }
    }
}

const ACCESS: &[(&str, ())] = &[("none", ()), ("developer", ()), ("all", ()), ("maintainer", ())];

fn access(context: &mut Context, of: &str, entry: &Entry, artifacts: &Node) {
    context.word(of, ACCESS, &entry.value, entry.place);
    if artifacts.get("public").is_some() {
        context.problems.error(entry.place, "artifacts", format!("{of} and `public` say the same; one of them must go"));
    }
}
