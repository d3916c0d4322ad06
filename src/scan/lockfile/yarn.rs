//! `yarn.lock`, classic (v1) and berry: an entry starts at the margin with the requirements it answers and holds `version`.
//! An entry of berry names in `resolution` what it really is; workspaces, links and portals there are the project's own.

use super::{Ecosystem, LockfileError, Package, text};

#[derive(Default)]
struct Entry {
    line: usize,
    requirement: String,
    version: Option<String>,
    resolution: Option<String>,
}

pub(super) fn packages(bytes: &[u8]) -> Result<Vec<Package>, LockfileError> {
    let mut packages = Vec::new();
    let mut entry: Option<Entry> = None;
    for (index, line) in text::of(bytes)?.lines().enumerate() {
        let bad = |what| LockfileError::Line { line: index + 1, what };
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        if !line.starts_with(' ') {
            let head = line.strip_suffix(':').ok_or_else(|| bad("no entry of a yarn.lock"))?;
            if let Some(finished) = entry.replace(Entry { line: index + 1, requirement: head.to_owned(), ..Entry::default() }) {
                packages.extend(package(&finished)?);
            }
        } else if let Some(field) = line.strip_prefix("  ").filter(|field| !field.starts_with(' ')) {
            let entry = entry.as_mut().ok_or_else(|| bad("a field outside any entry"))?;
            let (name, value) = field.split_once(' ').unwrap_or((field, ""));
            match name.trim_end_matches(':') {
                "version" => entry.version = Some(unquoted(value).to_owned()),
                "resolution" => entry.resolution = Some(unquoted(value).to_owned()),
                _ => {}
            }
        }
    }
    if let Some(finished) = entry {
        packages.extend(package(&finished)?);
    }
    Ok(packages)
}

fn package(entry: &Entry) -> Result<Option<Package>, LockfileError> {
    let bad = |what| LockfileError::Line { line: entry.line, what };
    if entry.requirement == "__metadata" {
        return Ok(None);
    }
    let version = entry.version.as_deref().ok_or_else(|| bad("an entry without a version"))?;
    let first = entry.requirement.split(", ").next().map(unquoted).unwrap_or_default();
    let first = first.trim_end_matches('"');
    let wanted = entry.resolution.as_deref().unwrap_or(first);
    let (name, range) = name_and_range(wanted).ok_or_else(|| bad("an entry that names no package"))?;
    if entry.resolution.is_some() && ["workspace:", "link:", "portal:"].iter().any(|own| range.starts_with(own)) {
        return Ok(None);
    }
    // Classic: `alias@npm:name@range`. Berry has said what it is in `resolution`.
    let alias = if entry.resolution.is_none() { range.strip_prefix("npm:").and_then(name_and_range) } else { None };
    Ok(Some(Package::new(Ecosystem::Npm, alias.map_or(name, |(name, _)| name), Some(version))))
}

/// Splits at the `@` that is not the mark of a scope.
fn name_and_range(requirement: &str) -> Option<(&str, &str)> {
    let at = requirement.char_indices().skip(1).find(|(_, character)| *character == '@')?.0;
    Some((requirement.get(..at)?, requirement.get(at + 1..)?))
}

fn unquoted(value: &str) -> &str {
    let value = value.trim();
    value.strip_prefix('"').map_or(value, |rest| rest.strip_suffix('"').unwrap_or(rest))
}
