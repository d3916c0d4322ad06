//! The version of a component (`doc/ci/components/_index.md#component-versions`): a commit, tag or branch, else a part of a version,
//! or `~latest`, of which the highest tag is meant.

use semver::Version;

use crate::event::Revision;

use super::{Error, Repository};

/// A version that is not written out.
enum Part {
    Latest,
    Major(u64),
    Minor(u64, u64),
}

impl Part {
    fn of(text: &str) -> Option<Self> {
        if text == "~latest" {
            return Some(Self::Latest);
        }
        match text.split_once('.') {
            None => Some(Self::Major(text.parse().ok()?)),
            Some((major, minor)) => Some(Self::Minor(major.parse().ok()?, minor.parse().ok()?)),
        }
    }

    fn takes(&self, version: &Version) -> bool {
        match self {
            Self::Latest => true,
            Self::Major(major) => version.major == *major,
            Self::Minor(major, minor) => (version.major, version.minor) == (*major, *minor),
        }
    }
}

impl Repository {
    /// The revision that a component's version names, and that version written out when it is one. Tags count for GitLab's releases, which a clone does not have; those of
    /// pre-releases are passed over.
    ///
    /// # Errors
    /// When nothing has that name, or the refs cannot be read.
    pub fn component_version(&self, version: &str) -> Result<(Revision, Option<String>), Error> {
        let written_out = || Version::parse(version).is_ok().then(|| version.to_owned());
        let Some(part) = Part::of(version) else { return Ok((self.resolve(version)?.revision, written_out())) };
        if !matches!(part, Part::Latest)
            && let Ok(resolved) = self.resolve(version)
        {
            return Ok((resolved.revision, None));
        }
        let tags = self.tags()?;
        let versions = tags.iter().filter_map(|tag| tag.version().map(|version| (version, tag)));
        let highest =
            versions.filter(|(version, _)| version.pre.is_empty() && part.takes(version)).max_by(|one, other| one.0.cmp(&other.0));
        match highest {
            Some((version, tag)) => Ok((self.revision(tag.commit)?, Some(version.to_string()))),
            None => Err(Error::Unknown { given: version.to_owned(), place: self.place() }),
        }
    }
}
