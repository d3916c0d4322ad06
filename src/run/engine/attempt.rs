//! An attempt's life as the engine sees it: starting, living under its keeper, ended.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use tokio::io::unix::AsyncFd;
use tokio::task::JoinHandle;

use crate::event::{
    AttemptId, AttemptResult, DeployOutcome, Digest, FailureReason, InterruptedDecision, JobName, JobStatus, ProcessName, RunEvent,
    RunState,
};
use crate::executor::{
    ExitRecord, KeeperState, at_work_below, children_of_this_process, keeper_state, last_words, remove_variable_files, sweep,
};
use crate::store::{Lock, Signal, environment_has, executable, pidfd, send_signal};
use crate::text::quoted;

use super::outcome::failure_reason;
use super::prepare::{NotPrepared, Prepared};
use super::socket::Listener;
use super::{Engine, EngineError, Input, prepare, socket, supplied};

/// An attempt that has, or is about to have, a keeper.
pub(super) struct LiveAttempt {
    pub(super) job: JobName,
    pub(super) token: Digest,
    pub(super) keeper: Option<ProcessName>,
    pub(super) canceled: bool,
    /// Keeps others from its resource group until the keeper has that.
    turn: Option<Lock>,
    /// The attempt's socket; it ends with this value.
    listener: Option<Listener>,
    /// Waits for the keeper's end.
    watcher: Option<JoinHandle<()>>,
}

/// What follows from a failed attempt by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Another attempt.
    Again,
    /// `retry` says another one; only a person may say that it does no effect twice.
    ForAPerson,
    /// Nothing.
    Nothing,
}

impl Drop for LiveAttempt {
    fn drop(&mut self) {
        if let Some(watcher) = self.watcher.take() {
            watcher.abort();
        }
    }
}

impl Engine {
    /// Starts the next attempt of a job: its event first, then checkout and keeper beside the engine.
    pub(super) fn start(&mut self, job: &JobName, turn: Option<Lock>) -> Result<(), EngineError> {
        let Some(created) = self.state.created.clone() else { return Ok(()) };
        let number = self.state.job(job).map_or(0, |job| job.attempts.len());
        let number = u32::try_from(number).unwrap_or(u32::MAX).saturating_add(1);
        let attempt = AttemptId::new(&created.run, job, number);
        let guarded = self.is_guarded(job);
        self.record(RunEvent::AttemptStarting { job: job.clone(), attempt: attempt.clone(), number, guarded })?;
        let token = ulid::Ulid::generate().to_string();
        let folder = self.setup.folder.attempt(job, number);
        let socket = self.setup.places.socket(&folder);
        let listener = socket::listen_for_job(&socket, attempt.clone(), self.sender.clone());
        let live = LiveAttempt {
            job: job.clone(),
            token: Digest::of(token.as_bytes()),
            keeper: None,
            canceled: false,
            turn,
            listener: None,
            watcher: None,
        };
        self.live.insert(attempt.clone(), live);
        let order = match listener {
            Ok(listener) => {
                if let Some(live) = self.live.get_mut(&attempt) {
                    live.listener = Some(listener);
                }
                self.order(&created, job, &attempt, number, &token, &socket)
            }
            Err(error) => Err(NotPrepared::Trouble(error.to_string())),
        };
        let (sender, job) = (self.sender.clone(), job.clone());
        tokio::spawn(async move {
            let prepared = match order {
                Ok(order) => {
                    tokio::task::spawn_blocking(move || prepare::prepare(&order)).await.unwrap_or_else(|error| Err(NotPrepared::of(&error)))
                }
                Err(why) => Err(why),
            };
            let _ = sender.send(Input::Prepared { job, attempt, prepared }).await;
        });
        Ok(())
    }

    fn is_guarded(&self, job: &JobName) -> bool {
        self.plan.job(job).is_some_and(crate::pipeline::Job::guarded)
    }

    /// The keeper lives: from here on its end is awaited, by whichever engine is there.
    pub(super) async fn prepared(
        &mut self,
        job: &JobName,
        attempt: &AttemptId,
        prepared: Result<Prepared, NotPrepared>,
    ) -> Result<(), EngineError> {
        match prepared {
            Ok(Prepared { keeper, notices }) => {
                // Every checkout of the run has the same to say: it is said once.
                for text in notices {
                    if !self.state.notices.iter().any(|(_, said)| said == &text) {
                        self.notice(None, text)?;
                    }
                }
                self.record(RunEvent::AttemptStarted { attempt: attempt.clone(), keeper: keeper.clone() })?;
                let live = self.live.get_mut(attempt);
                let canceled = live.is_some_and(|live| {
                    live.turn = None;
                    live.canceled
                });
                self.await_keeper(job, attempt, keeper.clone());
                if canceled {
                    let _ = send_signal(&keeper, Signal::Term);
                }
                Ok(())
            }
            Err(NotPrepared::Lacking(why)) => self.unprepared(job, attempt, FailureReason::MissingDependencyFailure, why).await,
            Err(NotPrepared::Trouble(why)) => self.unprepared(job, attempt, FailureReason::RunnerSystemFailure, why).await,
        }
    }

    /// An attempt that got no keeper has failed; only what the machine could not do is `retry`'s.
    async fn unprepared(&mut self, job: &JobName, attempt: &AttemptId, reason: FailureReason, why: String) -> Result<(), EngineError> {
        self.ended(RunEvent::AttemptEnded {
            job: job.clone(),
            attempt: attempt.clone(),
            result: AttemptResult::Failed,
            exit_code: None,
            signal: None,
            failure_reason: Some(reason),
            duration_ms: 0,
            tests: None,
            message: Some(why),
            again: false,
            coverage: None,
        })
        .await
    }

    fn await_keeper(&mut self, job: &JobName, attempt: &AttemptId, keeper: ProcessName) {
        let input = Input::KeeperGone { job: job.clone(), attempt: attempt.clone() };
        let sender = self.sender.clone();
        let descriptor = pidfd(&keeper);
        let watcher = tokio::spawn(async move {
            if let Some(descriptor) = descriptor.and_then(readable) {
                let _ = descriptor.readable().await;
            }
            let _ = sender.send(input).await;
        });
        if let Some(live) = self.live.get_mut(attempt) {
            live.keeper = Some(keeper);
            live.watcher = Some(watcher);
        }
    }

    /// Looks at what the keeper left, beside the engine: a sweep may take seconds.
    pub(super) fn find_end(&mut self, job: &JobName, attempt: &AttemptId) {
        let Some(number) = self.number_of(attempt) else { return };
        let folder = self.setup.folder.attempt(job, number);
        let attempts = self.state.job(job).map(|job| job.attempts.as_slice()).unwrap_or_default();
        let ground = Ground {
            keeper: attempts.iter().find(|found| &found.id == attempt).and_then(|found| found.keeper.clone()),
            last_words: last_words(&folder),
            folders: vec![self.setup.folder.work(job, number), self.setup.folder.home(job, number)],
        };
        let (sender, job, attempt) = (self.sender.clone(), job.clone(), attempt.clone());
        tokio::spawn(async move {
            let found = tokio::task::spawn_blocking(move || match keeper_state(&folder) {
                Ok(KeeperState::Ended(record)) => {
                    let kept = record.reports.iter().map(|(kind, path)| format!("its report `{kind}` is {}", folder.join(path).display()));
                    let told = kept.chain(record.warnings.iter().cloned()).collect();
                    (ended_with(&job, &attempt, &record), Some((job, told)))
                }
                Ok(KeeperState::Alive(_) | KeeperState::Gone) | Err(_) => (interrupted(&job, &attempt, &ground), None),
            });
            if let Ok((event, warnings)) = found.await {
                if let Some((job, warnings)) = warnings {
                    let _ = sender.send(Input::Warned(job, warnings)).await;
                }
                let _ = sender.send(Input::Ended(Box::new(event))).await;
            }
        });
    }

    /// Records an attempt's end, with what the driver said of its deploy.
    pub(super) async fn ended(&mut self, mut event: RunEvent) -> Result<(), EngineError> {
        let RunEvent::AttemptEnded { job, attempt, result, exit_code, failure_reason: reason, message, again, .. } = &mut event else {
            return Ok(());
        };
        let (job, attempt) = (job.clone(), attempt.clone());
        let asked = self.state.cancel.is_some() || self.state.job(&job).is_some_and(|job| job.cancel_asked.is_some());
        if *result == AttemptResult::Canceled && !asked {
            // A keeper cannot tell who told it to stop, and a job can tell its own: without a cancel in the journal nobody asked for
            // this end.
            (*result, *reason) = (AttemptResult::Failed, Some(FailureReason::RunnerSystemFailure));
            *message = Some("its keeper was told to stop, and nobody cancelled the run or the job".to_owned());
        }
        let deploy = self.state.job(&job).and_then(|job| job.deploy.clone()).filter(|deploy| deploy.attempt == attempt);
        if *result == AttemptResult::Success && deploy.as_ref().is_some_and(|deploy| is_lost(deploy.outcome)) {
            // `hms-deploy … || true`: the script may pass over its exit code, and no canary comes back by that.
            *result = AttemptResult::Failed;
        }
        *reason = failure_reason(*result, *reason, deploy.as_ref().map(|deploy| deploy.outcome));
        let success = *result == AttemptResult::Success;
        // What hms knows of the end says more than which line of the script it was.
        let known = deploy.filter(|deploy| deploy.outcome != DeployOutcome::Done).map(|deploy| deploy.message);
        if let Some(known) = known.or_else(|| unchecked(&self.state, &attempt)).filter(|_| !success) {
            *message = Some(known);
        }
        let next = self.after_failure(&job, *result, *reason, *exit_code);
        *again = next == Next::Again;
        self.record(event)?;
        if next != Next::Again && self.state.job(&job).is_some_and(|job| job.status == JobStatus::Failed) {
            self.cancel_after_failure(&job).await?;
        }
        if next == Next::ForAPerson {
            let number = self.state.created.as_ref().map_or(0, |created| created.number);
            self.notice(
                Some(&job),
                format!(
                    "its `retry` is not followed: it deploys, and what it did may be half done; look, then: hms retry {number} {}",
                    quoted(job.as_str())
                ),
            )?;
        }
        self.live.remove(&attempt);
        if let Some(number) = self.number_of(&attempt) {
            let _ = std::fs::remove_file(self.setup.places.socket(&self.setup.folder.attempt(&job, number)));
            // A keeper takes them away itself, unless it was killed.
            remove_variable_files(&self.setup.folder.variables(&job, number));
            if success {
                for folder in [self.setup.folder.work(&job, number), self.setup.folder.home(&job, number)] {
                    tokio::task::spawn_blocking(move || std::fs::remove_dir_all(folder));
                }
            }
        }
        self.decide_interruption(&job)
    }

    /// What `retry` makes of an attempt that ended so.
    fn after_failure(&self, job: &JobName, result: AttemptResult, reason: Option<FailureReason>, exit_code: Option<i32>) -> Next {
        let (AttemptResult::Failed, None, Some(reason)) = (result, &self.state.cancel, reason) else { return Next::Nothing };
        let Some(planned) = self.plan.job(job) else { return Next::Nothing };
        if self.state.job(job).is_some_and(|job| job.cancel_asked.is_some()) {
            return Next::Nothing;
        }
        let attempts = self.state.job(job).map_or(0, |job| job.attempts.len());
        match planned.retry.again(u32::try_from(attempts).unwrap_or(u32::MAX), reason, exit_code) {
            false => Next::Nothing,
            true if planned.deploys() => Next::ForAPerson,
            true => Next::Again,
        }
    }

    /// An interrupted attempt of an ordinary job runs again once; of a guarded one only when whoever started the engine said so, and
    /// what was said holds once a job. A job that ends its own keeper would run for ever else.
    fn decide_interruption(&mut self, job: &JobName) -> Result<(), EngineError> {
        let Some(state) = self.state.job(job) else { return Ok(()) };
        let Some(attempt) = state.interrupted() else { return Ok(()) };
        let before = state.attempts.iter().rev().nth(1).and_then(|before| before.result);
        let by_itself = !attempt.guarded && before != Some(AttemptResult::Interrupted);
        let decision = if by_itself { Some(InterruptedDecision::Rerun) } else { self.said_of_interruption(job) };
        match decision {
            Some(decision) => self.record(RunEvent::InterruptionAnswered { job: job.clone(), decision, actor: self.setup.actor.clone() }),
            None => self.notice(
                Some(job),
                format!("nobody knows how {job} ended; look at the environment, then `hms retry` it, or give --resume-interrupted=fail"),
            ),
        }
    }

    /// What the engine's starter said of interrupted attempts, the first time that it is asked for this job.
    fn said_of_interruption(&mut self, job: &JobName) -> Option<InterruptedDecision> {
        self.setup.briefing.interrupted.filter(|_| self.decided.insert(job.clone()))
    }

    /// Finds the keepers that an earlier engine started.
    pub(super) fn reattach(&mut self) -> Result<(), EngineError> {
        let open: Vec<(JobName, AttemptId, u32, Option<ProcessName>)> = self
            .state
            .jobs
            .iter()
            .filter(|job| matches!(job.status, JobStatus::Preparing | JobStatus::Running | JobStatus::WaitingForResource))
            .filter_map(|job| job.attempts.last().map(|attempt| (job, attempt)))
            .filter(|(_, attempt)| attempt.result.is_none())
            .map(|(job, attempt)| (job.plan.name.clone(), attempt.id.clone(), attempt.number, attempt.keeper.clone()))
            .collect();
        for (job, attempt, number, keeper) in open {
            let folder = self.setup.folder.attempt(&job, number);
            let found = keeper_state(&folder);
            let token = prepare::read_token_digest(&folder);
            let listener = socket::listen_for_job(&self.setup.places.socket(&folder), attempt.clone(), self.sender.clone()).ok();
            let live =
                LiveAttempt { job: job.clone(), token, keeper: keeper.clone(), canceled: false, turn: None, listener, watcher: None };
            self.live.insert(attempt.clone(), live);
            match found {
                Ok(KeeperState::Alive(holder)) => {
                    self.record(RunEvent::AttemptReattached { attempt: attempt.clone() })?;
                    if let Some(live) = self.live.get_mut(&attempt) {
                        live.keeper = Some(holder.process.clone());
                    }
                    if self.state.job(&job).is_some_and(|job| job.cancel_asked.is_some()) {
                        let _ = send_signal(&holder.process, Signal::Term);
                    }
                    self.await_keeper(&job, &attempt, holder.process);
                }
                Ok(KeeperState::Ended(_) | KeeperState::Gone) | Err(_) => self.find_end(&job, &attempt),
            }
        }
        let undecided: Vec<JobName> =
            self.state.jobs.iter().filter(|job| job.interrupted().is_some()).map(|job| job.plan.name.clone()).collect();
        for job in undecided {
            if let Some(decision) = self.said_of_interruption(&job) {
                self.record(RunEvent::InterruptionAnswered { job, decision, actor: self.setup.actor.clone() })?;
            }
        }
        Ok(())
    }

    pub(super) fn number_of(&self, attempt: &AttemptId) -> Option<u32> {
        self.state.jobs.iter().flat_map(|job| &job.attempts).find(|found| &found.id == attempt).map(|found| found.number)
    }
}

/// Whether a deploy left its job without the canary that it asked for.
fn is_lost(outcome: DeployOutcome) -> bool {
    match outcome {
        DeployOutcome::Held | DeployOutcome::RolledBack | DeployOutcome::TakenBack => true,
        DeployOutcome::Done | DeployOutcome::Overridden | DeployOutcome::Failed | DeployOutcome::Refused => false,
    }
}

/// What a scan that failed did not look up.
fn unchecked(state: &RunState, attempt: &AttemptId) -> Option<String> {
    let (_, scan) = state.scans.iter().rev().find(|(scanned, _)| scanned == attempt)?;
    (scan.packages > 0 && !scan.advisories_checked).then(|| format!("{} packages NOT CHECKED", scan.packages))
}

fn ended_with(job: &JobName, attempt: &AttemptId, record: &ExitRecord) -> RunEvent {
    RunEvent::AttemptEnded {
        job: job.clone(),
        attempt: attempt.clone(),
        result: record.result,
        exit_code: record.exit_code,
        signal: record.signal,
        failure_reason: record.failure_reason,
        duration_ms: record.duration_ms,
        tests: record.tests,
        message: record.message.clone(),
        again: false,
        coverage: record.coverage,
    }
}

/// What is known of an attempt whose keeper left no record.
struct Ground {
    keeper: Option<ProcessName>,
    /// What the keeper said of its own troubles.
    last_words: Option<String>,
    /// The attempt's own folders, in which nobody else works.
    folders: Vec<PathBuf>,
}

/// Neither keeper nor exit record: what can be found of it is ended first, then the attempt is called interrupted.
fn interrupted(job: &JobName, attempt: &AttemptId, ground: &Ground) -> RunEvent {
    // The engine is a subreaper: what a killed keeper left comes to it. Its other children are hms's own: keepers of other
    // attempts, also those that are just starting, and the supervisor with all that serves users.
    let orphans = children_of_this_process().into_iter().filter(|child| !is_own(child));
    let workers = ground.keeper.iter().flat_map(|keeper| at_work_below(&ground.folders, keeper));
    let known: Vec<ProcessName> = orphans.chain(workers).collect();
    let left = sweep(attempt, &known);
    let how = match &ground.last_words {
        Some(words) => format!("its keeper ended without a record ({words})"),
        None => "its keeper was killed".to_owned(),
    };
    let message = if left.is_empty() {
        format!("{how}; what was found of it was ended")
    } else {
        format!("{how}, and {} of its processes could not be ended", left.len())
    };
    RunEvent::AttemptEnded {
        job: job.clone(),
        attempt: attempt.clone(),
        result: AttemptResult::Interrupted,
        exit_code: None,
        signal: None,
        failure_reason: Some(FailureReason::Interrupted),
        duration_ms: 0,
        tests: None,
        message: Some(message),
        again: false,
        coverage: None,
    }
}

/// Whether a child of the engine is one of hms's own processes: this program, with one of its hidden verbs, a release of the local
/// target, or a command of the operator's. What a job starts under such a name bears the attempt's mark, and is found by that.
fn is_own(child: &ProcessName) -> bool {
    const VERBS: [&[u8]; 4] = [b"keeper", b"supervise", b"drive", b"engine"];
    let verb = std::fs::read(format!("/proc/{}/cmdline", child.pid)).unwrap_or_default();
    let verb = verb.split(|byte| *byte == 0).nth(1).unwrap_or_default();
    let hms = VERBS.contains(&verb) && executable(child.pid).is_some_and(|program| Some(program) == executable(std::process::id()));
    hms || ["HMS_LOCAL_", supplied::MARK].iter().any(|mark| environment_has(child.pid, mark) == Some(true))
}

#[expect(deprecated, reason = "its successor is unsafe for the sake of types that do not keep their descriptor; an OwnedFd does")]
fn readable(descriptor: OwnedFd) -> Option<AsyncFd<OwnedFd>> {
    AsyncFd::new(descriptor).ok()
}
