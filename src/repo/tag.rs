//! Tags: which one a commit goes by, what a person's `--tag` means, and making one.

use git2::{ErrorCode, ObjectType};

use super::{Error, Repository};
use crate::event::{Digest, Revision};

/// The name a commit goes by (`docs/decisions.md` 5.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitTag {
    /// A git tag, else the short SHA.
    pub tag: String,
    /// What the tag's ref holds: the tag object's SHA, or the commit's for a lightweight tag. None for a short SHA.
    pub tag_object: Option<String>,
}

/// What `--tag` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedRelease {
    /// A commit, through a tag or by itself.
    Commit {
        /// The commit.
        revision: Revision,
        /// The git tag, when it was one.
        tag: Option<CommitTag>,
    },
    /// A release's digest, which git knows nothing of.
    Digest(Digest),
}

/// Who makes a tag, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tagger {
    /// The name.
    pub name: String,
    /// The address; it may be made up, git only stores it.
    pub email: String,
    /// Seconds since 1970, UTC.
    pub seconds: i64,
}

/// What became of a tag that was to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TagMade {
    /// It is new; this is the tag object.
    Created {
        /// The SHA of the tag object.
        object: String,
    },
    /// It was there, at that very commit.
    AlreadyThere {
        /// What its ref holds.
        object: String,
    },
}

/// A tag's ref: its name, what it holds, the commit behind it.
#[derive(Debug, Clone)]
pub(super) struct TagRef {
    pub(super) name: String,
    pub(super) object: git2::Oid,
    pub(super) commit: git2::Oid,
}

impl TagRef {
    /// The version that the name spells, with or without a `v`.
    pub(super) fn version(&self) -> Option<semver::Version> {
        semver::Version::parse(self.name.strip_prefix('v').unwrap_or(&self.name)).ok()
    }
}

impl Repository {
    /// The name a commit goes by: the highest semver tag at it, else the first of its other tags by name, else its short SHA.
    ///
    /// # Errors
    /// When the refs cannot be read.
    pub fn tag_of(&self, revision: &Revision) -> Result<CommitTag, Error> {
        let commit = self.oid(revision)?;
        let mut here: Vec<TagRef> = self.tags()?.into_iter().filter(|tag| tag.commit == commit).collect();
        here.sort_by(|one, other| one.name.cmp(&other.name));
        let highest = here
            .iter()
            .filter_map(|tag| tag.version().map(|version| (version, tag)))
            .reduce(|best, next| if next.0 > best.0 { next } else { best })
            .map(|(_, tag)| tag);
        Ok(match highest.or(here.first()) {
            Some(tag) => CommitTag { tag: tag.name.clone(), tag_object: Some(tag.object.to_string()) },
            None => CommitTag { tag: revision.short().to_owned(), tag_object: None },
        })
    }

    /// What the ref of a tag holds now, to be compared with what it held; none when there is no such tag.
    ///
    /// # Errors
    /// When the ref cannot be read.
    pub fn tag_object(&self, tag: &str) -> Result<Option<String>, Error> {
        Ok(self.tag_ref(tag)?.map(|tag| tag.object.to_string()))
    }

    /// Finds what a person's `--tag` names: a digest, a git tag, a commit by at least four digits. A tag comes before a commit.
    ///
    /// # Errors
    /// When nothing, or more than one commit, has that name.
    pub fn resolve_tag(&self, spec: &str) -> Result<NamedRelease, Error> {
        if let Ok(digest) = spec.parse() {
            return Ok(NamedRelease::Digest(digest));
        }
        super::resolve::check_spec(spec)?;
        if let Some(tag) = self.tag_ref(spec)? {
            let found = CommitTag { tag: tag.name, tag_object: Some(tag.object.to_string()) };
            return Ok(NamedRelease::Commit { revision: self.revision(tag.commit)?, tag: Some(found) });
        }
        let unknown = || Error::Unknown { given: spec.to_owned(), place: self.place() };
        if spec.len() < 4 || spec.len() > 40 || !spec.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(unknown());
        }
        let commit = self.git.find_commit_by_prefix(spec).map_err(|error| {
            if error.code() == ErrorCode::Ambiguous { Error::Ambiguous { given: spec.to_owned(), place: self.place() } } else { unknown() }
        })?;
        Ok(NamedRelease::Commit { revision: self.revision(commit.id())?, tag: None })
    }

    /// Makes an annotated tag. The same again changes nothing; one that names another commit is never moved. No hook runs, nothing is pushed.
    ///
    /// # Errors
    /// When the name is none git allows, or is taken by another commit.
    pub fn create_annotated_tag(&self, name: &str, revision: &Revision, message: &str, tagger: &Tagger) -> Result<TagMade, Error> {
        let bad = |why| Error::BadName { given: name.to_owned(), why };
        super::resolve::check_spec(name)?;
        if !git2::Tag::is_valid_name(name) {
            return Err(bad("git allows no such tag"));
        }
        if let Some(there) = self.tag_ref(name)? {
            return self.kept(there, revision);
        }
        let time = git2::Time::new(tagger.seconds, 0);
        let by = git2::Signature::new(&tagger.name, &tagger.email, &time).map_err(|_| bad("its tagger has no usable name"))?;
        let commit = self.commit(revision)?.into_object();
        match self.git.tag(name, &commit, &by, message, false) {
            Ok(object) => Ok(TagMade::Created { object: object.to_string() }),
            // Another process was faster.
            Err(error) if error.code() == ErrorCode::Exists => match self.tag_ref(name)? {
                Some(there) => self.kept(there, revision),
                None => Err(self.failed(&format!("tag `{}`", name.escape_debug()), error)),
            },
            Err(error) => Err(self.failed(&format!("tag `{}`", name.escape_debug()), error)),
        }
    }

    fn kept(&self, there: TagRef, wanted: &Revision) -> Result<TagMade, Error> {
        if there.commit == self.oid(wanted)? {
            return Ok(TagMade::AlreadyThere { object: there.object.to_string() });
        }
        Err(Error::TagElsewhere { tag: there.name, at: there.commit.to_string(), wanted: wanted.clone() })
    }

    /// All tags that name a commit, in no order. Tags of other things, and names that are not UTF-8, are left out.
    pub(super) fn tags(&self) -> Result<Vec<TagRef>, Error> {
        let failed = |error| self.failed("the tags", error);
        let mut tags = Vec::new();
        for reference in self.git.references_glob("refs/tags/*").map_err(failed)? {
            if let Some(tag) = tag_from(&reference.map_err(failed)?) {
                tags.push(tag);
            }
        }
        Ok(tags)
    }

    fn tag_ref(&self, name: &str) -> Result<Option<TagRef>, Error> {
        match self.git.find_reference(&format!("refs/tags/{name}")) {
            Ok(reference) => Ok(tag_from(&reference)),
            Err(error) if matches!(error.code(), ErrorCode::NotFound | ErrorCode::InvalidSpec) => Ok(None),
            Err(error) => Err(self.failed(&format!("tag `{}`", name.escape_debug()), error)),
        }
    }
}

fn tag_from(reference: &git2::Reference<'_>) -> Option<TagRef> {
    let name = reference.name().ok()?.strip_prefix("refs/tags/")?.to_owned();
    let direct = reference.resolve().ok()?;
    let object = direct.target()?;
    let commit = match direct.peel(ObjectType::Commit) {
        Ok(commit) => commit.id(),
        Err(_) => return None,
    };
    (!name.chars().any(char::is_control)).then_some(TagRef { name, object, commit })
}
