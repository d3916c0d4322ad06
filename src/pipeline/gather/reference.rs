//! `!reference [a, b]` (GitLab `lib/gitlab/ci/config/yaml/tags/`): the value at that path, as it is after `extends`.

use std::collections::HashMap;

use super::Budget;
use crate::document::{Entry, Node, Place, Value};
use crate::pipeline::problem::Problems;

/// How many references may lead from one to the next.
const CHAIN_LIMIT: usize = 50;

/// Puts every reference's value in its place. One that leads nowhere becomes nothing, with its problem told.
pub(super) fn resolve(problems: &mut Problems, budget: &mut Budget, entries: &mut Vec<Entry>) {
    if !entries.iter().any(|entry| has_reference(&entry.value)) {
        return;
    }
    let source = std::mem::take(entries);
    let index: HashMap<&str, &Node> = source.iter().map(|entry| (entry.key.as_str(), &entry.value)).collect();
    let mut resolving = Resolving { index, chain: Vec::new(), problems, budget };
    *entries = source.iter().map(|entry| Entry { value: resolving.resolved(&entry.value), key: entry.key.clone(), ..*entry }).collect();
}

fn has_reference(node: &Node) -> bool {
    match &node.value {
        Value::Reference(_) => true,
        Value::Sequence(items) => items.iter().any(has_reference),
        Value::Mapping(entries) => entries.iter().any(|entry| has_reference(&entry.value)),
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::String(_) => false,
    }
}

struct Resolving<'e> {
    index: HashMap<&'e str, &'e Node>,
    chain: Vec<&'e [String]>,
    problems: &'e mut Problems,
    budget: &'e mut Budget,
}

impl<'e> Resolving<'e> {
    fn resolved(&mut self, node: &'e Node) -> Node {
        let value = match &node.value {
            Value::Reference(path) => {
                return self.value_at(path, node.place).unwrap_or(Node { place: node.place, value: Value::Null });
            }
            Value::Sequence(items) => Value::Sequence(items.iter().filter_map(|item| self.item(item)).collect()),
            Value::Mapping(entries) => Value::Mapping(
                entries.iter().map(|entry| Entry { value: self.resolved(&entry.value), key: entry.key.clone(), ..*entry }).collect(),
            ),
            plain @ (Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::String(_)) => plain.clone(),
        };
        Node { place: node.place, value }
    }

    /// An item of a list; one that leads nowhere is left out, so that its problem is told once.
    fn item(&mut self, item: &'e Node) -> Option<Node> {
        match &item.value {
            Value::Reference(path) => self.value_at(path, item.place),
            Value::Null
            | Value::Bool(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::String(_)
            | Value::Sequence(_)
            | Value::Mapping(_) => Some(self.resolved(item)),
        }
    }

    /// None when it leads nowhere, which is told.
    fn value_at(&mut self, path: &'e [String], place: Place) -> Option<Node> {
        // Once the pipeline is too large, nothing is written out any more.
        if self.budget.told {
            return None;
        }
        let shown = shown(path);
        if self.chain.contains(&path) {
            let all: Vec<String> = self.chain.iter().copied().chain([path]).map(self::shown).collect();
            let message = format!("these references name each other: {}", all.join(" → "));
            self.problems.error(place, "reference-circle", message).hint("write one of them out");
            return None;
        }
        if self.chain.len() >= CHAIN_LIMIT {
            self.problems.error(place, "reference-depth", format!("more than {CHAIN_LIMIT} references lead to `{shown}`"));
            return None;
        }
        // Nothing and `false` count as missing, as they do in GitLab (`reference.rb`: `raise … unless value`).
        let found = self.find(path).filter(|found| !matches!(found.value, Value::Null | Value::Bool(false)));
        let Some(found) = found else {
            let message = format!("`!reference {shown}` leads to nothing");
            let near = path.first().map(String::as_str).unwrap_or_default();
            let names: Vec<&str> = self.index.keys().copied().filter(|name| *name != near).collect();
            let known = self.index.contains_key(near);
            let told = self.problems.error(place, "unknown-reference", message);
            if known {
                told.hint(format!("`{near}` is there, but not what is named in it"));
            } else {
                told.suggest(near, names, "a reference starts at the top of the file, for instance `[.setup, script]`".to_owned());
            }
            return None;
        };
        if !self.budget.afford(self.problems, found.size(), place) {
            return None;
        }
        self.chain.push(path);
        let resolved = self.resolved(found);
        self.chain.pop();
        Some(resolved)
    }

    fn find(&self, path: &[String]) -> Option<&'e Node> {
        let (first, rest) = path.split_first()?;
        let start = self.index.get(first.as_str()).copied()?;
        rest.iter().try_fold(start, |node, key| node.get(key))
    }
}

fn shown(path: &[String]) -> String {
    let text = format!("[{}]", path.join(", "));
    if text.chars().count() <= 80 { text } else { text.chars().take(80).chain(['…']).collect() }
}
