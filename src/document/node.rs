//! The tree: values with places.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A place in the text. Places order by file, then as they are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// Which of several texts that were put together; 0 is the only one, or the first.
    #[serde(default)]
    pub file: u16,
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
}

impl Place {
    /// The first character.
    pub const START: Self = Self::at(1, 1);

    /// A place in the first text.
    #[must_use]
    pub const fn at(line: u32, column: u32) -> Self {
        Self { file: 0, line, column }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A value and where it starts. What came through an alias has the place where it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it starts.
    pub place: Place,
    /// What it is.
    pub value: Value,
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// `true`, and what GitLab takes for it.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A number with a point.
    Float(f64),
    /// Text.
    String(String),
    /// A list.
    Sequence(Vec<Node>),
    /// Keys and values in the order of the text; no key is there twice.
    Mapping(Vec<Entry>),
    /// GitLab's `!reference [a, b]`: the value at that path, which only whoever knows the whole can put here.
    /// [`parse`](super::parse) gives none.
    Reference(Vec<String>),
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key, as written.
    pub key: String,
    /// Where the key starts.
    pub place: Place,
    /// The value.
    pub value: Node,
    /// What GitLab takes the key for, where that is no text.
    pub word: Option<KeyWord>,
}

/// What an unquoted key is to YAML when it is no text (`on`, `1`, `~`, `2024-01-01`): no name of anything to GitLab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyWord {
    /// `null`, `~`.
    Nothing,
    /// `true`, `on`, `no`.
    Truth,
    /// `1`, `1.5`, `0x1F`, `1:30`.
    Number,
    /// `2024-01-01`: GitLab reads no file that has one.
    Date,
}

impl KeyWord {
    /// What a value is as a key; none for text.
    #[must_use]
    pub fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Null => Some(Self::Nothing),
            Value::Bool(_) => Some(Self::Truth),
            Value::Integer(_) | Value::Float(_) => Some(Self::Number),
            Value::String(_) | Value::Sequence(_) | Value::Mapping(_) | Value::Reference(_) => None,
        }
    }

    /// For an error: `a number`.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Truth => "a truth value",
            Self::Number => "a number",
            Self::Date => "a date",
        }
    }
}

impl Entry {
    /// A key that is text.
    #[must_use]
    pub fn new(key: impl Into<String>, place: Place, value: Node) -> Self {
        Self { key: key.into(), place, value, word: None }
    }
}

impl Node {
    /// The text, if it is text.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Value::String(text) = &self.value { Some(text) } else { None }
    }

    /// The truth value, if it is one.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        if let Value::Bool(truth) = self.value { Some(truth) } else { None }
    }

    /// The whole number, if it is one.
    #[must_use]
    pub fn as_integer(&self) -> Option<i64> {
        if let Value::Integer(number) = self.value { Some(number) } else { None }
    }

    /// The items, if it is a list.
    #[must_use]
    pub fn items(&self) -> Option<&[Node]> {
        if let Value::Sequence(items) = &self.value { Some(items) } else { None }
    }

    /// The entries, if it is a mapping.
    #[must_use]
    pub fn entries(&self) -> Option<&[Entry]> {
        if let Value::Mapping(entries) = &self.value { Some(entries) } else { None }
    }

    /// The value under a key, if this is a mapping that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries()?.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// Gives every key and value another place.
    pub fn relocate(&mut self, to: &impl Fn(Place) -> Place) {
        self.place = to(self.place);
        match &mut self.value {
            Value::Sequence(items) => items.iter_mut().for_each(|item| item.relocate(to)),
            Value::Mapping(entries) => entries.iter_mut().for_each(|entry| {
                entry.place = to(entry.place);
                entry.value.relocate(to);
            }),
            Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::String(_) | Value::Reference(_) => {}
        }
    }

    /// The same without places: what two texts say alike is equal.
    #[must_use]
    pub fn plain(&self) -> Self {
        let mut plain = self.clone();
        plain.relocate(&|_| Place::START);
        plain
    }

    /// How many values it has with all that are in it, and how many bytes of text.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        let add = |(nodes, bytes): (usize, usize), (more, text): (usize, usize)| (nodes + more, bytes + text);
        match &self.value {
            Value::Sequence(items) => items.iter().map(Self::size).fold((1, 0), add),
            Value::Mapping(entries) => entries.iter().map(|entry| add(entry.value.size(), (0, entry.key.len()))).fold((1, 0), add),
            Value::String(text) => (1, text.len()),
            Value::Reference(path) => (1, path.iter().map(String::len).sum()),
            Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) => (1, 0),
        }
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.value == Value::Null
    }

    /// A scalar as the text that GitLab makes of it: `yes` is `true`, `012` is `10`, `1.10` is `1.1`. None for lists and mappings.
    #[must_use]
    pub fn scalar_text(&self) -> Option<String> {
        match &self.value {
            Value::Null => Some(String::new()),
            Value::Bool(truth) => Some(truth.to_string()),
            Value::Integer(number) => Some(number.to_string()),
            Value::Float(number) => Some(ruby_float(*number)),
            Value::String(text) => Some(text.clone()),
            Value::Sequence(_) | Value::Mapping(_) | Value::Reference(_) => None,
        }
    }

    /// What it is, for an error: `a list`, `the number 3`.
    #[must_use]
    pub fn kind(&self) -> String {
        match &self.value {
            Value::Null => "nothing".to_owned(),
            Value::Bool(truth) => format!("the boolean {truth}"),
            Value::Integer(number) => format!("the number {number}"),
            Value::Float(number) => format!("the number {}", ruby_float(*number)),
            Value::String(_) => "text".to_owned(),
            Value::Sequence(_) => "a list".to_owned(),
            Value::Mapping(_) => "a mapping".to_owned(),
            Value::Reference(_) => "a `!reference`".to_owned(),
        }
    }
}

/// Ruby's `Float#to_s`, which is what reaches a job: an exponent from 1e16 on and below 1e-4.
fn ruby_float(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    if number == 0.0 || (1e-4..1e16).contains(&number.abs()) {
        return format!("{number:?}");
    }
    let text = format!("{number:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let point = if mantissa.contains('.') { "" } else { ".0" };
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
    format!("{mantissa}{point}e{sign}{digits:0>2}")
}

#[cfg(test)]
mod tests {
    use super::ruby_float;

    #[test]
    fn floats_are_spelt_as_ruby_spells_them() {
        let table =
            [(1.1, "1.1"), (1.0, "1.0"), (0.0, "0.0"), (1e16, "1.0e+16"), (1.5e20, "1.5e+20"), (0.00001, "1.0e-05"), (-2.5, "-2.5")];
        for (number, text) in table {
            assert_eq!(ruby_float(number), text);
        }
    }
}
