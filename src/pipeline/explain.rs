//! A job as it is after includes, `extends`, references and defaults: each key with the place it came from.

use super::keyword;
use super::spec::Pipeline;
use crate::document::{Entry, Node};

/// A key of a job.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Explained<'p> {
    /// The key with its value; both know where they were written.
    pub entry: &'p Entry,
    /// Whether it is the file's default and not the job's own.
    pub by_default: bool,
}

impl Pipeline {
    /// The keys of a job of the file, its own first, then the defaults that it takes. None when there is no such job.
    #[must_use]
    pub fn explained(&self, job: &str) -> Option<Vec<Explained<'_>>> {
        let spec = self.jobs.iter().find(|spec| spec.name == job)?;
        let of = |key: &str| self.tree.iter().find(|entry| entry.key == key).map(|entry| &entry.value);
        let own = of(&spec.name)?;
        let mut all: Vec<Explained<'_>> =
            own.entries().unwrap_or_default().iter().map(|entry| Explained { entry, by_default: false }).collect();
        let defaults = of("default").and_then(Node::entries).unwrap_or_default();
        // What may stand in `default` may stand at the top as well.
        for (key, _) in keyword::DEFAULT {
            let here = defaults.iter().find(|entry| entry.key == *key).or_else(|| self.tree.iter().find(|entry| entry.key == *key));
            let wanted =
                own.get(key).is_none_or(Node::is_null) && takes(own.get("inherit").and_then(|inherit| inherit.get("default")), key);
            all.extend(here.filter(|_| wanted).map(|entry| Explained { entry, by_default: true }));
        }
        Some(all)
    }
}

/// Whether `inherit: default` takes a key.
fn takes(inherit: Option<&Node>, key: &str) -> bool {
    let Some(inherit) = inherit else { return true };
    match inherit.items() {
        Some(items) => items.iter().any(|item| item.as_str() == Some(key)),
        None => inherit.as_bool() != Some(false),
    }
}
