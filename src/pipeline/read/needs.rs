//! `needs`: a list of names, or of mappings with a `job`.

use super::fields::Context;
use crate::document::{Node, Place};
use crate::pipeline::keyword;
use crate::pipeline::spec::NeedSpec;

/// GitLab's limit (`doc/ci/yaml/_index.md#needs`).
const LIMIT: usize = 50;

pub(super) fn read(context: &mut Context, subject: &str, node: &Node, place: Place) -> Vec<NeedSpec> {
    let Some(items) = node.items() else {
        context.wrong_type(subject, "a list of jobs", node, place);
        return Vec::new();
    };
    if items.len() > LIMIT {
        let message = format!("{subject} names {} jobs; at most {LIMIT} are allowed", items.len());
        context.problems.error(node.place, "too-many-needs", message).hint("without `needs` a job waits for all earlier stages");
    }
    let mut needs: Vec<NeedSpec> = Vec::with_capacity(items.len());
    for item in items.iter().take(LIMIT) {
        let Some(need) = need(context, subject, item, node.place) else { continue };
        if needs.iter().any(|earlier| earlier.job == need.job) {
            context.problems.warning(need.place, "duplicate-need", format!("{subject} names `{}` twice", need.job));
        } else {
            needs.push(need);
        }
    }
    needs
}

fn need(context: &mut Context, subject: &str, node: &Node, list: Place) -> Option<NeedSpec> {
    let of = format!("an entry of {subject}");
    let Some(entries) = node.entries() else {
        let job = context.text(&of, node, list)?;
        return Some(NeedSpec { job, place: node.place, artifacts: true, optional: false });
    };
    let (mut job, mut artifacts, mut optional) = (None, true, false);
    for entry in context.keywords(&of, keyword::NEED, entries) {
        let field = format!("{of}: `{}`", entry.key);
        match entry.key.as_str() {
            "job" => job = context.text(&field, &entry.value, entry.place).map(|job| (job, entry.value.place)),
            "artifacts" => artifacts = context.truth(&field, &entry.value, entry.place).unwrap_or(true),
            "optional" => optional = context.truth(&field, &entry.value, entry.place).unwrap_or(false),
            _ => {}
        }
    }
    let foreign = ["pipeline", "project"].iter().any(|key| node.get(key).is_some());
    if node.get("job").is_none() && !foreign {
        context.problems.error(node.place, "needs", format!("{of} has no `job`"));
    }
    // A job of another project is not looked for among this file's.
    job.filter(|_| !foreign).map(|(job, place)| NeedSpec { job, place, artifacts, optional })
}
