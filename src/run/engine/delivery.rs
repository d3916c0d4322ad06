//! The rollouts that this engine drives: a job's wish becomes a release and a driver's work, and comes back as an event.
//!
//! Nothing here writes the run's journal: what must be in it before an effect is sent to the engine, which answers when it is durable.

mod gate;
mod lost;
mod release;
mod scanned;
mod setup;
mod version;
mod waits;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::event::{Actor, Arm, AttemptId, DeployOutcome, EnvironmentName, Facts, JobName, Refusal, RolloutId, RunEvent, RunState};
use crate::ledger::{Entry, Ledger, LedgerError, LedgerPlaces, OnFault, Phase};
use crate::pipeline::Plan;
use crate::rollout::wired::Targets;
use crate::rollout::{Answer, Driver, Standing};
use crate::run::RunFolder;
use crate::run::control::{DeployWish, Reply};
use crate::store::{Places, now};

pub(crate) use setup::lineage_in;
pub(crate) use version::{VersionTag, make_version_tag, name_release};

use super::socket::Replies;
use super::{Engine, EngineError, EngineSetup, Input};

/// How long a driver may take to let go when the engine wants to end.
const LETTING_GO: Duration = Duration::from_secs(20);

/// How long a driver may take to find out that it was superseded.
const LOOKING: Duration = Duration::from_millis(200);

/// A person's yes at a gate, as it was said.
pub(super) struct Yes<'a> {
    /// What the person saw.
    pub(super) facts: &'a Facts,
    pub(super) reason: Option<&'a str>,
    /// Variables for the job.
    pub(super) variables: &'a BTreeMap<String, String>,
}

/// A job's wish, with where its answer goes.
pub(super) struct DeployOrder {
    pub(super) job: JobName,
    pub(super) attempt: AttemptId,
    pub(super) wish: DeployWish,
    pub(super) replies: Replies,
}

/// What comes back from a rollout.
#[derive(Debug)]
pub(super) enum DeliveryEvent {
    /// An event that must be durable before the work goes on.
    Record { event: Box<RunEvent>, durable: oneshot::Sender<()> },
    /// A driver has a rollout; from here on this engine drives it.
    Hosted { environment: EnvironmentName, job: JobName, driver: Arc<Driver> },
    /// A job's wish is answered, `undriven` before it came to a driver.
    Answered { job: JobName, attempt: AttemptId, answer: Answer, lines: Vec<String>, undriven: bool, replies: Replies },
    /// A driver's standing changed: what the engine may do next can have changed with it.
    Moved,
}

/// A rollout that this engine drives.
struct Hosted {
    driver: Arc<Driver>,
    /// The job that asked for the canary.
    job: JobName,
}

/// The rollouts of one engine.
pub(super) struct Delivery {
    setup: EngineSetup,
    sender: mpsc::Sender<Input>,
    hosted: HashMap<EnvironmentName, Hosted>,
    maker: release::Maker,
    /// A canary was left with its weight.
    left: bool,
    /// Wishes that are being carried out; whoever asked may be gone.
    open: usize,
}

impl Delivery {
    pub(super) fn new(setup: &EngineSetup, sender: mpsc::Sender<Input>) -> Self {
        Self { setup: setup.clone(), sender, hosted: HashMap::new(), maker: release::Maker::default(), left: false, open: 0 }
    }

    /// Whether a canary of this run has weight and is watched here.
    pub(super) fn has_weight(&self) -> bool {
        self.hosted.values().any(|hosted| *hosted.driver.standing().borrow() == Standing::Watching)
    }

    /// Whether something that a job asked for is still being done.
    pub(super) fn is_at_work(&self) -> bool {
        self.open > 0
    }

    /// Takes up the rollouts that an earlier engine of this run drove.
    pub(super) async fn resume(&mut self, state: &RunState, plan: &Plan) {
        let mut newest: HashMap<EnvironmentName, (RolloutId, JobName)> = HashMap::new();
        for (rollout, environment, arm, job) in &state.rollouts {
            if *arm == Arm::Canary || !newest.contains_key(environment) {
                newest.insert(environment.clone(), (rollout.clone(), job.clone()));
            }
        }
        for (environment, (rollout, job)) in newest {
            let told = match Box::pin(self.take_up(state, plan, &environment, &rollout)).await {
                Ok(Some(driver)) => {
                    self.host(environment, job, Arc::new(driver));
                    continue;
                }
                Ok(None) => continue,
                Err(why) => format!("the rollout {rollout} in {environment} cannot be driven from here: {why}"),
            };
            let event = RunEvent::NoticeGiven { job: Some(job), text: told };
            let (durable, _) = oneshot::channel();
            let _ = self.sender.try_send(Input::Delivery(DeliveryEvent::Record { event: Box::new(event), durable }));
        }
    }

    pub(super) fn host(&mut self, environment: EnvironmentName, job: JobName, driver: Arc<Driver>) {
        let (mut standing, sender) = (driver.standing(), self.sender.clone());
        tokio::spawn(async move {
            while standing.changed().await.is_ok() {
                if sender.send(Input::Delivery(DeliveryEvent::Moved)).await.is_err() {
                    return;
                }
            }
            let _ = sender.send(Input::Delivery(DeliveryEvent::Moved)).await;
        });
        self.hosted.insert(environment, Hosted { driver, job });
        self.left = false;
    }

    /// Whether a canary of this run was left with its weight.
    pub(super) fn left_unwatched(&self) -> bool {
        self.left
    }

    /// A job's wish, beside the engine.
    pub(super) fn deploy(&mut self, state: &RunState, plan: &Plan, folder: &RunFolder, order: DeployOrder) {
        let work = setup::Work {
            setup: self.setup.clone(),
            sender: self.sender.clone(),
            targets: self.targets(state),
            state: state.clone(),
            plan: plan.clone(),
            folder: folder.clone(),
            hosted: self.hosted.iter().map(|(environment, hosted)| (environment.clone(), Arc::clone(&hosted.driver))).collect(),
            maker: self.maker.clone(),
        };
        let sender = self.sender.clone();
        self.open += 1;
        tokio::spawn(async move {
            let setup::Told { answer, lines, undriven } = work.carry_out(&order).await;
            let DeployOrder { job, attempt, replies, .. } = order;
            let answered = DeliveryEvent::Answered { job, attempt, answer, lines, undriven, replies };
            let _ = sender.send(Input::Delivery(answered)).await;
        });
    }

    /// Where this run's app may be released to.
    fn targets(&self, state: &RunState) -> Option<Targets> {
        let app = &state.created.as_ref()?.app;
        Some(Targets::of_app(&self.setup.places, &self.setup.program, app, self.setup.variable))
    }

    /// A refusal is a control action too.
    pub(super) async fn record_refusal(&self, verb: &str, actor: &Actor, refusal: &Refusal) {
        let mut entry = Entry::new("refuse", Phase::Note, actor.clone());
        entry.reason = Some(format!("{verb}: {}", refusal.message));
        entry.outcome = Some(refusal.kind.word());
        let _ = self.note(entry).await;
    }

    async fn note(&self, entry: Entry) -> Result<u64, NotEntered> {
        append(&self.setup.places, entry).await
    }

    /// Canary to 0, for every rollout of this run.
    pub(super) async fn cancel(&mut self, actor: &Actor) {
        for hosted in self.hosted.values() {
            let _ = tokio::time::timeout(LETTING_GO, hosted.driver.cancel(actor.clone(), Some("the run was cancelled".to_owned()))).await;
        }
    }

    /// Has every driver find out whether its environment is still its own. One that is at work is told, and not waited for.
    pub(super) async fn look(&self) {
        for hosted in self.hosted.values() {
            let _ = tokio::time::timeout(LOOKING, hosted.driver.look()).await;
        }
    }

    /// Lets every rollout go, as policy says of a canary that nobody will watch.
    pub(super) async fn leave(&mut self) {
        for (_, hosted) in self.hosted.drain() {
            if *hosted.driver.standing().borrow() != Standing::Watching {
                continue;
            }
            let answer = tokio::time::timeout(LETTING_GO, hosted.driver.leave()).await;
            self.left |= !matches!(answer, Ok(Answer { outcome: DeployOutcome::RolledBack | DeployOutcome::TakenBack, .. }));
        }
    }
}

/// Appends to this user's ledger, beside the engine.
async fn append(places: &Places, entry: Entry) -> Result<u64, NotEntered> {
    let places = LedgerPlaces::of(places);
    let written = tokio::task::spawn_blocking(move || {
        let actor = entry.actor.clone();
        Ledger::open(&places, &actor, Duration::from_secs(10), OnFault::Refuse, now())?.append(entry, now())
    });
    match written.await {
        Ok(Ok(seq)) => Ok(seq),
        Ok(Err(LedgerError::Fault(fault))) => Err(NotEntered::Fault(fault.to_string())),
        Ok(Err(error @ (LedgerError::Lock(_) | LedgerError::Disk(_) | LedgerError::Entry(_)))) => {
            Err(NotEntered::Unwritten(crate::store::chain(&error)))
        }
        Err(error) => Err(NotEntered::Unwritten(error.to_string())),
    }
}

/// Why an entry is not in the ledger.
#[derive(Debug, thiserror::Error)]
enum NotEntered {
    /// The ledger is not as it was written.
    #[error("{0}")]
    Fault(String),
    /// It could not be written.
    #[error("{0}")]
    Unwritten(String),
}

impl Engine {
    /// Takes what a rollout brought back.
    pub(super) async fn delivered(&mut self, event: DeliveryEvent) -> Result<(), EngineError> {
        match event {
            DeliveryEvent::Record { event, durable } => {
                self.record(*event)?;
                let _ = durable.send(());
            }
            DeliveryEvent::Hosted { environment, job, driver } => self.delivery.host(environment, job, driver),
            DeliveryEvent::Answered { job, attempt, answer, lines, undriven, replies } => {
                self.delivery.open -= 1;
                // What a driver refused is in the ledger already, with its rollout.
                if let (Some(refusal), true) = (&answer.refusal, undriven) {
                    let actor = Actor { via: format!("job {job}"), ..self.setup.actor.clone() };
                    self.delivery.record_refusal("deploy", &actor, refusal).await;
                }
                let (outcome, message) = (answer.outcome, answer.message.clone());
                self.record(RunEvent::DeployEnded { job, attempt, outcome, message })?;
                let reply = match answer.refusal {
                    Some(refusal) => Reply::Refused { refusal },
                    None => Reply::Done { outcome, lines: lines.into_iter().chain(answer.last_lines).collect() },
                };
                // The job may be gone: its answer stands in the journal.
                let _ = replies.try_send(reply);
            }
            DeliveryEvent::Moved => self.close_lost_gates()?,
        }
        Ok(())
    }
}
