//! Ruby's `to_s` of a value that is put into a longer text, and of a list or mapping its `inspect`.

use crate::document::{Node, Value};

/// How Ruby spells a value.
pub(super) fn spelt(node: &Node) -> String {
    node.scalar_text().unwrap_or_else(|| inspected(node))
}

/// Keys are symbols, as in all that GitLab has read (`deep_symbolize_keys`).
fn inspected(node: &Node) -> String {
    let list = |items: Vec<String>| items.join(", ");
    match &node.value {
        Value::Null => "nil".to_owned(),
        Value::String(text) => quoted(text),
        Value::Sequence(items) => format!("[{}]", list(items.iter().map(inspected).collect())),
        Value::Mapping(entries) => {
            format!("{{{}}}", list(entries.iter().map(|entry| format!("{}=>{}", symbol(&entry.key), inspected(&entry.value))).collect()))
        }
        Value::Reference(path) => format!("[{}]", list(path.iter().map(|key| quoted(key)).collect())),
        Value::Bool(_) | Value::Integer(_) | Value::Float(_) => node.scalar_text().unwrap_or_default(),
    }
}

fn symbol(key: &str) -> String {
    let plain =
        key.chars().all(|letter| letter.is_alphanumeric() || letter == '_') && !key.starts_with(|letter: char| letter.is_ascii_digit());
    if plain { format!(":{key}") } else { format!(":{}", quoted(key)) }
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '#' if letters.peek().is_some_and(|next| matches!(next, '{' | '$' | '@')) => out.push_str("\\#"),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}
