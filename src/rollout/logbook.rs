//! A rollout's folder: its lock, its journal, its fold. The one place that appends to a rollout's journal.
//!
//! `STATE/rollouts/<app>/<rollout id>/{journal,lock,evidence-<n>.json}`

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::event::{AppName, Notice, RolloutEvent, RolloutId, RolloutState, Stamped};
use crate::store::{DiskError, Durability, Holder, Journal, JournalError, Lock, LockError, make_private_folder};

/// A rollout that cannot be driven from here.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// Another process drives it, or its lock cannot be had.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Its journal cannot be read or written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Its folder cannot be made.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The target does not answer.
    #[error("the target cannot be asked")]
    Target(#[from] crate::deploy::TargetError),
    /// There is no such rollout, or it was never begun.
    #[error("there is no rollout {0} here")]
    Unknown(RolloutId),
    /// A later program wrote events that this one does not understand.
    #[error("rollout {0} was written by a later hms; drive it with that one. A rollback works with this one: hms rollback")]
    LaterProgram(RolloutId),
}

/// Who is told of what people who do not look should know.
#[derive(Clone)]
pub struct Hear(Arc<dyn Fn(&Notice) + Send + Sync>);

impl Hear {
    /// Told by a call that must not block.
    #[must_use]
    pub fn by(told: impl Fn(&Notice) + Send + Sync + 'static) -> Self {
        Self(Arc::new(told))
    }

    /// Nobody.
    #[must_use]
    pub fn nobody() -> Self {
        Self::by(|_| ())
    }
}

impl std::fmt::Debug for Hear {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hear")
    }
}

/// Where a rollout lies below `state`.
#[must_use]
pub fn folder_of(state: &Path, app: &AppName, rollout: &RolloutId) -> PathBuf {
    state.join("rollouts").join(app.as_str()).join(rollout.as_str())
}

/// What happens when the journal cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Insistence {
    /// Nothing that follows from the event is done.
    Strict,
    /// It is kept in memory and tried again with the next one: a rollback stops for nothing (`docs/decisions.md` 6.6).
    Tolerant,
}

/// The journal, its fold, and what could not be written yet.
#[derive(Debug)]
pub(crate) struct Logbook {
    folder: PathBuf,
    lock: Option<Lock>,
    journal: Option<Journal<RolloutEvent>>,
    state: RolloutState,
    /// Short: it holds what one rollback says while the disk is full.
    waiting: Vec<(DateTime<Utc>, RolloutEvent)>,
    insistence: Insistence,
    trouble: Option<String>,
    /// Who is told of what is written.
    hear: Hear,
}

impl Logbook {
    /// Makes or opens a rollout's folder, takes its lock and reads its journal; gives the events that were in it.
    pub(crate) fn open(folder: &Path, holder: &Holder, now: DateTime<Utc>) -> Result<(Self, Vec<Stamped<RolloutEvent>>), DriveError> {
        make_private_folder(folder)?;
        let lock = Lock::try_take(&folder.join("lock"), holder)?;
        let opened = Journal::open(&folder.join("journal"))?;
        let mut book = Self {
            folder: folder.to_owned(),
            lock: Some(lock),
            journal: Some(opened.journal),
            state: RolloutState::fold(&opened.events),
            waiting: Vec::new(),
            insistence: Insistence::Strict,
            trouble: None,
            hear: Hear::nobody(),
        };
        if opened.dropped_bytes > 0 {
            book.append(now, RolloutEvent::JournalRepaired { dropped_bytes: opened.dropped_bytes })?;
        }
        Ok((book, opened.events))
    }

    /// As [`Logbook::open`], but on a disk that cannot be written it is kept in memory alone.
    pub(crate) fn open_or_keep(folder: &Path, holder: &Holder, now: DateTime<Utc>) -> Self {
        match Self::open(folder, holder, now) {
            Ok((book, _)) => Self { insistence: Insistence::Tolerant, ..book },
            Err(error) => Self {
                folder: folder.to_owned(),
                lock: None,
                journal: None,
                state: RolloutState::default(),
                waiting: Vec::new(),
                insistence: Insistence::Tolerant,
                trouble: Some(error.to_string()),
                hear: Hear::nobody(),
            },
        }
    }

    /// The book of what leaves no journal: a rehearsal is the ledger's and the record's to tell.
    pub(crate) fn in_memory() -> Self {
        Self {
            folder: PathBuf::new(),
            lock: None,
            journal: None,
            state: RolloutState::default(),
            waiting: Vec::new(),
            insistence: Insistence::Tolerant,
            trouble: None,
            hear: Hear::nobody(),
        }
    }

    /// Has these people told of what is written from here on. Not of what was there already: that was told when it was written.
    pub(crate) fn heard_by(&mut self, hear: Hear) {
        self.hear = hear;
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn state(&self) -> &RolloutState {
        &self.state
    }

    /// From here on nothing stops for the journal, or everything does again.
    pub(crate) fn insist(&mut self, insistence: Insistence) {
        self.insistence = insistence;
    }

    pub(crate) fn is_tolerant(&self) -> bool {
        self.insistence == Insistence::Tolerant
    }

    /// Whether events of a tolerant time wait for the disk.
    pub(crate) fn is_behind(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Tries to write what waits.
    pub(crate) fn catch_up(&mut self) {
        if self.is_behind() {
            self.trouble = self.write_waiting().err().map(|error| error.to_string());
        }
    }

    /// Why the journal is behind, if it is.
    pub(crate) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Tells readers of the lock where its holder listens. A lock that was not had has no readers.
    pub(crate) fn describe(&self, holder: &Holder) -> Result<(), DiskError> {
        self.lock.as_ref().map_or(Ok(()), |lock| lock.describe(holder))
    }

    /// Appends an event and folds it. Synced, but for samples and lines of progress.
    pub(crate) fn append(&mut self, now: DateTime<Utc>, event: RolloutEvent) -> Result<(), JournalError> {
        let wanted = (now, event.clone());
        self.waiting.push(wanted);
        let written = self.write_waiting();
        if let Err(error) = written {
            self.trouble = Some(error.to_string());
            if self.insistence == Insistence::Strict {
                // What waits from a tolerant time goes on waiting.
                self.waiting.pop();
                return Err(error);
            }
        } else {
            self.trouble = None;
        }
        if let Some(notice) = Notice::of_rollout(&self.state, &event, now) {
            (self.hear.0)(&notice);
        }
        self.state.apply(&Stamped { format: crate::event::FORMAT, seq: self.state.seq + 1, time: now, event });
        Ok(())
    }

    fn write_waiting(&mut self) -> Result<(), JournalError> {
        let path = self.folder.join("journal");
        if self.journal.is_none() {
            // A poisoned or never opened journal is opened again and read (3.4), but only under the lock.
            if self.lock.is_none() {
                return Err(JournalError::Poisoned { path });
            }
            self.journal = Some(Journal::open(&path)?.journal);
        }
        let Some(journal) = self.journal.as_mut() else { return Ok(()) };
        while let Some((time, event)) = self.waiting.first().cloned() {
            let durability = durability(&event);
            if let Err(error) = journal.append(time, event, durability) {
                if matches!(error, JournalError::Poisoned { .. }) {
                    self.journal = None;
                }
                return Err(error);
            }
            self.waiting.remove(0);
        }
        Ok(())
    }
}

fn durability(event: &RolloutEvent) -> Durability {
    match event {
        RolloutEvent::Sampled { .. } | RolloutEvent::SampleMissed { .. } | RolloutEvent::ProgressSeen { .. } => Durability::Written,
        RolloutEvent::RolloutCreated(_)
        | RolloutEvent::DriverStarted { .. }
        | RolloutEvent::JournalRepaired { .. }
        | RolloutEvent::SlotAwaited { .. }
        | RolloutEvent::SlotTaken { .. }
        | RolloutEvent::RollbackArmed { .. }
        | RolloutEvent::RollbackCancelled { .. }
        | RolloutEvent::StepBegan { .. }
        | RolloutEvent::ReleaseHealthy { .. }
        | RolloutEvent::WeightApplied { .. }
        | RolloutEvent::WatchStarted { .. }
        | RolloutEvent::ThresholdChosen { .. }
        | RolloutEvent::VerdictReached { .. }
        | RolloutEvent::VerdictVoided { .. }
        | RolloutEvent::HoldExpired { .. }
        | RolloutEvent::HoldOverridden { .. }
        | RolloutEvent::Steered { .. }
        | RolloutEvent::DriftFound { .. }
        | RolloutEvent::WatchLeft
        | RolloutEvent::Promoted
        | RolloutEvent::ProductionWatched { .. }
        | RolloutEvent::RolledBack { .. }
        | RolloutEvent::Superseded { .. }
        | RolloutEvent::StepFailed { .. }
        | RolloutEvent::Unrecorded { .. }
        | RolloutEvent::RolloutEnded { .. }
        | RolloutEvent::Unknown => Durability::Synced,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::this_process;

    #[test]
    fn what_a_tolerant_time_could_not_write_is_written_as_soon_as_it_can_be() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("rollout");
        let holder = Holder { process: this_process(), host: "here".to_owned(), role: "driver".to_owned(), socket: None };
        let now = DateTime::UNIX_EPOCH;
        let (mut book, _) = Logbook::open(&folder, &holder, now).unwrap();
        book.append(now, RolloutEvent::SlotTaken { previous: None }).unwrap();
        // A journal that failed is opened again, and a folder stands in its place.
        book.journal = None;
        let path = folder.join("journal");
        std::fs::rename(&path, folder.join("aside")).unwrap();
        std::fs::create_dir(&path).unwrap();
        book.insist(Insistence::Tolerant);
        assert!(book.append(now, RolloutEvent::WatchLeft).is_ok() && book.is_behind());
        book.insist(Insistence::Strict);
        assert!(book.append(now, RolloutEvent::WatchLeft).is_err());
        assert!(book.is_behind() && book.trouble().is_some());
        book.catch_up();
        assert!(book.is_behind());

        std::fs::remove_dir(&path).unwrap();
        std::fs::rename(folder.join("aside"), &path).unwrap();
        book.catch_up();
        assert!(!book.is_behind() && book.trouble().is_none());
        let events: Vec<RolloutEvent> = crate::store::read(&path).unwrap().into_iter().map(|stamped| stamped.event).collect();
        assert_eq!(events, [RolloutEvent::SlotTaken { previous: None }, RolloutEvent::WatchLeft]);
    }
}
