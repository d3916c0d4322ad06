//! Canaries that passed, or were held, and were taken back afterwards: the yes that a gate waits for has lost its ground.

use crate::event::{DeployOutcome, EnvironmentName, JobName, JobState, JobStatus, RolloutOutcome, RolloutPhase, RolloutState, RunEvent};

use super::super::{Engine, EngineError};

/// A canary that is gone.
struct Lost {
    job: JobName,
    environment: EnvironmentName,
    why: String,
}

impl Engine {
    /// Tells the run that a canary which had passed or was held was taken back, and closes the gates that waited for a yes to it.
    pub(in crate::run::engine) fn close_lost_gates(&mut self) -> Result<(), EngineError> {
        for lost in self.lost() {
            let Some(job) = self.state.job(&lost.job) else { continue };
            let Some(attempt) = job.attempts.last().map(|attempt| attempt.id.clone()) else { continue };
            let (outcome, message) = (DeployOutcome::RolledBack, lost.why.clone());
            self.record(RunEvent::DeployEnded { job: lost.job.clone(), attempt, outcome, message })?;
            let waits =
                |job: &&JobState| job.status == JobStatus::Manual && !job.gate_open && job.plan.environments.contains(&lost.environment);
            let gates: Vec<JobName> = self.state.jobs.iter().filter(waits).map(|job| job.plan.name.clone()).collect();
            for job in gates {
                self.record(RunEvent::JobSkipped { job, why: format!("{} was taken back: {}", lost.job, lost.why) })?;
            }
        }
        Ok(())
    }

    fn lost(&self) -> Vec<Lost> {
        let Some(created) = &self.state.created else { return Vec::new() };
        let mut lost: Vec<Lost> = Vec::new();
        for (index, (rollout, environment, _, job)) in self.state.rollouts.iter().enumerate() {
            let newer = self.state.rollouts.iter().skip(index + 1).any(|(_, there, ..)| there == environment);
            let passed_or_held = self.state.job(job).is_some_and(|job| {
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
            });
            if newer || !passed_or_held {
                continue;
            }
            let folder = crate::rollout::folder_of(&self.setup.places.state, &created.app, rollout);
            let Ok(Some(state)) = crate::rollout::reader::read(&folder) else { continue };
            let why = match state.ended.map(|(outcome, _)| outcome) {
                Some(RolloutOutcome::RolledBack) => reason(&state),
                Some(RolloutOutcome::Superseded) => "another release, or a rollback, took its place".to_owned(),
                Some(RolloutOutcome::Cancelled) => "it was cancelled".to_owned(),
                Some(RolloutOutcome::Promoted | RolloutOutcome::Failed | RolloutOutcome::Refused) | None => continue,
            };
            lost.push(Lost { job: job.clone(), environment: environment.clone(), why });
        }
        lost
    }
}

fn reason(state: &RolloutState) -> String {
    if let RolloutPhase::RolledBack { reason, .. } = &state.phase { reason.clone() } else { "it was rolled back".to_owned() }
}
