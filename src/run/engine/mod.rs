//! The engine: takes inputs one at a time, writes events, and starts what follows from them.
//!
//! It is the only writer of the run's journal. Whatever takes long (checkouts, keepers, drivers) runs beside it and comes back
//! as an [`Input`]; nothing here waits for a job, a network or a disk longer than one write.

mod attempt;
mod auto_cancel;
mod caches;
mod command;
mod delay;
mod delivery;
mod durability;
mod group;
mod outcome;
mod prepare;
mod socket;
mod start;
mod supplied;
mod variables;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::event::{Actor, AttemptId, Command, EngineState, JobName, JobState, JobStatus, Notice, RunEvent, RunOutcome, RunState};
use crate::notify::Notifier;
use crate::pipeline::{Plan, Seen, Step, next};
use crate::policy::{Floors, NotifySink, SuppliedVariable};
use crate::rollout::Hear;
use crate::rollout::wired::Variable;
use crate::run::control::{ControlRequest, JobRequest};
use crate::run::{RunFolder, remove_expired};
use crate::store::{DiskError, Holder, Journal, JournalError, Lock, LockError, Peer, Places, SocketError, now, this_process};

use attempt::LiveAttempt;
use delivery::{Delivery, DeliveryEvent};
use durability::durability;
pub(in crate::run) use outcome::settled_outcome;
use socket::{Listener, Replies};

pub(crate) use delivery::{VersionTag, lineage_in, make_version_tag, name_release};
pub use start::{Briefing, Started, start_engine};
pub use variables::{pipeline_variables, tag_message};

/// How long an engine that was started for a run that rests waits for what its starter has to say.
const FIRST_WORD: Duration = Duration::from_secs(2);

/// What reaches the engine.
#[derive(Debug)]
enum Input {
    /// A person asks.
    Command { request: ControlRequest, peer: Peer, replies: Replies },
    /// A job asks.
    Wish { attempt: AttemptId, request: JobRequest, replies: Replies },
    /// An attempt's keeper lives, or could not be started.
    Prepared { job: JobName, attempt: AttemptId, prepared: Result<prepare::Prepared, prepare::NotPrepared> },
    /// An attempt's keeper is gone.
    KeeperGone { job: JobName, attempt: AttemptId },
    /// An attempt's end is known.
    Ended(Box<RunEvent>),
    /// What the keeper of a job says that failed nothing: a log that is cut, artifacts that were not there.
    Warned(JobName, Vec<String>),
    /// A rollout moved.
    Delivery(DeliveryEvent),
    /// A notice is over; with why it did not come through, the first time at each place.
    Told(Option<String>),
    /// The machine is going down, or somebody wants this process gone: leave the jobs to their keepers.
    Leave,
}

/// An engine that cannot go on. What it wrote stays; the next engine goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Another engine has the run.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The journal could not be read or written.
    #[error("the run's journal failed")]
    Journal(#[from] JournalError),
    /// The disk said no.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The socket could not be made.
    #[error("the engine cannot be reached")]
    Socket(#[from] SocketError),
    /// The run's folder does not hold what an engine needs.
    #[error("{0}")]
    Unusable(String),
}

/// What an engine is given.
#[derive(Debug, Clone)]
pub struct EngineSetup {
    /// The run.
    pub folder: RunFolder,
    /// This user's folders.
    pub places: Places,
    /// The hms program, for keepers and supervisors.
    pub program: PathBuf,
    /// What it was told.
    pub briefing: Briefing,
    /// On whose behalf it acts by itself.
    pub actor: Actor,
    /// How many jobs may run at once, where the run does not say.
    pub places_for_jobs: usize,
    /// The operator's floors.
    pub floors: Floors,
    /// Variables that the operator supplies to jobs.
    pub supplied: BTreeMap<String, SuppliedVariable>,
    /// Who is told of what, as the operator says.
    pub notify: Vec<NotifySink>,
    /// Who is told of what happens in its rollouts; the engine puts itself here.
    pub hear: Hear,
    /// Reads this process's environment: a cluster's and a registry's credentials are found by it.
    pub variable: Variable,
}

/// The engine of one run.
pub struct Engine {
    setup: EngineSetup,
    journal: Journal<RunEvent>,
    state: RunState,
    plan: Plan,
    live: HashMap<AttemptId, LiveAttempt>,
    delivery: Delivery,
    notifier: Notifier,
    seen: HashSet<String>,
    /// Jobs for which the starter's word on interrupted attempts was used.
    decided: HashSet<JobName>,
    sender: mpsc::Sender<Input>,
    inputs: mpsc::Receiver<Input>,
    leaving: bool,
    /// Until when somebody is expected to say why this engine was started.
    expecting: Option<tokio::time::Instant>,
    socket: PathBuf,
    listener: Listener,
    lock: Lock,
}

/// What an engine may do when nothing is left to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// Something goes on: wait for it.
    Busy,
    /// All that is left is to watch a canary.
    Watch,
    /// Only a person can go on.
    Park,
    /// The run is over.
    End(RunOutcome),
}

impl Engine {
    /// Takes the run's lock, folds its journal, and listens.
    ///
    /// # Errors
    /// When another engine has the run, or its folder cannot be used.
    pub fn open(mut setup: EngineSetup) -> Result<Self, EngineError> {
        let folder = &setup.folder;
        let socket = setup.places.socket(folder.path());
        let mut holder = Holder { process: this_process(), host: setup.actor.host.clone(), role: "engine".to_owned(), socket: None };
        let lock = Lock::try_take(&folder.lock(), &holder)?;
        let opened = Journal::open(&folder.journal())?;
        if opened.events.iter().any(|stamped| stamped.event == RunEvent::Unknown) {
            return Err(EngineError::Unusable(format!(
                "the journal {} holds events of a later hms, which must not be driven by this one; use the hms that wrote it",
                folder.journal().display()
            )));
        }
        let state = RunState::fold(&opened.events);
        let plan = read_plan(folder)?;
        let (sender, inputs) = mpsc::channel(256);
        let listener = socket::listen(&socket, sender.clone())?;
        holder.socket = Some(socket.clone());
        lock.describe(&holder)?;
        let told = sender.clone();
        // A full channel wakes the engine as well.
        let notifier = Notifier::start(&setup.notify, Arc::new(move |trouble| drop(told.try_send(Input::Told(trouble)))));
        let ours = notifier.clone();
        setup.hear = Hear::by(move |notice| ours.send(notice));
        let delivery = Delivery::new(&setup, sender.clone());
        let expecting = (state.engine != EngineState::None).then(|| tokio::time::Instant::now() + FIRST_WORD);
        let mut engine = Self {
            journal: opened.journal,
            state,
            plan,
            live: HashMap::new(),
            delivery,
            notifier,
            seen: HashSet::new(),
            decided: HashSet::new(),
            sender,
            inputs,
            leaving: false,
            expecting,
            socket,
            listener,
            lock,
            setup,
        };
        if opened.dropped_bytes > 0 {
            engine.record(RunEvent::JournalRepaired { dropped_bytes: opened.dropped_bytes })?;
        }
        Ok(engine)
    }

    /// Drives the run until it is over, parked, or left.
    ///
    /// # Errors
    /// When the journal or the disk fails: keepers go on, and the next engine goes on from what is written.
    pub async fn drive(mut self) -> Result<RunOutcome, EngineError> {
        let leaving = self.leave_when_told();
        self.record(RunEvent::EngineStarted { engine: this_process(), program: env!("CARGO_PKG_VERSION").to_owned() })?;
        if self.state.jobs.iter().all(|job| job.attempts.is_empty()) {
            // Beside the run, which waits for nothing of it: other runs' artifacts, each under that run's own lock.
            let (repository, host) = (self.setup.folder.repository(), self.setup.actor.host.clone());
            let holder = Holder { process: this_process(), host, role: "removal of expired artifacts".to_owned(), socket: None };
            tokio::task::spawn_blocking(move || drop(remove_expired(&repository, &holder, now())));
        }
        for text in std::mem::take(&mut self.setup.briefing.notices) {
            self.notice(None, text)?;
        }
        self.reattach()?;
        Box::pin(self.delivery.resume(&self.state, &self.plan)).await;
        if let Some(actor) = self.state.cancel.clone().filter(|_| self.state.ended.is_none()) {
            self.carry_out_cancel(&actor).await;
        }
        self.close_lost_gates()?;
        // Without its masked values it was started to end things: nothing starts, and fails, before it hears what.
        while self.expecting.is_some() && self.missing_value().is_some() {
            if let Some(input) = self.first_word().await {
                self.take(input).await?;
            }
        }
        loop {
            self.settle()?;
            match self.rest() {
                Rest::Busy | Rest::Watch if self.leaving => break,
                Rest::Busy => {}
                Rest::Watch => self.announce_end()?,
                Rest::Park | Rest::End(_) if self.expecting.is_some() => {
                    if let Some(input) = self.first_word().await {
                        self.take(input).await?;
                    }
                    continue;
                }
                Rest::Park => {
                    if self.hear_out().await? {
                        continue;
                    }
                    if self.park().await? {
                        break;
                    }
                    continue;
                }
                Rest::End(_) => {
                    if self.delivery.has_weight() {
                        self.let_go().await?;
                        continue;
                    }
                    self.announce_end()?;
                    if self.hear_out().await? {
                        continue;
                    }
                    let Some(input) = self.drain() else { break };
                    self.take(input).await?;
                    continue;
                }
            }
            if let Some(input) = self.awaited().await {
                self.take(input).await?;
            }
        }
        self.listener.close().await;
        leaving.abort();
        let outcome = self.state.outcome();
        drop(self.lock);
        Ok(outcome)
    }

    /// Whether something came while notices are on their way: an engine does not go before they are over, each in a bounded time.
    async fn hear_out(&mut self) -> Result<bool, EngineError> {
        if !self.notifier.is_at_work() {
            return Ok(false);
        }
        if let Some(input) = self.awaited().await {
            self.take(input).await?;
        }
        Ok(true)
    }

    /// SIGTERM makes an engine leave its jobs to their keepers; the next engine goes on.
    fn leave_when_told(&self) -> tokio::task::JoinHandle<()> {
        let sender = self.sender.clone();
        tokio::spawn(async move {
            let Ok(mut told) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) else { return };
            while told.recv().await.is_some() {
                if sender.send(Input::Leave).await.is_err() {
                    return;
                }
            }
        })
    }

    /// An engine is started for a resting run because somebody has something to say: it does not go before that was said.
    async fn first_word(&mut self) -> Option<Input> {
        let deadline = self.expecting?;
        let input = tokio::time::timeout_at(deadline, self.inputs.recv()).await.ok().flatten();
        if input.is_none() {
            self.expecting = None;
        }
        input
    }

    async fn take(&mut self, input: Input) -> Result<(), EngineError> {
        if matches!(&input, Input::Command { request, .. } if request.command != Command::Look {}) {
            self.expecting = None;
        }
        match input {
            Input::Command { request, peer, replies } => self.command(request, &peer, replies).await,
            Input::Wish { attempt, request, replies } => self.wish(&attempt, request, replies).await,
            Input::Prepared { job, attempt, prepared } => self.prepared(&job, &attempt, prepared).await,
            Input::KeeperGone { job, attempt } => {
                self.find_end(&job, &attempt);
                Ok(())
            }
            Input::Ended(event) => self.ended(*event).await,
            Input::Warned(job, warnings) => warnings.into_iter().try_for_each(|text| self.notice(Some(&job), text)),
            Input::Delivery(event) => self.delivered(event).await,
            Input::Told(trouble) => trouble.map_or(Ok(()), |text| self.notice(None, text)),
            Input::Leave => {
                self.leaving = true;
                Ok(())
            }
        }
    }

    /// Writes an event and folds it: the one place where a run's state changes.
    fn record(&mut self, event: RunEvent) -> Result<(), EngineError> {
        let how = durability(&event);
        let stamped = self.journal.append(now(), event, how)?;
        self.state.apply(&stamped);
        if let Some(notice) = Notice::of_run(&self.state, &stamped.event, stamped.time) {
            self.notifier.send(&notice);
        }
        Ok(())
    }

    fn notice(&mut self, job: Option<&JobName>, text: impl Into<String>) -> Result<(), EngineError> {
        self.record(RunEvent::NoticeGiven { job: job.cloned(), text: text.into() })
    }

    /// Lets every decision that needs no waiting be taken, then starts as many jobs as there are places.
    fn settle(&mut self) -> Result<(), EngineError> {
        if self.leaving {
            return Ok(());
        }
        loop {
            let state = &self.state;
            let new = Seen { status: JobStatus::Created, gate_open: false, exit_code: None };
            let steps = next(&self.plan, &|name| state.job(name).map_or(new, as_scheduled));
            if steps.is_empty() || state.cancel.is_some() {
                break;
            }
            for step in steps {
                self.record(match step {
                    Step::Queue(job) => RunEvent::JobQueued { job },
                    Step::Gate(job) => RunEvent::GateReached { job },
                    Step::Delay(job, seconds) => RunEvent::JobScheduled { job, at: delay::time_after(now(), seconds) },
                    Step::Skip(job, why) => RunEvent::JobSkipped { job, why },
                })?;
            }
        }
        if self.state.cancel.is_some() {
            return self.skip_the_rest();
        }
        self.queue_due()?;
        let ready = |job: &&JobState| job.status == JobStatus::Pending || job.waits_to_start();
        let queued: Vec<JobName> = self.state.jobs.iter().filter(ready).map(|job| job.plan.name.clone()).collect();
        let asked = self.state.created.as_ref().and_then(|created| created.concurrency);
        let places = asked.and_then(|most| usize::try_from(most.get()).ok()).unwrap_or(self.setup.places_for_jobs);
        for job in queued {
            if self.live.len() >= places {
                break;
            }
            self.start_in_turn(&job)?;
        }
        Ok(())
    }

    fn skip_the_rest(&mut self) -> Result<(), EngineError> {
        let open = |status| matches!(status, JobStatus::Created | JobStatus::Pending | JobStatus::Manual | JobStatus::Scheduled);
        let rest = self.state.jobs.iter().filter(|job| open(job.status) || job.waits_to_start());
        let rest: Vec<JobName> = rest.map(|job| job.plan.name.clone()).collect();
        for job in rest {
            self.record(RunEvent::JobSkipped { job, why: "the run was cancelled".to_owned() })?;
        }
        Ok(())
    }

    fn rest(&self) -> Rest {
        if self.delivery.is_at_work()
            || !self.live.is_empty()
            || self.awaits_group()
            || self.state.jobs.iter().any(|job| matches!(job.status, JobStatus::Pending | JobStatus::Preparing | JobStatus::Scheduled))
        {
            return Rest::Busy;
        }
        let outcome = settled_outcome(&self.state);
        match outcome {
            RunOutcome::Waiting | RunOutcome::Interrupted if self.delivery.has_weight() && !self.no_linger() => Rest::Busy,
            RunOutcome::Waiting | RunOutcome::Interrupted => Rest::Park,
            RunOutcome::Running
            | RunOutcome::Success
            | RunOutcome::Failed
            | RunOutcome::Held
            | RunOutcome::RolledBack
            | RunOutcome::Canceled
            | RunOutcome::Refused
            | RunOutcome::None => {
                if self.delivery.has_weight() && !self.no_linger() {
                    Rest::Watch
                } else {
                    Rest::End(outcome)
                }
            }
        }
    }

    fn no_linger(&self) -> bool {
        self.setup.briefing.no_linger
    }

    fn announce_end(&mut self) -> Result<(), EngineError> {
        // Written again by an engine that was started after the end and changed nothing: the last word is that it ended. A canary that
        // was taken back since then changed something.
        let outcome = settled_outcome(&self.state);
        if self.state.engine == EngineState::Ended && self.state.ended.is_some_and(|(ended, _)| ended == outcome) {
            return Ok(());
        }
        self.record(RunEvent::RunEnded { outcome, exit_code: outcome.exit_code() })
    }

    /// Nobody will watch the canaries from here on: what policy says of that is done, and the run takes the consequences.
    async fn let_go(&mut self) -> Result<(), EngineError> {
        self.delivery.leave().await;
        self.close_lost_gates()
    }

    /// Parks, unless something was asked meanwhile: the socket goes first, then what was already asked is looked at, and only then
    /// is `Parked` written (`docs/decisions.md` 1.6).
    async fn park(&mut self) -> Result<bool, EngineError> {
        // Not before: a yes that was asked in time finds the canary still driven from here.
        if let Ok(input) = self.inputs.try_recv() {
            self.take(input).await?;
            return Ok(false);
        }
        if self.delivery.has_weight() {
            self.let_go().await?;
            return Ok(false);
        }
        let _ = std::fs::remove_file(&self.socket);
        let patience = tokio::time::sleep(Duration::from_millis(20));
        tokio::pin!(patience);
        tokio::select! {
            biased;
            Some(input) = self.inputs.recv() => {
                let before = std::mem::replace(&mut self.listener, socket::listen(&self.socket, self.sender.clone())?);
                self.take(input).await?;
                before.close().await;
                return Ok(false);
            }
            () = &mut patience => {}
        }
        let waiting = self.state.jobs.iter().filter(|job| job.status == JobStatus::Manual).map(|job| job.plan.name.clone()).collect();
        self.record(RunEvent::Parked { waiting, unwatched: self.delivery.left_unwatched() })?;
        Ok(true)
    }

    /// What was asked before the socket went; what comes later is answered by the next engine, which its asker starts.
    fn drain(&mut self) -> Option<Input> {
        let _ = std::fs::remove_file(&self.socket);
        self.inputs.try_recv().ok()
    }
}

/// A job as the scheduler sees it. One that was interrupted and waits for a decision still goes on: nothing follows from it yet.
fn as_scheduled(job: &JobState) -> Seen {
    let exit_code = job.attempts.last().and_then(|attempt| attempt.exit_code);
    let status = if job.interrupted().is_some() { JobStatus::Running } else { job.status };
    Seen { status, gate_open: job.gate_open && job.interrupted().is_none(), exit_code }
}

fn read_plan(folder: &RunFolder) -> Result<Plan, EngineError> {
    let path = folder.plan();
    let bytes = std::fs::read(&path).map_err(DiskError::of("read", &path))?;
    serde_json::from_slice(&bytes).map_err(|error| EngineError::Unusable(format!("{} cannot be read: {error}", path.display())))
}
