//! Which canary is meant: a run's, a rollout's, or an app's newest on this host. By journals alone; no target is asked.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use crate::cli::arguments::WhichCanary;
use crate::cli::environment::Environment;
use crate::cli::failure::{Exit, Failure};
use crate::cli::run_new::Clone;
use crate::event::{AppName, RolloutEvent, RolloutId, RolloutKind, RolloutState, Stamped};
use crate::report::CanaryFacts;
use crate::rollout::folder_of;
use crate::rollout::reader::{RolloutReader, rollouts, unwatched};
use crate::run::reader::{FindError, RunReader, find, list};
use crate::store::{Holder, now};

/// A canary's rollout, followed.
pub(super) struct Canary {
    pub(super) folder: PathBuf,
    pub(super) run_number: Option<u64>,
    reader: RolloutReader,
    events: Vec<Stamped<RolloutEvent>>,
}

impl Canary {
    /// Finds it.
    pub(super) fn find(environment: &Environment, which: &WhichCanary, at: Option<&Path>) -> Result<Self, Failure> {
        let state = &environment.places.state;
        if let Some(app) = &which.app {
            let id = which.run.as_deref().map(str::parse::<RolloutId>).transpose();
            let id = id.map_err(|error| Failure::of(Exit::Usage, &error).hint("with --app a rollout is named by its id"))?;
            return match id {
                Some(id) => Self::open(state, app, &id, None)?.ok_or_else(|| none(format!("there is no rollout {id} of {app} here"))),
                None => newest(rollouts(state, app)?.into_iter().map(|id| (app.clone(), id, None)), state)?
                    .ok_or_else(|| none(format!("nothing of {app} was ever released from this host"))),
            };
        }
        let clone = Clone::find(at).map_err(|failure| failure.hint("or name the app: --app NAME"))?;
        if let Some(name) = which.run.as_deref() {
            return match find(&clone.folder, Some(name)) {
                Ok(listed) => {
                    let mut reader = RunReader::new(&listed.folder);
                    reader.poll()?;
                    newest(of_run(&reader).into_iter(), state)?.ok_or_else(|| none(format!("run {} has no canary yet", listed.number)))
                }
                Err(error @ FindError::None(_)) => Self::by_rollout(state, name)?.ok_or_else(|| error.into()),
                Err(error) => Err(error.into()),
            };
        }
        for listed in list(&clone.folder)?.into_iter().rev() {
            let mut reader = RunReader::new(&listed.folder);
            reader.poll()?;
            if let Some(found) = newest(of_run(&reader).into_iter(), state)? {
                return Ok(found);
            }
        }
        Err(none("no run of this repository has a canary".to_owned()))
    }

    /// A rollout of any app here by its id.
    fn by_rollout(state: &Path, name: &str) -> Result<Option<Self>, Failure> {
        let Ok(id) = name.parse::<RolloutId>() else { return Ok(None) };
        let apps = std::fs::read_dir(state.join("rollouts")).into_iter().flatten().flatten();
        for app in apps.filter_map(|entry| entry.file_name().to_str()?.parse::<AppName>().ok()) {
            if let Some(found) = Self::open(state, &app, &id, None)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn open(state: &Path, app: &AppName, id: &RolloutId, run_number: Option<u64>) -> Result<Option<Self>, Failure> {
        let folder = folder_of(state, app, id);
        let mut canary = Self { reader: RolloutReader::at(&folder), folder, run_number, events: Vec::new() };
        canary.poll()?;
        Ok(canary.state().created.is_some().then_some(canary))
    }

    /// Folds what came; whether anything did.
    pub(super) fn poll(&mut self) -> Result<bool, Failure> {
        let new = self.reader.poll()?;
        let came = !new.is_empty();
        self.events.extend(new);
        Ok(came)
    }

    pub(super) fn state(&self) -> &RolloutState {
        self.reader.state()
    }

    pub(super) fn events(&self) -> &[Stamped<RolloutEvent>] {
        &self.events
    }

    /// Who drives it on this host, and since when nobody does.
    pub(super) fn watcher(&self) -> (Option<Holder>, Option<DateTime<Utc>>) {
        let holder = self.reader.holder();
        let since = unwatched(self.state(), None, holder.as_ref(), now());
        (holder, since)
    }

    /// Calls with the facts at this moment.
    pub(super) fn with_facts<T>(&self, use_them: impl FnOnce(&CanaryFacts<'_>) -> T) -> T {
        let (holder, unwatched_since) = self.watcher();
        let driver = holder.as_ref().map(|holder| (holder.role.as_str(), holder.process.pid));
        use_them(&CanaryFacts { state: self.state(), run_number: self.run_number, unwatched_since, driver })
    }
}

fn of_run(reader: &RunReader) -> Vec<(AppName, RolloutId, Option<u64>)> {
    let Some(created) = &reader.state().created else { return Vec::new() };
    reader.state().rollouts.iter().map(|(id, ..)| (created.app.clone(), id.clone(), Some(created.number))).collect()
}

/// The newest of them that brings a release.
fn newest(among: impl DoubleEndedIterator<Item = (AppName, RolloutId, Option<u64>)>, state: &Path) -> Result<Option<Canary>, Failure> {
    for (app, id, number) in among.rev() {
        let found = Canary::open(state, &app, &id, number)?;
        let brings = |canary: &Canary| canary.state().created.as_ref().is_some_and(|created| created.kind == RolloutKind::Release);
        if let Some(found) = found.filter(brings) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn none(message: String) -> Failure {
    Failure::new(Exit::NotCarriedOut, message).hint("hms runs lists the runs; hms-deploy history --app NAME lists what was released")
}
