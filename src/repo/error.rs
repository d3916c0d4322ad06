//! What can go wrong with a repository, where, and the way out.

use std::path::PathBuf;

use crate::event::Revision;

/// A question to a repository that has no answer. Paths and names are as given: they go through `text` before a terminal.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no repository here or above.
    #[error("{} is in no git repository", .0.display())]
    NotARepository(PathBuf),
    /// Somebody else owns it, and could have written its configuration.
    #[error("the git repository at {} belongs to another user", .0.display())]
    Owner(PathBuf),
    /// Its objects are named by SHA-256, its refs kept in a reftable, or some other extension is used.
    #[error("the git repository at {} uses a format that hms cannot read: {why}", .place.display())]
    Unsupported {
        /// The repository.
        place: PathBuf,
        /// What libgit2 says of it.
        why: String,
    },
    /// It has no commit yet.
    #[error("the git repository at {} has no commit yet", .0.display())]
    Unborn(PathBuf),
    /// A name that is never looked up.
    #[error("`{}` cannot name a commit: {why}", .given.escape_debug())]
    BadName {
        /// The name as it was given.
        given: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A name that nothing has.
    #[error("`{}` names no commit in {}", .given.escape_debug(), .place.display())]
    Unknown {
        /// The name as it was given.
        given: String,
        /// The repository.
        place: PathBuf,
    },
    /// A name that more than one thing has.
    #[error("`{}` names more than one commit in {}", .given.escape_debug(), .place.display())]
    Ambiguous {
        /// The name as it was given.
        given: String,
        /// The repository.
        place: PathBuf,
    },
    /// A name that both a branch and a tag have.
    #[error("`{}` is a branch and a tag in {}", .given.escape_debug(), .place.display())]
    BranchAndTag {
        /// The name as it was given.
        given: String,
        /// The repository.
        place: PathBuf,
    },
    /// An object that should be here is not: a partial clone, or damage.
    #[error("object {object} is missing in {}{}", .place.display(), if *.partial { ", which is a partial clone" } else { "" })]
    Missing {
        /// The object's id, or what it was to be.
        object: String,
        /// The repository.
        place: PathBuf,
        /// Some objects were left out when it was cloned.
        partial: bool,
        /// The commit that was being read, when there was one.
        revision: Option<Revision>,
    },
    /// History ends before the answer.
    #[error("{} is a shallow clone: its history ends before `{asked}` can be told", .place.display())]
    Shallow {
        /// The repository.
        place: PathBuf,
        /// What was asked.
        asked: String,
    },
    /// A submodule whose commit is in no repository of this clone.
    #[error("the submodule `{}` is at {}, and nothing below {} has that commit", .path.escape_debug(), .revision.short(), .place.display())]
    Submodule {
        /// Its path.
        path: String,
        /// Its commit.
        revision: Revision,
        /// The repository whose submodule it is.
        place: PathBuf,
    },
    /// A path of a commit that cannot be read or written as it is.
    #[error("`{}` in commit {}: {why}", .path.escape_debug(), .revision.short())]
    BadEntry {
        /// The path in the commit.
        path: String,
        /// The commit.
        revision: Revision,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The tag is there already and names something else; it is never moved.
    #[error("tag `{}` is at {at} already, not at {wanted}", .tag.escape_debug())]
    TagElsewhere {
        /// The tag's name.
        tag: String,
        /// The commit it names.
        at: String,
        /// The commit it was to name.
        wanted: Revision,
    },
    /// A file or folder of a checkout.
    #[error("cannot write {}", .path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file or folder of the repository.
    #[error("cannot read {}", .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Anything else that libgit2 says.
    #[error("cannot read {what} in the git repository at {}", .place.display())]
    Git {
        /// What was being read.
        what: String,
        /// The repository.
        place: PathBuf,
        /// What libgit2 says.
        source: git2::Error,
    },
}

impl Error {
    /// What to do, with a command to paste where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotARepository(_) => Some("go into a clone, or make one of this folder: git init".to_owned()),
            Self::Owner(place) => Some(format!(
                "its configuration can name programs to run; if you trust its owner, say so yourself: git config --global --add safe.directory {}",
                quoted(&place.to_string_lossy())
            )),
            Self::Unsupported { .. } => {
                Some("clone it into a repository of the usual format: git init --object-format=sha1 --ref-format=files".to_owned())
            }
            Self::Unborn(_) => Some("make the first commit: git add -A && git commit".to_owned()),
            Self::Unknown { place, .. } => {
                Some(format!("see what there is: git -C {} log --oneline --all", quoted(&place.to_string_lossy())))
            }
            Self::Ambiguous { .. } => Some("give more digits of the commit, or the full name of the ref (refs/heads/…)".to_owned()),
            Self::BranchAndTag { given, .. } => Some(format!("say which: refs/heads/{given} or refs/tags/{given}")),
            Self::Missing { place, partial: true, revision: Some(revision), .. } => {
                Some(format!("fetch what is missing: git -C {} archive {revision} >/dev/null", quoted(&place.to_string_lossy())))
            }
            Self::Missing { place, .. } => {
                Some(format!("look for damage: git -C {} fsck; or clone it again", quoted(&place.to_string_lossy())))
            }
            Self::Shallow { place, .. } => {
                Some(format!("fetch the whole history: git -C {} fetch --unshallow", quoted(&place.to_string_lossy())))
            }
            Self::Submodule { place, .. } => {
                Some(format!("fetch it: git -C {} submodule update --init --recursive", quoted(&place.to_string_lossy())))
            }
            Self::TagElsewhere { .. } => Some("tags are never moved: take the next version, or delete the tag yourself".to_owned()),
            Self::BadName { .. } | Self::BadEntry { .. } | Self::Write { .. } | Self::Read { .. } | Self::Git { .. } => None,
        }
    }
}

/// Quotes a word for a POSIX shell, so that a hint can be pasted whatever the path.
fn quoted(word: &str) -> String {
    let plain = |one: char| one.is_ascii_alphanumeric() || matches!(one, '/' | '.' | '_' | '-' | '+' | '@' | ':' | ',');
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}
