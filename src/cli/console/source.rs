//! The source: journals folded as they grow.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use crate::console::{Access, EngineLife, LogBytes, Request, Source, SourceState, Ticket, View, Waker};
use crate::event::{JobName, RolloutId, RolloutKind, RolloutState, RunId, RunState};
use crate::executor::log_path;
use crate::rollout::folder_of;
use crate::rollout::reader::{RolloutReader, rollouts, unwatched};
use crate::run::RunFolder;
use crate::run::reader::{RunReader, engine_of};

use super::super::environment::Environment;
use super::super::failure::Failure;
use super::asks::{About, Asks};
use super::gather::{graph, life};
use super::observer::Observer;
use super::opening::{Found, Opening, note};
use super::runs::Runs;
use super::watcher::{LogWatch, Watched};

/// Which run is on the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shown {
    /// The newest, whichever that is.
    Newest,
    /// This one.
    This(RunFolder),
}

/// A repository and a run, live.
pub(super) struct LiveSource {
    environment: Environment,
    place: Place,
    shown: Shown,
    access: Access,
    runs: Runs,
    run: Option<(RunFolder, RunReader)>,
    rollouts: Vec<(RolloutId, RolloutReader)>,
    started: Option<Started>,
}

/// The repository.
enum Place {
    /// Begun, and not waited for.
    Begun(Option<Opening>),
    /// A thread waits for it.
    Awaited(Receiver<Result<Found, Failure>>),
    Found(Found),
    /// Why there is none.
    Missing(String),
}

struct Started {
    watched: Watched,
    logs: Option<LogWatch>,
    observer: Observer,
    asks: Asks,
    /// What the watch for new commits said last, if it was bad.
    watch_trouble: Arc<Mutex<Option<String>>>,
}

impl LiveSource {
    pub(super) fn new(environment: Environment, opening: Opening, shown: Shown, access: Access) -> Self {
        Self {
            environment,
            place: Place::Begun(Some(opening)),
            shown,
            access,
            runs: Runs::default(),
            run: None,
            rollouts: Vec::new(),
            started: None,
        }
    }

    /// The repository, if it is found by now.
    fn found(&mut self) -> Option<&Found> {
        if let Place::Awaited(found) = &self.place {
            match found.try_recv() {
                Err(TryRecvError::Empty) => {}
                Ok(Ok(found)) => {
                    if let Some(started) = &self.started {
                        started.watched.add(&found.common);
                    }
                    self.place = Place::Found(found);
                }
                Ok(Err(failure)) => self.place = Place::Missing(failure.in_one_line()),
                Err(TryRecvError::Disconnected) => self.place = Place::Missing("the repository cannot be looked at".to_owned()),
            }
        }
        match &self.place {
            Place::Found(found) => Some(found),
            Place::Begun(_) | Place::Awaited(_) | Place::Missing(_) => None,
        }
    }

    /// Follows the run that is to be shown; what went wrong, if anything.
    fn choose(&mut self, found: &Found) -> Option<String> {
        if let Some(started) = &self.started {
            // They are made with the first run.
            started.watched.add(&found.common.join("hms"));
            started.watched.add(&found.common.join("hms/runs"));
        }
        let trouble = self.runs.poll(&found.folder).err().map(|error| error.to_string());
        let wanted = match &self.shown {
            Shown::This(folder) => Some(folder.clone()),
            Shown::Newest => self.runs.newest().map(|listed| listed.folder.clone()),
        };
        if wanted.as_ref() != self.run.as_ref().map(|(folder, _)| folder) {
            self.rollouts.clear();
            self.run = wanted.map(|folder| (folder.clone(), RunReader::new(&folder)));
        }
        trouble
    }

    /// Reads what came since the last look; what went wrong, if anything.
    fn poll(&mut self, found: &Found) -> Option<String> {
        let mut trouble = None;
        let watch = |path: &Path| {
            if let Some(started) = &self.started {
                started.watched.add(path);
            }
        };
        if let Some((folder, reader)) = &mut self.run {
            watch(folder.path());
            trouble = reader.poll().err().map(|error| error.to_string());
        }
        let state = self.run.as_ref().map(|(_, reader)| reader.state());
        let app = state.and_then(|state| state.created.as_ref()).map_or(&found.app, |created| &created.app);
        let places = &self.environment.places.state;
        let own = state.into_iter().flat_map(|state| state.rollouts.iter().map(|(id, ..)| id.clone()));
        let newest = rollouts(places, app).unwrap_or_default().into_iter().rev().take(OTHERS);
        for id in own.chain(newest).collect::<Vec<_>>() {
            if !self.rollouts.iter().any(|(there, _)| *there == id) {
                self.rollouts.push((id.clone(), RolloutReader::new(places, app, &id)));
            }
            watch(&folder_of(places, app, &id));
        }
        watch(&places.join("rollouts"));
        watch(&places.join("rollouts").join(app.as_str()));
        watch(&places.join("local"));
        watch(&places.join("local").join(app.as_str()));
        if let Some(started) = &self.started {
            started.observer.ask(app);
        }
        for (_, rollout) in &mut self.rollouts {
            if let Err(error) = rollout.poll() {
                trouble.get_or_insert(error.to_string());
            }
        }
        self.rollouts.sort_by(|(one, _), (other, _)| one.cmp(other));
        trouble
    }

    /// The numbers of the runs that rollouts on the screen serve.
    fn numbers(&self, rollouts: &[Arc<RolloutState>]) -> Vec<(RunId, u64)> {
        let served = rollouts.iter().filter_map(|rollout| rollout.created.as_ref()?.run.clone());
        served.filter_map(|run| self.runs.named(&run).map(|listed| (run, listed.number))).collect()
    }

    /// What is to be seen before the repository is there, or without one.
    fn without_repository(&self) -> View {
        let (state, trouble) = match &self.place {
            Place::Begun(_) | Place::Awaited(_) | Place::Found(_) => (SourceState::Loading, None),
            Place::Missing(why) => (SourceState::Ready, Some(why.clone())),
        };
        View { state, trouble, access: self.access, ..View::default() }
    }
}

/// How many rollouts of the app are looked at beside the run's own.
const OTHERS: usize = 3;

impl Source for LiveSource {
    fn start(&mut self, waker: Waker) {
        let Ok(watched) = Watched::start(waker.clone()) else {
            self.place = Place::Missing("the system has no more watches to give: nothing can be followed".to_owned());
            waker.changed();
            return;
        };
        let Environment { places, operator, program, .. } = self.environment.clone();
        let observer = Observer::start(places, program, operator.floors, waker.clone());
        let logs = LogWatch::start(waker.clone()).ok();
        let asks = Asks::new(self.environment.clone(), waker.clone());
        let watch_trouble = Arc::new(Mutex::new(None));
        if let Place::Begun(opening) = &mut self.place
            && let Some(opening) = opening.take()
        {
            let (tell, found) = sync_channel(1);
            let (environment, trouble) = (self.environment.clone(), Arc::clone(&watch_trouble));
            std::thread::spawn(move || {
                let noted = waker.clone();
                let opened = opening.finish(environment, move |said| note(&noted, &trouble, said));
                // The receiver is gone when the console is.
                let _ = tell.send(opened);
                waker.changed();
            });
            self.place = Place::Awaited(found);
        }
        self.started = Some(Started { watched, logs, observer, asks, watch_trouble });
    }

    fn view(&mut self) -> View {
        let Some(found) = self.found().cloned() else { return self.without_repository() };
        let trouble = self.choose(&found);
        let trouble = self.poll(&found).or(trouble);
        let observed = self.started.as_ref().map(|started| started.observer.observed()).unwrap_or_default();
        let run = self.run.as_ref().map(|(_, reader)| reader.state().clone()).filter(|state| state.created.is_some());
        let holder = self.run.as_ref().and_then(|(folder, _)| engine_of(folder).ok().flatten());
        let engine = self.run.as_ref().and_then(|(_, reader)| reader.engine().ok()).map_or(EngineLife::None, life);
        let said = self.started.as_ref().and_then(|started| started.watch_trouble.lock().unwrap_or_else(PoisonError::into_inner).clone());
        if let Some(started) = &mut self.started {
            started.watched.await_engine(holder.map(|holder| holder.process));
        }
        let app = run.as_ref().and_then(|run| run.created.as_ref()).map_or(&found.app, |created| &created.app).clone();
        let rollouts: Vec<_> = self
            .rollouts
            .iter()
            .filter(|(_, reader)| shows(run.as_ref(), reader))
            .map(|(_, reader)| Arc::new(reader.state().clone()))
            .collect();
        let newest = rollouts.iter().rev().find(|rollout| rollout.watch.is_some());
        let unwatched_since = self.rollouts.iter().find_map(|(_, reader)| {
            let created = reader.state().created.as_ref()?;
            let record = observed.environments.iter().find(|view| view.name == created.environment)?.record.as_ref();
            unwatched(reader.state(), record, reader.holder().as_ref(), crate::store::now())
        });
        View {
            state: SourceState::Ready,
            repository: found.name,
            app: Some(app),
            target: observed.target.clone(),
            graph: newest.map(|rollout| graph(rollout, &observed)).unwrap_or_default(),
            numbers: self.numbers(&rollouts),
            runs: if run.is_none() { self.runs.summaries() } else { Vec::new() },
            run: run.map(Arc::new),
            rollouts,
            production: "prod".parse().ok(),
            engine,
            unwatched_since,
            yeses_needed: observed.yeses_needed,
            policy_hash: observed.policy_hash.clone(),
            environments: observed.environments,
            watching: found.watching,
            trouble: trouble.or(said),
            access: self.access,
            at: None,
        }
    }

    fn log(&mut self, job: &JobName) -> io::Result<Option<Box<dyn LogBytes>>> {
        let Some((folder, reader)) = &self.run else { return Ok(None) };
        let Some(attempt) = reader.state().job(job).and_then(|job| job.attempts.last()) else { return Ok(None) };
        let attempt = folder.attempt(job, attempt.number);
        if let Some(logs) = self.started.as_mut().and_then(|started| started.logs.as_mut()) {
            logs.look_at(&attempt);
        }
        match File::open(log_path(&attempt)) {
            Ok(file) => Ok(Some(Box::new(file))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn send(&mut self, ticket: Ticket, request: Request) {
        let Some(started) = &self.started else { return };
        let folder = match &request {
            Request::Approve { run, .. } | Request::Cancel { run } | Request::Retry { run, .. } | Request::Resume { run } => {
                self.runs.named(run).map(|listed| listed.folder.clone())
            }
            Request::CanaryToZero { .. }
            | Request::RollBack { .. }
            | Request::RollbackNow { .. }
            | Request::RollbackCancel { .. }
            | Request::Steer { .. }
            | Request::Start => None,
        };
        let found = match &self.place {
            Place::Found(found) => Some(found),
            Place::Begun(_) | Place::Awaited(_) | Place::Missing(_) => None,
        };
        let of_run = self.run.as_ref().and_then(|(_, reader)| Some(reader.state().created.as_ref()?.app.clone()));
        let about = About {
            repository: found.map(|found| found.common.clone()),
            folder,
            app: of_run.or_else(|| found.map(|found| found.app.clone())),
            delay: started.observer.observed().rollback_delay,
        };
        started.asks.carry_out(ticket, request, about);
    }
}

/// A run's own rollouts, any that is not over, and what was taken back since the run began: somebody else's rollback concerns
/// this screen too, or it would go on saying that its release has the traffic.
fn shows(run: Option<&RunState>, reader: &RolloutReader) -> bool {
    let state = reader.state();
    let Some(created) = &state.created else { return false };
    let own = run.and_then(|run| run.created.as_ref()).is_some_and(|run| created.run.as_ref() == Some(&run.run));
    let since = run.is_some_and(|run| state.created_at >= run.created_at);
    own || state.ended.is_none() || (since && created.kind != RolloutKind::Release)
}
