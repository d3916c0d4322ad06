//! What can go wrong on the engine's side of a keeper.

use std::io;
use std::path::PathBuf;

use crate::store::DiskError;

/// A keeper that could not be started or asked about.
#[derive(Debug, thiserror::Error)]
pub enum ExecutorError {
    /// The system would not start it.
    #[error("cannot start the keeper {program}")]
    Start {
        /// Which program.
        program: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It started and ended, or fell silent, before it was ready.
    #[error("the keeper did not get ready ({why}); see {log}")]
    NotReady {
        /// What was seen of it.
        why: String,
        /// Where its own messages are.
        log: PathBuf,
    },
    /// Its exit record is there and cannot be understood.
    #[error("{path} is no record of an attempt")]
    BadRecord {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// The disk said no.
    #[error(transparent)]
    Disk(#[from] DiskError),
}
