//! `composer.lock`: JSON with `packages` and `packages-dev`.

use serde::Deserialize;

use super::{Ecosystem, LockfileError, Package, text};

#[derive(Deserialize)]
struct Lock {
    packages: Vec<Entry>,
    #[serde(rename = "packages-dev", default)]
    packages_dev: Option<Vec<Entry>>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    version: String,
}

pub(super) fn packages(bytes: &[u8]) -> Result<Vec<Package>, LockfileError> {
    let lock: Lock = text::json(bytes)?;
    let entries = lock.packages.into_iter().chain(lock.packages_dev.unwrap_or_default());
    Ok(entries.map(|entry| Package::new(Ecosystem::Packagist, entry.name, Some(&entry.version))).collect())
}
