//! `variables`.

use super::fields::{Context, shorten};
use crate::document::{Entry, KeyWord, Node, Place};
use crate::pipeline::keyword;
use crate::pipeline::spec::Variable;

/// Variables with which GitLab's runner is steered and that change what a job does: what is not obeyed of them, the values that change nothing
/// here, and what to do instead (`doc/ci/runners/configure_runners.md`). Those that only say how files are fetched and kept are not among them.
const STEERING: &[(&str, &[&str], &str)] = &[
    ("CI_DEBUG_TRACE", &["", "false"], "`set -x` in the script shows each command"),
    ("GIT_CHECKOUT", &["", "true"], "every job has a checkout of the run's commit"),
    ("GIT_CLEAN_FLAGS", &["", "-ffdx"], "every job has a fresh checkout: `cache` and `artifacts` keep files"),
    ("GIT_CLONE_PATH", &[""], "`$CI_PROJECT_DIR` says where the checkout is"),
    ("GIT_STRATEGY", &["", "fetch", "clone"], "every job has a checkout of the run's commit"),
    ("GIT_SUBMODULE_PATHS", &[""], "every submodule is checked out, or none"),
    ("RUNNER_AFTER_SCRIPT_TIMEOUT", &["", "5m"], "`after_script` has five minutes"),
    ("RUNNER_SCRIPT_TIMEOUT", &["", "0"], "`timeout` ends the whole job"),
];

/// Whose variables they are: what a mapping in place of a value may say is not the same (`entry/variables.rb`, `allowed_value_data`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// The file's own: everything.
    File,
    /// A job's: its value, and whether it is expanded.
    Job,
    /// A rule's or a service's: no mapping, and a value.
    Scalars,
}

pub(super) fn read(context: &mut Context, subject: &str, whose: Whose, node: &Node, place: Place) -> Vec<Variable> {
    let Some(entries) = context.entries(subject, node, place) else { return Vec::new() };
    entries.iter().filter_map(|entry| variable(context, subject, whose, entry)).collect()
}

fn variable(context: &mut Context, subject: &str, whose: Whose, entry: &Entry) -> Option<Variable> {
    let name = &entry.key;
    if !is_name(name) {
        let message = format!("{subject}: `{}` is no name of a variable", shorten(name));
        context.problems.error(entry.place, "variable-name", message).hint("letters, digits and `_`, and no digit first");
        return None;
    }
    unquoted(context, subject, entry);
    let of = format!("{subject}: `{name}`");
    let (value, raw) = match entry.value.entries() {
        Some(fields) if whose != Whose::Scalars => described(context, &of, whose, entry, fields)?,
        // To GitLab nothing is an empty mapping here (`composable_hash.rb`).
        None if whose == Whose::Scalars && entry.value.is_null() => {
            context.wrong_type(&of, "text, a number or a boolean", &entry.value, entry.place);
            return None;
        }
        Some(_) | None => (scalar(context, &of, &entry.value, entry.place)?, false),
    };
    if let Some((_, _, hint)) = STEERING.iter().find(|(steering, idle, _)| steering == name && !idle.contains(&value.as_str())) {
        let message = format!("{subject}: `{name}: {}` is not honoured", shorten(&value));
        context.problems.warning(entry.place, "not-honoured", message).hint(*hint);
    }
    Some(Variable { name: name.clone(), place: entry.place, value, raw })
}

/// A name that YAML reads as something else than text or a number is none to GitLab (`entry/variable.rb`: `validates :key, alphanumeric`).
pub(super) fn unquoted(context: &mut Context, subject: &str, entry: &Entry) {
    if let Some(word @ (KeyWord::Nothing | KeyWord::Truth)) = entry.word {
        let message = format!("{subject}: `{}` is no name of a variable: without quotes it is {}", entry.key, word.kind());
        context.problems.error(entry.place, "variable-name", message).hint(format!("write `\"{}\":`", entry.key));
    }
}

fn described(context: &mut Context, of: &str, whose: Whose, entry: &Entry, fields: &[Entry]) -> Option<(String, bool)> {
    let (mut value, mut raw, mut options, mut is_text) = (None, false, None, true);
    for field in context.keywords(of, keyword::VARIABLE, fields) {
        let subject = format!("{of}: `{}`", field.key);
        if whose == Whose::Job && ["description", "options"].contains(&field.key.as_str()) {
            let message = format!("{subject} is for the variables of the file, not of a job");
            context.problems.error(field.place, "variable-value", message).hint("of a job's a mapping can say `value` and `expand`");
            continue;
        }
        match field.key.as_str() {
            "value" => {
                is_text = field.value.as_str().is_some();
                value = Some((scalar(context, &subject, &field.value, field.place)?, field.value.place));
            }
            "expand" => raw = !context.truth(&subject, &field.value, field.place)?,
            "options" => options = Some(context.texts(&subject, &field.value, field.place)).filter(|options| !options.is_empty()),
            _ if field.value.as_integer().is_some() => {}
            _ => {
                context.text(&subject, &field.value, field.place);
            }
        }
    }
    let Some((value, place)) = value else {
        // Without a value GitLab asks for one in its form; here it is given with `--variable`.
        if options.is_some() {
            context.problems.error(entry.place, "variable-value", format!("{of} has options but no value")).hint("add `value:`");
        }
        return options.is_none().then_some((String::new(), raw));
    };
    if let Some(options) = options.filter(|options| !is_text || !options.contains(&value)) {
        let message = format!("{of}: the value `{}` is not among its options", shorten(&value));
        context.problems.error(place, "variable-value", message).suggest(&value, options.iter().map(String::as_str), None);
    }
    Some((value, raw))
}

fn scalar(context: &mut Context, subject: &str, node: &Node, place: Place) -> Option<String> {
    let text = node.scalar_text();
    if text.is_none() {
        context.wrong_type(subject, "text, a number or a boolean", node, place);
    }
    text
}

/// What a shell can export.
pub(super) fn is_name(name: &str) -> bool {
    !name.starts_with(|letter: char| letter.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
