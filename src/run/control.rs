//! What travels on an engine's sockets: requests of people, requests of jobs, and the lines that answer them.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::{Actor, Command, DeployOutcome, Refusal, Weight};
use crate::store::{Answer, SocketError, ask};

/// What is asked on the engine's control socket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControlRequest {
    /// A ULID; the same one twice is one command.
    pub id: String,
    /// What is asked.
    pub command: Command,
    /// Who asks; the engine puts the peer's uid in place of what it says here.
    pub actor: Actor,
}

/// What is asked on an attempt's socket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobRequest {
    /// The attempt's token, from `HMS_ATTEMPT_TOKEN`.
    pub token: String,
    /// What the job wants.
    pub wish: Wish,
}

/// What a job may want.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "wish", rename_all = "snake_case", deny_unknown_fields)]
pub enum Wish {
    /// A deploy of this run's release.
    Deploy(DeployWish),
    /// A rollback from inside a job: always refused, and the refusal recorded.
    Rollback {
        /// The environment it named.
        environment: String,
    },
    /// To hand in a scan's report.
    Scan {
        /// The whole report.
        report: serde_json::Value,
        /// Its summary.
        summary: crate::event::ScanSummary,
    },
}

/// A deploy as `hms-deploy` was asked for it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeployWish {
    /// The value of `--env`.
    pub environment: String,
    /// The value of `--traffic`; none walks the steps.
    #[serde(default)]
    pub traffic: Option<Weight>,
    /// The value of `--tag`.
    #[serde(default)]
    pub tag: Option<String>,
    /// `--slot-timeout` in seconds.
    #[serde(default)]
    pub slot_timeout_seconds: Option<u64>,
    /// `--supersede`.
    #[serde(default)]
    pub supersede: bool,
    /// The reason given with `--allow-outdated`.
    #[serde(default)]
    pub allow_outdated: Option<String>,
}

/// A line that answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// It is durable and the engine's.
    Accepted {
        /// What follows from it, in one plain sentence.
        message: String,
    },
    /// It was refused.
    Refused {
        /// Why.
        refusal: Refusal,
    },
    /// Something happened on the way.
    Line {
        /// For people.
        text: String,
    },
    /// A job's request is done.
    Done {
        /// How.
        outcome: DeployOutcome,
        /// The lines that the program prints.
        lines: Vec<String>,
    },
    /// A scan's report was taken.
    Taken {
        /// `required` or `optional`: what policy says of advisories.
        advisories: String,
    },
    /// It could not be carried out, for a reason that is nobody's rule.
    Failed {
        /// Why.
        message: String,
    },
}

/// Asks an engine, and waits for its first answer.
///
/// # Errors
/// When nobody answers at that socket.
pub fn command(socket: &Path, request: &ControlRequest, patience: Duration) -> Result<Option<Reply>, SocketError> {
    ask(socket, request, patience)?.next(Some(patience))
}

/// Asks on an attempt's socket; the answer comes in lines.
///
/// # Errors
/// When nobody answers at that socket.
pub fn wish(socket: &Path, request: &JobRequest, patience: Duration) -> Result<Answer, SocketError> {
    ask(socket, request, patience)
}
