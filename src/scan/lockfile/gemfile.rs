//! `Gemfile.lock`: sections whose `specs:` hold `name (version)` four spaces deep; what is deeper are the gem's own
//! requirements. Gems of a `PATH` section are the project's own. A platform after the version is the same gem.

use std::collections::BTreeSet;

use super::{Ecosystem, LockfileError, Package, text};

pub(super) fn packages(bytes: &[u8]) -> Result<Vec<Package>, LockfileError> {
    let mut packages = BTreeSet::new();
    let mut section = "";
    let mut in_specs = false;
    for (index, line) in text::of(bytes)?.lines().enumerate() {
        let bad = |what| LockfileError::Line { line: index + 1, what };
        let deep = line.len() - line.trim_start_matches(' ').len();
        let words = line.trim();
        if words.is_empty() {
            continue;
        }
        match deep {
            0 if !words.starts_with(|first: char| first.is_ascii_uppercase()) => return Err(bad("no section's name")),
            0 => (section, in_specs) = (words, false),
            2 => in_specs = words == "specs:",
            4 if in_specs && section != "PATH" => {
                let (name, version) = words.split_once(" (").ok_or_else(|| bad("no `name (version)`"))?;
                let version = version.strip_suffix(')').ok_or_else(|| bad("the version is not closed"))?;
                let version = version.split('-').next().unwrap_or_default();
                packages.insert(Package::new(Ecosystem::RubyGems, name, Some(version)));
            }
            _ => {}
        }
    }
    if section.is_empty() && !bytes.trim_ascii().is_empty() {
        return Err(LockfileError::Line { line: 1, what: "no section of a Gemfile.lock" });
    }
    Ok(packages.into_iter().collect())
}
