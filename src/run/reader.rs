//! What views read of a run: its journal folded, and whether its engine lives. Nothing here writes.

use std::path::Path;

use crate::event::{EngineState, RepositoryEvent, Revision, RunEvent, RunId, RunState, Stamped};
use crate::store::{DiskError, Holder, JournalError, Tail, holder_of, read};

use super::{RepositoryFolder, RunFolder};

/// A run in a repository's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its number.
    pub number: u64,
    /// Its id.
    pub run: RunId,
    /// Its commit.
    pub revision: Revision,
    /// Its folder.
    pub folder: RunFolder,
}

/// How the engine of a run is: what the journal says of it, and what its lock says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineLife {
    /// A process holds the run's lock.
    Alive,
    /// It parked at a gate.
    Parked,
    /// The run is over.
    Ended,
    /// It is gone without a word.
    Dead,
}

impl EngineLife {
    /// The word in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Parked => "parked",
            Self::Ended => "ended",
            Self::Dead => "dead",
        }
    }
}

/// No run goes by that name, or more than one does.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// None.
    #[error("no run is called `{0}`")]
    None(String),
    /// More than one.
    #[error("`{name}` is the ending of {count} run ids")]
    Ambiguous {
        /// What was given.
        name: String,
        /// How many fit.
        count: usize,
    },
    /// The repository has no runs.
    #[error("this repository has no runs yet")]
    Empty,
    /// The repository's journal cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// The runs of a repository, oldest first.
///
/// # Errors
/// When the repository's journal is damaged or of a later program; a repository without one has no runs.
pub fn list(repository: &RepositoryFolder) -> Result<Vec<Listed>, JournalError> {
    if !repository.journal().exists() {
        return Ok(Vec::new());
    }
    let events: Vec<Stamped<RepositoryEvent>> = read(&repository.journal())?;
    let listed = events.into_iter().filter_map(|stamped| match stamped.event {
        RepositoryEvent::RunRegistered { run, number, revision, .. } => {
            let folder = repository.run(number, &run);
            Some(Listed { number, run, revision, folder })
        }
        RepositoryEvent::RefSeen { .. }
        | RepositoryEvent::EnvironmentObserved { .. }
        | RepositoryEvent::EnvironmentStopped { .. }
        | RepositoryEvent::EnvironmentKept { .. }
        | RepositoryEvent::JournalRepaired { .. }
        | RepositoryEvent::Unknown => None,
    });
    Ok(listed.filter(|run| run.folder.journal().exists()).collect())
}

/// Finds a run by number, id, or a unique ending of its id (`docs/decisions.md` 10.4); the newest without a name.
///
/// # Errors
/// When none or several fit, or the repository's journal cannot be read.
pub fn find(repository: &RepositoryFolder, name: Option<&str>) -> Result<Listed, FindError> {
    let mut runs = list(repository)?;
    let Some(name) = name else { return runs.pop().ok_or(FindError::Empty) };
    if name.bytes().all(|byte| byte.is_ascii_digit()) {
        let number: Option<u64> = name.parse().ok();
        return runs.into_iter().find(|run| Some(run.number) == number).ok_or_else(|| FindError::None(name.to_owned()));
    }
    let ending = name.to_ascii_uppercase();
    let mut fitting: Vec<Listed> = runs.into_iter().filter(|run| run.run.as_str().ends_with(&ending)).collect();
    match (fitting.pop(), fitting.len()) {
        (Some(run), 0) => Ok(run),
        (Some(_), others) => Err(FindError::Ambiguous { name: name.to_owned(), count: others + 1 }),
        (None, _) => Err(FindError::None(name.to_owned())),
    }
}

/// Follows one run.
#[derive(Debug)]
pub struct RunReader {
    folder: RunFolder,
    tail: Tail<RunEvent>,
    state: RunState,
}

impl RunReader {
    /// Follows the run in that folder from its first event.
    #[must_use]
    pub fn new(folder: &RunFolder) -> Self {
        Self { folder: folder.clone(), tail: Tail::new(&folder.journal()), state: RunState::default() }
    }

    /// Folds what came since the last call, and gives those events.
    ///
    /// # Errors
    /// When the journal cannot be read or is damaged.
    pub fn poll(&mut self) -> Result<Vec<Stamped<RunEvent>>, JournalError> {
        let events = self.tail.poll()?;
        for event in &events {
            self.state.apply(event);
        }
        Ok(events)
    }

    /// The run as folded so far.
    #[must_use]
    pub fn state(&self) -> &RunState {
        &self.state
    }

    /// The run's folder.
    #[must_use]
    pub fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// How its engine is.
    ///
    /// # Errors
    /// When the lock's file cannot be looked at.
    pub fn engine(&self) -> Result<EngineLife, DiskError> {
        Ok(life(&self.state, engine_of(&self.folder)?.as_ref()))
    }
}

/// The engine of a run: whoever holds its lock.
///
/// # Errors
/// When the lock's file cannot be looked at.
pub fn engine_of(folder: &RunFolder) -> Result<Option<Holder>, DiskError> {
    holder_of(&folder.lock())
}

fn life(state: &RunState, holder: Option<&Holder>) -> EngineLife {
    match (holder, &state.engine) {
        (Some(_), _) => EngineLife::Alive,
        (None, EngineState::Parked { .. }) => EngineLife::Parked,
        (None, EngineState::Ended) => EngineLife::Ended,
        (None, EngineState::None | EngineState::Started(_)) => EngineLife::Dead,
    }
}

/// Whether a path is a run's folder.
#[must_use]
pub fn is_run(path: &Path) -> bool {
    path.join("journal").is_file()
}
