//! `spec: inputs` and what is given for them (GitLab `lib/gitlab/ci/config/header/input.rb`, `lib/ci/inputs/`).

use regex::RegexBuilder;

use super::input_rules::{self, Ruled};
use super::spelling::spelt;
use crate::document::{Entry, Node, Place, Value};
use crate::pipeline::files::Elsewhere;
use crate::pipeline::keyword;
use crate::pipeline::read::Context;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    Truth,
    Array,
}

const KINDS: &[(&str, Kind)] = &[("string", Kind::Text), ("number", Kind::Number), ("boolean", Kind::Truth), ("array", Kind::Array)];

/// GitLab's limit for `options`.
const OPTION_LIMIT: usize = 50;

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "a number",
            Self::Truth => "true or false",
            Self::Array => "a list",
        }
    }

    /// Text is made of anything; to the others text is JSON (`coerced_value`).
    fn made_of(self, node: &Node) -> Node {
        let value = match (&node.value, self) {
            (_, Self::Text) => Value::String(spelt(node)),
            (Value::String(text), Self::Number | Self::Truth | Self::Array) => {
                return from_json(text, node.place).unwrap_or_else(|| node.clone());
            }
            (other, Self::Number | Self::Truth | Self::Array) => other.clone(),
        };
        Node { place: node.place, value }
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
    options: Option<Node>,
    pattern: Option<(String, Place)>,
    rules: Option<Vec<Ruled>>,
}

impl Specification {
    /// Whether a value must be given (`required?`): a default of nothing is one.
    fn is_required(&self) -> bool {
        self.default.is_none() && !self.rules.iter().flatten().any(|rule| rule.default.is_some())
    }
}

/// Who gives inputs, for the place of what is missing.
pub(super) struct Given<'g> {
    pub(super) entries: &'g [Entry],
    /// The include; none when they are given for a run.
    pub(super) include: Option<Place>,
    /// The component that the file is of.
    pub(super) component: Option<&'g Component>,
}

impl Given<'_> {
    /// The include, or the file's own start.
    pub(super) fn place(&self) -> Place {
        self.include.unwrap_or(Place::START)
    }
}

/// A component that is included.
pub(super) struct Component {
    pub(super) name: String,
    pub(super) elsewhere: Elsewhere,
}

/// The value of each input. None when one cannot be had; its problem is told.
pub(super) fn values(context: &mut Context, specified: &[Entry], given: &Given<'_>) -> Option<Vec<Entry>> {
    let specifications: Vec<Specification> = specified.iter().map(|entry| specification(context, entry)).collect();
    let ruled: Vec<&[Ruled]> = specifications.iter().map(|one| one.rules.as_deref().unwrap_or_default()).collect();
    let mut whole = input_rules::check(context, specified, &ruled);
    let mut values: Vec<Entry> = Vec::with_capacity(specified.len());
    for (entry, specification) in specified.iter().zip(&specifications) {
        match value(context, entry, specification, given, &values) {
            Some(value) => values.push(Entry { value, ..entry.clone() }),
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
    // A default of nothing is one.
    read.default = entry.value.get("default").cloned();
    for field in context.keywords(&of, keyword::INPUT, fields) {
        let subject = format!("{of}: `{}`", field.key);
        match field.key.as_str() {
            "type" => read.kind = context.word(&subject, KINDS, &field.value, field.place),
            "options" => read.options = options(context, &subject, field),
            "description" if field.value.as_integer().is_none() => {
                context.text(&subject, &field.value, field.place);
            }
            "regex" => read.pattern = context.text(&subject, &field.value, field.place).map(|text| (text, field.value.place)),
            "rules" => read.rules = input_rules::read(context, &subject, field),
            _ => {}
        }
    }
    for key in ["options", "default"] {
        if let (Some(_), Some(other)) = (entry.value.get("rules"), fields.iter().find(|field| field.key == key)) {
            let message = format!("{of}: `{key}` cannot go with `rules`");
            context.problems.error(other.place, "input-rules", message).hint("say it in the rules; the last may have no `if`");
        }
    }
    read
}

/// A list of values, at most fifty.
pub(super) fn options(context: &mut Context, subject: &str, field: &Entry) -> Option<Node> {
    let items = field.value.items();
    if items.is_none_or(|items| items.iter().any(|item| item.is_null() || item.scalar_text().is_none())) {
        context.wrong_type(subject, "a list of values", &field.value, field.place);
        return None;
    }
    let count = items.map_or(0, <[Node]>::len);
    if count > OPTION_LIMIT {
        let message = format!("{subject} has {count} values; at most {OPTION_LIMIT} are allowed");
        context.problems.error(field.value.place, "input-value", message);
    }
    Some(field.value.clone())
}

/// `resolved` are the values of the inputs before this one: rules see them, and what was given for those after it.
fn value(context: &mut Context, entry: &Entry, specification: &Specification, given: &Given<'_>, resolved: &[Entry]) -> Option<Node> {
    let name = &entry.key;
    let kind = specification.kind.unwrap_or(Kind::Text);
    if let Some(options) = specification.options.as_ref().filter(|_| matches!(kind, Kind::Truth | Kind::Array)) {
        context.problems.error(options.place, "input-value", format!("the input `{name}` is {}, which can have no `options`", kind.name()));
        return None;
    }
    if let Some((_, place)) = specification.pattern.as_ref().filter(|_| kind != Kind::Text) {
        context.problems.error(*place, "input-value", format!("the input `{name}` is {}, which can have no `regex`", kind.name()));
        return None;
    }
    let rules = specification.rules.as_deref();
    let left_blank = |node: &Node| node.is_null() || (rules.is_some() && node.as_str() == Some(""));
    let ours = given.entries.iter().find(|one| one.key == *name && !left_blank(&one.value));
    if ours.is_none() && specification.is_required() {
        let message = format!("the input `{name}` must be given: it has no default");
        let hint =
            given.include.map_or(format!("give it: `--input {name}=…`"), |_| format!("add `inputs: {{{name}: …}}` to the include"));
        context.problems.error(given.include.unwrap_or(entry.place), "missing-input", message).hint(hint);
        return None;
    }
    let rule = rules.and_then(|rules| input_rules::chosen(rules, resolved, given.entries));
    let chosen = rule.and_then(|rule| rule.default.as_ref()).filter(|default| !default.is_null());
    let default = chosen.or(specification.default.as_ref().filter(|default| !default.is_null()));
    let options = rule.and_then(|rule| rule.options.as_ref()).or(specification.options.as_ref()).and_then(Node::items);
    let wanted = Wanted { name, kind, options, pattern: specification.pattern.as_ref() };
    // A default must be right also where a value is given (`base_input.rb`, `validate_param!`).
    let default = default.map(|default| wanted.checked(context, default, "default"));
    match (ours, default) {
        (_, Some(None)) => None,
        (Some(ours), _) => {
            // What was typed has no place in a file.
            let place = given.include.map_or(entry.place, |_| ours.value.place);
            wanted.checked(context, &Node { place, ..ours.value.clone() }, "value")
        }
        (None, Some(default)) => default,
        // A default of nothing: text is empty then.
        (None, None) if kind == Kind::Text => Some(Node { place: entry.place, value: Value::String(String::new()) }),
        (None, None) => Some(Node { place: entry.place, value: Value::Null }),
    }
}

/// What a value must be.
struct Wanted<'w> {
    name: &'w str,
    kind: Kind,
    options: Option<&'w [Node]>,
    pattern: Option<&'w (String, Place)>,
}

impl Wanted<'_> {
    fn checked(&self, context: &mut Context, node: &Node, whose: &str) -> Option<Node> {
        let Self { name, kind, options, pattern } = self;
        let value = kind.made_of(node);
        if !kind.fits(&value) {
            let message = format!("the {whose} of the input `{name}` must be {}, not {}", kind.name(), node.kind());
            context.problems.error(node.place, "input-value", message);
            return None;
        }
        let text = spelt(&value);
        if let Some(options) = options
            && !options.iter().any(|option| is_option(*kind, option, &value))
        {
            let all: Vec<String> = options.iter().map(spelt).collect();
            let message = format!("the {whose} `{text}` of the input `{name}` is none of its options");
            let told = context.problems.error(node.place, "input-value", message);
            told.suggest(&text, all.iter().map(String::as_str), all.join(", "));
            return None;
        }
        if let Some((pattern, place)) = pattern {
            match RegexBuilder::new(pattern).size_limit(1 << 20).build() {
                Err(_) => {
                    context.problems.error(*place, "input-value", format!("the `regex` of the input `{name}` is no pattern"));
                    return None;
                }
                Ok(compiled) if !compiled.is_match(&text) => {
                    let message = format!("the {whose} `{text}` of the input `{name}` does not match `{pattern}`");
                    context.problems.error(node.place, "input-value", message);
                    return None;
                }
                Ok(_) => {}
            }
        }
        Some(value)
    }
}

/// Options of text are spelt, those of a number are numbers (`string_input.rb`, `number_input.rb`).
fn is_option(kind: Kind, option: &Node, value: &Node) -> bool {
    match kind {
        Kind::Text => Some(spelt(option).as_str()) == value.as_str(),
        Kind::Number | Kind::Truth | Kind::Array => match (&option.value, &value.value) {
            (Value::Integer(one), Value::Integer(other)) => one == other,
            (Value::Integer(_) | Value::Float(_), Value::Integer(_) | Value::Float(_)) => {
                option.scalar_text().and_then(|text| text.parse::<f64>().ok()) == value.scalar_text().and_then(|text| text.parse().ok())
            }
            (one, other) => one == other,
        },
    }
}

fn from_json(text: &str, place: Place) -> Option<Node> {
    fn node(json: serde_json::Value, place: Place) -> Node {
        let value = match json {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(truth) => Value::Bool(truth),
            serde_json::Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(whole), _) => Value::Integer(whole),
                (None, Some(float)) => Value::Float(float),
                (None, None) => Value::String(number.to_string()),
            },
            serde_json::Value::String(text) => Value::String(text),
            serde_json::Value::Array(items) => Value::Sequence(items.into_iter().map(|item| node(item, place)).collect()),
            serde_json::Value::Object(fields) => {
                Value::Mapping(fields.into_iter().map(|(key, value)| Entry::new(key, place, node(value, place))).collect())
            }
        };
        Node { place, value }
    }
    serde_json::from_str(text).ok().map(|json| node(json, place))
}
