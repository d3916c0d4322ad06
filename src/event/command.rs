//! What may be asked of an engine or a driver, with the facts the asker saw; and the answer no.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Digest, InterruptedDecision, JobName, Revision, VerdictClass};

/// What is asked of a run's engine, in the imperative. A field that an engine does not know would be left undone in silence, so it is
/// no command to that engine (`docs/decisions.md` 15.21).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Say yes at a gate.
    Approve {
        /// The manual job.
        job: JobName,
        /// What the person saw.
        facts: Facts,
        /// Why, when the person said.
        #[serde(default)]
        reason: Option<String>,
        /// Variables for this start of the job; they beat the file's and the run's.
        #[serde(default)]
        variables: BTreeMap<String, String>,
    },
    /// Pass a HOLD.
    Override {
        /// The canary's job.
        job: JobName,
        /// Why.
        reason: String,
        /// What the person saw.
        facts: Facts,
    },
    /// Run a job again, or all that failed.
    Retry {
        /// The job; none for all that failed.
        #[serde(default)]
        job: Option<JobName>,
    },
    /// Say what becomes of an interrupted attempt.
    Decide {
        /// The job.
        job: JobName,
        /// What becomes of it.
        decision: InterruptedDecision,
    },
    /// Canary to 0, then end the jobs.
    Cancel {},
    /// End what a run of a newer commit of the same ref makes needless, if the file's `workflow:auto_cancel` says so.
    MakeWay {
        /// The number of that run.
        number: u64,
        /// Its commit.
        revision: Revision,
    },
    /// Find out at once that another rollout took the place of one of this run's. It changes nothing.
    Look {},
}

impl Command {
    /// The job that it names.
    #[must_use]
    pub fn job(&self) -> Option<&JobName> {
        match self {
            Self::Approve { job, .. } | Self::Override { job, .. } | Self::Decide { job, .. } => Some(job),
            Self::Retry { job } => job.as_ref(),
            Self::Cancel {} | Self::MakeWay { .. } | Self::Look {} => None,
        }
    }

    /// The verb, as the command line spells it.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Approve { .. } => "approve",
            Self::Override { .. } => "override",
            Self::Retry { .. } | Self::Decide { .. } => "retry",
            Self::Cancel {} | Self::MakeWay { .. } => "cancel",
            Self::Look {} => "look",
        }
    }

    /// Whether a job may start because of it, which then needs its masked values.
    #[must_use]
    pub fn starts_jobs(&self) -> bool {
        match self {
            Self::Approve { .. } | Self::Override { .. } | Self::Retry { .. } => true,
            Self::Decide { decision, .. } => *decision == InterruptedDecision::Rerun,
            Self::Cancel {} | Self::MakeWay { .. } | Self::Look {} => false,
        }
    }
}

/// What a command rests on. A fact that is not given is not compared.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// The release that has the environment's traffic.
    #[serde(default)]
    pub current: Option<Digest>,
    /// The release that would get it.
    #[serde(default)]
    pub candidate: Option<Digest>,
    /// The verdict on the candidate.
    #[serde(default)]
    pub verdict: Option<VerdictClass>,
    /// The policy in force.
    #[serde(default)]
    pub policy_hash: Option<Digest>,
}

/// A no, with its reason and the way out. It is recorded; it is not a failure of hms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// Which rule said no.
    pub kind: RefusalKind,
    /// One plain sentence.
    pub message: String,
    /// What to do, with a command to paste where there is one.
    #[serde(default)]
    pub hint: Option<String>,
}

/// The rules that say no. All give exit code 13.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalKind {
    /// A fact changed since the asker looked.
    Stale,
    /// A protected environment without PASS, override, or enough yeses.
    Protected,
    /// The revision is not a descendant of what is there.
    Outdated,
    /// A freeze window.
    Frozen,
    /// What runs there is not what the record says.
    Drifted,
    /// The view may only read.
    ReadOnly,
    /// Another release holds the environment.
    SlotTaken,
    /// Asked from inside a job.
    InsideRun,
    /// The job does not name that environment.
    Undeclared,
    /// The release has no scan as strong as policy wants.
    Unscanned,
    /// A tag moved, or names something else than this run's release.
    WrongTag,
    /// The ledger here was cut, restored or forked.
    LedgerForked,
    /// The ledger could not be written, so nothing was done.
    LedgerUnwritten,
    /// The release is not there.
    ReleaseMissing,
    /// Nothing of that kind waits.
    NotWaiting,
}

impl RefusalKind {
    /// As JSON and the ledger write it.
    #[must_use]
    pub fn word(self) -> String {
        serde_json::to_value(self).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
    }
}

impl Refusal {
    /// Makes a refusal without a hint.
    #[must_use]
    pub fn new(kind: RefusalKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None }
    }

    /// Adds the way out.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_understood_whole_is_not_taken() {
        let read = |text: &str| serde_json::from_str::<Command>(text);
        assert!(read(r#"{"command":"approve","job":"prod","facts":{}}"#).is_ok(), "what an earlier hms asks");
        for unknown in [
            r#"{"command":"approve","job":"prod","facts":{},"only_if":"calm"}"#,
            r#"{"command":"approve","job":"prod","facts":{"weather":"calm"}}"#,
            r#"{"command":"retry","job":null,"without":["a"]}"#,
            r#"{"command":"cancel","only":["a"]}"#,
            r#"{"command":"look","at":"a"}"#,
            r#"{"command":"dance"}"#,
        ] {
            assert!(read(unknown).is_err(), "{unknown}");
        }
    }
}
