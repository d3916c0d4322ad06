//! `script` and its two companions: text, a list, or lists in lists up to ten deep.

use super::fields::Context;
use crate::document::{Node, Place, Value};
use crate::pipeline::spec::Line;

/// How deep lists may lie in each other (`lib/gitlab/ci/config/entry/commands.rb`).
const DEPTH_LIMIT: usize = 10;

/// Reads a script that may be empty: `before_script: []` is how a job does without the default.
pub(super) fn read(context: &mut Context, subject: &str, node: &Node, place: Place) -> Vec<Line> {
    let mut lines = Vec::new();
    gather(context, subject, node, place, 0, &mut lines);
    lines
}

/// Reads a `script`, which must have something in it.
pub(super) fn read_main(context: &mut Context, subject: &str, node: &Node, place: Place) -> Vec<Line> {
    if node.is_null() || node.items().is_some_and(<[Node]>::is_empty) {
        context.problems.error(place, "blank", format!("{subject} is blank")).hint("a job that does nothing has `script: \"true\"`");
        return Vec::new();
    }
    let mut lines = Vec::new();
    let whole = gather(context, subject, node, place, 0, &mut lines);
    if whole && lines.iter().all(|line| line.text.trim().is_empty()) {
        context.problems.error(node.place, "blank", format!("{subject} is blank")).hint("a job that does nothing has `script: \"true\"`");
    }
    lines
}

fn gather(context: &mut Context, subject: &str, node: &Node, place: Place, depth: usize, lines: &mut Vec<Line>) -> bool {
    match &node.value {
        Value::String(text) => {
            lines.push(Line { place: node.place, text: text.clone() });
            true
        }
        Value::Sequence(items) if depth < DEPTH_LIMIT => {
            let mut whole = true;
            // Every item is looked at, so that each bad one is told.
            for item in items {
                whole &= gather(context, subject, item, node.place, depth + 1, lines);
            }
            whole
        }
        Value::Sequence(_) => {
            let message = format!("the lists in {subject} lie in each other more than {DEPTH_LIMIT} deep");
            context.problems.error(node.place, "too-deep", message);
            false
        }
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::Mapping(_) | Value::Reference(_) => {
            let subject = if depth == 0 { subject.to_owned() } else { format!("an entry of {subject}") };
            let wanted = if depth == 0 { "text or a list of texts" } else { "text" };
            context.wrong_type(&subject, wanted, node, place);
            false
        }
    }
}
