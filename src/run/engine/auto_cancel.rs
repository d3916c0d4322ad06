//! What ends before its time though nobody asked: GitLab's `workflow:auto_cancel`, and the one deviation from it (`docs/decisions.md` 15.21).

use crate::event::{Actor, CancelCause, JobName, JobStatus, Revision, RunEvent};
use crate::pipeline::{OnJobFailure, OnNewCommit};
use crate::store::{Signal, send_signal};

use super::{Engine, EngineError, Rest};

/// What came of a newer run's wish to have the way free.
pub(super) enum Way {
    /// This was ended for it, in one plain sentence.
    Made(String),
    /// All goes on, and why.
    Kept(String),
}

impl Engine {
    /// A run of a newer commit of the same ref has begun (`cancel_redundant_pipelines_service.rb`). What this run's file says counts.
    pub(super) async fn make_way(&mut self, number: u64, revision: &Revision, actor: &Actor) -> Result<Way, EngineError> {
        let own = self.state.created.as_ref().map_or(0, |created| created.number);
        let same = self.state.created.as_ref().is_none_or(|created| &created.revision == revision);
        let kept = |why: &str| Ok(Way::Kept(format!("run {own} goes on: {why}")));
        // A run that waits for people alone is not alive to GitLab, and one that has ended is not.
        if same || self.state.cancel.is_some() || matches!(self.rest(), Rest::Park | Rest::End(_)) {
            return kept("there is nothing to end");
        }
        if let Some(job) = self.touched() {
            return kept(&format!("{job} has begun to deploy"));
        }
        let newer = format!("run {number}, of the newer commit {}, takes its place", revision.short());
        match self.plan.auto_cancel.on_new_commit {
            OnNewCommit::None => kept("its `workflow: auto_cancel` says `on_new_commit: none`"),
            OnNewCommit::Conservative => {
                let begun = |name: &JobName| self.state.job(name).is_some_and(|job| !job.attempts.is_empty());
                if let Some(job) = self.plan.jobs.iter().find(|job| !job.interruptible && begun(&job.name)) {
                    return kept(&format!("{} has begun and is not `interruptible`", job.name));
                }
                self.notice(None, format!("cancelled: {newer}"))?;
                self.record(RunEvent::CancelRequested { actor: actor.clone(), cause: CancelCause::NewerCommit })?;
                self.carry_out_cancel(actor).await;
                Ok(Way::Made(format!("run {own} of an older commit is cancelled: all that had begun there is `interruptible`")))
            }
            OnNewCommit::Interruptible => {
                let jobs = self.interruptible();
                if jobs.is_empty() {
                    return kept("nothing that is left of it is `interruptible`");
                }
                for job in &jobs {
                    self.cancel_job(job, &newer)?;
                }
                let named = jobs.iter().map(JobName::as_str).collect::<Vec<_>>().join(", ");
                Ok(Way::Made(format!("of run {own}, of an older commit, what is `interruptible` is cancelled: {named}")))
            }
        }
    }

    /// A job of this run has failed for good, and its failure is no warning (`app/models/ci/processable.rb`).
    pub(super) async fn cancel_after_failure(&mut self, failed: &JobName) -> Result<(), EngineError> {
        let allowed = self.state.job(failed).is_none_or(|job| job.failure_allowed() || job.interrupted().is_some());
        if self.plan.auto_cancel.on_job_failure == OnJobFailure::None || allowed || self.state.cancel.is_some() {
            return Ok(());
        }
        if let Some(deploys) = self.touched().filter(|job| job != failed) {
            return self.notice(None, format!("{failed} failed, and nothing is cancelled for that: {deploys} has begun to deploy"));
        }
        self.notice(None, format!("cancelled: {failed} failed, and `workflow: auto_cancel` says `on_job_failure: all`"))?;
        let actor = Actor { via: "auto_cancel".to_owned(), ..self.setup.actor.clone() };
        self.record(RunEvent::CancelRequested { actor: actor.clone(), cause: CancelCause::JobFailed })?;
        self.carry_out_cancel(&actor).await;
        Ok(())
    }

    /// The first job that deploys and has begun: what it did is a person's to end.
    fn touched(&self) -> Option<JobName> {
        let begun = |name: &JobName| self.state.job(name).is_some_and(|job| !job.attempts.is_empty());
        self.plan.jobs.iter().find(|job| job.deploys() && begun(&job.name)).map(|job| job.name.clone())
    }

    /// The jobs that may be ended and have not ended; one that waits for a person stays (`CANCELABLE_STATUSES`).
    fn interruptible(&self) -> Vec<JobName> {
        let open = |name: &JobName| {
            self.state.job(name).is_some_and(|job| match job.status {
                JobStatus::Created
                | JobStatus::WaitingForResource
                | JobStatus::Preparing
                | JobStatus::Pending
                | JobStatus::Running
                | JobStatus::Scheduled => job.cancel_asked.is_none(),
                JobStatus::Success | JobStatus::Failed | JobStatus::Canceled | JobStatus::Skipped | JobStatus::Manual => false,
            })
        };
        self.plan.jobs.iter().filter(|job| job.interruptible && open(&job.name)).map(|job| job.name.clone()).collect()
    }

    fn cancel_job(&mut self, job: &JobName, why: &str) -> Result<(), EngineError> {
        self.record(RunEvent::JobCancelRequested { job: job.clone(), why: why.to_owned() })?;
        for live in self.live.values_mut().filter(|live| &live.job == job) {
            live.canceled = true;
            if let Some(keeper) = &live.keeper {
                let _ = send_signal(keeper, Signal::Term);
            }
        }
        Ok(())
    }
}
