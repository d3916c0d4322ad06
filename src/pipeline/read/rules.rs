//! `rules`: a list of mappings, which aliases may put into each other as lists.

use super::fields::{Context, shorten};
use super::{job, variables};
use crate::document::{Node, Place, Value};
use crate::event::When;
use crate::pipeline::expression::Expression;
use crate::pipeline::keyword;
use crate::pipeline::rule::Rule;

/// How deep lists may lie in each other, as in a script.
const DEPTH_LIMIT: usize = 10;

pub(super) fn read(context: &mut Context, subject: &str, node: &Node, place: Place) -> Vec<Rule> {
    let mut rules = Vec::new();
    match node.items() {
        Some(items) => gather(context, subject, items, 0, &mut rules),
        None => context.wrong_type(subject, "a list", node, place),
    }
    rules
}

fn gather(context: &mut Context, subject: &str, items: &[Node], depth: usize, rules: &mut Vec<Rule>) {
    for item in items {
        match &item.value {
            Value::Sequence(inner) if depth < DEPTH_LIMIT => gather(context, subject, inner, depth + 1, rules),
            Value::Sequence(_) => {
                let message = format!("the lists in {subject} lie in each other more than {DEPTH_LIMIT} deep");
                context.problems.error(item.place, "too-deep", message);
            }
            Value::Mapping(_) => rules.push(rule(context, subject, item)),
            Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::String(_) => {
                context.wrong_type(&format!("an entry of {subject}"), "a mapping", item, item.place);
            }
        }
    }
}

fn rule(context: &mut Context, subject: &str, node: &Node) -> Rule {
    let mut rule = Rule { condition: None, when: None, allow_failure: None, variables: Vec::new() };
    let of = format!("an entry of {subject}");
    for entry in context.keywords(&of, keyword::RULE, node.entries().unwrap_or_default()) {
        let field = format!("{of}: `{}`", entry.key);
        match entry.key.as_str() {
            "if" => rule.condition = condition(context, &field, &entry.value, entry.place),
            "when" => rule.when = when(context, &field, &entry.value, entry.place),
            "allow_failure" => rule.allow_failure = job::allow_failure(context, &field, &entry.value, entry.place),
            "variables" => rule.variables = variables::read(context, &field, &entry.value, entry.place),
            _ => {}
        }
    }
    rule
}

fn when(context: &mut Context, subject: &str, node: &Node, place: Place) -> Option<When> {
    let when = context.word(subject, job::WHEN, node, place)?;
    if when.is_none() {
        context.problems.error(node.place, "refused-keyword", format!("{subject}: delayed jobs are not supported"));
    }
    when
}

fn condition(context: &mut Context, subject: &str, node: &Node, place: Place) -> Option<Expression> {
    let text = context.text(subject, node, place)?;
    Expression::parse(&text)
        .map_err(|error| {
            let rest: String = text.chars().skip(error.offset).take(20).collect();
            let near = if rest.is_empty() { "at its end".to_owned() } else { format!("at `{rest}`") };
            let message = format!("{subject}: `{}` is no condition, {near}: {}", shorten(&text), error.message);
            context.problems.error(node.place, "condition", message).hint("for instance `$CI_COMMIT_BRANCH == \"main\" && $DEPLOY`");
        })
        .ok()
}
