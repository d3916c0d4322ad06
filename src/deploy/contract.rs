//! The contract between the driver and whatever a release goes to (`docs/decisions.md` 6).

use std::future::Future;
use std::path::Path;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::differences;
use crate::event::{
    AppRecord, Digest, Drift, EnvironmentName, EnvironmentRecord, ReleaseRef, RolloutId, ScanSummary, TargetIdentity, Weight,
};

/// How often a record that changes while it is compared is looked at.
const DRIFT_TRIES: u32 = 4;

/// A release's record, kept beside its bytes (`docs/decisions.md` 5.3).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReleaseRecord {
    /// 1.
    pub format: u32,
    /// Which release.
    #[serde(flatten)]
    pub release: ReleaseRef,
    /// The application.
    pub app: crate::event::AppName,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// How many files.
    pub files: u64,
    /// How many bytes.
    pub bytes: u64,
    /// How it is started; none for `package.json`'s start, else a static server.
    #[serde(default)]
    pub start: Option<String>,
    /// What its scan said; none when no scan handed in a report.
    #[serde(default)]
    pub scan: Option<ScanSummary>,
    /// Files whose bytes that scan must have seen, by path below the checkout → SHA-256 hex: what jobs handed on, or every file when
    /// none handed on any.
    #[serde(default)]
    pub must_be_scanned: std::collections::BTreeMap<String, String>,
    /// On a cluster: its images, by digest. Empty where releases are trees of files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<ReleaseImage>,
}

/// An image of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseImage {
    /// Which of several workloads gets it, as `KIND/NAME`; none: every one without an image of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<String>,
    /// Which container gets it; none when there is only one that can be meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// `NAME@sha256:…`.
    pub reference: String,
    /// The tag that it was found or pushed under; none in records of an earlier hms, where it is one of the commit's names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
}

/// What an image that hms makes of a release's files is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageSource {
    /// The image below.
    pub base: String,
    /// What is run, with its arguments; empty to leave it to the base.
    pub entrypoint: Vec<String>,
    /// Where the files go.
    pub folder: String,
    /// `OS/ARCHITECTURE`.
    pub platform: String,
}

/// The place of a release in an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArmName {
    /// Has the traffic that the canary has not.
    Stable,
    /// Has the canary's weight.
    Canary,
    /// Runs without traffic, to be gone back to at once.
    Standby,
}

/// How a running release is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "health", rename_all = "snake_case")]
pub enum Health {
    /// It did not answer its health check yet.
    Starting,
    /// It answers.
    Healthy,
    /// It does not; why, and its last lines.
    Failing {
        /// One plain sentence.
        reason: String,
        /// What it last wrote.
        last_lines: Vec<String>,
    },
}

/// A release that runs in an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArmView {
    /// Its place.
    pub arm: ArmName,
    /// Which release.
    pub release: Digest,
    /// The value of the version label that its requests carry in metrics.
    pub version: String,
    /// How it is.
    pub health: Health,
    /// How often it was started again since it was placed.
    pub restarts: u32,
}

/// A page of metrics of one process that serves, in the Prometheus text format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsPage {
    /// Which process, for good: one that starts anew is another.
    pub instance: String,
    /// The value of the version label of its arm, where that is known.
    pub version: Option<String>,
    /// The page, whole.
    pub text: String,
}

/// What an environment is at this moment, as the target sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// When it was looked at.
    pub at: DateTime<Utc>,
    /// What runs.
    pub arms: Vec<ArmView>,
    /// The canary's weight in force.
    pub weight: Weight,
    /// The highest fence that the place of the effects has seen.
    pub fence: u64,
    /// Where users reach it.
    #[serde(default)]
    pub address: Option<String>,
    /// Where its metrics can be scraped, when the target measures itself.
    #[serde(default)]
    pub metrics: Option<String>,
    /// Requests that went to the canary and to stable since the weight was last set.
    #[serde(default)]
    pub served: Option<(u64, u64)>,
}

/// A change of what runs or of who gets the traffic. Each is idempotent: done twice it is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "snake_case")]
pub enum Effect {
    /// Make a placed release run and answer its health check, without traffic: as the canary, or as standby.
    Start {
        /// Which release.
        release: Digest,
        /// As what.
        arm: ArmName,
        /// How long it may take.
        timeout_ms: u64,
    },
    /// Give the canary this share.
    Weigh {
        /// The share.
        weight: Weight,
    },
    /// The canary becomes stable with all traffic; what was stable becomes standby.
    Promote {
        /// The canary's digest: another one is an error, never promoted by mistake.
        release: Digest,
    },
    /// The canary's weight becomes 0 at once; it is drained, then stopped.
    Withdraw,
    /// A running release becomes stable with all traffic, and the canary's weight 0, in one step; what was stable is drained, then stopped.
    Return {
        /// Which release.
        release: Digest,
    },
    /// A standby is drained and stopped.
    Retire {
        /// Which release.
        release: Digest,
    },
}

/// What the target says after an effect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Applied {
    /// The canary's weight in force: proof, not intent.
    pub weight: Weight,
    /// What runs now.
    pub observation: Observation,
}

/// Why a target did not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "error", rename_all = "snake_case")]
pub enum TargetError {
    /// The record was changed by somebody else since it was read.
    #[error("the record of {what} was changed meanwhile (version {found} is stored)")]
    Conflict {
        /// Which record.
        what: String,
        /// The version stored.
        found: u64,
    },
    /// A higher fence was seen.
    #[error("superseded{}", .by.as_ref().map(|by| format!(" by rollout {by}")).unwrap_or_default())]
    Superseded {
        /// The rollout that holds the environment now, where known.
        by: Option<RolloutId>,
        /// The fence seen.
        fence: u64,
    },
    /// The release would not start or would not answer.
    #[error("{reason}")]
    StartFailed {
        /// One plain sentence.
        reason: String,
        /// What it last wrote.
        last_lines: Vec<String>,
    },
    /// The release's bytes are not there, or are not what their digest says.
    #[error("release {release} is not there: {why}")]
    ReleaseMissing {
        /// Which.
        release: Digest,
        /// What was found instead.
        why: String,
    },
    /// The effect does not fit what is there, for instance a promotion of what is no canary.
    #[error("{reason}")]
    NotPossible {
        /// One plain sentence.
        reason: String,
    },
    /// The target did not answer, or its disk is full.
    #[error("{reason}")]
    Unreachable {
        /// One plain sentence with the way out.
        reason: String,
    },
}

/// An environment's record that a target took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// As whoever reads it gets it from now on.
    pub record: EnvironmentRecord,
    /// Why it is in memory alone as yet; none when it is stored.
    #[serde(default)]
    pub unwritten: Option<String>,
}

/// Where environments live.
///
/// Effects are conditional writes at the place of the effect: *apply(fence, effect)*, never check-then-act. No caller holds a
/// lock at the target across a call. Records are compared and swapped by version; a version of 0 means that none is stored.
pub trait Target: Send + Sync {
    /// Where this is, by an identity that a changed name cannot move.
    fn identity(&self) -> impl Future<Output = Result<TargetIdentity, TargetError>> + Send;

    /// The app's record; empty with version 0 when none is stored.
    fn app_record(&self) -> impl Future<Output = Result<AppRecord, TargetError>> + Send;

    /// Stores the app's record if the stored version is `record.version`; gives back what is stored, one version on.
    fn put_app_record(&self, record: AppRecord) -> impl Future<Output = Result<AppRecord, TargetError>> + Send;

    /// An environment's record; empty with version 0 when none is stored.
    fn record(&self, environment: &EnvironmentName) -> impl Future<Output = Result<EnvironmentRecord, TargetError>> + Send;

    /// Stores an environment's record if the stored version is `record.version`; gives back what is stored, one version on.
    fn put_record(&self, record: EnvironmentRecord) -> impl Future<Output = Result<EnvironmentRecord, TargetError>> + Send;

    /// As [`put_record`](Self::put_record), for what stops for no disk (`docs/decisions.md` 18.4): a record that cannot be stored now is
    /// held in memory, read from there, and stored as soon as it can be. A target with no memory of its own stores it or fails.
    fn hold_record(&self, record: EnvironmentRecord) -> impl Future<Output = Result<Held, TargetError>> + Send {
        async { self.put_record(record).await.map(|record| Held { record, unwritten: None }) }
    }

    /// Names of the environments that have a record.
    fn environments(&self) -> impl Future<Output = Result<Vec<EnvironmentName>, TargetError>> + Send;

    /// What is there now.
    fn observe(&self, environment: &EnvironmentName) -> impl Future<Output = Result<Observation, TargetError>> + Send;

    /// Where what is there is not what the record says, beyond what a rollout under way explains; what a person adopted is left out. Empty:
    /// nowhere. Changes nothing. A target that can see more than which release runs adds that.
    fn drift(&self, environment: &EnvironmentName) -> impl Future<Output = Result<Vec<Drift>, TargetError>> + Send {
        async { self.compared(environment).await.map(|(_, found)| found) }
    }

    /// The comparison that every target can make: the record, and in what the observation differs from it. A record that changed during
    /// the look is looked at again.
    fn compared(&self, environment: &EnvironmentName) -> impl Future<Output = Result<(EnvironmentRecord, Vec<Drift>), TargetError>> + Send {
        async move {
            let mut before = self.record(environment).await?;
            for _ in 0..DRIFT_TRIES {
                let seen = self.observe(environment).await?;
                let after = self.record(environment).await?;
                if after.version == before.version {
                    let mut found = differences(&after, &seen);
                    found.retain(|drift| !after.adopted.contains(drift));
                    return Ok((after, found));
                }
                before = after;
            }
            Err(TargetError::Conflict { what: format!("environment {environment}"), found: before.version })
        }
    }

    /// The pages of metrics of the processes that have these labels here. One that serves users and cannot be read fails all of them. A target
    /// without such processes says so.
    fn pages(&self, labels: &str) -> impl Future<Output = Result<Vec<MetricsPage>, TargetError>> + Send {
        let _ = labels;
        let reason = "`metrics.pods` is about the pods of a cluster, and this target has none".to_owned();
        async { Err(TargetError::NotPossible { reason }) }
    }

    /// What a release that was just made is called here: a target that runs images names it by theirs, and finds or makes them. Where bytes
    /// are what is released, the record stays as it is. Changes nothing that serves.
    fn prepare(
        &self,
        record: ReleaseRecord,
        tree: &Path,
        image: Option<&ImageSource>,
    ) -> impl Future<Output = Result<ReleaseRecord, TargetError>> + Send {
        let _ = (tree, image);
        async { Ok(record) }
    }

    /// What runs here that no record names: kept as a release that can be gone back to, and told. None when there is nothing of the kind.
    fn adopt(&self, environment: &EnvironmentName) -> impl Future<Output = Result<Option<ReleaseRef>, TargetError>> + Send {
        let _ = environment;
        async { Ok(None) }
    }

    /// Brings a release's bytes and record to the target, synced; `tree` is checked against the digest.
    fn place(&self, record: &ReleaseRecord, tree: &Path) -> impl Future<Output = Result<(), TargetError>> + Send;

    /// The record of a placed release; none when it is not there. With its bytes checked against the digest.
    fn placed(&self, release: &Digest) -> impl Future<Output = Result<Option<ReleaseRecord>, TargetError>> + Send;

    /// Every placed release, newest first; bytes are not checked.
    fn releases(&self) -> impl Future<Output = Result<Vec<ReleaseRecord>, TargetError>> + Send;

    /// Removes a release's bytes; refused while it runs.
    fn remove(&self, release: &Digest) -> impl Future<Output = Result<(), TargetError>> + Send;

    /// What a placed release would change here as the canary (with that share) or as stable, in lines for people; changes nothing. None where
    /// all that changes is which release runs.
    fn preview(
        &self,
        release: &Digest,
        arm: ArmName,
        weight: Option<Weight>,
    ) -> impl Future<Output = Result<Vec<String>, TargetError>> + Send {
        let _ = (release, arm, weight);
        async { Ok(Vec::new()) }
    }

    /// Carries out one effect under a fence. `progress` is told of what happens meanwhile, a line at a time.
    fn apply(
        &self,
        environment: &EnvironmentName,
        fence: u64,
        effect: &Effect,
        progress: &(dyn Fn(String) + Send + Sync),
    ) -> impl Future<Output = Result<Applied, TargetError>> + Send;
}
