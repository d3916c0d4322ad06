//! The events of a rollout's journal.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    Actor, AppName, Digest, Drift, EnvironmentName, OwnMetric, ProcessName, ReleaseRef, RolloutId, RunId, Sample, TargetIdentity, Verdict,
    Weight,
};

/// What happened in a rollout, in the past tense. Its driver is the only writer. All but `Sampled` and `ProgressSeen` are synced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum RolloutEvent {
    /// The rollout exists. Always first.
    RolloutCreated(Box<RolloutCreated>),
    /// A driver took the lock.
    DriverStarted {
        /// Which process.
        driver: ProcessName,
    },
    /// A torn last line was cut off when the journal was opened.
    JournalRepaired {
        /// How many bytes were dropped.
        dropped_bytes: u64,
    },
    /// Another release holds the environment.
    SlotAwaited {
        /// Which.
        holder: ReleaseRef,
    },
    /// The environment is held by this rollout.
    SlotTaken {
        /// What has the traffic then, which may be another release than when the rollout was created: it may have waited. Older
        /// journals do not say.
        #[serde(default)]
        previous: Option<ReleaseRef>,
    },
    /// A line for people about something under way.
    ProgressSeen {
        /// The line.
        text: String,
    },
    /// A rollback waits for its moment; the process counts.
    RollbackArmed {
        /// What it goes from.
        from: ReleaseRef,
        /// What it goes to.
        to: ReleaseRef,
        /// When it fires by itself.
        fires_at: DateTime<Utc>,
    },
    /// A person took an armed rollback back.
    RollbackCancelled {
        /// Who.
        actor: Actor,
    },
    /// A step began: its ledger intent is written, its fencing number taken.
    StepBegan {
        /// Which step.
        step: Step,
        /// Its fencing number.
        fence: u64,
        /// The ledger's intent; none when it is UNRECORDED.
        #[serde(default)]
        intent_seq: Option<u64>,
    },
    /// The release answers its health check.
    ReleaseHealthy {
        /// How long it took.
        duration_ms: u64,
    },
    /// The target says that this weight is in force.
    WeightApplied {
        /// What was asked for.
        requested: Weight,
        /// What the target says.
        applied: Weight,
    },
    /// From here on samples count.
    WatchStarted {
        /// The canary's weight.
        weight: Weight,
        /// The latency threshold in seconds; none on a first release, where latency is not judged, and where it is yet to be chosen.
        #[serde(default)]
        threshold_seconds: Option<f64>,
        /// The largest share of slower requests, 0 to 1.
        #[serde(default)]
        slow_share: Option<f64>,
        /// There is nothing to compare with: judged by the absolute SLO alone.
        absolute_only: bool,
        /// The label values that name the arms in metrics.
        canary_version: String,
        /// Likewise.
        #[serde(default)]
        stable_version: Option<String>,
        /// The weight that follows at PASS; none after the last, and where it is not known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<Weight>,
        /// The limits of the user's own metrics.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        own: Vec<OwnMetric>,
    },
    /// What is slow was chosen after the watch had begun: no sample before told. It is judged from here on.
    ThresholdChosen {
        /// In seconds.
        threshold_seconds: f64,
        /// The largest share of slower requests, 0 to 1.
        slow_share: f64,
    },
    /// A scrape. Not synced.
    Sampled {
        /// What it held.
        sample: Sample,
    },
    /// A scrape that failed. Not synced.
    SampleMissed {
        /// Why.
        reason: String,
    },
    /// The verdict changed in class or in kind.
    VerdictReached {
        /// The verdict.
        verdict: Verdict,
    },
    /// A verdict no longer holds.
    VerdictVoided {
        /// Why.
        reason: String,
    },
    /// HOLD for longer than `on_hold`.
    HoldExpired {
        /// The verdict then.
        verdict: Verdict,
    },
    /// A person passed a HOLD.
    HoldOverridden {
        /// Who.
        actor: Actor,
        /// Why.
        reason: String,
    },
    /// A person steered the canary.
    Steered {
        /// Who.
        actor: Actor,
        /// What was done.
        what: Steering,
        /// Why.
        #[serde(default)]
        reason: Option<String>,
    },
    /// What runs there differs from the record in another way than when it was looked at last; in none, when it is as recorded again.
    DriftFound {
        /// Every difference.
        drift: Vec<Drift>,
    },
    /// No driver watches from here on although the canary has weight.
    WatchLeft,
    /// The release has the environment's whole traffic.
    Promoted,
    /// It was let through, and production is watched from here on: all traffic after `Promoted`, all but a holdback before it.
    ProductionWatched {
        /// Until when.
        until: DateTime<Utc>,
        /// What the release before keeps meanwhile, to be compared with; none: nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        holdback: Option<Weight>,
    },
    /// What was before has it again, or the rollback's target has.
    RolledBack {
        /// The release that has the traffic now; none when there is none.
        #[serde(default)]
        to: Option<ReleaseRef>,
        /// Why.
        reason: String,
    },
    /// Another rollout took a higher fencing number.
    Superseded {
        /// Which.
        by: RolloutId,
    },
    /// A step could not be carried out; traffic is as `WeightApplied` last said.
    StepFailed {
        /// Which step.
        step: Step,
        /// What failed, and why.
        reason: String,
        /// The release's last lines, if it would not start.
        #[serde(default)]
        last_lines: Vec<String>,
    },
    /// An effect that the ledger does not hold yet.
    Unrecorded {
        /// Why not.
        reason: String,
    },
    /// Nothing more comes.
    RolloutEnded {
        /// How.
        outcome: RolloutOutcome,
    },
    /// An event of a later version; it changes nothing here.
    #[serde(other)]
    Unknown,
}

/// The first event of a rollout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RolloutCreated {
    /// The rollout's id.
    pub rollout: RolloutId,
    /// Forward, or back.
    pub kind: RolloutKind,
    /// The application.
    pub app: AppName,
    /// The environment whose traffic it changes; `prod` for a canary of `prod`.
    pub environment: EnvironmentName,
    /// Where.
    pub target: TargetIdentity,
    /// The release it brings.
    pub release: ReleaseRef,
    /// What has the traffic now.
    #[serde(default)]
    pub previous: Option<ReleaseRef>,
    /// The run it serves.
    #[serde(default)]
    pub run: Option<RunId>,
    /// The policy in force.
    pub policy_hash: Digest,
    /// Who asked.
    pub actor: Actor,
    /// Why, in the person's words.
    #[serde(default)]
    pub reason: Option<String>,
    /// The rollout that it undoes.
    #[serde(default)]
    pub supersedes: Option<RolloutId>,
    /// Why it may go although its commit does not come after the one that is there: `--allow-outdated`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_outdated: Option<String>,
}

/// Which way a rollout goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloutKind {
    /// A new release: canary, then all traffic.
    Release,
    /// Back to a release that was healthy.
    Rollback,
    /// A canary to 0.
    Abort,
}

/// A step of a rollout: one control effect, one intent, one outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Place the bytes, start, check health.
    Start,
    /// Give the canary a weight.
    Weigh,
    /// Give the release all traffic.
    Promote,
    /// Take the canary's weight away.
    Withdraw,
    /// Give a former release all traffic.
    Return,
}

/// What a person did to a canary under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Steering {
    /// It stays at its weight, whatever its verdict; harm is still acted on.
    Paused,
    /// It goes on.
    Resumed,
    /// It took its next weight without a PASS.
    Skipped {
        /// From this weight.
        from: Weight,
        /// To that one.
        to: Weight,
    },
    /// HOLD may last longer at this weight.
    Extended {
        /// By so many seconds.
        seconds: u64,
    },
}

impl std::fmt::Display for Steering {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Paused => f.write_str("paused"),
            Self::Resumed => f.write_str("resumed"),
            Self::Skipped { from, to } => write!(f, "taken from {from} to {to} without a PASS"),
            Self::Extended { seconds } => write!(f, "given {seconds} s more on HOLD"),
        }
    }
}

/// How a rollout ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloutOutcome {
    /// It has all traffic.
    Promoted,
    /// It was taken back.
    RolledBack,
    /// It failed before it had traffic.
    Failed,
    /// It was refused.
    Refused,
    /// It was cancelled before it began.
    Cancelled,
    /// Another took its place.
    Superseded,
}
