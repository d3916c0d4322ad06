//! What a job hands on: collected from its checkout after the script, put into another job's checkout before it.
//!
//! Nothing here follows a link, leaves the checkout, or opens anything but a regular file. All of the job's processes are gone
//! when artifacts are collected, and none has started when they are put back, so that nobody moves what is being looked at.

mod collect;
mod manifest;
mod pattern;
mod place;
mod restore;
mod walk;

pub(super) use collect::{Collected, collect, copy_reports, keep_reports, read_reports};
pub(super) use restore::restore;
pub(super) use walk::snapshot;

pub use manifest::{Entry as KeptArtifact, Manifest as KeptArtifacts, kept_artifacts};

use std::path::{Path, PathBuf};

/// Whether a glob of `artifacts: paths`, variables already put in, names that very path below `checkout`.
///
/// # Errors
/// In words: when it leads outside, or is no glob.
pub fn artifact_glob_names(glob: &str, checkout: &Path, path: &Path) -> Result<bool, String> {
    Ok(pattern::Pattern::read(glob, checkout)?.matches(path))
}

/// Artifacts that could not be kept or put back.
#[derive(Debug, thiserror::Error)]
pub(super) enum ArtifactError {
    /// The system said no.
    #[error("cannot {action} {path}: {source}")]
    System {
        /// What was tried.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said; part of the sentence, for it ends in a log.
        source: std::io::Error,
    },
    /// It was told to stop.
    #[error("stopped")]
    Stopped,
}

impl ArtifactError {
    pub(super) fn of(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::System { action, path, source }
    }
}

/// Whether to go on; asked before each file.
pub(super) type GoOn<'a> = &'a mut dyn FnMut() -> bool;
