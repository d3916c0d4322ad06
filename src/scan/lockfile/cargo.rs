//! `Cargo.lock`, formats 1 to 4: TOML. A package without a source is the project's own.

use serde::Deserialize;

use super::{Ecosystem, LockfileError, Package, text};

#[derive(Deserialize)]
struct Lock {
    version: Option<u64>,
    #[serde(default)]
    package: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    version: String,
    source: Option<String>,
}

pub(super) fn packages(bytes: &[u8]) -> Result<Vec<Package>, LockfileError> {
    let lock: Lock = text::toml(bytes)?;
    if let Some(newer) = lock.version.filter(|version| *version > 4) {
        return Err(LockfileError::Version(newer.to_string()));
    }
    let others = lock.package.into_iter().filter(|entry| entry.source.is_some());
    Ok(others.map(|entry| Package::new(Ecosystem::CratesIo, entry.name, Some(&entry.version))).collect())
}
