//! A repository: where it is, and which one it is.

use std::path::{Path, PathBuf};

use git2::ErrorCode;

use super::Error;
use crate::event::{AppName, Revision};

/// An open git repository. It can be sent to another thread, but not shared.
pub struct Repository {
    pub(super) git: git2::Repository,
}

impl std::fmt::Debug for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Repository").field(&self.git.path()).finish()
    }
}

impl Repository {
    /// Opens the repository that `path` is in, or is: a clone, a linked worktree, a bare repository. `GIT_DIR` and its kind are not heeded.
    ///
    /// # Errors
    /// When there is none; when another user owns it and no `safe.directory` of the person's allows it; when its format is not known.
    pub fn discover(path: &Path) -> Result<Self, Error> {
        let git = git2::Repository::discover(path).map_err(|error| cannot_open(path, error))?;
        Ok(Self { git })
    }

    /// The folder that all worktrees share; hms keeps its runs below it.
    #[must_use]
    pub fn common_dir(&self) -> PathBuf {
        let path = self.git.commondir();
        path.canonicalize().unwrap_or_else(|_| path.to_owned())
    }

    /// The working tree; none in a bare repository.
    #[must_use]
    pub fn work_dir(&self) -> Option<PathBuf> {
        self.git.workdir().map(|path| path.components().collect())
    }

    /// An app's name for want of a better one: the folder's, with what such a name may not hold as `-`. All worktrees have the same.
    #[must_use]
    pub fn app_name_default(&self) -> AppName {
        let common = self.common_dir();
        let own = common.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let folder = if own == ".git" {
            common.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
        } else {
            own.strip_suffix(".git").unwrap_or(&own).to_owned()
        };
        app_name(&folder)
    }

    /// The repository's first commit, the same in every clone: the last one reached from HEAD through first parents.
    /// None before the first commit, and in a shallow clone, where nobody can tell.
    ///
    /// # Errors
    /// When a commit on the way cannot be read.
    pub fn first_commit(&self) -> Result<Option<Revision>, Error> {
        if self.git.is_shallow() || self.head()?.is_none() {
            return Ok(None);
        }
        let failed = |error| self.failed("the first commit", error);
        let mut walk = self.git.revwalk().map_err(failed)?;
        walk.push_head().map_err(failed)?;
        walk.simplify_first_parent().map_err(failed)?;
        let mut first = None;
        for id in walk {
            first = Some(id.map_err(failed)?);
        }
        first.map(|id| self.revision(id)).transpose()
    }

    /// Where the repository is, for messages: the working tree, else the git folder.
    pub(super) fn place(&self) -> PathBuf {
        self.work_dir().unwrap_or_else(|| self.git.path().to_owned())
    }

    /// Some objects were left out when this was cloned.
    pub(super) fn is_partial(&self) -> bool {
        self.git.config().and_then(|mut config| config.snapshot()).is_ok_and(|config| {
            config.get_str("extensions.partialclone").is_ok()
                || config.entries(Some("remote\\..*\\.promisor")).is_ok_and(|mut entries| entries.next().is_some())
        })
    }

    /// Says what libgit2 said, and about what.
    pub(super) fn failed(&self, what: &str, source: git2::Error) -> Error {
        self.failed_at(what, None, source)
    }

    pub(super) fn failed_at(&self, what: &str, revision: Option<&Revision>, source: git2::Error) -> Error {
        let place = self.place();
        let missing = source.code() == ErrorCode::NotFound && source.class() == git2::ErrorClass::Odb;
        if source.code() == ErrorCode::UnbornBranch {
            Error::Unborn(place)
        } else if missing {
            Error::Missing { object: what.to_owned(), place, partial: self.is_partial(), revision: revision.cloned() }
        } else {
            Error::Git { what: what.to_owned(), place, source }
        }
    }

    pub(super) fn revision(&self, id: git2::Oid) -> Result<Revision, Error> {
        id.to_string().parse().map_err(|_| Error::Unsupported { place: self.place(), why: format!("an object id of another length: {id}") })
    }

    pub(super) fn oid(&self, revision: &Revision) -> Result<git2::Oid, Error> {
        git2::Oid::from_str(revision.as_str()).map_err(|_| Error::Unknown { given: revision.to_string(), place: self.place() })
    }

    pub(super) fn commit(&self, revision: &Revision) -> Result<git2::Commit<'_>, Error> {
        self.git.find_commit(self.oid(revision)?).map_err(|error| self.failed_at(&format!("commit {revision}"), Some(revision), error))
    }
}

fn cannot_open(path: &Path, error: git2::Error) -> Error {
    let message = error.message().to_ascii_lowercase();
    if error.code() == ErrorCode::NotFound {
        Error::NotARepository(path.to_owned())
    } else if error.code() == ErrorCode::Owner {
        Error::Owner(owned_by_another(path))
    } else if ["extension", "object format", "repository version"].iter().any(|word| message.contains(word)) {
        Error::Unsupported { place: path.to_owned(), why: error.message().to_owned() }
    } else {
        Error::Git { what: "the configuration".to_owned(), place: path.to_owned(), source: error }
    }
}

/// The folder whose owner is in question: the nearest one that holds a `.git`, as `safe.directory` wants it named.
fn owned_by_another(path: &Path) -> PathBuf {
    let whole = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    whole.ancestors().find(|folder| folder.join(".git").symlink_metadata().is_ok()).unwrap_or(&whole).to_owned()
}

fn app_name(folder: &str) -> AppName {
    let spelt: String = folder
        .to_lowercase()
        .chars()
        .map(|one| if one.is_ascii_lowercase() || one.is_ascii_digit() || matches!(one, '-' | '_' | '.') { one } else { '-' })
        .collect();
    let mut name = spelt.trim_matches(['-', '_', '.']).to_owned();
    name.truncate(63);
    name.parse().unwrap_or_else(|_| fallback())
}

#[expect(clippy::expect_used, reason = "a literal that the check of names accepts; the test below holds it")]
fn fallback() -> AppName {
    "app".parse().expect("a valid name")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_folder_gives_a_name() {
        let long = "x".repeat(200);
        let table = [("irs-api", "irs-api"), ("My App", "my-app"), ("Ärger", "rger"), ("...", "app"), ("", "app"), ("日本", "app")];
        for (folder, wanted) in table {
            assert_eq!(app_name(folder).as_str(), wanted);
        }
        assert_eq!(app_name(&long).as_str().len(), 63);
    }
}
