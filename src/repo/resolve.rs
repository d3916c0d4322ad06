//! From what people type to a commit.

use git2::ErrorCode;

use super::{Error, Repository};
use crate::event::{RefType, Revision};

/// A commit, with the ref that led to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The commit.
    pub revision: Revision,
    /// The ref's short name, for instance `main`, `origin/main`, `v1.2.0`; none when a commit was named by itself.
    pub ref_name: Option<String>,
    /// The ref's full name, for instance `refs/heads/main`.
    pub full_ref: Option<String>,
}

impl Resolved {
    /// Whether a branch or a tag led to it; none for a branch of a remote and for a bare commit.
    #[must_use]
    pub fn ref_type(&self) -> Option<RefType> {
        let full = self.full_ref.as_deref()?;
        let of = [("refs/heads/", RefType::Branch), ("refs/tags/", RefType::Tag)];
        of.into_iter().find_map(|(prefix, kind)| full.starts_with(prefix).then_some(kind))
    }
}

impl Repository {
    /// Finds the commit that `spec` names: a branch, a tag, a full or shortened id, with `~N` or `^` behind it.
    ///
    /// # Errors
    /// When it could be taken for an option, a range, a search or a path; when nothing, or more than one thing, has that name.
    pub fn resolve(&self, spec: &str) -> Result<Resolved, Error> {
        check_spec(spec)?;
        // git takes the tag then, and warns; whose commit is run, and with what rights, is nothing to guess.
        if ["refs/heads/", "refs/tags/"].iter().all(|prefix| self.git.find_reference(&format!("{prefix}{spec}")).is_ok()) {
            return Err(Error::BranchAndTag { given: spec.to_owned(), place: self.place() });
        }
        let (object, reference) = self.git.revparse_ext(spec).map_err(|error| self.not_resolved(spec, error))?;
        let commit = object.peel_to_commit().map_err(|error| self.not_resolved(spec, error))?;
        let reference = reference.and_then(|reference| reference.resolve().ok());
        let full_ref = reference.as_ref().and_then(|reference| reference.name().ok()).filter(|name| name.starts_with("refs/"));
        Ok(Resolved {
            revision: self.revision(commit.id())?,
            ref_name: full_ref.map(|name| short_name(name).to_owned()),
            full_ref: full_ref.map(str::to_owned),
        })
    }

    /// Says why `spec` names no commit.
    fn not_resolved(&self, spec: &str, error: git2::Error) -> Error {
        let (given, place) = (spec.to_owned(), self.place());
        let no_object = error.code() == ErrorCode::NotFound && error.class() == git2::ErrorClass::Odb;
        if error.code() == ErrorCode::Ambiguous {
            Error::Ambiguous { given, place }
        } else if error.code() == ErrorCode::NotFound && self.is_unborn(spec) {
            Error::Unborn(place)
        } else if no_object && self.git.find_reference(spec).is_ok() {
            // A ref that names an object which is not here is damage, not a mistake of the person.
            self.failed(&format!("the commit of `{}`", spec.escape_debug()), error)
        } else if error.code() == ErrorCode::NotFound && self.git.is_shallow() && is_of_history(spec) {
            Error::Shallow { place, asked: given }
        } else if [ErrorCode::NotFound, ErrorCode::InvalidSpec, ErrorCode::Peel].contains(&error.code()) {
            Error::Unknown { given, place }
        } else {
            self.failed(&format!("`{}`", spec.escape_debug()), error)
        }
    }

    /// There is no commit, or none where HEAD is and that is what was asked for.
    fn is_unborn(&self, spec: &str) -> bool {
        let no_refs = || self.git.references().is_ok_and(|mut references| references.next().is_none());
        matches!(self.head(), Ok(None)) && (spec.starts_with("HEAD") || no_refs())
    }

    /// The branch that HEAD names, also before its first commit; none when HEAD is detached.
    ///
    /// # Errors
    /// When HEAD cannot be read.
    pub fn head_branch(&self) -> Result<Option<String>, Error> {
        let head = self.git.find_reference("HEAD").map_err(|error| self.failed("HEAD", error))?;
        let target = head.symbolic_target().map_err(|error| self.failed("HEAD", error))?;
        Ok(target.and_then(|name| name.strip_prefix("refs/heads/")).map(str::to_owned))
    }

    /// The branch that the project calls its own: what `origin` says, else `main` or `master`, else HEAD's.
    ///
    /// # Errors
    /// When HEAD cannot be read.
    pub fn default_branch(&self) -> Result<Option<String>, Error> {
        if let Ok(reference) = self.git.find_reference("refs/remotes/origin/HEAD")
            && let Ok(Some(target)) = reference.symbolic_target()
            && let Some(branch) = target.strip_prefix("refs/remotes/origin/")
        {
            return Ok(Some(branch.to_owned()));
        }
        let there = |branch: &&str| self.git.find_reference(&format!("refs/heads/{branch}")).is_ok();
        match ["main", "master"].iter().find(|branch| there(branch)) {
            Some(branch) => Ok(Some((*branch).to_owned())),
            None => self.head_branch(),
        }
    }

    /// HEAD's commit; none before the first.
    ///
    /// # Errors
    /// When HEAD cannot be read.
    pub fn head(&self) -> Result<Option<Revision>, Error> {
        match self.git.head().and_then(|head| head.peel_to_commit()) {
            Ok(commit) => self.revision(commit.id()).map(Some),
            Err(error) if error.code() == ErrorCode::UnbornBranch => Ok(None),
            Err(error) => Err(self.failed("HEAD", error)),
        }
    }
}

/// Whether history has to be there for it: an ancestor, or a commit by its whole id.
fn is_of_history(spec: &str) -> bool {
    spec.contains(['~', '^']) || spec.parse::<Revision>().is_ok()
}

/// The part of a full ref name that people say.
pub(super) fn short_name(full: &str) -> &str {
    ["refs/heads/", "refs/tags/", "refs/remotes/", "refs/"].iter().find_map(|prefix| full.strip_prefix(prefix)).unwrap_or(full)
}

/// Refuses what is no plain name of one commit. Nothing here ends in an argument list, but names are copied into journals and hints.
pub(super) fn check_spec(spec: &str) -> Result<(), Error> {
    let why = if spec.is_empty() {
        "it is empty"
    } else if spec.len() > 1024 {
        "it is longer than 1024 bytes"
    } else if spec.chars().any(char::is_control) {
        "it has a control character"
    } else if spec.starts_with('-') {
        "it looks like an option"
    } else if spec.contains("..") {
        "it looks like a range"
    } else if spec.contains(':') || spec.contains("{/") {
        "it looks like a search or a path"
    } else {
        return Ok(());
    };
    Err(Error::BadName { given: spec.to_owned(), why })
}
