//! `<<`, as GitLab merges (ruby/psych `to_ruby.rb`, `revive_hash`): at the place where it stands. Keys written after it win
//! over it, and it wins over keys written before it; in a list of mappings the first one wins.

use std::collections::HashMap;

use super::{DocumentError, Entry, Node, Place, Value};

/// A mapping that grows; it finds its keys without looking through them.
#[derive(Debug, Default)]
pub(super) struct Growing {
    entries: Vec<Entry>,
    found: HashMap<String, (usize, Origin)>,
}

#[derive(Debug, Clone, Copy)]
enum Origin {
    Written,
    Merged,
}

impl Growing {
    /// Adds a key that was written.
    ///
    /// # Errors
    /// When it was written before.
    pub(super) fn add(&mut self, entry: Entry) -> Result<(), DocumentError> {
        if entry.key == "<<" {
            return self.merge(entry.value);
        }
        if let Some((index, Origin::Written)) = self.found.get(&entry.key) {
            let first = self.entries.get(*index).map_or(Place::START, |earlier| earlier.place);
            let message =
                format!("the key `{}` is here twice; the first is at line {}, column {}", shorten(&entry.key), first.line, first.column);
            return Err(DocumentError::new(entry.place, message).hint("remove one of the two, or give it another name"));
        }
        self.put(entry, Origin::Written);
        Ok(())
    }

    pub(super) fn into_entries(self) -> Vec<Entry> {
        self.entries
    }

    fn merge(&mut self, value: Node) -> Result<(), DocumentError> {
        match value.value {
            Value::Mapping(entries) => {
                for entry in entries {
                    self.put(entry, Origin::Merged);
                }
                Ok(())
            }
            Value::Sequence(items) => items.into_iter().rev().try_for_each(|item| match item.value {
                Value::Mapping(_) => self.merge(item),
                Value::Null
                | Value::Bool(_)
                | Value::Integer(_)
                | Value::Float(_)
                | Value::String(_)
                | Value::Sequence(_)
                | Value::Reference(_) => Err(not_a_mapping(&item)),
            }),
            Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::String(_) | Value::Reference(_) => {
                Err(not_a_mapping(&value))
            }
        }
    }

    fn put(&mut self, entry: Entry, origin: Origin) {
        if let Some((index, known)) = self.found.get_mut(&entry.key) {
            // A key that was written stays written, also when a later `<<` gives it another value.
            if matches!(origin, Origin::Written) {
                *known = Origin::Written;
            }
            if let Some(place) = self.entries.get_mut(*index) {
                *place = entry;
            }
            return;
        }
        self.found.insert(entry.key.clone(), (self.entries.len(), origin));
        self.entries.push(entry);
    }
}

fn not_a_mapping(node: &Node) -> DocumentError {
    DocumentError::new(node.place, format!("`<<` takes a mapping or a list of mappings, not {}", node.kind()))
        .hint("name an anchor, as in `<<: *defaults`")
}

/// A key for people: its first 60 characters.
pub(super) fn shorten(key: &str) -> String {
    if key.chars().count() <= 60 { key.to_owned() } else { key.chars().take(60).chain(['…']).collect() }
}
