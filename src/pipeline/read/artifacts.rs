//! `artifacts`.

use super::fields::{Context, shorten};
use crate::document::{Entry, Node, Place};
use crate::pipeline::duration;
use crate::pipeline::keyword;
use crate::pipeline::spec::{Artifacts, ArtifactsWhen};

const WHEN: &[(&str, ArtifactsWhen)] =
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
            "reports" => artifacts.reports_junit = reports(context, &of, entry),
            "expire_in" => expiry(context, &of, entry),
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

fn reports(context: &mut Context, of: &str, entry: &Entry) -> Vec<String> {
    let mut junit = Vec::new();
    let Some(entries) = context.entries(of, &entry.value, entry.place) else { return junit };
    for report in context.keywords(of, keyword::REPORTS, entries) {
        if report.key == "junit" {
            junit = context.text_or_texts(&format!("{of}: `junit`"), &report.value, report.place);
        }
    }
    junit
}

fn expiry(context: &mut Context, of: &str, entry: &Entry) {
    let Some(text) = context.text(of, &entry.value, entry.place) else { return };
    if text != "never" && duration::parse(&text).is_none() {
        let message = format!("{of} is `{}`, which is no duration", shorten(&text));
        context.problems.error(entry.value.place, "duration", message).hint("for instance `1 week`, `30 mins` or `never`");
    }
}
