//! The events of a repository's journal.

use serde::{Deserialize, Serialize};

use super::{Actor, EnvironmentName, Revision, RunId, TargetIdentity};

/// What was seen in a repository, in the past tense.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum RepositoryEvent {
    /// A watched ref has another commit than before.
    RefSeen {
        /// The full name, for instance `refs/heads/main`.
        ref_name: String,
        /// Where it is now.
        revision: Revision,
        /// Where it was.
        #[serde(default)]
        before: Option<Revision>,
    },
    /// A run has a number and a folder.
    RunRegistered {
        /// The run.
        run: RunId,
        /// Its number.
        number: u64,
        /// Its commit.
        revision: Revision,
        /// The ref that moved, for a run that a watch started: two watches start one run for one (ref, revision).
        #[serde(default)]
        ref_name: Option<String>,
    },
    /// An environment's target was looked at.
    EnvironmentObserved {
        /// Which environment.
        environment: EnvironmentName,
        /// Where.
        target: TargetIdentity,
    },
    /// A person said that an environment of jobs is stopped, and no job ran for that. Synced.
    EnvironmentStopped {
        /// Its name, as jobs write it: any text that GitLab takes.
        environment: String,
        /// Who.
        actor: Actor,
    },
    /// A person said that an environment of jobs is not to be stopped by itself. Synced.
    EnvironmentKept {
        /// Its name.
        environment: String,
        /// Who.
        actor: Actor,
    },
    /// A torn last line was cut off when the journal was opened.
    JournalRepaired {
        /// How many bytes were dropped.
        dropped_bytes: u64,
    },
    /// An event of a later version; it changes nothing here.
    #[serde(other)]
    Unknown,
}
