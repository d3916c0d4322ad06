//! `hms status RUN --output json`: fields are added, never renamed (`assets/run-status.schema.json`).

use std::path::{Path, PathBuf};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use crate::event::{
    AttemptState, Digest, EnvironmentName, FailureReason, JobName, JobState, JobStatus, ReleaseRef, Revision, RolloutId, RolloutState,
    RunId, RunOutcome, RunState, TestCounts, VerdictClass, When,
};
use crate::text::quoted;

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunReport {
    /// 1.
    pub format: u32,
    /// Its id.
    pub run: String,
    /// Its number.
    pub number: u64,
    /// Its commit.
    pub revision: String,
    /// The branch or tag it was seen on.
    #[serde(rename = "ref")]
    pub ref_name: Option<String>,
    /// The release tag.
    pub tag: String,
    /// How it stands.
    pub outcome: RunOutcome,
    /// The exit code that this gives; null while it runs.
    pub exit_code: Option<u8>,
    /// RFC 3339, UTC, milliseconds.
    pub created_at: Option<String>,
    /// Likewise.
    pub finished_at: Option<String>,
    /// `alive`, `parked`, `ended` or `dead`.
    pub engine: &'static str,
    /// What waits for a person.
    pub waiting: Vec<Waiting>,
    /// The rollouts that serve it.
    pub rollouts: Vec<RolloutReport>,
    /// Its jobs, in the order of the pipeline.
    pub jobs: Vec<JobReport>,
    /// What was said of it.
    pub notices: Vec<String>,
    /// Its release.
    pub release: Option<ReleaseReport>,
}

/// A release. [`ReleaseRef`] leaves out on disk what is absent; here it is null.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReleaseReport {
    /// The digest of its bytes.
    pub digest: Digest,
    /// The commit it was made from.
    pub revision: Option<Revision>,
    /// What people call it.
    pub tag: String,
    /// The SHA of the tag object that `tag` named when the release was made.
    pub tag_object: Option<String>,
    /// The run that made it.
    pub run: Option<RunId>,
}

/// Something that waits for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// The job.
    pub job: JobName,
    /// `gate` or `interrupted`.
    pub kind: &'static str,
    /// Who said yes.
    pub yeses: Vec<String>,
    /// The command that goes on.
    pub command: String,
    /// What its file wants to be asked before it starts.
    pub confirmation: Option<String>,
}

/// A rollout.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RolloutReport {
    /// Its id.
    pub id: RolloutId,
    /// The environment whose traffic it changes.
    pub environment: Option<EnvironmentName>,
    /// Where that is.
    pub target: Option<String>,
    /// What it brings.
    pub release: Option<ReleaseReport>,
    /// What was there.
    pub previous: Option<ReleaseReport>,
    /// Shares, 0 to 1.
    pub weight: WeightReport,
    /// PASS, HOLD or ROLLBACK.
    pub verdict: Option<VerdictClass>,
    /// Why.
    pub reason: Option<String>,
    /// Whether somebody watches the canary; null when there is none to watch.
    pub watched: Option<bool>,
}

/// A release's share in three numbers, 0 to 1: the canary's, then all or nothing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct WeightReport {
    /// Asked for.
    pub requested: Option<f64>,
    /// In force, as the target says.
    pub applied: Option<f64>,
    /// Measured in requests, while it was a canary.
    pub measured: Option<f64>,
}

/// A job.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JobReport {
    /// Its full name.
    pub name: JobName,
    /// Its name in the file.
    pub base_name: String,
    /// Its stage.
    pub stage: String,
    /// Its needs.
    pub needs: Option<Vec<JobName>>,
    /// GitLab's word.
    pub status: JobStatus,
    /// GitLab's name, or one of hms's.
    pub failure_reason: Option<FailureReason>,
    /// The exit code of the last attempt.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Its failure is a warning.
    pub allow_failure: bool,
    /// When it runs.
    pub when: When,
    /// The environment it deploys to; the first, if several.
    pub environment: Option<EnvironmentName>,
    /// `blocking` or `optional` for a manual job.
    pub gate: Option<&'static str>,
    /// Its attempts.
    pub attempts: Vec<AttemptStatus>,
    /// When the last attempt started.
    pub started_at: Option<String>,
    /// When it ended.
    pub finished_at: Option<String>,
    /// How long its script took.
    pub duration_ms: Option<u64>,
    /// Test counts.
    pub tests: Option<TestCounts>,
    /// The path of the last attempt's log; bytes that are no UTF-8 are replaced, JSON has no others.
    pub log: Option<String>,
    /// Why it is as it is.
    pub why: Option<String>,
    /// Coverage as its last attempt's log says it, in percent.
    pub coverage: Option<f64>,
    /// When a delayed job starts by itself, while it waits for that.
    pub starts_at: Option<String>,
}

/// An attempt.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AttemptStatus {
    /// From 1.
    pub number: u32,
    /// When it started.
    pub started_at: String,
    /// When it ended.
    pub finished_at: Option<String>,
    /// How.
    pub result: Option<crate::event::AttemptResult>,
    /// The exit code.
    pub exit_code: Option<i32>,
    /// The signal.
    pub signal: Option<i32>,
    /// Why it failed.
    pub failure_reason: Option<FailureReason>,
    /// How long the script took.
    pub duration_ms: Option<u64>,
    /// The path of its log, likewise.
    pub log: String,
}

/// Tells a run. `log` gives the path of an attempt's log; `engine` is the life of its engine in a word, from its lock.
#[must_use]
pub fn run_report(
    state: &RunState,
    rollouts: &[(RolloutId, RolloutState)],
    engine: &'static str,
    log: &dyn Fn(&JobName, u32) -> PathBuf,
) -> Option<RunReport> {
    let created = state.created.as_ref()?;
    let outcome = state.outcome();
    let engine_lives = engine == "alive";
    Some(RunReport {
        format: 1,
        run: created.run.to_string(),
        number: created.number,
        revision: created.revision.to_string(),
        ref_name: created.ref_name.clone(),
        tag: created.tag.clone(),
        outcome,
        exit_code: (outcome != RunOutcome::Running).then(|| outcome.exit_code()),
        created_at: state.created_at.map(stamp),
        finished_at: state.ended.map(|(_, at)| stamp(at)),
        engine,
        waiting: state.jobs.iter().filter_map(|job| waiting(job, created.number)).collect(),
        rollouts: rollouts.iter().map(|(id, rollout)| rollout_report(id, rollout, engine_lives)).collect(),
        jobs: state.jobs.iter().map(|job| job_report(job, log)).collect(),
        notices: state.standing_notices().map(|(_, text)| text.clone()).collect(),
        release: state.release.as_ref().map(release_report),
    })
}

fn waiting(job: &JobState, number: u64) -> Option<Waiting> {
    let name = &job.plan.name;
    if job.interrupted().is_some() {
        let command = format!("hms retry {number} {}", quoted(name.as_str()));
        return Some(Waiting { job: name.clone(), kind: "interrupted", yeses: Vec::new(), command, confirmation: None });
    }
    (job.status == JobStatus::Manual && !job.gate_open).then(|| Waiting {
        job: name.clone(),
        kind: "gate",
        yeses: job.yeses.iter().map(|(actor, ..)| actor.login.clone()).collect(),
        command: format!("hms approve {number} {}", quoted(name.as_str())),
        confirmation: job.plan.manual_confirmation.clone(),
    })
}

fn rollout_report(id: &RolloutId, rollout: &RolloutState, engine_lives: bool) -> RolloutReport {
    let created = rollout.created.as_ref();
    let verdict = rollout.verdict.as_ref();
    RolloutReport {
        id: id.clone(),
        environment: created.map(|created| created.environment.clone()),
        target: created.map(|created| created.target.name.clone()),
        release: created.map(|created| release_report(&created.release)),
        previous: created.and_then(|created| created.previous.as_ref()).map(release_report),
        weight: WeightReport {
            requested: rollout.requested.map(crate::event::Weight::fraction),
            applied: rollout.applied.map(crate::event::Weight::fraction),
            measured: verdict.and_then(|verdict| verdict.measured_share),
        },
        verdict: rollout.verdict_class(),
        reason: rollout.voided.clone().or_else(|| verdict.map(|verdict| as_it_ended(rollout, &verdict.reason))),
        watched: rollout.wants_watch().then_some(engine_lives && !rollout.left),
    }
}

/// What was expected of a canary that goes on is no news of one that does not.
fn as_it_ended(rollout: &RolloutState, reason: &str) -> String {
    let goes_on = rollout.ended.is_none() && !rollout.left;
    let forecast = |part: &&str| part.trim_start().starts_with("at this traffic");
    if goes_on { reason.to_owned() } else { reason.split(';').filter(|part| !forecast(part)).collect::<Vec<_>>().join(";") }
}

pub(super) fn release_report(release: &ReleaseRef) -> ReleaseReport {
    ReleaseReport {
        digest: release.digest.clone(),
        revision: release.revision.clone(),
        tag: release.tag.clone(),
        tag_object: release.tag_object.clone(),
        run: release.run.clone(),
    }
}

fn job_report(job: &JobState, log: &dyn Fn(&JobName, u32) -> PathBuf) -> JobReport {
    let last = job.attempts.last();
    JobReport {
        name: job.plan.name.clone(),
        base_name: job.plan.base_name.clone(),
        stage: job.plan.stage.clone(),
        needs: job.plan.needs.clone(),
        status: job.status,
        failure_reason: last.and_then(|attempt| attempt.failure_reason),
        exit_code: last.and_then(|attempt| attempt.exit_code),
        signal: last.and_then(|attempt| attempt.signal),
        allow_failure: job.plan.allow_failure,
        when: job.plan.when,
        environment: job.plan.environments.first().cloned(),
        gate: (job.plan.when == When::Manual).then_some(if job.plan.blocking { "blocking" } else { "optional" }),
        attempts: job.attempts.iter().map(|attempt| attempt_status(job, attempt, log)).collect(),
        started_at: last.map(|attempt| stamp(attempt.started_at)),
        finished_at: last.and_then(|attempt| attempt.ended_at).map(stamp),
        duration_ms: last.and_then(|attempt| attempt.duration_ms),
        tests: last.and_then(|attempt| attempt.tests),
        log: last.map(|attempt| shown(&log(&job.plan.name, attempt.number))),
        why: job.reason().map(str::to_owned),
        coverage: last.and_then(|attempt| attempt.coverage),
        starts_at: job.starts_at.filter(|_| job.status == JobStatus::Scheduled).map(stamp),
    }
}

fn attempt_status(job: &JobState, attempt: &AttemptState, log: &dyn Fn(&JobName, u32) -> PathBuf) -> AttemptStatus {
    AttemptStatus {
        number: attempt.number,
        started_at: stamp(attempt.started_at),
        finished_at: attempt.ended_at.map(stamp),
        result: attempt.result,
        exit_code: attempt.exit_code,
        signal: attempt.signal,
        failure_reason: attempt.failure_reason,
        duration_ms: attempt.duration_ms,
        log: shown(&log(&job.plan.name, attempt.number)),
    }
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn stamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}
