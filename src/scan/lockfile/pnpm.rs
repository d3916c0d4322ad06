//! `pnpm-lock.yaml`, formats 5 to 9: the keys of `packages`, read line by line; pnpm writes the file itself and always in one
//! layout. 5: `/name/1.0.0_peers`; 6: `/name@1.0.0(peers)`; 9: `name@1.0.0`. A key that leads elsewhere than to a registry
//! has no version.

use std::collections::BTreeSet;

use super::{Ecosystem, LockfileError, Package, text};

pub(super) fn packages(bytes: &[u8]) -> Result<Vec<Package>, LockfileError> {
    let mut found = BTreeSet::new();
    let mut format = None;
    let mut in_packages = false;
    for (index, line) in text::of(bytes)?.lines().enumerate() {
        let bad = |what| LockfileError::Line { line: index + 1, what };
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        if !line.starts_with(' ') {
            if let Some(version) = line.strip_prefix("lockfileVersion:") {
                format = Some(major(version)?);
            }
            in_packages = line.trim_end() == "packages:";
            if line.starts_with("packages:") && !in_packages && line.trim_end() != "packages: {}" {
                return Err(bad("`packages` in a layout that pnpm does not write"));
            }
        } else if let Some(key) = line.strip_prefix("  ").filter(|key| in_packages && !key.starts_with(' ')) {
            if key.starts_with(": ") || key == ":" {
                continue;
            }
            let format = format.ok_or_else(|| LockfileError::Version("(none)".to_owned()))?;
            let key = key_text(key).ok_or_else(|| bad("no key of `packages`"))?;
            found.insert(package(key, format).ok_or_else(|| bad("a key that names no package"))?);
        }
    }
    if format.is_none() {
        return Err(LockfileError::Version("(none)".to_owned()));
    }
    Ok(found.into_iter().collect())
}

fn major(version: &str) -> Result<u64, LockfileError> {
    let version = version.trim().trim_matches(['\'', '"']);
    let major = version.split('.').next().and_then(|major| major.parse().ok());
    major.filter(|major| matches!(major, 5 | 6 | 9)).ok_or_else(|| LockfileError::Version(version.to_owned()))
}

/// The key of `key:`, `'key':` or, when it is long, `? key`.
fn key_text(line: &str) -> Option<&str> {
    let line = line.trim_end();
    let key = line.strip_prefix("? ").or_else(|| line.strip_suffix(": {}")).or_else(|| line.strip_suffix(':'))?;
    let quoted = key.strip_prefix('\'').and_then(|key| key.strip_suffix('\''));
    Some(quoted.unwrap_or_else(|| key.trim_matches('"')))
}

fn package(key: &str, format: u64) -> Option<Package> {
    let key = key.split('(').next()?;
    let rooted = key.strip_prefix('/');
    let (name, version) = match (format, rooted) {
        (5, Some(key)) => {
            let (name, version) = key.rsplit_once('/')?;
            (name, version.split('_').next())
        }
        (6, Some(key)) => split(key)?,
        (9, None) if split(key).is_some() => split(key)?,
        // A tarball, a git commit or a folder.
        _ => (key, None),
    };
    Some(Package::new(Ecosystem::Npm, name, version.filter(|version| version.starts_with(|first: char| first.is_ascii_digit()))))
}

fn split(key: &str) -> Option<(&str, Option<&str>)> {
    let at = key.char_indices().skip(1).find(|(_, character)| *character == '@')?.0;
    Some((key.get(..at)?, key.get(at + 1..)))
}
