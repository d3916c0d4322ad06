//! `workflow`: whether there is a pipeline at all, what it is called, and what ends it before its time.

use super::fields::Context;
use super::rules;
use crate::document::{Node, Place};
use crate::pipeline::kept::{OnJobFailure, OnNewCommit};
use crate::pipeline::keyword;
use crate::pipeline::spec::{AutoCancelSpec, Workflow};

const ON_NEW_COMMIT: &[(&str, OnNewCommit)] =
    &[("conservative", OnNewCommit::Conservative), ("interruptible", OnNewCommit::Interruptible), ("none", OnNewCommit::None)];
const ON_JOB_FAILURE: &[(&str, OnJobFailure)] = &[("all", OnJobFailure::All), ("none", OnJobFailure::None)];

/// GitLab's limit (`entry/workflow.rb`).
const NAME_LIMIT: usize = 255;

pub(super) fn read(context: &mut Context, subject: &str, node: &Node, place: Place) -> Workflow {
    let mut workflow = Workflow::default();
    let Some(fields) = context.entries(subject, node, place) else { return workflow };
    for field in context.keywords(subject, keyword::WORKFLOW, fields) {
        let of = format!("{subject}: `{}`", field.key);
        match field.key.as_str() {
            "auto_cancel" => workflow.auto_cancel = auto_cancel(context, &of, &field.value, field.place),
            "name" => {
                workflow.name = context.text(&of, &field.value, field.place);
                if workflow.name.as_ref().is_some_and(|name| name.chars().count() > NAME_LIMIT) {
                    context.problems.error(field.value.place, "too-long", format!("{of} has more than {NAME_LIMIT} letters"));
                }
            }
            "rules" => {
                let rules = rules::read(context, &of, keyword::WORKFLOW_RULE, &field.value, field.place);
                rules::only_always_or_never(context, &of, &rules);
                workflow.rules = Some(rules);
            }
            _ => {}
        }
    }
    workflow
}

/// `auto_cancel`, of `workflow` or of one of its rules; nothing (`null`) says nothing.
pub(super) fn auto_cancel(context: &mut Context, subject: &str, node: &Node, place: Place) -> AutoCancelSpec {
    let mut read = AutoCancelSpec::default();
    if node.is_null() {
        return read;
    }
    let Some(fields) = context.entries(subject, node, place) else { return read };
    for field in context.keywords(subject, keyword::AUTO_CANCEL, fields) {
        let of = format!("{subject}: `{}`", field.key);
        match field.key.as_str() {
            "on_new_commit" => read.on_new_commit = context.word(&of, ON_NEW_COMMIT, &field.value, field.place),
            "on_job_failure" => read.on_job_failure = context.word(&of, ON_JOB_FAILURE, &field.value, field.place),
            _ => {}
        }
    }
    read
}
