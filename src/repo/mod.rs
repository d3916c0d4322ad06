//! Git, read only: refs, commits, files of a commit, isolated checkouts, tags and versions.
//!
//! A repository's own configuration, hooks and attributes were written by strangers and name programs to run. Nothing here runs any:
//! objects and refs are read through libgit2, which knows no hooks and no external filters, and a checkout is a walk of the tree that writes
//! blobs as they are. The engineer's working tree, index and configuration are never written; the one thing that is ever
//! written to a repository is an annotated tag ([`Repository::create_annotated_tag`]). Replace refs are not followed.
//!
//! All functions block: async callers put them in `spawn_blocking`. This room names `event` alone.

mod checkout;
mod commit;
mod component;
mod dirty;
mod error;
mod open;
mod paths;
mod resolve;
mod skeleton;
mod submodule;
mod tag;
mod version;
mod watch;

pub use checkout::Checkout;
pub use commit::CommitFacts;
pub use error::Error;
pub use open::Repository;
pub use paths::Origin;
pub use resolve::Resolved;
pub use submodule::Submodules;
pub use tag::{CommitTag, NamedRelease, TagMade, Tagger};
pub use version::{Bump, NextVersion};
pub use watch::{RefFingerprint, RefKind};
