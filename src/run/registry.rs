//! Giving a run its number and its folder: once for each commit that a watch sees, whoever watches.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::event::{RepositoryEvent, Revision, RunCreated, RunEvent, RunId, Stamped};
use crate::store::{DiskError, Durability, Holder, Journal, JournalError, Lock, LockError, make_private_folder, sync_folder, write_new};

use super::{RepositoryFolder, RunFolder};

/// How long the repository's lock is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// What a new run is made of. Number and id are given by [`register`].
#[derive(Debug)]
pub struct NewRun {
    /// The first event, with number 0: the number is filled in.
    pub created: RunCreated,
    /// The pipeline file as read from the commit.
    pub pipeline: Vec<u8>,
    /// The plan as JSON.
    pub plan: Vec<u8>,
    /// The ref that moved, when a watch starts the run: it gets one run for one (ref, revision).
    pub watched_ref: Option<String>,
}

/// A run that has its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// Its id.
    pub run: RunId,
    /// Its number.
    pub number: u64,
    /// Its folder.
    pub folder: RunFolder,
    /// Somebody else had started it for the same ref and revision.
    pub already: bool,
}

/// A run that got no number.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// The lock was not to be had in 10 s.
    #[error("the repository's runs are being changed")]
    Lock(#[from] LockError),
    /// A journal could not be read or written.
    #[error("the run could not be registered")]
    Journal(#[from] JournalError),
    /// The disk said no.
    #[error("the run's folder could not be made")]
    Disk(#[from] DiskError),
}

/// Gives a run its number, makes its folder, and writes its first event, all synced.
///
/// # Errors
/// When the lock is not to be had, or the disk says no; the number may then be lost, never given twice.
pub fn register(repository: &RepositoryFolder, mut new: NewRun, holder: &Holder, now: DateTime<Utc>) -> Result<Registered, RegisterError> {
    repository.make()?;
    let _lock = Lock::take_within(&repository.lock(), holder, PATIENCE)?;
    let mut opened = Journal::<RepositoryEvent>::open(&repository.journal())?;
    if opened.dropped_bytes > 0 {
        let dropped_bytes = opened.dropped_bytes;
        opened.journal.append(now, RepositoryEvent::JournalRepaired { dropped_bytes }, Durability::Written)?;
    }
    if let Some(found) = new.watched_ref.as_deref().and_then(|name| started_before(&opened.events, name, &new.created, repository)) {
        return Ok(found);
    }
    let number = opened.events.iter().filter_map(number_of).max().unwrap_or(0) + 1;
    new.created.number = number;
    let folder = repository.run(number, &new.created.run);
    make_private_folder(folder.path())?;
    // Their names are synced with the journal's, when that is made.
    write_new(&folder.pipeline(), &new.pipeline)?;
    write_new(&folder.plan(), &new.plan)?;
    let run = new.created.run.clone();
    let revision = new.created.revision.clone();
    Journal::open(&folder.journal())?.journal.append(now, RunEvent::RunCreated(Box::new(new.created)), Durability::Synced)?;
    sync_folder(folder.path().parent().unwrap_or(folder.path()))?;
    let event = RepositoryEvent::RunRegistered { run: run.clone(), number, revision, ref_name: new.watched_ref };
    opened.journal.append(now, event, Durability::Synced)?;
    Ok(Registered { run, number, folder, already: false })
}

fn started_before(
    events: &[Stamped<RepositoryEvent>],
    watched: &str,
    created: &RunCreated,
    repository: &RepositoryFolder,
) -> Option<Registered> {
    let (run, number, ..) = events
        .iter()
        .rev()
        .filter_map(|stamped| registration(&stamped.event))
        .find(|(.., revision, ref_name)| *ref_name == Some(watched) && *revision == &created.revision)?;
    Some(Registered { run: run.clone(), number, folder: repository.run(number, run), already: true })
}

fn number_of(stamped: &Stamped<RepositoryEvent>) -> Option<u64> {
    registration(&stamped.event).map(|(_, number, ..)| number)
}

fn registration(event: &RepositoryEvent) -> Option<(&RunId, u64, &Revision, Option<&str>)> {
    match event {
        RepositoryEvent::RunRegistered { run, number, revision, ref_name } => Some((run, *number, revision, ref_name.as_deref())),
        RepositoryEvent::RefSeen { .. }
        | RepositoryEvent::EnvironmentObserved { .. }
        | RepositoryEvent::EnvironmentStopped { .. }
        | RepositoryEvent::EnvironmentKept { .. }
        | RepositoryEvent::JournalRepaired { .. }
        | RepositoryEvent::Unknown => None,
    }
}
