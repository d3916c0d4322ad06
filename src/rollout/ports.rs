//! What the driver needs of the rooms beside it, each as a small port: ledger, metrics, judge, gates.
//!
//! `cli` and `run` put the rooms behind these; tests put fakes. A port decides nothing that is the driver's to decide, and the
//! driver reads nothing of policy but [`Rules`].

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::canary::Subject;
use crate::deploy::{Health, ReleaseRecord};
use crate::event::{
    Actor, AppName, Digest, EnvironmentName, EnvironmentRecord, LedgerHead, OwnMetric, Refusal, RefusalKind, RolloutId, RunId, Sample,
    TargetIdentity, Verdict, VerdictClass, Weight, Yes,
};

/// What a control action is, in the ledger's words (`docs/decisions.md` 7.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ActionKind {
    /// A release's first weight: place, start, weigh.
    #[serde(rename = "deploy")]
    Deploy,
    /// Another weight.
    #[serde(rename = "weight")]
    Weight,
    /// All traffic.
    #[serde(rename = "promote")]
    Promote,
    /// Back to a former release, or a canary taken back because it does harm.
    #[serde(rename = "rollback")]
    Rollback,
    /// A canary taken back because somebody wants it.
    #[serde(rename = "abort")]
    Abort,
    /// A HOLD passed.
    #[serde(rename = "override")]
    Override,
    /// A canary stays at its weight.
    #[serde(rename = "pause")]
    Pause,
    /// It goes on.
    #[serde(rename = "resume")]
    Resume,
    /// It takes its next weight without a PASS.
    #[serde(rename = "skip")]
    Skip,
    /// Its HOLD may last longer.
    #[serde(rename = "extend")]
    Extend,
    /// A rollback rehearsed; no traffic moves.
    #[serde(rename = "drill")]
    Drill,
    /// A no.
    #[serde(rename = "refuse")]
    Refuse,
    /// A release's bytes removed.
    #[serde(rename = "release.remove")]
    ReleaseRemove,
}

/// What a ledger entry says of an action; the ledger adds number, time, boot and roots.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActionDraft {
    /// A ULID; the same draft twice is one entry.
    pub id: String,
    /// What is done.
    #[serde(rename = "type")]
    pub kind: ActionKind,
    /// Who asked.
    pub actor: Actor,
    /// Of which application.
    pub app: AppName,
    /// In which environment.
    pub environment: EnvironmentName,
    /// Where.
    pub target: TargetIdentity,
    /// For which run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// In which rollout.
    pub rollout: RolloutId,
    /// The tag of the release.
    pub tag: String,
    /// The tag object's SHA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag_object: Option<String>,
    /// The commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The release.
    pub digest: Digest,
    /// What has the traffic before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Digest>,
    /// The weight asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested: Option<Weight>,
    /// SHA-256 of the report of the release's scan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scan_report: Option<Digest>,
    /// What it rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<EvidenceRef>,
    /// Who said yes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub yeses: Vec<Yes>,
    /// The policy in force.
    pub policy_hash: Digest,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Part of the evidence's traffic was made by hms.
    #[serde(default)]
    pub synthetic: bool,
    /// The ledger head that the target held when this was drafted: the ledger compares it with its own (7.5).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned: Option<LedgerHead>,
}

/// An evidence file, by its bytes (`docs/decisions.md` 7.4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceRef {
    /// SHA-256 of the file.
    pub sha256: Digest,
    /// What it shows.
    pub verdict: VerdictClass,
}

/// How an action ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutcomeDraft {
    /// In one word.
    pub result: ActionResult,
    /// One plain sentence.
    pub message: String,
    /// The weight that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested: Option<Weight>,
    /// The weight that the target said is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<Weight>,
    /// The share that was measured, 0 to 1; none without requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<f64>,
}

/// How an action ended, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionResult {
    /// The target proved it.
    Done,
    /// It did not happen, or not as asked.
    Failed,
    /// The process that wrote the intent is gone; this is what was found.
    Resolved,
    /// Another rollout was there first.
    Superseded,
}

/// How long the ledger may make one wait (`docs/decisions.md` 7.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Patience {
    /// 10 s, then no.
    Deploy,
    /// 250 ms, then UNRECORDED.
    Rollback,
}

impl Patience {
    /// As a duration.
    #[must_use]
    pub fn duration(self) -> Duration {
        match self {
            Self::Deploy => Duration::from_secs(10),
            Self::Rollback => Duration::from_millis(250),
        }
    }
}

/// Why the ledger has no entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The ledger says no: it was cut, restored or forked.
    #[error(transparent)]
    Refused(Refusal),
    /// It could not be written.
    #[error("the ledger cannot be written: {0}")]
    Unavailable(String),
}

/// The ledger. Every call may block, `patience` long; the driver calls it on a thread for blocking work.
pub trait Recorder: Send + Sync {
    /// Writes and syncs an intent; gives its number.
    ///
    /// # Errors
    /// When it says no, or could not be written within `patience`.
    fn intent(&self, draft: &ActionDraft, patience: Patience) -> Result<u64, RecordError>;

    /// Writes how the intent with that number ended.
    ///
    /// # Errors
    /// As [`Recorder::intent`].
    fn outcome(&self, intent_seq: u64, outcome: &OutcomeDraft, patience: Patience) -> Result<(), RecordError>;

    /// Writes an entry that is neither: which rule refused it.
    ///
    /// # Errors
    /// As [`Recorder::intent`].
    fn note(&self, draft: &ActionDraft, rule: RefusalKind) -> Result<(), RecordError>;

    /// Leaves an action that could not be recorded for the next writer.
    ///
    /// # Errors
    /// When even that cannot be written.
    fn set_aside(&self, draft: &ActionDraft, outcome: Option<&OutcomeDraft>) -> Result<(), RecordError>;

    /// Enters actions that the target held as UNRECORDED (a [`ActionDraft`] with its `outcome`, as JSON). One that is there already
    /// is passed over.
    ///
    /// # Errors
    /// As [`Recorder::intent`].
    fn take_in(&self, waiting: &[serde_json::Value]) -> Result<(), RecordError>;

    /// Numbers of this rollout's intents that have no outcome.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    fn unresolved(&self, rollout: &RolloutId) -> Result<Vec<u64>, RecordError>;

    /// Intents of rollouts in this environment that have no outcome, oldest first, each with its rollout.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    fn open_intents(&self, app: &AppName, environment: &EnvironmentName) -> Result<Vec<(RolloutId, u64)>, RecordError>;

    /// The ledger's head, for the target's record.
    fn head(&self) -> Option<LedgerHead>;
}

/// A scrape under way.
pub type Scrape<'a> = Pin<Box<dyn Future<Output = Result<Sample, String>> + Send + 'a>>;

/// A look into the past under way.
pub type Past<'a> = Pin<Box<dyn Future<Output = Result<Vec<Sample>, String>> + Send + 'a>>;

/// Where samples come from.
pub trait Meter: Send + Sync {
    /// Reads the counters once. The driver bounds it in time.
    fn scrape(&self) -> Scrape<'_>;

    /// Reads what was counted in a time when nobody scraped, oldest first, a sample a step; nothing where the past is not kept.
    fn history(&self, _from: DateTime<Utc>, _to: DateTime<Utc>, _step: Duration) -> Past<'_> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

/// One weight that was watched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// The canary's weight as the target applied it.
    pub weight: Weight,
    /// Since when.
    pub since: DateTime<Utc>,
}

/// What the judge has to know beside the samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WatchFacts {
    /// The weights of this rollout, oldest first. PASS is for the last one, harm gathers over all.
    pub spans: Vec<Span>,
    /// Fixed when the canary started, or by the first sample that told it. None on a first release; on any other one there is no
    /// PASS without it.
    pub threshold: Option<Threshold>,
    /// There is nothing to compare with.
    pub absolute_only: bool,
    /// The value of the version label on the canary's series.
    pub canary_version: String,
    /// And on stable's.
    pub stable_version: Option<String>,
    /// Scrapes that failed since the last good one.
    pub missed: u32,
    /// Why the last one failed.
    pub missed_reason: Option<String>,
    /// How the canary's process is, as the target says.
    #[serde(default)]
    pub health: Option<Health>,
    /// And stable's.
    #[serde(default)]
    pub stable_health: Option<Health>,
    /// What is judged: the canary, or production that has nothing beside it.
    #[serde(default, skip_serializing_if = "Subject::is_canary")]
    pub subject: Subject,
}

/// From when on a request is slow.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// Slower than so many seconds; a bucket's bound.
    pub seconds: f64,
    /// The largest share of slow requests, 0 to 1.
    pub slow_share: f64,
}

/// The judge, with its settings. Pure.
pub trait Judge: Send + Sync {
    /// The verdict on all samples of the rollout, oldest first, at this moment.
    fn assess(&self, facts: &WatchFacts, samples: &[Sample], now: DateTime<Utc>) -> Verdict;

    /// The latency threshold, from what was measured; none when it cannot be told from that. Asked before the canary gets weight,
    /// then at each sample until it is known; never of a first release.
    fn threshold(&self, before: Option<&Sample>, stable_version: Option<&str>) -> Option<Threshold>;

    /// The user's own metrics, as the watch's journal says them.
    fn own(&self) -> Vec<OwnMetric> {
        Vec::new()
    }

    /// Settings and version of the judge, for the evidence file.
    fn describe(&self) -> serde_json::Value;
}

/// What a gate looks at before a release may begin.
#[derive(Debug)]
pub struct StartFacts<'a> {
    /// The environment as its target has it.
    pub record: &'a EnvironmentRecord,
    /// Where that target is.
    pub target: &'a TargetIdentity,
    /// The release, with its scan.
    pub release: &'a ReleaseRecord,
    /// The policy that the request was made under.
    pub policy_hash: &'a Digest,
    /// Why an outdated one may go, when somebody said so.
    pub allow_outdated: Option<&'a str>,
    /// The time.
    pub now: DateTime<Utc>,
}

/// What a gate looks at before a release may have all traffic.
#[derive(Debug)]
pub struct PromoteFacts<'a> {
    /// The environment as its target has it.
    pub record: &'a EnvironmentRecord,
    /// Where that target is.
    pub target: &'a TargetIdentity,
    /// The release, with its scan.
    pub release: &'a ReleaseRecord,
    /// The verdict in force.
    pub verdict: Option<&'a Verdict>,
    /// Who passed a HOLD, and why.
    pub overridden: Option<&'a (Actor, String)>,
    /// The yeses that came with the request.
    pub yeses: &'a [Yes],
    /// The policy that the request was made under.
    pub policy_hash: &'a Digest,
    /// Why an outdated one may go, when somebody said so.
    pub allow_outdated: Option<&'a str>,
    /// Whose run it is.
    pub starter: &'a Actor,
    /// The time.
    pub now: DateTime<Utc>,
}

/// Who may: decisions of policy. What changes while a release waits (what is there, how it stands to that, the time) is looked at anew
/// each time.
pub trait Gatekeeper: Send + Sync {
    /// Whether a release may begin: outdated, frozen, unscanned.
    ///
    /// # Errors
    /// The refusal.
    fn may_start(&self, facts: &StartFacts<'_>) -> Result<(), Refusal>;

    /// Whether a release may have all traffic: outdated, verdict, yeses, scan, freeze, policy.
    ///
    /// # Errors
    /// The refusal.
    fn may_promote(&self, facts: &PromoteFacts<'_>) -> Result<(), Refusal>;
}

/// The rooms beside the driver.
#[derive(Clone)]
pub struct Ports {
    /// The ledger.
    pub recorder: Arc<dyn Recorder>,
    /// The metrics.
    pub meter: Arc<dyn Meter>,
    /// The judge.
    pub judge: Arc<dyn Judge>,
    /// The gates.
    pub gatekeeper: Arc<dyn Gatekeeper>,
}

impl std::fmt::Debug for Ports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ports")
    }
}

/// What the driver itself has to know of the policy in force.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// The weights that are walked when none is given, ascending.
    pub steps: Vec<Weight>,
    /// What becomes of a canary that does harm.
    pub on_harm: OnHarm,
    /// How long HOLD may last.
    pub on_hold: Duration,
    /// What becomes of a canary that nobody will watch.
    pub unwatched: Unwatched,
    /// From scrape to scrape.
    pub scrape: Duration,
    /// How many releases are kept.
    pub keep: usize,
    /// How long a release waits for the environment; zero: not at all.
    pub slot_timeout: Duration,
    /// Whether another release is pushed out.
    pub slot: SlotPolicy,
    /// How long a release may take until it answers its health check.
    pub start_timeout: Duration,
    /// Whether all traffic needs a PASS or an override.
    pub protection: Protection,
    /// How production is watched after a promotion; none: not at all.
    pub after: Option<After>,
}

/// How production is watched after a promotion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct After {
    /// For how long.
    pub watch: Duration,
    /// What the release before keeps meanwhile; none: nothing.
    pub holdback: Option<Weight>,
    /// What harm does.
    pub on_harm: AfterHarm,
}

/// What proven harm in production does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterHarm {
    /// Back to the last healthy release.
    Rollback,
    /// It is said.
    Tell,
}

/// What becomes of a canary that does harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnHarm {
    /// To 0 at once.
    Rollback,
    /// It keeps its weight until a person decides.
    Hold,
}

/// What becomes of a canary that nobody will watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unwatched {
    /// It keeps its weight, shown as UNWATCHED.
    Keep,
    /// To 0.
    Rollback,
}

/// What a release does when another holds the environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotPolicy {
    /// Waits.
    Wait,
    /// Takes its place.
    Supersede,
}

/// Whether all traffic of an environment needs proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// A PASS or an override.
    Protected,
    /// What the gates say, and no more.
    Open,
}
