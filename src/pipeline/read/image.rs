//! `image`: a name, or a mapping with one.

use super::fields::Context;
use crate::document::{Node, Place, Value};
use crate::pipeline::kept::ImageOptions;
use crate::pipeline::keyword;

const PULL_POLICIES: &[(&str, &str)] = &[("always", "always"), ("if-not-present", "if-not-present"), ("never", "never")];

pub(super) fn read(context: &mut Context, subject: &str, node: &Node, place: Place) -> (Option<String>, ImageOptions) {
    let mut options = ImageOptions::default();
    let Some(entries) = node.entries() else { return (context.text(subject, node, place), options) };
    let mut name = None;
    for entry in context.keywords(subject, keyword::IMAGE, entries) {
        let of = format!("{subject}: `{}`", entry.key);
        match entry.key.as_str() {
            "name" => name = context.text(&of, &entry.value, entry.place),
            "entrypoint" => options.entrypoint = Some(words(context, &of, &entry.value, entry.place)),
            "pull_policy" => options.pull_policy = pull_policy(context, &of, &entry.value, entry.place),
            "user" => options.user = context.text(&of, &entry.value, entry.place),
            "docker" | "kubernetes" => {
                let field = |key: &str| entry.value.get(key).and_then(Node::as_str).map(str::to_owned);
                options.platform = field("platform").or(options.platform);
                options.user = field("user").or(options.user);
            }
            _ => {}
        }
    }
    if node.get("name").is_none() {
        context.problems.error(node.place, "image-name", format!("{subject} has no `name`"));
    }
    (name, options)
}

/// A text or texts, of which one may be empty: that is how an image's own entrypoint is taken away.
fn words(context: &mut Context, subject: &str, node: &Node, place: Place) -> Vec<String> {
    let single = std::slice::from_ref(node);
    let mut words = Vec::new();
    for item in node.items().unwrap_or(single) {
        match &item.value {
            Value::String(text) => words.push(text.clone()),
            Value::Null
            | Value::Bool(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Sequence(_)
            | Value::Mapping(_)
            | Value::Reference(_) => context.wrong_type(subject, "text or a list of texts", item, place),
        }
    }
    words
}

pub(super) fn pull_policy(context: &mut Context, subject: &str, node: &Node, place: Place) -> Vec<String> {
    let single = std::slice::from_ref(node);
    let items = node.items().unwrap_or(single);
    items.iter().filter_map(|item| context.word(subject, PULL_POLICIES, item, place)).map(str::to_owned).collect()
}
