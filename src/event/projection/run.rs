//! A run, folded.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use crate::event::{
    Actor, Arm, AttemptId, AttemptResult, CancelCause, EnvironmentName, InterruptedDecision, JobName, ProcessName, ReleaseRef, RolloutId,
    RunCreated, RunEvent, RunOutcome, ScanSummary, Stamped, When,
};

use super::{AttemptState, DeployEnd, JobState, JobStatus};

/// A run as its journal tells it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RunState {
    /// The first event; none before it was read.
    pub created: Option<RunCreated>,
    /// When the run was created.
    pub created_at: Option<DateTime<Utc>>,
    /// The sequence number of the last event folded.
    pub seq: u64,
    /// When the last event happened.
    pub last_at: Option<DateTime<Utc>>,
    /// What the engine last said of itself. Whether it lives is a question for the run's lock, not for the journal.
    pub engine: EngineState,
    /// The jobs, in the order of the pipeline.
    pub jobs: Vec<JobState>,
    /// Notices: of the reading of the pipeline, then of the run.
    pub notices: Vec<(Option<JobName>, String)>,
    /// Which of them (by place) are about an attempt that was followed by another, or decided on.
    pub outlived: BTreeSet<usize>,
    /// The release, once it is made; the newest.
    pub release: Option<ReleaseRef>,
    /// The rollouts that serve this run, oldest first.
    pub rollouts: Vec<(RolloutId, EnvironmentName, Arm, JobName)>,
    /// Scan reports by attempt.
    pub scans: Vec<(AttemptId, ScanSummary)>,
    /// Whether a cancel was asked for.
    pub cancel: Option<Actor>,
    /// Because of what, when it was.
    pub cancel_cause: CancelCause,
    /// What was refused: the command, and the reason.
    pub refusals: Vec<(String, String)>,
    /// The end.
    pub ended: Option<(RunOutcome, DateTime<Utc>)>,
}

/// What the engine last said of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum EngineState {
    /// It never started.
    #[default]
    None,
    /// It started and said nothing of an end.
    Started(ProcessName),
    /// It parked at a gate.
    Parked {
        /// A canary has weight and nobody watches.
        unwatched: bool,
    },
    /// The run is over.
    Ended,
}

impl RunState {
    /// Folds a whole journal.
    #[must_use]
    pub fn fold<'a>(events: impl IntoIterator<Item = &'a Stamped<RunEvent>>) -> Self {
        let mut state = Self::default();
        for event in events {
            state.apply(event);
        }
        state
    }

    /// The job of that name.
    #[must_use]
    pub fn job(&self, name: &JobName) -> Option<&JobState> {
        self.jobs.iter().find(|job| &job.plan.name == name)
    }

    /// How the run stands: its recorded outcome, else what follows from its jobs.
    #[must_use]
    pub fn outcome(&self) -> RunOutcome {
        if let Some((outcome, _)) = self.ended {
            return outcome;
        }
        let interrupted = self.jobs.iter().any(|job| job.interrupted().is_some());
        let going = self.jobs.iter().any(|job| {
            let by_itself = match job.status {
                JobStatus::Preparing | JobStatus::Pending | JobStatus::Running | JobStatus::WaitingForResource | JobStatus::Scheduled => {
                    true
                }
                JobStatus::Created
                | JobStatus::Success
                | JobStatus::Failed
                | JobStatus::Canceled
                | JobStatus::Skipped
                | JobStatus::Manual => false,
            };
            by_itself || (job.status == JobStatus::Manual && job.gate_open)
        });
        let gated = self.jobs.iter().any(|job| job.status == JobStatus::Manual && job.plan.blocking && !job.gate_open);
        match (going, interrupted, gated) {
            (true, _, _) | (false, false, false) => RunOutcome::Running,
            (false, true, _) => RunOutcome::Interrupted,
            (false, false, true) => RunOutcome::Waiting,
        }
    }

    /// What is to be known of the run now, oldest first.
    pub fn standing_notices(&self) -> impl Iterator<Item = &(Option<JobName>, String)> {
        self.notices.iter().enumerate().filter(|(place, _)| !self.outlived.contains(place)).map(|(_, notice)| notice)
    }

    /// Folds one more event. An event that fits nothing known changes nothing.
    pub fn apply(&mut self, stamped: &Stamped<RunEvent>) {
        self.seq = stamped.seq;
        self.last_at = Some(stamped.time);
        let time = stamped.time;
        match &stamped.event {
            RunEvent::RunCreated(created) => self.create(created, time),
            RunEvent::EngineStarted { engine, .. } => self.engine = EngineState::Started(engine.clone()),
            RunEvent::JournalRepaired { dropped_bytes } => {
                self.notices.push((None, format!("a torn last line of the journal ({dropped_bytes} bytes) was dropped")));
            }
            RunEvent::NoticeGiven { job, text } => self.notices.push((job.clone(), text.clone())),
            RunEvent::JobQueued { job } => self.with_job(job, |job| {
                job.status = JobStatus::Pending;
                job.why = None;
            }),
            RunEvent::GateReached { job } => self.with_job(job, |job| {
                job.status = JobStatus::Manual;
                job.yeses.clear();
                job.given.clear();
                job.gate_open = false;
            }),
            RunEvent::JobScheduled { job, at } => self.with_job(job, |job| {
                job.status = JobStatus::Scheduled;
                job.starts_at = Some(*at);
                job.why = Some(format!("starts by itself at {}", at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)));
            }),
            RunEvent::ResourceAwaited { job, why } => self.with_job(job, |job| {
                job.status = JobStatus::WaitingForResource;
                job.why = Some(why.clone());
            }),
            RunEvent::ResourceTaken { job } => self.with_job(job, |job| {
                job.status = JobStatus::Running;
                job.why = None;
            }),
            RunEvent::JobSkipped { job, why } => self.with_job(job, |job| {
                job.status = JobStatus::Skipped;
                job.why = Some(why.clone());
            }),
            RunEvent::GateAnswered { job, actor, release, policy_hash, missing, variables } => {
                self.with_job(job, |job| {
                    job.given.extend(variables.clone());
                    job.yeses.push((actor.clone(), release.clone(), policy_hash.clone()));
                    job.gate_open = *missing == 0;
                    // Somebody wants it at once.
                    if job.status == JobStatus::Scheduled && job.gate_open {
                        (job.status, job.why) = (JobStatus::Pending, None);
                    }
                });
                if *missing == 0 {
                    // An optional gate of a run that was over: it goes on.
                    self.ended = None;
                    self.reconsider_skipped();
                }
            }
            RunEvent::AttemptStarting { job, attempt, number, guarded } => self.with_job(job, |job| {
                job.status = JobStatus::Preparing;
                job.deploy = None;
                job.why = None;
                job.attempts.push(AttemptState::starting(attempt, *number, *guarded, time));
            }),
            RunEvent::AttemptStarted { attempt, keeper } => self.with_attempt(attempt, |job, index| {
                job.status = JobStatus::Running;
                if let Some(attempt) = job.attempts.get_mut(index) {
                    attempt.keeper = Some(keeper.clone());
                    attempt.started_at = time;
                }
            }),
            RunEvent::AttemptReattached { attempt } => self.with_attempt(attempt, |job, _| job.status = JobStatus::Running),
            RunEvent::AttemptEnded { attempt, .. } => self.with_attempt(attempt, |job, index| job.end(index, &stamped.event, time)),
            RunEvent::InterruptionAnswered { job, decision, .. } => self.answer_interruption(job, *decision),
            RunEvent::JobRetried { job, .. } => self.retry(job),
            RunEvent::CancelRequested { actor, cause } => (self.cancel, self.cancel_cause) = (Some(actor.clone()), *cause),
            RunEvent::JobCancelRequested { job, why } => self.with_job(job, |job| job.cancel(why)),
            RunEvent::ReleaseMade { release, .. } => self.release = Some(release.clone()),
            RunEvent::ScanReported { attempt, summary } => self.scans.push((attempt.clone(), summary.clone())),
            RunEvent::RolloutLinked { job, rollout, environment, arm } => {
                self.rollouts.push((rollout.clone(), environment.clone(), *arm, job.clone()));
            }
            RunEvent::DeployEnded { job, attempt, outcome, message } => self.with_job(job, |job| {
                job.deploy = Some(DeployEnd { attempt: attempt.clone(), outcome: *outcome, message: message.clone() });
            }),
            RunEvent::HoldOverridden { job, release, .. } => self.with_job(job, |job| job.overridden = Some(release.clone())),
            RunEvent::CommandRefused { command, refusal, .. } => self.refusals.push((command.clone(), refusal.message.clone())),
            RunEvent::ArtifactsExpired { job, number } => self.with_job(job, |job| job.expire(*number)),
            RunEvent::ArtifactsKept { job, number, .. } => self.with_job(job, |job| job.keep(*number)),
            RunEvent::Parked { unwatched, .. } => self.engine = EngineState::Parked { unwatched: *unwatched },
            RunEvent::RunEnded { outcome, .. } => {
                self.engine = EngineState::Ended;
                // An engine that was started for what it then refused says the end again: the run was over before.
                let began = self.jobs.iter().flat_map(|job| &job.attempts).map(|attempt| attempt.started_at).max();
                let same = self.ended.filter(|(before, at)| before == outcome && began.is_none_or(|began| began <= *at));
                self.ended = same.or(Some((*outcome, time)));
            }
            RunEvent::Unknown => {}
        }
    }

    fn create(&mut self, created: &RunCreated, time: DateTime<Utc>) {
        self.jobs = created.jobs.iter().cloned().map(JobState::new).collect();
        self.notices.extend(created.notices.iter().map(|text| (None, text.clone())));
        self.created = Some(created.clone());
        self.created_at = Some(time);
    }

    fn with_job(&mut self, name: &JobName, change: impl FnOnce(&mut JobState)) {
        if let Some(job) = self.jobs.iter_mut().find(|job| &job.plan.name == name) {
            change(job);
        }
    }

    fn with_attempt(&mut self, id: &AttemptId, change: impl FnOnce(&mut JobState, usize)) {
        for job in &mut self.jobs {
            if let Some(index) = job.attempts.iter().position(|attempt| &attempt.id == id) {
                return change(job, index);
            }
        }
    }

    /// What was to be said of the attempt that nobody knows the end of is said no more.
    fn answer_interruption(&mut self, name: &JobName, decision: InterruptedDecision) {
        self.outlive_notices(name);
        self.with_job(name, |job| match decision {
            // Its gate was opened for this very work: whoever says rerun is not asked for the same yes again.
            InterruptedDecision::Rerun if job.gate_open => job.status = JobStatus::Manual,
            // So is a delay that is over.
            InterruptedDecision::Rerun if job.plan.when == When::Delayed => job.status = JobStatus::Pending,
            InterruptedDecision::Rerun => job.status = JobStatus::Created,
            InterruptedDecision::Fail => {
                if let Some(attempt) = job.attempts.last_mut() {
                    attempt.result = Some(AttemptResult::Failed);
                }
            }
        });
    }

    /// A job's notices are of its last attempt.
    fn outlive_notices(&mut self, job: &JobName) {
        let its = self.notices.iter().enumerate().filter(|(_, (of, _))| of.as_ref() == Some(job));
        self.outlived.extend(its.map(|(place, _)| place));
    }

    /// The job starts anew, and whatever was skipped is considered anew with it.
    fn retry(&mut self, name: &JobName) {
        self.outlive_notices(name);
        self.ended = None;
        // A run that was cancelled goes on.
        (self.cancel, self.cancel_cause) = (None, CancelCause::Asked);
        self.with_job(name, |job| {
            job.status = JobStatus::Created;
            job.why = None;
            job.cancel_asked = None;
            job.deploy = None;
            job.yeses.clear();
            job.given.clear();
            job.gate_open = false;
        });
        self.reconsider_skipped();
    }

    /// As GitLab's `ResetSkippedJobsService` does; what still has no reason to run is skipped again.
    fn reconsider_skipped(&mut self) {
        for job in self.jobs.iter_mut().filter(|job| job.status == JobStatus::Skipped) {
            job.status = JobStatus::Created;
            job.why = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn nobody() -> Actor {
        Actor { uid: 0, login: String::new(), host: String::new(), tty: None, ssh_client: None, via: String::new() }
    }

    #[test]
    fn a_gate_that_opens_after_the_end_lets_the_run_go_on() {
        let mut state = RunState::default();
        let mut add = |event| {
            state.apply(&Stamped { format: 1, seq: 1, time: DateTime::default(), event });
            state.ended.is_some()
        };
        let yes = |missing| RunEvent::GateAnswered {
            job: "stop".parse().unwrap(),
            actor: nobody(),
            release: None,
            policy_hash: None,
            missing,
            variables: BTreeMap::new(),
        };
        assert!(add(RunEvent::RunEnded { outcome: RunOutcome::Success, exit_code: 0 }));
        assert!(add(yes(1)), "another yes is missing");
        assert!(!add(yes(0)));
        assert!(add(RunEvent::RunEnded { outcome: RunOutcome::Success, exit_code: 0 }));
    }

    #[test]
    fn what_was_said_of_an_attempt_ends_with_the_next_one() {
        let (job, other): (JobName, JobName) = ("deploy".parse().unwrap(), "test".parse().unwrap());
        let mut state = RunState::default();
        let mut add = |event| state.apply(&Stamped { format: 1, seq: 1, time: DateTime::default(), event });
        for (of, text) in [(None, "of the run"), (Some(&job), "nobody knows how deploy ended"), (Some(&other), "its log is cut")] {
            add(RunEvent::NoticeGiven { job: of.cloned(), text: text.to_owned() });
        }
        add(RunEvent::JobRetried { job, actor: nobody() });
        let said: Vec<&str> = state.standing_notices().map(|(_, text)| text.as_str()).collect();
        assert_eq!((said, state.notices.len()), (vec!["of the run", "its log is cut"], 3));
    }
}
