//! `image`: a name, or a mapping with one.

use super::fields::{Context, shorten};
use crate::document::{Entry, Node, Place, Value};
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
            "docker" | "kubernetes" => {
                options_known(context, &of, entry);
                let field = |key: &str| entry.value.get(key).and_then(Node::as_str).map(str::to_owned);
                options.platform = field("platform").or(options.platform);
                options.user = field("user").or(options.user);
            }
            _ => {}
        }
    }
    if !Context::says(node, "name") {
        context.problems.error(node.place, "image-name", format!("{subject} has no `name`"));
    }
    (name, options)
}

/// What an executor takes beside an image (`entry/schemas/imageable/executor_opts.json`).
pub(super) fn options_known(context: &mut Context, subject: &str, entry: &Entry) {
    let known: &[&str] = if entry.key == "docker" { &["platform", "user"] } else { &["user"] };
    for option in context.entries(subject, &entry.value, entry.place).unwrap_or_default() {
        if known.contains(&option.key.as_str()) {
            // Kubernetes names users by number as well.
            if entry.key == "docker" || option.value.as_integer().is_none() {
                context.text(&format!("{subject}: `{}`", option.key), &option.value, option.place);
            }
        } else {
            let message = format!("{subject}: unknown key `{}`", shorten(&option.key));
            context.problems.error(option.place, "unknown-key", message).suggest(&option.key, known.iter().copied(), None);
        }
    }
}

/// Texts, of which one may be empty: that is how an image's own entrypoint is taken away.
pub(super) fn words(context: &mut Context, subject: &str, node: &Node, place: Place) -> Vec<String> {
    let Some(items) = node.items() else {
        context.wrong_type(subject, "a list of texts", node, place);
        return Vec::new();
    };
    let mut words = Vec::new();
    for item in items {
        match &item.value {
            Value::String(text) => words.push(text.clone()),
            Value::Null
            | Value::Bool(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Sequence(_)
            | Value::Mapping(_)
            | Value::Reference(_) => context.wrong_type(&format!("an entry of {subject}"), "text", item, place),
        }
    }
    words
}

pub(super) fn pull_policy(context: &mut Context, subject: &str, node: &Node, place: Place) -> Vec<String> {
    let single = std::slice::from_ref(node);
    let items = node.items().unwrap_or(single);
    if items.is_empty() {
        context.problems.error(node.place, "blank", format!("{subject} is blank"));
    }
    items.iter().filter_map(|item| context.word(subject, PULL_POLICIES, item, place)).map(str::to_owned).collect()
}
