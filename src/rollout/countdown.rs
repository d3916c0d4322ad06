//! A rollback that waits a moment before it fires, so that a person can take it back or hurry it. The process counts, not a view:
//! a lost terminal changes nothing (`docs/decisions.md` 1.2).

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::net::UnixListener;
use tokio::task::JoinSet;

use super::logbook::folder_of;
use crate::event::{Actor, AppName, RolloutId};
use crate::store::{self, Holder, Peer, SocketError};

/// How long a client may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many clients are heard at a time; more wait in the system's queue.
const CLIENTS: usize = 8;

/// What may be asked of a rollback that counts down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum CountdownAsk {
    /// Fire at once.
    Now,
    /// Do not fire.
    Cancel {
        /// Who wants that.
        actor: Actor,
    },
}

/// What a countdown answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountdownAnswer {
    /// `accepted`, or why not.
    pub end: String,
}

/// Whether the process at the other end is inside a run, from where no act of a person is taken (1.5).
pub type Inside = Arc<dyn Fn(&Peer) -> bool + Send + Sync>;

/// How a countdown ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fired {
    /// The time was over, or somebody hurried it.
    Now,
    /// Somebody took it back.
    Cancelled(Actor),
}

/// Counts down, and hears what people say meanwhile. It waits `delay` at most, whatever becomes of its socket.
pub(crate) async fn count_down(socket: &Path, delay: Duration, inside: Inside, listening: impl FnOnce()) -> Fired {
    let listener = store::bind(socket).ok().and_then(|listener| {
        listener.set_nonblocking(true).ok()?;
        UnixListener::from_std(listener).ok()
    });
    let fired = if let Some(listener) = listener {
        listening();
        tokio::select! {
            () = tokio::time::sleep(delay) => Fired::Now,
            asked = hear(&listener, &inside) => asked,
        }
    } else {
        tokio::time::sleep(delay).await;
        Fired::Now
    };
    let _ = std::fs::remove_file(socket);
    fired
}

async fn hear(listener: &UnixListener, inside: &Inside) -> Fired {
    let mut clients: JoinSet<Option<CountdownAsk>> = JoinSet::new();
    loop {
        tokio::select! {
            Some(asked) = clients.join_next() => match asked {
                Ok(Some(CountdownAsk::Now)) => return Fired::Now,
                Ok(Some(CountdownAsk::Cancel { actor })) => return Fired::Cancelled(actor),
                Ok(None) | Err(_) => {}
            },
            accepted = listener.accept(), if clients.len() < CLIENTS => match accepted {
                Ok((stream, _)) => {
                    if let Ok(stream) = stream.into_std() {
                        let inside = Arc::clone(inside);
                        clients.spawn_blocking(move || converse(&stream, &inside));
                    }
                }
                // The system is out of descriptors: the countdown goes on without clients for a moment.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
        }
    }
}

fn converse(stream: &std::os::unix::net::UnixStream, inside: &Inside) -> Option<CountdownAsk> {
    stream.set_nonblocking(false).ok()?;
    let ask: CountdownAsk = store::accept(stream, "driver", PATIENCE).ok()?;
    let refusal = match store::peer_of(stream) {
        Ok(peer) if peer.uid != rustix::process::geteuid().as_raw() => Some("this rollback is another user's"),
        Ok(peer) if inside(&peer) => Some("a job may not decide about a rollback"),
        Ok(_) => None,
        Err(_) => Some("the system does not say who asks"),
    };
    let end = refusal.unwrap_or("accepted").to_owned();
    let told = store::write_line(stream, &CountdownAnswer { end });
    // Only a refusal depends on nothing: an accepted ask counts even when its asker is gone already.
    let _ = told;
    refusal.is_none().then_some(ask)
}

/// Asks a rollback that counts down on this host to hurry, or takes it back; gives its answer, none when nobody counts.
///
/// # Errors
/// When it is there and cannot be talked to.
pub fn ask_countdown(state: &Path, app: &AppName, rollout: &RolloutId, ask: &CountdownAsk) -> Result<Option<CountdownAnswer>, SocketError> {
    let holder = store::holder_of(&folder_of(state, app, rollout).join("lock")).ok().flatten();
    let Some(Holder { socket: Some(socket), .. }) = holder else { return Ok(None) };
    store::ask(&socket, ask, PATIENCE)?.next(Some(PATIENCE))
}
