//! `uv.lock`: TOML. A package whose source is virtual, editable or a folder is the project's own.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Ecosystem, LockfileError, Package, text};

#[derive(Deserialize)]
struct Lock {
    version: u64,
    #[serde(default)]
    package: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    version: Option<String>,
    #[serde(default)]
    source: BTreeMap<String, toml::Value>,
}

pub(super) fn packages(bytes: &[u8]) -> Result<Vec<Package>, LockfileError> {
    let lock: Lock = text::toml(bytes)?;
    if lock.version != 1 {
        return Err(LockfileError::Version(lock.version.to_string()));
    }
    let is_own = |entry: &Entry| ["virtual", "editable", "directory"].iter().any(|kind| entry.source.contains_key(*kind));
    let others = lock.package.into_iter().filter(|entry| !is_own(entry));
    Ok(others.map(|entry| Package::new(Ecosystem::PyPi, entry.name, entry.version.as_deref())).collect())
}
