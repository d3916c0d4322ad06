//! `go.sum` (Go modules reference, "go.sum files"): a module, a version and a hash on each line. Lines of `go.mod` hashes only
//! name what was considered, not what is built, and do not count.

use std::collections::BTreeSet;

use super::{Ecosystem, LockfileError, Package, text};

pub(super) fn packages(bytes: &[u8]) -> Result<Vec<Package>, LockfileError> {
    let mut packages = BTreeSet::new();
    for (index, line) in text::of(bytes)?.lines().enumerate() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [] => {}
            [_, version, _] if version.ends_with("/go.mod") => {}
            [name, version, _] => {
                packages.insert(Package::new(Ecosystem::Go, *name, Some(version.strip_prefix('v').unwrap_or(version))));
            }
            _ => return Err(LockfileError::Line { line: index + 1, what: "no module, version and hash" }),
        }
    }
    Ok(packages.into_iter().collect())
}
