//! `poetry.lock`: TOML. Every package counts; one from a folder beside the project does not.

use serde::Deserialize;

use super::{Ecosystem, LockfileError, Package, text};

#[derive(Deserialize)]
struct Lock {
    #[serde(default)]
    package: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    version: String,
    source: Option<Source>,
}

#[derive(Deserialize)]
struct Source {
    #[serde(rename = "type")]
    kind: Option<String>,
}

pub(super) fn packages(bytes: &[u8]) -> Result<Vec<Package>, LockfileError> {
    let lock: Lock = text::toml(bytes)?;
    let is_own = |entry: &Entry| entry.source.as_ref().is_some_and(|source| source.kind.as_deref() == Some("directory"));
    let others = lock.package.into_iter().filter(|entry| !is_own(entry));
    Ok(others.map(|entry| Package::new(Ecosystem::PyPi, entry.name, Some(&entry.version))).collect())
}
