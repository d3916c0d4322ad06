//! `spec: inputs` and what is given for them (GitLab `lib/gitlab/ci/config/interpolation/inputs/`, `entry/base_input.rb`).

use std::collections::BTreeMap;

use regex::RegexBuilder;

use crate::document::{Entry, Node, Place, Value};
use crate::pipeline::files::Elsewhere;
use crate::pipeline::keyword;
use crate::pipeline::read::Context;

/// A value as it is put into the text.
pub(super) type Values = BTreeMap<String, String>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    Truth,
    Array,
}

const KINDS: &[(&str, Kind)] = &[("string", Kind::Text), ("number", Kind::Number), ("boolean", Kind::Truth), ("array", Kind::Array)];

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "a number",
            Self::Truth => "true or false",
            Self::Array => "a list",
        }
    }

    fn fits(self, node: &Node) -> bool {
        match (&node.value, self) {
            (Value::String(_), Self::Text)
            | (Value::Integer(_) | Value::Float(_), Self::Number)
            | (Value::Bool(_), Self::Truth)
            | (Value::Sequence(_), Self::Array) => true,
            (
                Value::Null
                | Value::Bool(_)
                | Value::Integer(_)
                | Value::Float(_)
                | Value::String(_)
                | Value::Sequence(_)
                | Value::Mapping(_)
                | Value::Reference(_),
                Self::Text | Self::Number | Self::Truth | Self::Array,
            ) => false,
        }
    }
}

#[derive(Default)]
struct Specification {
    kind: Option<Kind>,
    default: Option<Node>,
    options: Option<Vec<String>>,
    options_place: Option<Place>,
    pattern: Option<(String, Place)>,
}

/// Who gives inputs, for the place of what is missing.
pub(super) struct Given<'g> {
    pub(super) entries: &'g [Entry],
    /// The include, or the file's own start.
    pub(super) place: Place,
    /// The component that the file is of.
    pub(super) component: Option<&'g Component>,
}

/// A component that is included.
pub(super) struct Component {
    pub(super) name: String,
    pub(super) elsewhere: Elsewhere,
}

/// The value of each input, as text. None when one cannot be had; its problem is told.
pub(super) fn values(context: &mut Context, specified: &[Entry], given: &Given<'_>) -> Option<Values> {
    let mut values = Values::new();
    let mut whole = true;
    for entry in specified {
        let specification = specification(context, entry);
        match value(context, entry, &specification, given) {
            Some(value) => {
                values.insert(entry.key.clone(), value);
            }
            None => whole = false,
        }
    }
    for extra in given.entries.iter().filter(|extra| !specified.iter().any(|entry| entry.key == extra.key)) {
        let names = specified.iter().map(|entry| entry.key.as_str());
        let message = format!("there is no input `{}`", extra.key);
        context.problems.error(extra.place, "unknown-input", message).suggest(&extra.key, names, None);
        whole = false;
    }
    whole.then_some(values)
}

fn specification(context: &mut Context, entry: &Entry) -> Specification {
    let mut read = Specification::default();
    if entry.value.is_null() {
        return read;
    }
    let of = format!("the input `{}`", entry.key);
    let Some(fields) = context.entries(&of, &entry.value, entry.place) else { return read };
    for field in context.keywords(&of, keyword::INPUT, fields) {
        let subject = format!("{of}: `{}`", field.key);
        match field.key.as_str() {
            "type" => read.kind = context.word(&subject, KINDS, &field.value, field.place),
            "default" => read.default = Some(field.value.clone()),
            "options" => {
                let items = field.value.items().unwrap_or_default();
                if items.is_empty() || items.iter().any(|item| item.scalar_text().is_none()) {
                    context.wrong_type(&subject, "a list of values", &field.value, field.place);
                }
                read.options_place = Some(field.value.place);
                read.options = Some(items.iter().filter_map(Node::scalar_text).collect());
            }
            "description" => {
                context.text(&subject, &field.value, field.place);
            }
            "regex" => read.pattern = context.text(&subject, &field.value, field.place).map(|text| (text, field.value.place)),
            _ => {}
        }
    }
    read
}

fn value(context: &mut Context, entry: &Entry, specification: &Specification, given: &Given<'_>) -> Option<String> {
    let name = &entry.key;
    let kind = specification.kind.unwrap_or(Kind::Text);
    if let Some(place) = specification.options_place.filter(|_| matches!(kind, Kind::Truth | Kind::Array)) {
        context.problems.error(place, "input-value", format!("the input `{name}` is {}, which can have no `options`", kind.name()));
        return None;
    }
    if let Some((_, place)) = specification.pattern.as_ref().filter(|_| kind != Kind::Text) {
        context.problems.error(*place, "input-value", format!("the input `{name}` is {}, which can have no `regex`", kind.name()));
        return None;
    }
    let ours = given.entries.iter().find(|one| one.key == *name && !one.value.is_null());
    // A default must be right also where a value is given (`base_input.rb`, `validate!`).
    let default = specification.default.as_ref().map(|default| {
        let place = if default.is_null() { entry.place } else { default.place };
        checked(context, name, specification, kind, (default, place, "default"))
    });
    match (ours, default) {
        (_, Some(None)) => None,
        (Some(given), _) => checked(context, name, specification, kind, (&given.value, given.value.place, "value")),
        (None, Some(default)) => default,
        (None, None) => {
            let message = format!("the input `{name}` must be given: it has no default");
            context.problems.error(given.place, "missing-input", message).hint(format!("add `inputs: {{{name}: …}}` to the include"));
            None
        }
    }
}

/// The text of a value that the input may have.
fn checked(
    context: &mut Context,
    name: &str,
    specification: &Specification,
    kind: Kind,
    (node, place, whose): (&Node, Place, &str),
) -> Option<String> {
    if !kind.fits(node) {
        let message = format!("the {whose} of the input `{name}` must be {}, not {}", kind.name(), node.kind());
        context.problems.error(place, "input-value", message);
        return None;
    }
    let text = written(node);
    if let Some(options) = &specification.options
        && !options.contains(&text)
    {
        let message = format!("the {whose} `{text}` of the input `{name}` is none of its options");
        context.problems.error(place, "input-value", message).suggest(&text, options.iter().map(String::as_str), options.join(", "));
        return None;
    }
    if let Some((pattern, pattern_place)) = &specification.pattern {
        match RegexBuilder::new(pattern).size_limit(1 << 20).build() {
            Err(_) => {
                context.problems.error(*pattern_place, "input-value", format!("the `regex` of the input `{name}` is no pattern"));
                return None;
            }
            Ok(compiled) if !compiled.is_match(&text) => {
                let message = format!("the {whose} `{text}` of the input `{name}` does not match `{pattern}`");
                context.problems.error(place, "input-value", message);
                return None;
            }
            Ok(_) => {}
        }
    }
    Some(text)
}

/// Text as it is, everything else as JSON (`interpolation/text_template.rb`).
fn written(node: &Node) -> String {
    match &node.value {
        Value::String(text) => text.clone(),
        Value::Null
        | Value::Bool(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Sequence(_)
        | Value::Mapping(_)
        | Value::Reference(_) => json(node).to_string(),
    }
}

fn json(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(truth) => (*truth).into(),
        Value::Integer(number) => (*number).into(),
        Value::Float(number) => (*number).into(),
        Value::String(text) => text.clone().into(),
        Value::Sequence(items) => items.iter().map(json).collect(),
        Value::Mapping(entries) => entries.iter().map(|entry| (entry.key.clone(), json(&entry.value))).collect(),
        Value::Reference(path) => path.iter().cloned().collect(),
    }
}
