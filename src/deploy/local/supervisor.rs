//! The supervisor: one process per user and app that owns the local target. It holds the lock of its folder for life.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;

use super::held;

use super::metrics::Metrics;
use super::process::Process;
use super::server;
use super::starting::app_mark;
use super::stored::{self, Stored};
use super::world::World;
use crate::event::{AppName, ProcessName};
use crate::store::{self, Bound, Holder, Inside, Lock, LockError, Places, Signal, chain};

/// How long a second supervisor waits for the first to be gone.
const LOCK: Duration = Duration::from_secs(2);
/// How often a store that could not be written is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// The local target of one app, as its supervisor holds it.
#[derive(Debug)]
pub(super) struct Supervisor {
    pub(super) folder: PathBuf,
    /// The STATE that it belongs to.
    pub(super) state: PathBuf,
    pub(super) metrics: Metrics,
    world: Mutex<World>,
    /// How many writes of the store were asked for.
    wanted: watch::Sender<u64>,
    /// Up to which of them it was tried, and what the disk said last.
    written: watch::Sender<(u64, Option<String>)>,
    /// Whether listeners shall close.
    pub(super) closing: watch::Sender<bool>,
    /// Whether this process shall end.
    pub(super) over: watch::Sender<bool>,
}

/// Runs the supervisor of `app` until it is told to stop. The exit code: 0 when it was, or another one lives already; 3 when it
/// cannot do its work, with the reason on stderr.
#[must_use]
pub fn supervise_main(app: &AppName, places: &Places) -> u8 {
    match supervise(app, places) {
        Ok(()) => 0,
        Err(reason) => {
            complain(&reason);
            3
        }
    }
}

#[expect(clippy::print_stderr, reason = "the supervisor's stderr is its log file, and nothing else could be told")]
pub(super) fn complain(reason: &str) {
    eprintln!("hms: {reason}");
}

/// The folder of an app's local target.
pub(super) fn folder_of(places: &Places, app: &AppName) -> PathBuf {
    places.state.join("local").join(app.as_str())
}

/// Where its store is.
pub(super) fn store_of(folder: &Path) -> PathBuf {
    folder.join("store.json")
}

/// Where its lock is.
pub(super) fn lock_of(folder: &Path) -> PathBuf {
    folder.join("lock")
}

fn supervise(app: &AppName, places: &Places) -> Result<(), String> {
    let text = |error: &dyn std::error::Error| chain(error);
    // It fails for the leader of a group; whoever starts a supervisor in another way has seen to that.
    let _ = rustix::process::setsid();
    let _ = rustix::process::chdir("/");
    raise_file_limit();
    let starter = rustix::process::getppid().and_then(|pid| u32::try_from(pid.as_raw_pid()).ok()).unwrap_or(1);
    if store::asks_from_inside(starter, &places.state) == Inside::Yes {
        return Err("no job starts a supervisor of the STATE that its run belongs to".to_owned());
    }
    let _at_home = store::settle(&places.state);
    let folder = folder_of(places, app);
    for part in [folder.clone(), folder.join("releases"), folder.join("work"), folder.join("logs")] {
        store::make_private_folder(&part).map_err(|error| text(&error))?;
    }
    let socket = places.socket(&folder);
    let mut holder = Holder { process: store::this_process(), host: host(), role: "supervisor".to_owned(), socket: None };
    let lock = match Lock::take_within(&lock_of(&folder), &holder, LOCK) {
        Ok(lock) => lock,
        Err(LockError::Held { .. }) => return Ok(()),
        Err(LockError::Disk(error)) => return Err(text(&error)),
    };
    let stored = stored::load(&store_of(&folder)).map_err(|error| text(&error))?.unwrap_or_else(Stored::empty);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| text(&error))?;
    runtime.block_on(async {
        let supervisor = Arc::new(Supervisor::new(app, folder, places.state.clone(), stored));
        supervisor.revive().await;
        let writer = tokio::spawn(Arc::clone(&supervisor).write_store());
        supervisor.open_known();
        let listener = store::bind(&socket).map_err(|error| text(&error))?;
        holder.socket = Some(socket.clone());
        lock.describe(&holder).map_err(|error| text(&error))?;
        let served = server::serve(&supervisor, listener, Bound::at(&socket)).await.map_err(|error| text(&error));
        writer.abort();
        served
    })?;
    let _ = fs::remove_file(&socket);
    Ok(())
}

impl Supervisor {
    fn new(app: &AppName, folder: PathBuf, state: PathBuf, stored: Stored) -> Self {
        let mut world = stored.into_world(app.clone());
        world.stopped = false;
        Self {
            folder,
            state,
            metrics: Metrics::new(app.clone()),
            world: Mutex::new(world),
            wanted: watch::Sender::new(0),
            written: watch::Sender::new((0, None)),
            closing: watch::Sender::new(false),
            over: watch::Sender::new(false),
        }
    }

    /// Looks at or changes the world. What is done in `with` must not wait.
    pub(super) fn with_world<T>(&self, with: impl FnOnce(&mut World) -> T) -> T {
        with(&mut held(&self.world))
    }

    pub(super) fn happened(&self, text: impl Into<String>) {
        self.with_world(|world| world.happened(text));
    }

    /// The mark of everything that this app's supervisors start.
    pub(super) fn mark(&self) -> String {
        app_mark(&self.folder)
    }

    /// Why the store could not be written last; none when it could.
    pub(super) fn unpersisted(&self) -> Option<String> {
        self.written.borrow().1.clone()
    }

    /// Asks for the store to be written.
    pub(super) fn store_soon(&self) {
        self.wanted.send_modify(|wanted| *wanted += 1);
    }

    /// Writes the world down as it is now, and waits until it is synced.
    ///
    /// # Errors
    /// What the disk said; the writer goes on trying.
    pub(super) async fn store_now(&self) -> Result<(), String> {
        self.store_soon();
        let mine = *self.wanted.borrow();
        let mut written = self.written.subscribe();
        let found = written.wait_for(|(upto, _)| *upto >= mine).await.map(|found| found.1.clone());
        match found {
            Ok(None) => Ok(()),
            Ok(Some(reason)) => Err(reason),
            Err(_) => Err("the supervisor ends".to_owned()),
        }
    }

    /// The only writer of the store. Several wishes become one write; one that failed is tried again until it succeeds.
    async fn write_store(self: Arc<Self>) {
        let path = store_of(&self.folder);
        let mut wanted = self.wanted.subscribe();
        loop {
            let upto = *wanted.borrow_and_update();
            let failed = self.written.borrow().1.is_some();
            if failed || upto > self.written.borrow().0 {
                let bytes = self.with_world(|world| serde_json::to_vec(&Stored::of(world)));
                let path = path.clone();
                let written = tokio::task::spawn_blocking(move || match bytes {
                    Ok(bytes) => store::replace(&path, &bytes).err().map(|error| chain(&error)),
                    Err(error) => Some(error.to_string()),
                });
                let reason = written.await.unwrap_or_else(|error| Some(error.to_string()));
                self.written.send_replace((upto, reason));
            }
            if self.written.borrow().1.is_some() {
                let _ = tokio::time::timeout(AGAIN, wanted.changed()).await;
            } else if wanted.changed().await.is_err() {
                return;
            }
        }
    }

    /// Takes over what lives of what was written down, starts the rest again, and ends what nobody wrote down.
    async fn revive(self: &Arc<Self>) {
        let (placed, leaving) = self.with_world(|world| {
            let mut placed = Vec::new();
            let mut leaving = Vec::new();
            for environment in world.environments.values() {
                placed.extend(environment.arms().into_iter().map(|(_, instance)| instance));
                leaving.extend(environment.leaving.iter().cloned());
            }
            (placed, leaving)
        });
        let known: Vec<String> = placed.iter().chain(&leaving).map(|instance| format!("{}=", instance.mark())).collect();
        let mut told = Vec::new();
        for instance in placed {
            let process = instance.now().process.as_ref().and_then(Process::adopt);
            let name = format!("{}: {}", instance.series.environment, instance.series.version);
            if let Some(process) = &process {
                told.push(format!("{name} was found alive (pid {}) and adopted", process.name().pid));
                let port = instance.now().port;
                if super::health::check(port).await.is_ok() {
                    instance.change(|now| now.health = crate::deploy::Health::Healthy);
                }
            } else {
                told.push(format!("{name} was not running and is started again"));
                super::process::end(None, &instance.mark()).await;
                instance.change(|now| now.process = None);
            }
            tokio::spawn(Arc::clone(self).keep(instance, process));
        }
        for instance in leaving {
            let process = instance.now().process.as_ref().and_then(Process::adopt);
            tokio::spawn(Arc::clone(self).keep(Arc::clone(&instance), process));
            self.let_go(instance);
        }
        let mark = self.mark();
        let strangers = tokio::task::spawn_blocking(move || end_strangers(&mark, &known)).await.unwrap_or_default();
        if strangers > 0 {
            told.push(format!("{strangers} processes of starts that were never finished were ended"));
        }
        for text in told {
            self.happened(text);
        }
        self.clean_work();
        self.store_soon();
    }

    /// Removes working folders of instances that are not known any more.
    fn clean_work(&self) {
        let known: Vec<String> = self.with_world(|world| world.instances().iter().map(|instance| instance.id.clone()).collect());
        let Ok(entries) = fs::read_dir(self.folder.join("work")) else { return };
        for entry in entries.flatten() {
            if !known.iter().any(|id| entry.file_name() == id.as_str()) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

/// Kills what bears the app's mark and no known instance's: starts that were under way when the former supervisor died.
fn end_strangers(mark: &str, known: &[String]) -> usize {
    let is_known = |name: &ProcessName| known.iter().any(|instance| store::environment_has(name.pid, instance) == Some(true));
    let strangers: Vec<ProcessName> = store::with_mark(mark).into_iter().filter(|name| !is_known(name)).collect();
    for name in &strangers {
        let _ = store::send_signal(name, Signal::Kill);
    }
    strangers.len()
}

/// The proxy needs two descriptors a request; many systems begin at 1,024.
fn raise_file_limit() {
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current = limit.maximum;
    let _ = rustix::process::setrlimit(rustix::process::Resource::Nofile, limit);
}

/// This host's name.
pub(super) fn host() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::local::instance::mark_of;

    #[test]
    fn marks_are_variables_names() {
        for mark in [mark_of("01J"), app_mark(Path::new("/x/local/shop"))] {
            assert!(mark.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_'), "{mark}");
        }
    }
}
