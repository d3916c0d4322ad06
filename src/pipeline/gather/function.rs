//! What can be done with a value before it is put in (GitLab `lib/gitlab/ci/config/interpolation/functions/`): each takes text.

use crate::document::{Node, Value};
use crate::pipeline::expand;

/// Variables for `expand_vars`: those of the run that `include` sees.
pub(super) struct Variables<'v> {
    pub(super) known: &'v dyn Fn(&str) -> Option<String>,
    /// Whether one of that name is masked: it is never put into a file.
    pub(super) masked: &'v dyn Fn(&str) -> bool,
}

/// What a function makes of a value; `last` says that none comes after it.
pub(super) fn call(function: &str, node: &Node, variables: &Variables<'_>, last: bool) -> Result<Node, String> {
    let name = function.split('(').next().unwrap_or_default();
    let argument = function.strip_prefix(name).unwrap_or_default();
    let text = || node.as_str().ok_or_else(|| format!("`{name}` takes text, and this is {}", node.kind()));
    let value = match (name, argument) {
        ("expand_vars", "") => Value::String(expanded(text()?, variables)?),
        ("posix_escape", "") => Value::String(posix_escape(text()?)),
        ("truncate", _) => {
            let (offset, length) = range(argument).ok_or_else(|| none_such(function))?;
            Value::String(text()?.chars().skip(offset).take(length).collect())
        }
        ("split", _) => {
            let separator = argument.strip_prefix("('").and_then(|rest| rest.strip_suffix("')")).filter(|text| !text.contains('\''));
            let separator = separator.ok_or_else(|| none_such(function))?;
            if !last {
                return Err("`split` gives a list, so no function can come after it".to_owned());
            }
            if separator.is_empty() {
                return Err("`split` has nothing to split at".to_owned());
            }
            let item = |text: &str| Node { place: node.place, value: Value::String(text.to_owned()) };
            Value::Sequence(text()?.split(separator).map(str::trim).filter(|text| !text.is_empty()).map(item).collect())
        }
        _ => return Err(none_such(function)),
    };
    Ok(Node { place: node.place, value })
}

fn none_such(function: &str) -> String {
    let shown: String = function.chars().take(60).collect();
    format!("`{shown}` is none of `expand_vars`, `truncate(OFFSET,LENGTH)`, `posix_escape`, `split('SEPARATOR')`")
}

/// `(2,5)`; the closing bracket may be missing (`truncate.rb`).
fn range(argument: &str) -> Option<(usize, usize)> {
    let inner = argument.strip_prefix('(')?;
    let (offset, length) = inner.strip_suffix(')').unwrap_or(inner).split_once(',')?;
    let digits = |text: &str| Some(text.trim()).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok();
    Some((digits(offset)?, digits(length)?))
}

fn expanded(text: &str, variables: &Variables<'_>) -> Result<String, String> {
    let masked = std::cell::Cell::new(false);
    let known = |name: &str| {
        masked.set(masked.get() || (variables.masked)(name));
        (variables.known)(name)
    };
    let made = expand::owned(text, &known);
    if masked.get() {
        return Err("`expand_vars`: a masked variable is never put into a file".to_owned());
    }
    Ok(made.unwrap_or_else(|| text.to_owned()))
}

/// Ruby's `Shellwords.escape`.
fn posix_escape(value: &str) -> String {
    if value.is_empty() {
        return "''".to_owned();
    }
    let mut out = String::with_capacity(value.len());
    for letter in value.chars() {
        match letter {
            '\n' => out.push_str("'\n'"),
            plain if plain.is_ascii_alphanumeric() || "_-.,:+/@".contains(plain) => out.push(plain),
            other => out.extend(['\\', other]),
        }
    }
    out
}
