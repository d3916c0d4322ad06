//! `only` and `except`: a list of refs, or a mapping.

use regex::RegexBuilder;

use super::fields::{Context, shorten};
use super::rules;
use crate::document::{Node, Place};
use crate::pipeline::keyword;
use crate::pipeline::only::{RefPattern, RefPolicy};

pub(super) fn read(context: &mut Context, subject: &str, node: &Node, place: Place) -> RefPolicy {
    let mut policy = RefPolicy::default();
    if node.items().is_some() {
        policy.refs = Some(refs(context, subject, node, place));
        return policy;
    }
    let Some(entries) = node.entries() else {
        context.wrong_type(subject, "a list of refs or a mapping", node, place);
        return policy;
    };
    for entry in context.keywords(subject, keyword::POLICY, entries) {
        let of = format!("{subject}: `{}`", entry.key);
        match entry.key.as_str() {
            "refs" => policy.refs = Some(refs(context, &of, &entry.value, entry.place)),
            "variables" => {
                let Some(items) = entry.value.items() else {
                    context.wrong_type(&of, "a list of conditions", &entry.value, entry.place);
                    continue;
                };
                policy.variables = Some(items.iter().filter_map(|item| rules::condition(context, &of, item, entry.place)).collect());
            }
            "changes" => policy.changes = Some(rules::paths(context, &of, &entry.value, entry.place)),
            _ => {}
        }
    }
    if entries.is_empty() {
        context.problems.error(node.place, "blank", format!("{subject} says nothing"));
    }
    policy
}

fn refs(context: &mut Context, subject: &str, node: &Node, place: Place) -> Vec<RefPattern> {
    let Some(items) = node.items() else {
        context.wrong_type(subject, "a list of refs", node, place);
        return Vec::new();
    };
    let mut patterns = Vec::with_capacity(items.len());
    for item in items {
        let Some(text) = context.text(&format!("an entry of {subject}"), item, place) else { continue };
        let (name, project) = match text.split_once('@') {
            Some((name, project)) if !name.is_empty() => (name.to_owned(), Some(project.to_owned())),
            Some(_) | None => (text.clone(), None),
        };
        let pattern = match slashed(&name) {
            None => None,
            Some((expression, flags)) => {
                let built = RegexBuilder::new(&expression.replace("\\/", "/"))
                    .case_insensitive(flags.contains('i'))
                    .dot_matches_new_line(flags.contains('s'))
                    .multi_line(flags.contains('m'))
                    .swap_greed(flags.contains('U'))
                    .size_limit(1 << 20)
                    .build();
                if built.is_err() {
                    context.problems.error(item.place, "condition", format!("{subject}: `{}` is no pattern", shorten(&name)));
                    continue;
                }
                built.ok()
            }
        };
        patterns.push(RefPattern { text: name, pattern, project });
    }
    patterns
}

/// `/expression/flags`.
fn slashed(text: &str) -> Option<(&str, &str)> {
    let (expression, flags) = text.strip_prefix('/')?.rsplit_once('/')?;
    flags.bytes().all(|flag| matches!(flag, b'i' | b's' | b'm' | b'U')).then_some((expression, flags))
}
