//! What a pipeline may look at beside its own file. This room opens nothing itself: whoever reads a pipeline hands it a
//! [`Files`], made of one commit.

use std::sync::Arc;

use crate::event::Digest;

/// The files of the run's commit, what changed in it, and files of elsewhere. The smallest one is [`NoFiles`].
///
/// Every answer is for people when it is an error: a lowercase fragment that says why.
pub trait Files {
    /// The bytes of a file of the commit, by its path from the top; none when it is not there.
    ///
    /// # Errors
    /// When the commit cannot be read.
    fn local(&self, path: &str) -> Result<Option<Vec<u8>>, String>;

    /// The paths of all files of the commit, from the top, in the order of their bytes.
    ///
    /// # Errors
    /// When the commit cannot be read.
    fn paths(&self) -> Result<Arc<[String]>, String>;

    /// The paths that the commit changed: added, changed, deleted, and both names of what moved.
    ///
    /// # Errors
    /// When the other commit is not known, or is not in this clone.
    fn changed(&self, since: &Since) -> Result<Arc<[String]>, String>;

    /// The bytes of a file that is not of this commit; none when it is not there.
    ///
    /// # Errors
    /// When no place for it is configured, with what to do.
    fn foreign(&self, wanted: &Foreign) -> Result<Option<Vec<u8>>, String>;

    /// The paths of all files of a project, from its top.
    ///
    /// # Errors
    /// When no place for it is configured, with what to do, or it has no such revision.
    fn paths_of(&self, wanted: &Elsewhere) -> Result<Arc<[String]>, String>;

    /// Which commit a project at a revision is, and the version that it goes by when it has one.
    ///
    /// # Errors
    /// When no place for it is configured, with what to do, or it has no such revision.
    fn identity_of(&self, wanted: &Elsewhere) -> Result<Identity, String>;
}

/// What a commit is compared with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Since {
    /// Exactly this revision: what the ref named before.
    Revision(String),
    /// The commit where the histories of this ref and of the run's commit part: `compare_to`.
    MergeBase(String),
}

/// A file of elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Foreign {
    /// A file of a project, from its top.
    Of(Elsewhere, String),
    /// `include: template`.
    Template(String),
    /// `include: remote`.
    Remote(Remote),
}

/// A project at a revision.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Elsewhere {
    /// `include: project`.
    Project {
        /// Its path, for instance `group/project`.
        project: String,
        /// The ref; none for the project's main branch.
        reference: Option<String>,
    },
    /// `include: component`.
    Component {
        /// Its path, with the host in front.
        project: String,
        /// A commit, tag or branch, else `1`, `1.2` or `~latest`, which are of its tags.
        version: String,
    },
}

/// A project's commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its full SHA.
    pub sha: String,
    /// The version that was meant, written out; none when a branch or a commit was named.
    pub version: Option<String>,
}

impl Elsewhere {
    /// Its name with its revision, for people.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Project { project, reference: None } => project.clone(),
            Self::Project { project, reference: Some(revision) } | Self::Component { project, version: revision } => {
                format!("{project}@{revision}")
            }
        }
    }
}

/// A file at an address. Whoever hands it in need not check it: the reader does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Remote {
    /// An `https://` address.
    pub address: String,
    /// What its bytes must come to.
    pub integrity: Option<Digest>,
    /// For how long bytes that were fetched before may be handed in; none for not at all.
    pub cache_seconds: Option<u64>,
}

/// No files: for a pipeline file that is looked at by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NoFiles;

const ALONE: &str = "the file is looked at by itself, without the repository around it";

impl Files for NoFiles {
    fn local(&self, _: &str) -> Result<Option<Vec<u8>>, String> {
        Err(ALONE.to_owned())
    }

    fn paths(&self) -> Result<Arc<[String]>, String> {
        Err(ALONE.to_owned())
    }

    fn changed(&self, _: &Since) -> Result<Arc<[String]>, String> {
        Err(ALONE.to_owned())
    }

    fn foreign(&self, _: &Foreign) -> Result<Option<Vec<u8>>, String> {
        Err(ALONE.to_owned())
    }

    fn paths_of(&self, _: &Elsewhere) -> Result<Arc<[String]>, String> {
        Err(ALONE.to_owned())
    }

    fn identity_of(&self, _: &Elsewhere) -> Result<Identity, String> {
        Err(ALONE.to_owned())
    }
}
