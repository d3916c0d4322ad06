//! `package-lock.json` and `npm-shrinkwrap.json`, formats 1 to 3 (npm's documentation, "package-lock.json"): format 1 nests
//! `dependencies`; 2 and 3 have a flat `packages` by place. A package that lies in several places counts once. Links and
//! workspaces are the project's own.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::{Ecosystem, LockfileError, Package, text};

#[derive(Deserialize)]
struct Lock {
    #[serde(rename = "lockfileVersion")]
    lockfile_version: Option<u64>,
    packages: Option<BTreeMap<String, Placed>>,
    dependencies: Option<BTreeMap<String, Nested>>,
}

#[derive(Deserialize)]
struct Placed {
    name: Option<String>,
    version: Option<String>,
    #[serde(default)]
    link: bool,
}

#[derive(Deserialize)]
struct Nested {
    version: Option<String>,
    dependencies: Option<BTreeMap<String, Nested>>,
}

pub(super) fn packages(bytes: &[u8]) -> Result<Vec<Package>, LockfileError> {
    let lock: Lock = text::json(bytes)?;
    let mut found = BTreeSet::new();
    match (lock.lockfile_version, lock.packages) {
        (Some(2 | 3), Some(packages)) => found.extend(packages.into_iter().filter_map(|(place, entry)| placed(&place, &entry))),
        (Some(2 | 3), None) => return Err(LockfileError::Version("2 or 3 without `packages`".to_owned())),
        (Some(0 | 1) | None, _) => nested(lock.dependencies.unwrap_or_default(), &mut found),
        (Some(newer), _) => return Err(LockfileError::Version(newer.to_string())),
    }
    Ok(found.into_iter().collect())
}

fn placed(place: &str, entry: &Placed) -> Option<Package> {
    let (_, folder) = place.rsplit_once("node_modules/")?;
    if entry.link {
        return None;
    }
    Some(Package::new(Ecosystem::Npm, entry.name.as_deref().unwrap_or(folder), entry.version.as_deref()))
}

fn nested(dependencies: BTreeMap<String, Nested>, found: &mut BTreeSet<Package>) {
    for (name, entry) in dependencies {
        let version = entry.version.as_deref();
        if !version.is_some_and(|version| version.starts_with("file:")) {
            found.insert(aliased(&name, version));
        }
        nested(entry.dependencies.unwrap_or_default(), found);
    }
}

/// A version may be an alias (`npm:name@1.0.0`) or a place (a URL, a git commit), which is no version.
fn aliased(name: &str, version: Option<&str>) -> Package {
    let alias = version.and_then(|version| version.strip_prefix("npm:")).and_then(|alias| alias.rsplit_once('@'));
    match (alias, version) {
        (Some((name, version)), _) => Package::new(Ecosystem::Npm, name, Some(version)),
        (None, version) => Package::new(Ecosystem::Npm, name, version.filter(|version| !version.contains(':'))),
    }
}
