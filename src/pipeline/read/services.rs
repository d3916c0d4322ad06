//! `services`: containers beside the job.

use super::fields::Context;
use super::variables::Whose;
use super::{image, script, variables};
use crate::document::{Node, Place};
use crate::pipeline::kept::Service;
use crate::pipeline::keyword;

pub(super) fn read(context: &mut Context, subject: &str, node: &Node, place: Place) -> Vec<Service> {
    let Some(items) = node.items() else {
        context.wrong_type(subject, "a list of services", node, place);
        return Vec::new();
    };
    items.iter().filter_map(|item| service(context, subject, item, place)).collect()
}

fn service(context: &mut Context, subject: &str, node: &Node, place: Place) -> Option<Service> {
    let of = format!("an entry of {subject}");
    let Some(entries) = node.entries() else {
        let name = context.text(&of, node, place)?;
        return Some(Service { name, ..Service::default() });
    };
    let mut service = Service::default();
    for entry in context.keywords(&of, keyword::SERVICE, entries) {
        let field = format!("{of}: `{}`", entry.key);
        match entry.key.as_str() {
            "name" => service.name = context.text(&field, &entry.value, entry.place).unwrap_or_default(),
            "alias" => {
                let alias = context.text(&field, &entry.value, entry.place).unwrap_or_default();
                service.alias = alias.split([' ', ',']).filter(|name| !name.is_empty()).map(str::to_owned).collect();
            }
            "entrypoint" => service.entrypoint = Some(image::words(context, &field, &entry.value, entry.place)),
            // Text, or texts in lists (`entry/service.rb`: `Entry::Commands`).
            "command" => {
                let lines = script::read(context, &field, &entry.value, entry.place);
                service.command = Some(lines.into_iter().map(|line| line.text).collect());
            }
            "pull_policy" => service.image.pull_policy = image::pull_policy(context, &field, &entry.value, entry.place),
            "variables" => {
                let own = variables::read(context, &field, Whose::Scalars, &entry.value, entry.place);
                service.variables = own.into_iter().map(|variable| (variable.name, variable.value)).collect();
            }
            "docker" | "kubernetes" => image::options_known(context, &field, entry),
            _ => {}
        }
    }
    if !Context::says(node, "name") {
        context.problems.error(node.place, "image-name", format!("{of} has no `name`"));
    }
    Some(service)
}
