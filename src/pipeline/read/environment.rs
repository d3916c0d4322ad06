//! `environment`.

use super::fields::Context;
use crate::document::{Node, Place};
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
        return Some(EnvironmentSpec { name, place: node.place, url: None, tier: None, action: Action::Start });
    };
    let (mut name, mut url, mut tier, mut action) = (None, None, None, Action::Start);
    for entry in context.keywords(subject, keyword::ENVIRONMENT, entries) {
        let of = format!("{subject}: `{}`", entry.key);
        match entry.key.as_str() {
            "name" => name = context.text(&of, &entry.value, entry.place).map(|name| (name, entry.value.place)),
            "url" => url = context.text(&of, &entry.value, entry.place),
            "action" => action = context.word(&of, ACTIONS, &entry.value, entry.place).unwrap_or(Action::Start),
            "deployment_tier" => tier = context.word(&of, TIERS, &entry.value, entry.place).map(str::to_owned),
            _ => {}
        }
    }
    if node.get("name").is_none() {
        context.problems.error(node.place, "environment-name", format!("{subject} has no `name`"));
    }
    name.map(|(name, place)| EnvironmentSpec { name, place, url, tier, action })
}
