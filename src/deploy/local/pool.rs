//! Connections to one instance, kept for the next request. Each instance has its own, so that a stopped one's are never used.
//!
//! Rejected: the pooled client of hyper-util. It cannot be told to use a new connection for a request that must not be sent
//! twice, and a server may close an idle one at the very moment it is used.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use http_body_util::{Either, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::held;

/// The body of a request on its way to an instance.
pub(super) type Outgoing = Either<Incoming, Empty<Bytes>>;
/// A connection that takes requests.
pub(super) type Connection = SendRequest<Outgoing>;

/// How long an idle connection is trusted: less than the 5 s after which Node closes it.
const IDLE: Duration = Duration::from_secs(2);
/// How many idle connections are kept.
const KEPT: usize = 256;
/// How long a connection to loopback may take.
const CONNECT: Duration = Duration::from_secs(5);

/// The idle connections to an instance.
#[derive(Debug, Default)]
pub(super) struct Pool {
    idle: Mutex<Vec<(Connection, Instant)>>,
}

impl Pool {
    /// An idle connection that is still open, if there is one.
    pub(super) fn take(&self) -> Option<Connection> {
        let mut idle = held(&self.idle);
        idle.retain(|(connection, since)| !connection.is_closed() && since.elapsed() < IDLE);
        let place = idle.iter().rposition(|(connection, _)| connection.is_ready())?;
        Some(idle.swap_remove(place).0)
    }

    /// Keeps a connection whose response was read to its end.
    pub(super) fn give_back(&self, connection: Connection) {
        let mut idle = held(&self.idle);
        if idle.len() < KEPT && !connection.is_closed() {
            idle.push((connection, Instant::now()));
        }
    }

    /// Drops all idle connections.
    pub(super) fn clear(&self) {
        held(&self.idle).clear();
    }
}

/// Opens a connection to a loopback port. Its task ends with the connection, which its pool or its request owns.
pub(super) async fn connect(port: u16) -> io::Result<Connection> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let stream =
        tokio::time::timeout(CONNECT, TcpStream::connect(address)).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let _ = stream.set_nodelay(true);
    let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    tokio::spawn(async move {
        let _ = connection.with_upgrades().await;
    });
    Ok(sender)
}
