//! The source: journals folded as they grow.

use std::fs::File;
use std::io;
use std::sync::Arc;

use crate::console::{Access, EngineLife, LogBytes, Request, Source, SourceState, Ticket, View, Waker};
use crate::event::{JobName, RolloutId, RunState};
use crate::executor::log_path;
use crate::rollout::folder_of;
use crate::rollout::reader::{RolloutReader, rollouts, unwatched};
use crate::run::RunFolder;
use crate::run::reader::{RunReader, engine_of, find, list};

use super::super::environment::Environment;
use super::super::run_new::Clone;
use super::asks::Asks;
use super::gather::{graph, life, summaries};
use super::observer::Observer;
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
    clone: Clone,
    shown: Shown,
    access: Access,
    watching: Option<String>,
    run: Option<(RunFolder, RunReader)>,
    rollouts: Vec<(RolloutId, RolloutReader)>,
    started: Option<Started>,
}

struct Started {
    watched: Arc<Watched>,
    logs: Option<LogWatch>,
    observer: Observer,
    asks: Asks,
}

impl LiveSource {
    pub(super) fn new(environment: Environment, clone: Clone, shown: Shown, access: Access, watching: Option<String>) -> Self {
        Self { environment, clone, shown, access, watching, run: None, rollouts: Vec::new(), started: None }
    }

    /// Follows the run that is to be shown.
    fn choose(&mut self) {
        let wanted = match &self.shown {
            Shown::This(folder) => Some(folder.clone()),
            Shown::Newest => find(&self.clone.folder, None).ok().map(|listed| listed.folder),
        };
        if wanted.as_ref() != self.run.as_ref().map(|(folder, _)| folder) {
            self.rollouts.clear();
            self.run = wanted.map(|folder| (folder.clone(), RunReader::new(&folder)));
        }
    }

    fn poll(&mut self) -> Option<String> {
        let mut trouble = None;
        let Some((folder, reader)) = &mut self.run else { return None };
        if let Err(error) = reader.poll() {
            trouble = Some(error.to_string());
        }
        let state = reader.state();
        let watch = |path: &std::path::Path| {
            if let Some(started) = &self.started {
                started.watched.add(path);
            }
        };
        watch(folder.path());
        if let Some(created) = &state.created {
            let places = &self.environment.places;
            let own = state.rollouts.iter().map(|(id, ..)| id.clone());
            let known: Vec<RolloutId> =
                own.chain(rollouts(&places.state, &created.app).unwrap_or_default().into_iter().rev().take(3)).collect();
            for id in known {
                if !self.rollouts.iter().any(|(there, _)| *there == id) {
                    self.rollouts.push((id.clone(), RolloutReader::new(&places.state, &created.app, &id)));
                }
                watch(&folder_of(&places.state, &created.app, &id));
            }
            watch(&places.state.join("rollouts").join(created.app.as_str()));
            watch(&places.state.join("local").join(created.app.as_str()));
            if let Some(started) = &self.started {
                started.observer.ask(&created.app);
            }
        }
        for (_, rollout) in &mut self.rollouts {
            if let Err(error) = rollout.poll() {
                trouble.get_or_insert(error.to_string());
            }
        }
        self.rollouts.sort_by(|(one, _), (other, _)| one.cmp(other));
        trouble
    }
}

impl Source for LiveSource {
    fn start(&mut self, waker: Waker) {
        let Ok(watched) = Watched::new() else { return };
        let common = self.clone.repository.common_dir();
        watched.add(&common.join("hms"));
        watched.add(&common.join("hms/runs"));
        let told = waker.clone();
        watched.run(move || {
            told.changed();
            true
        });
        let observer = Observer::start(self.environment.places.clone(), self.environment.program.clone(), waker.clone());
        let logs = LogWatch::start(waker.clone()).ok();
        let asks = Asks::new(self.environment.clone(), &self.clone, waker.clone(), observer.delay_ms());
        self.started = Some(Started { watched, logs, observer, asks });
        waker.changed();
    }

    fn view(&mut self) -> View {
        self.choose();
        let trouble = self.poll();
        let observed = self.started.as_ref().map(|started| started.observer.observed()).unwrap_or_default();
        let run = self.run.as_ref().map(|(_, reader)| reader.state().clone()).filter(|state| state.created.is_some());
        let holder = self.run.as_ref().and_then(|(folder, _)| engine_of(folder).ok().flatten());
        let engine = self.run.as_ref().and_then(|(_, reader)| reader.engine().ok()).map_or(EngineLife::None, life);
        if let Some(started) = &self.started {
            started.watched.await_engine(holder.map(|holder| holder.process));
        }
        let app = run.as_ref().and_then(|run| run.created.as_ref()).map(|created| created.app.clone());
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
            repository: self.clone.repository.app_name_default().to_string(),
            app,
            target: observed.target.clone(),
            graph: newest.map(|rollout| graph(rollout, &observed)).unwrap_or_default(),
            run: run.map(Arc::new),
            rollouts,
            production: "prod".parse().ok(),
            engine,
            unwatched_since,
            yeses_needed: observed.yeses_needed,
            policy_hash: observed.policy_hash.clone(),
            environments: observed.environments,
            runs: summaries(&self.clone.folder),
            watching: self.watching.clone(),
            trouble,
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
            Request::Approve { run, .. } | Request::Cancel { run } | Request::Retry { run, .. } => {
                list(&self.clone.folder).unwrap_or_default().into_iter().find(|listed| &listed.run == run).map(|listed| listed.folder)
            }
            Request::CanaryToZero { .. }
            | Request::RollBack { .. }
            | Request::RollbackNow { .. }
            | Request::RollbackCancel { .. }
            | Request::Start => None,
        };
        let app = self.run.as_ref().and_then(|(_, reader)| Some(reader.state().created.as_ref()?.app.clone()));
        started.asks.carry_out(ticket, request, folder, app);
    }
}

/// A run's own rollouts, and any that is not over: somebody else's rollback concerns this screen too.
fn shows(run: Option<&RunState>, reader: &RolloutReader) -> bool {
    let state = reader.state();
    let Some(created) = &state.created else { return false };
    let own = run.and_then(|run| run.created.as_ref()).is_some_and(|run| created.run.as_ref() == Some(&run.run));
    own || state.ended.is_none()
}
