//! `rules` of an input: the first that holds says which values are allowed and which is the default (GitLab
//! `lib/gitlab/ci/config/header/input/rules/rule.rb`, `header/inputs/validator.rb`, `lib/ci/inputs/rules_evaluator.rb`).

use super::inputs::options;
use super::spelling::spelt;
use crate::document::{Entry, Node, Place, Value};
use crate::pipeline::expression::{Expression, Value as Seen};
use crate::pipeline::graph;
use crate::pipeline::keyword;
use crate::pipeline::read::{Context, condition};

/// A rule.
pub(super) struct Ruled {
    place: Place,
    condition: Option<Expression>,
    pub(super) options: Option<Node>,
    pub(super) default: Option<Node>,
}

pub(super) fn read(context: &mut Context, subject: &str, field: &Entry) -> Option<Vec<Ruled>> {
    let Some(items) = field.value.items() else {
        context.wrong_type(subject, "a list", &field.value, field.place);
        return None;
    };
    Some(items.iter().map(|item| rule(context, subject, item, field.place)).collect())
}

fn rule(context: &mut Context, subject: &str, node: &Node, place: Place) -> Ruled {
    let of = format!("an entry of {subject}");
    let mut read = Ruled { place: node.place, condition: None, options: None, default: None };
    let Some(fields) = context.entries(&of, node, place) else { return read };
    // A default of nothing is one.
    read.default = node.get("default").cloned();
    for field in context.keywords(&of, keyword::INPUT_RULE, fields) {
        let subject = format!("{of}: `{}`", field.key);
        match field.key.as_str() {
            "if" => read.condition = condition(context, &subject, &field.value, field.place),
            "options" => read.options = options(context, &subject, field),
            _ => {}
        }
    }
    let allowed = read.options.as_ref().and_then(Node::items).unwrap_or_default();
    match &read.default {
        None => {
            let message = format!("{of} has no `default`");
            context.problems.error(node.place, "input-rules", message).hint("`default:` with nothing after it lets people say any value");
        }
        Some(default) if !allowed.is_empty() && !allowed.iter().any(|option| option.plain() == default.plain()) => {
            let message = format!("{of}: the default `{}` is none of its options", spelt(default));
            context.problems.error(default.place, "input-rules", message);
        }
        Some(_) => {}
    }
    read
}

/// Rules may name inputs that are there, and not in a circle. False when they do not; that is told.
pub(super) fn check(context: &mut Context, specified: &[Entry], ruled: &[&[Ruled]]) -> bool {
    let mut edges: Vec<Vec<usize>> = Vec::with_capacity(specified.len());
    let mut right = true;
    for (entry, rules) in specified.iter().zip(ruled) {
        let mut found = Vec::new();
        for rule in *rules {
            for name in rule.condition.iter().flat_map(Expression::inputs) {
                if let Some(at) = specified.iter().position(|other| other.key == name) {
                    found.push(at);
                    continue;
                }
                let names = specified.iter().map(|other| other.key.as_str());
                let message = format!("a rule of the input `{}` names the input `{name}`, and there is none", entry.key);
                context.problems.error(rule.place, "unknown-input", message).suggest(name, names, None);
                right = false;
            }
        }
        edges.push(found);
    }
    let own = edges.iter().enumerate().filter(|(at, found)| found.contains(at)).map(|(at, _)| vec![at]);
    for circle in own.chain(graph::order(&edges).1.into_iter().filter(|circle| circle.len() > 1)) {
        let mut names: Vec<&str> = circle.iter().filter_map(|at| specified.get(*at)).map(|entry| entry.key.as_str()).collect();
        names.extend(names.first().copied());
        let place = circle.first().and_then(|at| specified.get(*at)).map(|entry| entry.place);
        let message = format!("the rules of these inputs name each other: {}", names.join(" → "));
        context.problems.error(place, "input-rules", message).hint("remove one of these conditions");
        right = false;
    }
    right
}

/// The first rule that holds for the values so far, and for what is given for the others as it is given.
pub(super) fn chosen<'r>(rules: &'r [Ruled], resolved: &[Entry], given: &[Entry]) -> Option<&'r Ruled> {
    let spelt: Vec<(&str, &Node, String)> =
        resolved.iter().chain(given).map(|entry| (entry.key.as_str(), &entry.value, spelt(&entry.value))).collect();
    let seen = |name: &str| match spelt.iter().find(|(key, ..)| *key == name) {
        None => Seen::Null,
        Some((_, node, text)) => match &node.value {
            Value::Null => Seen::Null,
            Value::Bool(truth) => Seen::Truth(*truth),
            Value::String(text) => Seen::Text(text),
            Value::Integer(_) | Value::Float(_) | Value::Sequence(_) | Value::Mapping(_) | Value::Reference(_) => Seen::Other(text),
        },
    };
    rules.iter().find(|rule| rule.condition.as_ref().is_none_or(|condition| condition.holds_for_inputs(&seen)))
}
