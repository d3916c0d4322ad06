//! The last rehearsal of an environment's rollback.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Actor, ReleaseRef};

/// A rehearsal, as the environment's record keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drill {
    /// When it ended.
    pub at: DateTime<Utc>,
    /// What the rollback would have gone to.
    pub release: ReleaseRef,
    /// Who rehearsed.
    pub by: Actor,
    /// How it went.
    #[serde(flatten)]
    pub result: DrillResult,
    /// How long it took.
    pub duration_ms: u64,
}

/// How a rehearsal went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum DrillResult {
    /// It was started beside production and answered its health check.
    Healthy,
    /// It runs beside production all the time, and answers.
    Warm,
    /// Nothing was started: what it needs is there, and the target would take the change.
    Checked,
    /// A rollback would have failed.
    Failed {
        /// One plain sentence.
        reason: String,
    },
}

/// Without its time: `v1.4.0: healthy in 0.8 s`.
impl fmt::Display for Drill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (tag, tenths) = (&self.release.tag, self.duration_ms.div_ceil(100));
        match &self.result {
            DrillResult::Healthy => write!(f, "{tag}: healthy in {}.{} s", tenths / 10, tenths % 10),
            DrillResult::Warm => write!(f, "{tag}: healthy, it runs beside production"),
            DrillResult::Checked => write!(f, "{tag}: what it needs is there; it was not started"),
            DrillResult::Failed { reason } => write!(f, "{tag}: FAILED, {reason}"),
        }
    }
}
