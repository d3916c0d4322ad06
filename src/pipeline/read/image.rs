//! `image`: a name, or a mapping with one.

use super::fields::Context;
use crate::document::{Node, Place};
use crate::pipeline::keyword;

pub(super) fn read(context: &mut Context, subject: &str, node: &Node, place: Place) -> Option<String> {
    let Some(entries) = node.entries() else { return context.text(subject, node, place) };
    let mut name = None;
    for entry in context.keywords(subject, keyword::IMAGE, entries) {
        if entry.key == "name" {
            name = context.text(&format!("{subject}: `name`"), &entry.value, entry.place);
        }
    }
    if node.get("name").is_none() {
        context.problems.error(node.place, "image-name", format!("{subject} has no `name`"));
    }
    name
}
