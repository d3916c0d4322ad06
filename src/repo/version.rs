//! The next version: from the last one that this commit comes after, and from what was said since.
//!
//! Semantic Versioning 2.0.0; commit messages as Conventional Commits 1.0.0 (sections 1, 11–16).

use std::collections::HashSet;

use semver::Version;

use super::{Error, Repository};
use crate::event::Revision;

/// The most commits that are read for one version.
const MAX_COMMITS: usize = 20_000;

/// How the next version is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bump {
    /// From the kinds of commits since the last version; at least a patch.
    Conventional,
    /// Always the next patch.
    Patch,
}

/// A version to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextVersion {
    /// The version.
    pub version: Version,
    /// Its tag's name, with a `v` if the version before had one, or if there was none before.
    pub tag: String,
    /// The tag of the version before.
    pub since: Option<String>,
}

/// How far a version moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Size {
    Patch,
    Minor,
    Major,
}

impl Repository {
    /// The version that comes next at `revision`; none when a version's tag is there already. A name that is taken elsewhere is passed over.
    ///
    /// The version before is the highest one, without a pre-release, whose tag `revision` comes after. With none before, it is 0.1.0.
    /// Before 1.0.0 a breaking change moves the minor number, as Semantic Versioning 4 leaves open and most tools do.
    ///
    /// # Errors
    /// When refs or commits cannot be read.
    pub fn next_version(&self, bump: Bump, revision: &Revision) -> Result<Option<NextVersion>, Error> {
        let tip = self.commit(revision)?.id();
        let tags = self.tags()?;
        let mut versions: Vec<(Version, &super::tag::TagRef)> = tags
            .iter()
            .filter_map(|tag| tag.version().map(|version| (version, tag)))
            .filter(|(version, _)| version.pre.is_empty())
            .collect();
        versions.sort_by(|one, other| other.0.cmp(&one.0));
        if versions.iter().any(|(_, tag)| tag.commit == tip) {
            return Ok(None);
        }
        let mut before = None;
        for (version, tag) in &versions {
            if self.git.graph_descendant_of(tip, tag.commit).map_err(|error| self.failed("the versions before", error))? {
                before = Some((version, *tag));
                break;
            }
        }
        let Some((version, tag)) = before else {
            let prefix = if versions.iter().any(|(_, tag)| !tag.name.starts_with('v')) { "" } else { "v" };
            return Ok(Some(free(Version::new(0, 1, 0), prefix, None, &tags)));
        };
        let size = match bump {
            Bump::Patch => Size::Patch,
            Bump::Conventional => self.size_since(tag.commit, tip)?,
        };
        let prefix = if tag.name.starts_with('v') { "v" } else { "" };
        Ok(Some(free(moved(version, size), prefix, Some(tag.name.clone()), &tags)))
    }

    fn size_since(&self, before: git2::Oid, tip: git2::Oid) -> Result<Size, Error> {
        let failed = |error| self.failed("the commits since the last version", error);
        let mut walk = self.git.revwalk().map_err(failed)?;
        walk.push(tip).map_err(failed)?;
        walk.hide(before).map_err(failed)?;
        let mut size = Size::Patch;
        for id in walk.take(MAX_COMMITS) {
            let commit = self.git.find_commit(id.map_err(failed)?).map_err(failed)?;
            size = size.max(size_of(&String::from_utf8_lossy(commit.message_bytes())));
            if size == Size::Major {
                break;
            }
        }
        Ok(size)
    }
}

/// How far one commit moves the version.
fn size_of(message: &str) -> Size {
    let (title, body) = message.split_once('\n').unwrap_or((message, ""));
    let footer = |line: &str| line.starts_with("BREAKING CHANGE: ") || line.starts_with("BREAKING-CHANGE: ");
    let Some((head, _)) = title.split_once(": ") else {
        return if body.lines().any(footer) { Size::Major } else { Size::Patch };
    };
    let (head, breaking) = match head.strip_suffix('!') {
        Some(head) => (head, true),
        None => (head, false),
    };
    let kind = head.split_once('(').map_or(head, |(kind, _)| kind);
    let is_kind = !kind.is_empty() && kind.bytes().all(|byte| byte.is_ascii_alphabetic());
    if (breaking && is_kind) || body.lines().any(footer) {
        Size::Major
    } else if kind.eq_ignore_ascii_case("feat") {
        Size::Minor
    } else {
        Size::Patch
    }
}

fn moved(version: &Version, size: Size) -> Version {
    match size {
        Size::Major if version.major > 0 => Version::new(version.major.saturating_add(1), 0, 0),
        Size::Major | Size::Minor => Version::new(version.major, version.minor.saturating_add(1), 0),
        Size::Patch => Version::new(version.major, version.minor, version.patch.saturating_add(1)),
    }
}

/// The version, or the next patch whose name no tag has.
fn free(mut version: Version, prefix: &str, since: Option<String>, tags: &[super::tag::TagRef]) -> NextVersion {
    let taken: HashSet<Version> = tags.iter().filter_map(super::tag::TagRef::version).collect();
    while taken.contains(&version) && version.patch < u64::MAX {
        version.patch += 1;
    }
    NextVersion { tag: format!("{prefix}{version}"), version, since }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_moves_the_version_as_the_convention_says() {
        let table = [
            ("fix: a", Size::Patch),
            ("feat: a", Size::Minor),
            ("feat(api): a", Size::Minor),
            ("Feat: a", Size::Minor),
            ("feat!: a", Size::Major),
            ("refactor(core)!: a", Size::Major),
            ("fix: a\n\nBREAKING CHANGE: b", Size::Major),
            ("chore: a", Size::Patch),
            ("no kind at all", Size::Patch),
            ("Look out!: a", Size::Patch),
            ("feature: a", Size::Patch),
        ];
        for (message, wanted) in table {
            assert_eq!(size_of(message), wanted, "{message}");
        }
    }

    #[test]
    fn before_one_a_break_moves_the_minor_number() {
        assert_eq!(moved(&Version::new(0, 4, 2), Size::Major), Version::new(0, 5, 0));
        assert_eq!(moved(&Version::new(1, 4, 2), Size::Major), Version::new(2, 0, 0));
        assert_eq!(moved(&Version::new(1, 4, 2), Size::Minor), Version::new(1, 5, 0));
        assert_eq!(moved(&Version::new(1, 4, 2), Size::Patch), Version::new(1, 4, 3));
    }
}
