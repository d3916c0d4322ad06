//! The supervisor's socket: a task a connection, one request each.

use std::io;
use std::os::unix::net::UnixListener as StdListener;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;

use super::effects::{DISK, refused};
use super::keeping::DRAIN;
use super::placed::Placed;
use super::protocol::{End, Line, Request, WhenUnwritten};
use super::status::LocalStatus;
use super::supervisor::{Supervisor, complain};
use crate::deploy::{Held, TargetError};
use crate::event::{AppRecord, Digest, EnvironmentName, EnvironmentRecord};
use crate::store::{self, Bound, Hello, Inside, Peer, chain};

/// The longest request, in bytes. A record with its policy's text is the largest.
const REQUEST_BYTES: u64 = 16 * 1024 * 1024;
/// How long a client may take over its request, or over reading a line.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many lines of progress wait for a slow client; more are dropped, the last line never is.
const LINES: usize = 64;

/// Serves clients until the supervisor is over.
pub(super) async fn serve(supervisor: &Arc<Supervisor>, listener: StdListener, mut bound: Bound) -> io::Result<()> {
    let mut listener = listens(listener)?;
    let mut look = tokio::time::interval(store::LOOK);
    let mut over = supervisor.over.subscribe();
    loop {
        let accepted = tokio::select! {
            _ = over.wait_for(|over| *over) => return Ok(()),
            _ = look.tick() => {
                if let Some(Ok(again)) = bound.again().map(listens) {
                    supervisor.happened("the socket was gone and is there again");
                    listener = again;
                }
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        match accepted {
            // Bounded by the patience with the client, or by its effect, which goes on without it.
            Ok((stream, _)) => drop(tokio::spawn(converse(Arc::clone(supervisor), stream))),
            Err(error) => {
                complain(&format!("a client could not be served: {error}"));
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

fn listens(listener: StdListener) -> io::Result<UnixListener> {
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

async fn converse(supervisor: Arc<Supervisor>, stream: UnixStream) {
    let me = rustix::process::geteuid().as_raw();
    let Some(peer) = store::peer_of(&stream).ok().filter(|peer| peer.uid == me) else { return };
    let (reader, mut writer) = stream.into_split();
    if send(&mut writer, &Hello::of("supervisor")).await.is_err() {
        return;
    }
    let mut line = Vec::new();
    let mut reader = BufReader::new(reader.take(REQUEST_BYTES));
    let read = tokio::time::timeout(PATIENCE, reader.read_until(b'\n', &mut line)).await;
    if !matches!(read, Ok(Ok(_))) {
        return;
    }
    let request = match serde_json::from_slice::<Request>(&line) {
        Ok(request) => request,
        Err(error) => {
            let end =
                End::Failed(refused(format!("the supervisor does not understand this request ({error}); restart it: hms local stop")));
            let _ = send(&mut writer, &Line::End(Box::new(end))).await;
            return;
        }
    };
    let (progress, mut lines) = mpsc::channel::<String>(LINES);
    let telling = async {
        while let Some(text) = lines.recv().await {
            let _ = send(&mut writer, &Line::Progress(text)).await;
        }
    };
    let allowed = supervisor.may_ask(&peer, &request);
    let stops = matches!(request, Request::Stop) && allowed.is_ok();
    let answering = async {
        let say = move |text: String| drop(progress.try_send(text));
        let end = match allowed {
            Ok(()) => answer(&supervisor, request, &say).await,
            Err(error) => Err(error),
        };
        drop(say);
        end
    };
    let (end, ()) = tokio::join!(answering, telling);
    let _ = send(&mut writer, &Line::End(Box::new(end.unwrap_or_else(End::Failed)))).await;
    if stops {
        supervisor.over.send_replace(true);
    }
}

async fn send(writer: &mut OwnedWriteHalf, value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    tokio::time::timeout(PATIENCE, writer.write_all(&line)).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

async fn answer(supervisor: &Arc<Supervisor>, request: Request, say: &(dyn Fn(String) + Send + Sync)) -> Result<End, TargetError> {
    match request {
        Request::AppRecord => Ok(End::AppRecord(Box::new(
            supervisor.with_world(|world| world.app_record.clone().unwrap_or_else(|| AppRecord::empty(world.app.clone()))),
        ))),
        Request::PutAppRecord { record } => supervisor.put_app_record(*record).await.map(|record| End::AppRecord(Box::new(record))),
        Request::Record { environment } => Ok(End::Record(Box::new(supervisor.record(&environment)))),
        Request::PutRecord { record, when_unwritten: WhenUnwritten::Undo } => {
            supervisor.put_record(*record).await.map(|record| End::Record(Box::new(record)))
        }
        Request::PutRecord { record, when_unwritten: WhenUnwritten::Hold } => {
            supervisor.hold_record(*record).await.map(|held| End::Held(Box::new(held)))
        }
        Request::Environments => Ok(End::Environments(supervisor.with_world(|world| {
            world.environments.iter().filter(|(_, found)| found.record.is_some()).map(|(name, _)| name.clone()).collect()
        }))),
        Request::Observe { environment } => {
            let observed = supervisor.with_world(|world| {
                let metrics = world.metrics;
                world.environments.get(&environment).map(|found| found.observation(metrics))
            });
            Ok(End::Observed(observed.unwrap_or_else(|| super::world::Environment::new().observation(None))))
        }
        Request::Remove { release } => supervisor.remove(release).await.map(|()| End::Done),
        Request::Apply { environment, fence, effect, listen } => {
            supervisor.open_listeners(&environment, listen).await?;
            supervisor.apply(&environment, fence, effect, say).await.map(End::Applied)
        }
        Request::Status => Ok(End::Status(supervisor.status())),
        Request::Stop => {
            supervisor.stop(say).await;
            Ok(End::Done)
        }
    }
}

impl Supervisor {
    /// A job may look; what changes anything is asked for by an engine or by a person (`docs/decisions.md` 14.2). Here, at the effect,
    /// because a client may leave out its own check, and because only from here can everything above a client be seen.
    fn may_ask(&self, peer: &Peer, request: &Request) -> Result<(), TargetError> {
        let what = match request {
            Request::AppRecord | Request::Record { .. } | Request::Environments | Request::Observe { .. } | Request::Status => {
                return Ok(());
            }
            Request::PutAppRecord { .. } => "to write the app's record".to_owned(),
            Request::PutRecord { record, .. } => format!("to write the record of {}", record.environment),
            Request::Remove { release } => format!("to remove {}", release.short()),
            Request::Apply { environment, .. } => format!("to change {environment}"),
            Request::Stop => "to stop the target".to_owned(),
        };
        let inside = peer.process.as_ref().map_or(Inside::Unknown, |process| store::asks_from_inside(process.pid, &self.state));
        let why = match inside {
            Inside::No => return Ok(()),
            Inside::Yes => "is inside a run",
            Inside::Unknown => "cannot be told from one inside a run",
        };
        let pid = peer.process.as_ref().map_or_else(|| "that cannot be seen".to_owned(), |process| format!("with pid {}", process.pid));
        let reason = format!("the process {pid} asked {what} and {why}: only a run's engine or a person may");
        self.happened(format!("refused: {reason}"));
        self.store_soon();
        Err(refused(reason))
    }

    fn record(&self, name: &EnvironmentName) -> EnvironmentRecord {
        self.with_world(|world| {
            let record = world.environments.get(name).and_then(|found| found.record.clone());
            record.unwrap_or_else(|| EnvironmentRecord::empty(world.app.clone(), name.clone()))
        })
    }

    async fn put_app_record(&self, mut record: AppRecord) -> Result<AppRecord, TargetError> {
        let before = self.with_world(|world| {
            let found = world.app_record.as_ref().map_or(0, |stored| stored.version);
            if found != record.version {
                return Err(TargetError::Conflict { what: format!("app {}", world.app), found });
            }
            record.version += 1;
            Ok(world.app_record.replace(record.clone()))
        })?;
        if let Err(reason) = self.store_now().await {
            self.with_world(|world| {
                if world.app_record.as_ref().map(|stored| stored.version) == Some(record.version) {
                    world.app_record = before;
                }
            });
            return Err(TargetError::Unreachable { reason: format!("the local target could not write its store: {reason}") });
        }
        Ok(record)
    }

    /// Puts a record in its place by compare-and-swap, in memory; gives it back one version on, and what was there.
    fn swap_record(&self, mut record: EnvironmentRecord) -> Result<(EnvironmentRecord, Option<EnvironmentRecord>), TargetError> {
        let name = record.environment.clone();
        self.with_world(|world| {
            let stored = &mut world.environment(&name).record;
            let found = stored.as_ref().map_or(0, |stored| stored.version);
            if found != record.version {
                return Err(TargetError::Conflict { what: format!("environment {name}"), found });
            }
            record.version += 1;
            let before = stored.replace(record.clone());
            Ok((record, before))
        })
    }

    /// A record of what is in force already: a disk that does not take it now gets it later (the writer of the store goes on trying).
    async fn hold_record(&self, record: EnvironmentRecord) -> Result<Held, TargetError> {
        let (record, _) = self.swap_record(record)?;
        let unwritten = match tokio::time::timeout(DISK, self.store_now()).await {
            Ok(written) => written.err(),
            Err(_) => Some("the disk is slow".to_owned()),
        };
        Ok(Held { record, unwritten })
    }

    async fn put_record(&self, record: EnvironmentRecord) -> Result<EnvironmentRecord, TargetError> {
        let name = record.environment.clone();
        let (record, before) = self.swap_record(record)?;
        if let Err(reason) = self.store_now().await {
            self.with_world(|world| {
                let stored = &mut world.environment(&name).record;
                if stored.as_ref().map(|stored| stored.version) == Some(record.version) {
                    *stored = before;
                }
            });
            return Err(TargetError::Unreachable { reason: format!("the local target could not write its store: {reason}") });
        }
        Ok(record)
    }

    async fn remove(&self, release: Digest) -> Result<(), TargetError> {
        let runs_in =
            self.with_world(|world| world.environments.iter().find(|(_, found)| found.runs(&release)).map(|(name, _)| name.clone()));
        if let Some(name) = runs_in {
            return Err(refused(format!("{} runs in {name}", release.short())));
        }
        let placed = Placed::of(&self.folder);
        tokio::task::spawn_blocking(move || placed.remove(&release))
            .await
            .unwrap_or_else(|error| Err(TargetError::Unreachable { reason: chain(&error) }))
    }

    fn status(&self) -> LocalStatus {
        let unpersisted = self.unpersisted();
        self.with_world(|world| LocalStatus {
            format: 1,
            app: world.app.clone(),
            supervisor: Some(store::this_process()),
            stopped: world.stopped,
            metrics: world.metrics.map(|address| format!("http://{address}/metrics")),
            environments: world.environments.iter().map(|(name, found)| found.described(name)).collect(),
            unpersisted,
            happenings: world.happenings.iter().cloned().collect(),
        })
    }

    /// Closes the listeners, drains and stops everything. What has a place keeps it in the store.
    async fn stop(&self, say: &(dyn Fn(String) + Send + Sync)) {
        self.closing.send_replace(true);
        self.with_world(|world| {
            world.stopped = true;
            world.happened("stopped by a person");
        });
        let _ = self.store_now().await;
        let instances = self.with_world(|world| world.instances());
        say(format!("draining and stopping {} releases", instances.len()));
        let drained = async {
            for instance in &instances {
                instance.idle().await;
            }
        };
        if tokio::time::timeout(DRAIN, drained).await.is_err() {
            say(format!("requests were still open after {} s", DRAIN.as_secs()));
        }
        for instance in &instances {
            instance.end();
        }
        for instance in &instances {
            let ended = async {
                tokio::select! {
                    () = instance.gone() => {}
                    // A start under way has nobody to keep it; whoever starts it says how that ended.
                    () = async { drop(instance.outcome.subscribe().wait_for(|outcome| matches!(outcome, Some(Err(_)))).await) } => {}
                }
            };
            let _ = tokio::time::timeout(Duration::from_secs(15), ended).await;
        }
        let _ = self.store_now().await;
    }
}
