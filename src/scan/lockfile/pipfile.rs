//! `Pipfile.lock`, specification 6: JSON, a table of packages for each category. A package in several counts once.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::{Ecosystem, LockfileError, Package, text};

#[derive(Deserialize)]
struct Lock {
    #[serde(rename = "_meta")]
    _meta: serde_json::Value,
    #[serde(flatten)]
    categories: BTreeMap<String, BTreeMap<String, Entry>>,
}

#[derive(Deserialize)]
struct Entry {
    version: Option<String>,
}

pub(super) fn packages(bytes: &[u8]) -> Result<Vec<Package>, LockfileError> {
    let lock: Lock = text::json(bytes)?;
    let entries = lock.categories.into_values().flatten();
    let packages = entries.map(|(name, entry)| {
        let version = entry.version.as_deref().and_then(|version| version.strip_prefix("=="));
        Package::new(Ecosystem::PyPi, name, version)
    });
    Ok(packages.collect::<BTreeSet<_>>().into_iter().collect())
}
