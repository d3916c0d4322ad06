//! The vocabulary that everything speaks: ids, events, commands, refusals, and the projections that fold events.
//!
//! This room names no other, does no I/O and has no clock. A change here is a change to files on disk: fields are added,
//! never renamed (`docs/decisions.md` 3.3).

mod actor;
mod command;
mod drift;
mod drill;
mod ids;
mod notice;
mod projection;
mod release;
mod repository;
mod rollout;
mod run;
mod sample;
mod stamp;
mod weight;

pub use actor::{Actor, ProcessName};
pub use command::{Command, Facts, Refusal, RefusalKind};
pub use drift::Drift;
pub use drill::{Drill, DrillResult};
pub use ids::{AppName, AttemptId, BadName, Digest, EnvironmentName, JobName, LedgerId, Revision, RolloutId, RunId};
pub use notice::{BadNoticeKind, Notice, NoticeKind};
pub use projection::{
    ArtifactsLife, AttemptState, Course, DeployEnd, EngineState, JobState, JobStatus, Mark, MarkKind, Production, RolloutPhase,
    RolloutState, RunState, Told,
};
pub use release::{
    AcceptedPolicy, AppRecord, BrokenFreeze, EnvironmentRecord, LedgerHead, LedgerOwner, ReleaseRef, Slot, TargetIdentity, Watch, Weights,
    Yes, YesKind,
};
pub use repository::RepositoryEvent;
pub use rollout::{RolloutCreated, RolloutEvent, RolloutKind, RolloutOutcome, Steering, Step};
pub use run::{
    Arm, AttemptResult, CancelCause, DeployOutcome, FailureReason, InterruptedDecision, PlannedJob, RefType, RunCreated, RunEvent,
    RunOutcome, ScanSummary, TestCounts, When,
};
pub use sample::{
    CounterSeries, Estimate, HistogramSeries, MetricDetail, MetricEvidence, OwnCounters, OwnMetric, PassedBy, Sample, Verdict,
    VerdictClass, VersionCounters,
};
pub use stamp::{FORMAT, Stamped};
pub use weight::{BadWeight, Weight};
