//! An instance: one start of one release in one environment, with its process, its connections and its open requests.

use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use super::held;
use super::metrics::Series;
use super::pool::Pool;
use super::status::LocalArm;
use super::stored::StoredArm;
use crate::deploy::{ArmName, ArmView, Health, TargetError};
use crate::event::{Digest, EnvironmentName, ProcessName};

/// How the start of an instance ended; none while it is under way.
pub(super) type Outcome = Option<Result<(), TargetError>>;

/// What changes while an instance lives.
#[derive(Debug, Clone)]
pub(super) struct Now {
    pub(super) health: Health,
    pub(super) process: Option<ProcessName>,
    pub(super) restarts: u32,
    /// 0 until it was started for the first time.
    pub(super) port: u16,
    /// Where in its log the output of this start begins.
    pub(super) log_from: u64,
}

/// A release that runs, starts, or leaves.
#[derive(Debug)]
pub(super) struct Instance {
    /// A ULID; names its working folder and its mark.
    pub(super) id: String,
    pub(super) release: Digest,
    pub(super) series: Series,
    pub(super) pool: Pool,
    now: Mutex<Now>,
    open: watch::Sender<usize>,
    end: watch::Sender<bool>,
    gone: watch::Sender<bool>,
    pub(super) outcome: watch::Sender<Outcome>,
}

impl Instance {
    pub(super) fn new(environment: &EnvironmentName, release: &Digest) -> Arc<Self> {
        let now = Now { health: Health::Starting, process: None, restarts: 0, port: 0, log_from: 0 };
        Self::with(ulid::Ulid::generate().to_string(), environment, release, now)
    }

    /// The instance that a former supervisor wrote down.
    pub(super) fn known(environment: &EnvironmentName, stored: &StoredArm) -> Arc<Self> {
        let now = Now {
            health: Health::Starting,
            process: stored.process.clone(),
            restarts: stored.restarts,
            port: stored.port,
            log_from: stored.log_from,
        };
        Self::with(stored.instance.clone(), environment, &stored.release, now)
    }

    fn with(id: String, environment: &EnvironmentName, release: &Digest, now: Now) -> Arc<Self> {
        let series = Series { environment: environment.clone(), version: release.short().to_owned() };
        Arc::new(Self {
            id,
            release: release.clone(),
            series,
            pool: Pool::default(),
            now: Mutex::new(now),
            open: watch::Sender::new(0),
            end: watch::Sender::new(false),
            gone: watch::Sender::new(false),
            outcome: watch::Sender::new(None),
        })
    }

    pub(super) fn now(&self) -> Now {
        held(&self.now).clone()
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Now)) {
        change(&mut held(&self.now));
    }

    /// The variable that marks every process of this instance.
    pub(super) fn mark(&self) -> String {
        mark_of(&self.id)
    }

    /// Asks the task that keeps it, or the one that starts it, to end its process.
    pub(super) fn end(&self) {
        self.end.send_replace(true);
    }

    pub(super) fn is_ending(&self) -> bool {
        *self.end.borrow()
    }

    /// Waits until somebody asks for its end.
    pub(super) async fn asked_to_end(&self) {
        let _ = self.end.subscribe().wait_for(|end| *end).await;
    }

    /// Says that its process is gone and will not be started again.
    pub(super) fn set_gone(&self) {
        self.gone.send_replace(true);
    }

    /// Waits until its process is gone for good.
    pub(super) async fn gone(&self) {
        let _ = self.gone.subscribe().wait_for(|gone| *gone).await;
    }

    /// Waits until no request is open.
    pub(super) async fn idle(&self) {
        let _ = self.open.subscribe().wait_for(|open| *open == 0).await;
    }

    pub(super) fn open_requests(&self) -> usize {
        *self.open.borrow()
    }

    pub(super) fn view(&self, arm: ArmName) -> ArmView {
        let now = self.now();
        ArmView { arm, release: self.release.clone(), version: self.series.version.clone(), health: now.health, restarts: now.restarts }
    }

    pub(super) fn described(&self, arm: ArmName) -> LocalArm {
        let now = self.now();
        LocalArm { view: self.view(arm), process: now.process, port: now.port, in_flight: self.open_requests() }
    }
}

/// The mark of the instance with that id.
pub(super) fn mark_of(id: &str) -> String {
    format!("HMS_INSTANCE_{id}")
}

/// A request's hold on an instance: it is not stopped, within the bound of the drain, while one is out.
#[derive(Debug)]
pub(super) struct Ticket(Arc<Instance>);

impl Ticket {
    /// Taken under the world's lock, in the same moment as the choice, so that no drain can look in between.
    pub(super) fn of(instance: &Arc<Instance>) -> Self {
        instance.open.send_modify(|open| *open += 1);
        Self(Arc::clone(instance))
    }

    pub(super) fn instance(&self) -> &Instance {
        &self.0
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.open.send_modify(|open| *open = open.saturating_sub(1));
    }
}
