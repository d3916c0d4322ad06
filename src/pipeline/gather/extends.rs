//! `extends` (GitLab `lib/gitlab/ci/config/extendable/`): every mapping at the top may name others that it is merged over.

use std::collections::HashMap;

use super::Budget;
use super::merge::merge;
use crate::document::{Entry, Place, Value};
use crate::pipeline::problem::Problems;

/// Eleven levels of inheritance (`extendable/entry.rb`, `MAX_NESTING_LEVELS`; `doc/ci/yaml/_index.md#extends`).
const LEVELS: usize = 11;

/// Merges what is named under each. What cannot be merged stays as it is, with its problem told.
pub(super) fn extend(problems: &mut Problems, budget: &mut Budget, entries: &mut [Entry]) {
    if !entries.iter().any(|entry| entry.value.get("extends").is_some()) {
        return;
    }
    let mut extending = Extending {
        index: entries.iter().enumerate().map(|(at, entry)| (entry.key.clone(), at)).collect(),
        states: vec![State::New; entries.len()],
        entries,
        chain: Vec::new(),
        problems,
        budget,
    };
    for at in 0..extending.entries.len() {
        extending.level(at);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    Open,
    /// Done, with how many levels lie below it.
    Done(usize),
}

struct Extending<'e> {
    index: HashMap<String, usize>,
    states: Vec<State>,
    entries: &'e mut [Entry],
    chain: Vec<usize>,
    problems: &'e mut Problems,
    budget: &'e mut Budget,
}

impl Extending<'_> {
    /// Merges what one names, that first, and gives how many levels it has below it. The chain is bounded by the limit.
    fn level(&mut self, at: usize) -> usize {
        match self.states.get(at) {
            Some(State::Done(level)) => return *level,
            Some(State::New) => {}
            Some(State::Open) | None => return 0,
        }
        // Once the pipeline is too large, nothing is written out any more.
        let bases = if self.budget.told { Vec::new() } else { self.bases(at) };
        if bases.is_empty() {
            self.set(at, State::Done(0));
            return 0;
        }
        self.set(at, State::Open);
        self.chain.push(at);
        let mut level = 0;
        let mut merged: Vec<Entry> = Vec::new();
        for (base, place) in bases {
            if self.states.get(base) == Some(&State::Open) {
                self.tell_circle(base, place);
                continue;
            }
            if self.chain.len() > LEVELS && self.extends(base) {
                self.too_deep(at, place);
                continue;
            }
            let below = self.level(base) + 1;
            if below > LEVELS {
                self.too_deep(at, place);
                continue;
            }
            level = level.max(below);
            let Some(base) = self.entries.get(base) else { continue };
            let entries = base.value.entries().unwrap_or_default();
            if !self.budget.afford(self.problems, base.value.size(), place) {
                continue;
            }
            let without = entries.iter().filter(|entry| entry.key != "extends").cloned().collect();
            merge(&mut merged, without);
        }
        if let Some(entry) = self.entries.get_mut(at)
            && let Value::Mapping(own) = std::mem::replace(&mut entry.value.value, Value::Null)
        {
            merge(&mut merged, own);
            entry.value.value = Value::Mapping(merged);
        }
        self.chain.pop();
        self.set(at, State::Done(level));
        level
    }

    fn set(&mut self, at: usize, state: State) {
        if let Some(place) = self.states.get_mut(at) {
            *place = state;
        }
    }

    fn extends(&self, at: usize) -> bool {
        self.entries.get(at).is_some_and(|entry| entry.value.get("extends").is_some())
    }

    /// What `extends` names, as places in the list.
    fn bases(&mut self, at: usize) -> Vec<(usize, Place)> {
        let Some(entry) = self.entries.get(at) else { return Vec::new() };
        // Nothing names nothing (`extendable/entry.rb`: `Array(nil)`).
        let Some(wanted) = entry.value.get("extends").filter(|wanted| !wanted.is_null()) else { return Vec::new() };
        let of = format!("`{}`: `extends`", shorten(&entry.key));
        let single = std::slice::from_ref(wanted);
        let items = wanted.items().unwrap_or(single);
        let mut bases = Vec::with_capacity(items.len());
        for item in items {
            let Some(name) = item.as_str() else {
                self.problems
                    .error(item.place, "type", format!("{of} must be a name or a list of names, not {}", item.kind()))
                    .hint("for instance `extends: .base`");
                continue;
            };
            match self.index.get(name).and_then(|base| Some((*base, self.entries.get(*base)?))) {
                Some((base, found)) if found.value.entries().is_some() => bases.push((base, item.place)),
                Some((_, found)) => {
                    let message = format!("{of} names `{}`, which is {} and no mapping", shorten(name), found.value.kind());
                    self.problems.error(item.place, "extends-base", message).hint("only jobs and hidden jobs can be extended");
                }
                None => {
                    let names: Vec<&str> = self.entries.iter().map(|entry| entry.key.as_str()).filter(|key| *key != entry.key).collect();
                    let message = format!("{of} names `{}`, and there is no such key", shorten(name));
                    self.problems.error(item.place, "unknown-extends", message).suggest(name, names, None);
                }
            }
        }
        bases
    }

    fn tell_circle(&mut self, base: usize, place: Place) {
        let from = self.chain.iter().position(|open| *open == base).unwrap_or_default();
        let members = self.chain.iter().skip(from).chain([&base]).filter_map(|at| self.entries.get(*at));
        let names: Vec<&str> = members.map(|entry| entry.key.as_str()).collect();
        let message = format!("these extend each other: {}", names.join(" → "));
        self.problems.error(place, "extends-circle", message).hint("remove one of these `extends`");
    }

    fn too_deep(&mut self, at: usize, place: Place) {
        let name = self.entries.get(at).map(|entry| shorten(&entry.key)).unwrap_or_default();
        let message = format!("`{name}`: `extends` goes more than {LEVELS} levels deep");
        self.problems.error(place, "extends-depth", message).hint("three levels are as many as are easily read");
    }
}

fn shorten(text: &str) -> String {
    if text.chars().count() <= 60 { text.to_owned() } else { text.chars().take(60).chain(['…']).collect() }
}
