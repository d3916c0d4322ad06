//! `inherit`: which defaults and which of the file's variables a job takes.

use super::fields::Context;
use crate::document::{Entry, Node, Value};
use crate::pipeline::keyword;
use crate::pipeline::spec::Inherit;

/// What a job takes of `default` and of the file's `variables`.
#[derive(Default)]
pub(super) struct Inherits {
    pub(super) defaults: Inherit,
    pub(super) variables: Inherit,
}

pub(super) fn read(context: &mut Context, job: &str, fields: &[Entry]) -> Inherits {
    let mut inherits = Inherits::default();
    let Some(field) = fields.iter().find(|field| field.key == "inherit") else { return inherits };
    let subject = format!("{job}: `inherit`");
    let Some(entries) = context.entries(&subject, &field.value, field.place) else { return inherits };
    for entry in context.keywords(&subject, keyword::INHERIT, entries) {
        let of = format!("{subject}: `{}`", entry.key);
        match entry.key.as_str() {
            "default" => {
                inherits.defaults = which(context, &of, entry);
                known(context, &of, &entry.value);
            }
            "variables" => inherits.variables = which(context, &of, entry),
            _ => {}
        }
    }
    inherits
}

fn which(context: &mut Context, of: &str, entry: &Entry) -> Inherit {
    match &entry.value.value {
        Value::Bool(true) => Inherit::All,
        Value::Bool(false) => Inherit::None,
        Value::Sequence(_) => Inherit::Named(context.texts(of, &entry.value, entry.place)),
        Value::Null | Value::Integer(_) | Value::Float(_) | Value::String(_) | Value::Mapping(_) | Value::Reference(_) => {
            context.wrong_type(of, "true, false or a list of names", &entry.value, entry.place);
            Inherit::All
        }
    }
}

/// Only what `default` can hold can be named (`entry/inherit/default.rb`).
fn known(context: &mut Context, of: &str, node: &Node) {
    for item in node.items().unwrap_or_default() {
        let names = || keyword::DEFAULT.iter().map(|(name, _)| *name);
        if let Some(name) = item.as_str().filter(|name| !names().any(|known| known == *name)) {
            let message = format!("{of}: `default` holds no `{name}`");
            context.problems.error(item.place, "unknown-value", message).suggest(name, names(), None);
        }
    }
}
