//! An entry of the ledger (`docs/decisions.md` 7.2).

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::event::{
    Actor, AppName, Digest, EnvironmentName, LedgerHead, LedgerId, Revision, RolloutId, RunId, TargetIdentity, Weight, Yes,
};

/// What part of an action an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It is about to be done.
    Intent,
    /// It was done, or not: `outcome` says.
    Outcome,
    /// Something that is done by being written: an approval, a refusal.
    Note,
}

/// What a decision rested on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// SHA-256 of the evidence's file, 64 hex digits.
    pub sha256: String,
    /// PASS, HOLD or ROLLBACK.
    pub verdict: String,
}

/// A canary's share in an entry.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Shares {
    /// Asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested: Option<Weight>,
    /// In force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub applied: Option<Weight>,
    /// Measured in requests, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured: Option<f64>,
}

/// One line of the ledger. Absent is left out. The writer fills in `v`, `seq`, `id`, the times, `tool_version` and `prev_root`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// 1.
    pub v: u32,
    /// From 0: the leaf's index.
    pub seq: u64,
    /// A ULID: the same action is not entered twice.
    pub id: String,
    /// Which action, for instance `deploy`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Which part of it.
    pub phase: Phase,
    /// For an outcome: the intent's `seq`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intent_seq: Option<u64>,
    /// Wall time, RFC 3339, UTC, milliseconds.
    pub time: String,
    /// The machine's boot.
    pub boot_id: String,
    /// Milliseconds since that boot.
    pub monotonic_ms: u64,
    /// Who.
    pub actor: Actor,
    /// The ledger that this entry begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ledger: Option<LedgerId>,
    /// Of which app.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app: Option<AppName>,
    /// In which environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentName>,
    /// At which target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetIdentity>,
    /// For which run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// By which rollout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutId>,
    /// The release's tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// The tag object it named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag_object: Option<String>,
    /// The commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
    /// The release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The release before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<Digest>,
    /// The canary's share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<Shares>,
    /// SHA-256 of the scan's report.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scan_report: Option<Digest>,
    /// What it rested on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// Whose yeses it rested on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub yeses: Vec<Yes>,
    /// The policy in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_hash: Option<Digest>,
    /// Why, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// For an outcome: `done`, `failed`, `superseded`, `resolved`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// Some of the traffic that was judged was made by hms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub synthetic: Option<bool>,
    /// The hms that wrote it.
    pub tool_version: String,
    /// The ledger that this one goes on from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub follows: Option<LedgerHead>,
    /// The root before this entry, for people; the tree is the proof.
    pub prev_root: String,
}

impl Entry {
    /// An entry of that type by that actor; everything else is absent, or filled in by the writer.
    #[must_use]
    pub fn new(kind: &str, phase: Phase, actor: Actor) -> Self {
        Self {
            v: 1,
            seq: 0,
            id: ulid::Ulid::generate().to_string(),
            kind: kind.to_owned(),
            phase,
            intent_seq: None,
            time: String::new(),
            boot_id: String::new(),
            monotonic_ms: 0,
            actor,
            ledger: None,
            app: None,
            environment: None,
            target: None,
            run: None,
            rollout: None,
            tag: None,
            tag_object: None,
            revision: None,
            digest: None,
            previous: None,
            weights: None,
            scan_report: None,
            evidence: None,
            yeses: Vec::new(),
            policy_hash: None,
            reason: None,
            outcome: None,
            synthetic: None,
            tool_version: String::new(),
            follows: None,
            prev_root: String::new(),
        }
    }

    /// When it was written, if its time can be read.
    #[must_use]
    pub fn at(&self) -> Option<DateTime<Utc>> {
        DateTime::parse_from_rfc3339(&self.time).ok().map(|time| time.to_utc())
    }
}
