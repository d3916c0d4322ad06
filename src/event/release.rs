//! What is released, and what an environment is said to hold.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{AppName, Digest, EnvironmentName, Revision, RolloutId, RunId};

/// A release by its digest, with the names people use for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseRef {
    /// The digest of its bytes (`docs/decisions.md` 5.1), or of its image.
    pub digest: Digest,
    /// The commit it was made from; none for what ran before hms came.
    #[serde(default)]
    pub revision: Option<Revision>,
    /// The highest semver git tag at that commit, another tag of it, or its short SHA.
    pub tag: String,
    /// The SHA of the tag object that `tag` named when the release was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag_object: Option<String>,
    /// The run that made it.
    #[serde(default)]
    pub run: Option<RunId>,
}

impl ReleaseRef {
    /// What somebody who waits for this release to let an environment go is told: whose it is, and the ways out.
    #[must_use]
    pub fn awaited(&self, environment: &EnvironmentName, app: &AppName) -> String {
        let (whose, its_end) = match &self.run {
            Some(run) => (format!("of run {run}"), format!("hms cancel {run} ends that run; ")),
            None => ("of no run".to_owned(), String::new()),
        };
        let tag = &self.tag;
        format!("waiting for {tag} {whose}, which holds {environment}: {its_end}hms rollback --env canary --app {app} takes it back")
    }
}

/// Where environments live, by an identity that a changed name cannot move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetIdentity {
    /// `local` or `kubernetes`.
    pub kind: String,
    /// What it is for good: machine id and uid and app, or the cluster's kube-system uid.
    pub id: String,
    /// What people call it: `this machine`, or context and namespace.
    pub name: String,
}

/// An environment's truth, kept at its target (`docs/decisions.md` 6.1).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EnvironmentRecord {
    /// 1.
    pub format: u32,
    /// Raised by one at each write; a write names the version it rests on.
    pub version: u64,
    /// Whose environment.
    pub app: AppName,
    /// Which environment.
    pub environment: EnvironmentName,
    /// The release that has the environment's traffic.
    pub current: Option<ReleaseRef>,
    /// The release that had it before.
    pub previous: Option<ReleaseRef>,
    /// Releases that were healthy with all traffic, newest first, without those rolled back.
    #[serde(default)]
    pub healthy: Vec<ReleaseRef>,
    /// What ran before hms came.
    #[serde(default)]
    pub origin: Option<ReleaseRef>,
    /// Who holds the environment for a change.
    #[serde(default)]
    pub slot: Option<Slot>,
    /// The highest fencing number given out.
    #[serde(default)]
    pub fence: u64,
    /// The head of the ledger that wrote last.
    #[serde(default)]
    pub ledger: Option<LedgerHead>,
    /// Rollouts that never get a fencing number again.
    #[serde(default)]
    pub superseded: Vec<RolloutId>,
    /// The canary's weight: asked for, and in force.
    #[serde(default)]
    pub weights: Option<Weights>,
    /// Who watches the canary.
    #[serde(default)]
    pub watch: Option<Watch>,
    /// The release that a rollback brought the environment to, until something is deployed again.
    #[serde(default)]
    pub returned_to: Option<Digest>,
    /// Yeses and overrides given outside a run, by release.
    #[serde(default)]
    pub yeses: Vec<Yes>,
    /// Rollbacks and aborts whose ledger entry could not be written yet.
    #[serde(default)]
    pub unrecorded: Vec<serde_json::Value>,
    /// The last rehearsal of its rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill: Option<Box<super::Drill>>,
    /// Who broke a freeze, for which release.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub broken_freezes: Vec<BrokenFreeze>,
    /// Releases kept at the target, newest first.
    #[serde(default)]
    pub releases: Vec<ReleaseRef>,
    /// Differences that a person said are right (`hms drift adopt`); they end with the release that they are about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adopted: Vec<super::Drift>,
    /// Fields of a later version, kept as they are.
    #[serde(flatten)]
    pub extra: serde_json::Map<String, serde_json::Value>,
}

/// A canary's weight, asked for and in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weights {
    /// What was asked for.
    pub requested: super::Weight,
    /// What the target said.
    pub applied: super::Weight,
}

/// Somebody's promise to watch a canary, renewed while it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// Which rollout.
    pub rollout: RolloutId,
    /// On which host.
    pub host: String,
    /// Which process.
    pub by: super::ProcessName,
    /// When it was last renewed.
    pub renewed_at: DateTime<Utc>,
    /// After how many seconds without renewal nobody watches.
    pub ttl_seconds: u64,
}

/// What is kept for an app at a target, over all its environments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AppRecord {
    /// 1.
    pub format: u32,
    /// Raised by one at each write; a write names the version it rests on; 0 says that none is stored.
    pub version: u64,
    /// Whose.
    pub app: AppName,
    /// The repository that was first: its first commit, so that a clone is the same and another project is not.
    #[serde(default)]
    pub repository: Option<Revision>,
    /// The policy in force.
    #[serde(default)]
    pub policy: Option<AcceptedPolicy>,
    /// Fields of a later version, kept as they are.
    #[serde(flatten)]
    pub extra: serde_json::Map<String, serde_json::Value>,
}

impl AppRecord {
    /// The record of an app that nothing was ever deployed of.
    #[must_use]
    pub fn empty(app: AppName) -> Self {
        Self { format: 1, version: 0, app, repository: None, policy: None, extra: serde_json::Map::new() }
    }
}

impl EnvironmentRecord {
    /// The record of an environment that nothing was ever deployed to; version 0 says that none is stored.
    #[must_use]
    pub fn empty(app: AppName, environment: EnvironmentName) -> Self {
        Self {
            format: 1,
            version: 0,
            app,
            environment,
            current: None,
            previous: None,
            healthy: Vec::new(),
            origin: None,
            slot: None,
            fence: 0,
            ledger: None,
            superseded: Vec::new(),
            weights: None,
            watch: None,
            returned_to: None,
            yeses: Vec::new(),
            unrecorded: Vec::new(),
            drill: None,
            broken_freezes: Vec::new(),
            releases: Vec::new(),
            adopted: Vec::new(),
            extra: serde_json::Map::new(),
        }
    }
}

/// One release's hold on an environment, from its first weight until promoted or rolled back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// The release that holds it.
    pub release: ReleaseRef,
    /// Through which rollout.
    pub rollout: RolloutId,
    /// Since when.
    pub since: DateTime<Utc>,
}

/// A ledger's state: what a pin holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerHead {
    /// Which ledger.
    pub id: super::LedgerId,
    /// How many entries.
    pub size: u64,
    /// The RFC 6962 root over those entries, 64 hex digits.
    pub root: String,
    /// Whose ledger it is, in a target's record. None in a pin's file, which says it beside the head, and in records of an earlier hms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<LedgerOwner>,
}

impl LedgerHead {
    /// Whether it is the same ledger at the same state, whoever says so.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        (&self.id, self.size, &self.root) == (&other.id, other.size, &other.root)
    }
}

/// Whose a ledger is: there is one for each user, host and STATE.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerOwner {
    /// The user.
    pub uid: u32,
    /// The host.
    pub host: String,
    /// The STATE folder.
    pub state: std::path::PathBuf,
}

/// A policy that somebody accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptedPolicy {
    /// SHA-256 of `text`.
    pub hash: Digest,
    /// The policy as canonical JSON (RFC 8785).
    pub text: String,
    /// When it was accepted.
    pub accepted_at: DateTime<Utc>,
    /// By whom.
    pub by: super::Actor,
}

/// One person's yes to one release in one environment under one policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Yes {
    /// A plain yes, or one that passes HOLD.
    pub kind: YesKind,
    /// Whose.
    pub actor: super::Actor,
    /// For which release.
    pub release: Digest,
    /// Under which policy.
    pub policy_hash: Digest,
    /// Why, in the person's words.
    pub reason: Option<String>,
    /// When.
    pub at: DateTime<Utc>,
}

/// One person's word that a release may be promoted although it is frozen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokenFreeze {
    /// Whose.
    pub actor: super::Actor,
    /// For which release.
    pub release: Digest,
    /// Under which policy.
    pub policy_hash: Digest,
    /// Why, in the person's words.
    pub reason: String,
    /// When; it counts for a window that held then.
    pub at: DateTime<Utc>,
}

/// What a yes is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum YesKind {
    /// Agreement to a release whose canary passed.
    Approval,
    /// Agreement, with a reason, to a release without a PASS.
    Override,
}
