//! Canaries that passed, or were held, and were taken back afterwards: the yes that a gate waits for has lost its ground. Pure.

use chrono::{DateTime, Utc};

use super::engine::settled_outcome;
use crate::event::{
    DeployOutcome, EnvironmentName, FORMAT, JobName, JobState, JobStatus, RolloutId, RolloutOutcome, RolloutPhase, RolloutState, RunEvent,
    RunOutcome, RunState, Stamped,
};

/// Since when a rollout's canary is gone, and why.
#[derive(Debug)]
pub(crate) struct Gone {
    why: String,
    at: DateTime<Utc>,
}

/// A job's canary that is gone.
#[derive(Debug)]
pub(crate) struct Lost {
    job: JobName,
    environment: EnvironmentName,
    gone: Gone,
}

/// Whether a rollout's canary is gone, by its own journal, and by that of the rollout that took its place: whoever drove it may have left
/// before that.
pub(crate) fn gone(rollout: &RolloutState, successor: Option<&RolloutState>) -> Option<Gone> {
    // Let through is let through: what becomes of production later is its rollout's, and no run's outcome.
    if rollout.production.is_some() {
        return None;
    }
    let replaced = || "another release, or a rollback, took its place".to_owned();
    let Some((outcome, at)) = rollout.ended else {
        // One that counts down still has done nothing.
        let at = successor.filter(|successor| successor.step.is_some())?.created_at?;
        return Some(Gone { why: replaced(), at });
    };
    let why = match outcome {
        RolloutOutcome::RolledBack => reason(rollout),
        RolloutOutcome::Superseded => replaced(),
        RolloutOutcome::Cancelled => "it was cancelled".to_owned(),
        RolloutOutcome::Promoted | RolloutOutcome::Failed | RolloutOutcome::Refused => return None,
    };
    Some(Gone { why, at })
}

/// The canaries of a run that are gone.
pub(crate) fn lost(state: &RunState, gone: &dyn Fn(&RolloutId) -> Option<Gone>) -> Vec<Lost> {
    let mut lost: Vec<Lost> = Vec::new();
    for (index, (id, environment, _, job)) in state.rollouts.iter().enumerate() {
        let newer = state.rollouts.iter().skip(index + 1).any(|(_, there, ..)| there == environment);
        if newer || !state.job(job).is_some_and(passed_or_held) {
            continue;
        }
        let Some(gone) = gone(id) else { continue };
        lost.push(Lost { job: job.clone(), environment: environment.clone(), gone });
    }
    lost
}

/// What follows from it for the run.
pub(crate) fn consequences(state: &RunState, lost: &Lost) -> Vec<RunEvent> {
    let Some(attempt) = state.job(&lost.job).and_then(|job| job.attempts.last()).map(|attempt| attempt.id.clone()) else {
        return Vec::new();
    };
    let (outcome, message) = (DeployOutcome::RolledBack, lost.gone.why.clone());
    let waits = |job: &&JobState| job.status == JobStatus::Manual && !job.gate_open && job.plan.environments.contains(&lost.environment);
    let skipped = |job: &JobState| RunEvent::JobSkipped {
        job: job.plan.name.clone(),
        why: format!("{} was taken back: {}", lost.job, lost.gone.why),
    };
    let gates = state.jobs.iter().filter(waits).map(skipped);
    std::iter::once(RunEvent::DeployEnded { job: lost.job.clone(), attempt, outcome, message }).chain(gates).collect()
}

/// How a run stands that no engine has in hand, when a canary of it was taken back since its last engine left: as the next one will write
/// it. None when that changes nothing.
pub(crate) fn as_it_stands(state: &RunState, gone: &dyn Fn(&RolloutId) -> Option<Gone>) -> Option<RunState> {
    let mut now = state.clone();
    for lost in lost(state, gone) {
        for event in consequences(&now, &lost) {
            apply(&mut now, lost.gone.at, event);
        }
    }
    let outcome = settled_outcome(&now);
    let waits = matches!(outcome, RunOutcome::Waiting | RunOutcome::Interrupted | RunOutcome::Running);
    if now == *state || waits {
        return (now != *state).then_some(now);
    }
    let at = now.last_at?;
    apply(&mut now, at, RunEvent::RunEnded { outcome, exit_code: outcome.exit_code() });
    Some(now)
}

fn apply(state: &mut RunState, time: DateTime<Utc>, event: RunEvent) {
    state.apply(&Stamped { format: FORMAT, seq: state.seq + 1, time, event });
}

fn passed_or_held(job: &JobState) -> bool {
    let done = |outcome| matches!(outcome, DeployOutcome::Done | DeployOutcome::Overridden);
    let ended = |outcome| match job.status {
        JobStatus::Success => done(outcome),
        JobStatus::Failed => outcome == DeployOutcome::Held,
        JobStatus::Created
        | JobStatus::WaitingForResource
        | JobStatus::Preparing
        | JobStatus::Pending
        | JobStatus::Running
        | JobStatus::Canceled
        | JobStatus::Skipped
        | JobStatus::Manual
        | JobStatus::Scheduled => false,
    };
    job.deploy.as_ref().is_some_and(|end| ended(end.outcome))
}

fn reason(state: &RolloutState) -> String {
    if let RolloutPhase::RolledBack { reason, .. } = &state.phase { reason.clone() } else { "it was rolled back".to_owned() }
}
