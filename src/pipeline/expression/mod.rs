//! The language of `rules:if` (GitLab `lib/gitlab/ci/pipeline/expression/`, `doc/ci/jobs/job_rules.md`).
//!
//! `$NAME`, `"text"`, `'text'`, `null`, `true`, `false`, `/regex/ismU`, and in the rules of an input `$[[ inputs.NAME ]]`; `!`, then
//! `==` `!=` `=~` `!~`, then `&&`, then `||`, and parentheses around any of it. Everything has a value, as in Ruby: `&&` and `||` give
//! one of their sides, and an empty text counts as something there (`$EMPTY && "x"` is `"x"`), but not to `!`. The whole holds when its
//! value is neither nothing, nor false, nor empty. A truth value is equal to a text that spells it (`lexeme/logical_operator.rb`).
//! Patterns are searched, not anchored.

mod parser;
#[cfg(test)]
mod tests;

use regex::{Regex, RegexBuilder};

/// A condition, parsed.
#[derive(Debug, Clone)]
pub(super) struct Expression {
    text: String,
    root: Tree,
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

#[derive(Debug, Clone)]
enum Tree {
    Variable(String),
    Input(String),
    Text(String),
    Truth(bool),
    Null,
    Pattern(Regex),
    Not(Box<Tree>),
    Two(Operator, Box<Tree>, Box<Tree>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    Different,
    Matches,
    Misses,
    And,
    Or,
}

/// What a part of a condition comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'v> {
    Null,
    Truth(bool),
    Text(&'v str),
    /// A number or a list, spelt out: equal to its like alone.
    Other(&'v str),
    /// A pattern that stands alone is something.
    Pattern(&'v str),
}

impl Value<'_> {
    /// Rails' `present?`: blanks alone are nothing.
    fn is_present(self) -> bool {
        match self {
            Value::Null | Value::Truth(false) => false,
            Value::Text(text) => !text.trim().is_empty(),
            Value::Other(text) => text != "[]",
            Value::Truth(true) | Value::Pattern(_) => true,
        }
    }

    fn equals(self, other: Value<'_>) -> bool {
        match (self, other) {
            (Value::Truth(truth), Value::Text(text)) | (Value::Text(text), Value::Truth(truth)) => text == spelt(truth),
            (one, other) => one == other,
        }
    }
}

fn spelt(truth: bool) -> &'static str {
    if truth { "true" } else { "false" }
}

/// What a condition sees.
struct Scope<'s, 'v> {
    variable: &'s dyn Fn(&str) -> Option<&'v str>,
    input: &'s dyn Fn(&str) -> Value<'v>,
}

/// A text that is no condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadExpression {
    /// Where in the text, in characters from 0.
    pub(super) offset: usize,
    pub(super) message: String,
}

impl Expression {
    pub(super) fn parse(text: &str) -> Result<Self, BadExpression> {
        Ok(Self { text: text.to_owned(), root: parser::parse(text)? })
    }

    /// As it was written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether it holds for these variables.
    pub(super) fn holds<'v>(&'v self, variable: &impl Fn(&str) -> Option<&'v str>) -> bool {
        self.root.value(&Scope { variable, input: &|_| Value::Null }).is_present()
    }

    /// Whether it holds for these inputs. Rules of an input know no variables (`lib/ci/inputs/rules_evaluator.rb`).
    pub(super) fn holds_for_inputs<'v>(&'v self, input: &impl Fn(&str) -> Value<'v>) -> bool {
        self.root.value(&Scope { variable: &|_| None, input }).is_present()
    }

    /// The variables in it, each once, in its order.
    pub(super) fn variables(&self) -> Vec<&str> {
        self.names(|tree| if let Tree::Variable(name) = tree { Some(name) } else { None })
    }

    /// The inputs in it, each once, in its order.
    pub(super) fn inputs(&self) -> Vec<&str> {
        self.names(|tree| if let Tree::Input(name) = tree { Some(name) } else { None })
    }

    fn names(&self, of: impl Fn(&Tree) -> Option<&String>) -> Vec<&str> {
        let mut found = Vec::new();
        let mut open = vec![&self.root];
        while let Some(tree) = open.pop() {
            match tree {
                Tree::Two(_, left, right) => open.extend([&**right, &**left]),
                Tree::Not(operand) => open.push(operand),
                Tree::Variable(_) | Tree::Input(_) | Tree::Text(_) | Tree::Truth(_) | Tree::Null | Tree::Pattern(_) => {
                    found.extend(of(tree).map(String::as_str).filter(|name| !found.contains(name)));
                }
            }
        }
        found
    }
}

impl Tree {
    fn value<'v>(&'v self, scope: &Scope<'_, 'v>) -> Value<'v> {
        match self {
            Self::Variable(name) => (scope.variable)(name).map_or(Value::Null, Value::Text),
            Self::Input(name) => (scope.input)(name),
            Self::Text(text) => Value::Text(text),
            Self::Truth(truth) => Value::Truth(*truth),
            Self::Null => Value::Null,
            Self::Pattern(pattern) => Value::Pattern(pattern.as_str()),
            Self::Not(operand) => Value::Truth(!operand.value(scope).is_present()),
            Self::Two(Operator::And, left, right) => match left.value(scope) {
                nothing @ (Value::Null | Value::Truth(false)) => nothing,
                Value::Truth(true) | Value::Text(_) | Value::Other(_) | Value::Pattern(_) => right.value(scope),
            },
            Self::Two(Operator::Or, left, right) => match left.value(scope) {
                Value::Null | Value::Truth(false) => right.value(scope),
                something @ (Value::Truth(true) | Value::Text(_) | Value::Other(_) | Value::Pattern(_)) => something,
            },
            Self::Two(Operator::Equal, left, right) => Value::Truth(left.value(scope).equals(right.value(scope))),
            Self::Two(Operator::Different, left, right) => Value::Truth(!left.value(scope).equals(right.value(scope))),
            Self::Two(Operator::Matches, left, right) => Value::Truth(matches(left, right, scope)),
            Self::Two(Operator::Misses, left, right) => Value::Truth(!matches(left, right, scope)),
        }
    }
}

/// A variable on the right is a pattern when its value is `/…/`; in any other text the left is looked for, as GitLab does. What is
/// not set is like an empty text on the left, and matches nothing on the right.
fn matches<'v>(left: &'v Tree, right: &'v Tree, scope: &Scope<'_, 'v>) -> bool {
    let subject = match left.value(scope) {
        Value::Null => "",
        Value::Truth(truth) => spelt(truth),
        Value::Text(text) | Value::Other(text) | Value::Pattern(text) => text,
    };
    if let Tree::Pattern(pattern) = right {
        return pattern.is_match(subject);
    }
    let Value::Text(text) = right.value(scope) else { return false };
    match slashed(text).and_then(|(pattern, flags)| compile(pattern, flags).ok()) {
        Some(pattern) => pattern.is_match(subject),
        None => text.contains(subject),
    }
}

fn slashed(text: &str) -> Option<(&str, &str)> {
    let (pattern, flags) = text.strip_prefix('/')?.rsplit_once('/')?;
    flags.bytes().all(|flag| matches!(flag, b'i' | b's' | b'm' | b'U')).then_some((pattern, flags))
}

fn compile(pattern: &str, flags: &str) -> Result<Regex, String> {
    // In a literal a slash is escaped; to the pattern it is a plain letter.
    RegexBuilder::new(&pattern.replace("\\/", "/"))
        .case_insensitive(flags.contains('i'))
        .dot_matches_new_line(flags.contains('s'))
        .multi_line(flags.contains('m'))
        .swap_greed(flags.contains('U'))
        .size_limit(1 << 20)
        .build()
        .map_err(|error| error.to_string().lines().last().unwrap_or_default().to_owned())
}
