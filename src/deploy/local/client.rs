//! The local target as other rooms see it: a client of the supervisor, which it starts when it is dead.

use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::output;
use super::placed::{Placed, unreachable};
use super::protocol::{End, Line, Request, WhenUnwritten};
use super::status::LocalStatus;
use super::stored::{self, Stored};
use super::supervisor::{folder_of, host, lock_of, store_of};
use super::world::Environment;
use crate::deploy::{Applied, Effect, Held, Observation, ReleaseRecord, Target, TargetError};
use crate::event::{AppName, AppRecord, Digest, Drift, EnvironmentName, EnvironmentRecord, ProcessName, TargetIdentity};
use crate::store::{self, DiskError, Places, SocketError};

/// How long a supervisor may take to come up.
const COME_UP: Duration = Duration::from_secs(5);
/// How long an answer may take that waits for nothing but the disk.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a supervisor may take until it says hello, and how often it is looked at meanwhile.
const HELLO: Duration = Duration::from_secs(10);
const SLICE: Duration = Duration::from_secs(1);
/// How long a stop may take: the drain, the grace, and some.
const STOP: Duration = Duration::from_mins(1);
/// Variables that a supervisor keeps; its releases get them too, but for where hms's folders are.
const KEPT: [&str; 9] = ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TZ", "TMPDIR"];
/// How many lines of progress wait for a slow caller.
const LINES: usize = 16;

/// The local target of one app.
#[derive(Debug, Clone)]
pub struct LocalTarget {
    places: Places,
    app: AppName,
    program: PathBuf,
    folder: PathBuf,
    listen: Option<SocketAddr>,
    reads: Reads,
}

/// Where an answer comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reads {
    /// From the supervisor while it lives.
    Supervisor,
    /// From what it wrote down last; nothing can be changed then.
    Store,
}

/// What is done when no supervisor lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WhenDead {
    /// It is started.
    Start,
    /// It is started, unless there is nothing for it to do: no store, or one that a person stopped.
    StartIfWanted,
    /// The answer comes from the store.
    Leave,
}

impl LocalTarget {
    /// The local target of `app` below `places`; `program` is the hms to start a supervisor with. Nothing is started yet.
    #[must_use]
    pub fn open(places: &Places, app: &AppName, program: &Path) -> Self {
        // A supervisor is started in `/`, where a relative path is another one.
        let program = std::path::absolute(program).unwrap_or_else(|_| program.to_owned());
        Self { places: places.clone(), app: app.clone(), program, folder: folder_of(places, app), listen: None, reads: Reads::Supervisor }
    }

    /// The same target as its store tells of it, without its supervisor: for views, while that one does nothing.
    #[must_use]
    pub fn from_store(self) -> Self {
        Self { reads: Reads::Store, ..self }
    }

    /// The supervisor, when it lives and somebody stopped its process (SIGSTOP), so that it answers nobody.
    ///
    /// # Errors
    /// When its lock cannot be read.
    pub fn halted(&self) -> Result<Option<ProcessName>, TargetError> {
        Ok(self.holder()?.map(|holder| holder.process).filter(store::is_stopped))
    }

    /// Whether a person stopped the target (`hms local stop`) and nothing brought it back since.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn was_stopped(&self) -> Result<bool, TargetError> {
        Ok(self.holder()?.is_none() && self.stored()?.is_some_and(|stored| stored.stopped))
    }

    /// Brings back what a person stopped, where it was.
    ///
    /// # Errors
    /// When the supervisor does not come up.
    pub async fn wake(&self) -> Result<(), TargetError> {
        self.ask(Request::Status, WhenDead::Start, PATIENCE, &|_| ()).await.map(drop)
    }

    /// The same target, with an address for environments that have none yet: the next free port from there on. Port 0 takes any.
    #[must_use]
    pub fn listening_at(self, address: SocketAddr) -> Self {
        Self { listen: Some(address), ..self }
    }

    /// What people are told of it. Starts nothing.
    ///
    /// # Errors
    /// When the supervisor does not answer, or the store cannot be read.
    pub async fn status(&self) -> Result<LocalStatus, TargetError> {
        match self.ask(Request::Status, WhenDead::Leave, PATIENCE, &|_| ()).await? {
            Some(End::Status(status)) => Ok(status),
            Some(_) => Err(nonsense()),
            None => self.stored_status(),
        }
    }

    /// Closes the proxy, drains and stops the releases, and ends the supervisor. The next deploy brings everything back.
    /// False when none lived.
    ///
    /// # Errors
    /// When the supervisor does not answer within a minute.
    pub async fn stop(&self, progress: &(dyn Fn(String) + Send + Sync)) -> Result<bool, TargetError> {
        if self.ask(Request::Stop, WhenDead::Leave, STOP, progress).await?.is_none() {
            return Ok(false);
        }
        let end = Instant::now() + PATIENCE;
        while self.holder()?.is_some() {
            if Instant::now() > end {
                return Err(TargetError::Unreachable { reason: "the supervisor stopped everything but does not end".to_owned() });
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(true)
    }

    fn stored(&self) -> Result<Option<Stored>, TargetError> {
        stored::load(&store_of(&self.folder)).map_err(unreachable)
    }

    fn stored_status(&self) -> Result<LocalStatus, TargetError> {
        let stored = self.stored()?.unwrap_or_else(Stored::empty);
        let world = stored.into_world(self.app.clone());
        let environments = world.environments.iter().map(|(name, found)| {
            let mut described = found.described(name);
            described.arms.clear();
            described.leaving.clear();
            described
        });
        Ok(LocalStatus {
            format: 1,
            app: self.app.clone(),
            supervisor: None,
            stopped: world.stopped,
            metrics: world.metrics.map(|address| format!("http://{address}/metrics")),
            environments: environments.collect(),
            unpersisted: None,
            happenings: world.happenings.iter().cloned().collect(),
        })
    }

    fn holder(&self) -> Result<Option<store::Holder>, TargetError> {
        store::holder_of(&lock_of(&self.folder)).map_err(unreachable)
    }

    /// Asks the supervisor. None only when none lives and none was to be started.
    async fn ask(
        &self,
        request: Request,
        when_dead: WhenDead,
        patience: Duration,
        progress: &(dyn Fn(String) + Send + Sync),
    ) -> Result<Option<End>, TargetError> {
        let (sender, mut lines) = mpsc::channel(LINES);
        let target = self.clone();
        let asking = tokio::task::spawn_blocking(move || target.ask_and_wait(&request, when_dead, patience, &sender));
        while let Some(line) = lines.recv().await {
            progress(line);
        }
        match asking.await {
            Ok(Ok(Some(End::Failed(error)))) => Err(error),
            Ok(answer) => answer,
            Err(error) => Err(TargetError::Unreachable { reason: error.to_string() }),
        }
    }

    /// Every request is idempotent or compared by version, so one whose supervisor died on the way is asked once more.
    fn ask_and_wait(
        &self,
        request: &Request,
        when_dead: WhenDead,
        patience: Duration,
        lines: &mpsc::Sender<String>,
    ) -> Result<Option<End>, TargetError> {
        let end = Instant::now() + COME_UP;
        let mut again = true;
        loop {
            if self.reads == Reads::Store {
                return Ok(None);
            }
            let Some((asked, socket)) = self.living(when_dead)? else { return Ok(None) };
            match converse(&asked, &socket, request, patience, lines) {
                Ok(end) => return Ok(Some(end)),
                // It comes up, or just went down; nothing was sent.
                Err(SocketError::Nobody { .. }) if Instant::now() < end => std::thread::sleep(Duration::from_millis(5)),
                Err(SocketError::Broken { .. }) if again && self.is_gone(&asked)? => again = false,
                Err(_) if store::is_stopped(&asked) => return Err(self.halted_by_somebody(&asked)),
                Err(SocketError::Nobody { path, .. }) => return Err(self.out_of_reach(&asked, &path)),
                Err(error) => return Err(unreachable(error)),
            }
        }
    }

    fn out_of_reach(&self, supervisor: &ProcessName, socket: &Path) -> TargetError {
        let (app, pid, socket) = (&self.app, supervisor.pid, socket.display());
        TargetError::Unreachable {
            reason: format!(
                "the supervisor of {app} (pid {pid}) lives, but {socket} is gone and it could not make it again: kill -KILL {pid} and do \
                 it again, and another one takes over what runs"
            ),
        }
    }

    fn halted_by_somebody(&self, supervisor: &ProcessName) -> TargetError {
        let (app, pid) = (&self.app, supervisor.pid);
        TargetError::Unreachable {
            reason: format!(
                "the supervisor of {app} (pid {pid}) was stopped by a signal and answers nobody: kill -CONT {pid} wakes it, or \
                 kill -KILL {pid} and do it again, and another one takes over what runs"
            ),
        }
    }

    /// Whether that supervisor is gone, another one in its place or not.
    fn is_gone(&self, asked: &ProcessName) -> Result<bool, TargetError> {
        // A process that was killed holds its lock until the kernel has taken it apart.
        let end = Instant::now() + Duration::from_millis(500);
        while self.holder()?.is_some_and(|holder| holder.process == *asked) {
            if Instant::now() > end {
                return Ok(false);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(true)
    }

    /// The living supervisor and where it listens, after it was started if it has to be.
    fn living(&self, when_dead: WhenDead) -> Result<Option<(ProcessName, PathBuf)>, TargetError> {
        let end = Instant::now() + COME_UP;
        let mut started = false;
        loop {
            match self.holder()? {
                Some(store::Holder { process, socket: Some(socket), .. }) => return Ok(Some((process, socket))),
                Some(_) => {}
                None if started => {}
                None => {
                    let wanted = match when_dead {
                        WhenDead::Start => true,
                        WhenDead::StartIfWanted => self.stored()?.is_some_and(|stored| !stored.stopped),
                        WhenDead::Leave => false,
                    };
                    if !wanted {
                        return Ok(None);
                    }
                    self.start().map_err(unreachable)?;
                    started = true;
                }
            }
            if Instant::now() > end {
                let log = self.folder.join("supervisor.log");
                let last = output::last_lines(&log, 0).pop().unwrap_or_else(|| "it wrote nothing".to_owned());
                let (app, seconds) = (&self.app, COME_UP.as_secs());
                let reason = format!("the supervisor of {app} did not come up within {seconds} s: {last} (log: {})", log.display());
                return Err(TargetError::Unreachable { reason });
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Starts a supervisor from a cleaned environment; it makes a session of its own.
    fn start(&self) -> Result<(), DiskError> {
        store::make_private_folder(&self.folder)?;
        let log = self.folder.join("supervisor.log");
        let output = OpenOptions::new().append(true).create(true).mode(0o600).open(&log).map_err(DiskError::of("open", &log))?;
        let mut command = Command::new(&self.program);
        command.arg("supervise").arg(self.app.as_str()).env_clear().current_dir("/");
        command.envs(KEPT.iter().filter_map(|name| std::env::var_os(name).map(|value| (*name, value))));
        command.env("HMS_STATE_HOME", &self.places.state).env("HMS_DATA_HOME", &self.places.data);
        if let Some(parent) = self.places.runtime.parent().filter(|_| self.places.runtime.ends_with("hms")) {
            command.env("XDG_RUNTIME_DIR", parent);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(output);
        let mut child = command.spawn().map_err(DiskError::of("start", &self.program))?;
        // Waited for, so that it is no zombie of this process when it ends; it ends with this process or with the supervisor.
        std::thread::spawn(move || child.wait());
        Ok(())
    }
}

/// Looks at a supervisor that is silent each [`SLICE`]: one that was stopped is not waited for, a busy one is.
fn converse(
    asked: &ProcessName,
    socket: &Path,
    request: &Request,
    patience: Duration,
    lines: &mpsc::Sender<String>,
) -> Result<End, SocketError> {
    let broken = || SocketError::Broken { role: "supervisor".to_owned(), source: std::io::ErrorKind::UnexpectedEof.into() };
    if store::is_stopped(asked) {
        return Err(SocketError::Silent { role: "supervisor".to_owned() });
    }
    let began = Instant::now();
    let mut answer = loop {
        match store::ask(socket, request, SLICE) {
            // Nothing was sent yet: it says hello first.
            Err(SocketError::Silent { .. }) if began.elapsed() < HELLO && !store::is_stopped(asked) => {}
            answer => break answer?,
        }
    };
    let mut heard = Instant::now();
    loop {
        match answer.next::<Line>(Some(SLICE)) {
            Err(SocketError::Silent { .. }) if heard.elapsed() < patience && !store::is_stopped(asked) => {}
            said => match said?.ok_or_else(broken)? {
                Line::Progress(text) => {
                    heard = Instant::now();
                    // A caller that does not listen any more changes nothing.
                    drop(lines.blocking_send(text));
                }
                Line::End(end) => return Ok(*end),
            },
        }
    }
}

fn nonsense() -> TargetError {
    TargetError::Unreachable { reason: "the supervisor answered something else than was asked; restart it: hms local stop".to_owned() }
}

async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> Result<T, TargetError> + Send + 'static) -> Result<T, TargetError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(TargetError::Unreachable { reason: error.to_string() }))
}

impl Target for LocalTarget {
    async fn identity(&self) -> Result<TargetIdentity, TargetError> {
        let machine = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
        let machine = match machine.trim() {
            "" => host(),
            id => id.to_owned(),
        };
        let uid = rustix::process::geteuid().as_raw();
        let state = self.places.state.canonicalize().unwrap_or_else(|_| self.places.state.clone());
        let state = store::socket_name(&state);
        let id = format!("{machine}/{uid}/{}/{}", state.trim_end_matches(".sock"), self.app);
        Ok(TargetIdentity { kind: "local".to_owned(), id, name: "this machine".to_owned() })
    }

    async fn app_record(&self) -> Result<AppRecord, TargetError> {
        match self.ask(Request::AppRecord, WhenDead::StartIfWanted, PATIENCE, &|_| ()).await? {
            Some(End::AppRecord(record)) => Ok(*record),
            Some(_) => Err(nonsense()),
            None => {
                let stored = self.stored()?.and_then(|stored| stored.app_record);
                Ok(stored.unwrap_or_else(|| AppRecord::empty(self.app.clone())))
            }
        }
    }

    async fn put_app_record(&self, record: AppRecord) -> Result<AppRecord, TargetError> {
        let request = Request::PutAppRecord { record: Box::new(record) };
        match self.ask(request, WhenDead::Start, PATIENCE, &|_| ()).await? {
            Some(End::AppRecord(record)) => Ok(*record),
            Some(_) | None => Err(nonsense()),
        }
    }

    async fn record(&self, environment: &EnvironmentName) -> Result<EnvironmentRecord, TargetError> {
        let request = Request::Record { environment: environment.clone() };
        match self.ask(request, WhenDead::StartIfWanted, PATIENCE, &|_| ()).await? {
            Some(End::Record(record)) => Ok(*record),
            Some(_) => Err(nonsense()),
            None => {
                let stored = self.stored()?.and_then(|mut stored| stored.environments.remove(environment)?.record);
                Ok(stored.unwrap_or_else(|| EnvironmentRecord::empty(self.app.clone(), environment.clone())))
            }
        }
    }

    async fn put_record(&self, record: EnvironmentRecord) -> Result<EnvironmentRecord, TargetError> {
        let request = Request::PutRecord { record: Box::new(record), when_unwritten: WhenUnwritten::Undo };
        match self.ask(request, WhenDead::Start, PATIENCE, &|_| ()).await? {
            Some(End::Record(record)) => Ok(*record),
            Some(_) | None => Err(nonsense()),
        }
    }

    async fn hold_record(&self, record: EnvironmentRecord) -> Result<Held, TargetError> {
        let request = Request::PutRecord { record: Box::new(record), when_unwritten: WhenUnwritten::Hold };
        match self.ask(request, WhenDead::Start, PATIENCE, &|_| ()).await? {
            Some(End::Held(held)) => Ok(*held),
            // A supervisor of an earlier hms stores it or fails.
            Some(End::Record(record)) => Ok(Held { record: *record, unwritten: None }),
            Some(_) | None => Err(nonsense()),
        }
    }

    async fn environments(&self) -> Result<Vec<EnvironmentName>, TargetError> {
        match self.ask(Request::Environments, WhenDead::StartIfWanted, PATIENCE, &|_| ()).await? {
            Some(End::Environments(names)) => Ok(names),
            Some(_) => Err(nonsense()),
            None => {
                let stored = self.stored()?.map(|stored| stored.environments).unwrap_or_default();
                Ok(stored.into_iter().filter(|(_, found)| found.record.is_some()).map(|(name, _)| name).collect())
            }
        }
    }

    async fn observe(&self, environment: &EnvironmentName) -> Result<Observation, TargetError> {
        let request = Request::Observe { environment: environment.clone() };
        match self.ask(request, WhenDead::StartIfWanted, PATIENCE, &|_| ()).await? {
            Some(End::Observed(observation)) => Ok(observation),
            Some(_) => Err(nonsense()),
            None => {
                let stored = self.stored()?.unwrap_or_else(Stored::empty);
                let metrics = stored.metrics;
                let mut world = stored.into_world(self.app.clone());
                let mut found = world.environments.remove(environment).unwrap_or_else(Environment::new).observation(metrics);
                found.arms.clear();
                Ok(found)
            }
        }
    }

    /// A target that a person stopped has not drifted: that is told of it as such. The bytes of what is recorded are read each time, since
    /// they are what it would be started from.
    async fn drift(&self, environment: &EnvironmentName) -> Result<Vec<Drift>, TargetError> {
        if self.reads == Reads::Store {
            return Err(TargetError::Unreachable { reason: "what runs cannot be told while the supervisor answers nobody".to_owned() });
        }
        if self.was_stopped()? {
            return Ok(Vec::new());
        }
        let (record, mut found) = self.compared(environment).await?;
        let Some(release) = record.current.map(|current| current.digest) else { return Ok(found) };
        let what = match self.placed(&release).await {
            Ok(Some(_)) => return Ok(found),
            Ok(None) => "its bytes are not here any more".to_owned(),
            Err(TargetError::ReleaseMissing { why, .. }) => why,
            Err(error) => return Err(error),
        };
        let changed = Drift::Changed { release, what };
        if !record.adopted.contains(&changed) {
            found.push(changed);
        }
        Ok(found)
    }

    async fn place(&self, record: &ReleaseRecord, tree: &Path) -> Result<(), TargetError> {
        let (folder, record, tree) = (self.folder.clone(), record.clone(), tree.to_owned());
        on_disk(move || {
            store::make_private_folder(&folder).map_err(unreachable)?;
            Placed::of(&folder).place(&record, &tree)
        })
        .await
    }

    async fn placed(&self, release: &Digest) -> Result<Option<ReleaseRecord>, TargetError> {
        let (placed, release) = (Placed::of(&self.folder), release.clone());
        on_disk(move || placed.checked(&release)).await
    }

    async fn releases(&self) -> Result<Vec<ReleaseRecord>, TargetError> {
        let placed = Placed::of(&self.folder);
        on_disk(move || placed.all()).await
    }

    async fn remove(&self, release: &Digest) -> Result<(), TargetError> {
        match self.ask(Request::Remove { release: release.clone() }, WhenDead::Start, PATIENCE, &|_| ()).await? {
            Some(End::Done) => Ok(()),
            Some(_) | None => Err(nonsense()),
        }
    }

    async fn apply(
        &self,
        environment: &EnvironmentName,
        fence: u64,
        effect: &Effect,
        progress: &(dyn Fn(String) + Send + Sync),
    ) -> Result<Applied, TargetError> {
        let patience = match effect {
            // What would not start is ended before it is answered, which has a grace of its own.
            Effect::Start { timeout_ms, .. } => Duration::from_millis(*timeout_ms) + STOP,
            Effect::Weigh { .. } | Effect::Promote { .. } | Effect::Withdraw | Effect::Return { .. } | Effect::Retire { .. } => PATIENCE,
        };
        let request = Request::Apply { environment: environment.clone(), fence, effect: effect.clone(), listen: self.listen };
        match self.ask(request, WhenDead::Start, patience, progress).await? {
            Some(End::Applied(applied)) => Ok(applied),
            Some(_) | None => Err(nonsense()),
        }
    }
}
