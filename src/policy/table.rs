//! A mapping of settings: known keys only, values of the kind that is meant, each mistake with its place and what was meant.

use std::fmt::Display;
use std::str::FromStr;

use super::Problem;
use super::known::Mapping;
use super::near::nearest;
use crate::document::{Entry, Node, Place};

/// A mapping whose keys are all known.
pub(super) struct Table<'a> {
    /// How people name it: `.hms.canary`.
    path: String,
    pub(super) place: Place,
    entries: &'a [Entry],
}

impl<'a> Table<'a> {
    /// Takes a node for a mapping with these keys at most. Nothing at all is an empty one.
    pub(super) fn of(node: &'a Node, path: &str, known: &Mapping) -> Result<Self, Problem> {
        let table = Self::open(node, path)?;
        match table.entries.iter().find(|entry| !known.keys.contains(&entry.key.as_str())) {
            None => Ok(table),
            Some(entry) => {
                let problem = Problem::new(entry.place, format!("`{}.{}` is not known", path, entry.key.escape_debug()));
                Err(problem.hint(match nearest(&entry.key, known.keys) {
                    Some(word) => format!("did you mean `{word}`?"),
                    None => format!("known here: {}", known.keys.join(", ")),
                }))
            }
        }
    }

    /// Takes a node for a mapping whose keys are names.
    pub(super) fn open(node: &'a Node, path: &str) -> Result<Self, Problem> {
        let entries = match (node.entries(), node.is_null()) {
            (Some(entries), _) => entries,
            (None, true) => &[],
            (None, false) => return Err(Problem::new(node.place, format!("`{path}` must be a mapping, not {}", node.kind()))),
        };
        Ok(Self { path: path.to_owned(), place: node.place, entries })
    }

    /// The keys with their places, and each one's node with its path.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&'a str, Place, &'a Node, String)> {
        self.entries.iter().map(|entry| (entry.key.as_str(), entry.place, &entry.value, self.path_of(&entry.key)))
    }

    pub(super) fn node(&self, key: &str) -> Option<&'a Node> {
        self.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value).filter(|node| !node.is_null())
    }

    pub(super) fn path_of(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }

    /// The mapping under a key; an empty one when the key is not there.
    pub(super) fn table(&self, key: &str, known: &Mapping) -> Result<Table<'a>, Problem> {
        match self.node(key) {
            Some(node) => Table::of(node, &self.path_of(key), known),
            None => Ok(Table { path: self.path_of(key), place: self.place, entries: &[] }),
        }
    }

    /// A text, a number or a truth value, as text.
    pub(super) fn text(&self, key: &str) -> Result<Option<String>, Problem> {
        self.node(key).map(|node| text_of(node, &self.path_of(key))).transpose()
    }

    /// A value that `read` understands.
    pub(super) fn read<T, E: Display>(&self, key: &str, read: impl FnOnce(&str) -> Result<T, E>) -> Result<Option<T>, Problem> {
        let Some(node) = self.node(key) else { return Ok(None) };
        let path = self.path_of(key);
        read(&text_of(node, &path)?).map(Some).map_err(|error| Problem::new(node.place, format!("`{path}`: {error}")))
    }

    /// A value that can be parsed.
    pub(super) fn parsed<T>(&self, key: &str) -> Result<Option<T>, Problem>
    where
        T: FromStr,
        T::Err: Display,
    {
        self.read(key, str::parse)
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&self, key: &str, words: &[(&str, T)]) -> Result<Option<T>, Problem> {
        let Some(node) = self.node(key) else { return Ok(None) };
        let path = self.path_of(key);
        let text = text_of(node, &path)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Ok(Some(*value));
        }
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let problem = Problem::new(node.place, format!("`{path}`: `{}` is not one of {}", text.escape_debug(), known.join(", ")));
        Err(match nearest(&text, &known) {
            Some(word) => problem.hint(format!("did you mean `{word}`?")),
            None => problem,
        })
    }

    /// A truth value.
    pub(super) fn truth(&self, key: &str) -> Result<Option<bool>, Problem> {
        let Some(node) = self.node(key) else { return Ok(None) };
        let wrong = || Problem::new(node.place, format!("`{}` must be true or false, not {}", self.path_of(key), node.kind()));
        node.as_bool().map(Some).ok_or_else(wrong)
    }

    /// The items of a list with their paths; a single value is a list of one.
    pub(super) fn list(&self, key: &str) -> Vec<(&'a Node, String)> {
        let Some(node) = self.node(key) else { return Vec::new() };
        let path = self.path_of(key);
        match node.items() {
            Some(items) => items.iter().enumerate().map(|(number, item)| (item, format!("{path}[{number}]"))).collect(),
            None => vec![(node, path)],
        }
    }

    /// A list of values that can be parsed.
    pub(super) fn parsed_list<T>(&self, key: &str) -> Result<Vec<T>, Problem>
    where
        T: FromStr,
        T::Err: Display,
    {
        let read = |(node, path): (&Node, String)| {
            text_of(node, &path)?.parse().map_err(|error| Problem::new(node.place, format!("`{path}`: {error}")))
        };
        self.list(key).into_iter().map(read).collect()
    }

    /// A mistake at the value of a key, or at the mapping when the key is not there.
    pub(super) fn problem(&self, key: &str, message: &str) -> Problem {
        let place = self.node(key).map_or(self.place, |node| node.place);
        Problem::new(place, format!("`{}`: {message}", self.path_of(key)))
    }

    /// Refuses a value that does not hold.
    pub(super) fn must(&self, key: &str, good: bool, message: &str) -> Result<(), Problem> {
        if good { Ok(()) } else { Err(self.problem(key, message)) }
    }
}

fn text_of(node: &Node, path: &str) -> Result<String, Problem> {
    let wrong = || Problem::new(node.place, format!("`{path}` must be one value, not {}", node.kind()));
    // A block (`|`) ends with a line break that nobody means.
    let text = node.scalar_text().ok_or_else(wrong)?.trim_end_matches('\n').to_owned();
    if text.chars().any(char::is_control) {
        return Err(Problem::new(node.place, format!("`{path}` has a control character")));
    }
    Ok(text)
}
