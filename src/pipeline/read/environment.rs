//! `environment`.

use super::fields::{Context, shorten};
use crate::document::{Entry, Node, Place};
use crate::pipeline::duration;
use crate::pipeline::environment::{LENGTH_LIMIT, is_environment_name};
use crate::pipeline::keyword;
use crate::pipeline::spec::{Action, EnvironmentSpec};

const ACTIONS: &[(&str, Action)] = &[
    ("start", Action::Start),
    ("prepare", Action::Prepare),
    ("stop", Action::Stop),
    ("verify", Action::Verify),
    ("access", Action::Access),
];

const TIERS: &[(&str, &str)] =
    &[("production", "production"), ("staging", "staging"), ("testing", "testing"), ("development", "development"), ("other", "other")];

pub(super) fn read(context: &mut Context, subject: &str, node: &Node, place: Place) -> Option<EnvironmentSpec> {
    let Some(entries) = node.entries() else {
        let name = context.text(subject, node, place)?;
        check_name(context, subject, &name, node.place);
        let (url, tier, action) = (None, None, Action::Start);
        return Some(EnvironmentSpec { name, place: node.place, url, tier, action, on_stop: None, auto_stop_in: None });
    };
    let (mut name, mut url, mut tier, mut action) = (None, None, None, Action::Start);
    let (mut on_stop, mut auto_stop_in) = (None, None);
    for entry in context.keywords(subject, keyword::ENVIRONMENT, entries) {
        let of = format!("{subject}: `{}`", entry.key);
        match entry.key.as_str() {
            "name" => {
                name = context.text(&of, &entry.value, entry.place).map(|name| (name, entry.value.place));
                if let Some((name, place)) = &name {
                    check_name(context, &of, name, *place);
                }
            }
            "url" => {
                url = context.text(&of, &entry.value, entry.place);
                if url.as_ref().is_some_and(|url| url.chars().count() > LENGTH_LIMIT) {
                    context.problems.error(entry.value.place, "too-long", format!("{of} has more than {LENGTH_LIMIT} letters"));
                }
            }
            "action" => action = context.word(&of, ACTIONS, &entry.value, entry.place).unwrap_or(Action::Start),
            "deployment_tier" => tier = context.word(&of, TIERS, &entry.value, entry.place).map(str::to_owned),
            "on_stop" => on_stop = context.text(&of, &entry.value, entry.place).map(|job| (job, entry.value.place)),
            "auto_stop_in" => auto_stop_in = auto_stop(context, &of, entry),
            _ => {}
        }
    }
    if !Context::says(node, "name") {
        context.problems.error(node.place, "environment-name", format!("{subject} has no `name`"));
    }
    name.map(|(name, place)| EnvironmentSpec { name, place, url, tier, action, on_stop, auto_stop_in })
}

fn check_name(context: &mut Context, subject: &str, name: &str, place: Place) {
    if !is_environment_name(name) {
        let message =
            format!("{subject} is `{}`: it can have letters, digits, blanks and `-_/${{}}.`, and no `/` at its ends", shorten(name));
        context.problems.error(place, "environment-name", message);
    }
}

/// A duration, `never`, or a variable that says it when the job runs.
fn auto_stop(context: &mut Context, of: &str, entry: &Entry) -> Option<(String, Place)> {
    let text = context.text(of, &entry.value, entry.place)?;
    if duration::parse(&text).is_none() && text != "never" && !text.contains('$') {
        let message = format!("{of} is `{}`, which is no duration", shorten(&text));
        context.problems.error(entry.value.place, "duration", message).hint("for instance `1 day` or `never`");
    }
    Some((text, entry.value.place))
}
