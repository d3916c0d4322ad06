//! `go.mod` (Go modules reference, "go.mod files"): `require`, with `replace` applied. A module replaced by a folder is the
//! project's own. Versions are given without their `v`, as advisories have them.

use std::collections::BTreeSet;

use super::{Ecosystem, LockfileError, Package, text};

struct Replacement {
    from: (String, Option<String>),
    to: Option<(String, String)>,
}

pub(super) fn packages(bytes: &[u8]) -> Result<Vec<Package>, LockfileError> {
    let mut required = Vec::new();
    let mut replacements = Vec::new();
    let mut block: Option<String> = None;
    for (index, line) in text::of(bytes)?.lines().enumerate() {
        let bad = |what| LockfileError::Line { line: index + 1, what };
        let line = line.split("//").next().unwrap_or_default();
        let words: Vec<String> = line.split_whitespace().map(|word| word.trim_matches(['"', '`']).to_owned()).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let (verb, rest) = match (block.as_deref(), words.as_slice()) {
            (_, []) => continue,
            (Some(_), [")"]) => {
                block = None;
                continue;
            }
            (Some(verb), rest) => (verb, rest),
            (None, [verb, "("] | [verb, "(", ")"]) => {
                block = (words.len() == 2).then(|| (*verb).to_owned());
                continue;
            }
            (None, [verb, rest @ ..]) => (*verb, rest),
        };
        match verb {
            "require" => {
                let [name, version] = rest else { return Err(bad("`require` has a module and a version")) };
                required.push(((*name).to_owned(), (*version).to_owned()));
            }
            "replace" => replacements.push(replacement(rest).ok_or_else(|| bad("`replace` has a module, `=>` and its replacement"))?),
            "module" | "go" | "toolchain" | "exclude" | "retract" | "godebug" | "tool" | "ignore" => {}
            _ => return Err(bad("no directive of go.mod")),
        }
    }
    if block.is_some() {
        return Err(LockfileError::Line { line: text::of(bytes)?.lines().count(), what: "a block is not closed" });
    }
    let packages = required.into_iter().filter_map(|(name, version)| {
        let (name, version) = replaced(&replacements, name, version)?;
        Some(Package::new(Ecosystem::Go, name, Some(version.strip_prefix('v').unwrap_or(&version))))
    });
    Ok(packages.collect::<BTreeSet<_>>().into_iter().collect())
}

fn replacement(words: &[&str]) -> Option<Replacement> {
    let (from, to) = words.split_at(words.iter().position(|word| *word == "=>")?);
    let from = match from {
        [name] => ((*name).to_owned(), None),
        [name, version] => ((*name).to_owned(), Some((*version).to_owned())),
        _ => return None,
    };
    let to = match to {
        [_, _folder] => None,
        [_, name, version] => Some(((*name).to_owned(), (*version).to_owned())),
        _ => return None,
    };
    Some(Replacement { from, to })
}

fn replaced(replacements: &[Replacement], name: String, version: String) -> Option<(String, String)> {
    let named = |replacement: &&Replacement| replacement.from.0 == name;
    let exact = replacements.iter().filter(named).find(|replacement| replacement.from.1.as_deref() == Some(version.as_str()));
    match exact.or_else(|| replacements.iter().filter(named).find(|replacement| replacement.from.1.is_none())) {
        Some(replacement) => replacement.to.clone(),
        None => Some((name, version)),
    }
}
