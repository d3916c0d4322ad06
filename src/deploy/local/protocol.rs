//! What a client and the supervisor say to each other: one request a connection, then lines until `{"end":…}`
//! (`docs/decisions.md` 4.1).

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::status::LocalStatus;
use crate::deploy::{Applied, Effect, Held, Observation, TargetError};
use crate::event::{AppRecord, Digest, EnvironmentName, EnvironmentRecord};

/// What a client asks.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub(super) enum Request {
    AppRecord,
    PutAppRecord {
        record: Box<AppRecord>,
    },
    Record {
        environment: EnvironmentName,
    },
    PutRecord {
        record: Box<EnvironmentRecord>,
        #[serde(default)]
        when_unwritten: WhenUnwritten,
    },
    Environments,
    Observe {
        environment: EnvironmentName,
    },
    Remove {
        release: Digest,
    },
    Apply {
        environment: EnvironmentName,
        fence: u64,
        effect: Effect,
        /// Where the environment shall listen, if it listens nowhere yet.
        #[serde(default)]
        listen: Option<SocketAddr>,
    },
    Status,
    Stop,
}

/// What becomes of a record that cannot be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum WhenUnwritten {
    /// It is as if it had never come.
    #[default]
    Undo,
    /// It is held in memory until it is stored.
    Hold,
}

/// A line of an answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    Progress(String),
    End(Box<End>),
}

/// The last line of an answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum End {
    Failed(TargetError),
    AppRecord(Box<AppRecord>),
    Record(Box<EnvironmentRecord>),
    Held(Box<Held>),
    Environments(Vec<EnvironmentName>),
    Observed(Observation),
    Applied(Applied),
    Status(LocalStatus),
    Done,
}
