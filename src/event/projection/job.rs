//! A job of a run, folded.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::event::{Actor, AttemptId, AttemptResult, DeployOutcome, Digest, FailureReason, PlannedJob, ProcessName, RunEvent, TestCounts};

/// GitLab's job statuses, and `interrupted`, which is `failed` to GitLab.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobStatus {
    /// Its needs are not met yet.
    Created,
    /// Another run or release holds what it needs.
    WaitingForResource,
    /// Its checkout is being made.
    Preparing,
    /// It waits for a free place.
    Pending,
    /// It runs.
    Running,
    /// It succeeded.
    Success,
    /// It failed.
    Failed,
    /// It was cancelled.
    Canceled,
    /// It will not run.
    Skipped,
    /// It waits for a person.
    Manual,
    /// It waits for its time.
    Scheduled,
}

impl JobStatus {
    /// Whether nothing more happens to the job by itself.
    #[must_use]
    pub fn is_finished(self) -> bool {
        match self {
            Self::Success | Self::Failed | Self::Canceled | Self::Skipped => true,
            Self::Created | Self::WaitingForResource | Self::Preparing | Self::Pending | Self::Running | Self::Manual | Self::Scheduled => {
                false
            }
        }
    }
}

/// A job, folded.
#[derive(Debug, Clone, PartialEq)]
pub struct JobState {
    /// What the pipeline says of it.
    pub plan: PlannedJob,
    /// GitLab's word for how it stands.
    pub status: JobStatus,
    /// Why it was skipped, or what it waits for.
    pub why: Option<String>,
    /// Its attempts, oldest first.
    pub attempts: Vec<AttemptState>,
    /// Yeses given at its gate since it was last reached: who, bound to which release and policy.
    pub yeses: Vec<(Actor, Option<Digest>, Option<Digest>)>,
    /// The gate has all its yeses.
    pub gate_open: bool,
    /// Variables given with those yeses.
    pub given: BTreeMap<String, String>,
    /// When a delayed job starts, once its turn has come.
    pub starts_at: Option<DateTime<Utc>>,
    /// It is to be cancelled by itself, and why.
    pub cancel_asked: Option<String>,
    /// What the driver said of its last deploy request.
    pub deploy: Option<DeployEnd>,
    /// A HOLD of this job's canary was overridden for this release.
    pub overridden: Option<Digest>,
}

/// How a deploy request ended, as the driver recorded it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeployEnd {
    /// The attempt that asked.
    pub attempt: AttemptId,
    /// How.
    pub outcome: DeployOutcome,
    /// One plain sentence.
    pub message: String,
}

/// What becomes of what an attempt handed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ArtifactsLife {
    /// It goes when its time is over, if it has one.
    #[default]
    ByTime,
    /// Somebody wants it to stay.
    Kept,
    /// It is not there any more.
    Over,
}

/// An attempt, folded.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptState {
    /// Its name.
    pub id: AttemptId,
    /// From 1.
    pub number: u32,
    /// Never run again by itself.
    pub guarded: bool,
    /// Its keeper, once it lived.
    pub keeper: Option<ProcessName>,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// How it ended.
    pub result: Option<AttemptResult>,
    /// The shell's exit code.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Why it failed.
    pub failure_reason: Option<FailureReason>,
    /// How long the script took.
    pub duration_ms: Option<u64>,
    /// Test counts.
    pub tests: Option<TestCounts>,
    /// One plain sentence.
    pub message: Option<String>,
    /// Another attempt followed by itself.
    pub again: bool,
    /// Coverage in percent.
    pub coverage: Option<f64>,
    /// What becomes of what it handed on.
    pub artifacts: ArtifactsLife,
}

impl JobState {
    pub(super) fn new(plan: PlannedJob) -> Self {
        Self {
            plan,
            status: JobStatus::Created,
            why: None,
            attempts: Vec::new(),
            yeses: Vec::new(),
            gate_open: false,
            given: BTreeMap::new(),
            starts_at: None,
            cancel_asked: None,
            deploy: None,
            overridden: None,
        }
    }

    pub(super) fn expire(&mut self, number: u32) {
        for attempt in self.attempts.iter_mut().filter(|attempt| attempt.number == number) {
            attempt.artifacts = ArtifactsLife::Over;
        }
    }

    pub(super) fn keep(&mut self, number: u32) {
        for attempt in self.attempts.iter_mut().filter(|attempt| attempt.number == number) {
            attempt.artifacts = ArtifactsLife::Kept;
        }
    }

    /// One that has not begun is cancelled at once, one that goes on with its attempt's end.
    pub(super) fn cancel(&mut self, why: &str) {
        self.cancel_asked = Some(why.to_owned());
        if !self.has_live_attempt() {
            (self.status, self.why) = (JobStatus::Canceled, Some(why.to_owned()));
        }
    }

    /// Whether an attempt of it has begun and not ended.
    #[must_use]
    pub fn has_live_attempt(&self) -> bool {
        self.attempts.last().is_some_and(|attempt| attempt.result.is_none())
    }

    /// The last attempt, if nobody knows how it ended and nobody has decided what becomes of it.
    #[must_use]
    pub fn interrupted(&self) -> Option<&AttemptState> {
        self.attempts.last().filter(|attempt| attempt.result == Some(AttemptResult::Interrupted) && self.status == JobStatus::Failed)
    }

    /// Whether it waits for a resource that it must have before an attempt of it can start.
    #[must_use]
    pub fn waits_to_start(&self) -> bool {
        self.status == JobStatus::WaitingForResource && self.attempts.last().is_none_or(|attempt| attempt.result.is_some())
    }

    /// Whether its failure, if it is one, is a warning: always, or for the code its script ended with.
    #[must_use]
    pub fn failure_allowed(&self) -> bool {
        let code = self.attempts.last().and_then(|attempt| attempt.exit_code);
        self.plan.allow_failure || code.is_some_and(|code| self.plan.allow_failure_exit_codes.contains(&code))
    }

    /// Why it stands as it does: what it waits for, what the driver said of its last deploy unless that simply went well, else how its
    /// last attempt ended.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        let last = self.attempts.last();
        let said = self.deploy.as_ref().filter(|end| end.outcome != DeployOutcome::Done && last.is_some_and(|last| last.id == end.attempt));
        let ended = || said.map(|end| end.message.as_str()).or_else(|| last.and_then(|last| last.message.as_deref()));
        self.why.as_deref().or_else(ended)
    }

    /// A success that carries a warning: a failure that is allowed, or a HOLD that was overridden.
    #[must_use]
    pub fn warned(&self) -> bool {
        let allowed = self.status == JobStatus::Failed && self.failure_allowed();
        let overridden = self.deploy.as_ref().is_some_and(|end| end.outcome == DeployOutcome::Overridden);
        allowed || overridden
    }

    pub(super) fn end(&mut self, index: usize, event: &RunEvent, time: DateTime<Utc>) {
        let RunEvent::AttemptEnded { result, exit_code, signal, failure_reason, duration_ms, tests, message, again, coverage, .. } = event
        else {
            return;
        };
        self.status = match result {
            // It waits for a place again; nothing follows from this end.
            AttemptResult::Failed if *again => JobStatus::Pending,
            AttemptResult::Success => JobStatus::Success,
            AttemptResult::Failed | AttemptResult::Interrupted => JobStatus::Failed,
            AttemptResult::Canceled => JobStatus::Canceled,
        };
        if let Some(attempt) = self.attempts.get_mut(index) {
            attempt.ended_at = Some(time);
            attempt.result = Some(*result);
            attempt.exit_code = *exit_code;
            attempt.signal = *signal;
            attempt.failure_reason = *failure_reason;
            attempt.duration_ms = Some(*duration_ms);
            attempt.tests = *tests;
            attempt.message.clone_from(message);
            attempt.again = *again;
            attempt.coverage = *coverage;
        }
    }
}

impl AttemptState {
    pub(super) fn starting(id: &AttemptId, number: u32, guarded: bool, started_at: DateTime<Utc>) -> Self {
        Self {
            id: id.clone(),
            number,
            guarded,
            keeper: None,
            started_at,
            ended_at: None,
            result: None,
            exit_code: None,
            signal: None,
            failure_reason: None,
            duration_ms: None,
            tests: None,
            message: None,
            again: false,
            coverage: None,
            artifacts: ArtifactsLife::ByTime,
        }
    }
}
