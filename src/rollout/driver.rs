//! The handle of a driver: what an engine or `hms-deploy` asks of it. The work is done by one task, one ask at a time.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::crash::{self, CrashPoint};
use super::hearing::{Hearing, Listening, SteerAsk};
use super::logbook::{DriveError, Hear, Logbook, folder_of};
use super::ports::{Ports, Rules};
use super::steps::{Clock, Steps, Tell};
use super::worker::{Interrupt, Worker};
use crate::deploy::{ReleaseRecord, Target};
use crate::event::{
    Actor, AppName, DeployOutcome, Digest, EnvironmentName, Refusal, RolloutCreated, RolloutEvent, RolloutId, RolloutKind, RunId, Weight,
    Yes,
};
use crate::store::{Holder, this_process};

/// Asks that wait at a driver; those who ask wait too, so there are few.
const ASKS: usize = 16;

/// What a driver needs around it.
#[derive(Clone)]
pub struct Setup<T> {
    /// The target.
    pub target: Arc<T>,
    /// The rooms beside it.
    pub ports: Ports,
    /// The policy in force, as far as it is the driver's.
    pub rules: Rules,
    /// `STATE`.
    pub state: PathBuf,
    /// This host's name.
    pub host: String,
    /// Where the holder of the rollout's lock listens, for those who look for it: the engine's socket.
    pub socket: Option<PathBuf>,
    /// Who is told of what happens.
    pub hear: Hear,
    /// Where people are heard who steer a canary; none: nowhere.
    pub hearing: Option<Hearing>,
    /// Lines for the person who asked.
    pub tell: Tell,
    /// Wall time: `store::now`.
    pub clock: Clock,
}

/// A release on its way to an environment.
#[derive(Debug, Clone)]
pub struct ReleaseRequest {
    /// The new rollout's id.
    pub rollout: RolloutId,
    /// The application.
    pub app: AppName,
    /// The environment whose traffic it is; `prod` for a canary of `prod`.
    pub environment: EnvironmentName,
    /// What is released.
    pub bytes: Bytes,
    /// The run it serves.
    pub run: Option<RunId>,
    /// The policy in force.
    pub policy_hash: Digest,
    /// Who asks; for a run, who started it.
    pub actor: Actor,
    /// Why, in the person's words.
    pub reason: Option<String>,
    /// Why it may go although it is outdated.
    pub allow_outdated: Option<String>,
}

/// A release and where its bytes lie.
#[derive(Debug, Clone)]
pub struct Bytes {
    /// Its record.
    pub record: ReleaseRecord,
    /// Its tree; none when the target has it already.
    pub tree: Option<PathBuf>,
}

/// Which weights a canary takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Walk {
    /// This one alone.
    One(Weight),
    /// Those of the policy, each with a PASS of its own.
    Steps,
}

/// Who lets a release have all traffic.
#[derive(Debug, Clone)]
pub struct Authority {
    /// Who carries it out.
    pub actor: Actor,
    /// Who said yes, that person among them.
    pub yeses: Vec<Yes>,
    /// Why, in the person's words.
    pub reason: Option<String>,
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// In one word.
    pub outcome: DeployOutcome,
    /// One plain sentence.
    pub message: String,
    /// Which rule said no, and the way out.
    pub refusal: Option<Refusal>,
    /// The last lines of a release that would not start.
    pub last_lines: Vec<String>,
}

impl Answer {
    pub(crate) fn new(outcome: DeployOutcome, message: impl Into<String>) -> Self {
        Self { outcome, message: message.into(), refusal: None, last_lines: Vec::new() }
    }

    pub(crate) fn refused(refusal: Refusal) -> Self {
        Self { outcome: DeployOutcome::Refused, message: refusal.message.clone(), refusal: Some(refusal), last_lines: Vec::new() }
    }
}

/// Whether there is something to watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// No weight, or not yet.
    Idle,
    /// The canary has weight, and this driver watches it.
    Watching,
    /// Promoted, taken back, refused, failed, superseded; or left.
    Over,
}

pub(crate) type Reply = oneshot::Sender<Answer>;

pub(crate) enum Ask {
    Canary(Walk, Reply),
    Promote(Authority, Reply),
    Override(Actor, String, Reply),
    Steer(SteerAsk, Reply),
    Cancel(Actor, Option<String>, Reply),
    Look(Reply),
    Leave(Reply),
}

/// A rollout that this process drives. Dropped, it stops driving at once and writes nothing more; [`Driver::leave`] says so first.
pub struct Driver {
    rollout: RolloutId,
    folder: PathBuf,
    asks: mpsc::Sender<Ask>,
    interrupt: Arc<watch::Sender<Interrupt>>,
    standing: watch::Receiver<Standing>,
    task: JoinHandle<()>,
    /// Held for as long as it drives.
    _hearing: Option<Listening>,
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").field("rollout", &self.rollout).field("standing", &*self.standing.borrow()).finish_non_exhaustive()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Driver {
    /// Makes a rollout: its folder, its lock, its first event. Nothing changes at the target yet.
    ///
    /// # Errors
    /// When the target cannot be asked, or the folder, lock or journal cannot be had.
    pub async fn begin<T: Target + 'static>(setup: Setup<T>, request: ReleaseRequest) -> Result<Self, DriveError> {
        let target = setup.target.identity().await?;
        let record = setup.target.record(&request.environment).await?;
        let folder = folder_of(&setup.state, &request.app, &request.rollout);
        let now = (setup.clock)();
        let (mut book, _) = Logbook::open(&folder, &holder(&setup), now)?;
        book.heard_by(setup.hear.clone());
        let created = RolloutCreated {
            rollout: request.rollout,
            kind: RolloutKind::Release,
            app: request.app,
            environment: request.environment,
            target,
            release: request.bytes.record.release.clone(),
            previous: record.current,
            run: request.run,
            policy_hash: request.policy_hash,
            actor: request.actor,
            reason: request.reason,
            supersedes: None,
            allow_outdated: request.allow_outdated,
        };
        book.append(now, RolloutEvent::RolloutCreated(Box::new(created.clone())))?;
        book.append(now, RolloutEvent::DriverStarted { driver: this_process() })?;
        crash::reach(CrashPoint::Created).await;
        let worker = Worker::new(steps(&setup, &created, book), &setup, created, Some(request.bytes));
        Ok(Self::start(worker, setup.hearing.as_ref()))
    }

    /// Takes up a rollout whose driver ended: folds its journal, looks at the target, closes what was left open, goes on watching.
    ///
    /// `bytes` are needed only when the release may not be at the target yet.
    ///
    /// # Errors
    /// When there is no such rollout, somebody else drives it, a later program wrote it, or the target cannot be asked.
    pub async fn resume<T: Target + 'static>(
        setup: Setup<T>,
        app: &AppName,
        rollout: &RolloutId,
        bytes: Option<Bytes>,
    ) -> Result<Self, DriveError> {
        let folder = folder_of(&setup.state, app, rollout);
        if !folder.is_dir() {
            return Err(DriveError::Unknown(rollout.clone()));
        }
        let now = (setup.clock)();
        let (mut book, events) = Logbook::open(&folder, &holder(&setup), now)?;
        book.heard_by(setup.hear.clone());
        let Some(created) = book.state().created.clone() else { return Err(DriveError::Unknown(rollout.clone())) };
        if events.iter().any(|stamped| stamped.event == RolloutEvent::Unknown) {
            return Err(DriveError::LaterProgram(rollout.clone()));
        }
        if book.state().ended.is_none() {
            book.append(now, RolloutEvent::DriverStarted { driver: this_process() })?;
        }
        let mut worker = Worker::new(steps(&setup, &created, book), &setup, created, bytes);
        Box::pin(worker.take_up(&events)).await?;
        Ok(Self::start(worker, setup.hearing.as_ref()))
    }

    fn start<T: Target + 'static>(worker: Worker<T>, hearing: Option<&Hearing>) -> Self {
        let rollout = worker.created.rollout.clone();
        let folder = worker.steps.book.folder().to_owned();
        // Whoever takes a rollout up asks at once whether there is something to stay for.
        worker.show();
        let (interrupt, standing) = (Arc::clone(&worker.interrupt), worker.standing.subscribe());
        let (asks, inbox) = mpsc::channel(ASKS);
        let hearing = hearing.and_then(|hearing| Listening::start(hearing, &folder, asks.clone()));
        Self { rollout, folder, asks, interrupt, standing, task: tokio::spawn(worker.run(inbox)), _hearing: hearing }
    }

    /// Which rollout.
    #[must_use]
    pub fn rollout(&self) -> &RolloutId {
        &self.rollout
    }

    /// Where its journal lies.
    #[must_use]
    pub fn folder(&self) -> &std::path::Path {
        &self.folder
    }

    /// Whether there is something to watch, now and as it changes.
    #[must_use]
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.clone()
    }

    /// Brings the canary to its weight, or through its weights, and answers when it is known: PASS, harm, HOLD for too long, failure.
    /// After PASS the watch goes on until it is promoted or taken back. Asked again after HOLD it goes on with the same evidence.
    pub async fn canary(&self, walk: Walk) -> Answer {
        self.ask(|reply| Ask::Canary(walk, reply)).await
    }

    /// Gives the release all traffic. Without a canary only with an override.
    pub async fn promote(&self, authority: Authority) -> Answer {
        self.ask(|reply| Ask::Promote(authority, reply)).await
    }

    /// Passes a HOLD with a reason; the canary that waits for its verdict ends as a success with a warning.
    pub async fn override_hold(&self, actor: Actor, reason: String) -> Answer {
        self.ask(|reply| Ask::Override(actor, reason, reply)).await
    }

    /// Pauses, resumes, skips or extends the canary under way.
    pub async fn steer(&self, ask: SteerAsk) -> Answer {
        self.ask(|reply| Ask::Steer(ask, reply)).await
    }

    /// Takes the canary's weight away and ends the rollout, whatever it is doing.
    pub async fn cancel(&self, actor: Actor, reason: Option<String>) -> Answer {
        self.interrupt.send_replace(Interrupt::Wanted);
        self.ask(|reply| Ask::Cancel(actor, reason, reply)).await
    }

    /// Finds out at once whether the environment is still this rollout's, and ends if it is not.
    pub async fn look(&self) {
        self.ask(Ask::Look).await;
    }

    /// Stops watching: the canary keeps its weight, UNWATCHED, or is taken back, as policy says. The driver ends.
    pub async fn leave(&self) -> Answer {
        self.interrupt.send_replace(Interrupt::Wanted);
        self.ask(Ask::Leave).await
    }

    async fn ask(&self, ask: impl FnOnce(Reply) -> Ask) -> Answer {
        let (reply, answer) = oneshot::channel();
        let gone = || Answer::new(DeployOutcome::Failed, "the driver of this rollout has ended");
        if self.asks.send(ask(reply)).await.is_err() {
            return gone();
        }
        answer.await.unwrap_or_else(|_| gone())
    }
}

fn holder<T>(setup: &Setup<T>) -> Holder {
    Holder { process: this_process(), host: setup.host.clone(), role: "driver".to_owned(), socket: setup.socket.clone() }
}

fn steps<T: Target + 'static>(setup: &Setup<T>, created: &RolloutCreated, book: Logbook) -> Steps<T> {
    Steps {
        target: Arc::clone(&setup.target),
        environment: created.environment.clone(),
        rollout: created.rollout.clone(),
        recorder: Arc::clone(&setup.ports.recorder),
        book,
        tell: Arc::clone(&setup.tell),
        clock: Arc::clone(&setup.clock),
        fence: 0,
    }
}
