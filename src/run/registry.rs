//! Giving a run its number and its folder: once for each commit that a watch sees, whoever watches.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::event::{RepositoryEvent, Revision, RunCreated, RunEvent, RunId, Stamped};
use crate::store::{
    DiskError, Durability, Holder, Journal, JournalError, Lock, LockError, make_private_folder, read, sync_folder, write_new,
};

use super::{RepositoryFolder, RunFolder};

/// How long the repository's lock is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// What a new run is made of.
#[derive(Debug)]
pub struct NewRun {
    /// The first event, with the number that it was planned with: [`next_number`].
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
    /// Another run took the number that this one was planned with.
    #[error("other runs of this repository begin at this moment: run {0} is another one")]
    Overtaken(u64),
    /// A journal could not be read or written.
    #[error("the run could not be registered")]
    Journal(#[from] JournalError),
    /// The disk said no.
    #[error("the run's folder could not be made")]
    Disk(#[from] DiskError),
}

/// The number that the next run gets, unless another comes before it.
///
/// # Errors
/// When the repository's journal is damaged or of a later program.
pub fn next_number(repository: &RepositoryFolder) -> Result<u64, JournalError> {
    if !repository.journal().exists() {
        return Ok(1);
    }
    Ok(number_after(&read(&repository.journal())?))
}

/// Gives a run its number, makes its folder, and writes its first event, all synced.
///
/// # Errors
/// When another run has its number, the lock is not to be had, or the disk says no; the number may then be lost, never given twice.
pub fn register(repository: &RepositoryFolder, new: NewRun, holder: &Holder, now: DateTime<Utc>) -> Result<Registered, RegisterError> {
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
    let number = number_after(&opened.events);
    // Its rules may have asked for the number.
    if new.created.number != number {
        return Err(RegisterError::Overtaken(new.created.number));
    }
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

fn number_after(events: &[Stamped<RepositoryEvent>]) -> u64 {
    events.iter().filter_map(number_of).max().unwrap_or(0) + 1
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
