//! Where a person is heard who steers a canary that is under way: pause, resume, skip, extend. A socket beside the rollout's driver,
//! whoever the driver is (a run's engine, or `hms-deploy` alone); it changes nothing itself, the driver's own task does.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};

use super::countdown::Inside;
use super::driver::{Answer, Ask};
use crate::event::{Actor, DeployOutcome, Refusal, RefusalKind};
use crate::store::{self, SocketError, socket_name};

/// How long a client may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a driver may take to answer: a step that is under way ends first.
const ANSWER: Duration = Duration::from_mins(1);
/// How many clients are heard at a time; more wait in the system's queue.
const CLIENTS: usize = 4;

/// Where a driver listens, and whom it does not hear.
#[derive(Clone)]
pub struct Hearing {
    /// The folder of sockets.
    pub runtime: PathBuf,
    /// Whether a peer is inside a run.
    pub inside: Inside,
}

/// What a person wants of a canary under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SteerAsk {
    /// Who.
    pub actor: Actor,
    /// What.
    pub what: SteerWish,
    /// Why; a skip needs it.
    #[serde(default)]
    pub reason: Option<String>,
}

/// What is to become of a canary under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "wish", rename_all = "snake_case")]
pub enum SteerWish {
    /// It stays at its weight, whatever its verdict; harm is still acted on.
    Pause,
    /// It goes on.
    Resume,
    /// It takes its next weight without a PASS.
    Skip,
    /// HOLD may last longer at this weight.
    Extend {
        /// By so many seconds.
        seconds: u64,
    },
}

/// What a driver answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SteerAnswer {
    /// Whether it was done.
    pub outcome: DeployOutcome,
    /// One plain sentence.
    pub message: String,
    /// Which rule said no.
    #[serde(default)]
    pub refusal: Option<Refusal>,
}

/// Asks the driver of the rollout in `folder`; none when none listens on this host.
///
/// # Errors
/// When it is there and cannot be talked to.
pub fn steer(runtime: &Path, folder: &Path, ask: &SteerAsk) -> Result<Option<SteerAnswer>, SocketError> {
    let socket = runtime.join(socket_name(folder));
    if !socket.exists() {
        return Ok(None);
    }
    match store::ask(&socket, ask, PATIENCE) {
        Ok(mut asked) => asked.next(Some(ANSWER)),
        // A driver that was killed left its socket.
        Err(SocketError::Nobody { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Listens until it is dropped. A socket that cannot be made is a driver that nobody steers: it drives all the same.
pub(super) struct Listening {
    socket: PathBuf,
    task: JoinHandle<()>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
        let _ = std::fs::remove_file(&self.socket);
    }
}

impl Listening {
    pub(super) fn start(hearing: &Hearing, folder: &Path, asks: mpsc::Sender<Ask>) -> Option<Self> {
        let socket = hearing.runtime.join(socket_name(folder));
        let listener = store::bind(&socket).ok()?;
        listener.set_nonblocking(true).ok()?;
        let listener = UnixListener::from_std(listener).ok()?;
        let task = tokio::spawn(hear(listener, Arc::clone(&hearing.inside), asks));
        Some(Self { socket, task })
    }
}

async fn hear(listener: UnixListener, inside: Inside, asks: mpsc::Sender<Ask>) {
    let mut clients: JoinSet<()> = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = clients.join_next() => {}
            accepted = listener.accept(), if clients.len() < CLIENTS => match accepted {
                Ok((stream, _)) => {
                    if let Ok(stream) = stream.into_std() {
                        clients.spawn(converse(stream, Arc::clone(&inside), asks.clone()));
                    }
                }
                // The system is out of descriptors: the driver goes on without clients for a moment.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
        }
    }
}

async fn converse(stream: std::os::unix::net::UnixStream, inside: Inside, asks: mpsc::Sender<Ask>) {
    let read = tokio::task::spawn_blocking(move || {
        stream.set_nonblocking(false).ok()?;
        let ask: SteerAsk = store::accept(&stream, "driver", PATIENCE).ok()?;
        let refusal = refusal_of(&stream, &inside);
        Some((stream, ask, refusal))
    });
    let Ok(Some((stream, ask, refusal))) = read.await else { return };
    let answer = if let Some(refusal) = refusal {
        Answer::refused(refusal)
    } else {
        let (reply, answer) = oneshot::channel();
        let gone = || Answer::new(DeployOutcome::Failed, "the driver of this rollout has ended");
        match asks.send(Ask::Steer(ask, reply)).await {
            Ok(()) => answer.await.unwrap_or_else(|_| gone()),
            Err(_) => gone(),
        }
    };
    let answer = SteerAnswer { outcome: answer.outcome, message: answer.message, refusal: answer.refusal };
    // Whoever asked may be gone; what was done is done, and in the ledger.
    let _ = tokio::task::spawn_blocking(move || store::write_line(&stream, &answer)).await;
}

fn refusal_of(stream: &std::os::unix::net::UnixStream, inside: &Inside) -> Option<Refusal> {
    let why = match store::peer_of(stream) {
        Ok(peer) if peer.uid != rustix::process::geteuid().as_raw() => "this canary is another user's",
        Ok(peer) if inside(&peer) => "a job may not steer a canary",
        Ok(_) => return None,
        Err(_) => "the system does not say who asks",
    };
    Some(Refusal::new(RefusalKind::InsideRun, why).hint("do it from a shell of your own"))
}
