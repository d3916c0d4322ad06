//! What a release's bytes are: a tree, its digest, and how it is put together (`docs/decisions.md` 5.1 and 5.2).
//!
//! Nothing here follows a link, and nothing here knows where a release goes.

mod assemble;
mod digest;
mod tree;

use std::path::PathBuf;

use crate::store::DiskError;

pub use assemble::{Assembled, assemble};
pub(crate) use assemble::{Sync, copy_tree};
pub use digest::digest_of_tree;
pub(in crate::deploy) use digest::{Listing, copy};
pub(in crate::deploy) use tree::{Kind, open, walk};

/// A tree that cannot be a release.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// The disk said no.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Something in the tree has no place in a release.
    #[error("{path:?} cannot be part of a release: {why}")]
    Unfit {
        /// Which path, relative to its tree.
        path: PathBuf,
        /// Why not.
        why: &'static str,
    },
    /// A link leads out of the tree.
    #[error("the link {path:?} leads outside the release, to {to:?}")]
    LinkOutside {
        /// Which link, relative to the tree.
        path: PathBuf,
        /// Its text.
        to: PathBuf,
    },
}
