//! The engine's sockets: one for people, one for each living attempt. Connections become inputs; replies go back as lines.

use std::os::unix::net::UnixListener as StdListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use crate::event::AttemptId;
use crate::run::control::{ControlRequest, JobRequest, Reply};
use crate::store::{Bound, Hello, LOOK, Peer, SocketError, bind, peer_of};

use super::Input;

/// How long a peer may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest request in bytes: a scan's report.
const REQUEST_LIMIT: u64 = 64 * 1024 * 1024;

/// Where replies to one request go; closed when the peer is gone.
pub(super) type Replies = mpsc::Sender<Reply>;

/// How long a peer may take to read its answer when the engine goes.
const FAREWELL: Duration = Duration::from_secs(1);

/// A socket that is listened on. Dropping it ends its conversations at once.
pub(super) struct Listener {
    task: JoinHandle<()>,
    stop: Arc<Notify>,
}

impl Listener {
    /// Takes no more connections, and gives those that are there a second to read their answers: an engine that ends right after a
    /// command would else have carried it out without saying so, and it would be said again.
    pub(super) async fn close(mut self) {
        self.stop.notify_one();
        let _ = tokio::time::timeout(FAREWELL, &mut self.task).await;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Listens for people.
pub(super) fn listen(path: &Path, inputs: mpsc::Sender<Input>) -> Result<Listener, SocketError> {
    serve(path, "engine", move |request: ControlRequest, peer, replies| {
        let inputs = inputs.clone();
        async move {
            let _ = inputs.send(Input::Command { request, peer, replies }).await;
        }
    })
}

/// Listens for one attempt's job.
pub(super) fn listen_for_job(path: &Path, attempt: AttemptId, inputs: mpsc::Sender<Input>) -> Result<Listener, SocketError> {
    serve(path, "attempt", move |request: JobRequest, _, replies| {
        let (inputs, attempt) = (inputs.clone(), attempt.clone());
        async move {
            let _ = inputs.send(Input::Wish { attempt, request, replies }).await;
        }
    })
}

fn serve<R, F, D>(path: &Path, role: &'static str, deliver: D) -> Result<Listener, SocketError>
where
    R: DeserializeOwned + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
    D: Fn(R, Peer, Replies) -> F + Clone + Send + 'static,
{
    let broken = |source| SocketError::Broken { role: role.to_owned(), source };
    let mut listener = listens(bind(path)?).map_err(broken)?;
    let mut bound = Bound::at(path);
    let stop = Arc::new(Notify::new());
    let stopped = Arc::clone(&stop);
    let task = tokio::spawn(async move {
        // The connections are owned here: they end with the listener.
        let mut connections = tokio::task::JoinSet::new();
        let mut look = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                _ = look.tick() => {
                    if let Some(Ok(again)) = bound.again().map(listens) {
                        listener = again;
                    }
                }
                accepted = listener.accept() => {
                    if let Ok((stream, _)) = accepted {
                        connections.spawn(converse(stream, role, deliver.clone()));
                    }
                }
                Some(_) = connections.join_next() => {}
                () = stopped.notified() => break,
            }
        }
        while connections.join_next().await.is_some() {}
    });
    Ok(Listener { task, stop })
}

fn listens(listener: StdListener) -> std::io::Result<UnixListener> {
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

async fn converse<R, F, D>(mut stream: UnixStream, role: &'static str, deliver: D)
where
    R: DeserializeOwned,
    F: Future<Output = ()>,
    D: Fn(R, Peer, Replies) -> F,
{
    let Ok(peer) = peer_of(&stream) else { return };
    if peer.uid != rustix::process::geteuid().as_raw() {
        return;
    }
    let request = match tokio::time::timeout(PATIENCE, greet(&mut stream, role)).await {
        Ok(Some(Ok(request))) => request,
        Ok(Some(Err(error))) => return not_understood(&mut stream, role, &error).await,
        Ok(None) | Err(_) => return,
    };
    let (replies, mut lines) = mpsc::channel(64);
    deliver(request, peer, replies).await;
    while let Some(line) = lines.recv().await {
        let Ok(mut text) = serde_json::to_vec(&line) else { return };
        text.push(b'\n');
        if stream.write_all(&text).await.is_err() {
            return;
        }
    }
}

/// What a later hms asks in words that this one does not know is refused whole: the half of it that is understood may be another thing.
async fn not_understood(stream: &mut UnixStream, role: &str, error: &serde_json::Error) {
    let way_out = match role {
        "engine" => format!(
            "; nothing of it was done. To have it done by the hms that asks: kill {} (the run's jobs go on under their keepers), and ask again",
            std::process::id()
        ),
        _ => "; nothing of it was done".to_owned(),
    };
    let message = format!("the run's engine is hms {} and does not understand this: {error}{way_out}", env!("CARGO_PKG_VERSION"));
    let Ok(mut text) = serde_json::to_vec(&Reply::Failed { message }) else { return };
    text.push(b'\n');
    let _ = stream.write_all(&text).await;
}

/// Nothing when the peer said nothing.
async fn greet<R: DeserializeOwned>(stream: &mut UnixStream, role: &str) -> Option<serde_json::Result<R>> {
    let mut hello = serde_json::to_vec(&Hello::of(role)).ok()?;
    hello.push(b'\n');
    stream.write_all(&hello).await.ok()?;
    let mut line = Vec::new();
    BufReader::new(stream).take(REQUEST_LIMIT).read_until(b'\n', &mut line).await.ok()?;
    (!line.is_empty()).then(|| serde_json::from_slice(&line))
}
