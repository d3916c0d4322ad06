//! `workflow`: whether there is a pipeline at all, and what it is called.

use super::fields::Context;
use super::rules;
use crate::document::{Node, Place};
use crate::pipeline::keyword;
use crate::pipeline::spec::Workflow;

pub(super) fn read(context: &mut Context, subject: &str, node: &Node, place: Place) -> Workflow {
    let mut workflow = Workflow::default();
    let Some(fields) = context.entries(subject, node, place) else { return workflow };
    for field in context.keywords(subject, keyword::WORKFLOW, fields) {
        let of = format!("{subject}: `{}`", field.key);
        match field.key.as_str() {
            "name" => workflow.name = context.text(&of, &field.value, field.place),
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
