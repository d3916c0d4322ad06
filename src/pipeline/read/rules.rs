//! `rules`: a list of mappings, which aliases and references may put into each other as lists. And the clauses of one.

use super::fields::{Context, WEEK, shorten};
use super::variables::Whose;
use super::{job, needs, variables, workflow};
use crate::document::{Entry, Node, Place, Value};
use crate::event::When;
use crate::pipeline::expression::Expression;
use crate::pipeline::keyword::{self, Standing, standing};
use crate::pipeline::rule::{Paths, Rule};

/// How deep lists may lie in each other, as in a script.
const DEPTH_LIMIT: usize = 10;
/// GitLab's limit for the globs of a clause.
const GLOB_LIMIT: usize = 50;

pub(in crate::pipeline) fn read(
    context: &mut Context,
    subject: &str,
    table: &[(&'static str, Standing)],
    node: &Node,
    place: Place,
) -> Vec<Rule> {
    let mut rules = Vec::new();
    match node.items() {
        // `entry/rules.rb`, `entry/include/rules.rb`: `validates :config, presence: true`.
        Some([]) => {
            context.problems.error(node.place, "blank", format!("{subject} is empty")).hint("remove it, or write `rules: [{when: never}]`");
        }
        Some(items) => gather(context, subject, table, items, 0, &mut rules),
        None => context.wrong_type(subject, "a list", node, place),
    }
    rules
}

fn gather(context: &mut Context, subject: &str, table: &[(&'static str, Standing)], items: &[Node], depth: usize, rules: &mut Vec<Rule>) {
    for item in items {
        match &item.value {
            Value::Sequence(inner) if depth < DEPTH_LIMIT => gather(context, subject, table, inner, depth + 1, rules),
            Value::Sequence(_) => {
                let message = format!("the lists in {subject} lie in each other more than {DEPTH_LIMIT} deep");
                context.problems.error(item.place, "too-deep", message);
            }
            Value::Mapping(entries) if entries.is_empty() => {
                context.problems.error(item.place, "blank", format!("an entry of {subject} says nothing"));
            }
            Value::Mapping(_) => rules.push(rule(context, subject, table, item)),
            Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::String(_) | Value::Reference(_) => {
                context.wrong_type(&format!("an entry of {subject}"), "a mapping", item, item.place);
            }
        }
    }
}

fn rule(context: &mut Context, subject: &str, table: &[(&'static str, Standing)], node: &Node) -> Rule {
    let mut rule = Rule::blank(node.place);
    let of = format!("an entry of {subject}");
    for entry in context.keywords(&of, table, node.entries().unwrap_or_default()) {
        let field = format!("{of}: `{}`", entry.key);
        match entry.key.as_str() {
            "if" => rule.condition = condition(context, &field, &entry.value, entry.place),
            "changes" => rule.changes = Some(clause(context, &field, keyword::CHANGES, &entry.value, entry.place)),
            "exists" => rule.exists = Some(exists(context, &field, table, entry)),
            "when" => rule.when = context.word(&field, job::WHEN, &entry.value, entry.place),
            "start_in" => rule.start_in_seconds = context.duration(&field, &entry.value, entry.place, WEEK),
            "allow_failure" => rule.allow_failure = context.truth(&field, &entry.value, entry.place),
            "interruptible" => rule.interruptible = context.truth(&field, &entry.value, entry.place),
            "auto_cancel" => rule.auto_cancel = workflow::auto_cancel(context, &field, &entry.value, entry.place),
            "variables" => rule.variables = variables::read(context, &field, Whose::Scalars, &entry.value, entry.place),
            "needs" => rule.needs = Some(needs::read(context, &field, &entry.value, entry.place)),
            _ => {}
        }
    }
    let delayed = rule.when == Some(When::Delayed);
    if delayed != node.get("start_in").is_some() {
        let message =
            if delayed { format!("{of}: `delayed` has no `start_in`") } else { format!("{of}: `start_in` goes with `when: delayed`") };
        context.problems.error(node.place, "start-in", message).hint("for instance `when: delayed` and `start_in: 30 minutes`");
    }
    rule
}

/// One path may stand alone; and a rule of an include has no limit for a plain list (`entry/rules/rule/exists.rb`).
fn exists(context: &mut Context, subject: &str, table: &[(&'static str, Standing)], entry: &Entry) -> Paths {
    let (node, place) = (&entry.value, entry.place);
    if let Some(text) = node.as_str() {
        return Paths { place, globs: vec![text.to_owned()], compare_to: None, elsewhere: None };
    }
    // Rules of an include are those that set no variables.
    let limit = if standing(table, "variables").is_none() { usize::MAX } else { GLOB_LIMIT };
    if node.entries().is_some() {
        clause(context, subject, keyword::EXISTS, node, place)
    } else {
        globs(context, subject, limit, node, place)
    }
}

/// `workflow: rules` and `include: rules` know no other `when` (`entry/workflow.rb`, `entry/include/rules.rb`).
pub(in crate::pipeline) fn only_always_or_never(context: &mut Context, subject: &str, rules: &[Rule]) {
    for rule in rules {
        match rule.when {
            None | Some(When::Always | When::Never) => {}
            Some(When::OnSuccess | When::OnFailure | When::Manual | When::Delayed) => {
                context.problems.error(
                    rule.place,
                    "unknown-value",
                    format!("an entry of {subject}: `when` can be `always` or `never` here"),
                );
            }
        }
    }
}

fn clause(context: &mut Context, subject: &str, table: &[(&'static str, Standing)], node: &Node, place: Place) -> Paths {
    let Some(entries) = node.entries() else { return paths(context, subject, node, place) };
    let mut read = Paths { place, globs: Vec::new(), compare_to: None, elsewhere: None };
    let (mut project, mut reference) = (None, None);
    for entry in context.keywords(subject, table, entries) {
        let of = format!("{subject}: `{}`", entry.key);
        match entry.key.as_str() {
            "paths" => read.globs = paths(context, &of, &entry.value, entry.place).globs,
            "project" => project = context.text(&of, &entry.value, entry.place),
            "ref" => reference = context.text(&of, &entry.value, entry.place).map(|text| (text, entry.place)),
            "compare_to" => read.compare_to = context.text(&of, &entry.value, entry.place).map(|text| (text, entry.value.place)),
            _ => {}
        }
    }
    // `exists` may have a `paths` of nothing, `changes` may not.
    if !Context::says(node, "paths") && (node.get("paths").is_none() || standing(table, "compare_to").is_some()) {
        context.problems.error(node.place, "blank", format!("{subject} has no `paths`"));
    }
    if let (false, Some((_, place))) = (Context::says(node, "project"), &reference) {
        context.problems.error(*place, "exists", format!("{subject}: `ref` goes with `project`"));
    }
    read.elsewhere = project.map(|project| (project, reference.map(|(text, _)| text)));
    read
}

/// A list of globs, at most as many as GitLab takes.
pub(super) fn paths(context: &mut Context, subject: &str, node: &Node, place: Place) -> Paths {
    globs(context, subject, GLOB_LIMIT, node, place)
}

fn globs(context: &mut Context, subject: &str, limit: usize, node: &Node, place: Place) -> Paths {
    // An empty one is no error to GitLab; it matches nothing.
    let globs: Vec<String> = match node.items() {
        Some(items) => {
            let of = format!("an entry of {subject}");
            let read = |item: &Node| match item.as_str() {
                Some(text) => Some(text.to_owned()),
                None => context.text(&of, item, place),
            };
            items.iter().filter_map(read).collect()
        }
        None => context.texts(subject, node, place),
    };
    if globs.len() > limit {
        let message = format!("{subject} has {} globs; at most {limit} are allowed", globs.len());
        context.problems.error(node.place, "too-many-globs", message);
    }
    Paths { place, globs, compare_to: None, elsewhere: None }
}

pub(in crate::pipeline) fn condition(context: &mut Context, subject: &str, node: &Node, place: Place) -> Option<Expression> {
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
