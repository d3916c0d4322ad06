//! What the console looks at: the contract that wiring implements. An implementation only reads journals and logs and
//! sends commands; the console never learns where they are.
//!
//! The smallest example is `replay::Replay`, which shows a journal's prefix and answers every request with a refusal.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};

use chrono::{DateTime, Utc};

use crate::event::{
    AppName, Digest, Drift, EnvironmentName, EnvironmentRecord, Facts, JobName, Mark, Refusal, ReleaseRef, Revision, RolloutId,
    RolloutState, RunId, RunOutcome, RunState, TargetIdentity, Told,
};

use super::message::Message;
use super::rollback::Back;

/// Where the console's picture comes from, and where its requests go. Every call returns at once: what takes time
/// (git, a target, a socket) happens on the implementation's own threads, and is told through the [`Waker`].
pub trait Source {
    /// Called once, after the first frame: from now on the implementation wakes the console when something changed.
    fn start(&mut self, waker: Waker);

    /// The newest state. Called after [`Waker::changed`], never on a timer.
    fn view(&mut self) -> View;

    /// Opens the log of the job's last attempt; none when it has no attempt yet. The implementation calls
    /// [`Waker::log_grew`] when the log that was opened last has grown.
    ///
    /// # Errors
    /// When the file is there and cannot be opened.
    fn log(&mut self, job: &JobName) -> io::Result<Option<Box<dyn LogBytes>>>;

    /// Sends a request. Its answer comes as [`Waker::answer`] with the same ticket, once; `Ok` carries a line for people.
    fn send(&mut self, ticket: Ticket, request: Request);
}

/// Bytes that only grow: an attempt's log file.
pub trait LogBytes: Send {
    /// How many there are now.
    ///
    /// # Errors
    /// As the file system has them.
    fn size(&self) -> io::Result<u64>;

    /// Reads from an offset; fewer bytes than asked for only at the end.
    ///
    /// # Errors
    /// As the file system has them.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
}

impl LogBytes for std::fs::File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(self, buffer, offset)
    }
}

impl LogBytes for Vec<u8> {
    fn size(&self) -> io::Result<u64> {
        Ok(u64::try_from(self.len()).unwrap_or(u64::MAX))
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.get(offset..)).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        Ok(count)
    }
}

/// A request's number, to know its answer by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Ticket(pub u64);

/// What the console may ask for. Every one names what it acts on by value, as it was on the screen.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// Say yes at a gate.
    Approve {
        /// The run.
        run: RunId,
        /// The manual job.
        job: JobName,
        /// What the person saw.
        facts: Facts,
        /// The tag the person typed; none for a gate that deploys nothing.
        typed_tag: Option<String>,
    },
    /// Take a live canary to weight 0. Never refused as stale.
    CanaryToZero {
        /// The environment whose traffic it has a share of.
        environment: EnvironmentName,
        /// The canary's release, if known.
        release: Option<Digest>,
    },
    /// Arm a rollback; the process that is started for it counts down and fires by itself.
    RollBack {
        /// Which environment.
        environment: EnvironmentName,
        /// What has the traffic, as it was shown.
        from: ReleaseRef,
        /// What would get it, as it was shown.
        to: ReleaseRef,
    },
    /// Fire an armed rollback now.
    RollbackNow {
        /// The armed rollout.
        rollout: RolloutId,
    },
    /// Take an armed rollback back.
    RollbackCancel {
        /// The armed rollout.
        rollout: RolloutId,
    },
    /// Abort a run: its canary to 0 first, then its jobs.
    Cancel {
        /// The run.
        run: RunId,
    },
    /// Run a job again.
    Retry {
        /// The run.
        run: RunId,
        /// The job.
        job: JobName,
    },
    /// Steer a canary under way.
    Steer {
        /// Its rollout.
        rollout: RolloutId,
        /// How.
        steer: Steer,
    },
    /// Go on with a run whose engine died.
    Resume {
        /// The run.
        run: RunId,
    },
    /// Start a run of the commit that is watched or checked out.
    Start,
}

/// What is to become of a canary under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Steer {
    /// It stays at its weight.
    Pause,
    /// It goes on.
    Resume,
    /// It takes its next weight without a PASS.
    Skip {
        /// Why.
        reason: String,
    },
    /// HOLD may last longer.
    Extend {
        /// By so many seconds.
        seconds: u64,
    },
}

/// Tells the console that something happened; cheap, from any thread, never blocks but for an answer.
#[derive(Debug, Clone)]
pub struct Waker {
    sender: SyncSender<Message>,
    changed: Arc<AtomicBool>,
    log_grew: Arc<AtomicBool>,
}

impl Waker {
    pub(crate) fn new(sender: SyncSender<Message>) -> Self {
        Self { sender, changed: Arc::default(), log_grew: Arc::default() }
    }

    /// The view is not what it was. Many calls before the console looks are one.
    pub fn changed(&self) {
        self.raise(&self.changed);
    }

    /// The log that was opened last has grown.
    pub fn log_grew(&self) {
        self.raise(&self.log_grew);
    }

    /// A request's answer.
    pub fn answer(&self, ticket: Ticket, answer: Result<String, Refusal>) {
        self.deliver(Message::Answer(ticket, answer));
    }

    /// Waits for room; an answer, a key or a hangup is not to be lost. A console that is gone takes nothing any more.
    pub(crate) fn deliver(&self, message: Message) -> bool {
        self.sender.send(message).is_ok()
    }

    /// The flags are what counts; the message in the channel only ends the console's wait, so a full channel loses nothing.
    fn raise(&self, flag: &AtomicBool) {
        if !flag.swap(true, Ordering::AcqRel) {
            match self.sender.try_send(Message::Woken) {
                Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
            }
        }
    }

    pub(crate) fn take_changed(&self) -> bool {
        self.changed.swap(false, Ordering::AcqRel)
    }

    pub(crate) fn take_log_grew(&self) -> bool {
        self.log_grew.swap(false, Ordering::AcqRel)
    }
}

/// Everything the console shows, as plain data. The default is the first frame's: nothing is known yet.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct View {
    /// Whether the source has looked at all.
    pub state: SourceState,
    /// The repository's name for people.
    pub repository: String,
    /// The application, once known.
    pub app: Option<AppName>,
    /// Where its environments live, once known.
    pub target: Option<TargetIdentity>,
    /// The run on the screen.
    pub run: Option<Arc<RunState>>,
    /// The rollouts that concern the screen: the run's, and any that is not ended in the environments shown; oldest first.
    pub rollouts: Vec<Arc<RolloutState>>,
    /// Environments, in the order they are to be shown.
    pub environments: Vec<EnvironmentView>,
    /// The environment that `P` and `R` mean; none: the first of `environments`.
    pub production: Option<EnvironmentName>,
    /// Whether anybody drives the run.
    pub engine: EngineLife,
    /// Since when a canary with weight is not watched.
    pub unwatched_since: Option<DateTime<Utc>>,
    /// How many yeses from different people a gate to production needs; none when not known.
    pub yeses_needed: Option<u32>,
    /// The policy in force.
    pub policy_hash: Option<Digest>,
    /// Runs of the repository, newest first.
    pub runs: Vec<RunSummary>,
    /// The numbers of other runs whose rollouts are shown.
    pub numbers: Vec<(RunId, u64)>,
    /// The canary's graphs.
    pub graph: Graph,
    /// The ref that a new commit is looked for on; none when nothing is watched.
    pub watching: Option<String>,
    /// Something is wrong with what was read, in one plain sentence.
    pub trouble: Option<String>,
    /// Whether requests are taken.
    pub access: Access,
    /// The moment that is shown, in a replay; none: the present.
    pub at: Option<DateTime<Utc>>,
}

/// How much the source knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SourceState {
    /// It has not looked yet.
    #[default]
    Loading,
    /// It has.
    Ready,
}

/// What a view may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Access {
    /// Look and ask.
    #[default]
    Full,
    /// Look only.
    ReadOnly,
    /// A journal's prefix is shown, not the present.
    Replay,
}

/// Whether anybody drives the run, in the words of `hms status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EngineLife {
    /// There is no run.
    #[default]
    None,
    /// Its lock is held.
    Alive,
    /// It waits for a person, and no process with it.
    Parked,
    /// The run is over.
    Ended,
    /// Its lock is free although the run is not over.
    Dead,
}

/// An environment as it is at its target, or what keeps it from being known.
#[derive(Debug, Clone, PartialEq)]
pub struct EnvironmentView {
    /// Its name.
    pub name: EnvironmentName,
    /// The target's record, as last observed; none before that.
    pub record: Option<EnvironmentRecord>,
    /// Measured share of the canary, 0 to 1.
    pub measured: Option<f64>,
    /// Where a rollback would bring it.
    pub back: Back,
    /// Why the record may be old, in one plain sentence; none when it is current.
    pub stale: Option<String>,
    /// A person stopped it on purpose: nothing serves users.
    pub stopped: bool,
    /// Whether promotions are frozen now, or will be.
    pub freeze: FreezeView,
    /// What runs there beside the record.
    pub drift: Vec<Drift>,
}

/// Times when nothing is promoted, in words: the clocks of the policy's zone are not the console's to know.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum FreezeView {
    /// No freeze holds, and none is to come.
    #[default]
    Open,
    /// The next one begins then.
    Coming {
        /// The moment it begins.
        from: String,
    },
    /// Nothing is promoted until then.
    Frozen {
        /// The moment it ends.
        until: String,
        /// The whole sentence, with its reason.
        line: String,
    },
}

impl EnvironmentView {
    /// An environment whose rollback target follows from its record alone.
    #[must_use]
    pub fn of(record: EnvironmentRecord) -> Self {
        let back = Back::of(&record);
        Self {
            name: record.environment.clone(),
            record: Some(record),
            measured: None,
            back,
            stale: None,
            stopped: false,
            freeze: FreezeView::Open,
            drift: Vec::new(),
        }
    }

    /// An environment that was not observed yet.
    #[must_use]
    pub fn unknown(name: EnvironmentName) -> Self {
        Self {
            name,
            record: None,
            measured: None,
            back: Back::Unknown,
            stale: None,
            stopped: false,
            freeze: FreezeView::Open,
            drift: Vec::new(),
        }
    }
}

/// A run in a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunSummary {
    /// Its number.
    pub number: u64,
    /// Its id.
    pub run: RunId,
    /// Its commit.
    pub revision: Revision,
    /// The commit's title.
    pub title: String,
    /// How it stands, or ended.
    pub outcome: RunOutcome,
}

/// The numbers of a canary over time, by arm.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Graph {
    /// The canary's, oldest first.
    pub canary: Vec<GraphPoint>,
    /// Stable's, oldest first.
    pub stable: Vec<GraphPoint>,
    /// The limit for p95 in seconds, if there is one.
    pub slo_p95: Option<f64>,
    /// The duration in seconds above which the judge calls a request slow, if it judges latency.
    pub slow_above: Option<f64>,
    /// The limit for the share of requests that fail, 0 to 1.
    pub slo_errors: Option<f64>,
    /// How many canary requests PASS needs at the least.
    pub floor: Option<u64>,
    /// The verdicts, oldest first: how far the evidence was from each end.
    pub told: Vec<Told>,
    /// What changed when, oldest first.
    pub marks: Vec<Mark>,
}

impl Graph {
    /// What the p95 is drawn against: the SLO, else what the judge calls slow.
    pub(crate) fn p95_limit(&self) -> Option<f64> {
        self.slo_p95.or(self.slow_above)
    }
}

/// One interval between two samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GraphPoint {
    /// Its end.
    pub at: DateTime<Utc>,
    /// p95 in seconds; none when nothing was measured, which is a gap.
    pub p95: Option<f64>,
    /// The true p95 lies above `p95`, the histogram's last bound.
    pub p95_at_least: bool,
    /// Share of requests that failed, 0 to 1; none without requests.
    pub error_rate: Option<f64>,
    /// Requests in the interval.
    pub requests: u64,
    /// How long it lasted, in seconds.
    pub seconds: f64,
}

impl GraphPoint {
    /// Requests a second; none for an interval without length.
    #[must_use]
    pub fn per_second(&self) -> Option<f64> {
        (self.seconds > 0.0).then(|| u32::try_from(self.requests).map_or(f64::from(u32::MAX), f64::from) / self.seconds)
    }
}
