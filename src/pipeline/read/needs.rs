//! `needs`: a list of names, or of mappings with a `job`.

use super::fields::Context;
use super::parallel;
use crate::document::{Entry, Node, Place, Value};
use crate::pipeline::keyword;
use crate::pipeline::matrix::Matrix;
use crate::pipeline::spec::NeedSpec;

/// GitLab's limit (`doc/ci/yaml/_index.md#needs`).
const LIMIT: usize = 50;
/// How deep references may put lists into each other.
const DEPTH_LIMIT: usize = 10;

pub(super) fn read(context: &mut Context, subject: &str, node: &Node, place: Place) -> Vec<NeedSpec> {
    // A single one may be a mapping (`entry/needs.rb`).
    if node.items().is_none() && node.entries().is_none_or(<[Entry]>::is_empty) {
        context.wrong_type(subject, "a list of jobs", node, place);
        return Vec::new();
    }
    let mut items = Vec::new();
    flat(node, 0, &mut items);
    if items.len() > LIMIT {
        let message = format!("{subject} names {} jobs; at most {LIMIT} are allowed", items.len());
        context.problems.error(node.place, "too-many-needs", message).hint("without `needs` a job waits for all earlier stages");
    }
    let mut needs: Vec<NeedSpec> = Vec::with_capacity(items.len());
    for item in items.into_iter().take(LIMIT) {
        let Some(need) = need(context, subject, item, node.place) else { continue };
        // The same job may be named once for each part of its matrix.
        if need.matrix.is_none() && needs.iter().any(|earlier| earlier.job == need.job && earlier.matrix.is_none()) {
            context
                .problems
                .error(need.place, "duplicate-need", format!("{subject} names `{}` twice", need.job))
                .hint("remove one of them");
        } else {
            needs.push(need);
        }
    }
    needs
}

/// Lists in lists count as one (`entry/needs.rb`: `[@config].flatten`).
fn flat<'n>(node: &'n Node, depth: usize, items: &mut Vec<&'n Node>) {
    match &node.value {
        Value::Sequence(inner) if depth <= DEPTH_LIMIT => inner.iter().for_each(|item| flat(item, depth + 1, items)),
        Value::Null
        | Value::Bool(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::String(_)
        | Value::Sequence(_)
        | Value::Mapping(_)
        | Value::Reference(_) => items.push(node),
    }
}

fn need(context: &mut Context, subject: &str, node: &Node, list: Place) -> Option<NeedSpec> {
    let of = format!("an entry of {subject}");
    let Some(entries) = node.entries() else {
        let job = context.text(&of, node, list)?;
        return Some(NeedSpec { job, place: node.place, artifacts: true, optional: false, matrix: None });
    };
    let (mut job, mut artifacts, mut optional, mut matrix) = (None, true, false, None);
    for entry in context.keywords(&of, keyword::NEED, entries) {
        let field = format!("{of}: `{}`", entry.key);
        match entry.key.as_str() {
            "job" => job = context.text(&field, &entry.value, entry.place).map(|job| (job, entry.value.place)),
            "artifacts" => artifacts = context.truth(&field, &entry.value, entry.place).unwrap_or(true),
            "optional" => optional = context.truth(&field, &entry.value, entry.place).unwrap_or(false),
            "parallel" => matrix = part(context, &field, entry),
            _ => {}
        }
    }
    let foreign = ["pipeline", "project"].iter().any(|key| node.get(key).is_some());
    if !Context::says(node, "job") && !foreign {
        context.problems.error(node.place, "needs", format!("{of} has no `job`"));
    }
    // A job of another project is not looked for among this file's.
    job.filter(|_| !foreign).map(|(job, place)| NeedSpec { job, place, artifacts, optional, matrix })
}

/// `parallel: {matrix: …}` of a need; a number is not allowed there.
fn part(context: &mut Context, subject: &str, entry: &Entry) -> Option<Matrix> {
    let entries = context.entries(subject, &entry.value, entry.place)?;
    let mut found = None;
    for field in context.keywords(subject, keyword::PARALLEL, entries) {
        found = parallel::matrix(context, &format!("{subject}: `matrix`"), &field.value, field.place);
    }
    found
}
