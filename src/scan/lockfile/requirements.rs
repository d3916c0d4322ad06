//! `requirements.txt` (pip's documentation, "Requirements File Format"). Only `name==version` is an exact version; any other
//! requirement is a package whose version is not known. Files named by `-r` and `-c` are not followed: they are found by
//! themselves where their names say what they are.

use super::{Ecosystem, LockfileError, Package, text};

pub(super) fn packages(bytes: &[u8]) -> Result<Vec<Package>, LockfileError> {
    let text = text::of(bytes)?.replace("\\\r\n", " ").replace("\\\n", " ");
    Ok(text.lines().filter_map(requirement).collect())
}

fn requirement(line: &str) -> Option<Package> {
    let line = without_comment(line);
    if line.is_empty() {
        return None;
    }
    if let Some(option) = line.strip_prefix('-') {
        let place = option.strip_prefix("e ").or_else(|| option.strip_prefix("-editable "))?.trim();
        return is_remote(place).then(|| Package::new(Ecosystem::PyPi, place, None));
    }
    let line = line.split(';').next().unwrap_or_default();
    let line = line.split(" --").next().unwrap_or_default().trim();
    let end =
        line.find(|character: char| !character.is_ascii_alphanumeric() && !matches!(character, '-' | '_' | '.')).unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    if name.is_empty() || name.starts_with('.') || rest.starts_with('/') {
        return None;
    }
    if rest.starts_with(':') || rest.starts_with('+') {
        return Some(Package::new(Ecosystem::PyPi, line, None));
    }
    let rest = rest.trim_start();
    let rest = rest.strip_prefix('[').map_or(rest, |extras| extras.split_once(']').map_or("", |(_, rest)| rest)).trim_start();
    let exact = rest.strip_prefix("===").or_else(|| rest.strip_prefix("==")).map(str::trim);
    Some(Package::new(Ecosystem::PyPi, name, exact.filter(|version| !version.contains([',', '*', ' ']))))
}

/// A comment starts at the line's start or after white space.
fn without_comment(line: &str) -> &str {
    let line = line.trim();
    if line.starts_with('#') {
        return "";
    }
    line.split_once(" #").or_else(|| line.split_once("\t#")).map_or(line, |(before, _)| before).trim()
}

fn is_remote(place: &str) -> bool {
    place.contains("://")
}
