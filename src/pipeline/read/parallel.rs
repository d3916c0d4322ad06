//! `parallel`: a number, or a matrix.

use super::fields::Context;
use super::variables::{self, is_name};
use crate::document::{Node, Place, Value};
use crate::pipeline::keyword;
use crate::pipeline::matrix::{self, INSTANCE_LIMIT, Matrix, Parallel};

pub(super) fn read(context: &mut Context, subject: &str, node: &Node, place: Place) -> Option<Parallel> {
    match &node.value {
        Value::Integer(count) => {
            let fits =
                u32::try_from(*count).ok().filter(|count| (1..=INSTANCE_LIMIT).contains(&usize::try_from(*count).unwrap_or_default()));
            if fits.is_none() {
                context.problems.error(node.place, "parallel", format!("{subject} is {count}; it can be 1 to {INSTANCE_LIMIT}"));
            }
            fits.map(Parallel::Count)
        }
        Value::Mapping(entries) => {
            let mut found = None;
            for entry in context.keywords(subject, keyword::PARALLEL, entries) {
                found = matrix(context, &format!("{subject}: `matrix`"), &entry.value, entry.place);
            }
            if !Context::says(node, "matrix") {
                context.problems.error(node.place, "parallel", format!("{subject} has no `matrix`"));
            }
            found.map(Parallel::Matrix)
        }
        Value::Null | Value::Bool(_) | Value::Float(_) | Value::String(_) | Value::Sequence(_) | Value::Reference(_) => {
            context.wrong_type(subject, "a whole number or a `matrix`", node, place);
            None
        }
    }
}

/// A list of mappings from variables to a value or values (`lib/gitlab/ci/config/entry/product/`).
pub(super) fn matrix(context: &mut Context, subject: &str, node: &Node, place: Place) -> Option<Matrix> {
    let Some(items) = node.items() else {
        context.wrong_type(subject, "a list of mappings", node, place);
        return None;
    };
    let mut matrix = Matrix::new();
    let mut whole = true;
    for item in items {
        let of = format!("an entry of {subject}");
        let Some(entries) = context.entries(&of, item, node.place) else {
            whole = false;
            continue;
        };
        let mut lists = Vec::with_capacity(entries.len());
        for entry in entries {
            if !is_name(&entry.key) {
                let message = format!("{of}: `{}` is no name of a variable", entry.key);
                context.problems.error(entry.place, "variable-name", message).hint("letters, digits and `_`, and no digit first");
                whole = false;
            }
            variables::unquoted(context, &of, entry);
            let single = std::slice::from_ref(&entry.value);
            let values = entry.value.items().unwrap_or(single);
            // Text and whole numbers (`legacy_validation_helpers.rb`, `validate_array_value_variables`).
            let plain = |value: &&Node| matches!(value.value, Value::String(_) | Value::Integer(_));
            let texts: Vec<String> = values.iter().filter(plain).filter_map(Node::scalar_text).collect();
            if texts.is_empty() || texts.len() < values.len() {
                let wrong = values.iter().find(|value| !plain(value)).unwrap_or(&entry.value);
                context.wrong_type(&format!("{of}: `{}`", entry.key), "text, a whole number or a list of them", wrong, entry.place);
                whole = false;
            }
            lists.push((entry.key.clone(), texts));
        }
        if lists.is_empty() {
            context.problems.error(item.place, "parallel", format!("{of} names no variable"));
            whole = false;
        }
        matrix.push(lists);
    }
    let count = matrix::count(&matrix);
    if count > INSTANCE_LIMIT {
        let message = format!("{subject} makes more than {INSTANCE_LIMIT} jobs");
        context.problems.error(node.place, "parallel", message);
        return None;
    }
    if items.is_empty() {
        context.problems.error(node.place, "parallel", format!("{subject} is empty"));
        return None;
    }
    whole.then_some(matrix)
}
