//! The events of a run's journal.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Actor, AttemptId, Digest, EnvironmentName, JobName, ProcessName, Refusal, ReleaseRef, Revision, RolloutId, RunId};

/// What happened in a run, in the past tense. The run's engine is the only writer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum RunEvent {
    /// The run exists. Always first. Synced.
    RunCreated(Box<RunCreated>),
    /// An engine took the run's lock; it is not the first if this is not the first such event.
    EngineStarted {
        /// Which process.
        engine: ProcessName,
        /// Its version.
        program: String,
    },
    /// A torn last line was cut off when the journal was opened.
    JournalRepaired {
        /// How many bytes were dropped.
        dropped_bytes: u64,
    },
    /// Something a person should know; no state changes.
    NoticeGiven {
        /// The job it is about.
        #[serde(default)]
        job: Option<JobName>,
        /// One plain sentence.
        text: String,
    },
    /// A job's needs are met; it waits for a free place.
    JobQueued {
        /// Which job.
        job: JobName,
    },
    /// A manual job's turn has come: it waits for a person.
    GateReached {
        /// Which job.
        job: JobName,
    },
    /// A delayed job's turn has come: it starts by itself at that time, whichever engine lives then.
    JobScheduled {
        /// Which job.
        job: JobName,
        /// When.
        at: DateTime<Utc>,
    },
    /// A job waits for its resource group, or its deploy for another release, or another run, to let go.
    ResourceAwaited {
        /// Which job.
        job: JobName,
        /// What it waits for, in one plain sentence.
        why: String,
    },
    /// A job that waited for a resource has it.
    ResourceTaken {
        /// Which job.
        job: JobName,
    },
    /// A job will not run.
    JobSkipped {
        /// Which job.
        job: JobName,
        /// Why, naming the job that decided it.
        why: String,
    },
    /// Somebody said yes at a gate. Synced.
    GateAnswered {
        /// The manual job.
        job: JobName,
        /// Who.
        actor: Actor,
        /// The release it is bound to; none when the gate's job deploys nothing.
        #[serde(default)]
        release: Option<Digest>,
        /// The policy it is bound to.
        #[serde(default)]
        policy_hash: Option<Digest>,
        /// How many yeses from different people are still missing after this one.
        missing: u32,
        /// Variables for this one start of the job, none of them masked.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        variables: BTreeMap<String, String>,
    },
    /// An attempt is about to start; written before its keeper is.
    AttemptStarting {
        /// Which job.
        job: JobName,
        /// Its name for good.
        attempt: AttemptId,
        /// From 1.
        number: u32,
        /// Deploys, is manual, or has a resource group: never run again by itself.
        guarded: bool,
    },
    /// The attempt's keeper lives.
    AttemptStarted {
        /// Which attempt.
        attempt: AttemptId,
        /// Its keeper.
        keeper: ProcessName,
    },
    /// An engine found the keeper of an attempt that an earlier engine started.
    AttemptReattached {
        /// Which attempt.
        attempt: AttemptId,
    },
    /// An attempt ended, or was found to have ended.
    AttemptEnded {
        /// Which job.
        job: JobName,
        /// Which attempt.
        attempt: AttemptId,
        /// How.
        result: AttemptResult,
        /// The shell's exit code, when it exited.
        #[serde(default)]
        exit_code: Option<i32>,
        /// The signal that ended the shell.
        #[serde(default)]
        signal: Option<i32>,
        /// GitLab's word for a failure, or one of hms's own.
        #[serde(default)]
        failure_reason: Option<FailureReason>,
        /// From the start of the script to its end.
        duration_ms: u64,
        /// Test counts found in reports or in the output.
        #[serde(default)]
        tests: Option<TestCounts>,
        /// One plain sentence for people, for instance which line failed.
        #[serde(default)]
        message: Option<String>,
        /// Another attempt follows by itself, as the job's `retry` says: the job has not failed yet.
        #[serde(default)]
        again: bool,
        /// What its log says of coverage, in percent.
        #[serde(default)]
        coverage: Option<f64>,
    },
    /// A person decided what becomes of an interrupted attempt. Synced.
    InterruptionAnswered {
        /// Which job.
        job: JobName,
        /// What was decided.
        decision: InterruptedDecision,
        /// By whom.
        actor: Actor,
    },
    /// A job was asked to run again; what was skipped because of it is considered anew. Synced.
    JobRetried {
        /// Which job.
        job: JobName,
        /// By whom.
        actor: Actor,
    },
    /// The run is to be cancelled: canary to 0, then its jobs. Synced.
    CancelRequested {
        /// By whom.
        actor: Actor,
        /// Because of what.
        #[serde(default)]
        cause: CancelCause,
    },
    /// One job is to be cancelled, and the run goes on without it.
    JobCancelRequested {
        /// Which job.
        job: JobName,
        /// Why.
        why: String,
    },
    /// The run's release exists. Synced.
    ReleaseMade {
        /// Which.
        release: ReleaseRef,
        /// Files in it.
        files: u64,
        /// Bytes in it.
        bytes: u64,
    },
    /// A scan handed in its report.
    ScanReported {
        /// Which attempt's.
        attempt: AttemptId,
        /// What it said.
        summary: ScanSummary,
    },
    /// A rollout serves this run. Synced.
    RolloutLinked {
        /// The job that asked.
        job: JobName,
        /// Which rollout.
        rollout: RolloutId,
        /// In which environment.
        environment: EnvironmentName,
        /// The arm: the canary, or the whole.
        arm: Arm,
    },
    /// The driver ended a job's deploy request. Exit codes 11, 12 and 13 count only with this. Synced.
    DeployEnded {
        /// Which job.
        job: JobName,
        /// Which attempt.
        attempt: AttemptId,
        /// How.
        outcome: DeployOutcome,
        /// One plain sentence.
        message: String,
    },
    /// A person passed a HOLD, with a reason. Synced.
    HoldOverridden {
        /// The canary's job.
        job: JobName,
        /// By whom.
        actor: Actor,
        /// Why.
        reason: String,
        /// For which release.
        release: Digest,
    },
    /// A command or a job's request was refused.
    CommandRefused {
        /// Which, in the words of the command line.
        command: String,
        /// By whom it was asked.
        actor: Actor,
        /// Why not.
        refusal: Refusal,
    },
    /// The time of what an attempt handed on is over (`expire_in`), and it is done away with. Written by whoever holds the run's lock. Synced.
    ArtifactsExpired {
        /// Which job's.
        job: JobName,
        /// Which attempt's, from 1.
        number: u32,
    },
    /// Somebody wants what an attempt handed on to stay, whatever `expire_in` says. Written by whoever holds the run's lock. Synced.
    ArtifactsKept {
        /// Which job's.
        job: JobName,
        /// Which attempt's, from 1.
        number: u32,
        /// Who.
        actor: Actor,
    },
    /// Only a person can go on, and nothing is left to watch: the engine ends. Synced.
    Parked {
        /// The jobs that wait.
        waiting: Vec<JobName>,
        /// A canary has weight and nobody watches it from here on.
        unwatched: bool,
    },
    /// The run is over. Synced.
    RunEnded {
        /// How.
        outcome: RunOutcome,
        /// The exit code that follows from it.
        exit_code: u8,
    },
    /// An event of a later version; it changes nothing here.
    #[serde(other)]
    Unknown,
}

/// What a ref is: a branch and a tag of one name are two things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefType {
    /// `refs/heads/…`.
    Branch,
    /// `refs/tags/…`.
    Tag,
}

/// The first event of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunCreated {
    /// The run's id.
    pub run: RunId,
    /// Its number in this repository, from 1 (`CI_PIPELINE_IID`).
    pub number: u64,
    /// The application.
    pub app: super::AppName,
    /// The commit.
    pub revision: Revision,
    /// The branch or tag it was seen on, short; none when only a revision was given.
    #[serde(default)]
    pub ref_name: Option<String>,
    /// Whether that is a branch or a tag; none when neither, and in a run of before it was noted.
    #[serde(default)]
    pub ref_type: Option<RefType>,
    /// The release tag of the commit (`docs/decisions.md` 5.4).
    pub tag: String,
    /// The commit's title.
    pub title: String,
    /// `push` when a ref moved, else `web`, `api` or `cli` as `CI_PIPELINE_SOURCE` has it.
    pub source: String,
    /// Who started it.
    pub actor: Actor,
    /// The repository's working folder (or git folder, if bare).
    pub repository: std::path::PathBuf,
    /// The jobs, in the order of the pipeline.
    pub jobs: Vec<PlannedJob>,
    /// What was said when the pipeline was read.
    #[serde(default)]
    pub notices: Vec<String>,
    /// Variables given for this run alone, none of them masked.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// Names of variables that are masked; their values are nowhere on disk.
    #[serde(default)]
    pub masked: Vec<String>,
    /// Where masked values are read again from, by an engine that starts later.
    #[serde(default)]
    pub variable_file: Option<std::path::PathBuf>,
    /// Names let in from the environment of whoever started the run.
    #[serde(default)]
    pub pass_env: Vec<String>,
    /// Uncommitted changes lay in the working tree; they are not in the build.
    #[serde(default)]
    pub dirty: bool,
    /// What the ref named before it moved, when a move of it started the run.
    #[serde(default)]
    pub before: Option<Revision>,
    /// The pipeline file's path in the commit; none for `.hms-ci.yml`.
    #[serde(default)]
    pub config_path: Option<String>,
    /// Its ref is a protected one, as the operator's file said when it was made; none of an earlier hms, which knew of no such refs.
    #[serde(default)]
    pub protected: Option<bool>,
    /// The engine ends at a gate even when a canary has weight.
    #[serde(default)]
    pub no_linger: bool,
    /// How many of its jobs may run at once; none for as many as the host has processors.
    #[serde(default)]
    pub concurrency: Option<std::num::NonZeroU32>,
}

/// A job as views need it; the script is not among it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedJob {
    /// Its full name.
    pub name: JobName,
    /// Its name in the file: `test` for `test 1/4`.
    pub base_name: String,
    /// Its stage.
    pub stage: String,
    /// Its `needs`, as full names; none when it has no such key.
    pub needs: Option<Vec<JobName>>,
    /// When it runs.
    pub when: When,
    /// Its failure is a warning, or, for a manual job, it is optional.
    pub allow_failure: bool,
    /// Its failure is a warning when its script ends with one of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_failure_exit_codes: Vec<i32>,
    /// The environments it deploys to, by `environment:` or a literal `--env`.
    #[serde(default)]
    pub environments: Vec<EnvironmentName>,
    /// A manual job that holds back what comes after it.
    #[serde(default)]
    pub blocking: bool,
    /// What a person is asked before a manual job starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manual_confirmation: Option<String>,
}

/// GitLab's `when`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// All before it succeeded.
    OnSuccess,
    /// Something before it failed.
    OnFailure,
    /// In any case.
    Always,
    /// Not at all.
    Never,
    /// When a person says so.
    Manual,
    /// A while after its turn has come.
    Delayed,
}

/// How an attempt ended. Only `Success` is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptResult {
    /// The script exited with 0.
    Success,
    /// It did not.
    Failed,
    /// It was told to stop.
    Canceled,
    /// Nobody knows how it ended.
    Interrupted,
}

/// Why a job failed: GitLab's names, then hms's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureReason {
    /// The script exited with another code than 0, or was killed by a signal.
    ScriptFailure,
    /// The job took too long.
    JobExecutionTimeout,
    /// hms could not carry it out: no disk, no shell.
    RunnerSystemFailure,
    /// Something it rests on is not there: the value of a masked variable, the artifacts of an earlier job. Never retried by itself.
    MissingDependencyFailure,
    /// Its canary was on HOLD for too long.
    CanaryHeld,
    /// Its canary was proven worse and was rolled back.
    CanaryHarm,
    /// A person, or another release, took its canary back.
    CanaryTakenBack,
    /// Neither keeper nor exit record was left.
    Interrupted,
    /// The driver refused what it asked for.
    Refused,
}

/// How a job's deploy request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeployOutcome {
    /// What was asked for is so.
    Done,
    /// The canary passed by an override: success with a warning.
    Overridden,
    /// It failed, and what was before is still so.
    Failed,
    /// HOLD for longer than `on_hold`; the weight stays.
    Held,
    /// Rolled back because it does harm.
    RolledBack,
    /// Taken back by a person, or pushed out by another release.
    TakenBack,
    /// Refused before anything changed.
    Refused,
}

/// The arm of an environment that a job deploys to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arm {
    /// The canary.
    Canary,
    /// All of it.
    Whole,
}

/// Because of what a run is cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelCause {
    /// Somebody asked.
    #[default]
    Asked,
    /// A run of a newer commit of its ref takes its place (`workflow:auto_cancel:on_new_commit`).
    NewerCommit,
    /// A job of it failed (`workflow:auto_cancel:on_job_failure`).
    JobFailed,
}

/// What becomes of an interrupted attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InterruptedDecision {
    /// A new attempt.
    Rerun,
    /// It failed.
    Fail,
}

/// How a run stands, or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    /// Jobs are going.
    Running,
    /// A person must say something.
    Waiting,
    /// All is well.
    Success,
    /// A job failed.
    Failed,
    /// The canary is held.
    Held,
    /// The canary was rolled back.
    RolledBack,
    /// It was cancelled.
    Canceled,
    /// Nobody knows how a job ended.
    Interrupted,
    /// A deploy was refused.
    Refused,
    /// There was nothing to run.
    None,
}

impl RunOutcome {
    /// The exit code that this outcome gives (`docs/decisions.md` 10.2); `Running` gives 0, for nothing is known to be wrong.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Running | Self::Success | Self::None => 0,
            Self::Failed | Self::Interrupted => 1,
            Self::Waiting => 10,
            Self::Held => 11,
            Self::RolledBack => 12,
            Self::Refused => 13,
            Self::Canceled => 130,
        }
    }
}

/// Counts of tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TestCounts {
    /// Passed.
    pub passed: u64,
    /// Failed, errors among them.
    pub failed: u64,
    /// Skipped.
    pub skipped: u64,
}

/// What a scan found, in numbers that may be shown and compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanSummary {
    /// The level from which findings fail: `critical`, `high`, `medium`, `low`.
    pub fail_on: String,
    /// The scan's own answer: it found nothing at or above `fail_on`, and it scanned something.
    pub clean: bool,
    /// Findings by severity: critical, high, medium, low, unknown.
    pub findings: BTreeMap<String, u64>,
    /// Secrets found.
    pub secrets: u64,
    /// Files read.
    pub files: u64,
    /// Packages in lockfiles.
    pub packages: u64,
    /// Whether those packages were looked up in advisories.
    pub advisories_checked: bool,
    /// SHA-256 of the whole report.
    pub report_sha256: Digest,
    /// The files scanned: path below the job's checkout → SHA-256 hex.
    #[serde(default)]
    pub scanned: BTreeMap<String, String>,
}
