//! Where environments and metrics are reached. An address is chosen once and kept: a supervisor that comes back waits for it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};

use super::ports::free_port;
use super::proxy;
use super::supervisor::Supervisor;
use crate::deploy::TargetError;
use crate::event::EnvironmentName;

/// Where an environment listens when nothing else is said.
const DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
/// How many ports after the wanted one are tried.
const NEXT: u16 = 200;
/// How often a port that is taken is tried again.
const AGAIN: Duration = Duration::from_millis(100);
/// How long a client may take over the head of a request, and how long an idle one stays connected.
const HEAD: Duration = Duration::from_secs(75);

/// What a listener serves.
#[derive(Debug, Clone)]
enum Door {
    Environment(EnvironmentName),
    Metrics,
}

impl Supervisor {
    /// Makes sure that the environment and the metrics have an address. Only the first call for each chooses one.
    pub(super) async fn open_listeners(
        self: &Arc<Self>,
        environment: &EnvironmentName,
        wanted: Option<SocketAddr>,
    ) -> Result<(), TargetError> {
        let unreachable = |error: io::Error| TargetError::Unreachable { reason: format!("the proxy finds no port to listen at: {error}") };
        let has = self.with_world(|world| (world.environment(environment).address, world.metrics));
        if has.0.is_none() {
            let first = wanted.unwrap_or(DEFAULT);
            let listener = next_free(first).await.map_err(unreachable)?;
            let address = listener.local_addr().map_err(unreachable)?;
            let first_to_choose = self.with_world(|world| {
                let stored = &mut world.environment(environment).address;
                if stored.is_some() {
                    return false;
                }
                *stored = Some(address);
                world.happened(if address.port() == first.port() || first.port() == 0 {
                    format!("{environment}: listening on http://{address}")
                } else {
                    format!("{environment}: port {} is taken; listening on http://{address}, for good", first.port())
                });
                true
            });
            if first_to_choose {
                self.open(Door::Environment(environment.clone()), address, Some(listener));
            }
        }
        if has.1.is_none() {
            let port = free_port().map_err(unreachable)?;
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(unreachable)?;
            let address = listener.local_addr().map_err(unreachable)?;
            let first_to_choose = self.with_world(|world| {
                let free = world.metrics.is_none();
                world.metrics.get_or_insert(address);
                free
            });
            if first_to_choose {
                self.open(Door::Metrics, address, Some(listener));
            }
        }
        Ok(())
    }

    /// Listens again where a former supervisor did.
    pub(super) fn open_known(self: &Arc<Self>) {
        let (environments, metrics) = self.with_world(|world| {
            let known = world.environments.iter().filter_map(|(name, found)| Some((name.clone(), found.address?)));
            (known.collect::<Vec<_>>(), world.metrics)
        });
        for (name, address) in environments {
            self.open(Door::Environment(name), address, None);
        }
        if let Some(address) = metrics {
            self.open(Door::Metrics, address, None);
        }
    }

    /// Serves a door until the supervisor closes; the task ends with it.
    fn open(self: &Arc<Self>, door: Door, address: SocketAddr, listener: Option<TcpListener>) {
        let supervisor = Arc::clone(self);
        tokio::spawn(async move {
            let mut closing = supervisor.closing.subscribe();
            tokio::select! {
                _ = closing.wait_for(|closing| *closing) => {}
                () = async {
                    let listener = match listener {
                        Some(listener) => listener,
                        None => supervisor.wait_for(&door, address).await,
                    };
                    supervisor.set_listening(&door, true);
                    supervisor.accept(&door, listener).await;
                } => {}
            }
            supervisor.set_listening(&door, false);
        });
    }

    async fn wait_for(&self, door: &Door, address: SocketAddr) -> TcpListener {
        let mut told = false;
        loop {
            match TcpListener::bind(address).await {
                Ok(listener) => return listener,
                Err(error) if !told => {
                    told = true;
                    let whose = match door {
                        Door::Environment(name) => name.to_string(),
                        Door::Metrics => "metrics".to_owned(),
                    };
                    self.happened(format!("{whose}: waiting for {address}, which does not move: {error}"));
                }
                Err(_) => {}
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    fn set_listening(&self, door: &Door, listening: bool) {
        if let Door::Environment(name) = door {
            self.with_world(|world| world.environment(name).listening = listening);
        }
    }

    async fn accept(self: &Arc<Self>, door: &Door, listener: TcpListener) {
        loop {
            match listener.accept().await {
                // A task a connection, ended by its client, by the time for a head, or with the process.
                Ok((stream, peer)) => drop(tokio::spawn(connection(Arc::clone(self), door.clone(), stream, peer))),
                // Out of descriptors, mostly: others end meanwhile.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    }
}

async fn connection(supervisor: Arc<Supervisor>, door: Door, stream: TcpStream, peer: SocketAddr) {
    let _ = stream.set_nodelay(true);
    let mut closing = supervisor.closing.subscribe();
    let service = service_fn(move |request| {
        let (supervisor, door) = (Arc::clone(&supervisor), door.clone());
        async move {
            Ok::<_, std::convert::Infallible>(match door {
                Door::Environment(name) => proxy::answer(&supervisor, &name, peer, request).await,
                Door::Metrics => proxy::metrics(&supervisor, &request),
            })
        }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD);
    let connection = builder.serve_connection(TokioIo::new(stream), service).with_upgrades();
    tokio::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = closing.wait_for(|closing| *closing) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

async fn next_free(first: SocketAddr) -> io::Result<TcpListener> {
    let first = if first.port() == 0 { SocketAddr::new(first.ip(), free_port()?) } else { first };
    let mut refused = None;
    for port in first.port()..=first.port().saturating_add(NEXT) {
        match TcpListener::bind(SocketAddr::new(first.ip(), port)).await {
            Ok(listener) => return Ok(listener),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => refused = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(refused.unwrap_or_else(|| io::ErrorKind::AddrInUse.into()))
}
