//! The header of a file: a document of its own before `---` that says with `spec: inputs` what the rest may be given.

use crate::document::{self, Entry, Node, Place};
use crate::pipeline::keyword;
use crate::pipeline::read::Context;

/// A file in its two parts. Lines keep their numbers: what is not part of the content is there as empty lines.
pub(super) struct Split {
    /// What the header says; none when the file has none.
    pub(super) header: Option<Header>,
    pub(super) content: String,
}

/// What a header says.
#[derive(Default)]
pub(super) struct Header {
    /// What stands under `spec: inputs`.
    pub(super) inputs: Vec<Entry>,
    /// Files that more inputs are in: `spec: include`.
    pub(super) include: Option<Entry>,
    /// What the file wants to know of itself as a component: `spec: component`.
    pub(super) component: Vec<&'static str>,
}

/// What a component can know of itself (`doc/ci/yaml/_index.md#speccomponent`).
const OF_COMPONENT: &[(&str, &str)] = &[("name", "name"), ("sha", "sha"), ("version", "version"), ("reference", "reference")];

/// GitLab's limit (`header/spec.rb`).
const DESCRIPTION_LIMIT: usize = 256;

/// Splits a text (`lib/gitlab/ci/config/yaml/loader.rb`: a header has `spec`, and comes first).
pub(super) fn split(context: &mut Context, text: &str, file: u16) -> Split {
    let Some((mut root, rest)) = parted(text) else { return Split { header: None, content: text.to_owned() } };
    root.relocate(&|place| Place { file, ..place });
    Split { header: Some(header(context, &root)), content: rest }
}

/// The part of a text that is not its header.
pub(in crate::pipeline) fn content(text: &str) -> String {
    parted(text).map_or_else(|| text.to_owned(), |(_, content)| content)
}

/// The header as a tree, and the content; none when there is no header. A first document that cannot be read is content, where
/// its problem is told.
fn parted(text: &str) -> Option<(Node, String)> {
    let (header, content) = parts(text, &dividers(text))?;
    if !header.contains("spec") {
        return None;
    }
    let root = document::parse(header.as_bytes()).ok()?;
    root.get("spec").is_some().then_some((root, content))
}

/// Where lines start that divide documents.
fn dividers(text: &str) -> Vec<usize> {
    let divides = |at: &usize| {
        let rest = text.get(*at..).and_then(|line| line.strip_prefix("---"));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
    };
    document::line_starts(text).filter(divides).collect()
}

/// The first document that holds anything, and all after it, each with empty lines for what is not its own.
fn parts(text: &str, dividers: &[usize]) -> Option<(String, String)> {
    let empty =
        |part: &str| part.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#') || line.starts_with("---"));
    let end = *dividers.iter().find(|at| !empty(text.get(..**at).unwrap_or_default()))?;
    let header = text.get(..end)?;
    let blank_lines = "\n".repeat(document::line_starts(header).count() - 1);
    // A second `---` in the content is left for the reader of documents to refuse.
    Some((header.to_owned(), blank_lines + text.get(end..)?))
}

fn header(context: &mut Context, root: &Node) -> Header {
    let mut header = Header::default();
    for entry in root.entries().unwrap_or_default() {
        if entry.key != "spec" {
            let message = format!("`{}` cannot stand in the header, where `spec` is", entry.key);
            context.problems.error(entry.place, "unknown-key", message).hint("move it below the line `---`");
            continue;
        }
        let Some(fields) = context.entries("`spec`", &entry.value, entry.place) else { continue };
        for field in context.keywords("`spec`", keyword::SPEC, fields) {
            match field.key.as_str() {
                _ if field.value.is_null() => {}
                "inputs" => header.inputs = context.entries("`spec`: `inputs`", &field.value, field.place).unwrap_or_default().to_vec(),
                "include" => header.include = Some(field.clone()),
                "description" => {
                    let text = context.text("`spec`: `description`", &field.value, field.place);
                    if text.is_some_and(|text| text.chars().count() > DESCRIPTION_LIMIT) {
                        let message = format!("`spec`: `description` has more than {DESCRIPTION_LIMIT} letters");
                        context.problems.error(field.value.place, "too-long", message);
                    }
                }
                "component" => match field.value.items() {
                    Some(items) => {
                        let of = "an entry of `spec`: `component`";
                        header.component = items.iter().filter_map(|item| context.word(of, OF_COMPONENT, item, field.place)).collect();
                    }
                    None => context.wrong_type("`spec`: `component`", "a list of words", &field.value, field.place),
                },
                _ => {}
            }
        }
    }
    header
}
