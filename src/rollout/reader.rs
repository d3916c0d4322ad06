//! What views may know of rollouts: folds of their journals, by path. It writes nothing and asks no target.

use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};

pub use super::evidence::Kept;
use super::logbook::folder_of;
use super::ports::EvidenceRef;
use crate::event::{AppName, EnvironmentRecord, RolloutEvent, RolloutId, RolloutPhase, RolloutState, Stamped, VerdictClass, Watch};
use crate::store::{DiskError, Holder, JournalError, Tail, holder_of};

/// Follows one rollout.
#[derive(Debug)]
pub struct RolloutReader {
    folder: PathBuf,
    tail: Tail<RolloutEvent>,
    state: RolloutState,
}

impl RolloutReader {
    /// Follows a rollout from its first event; it need not be there yet.
    #[must_use]
    pub fn new(state: &Path, app: &AppName, rollout: &RolloutId) -> Self {
        Self::at(&folder_of(state, app, rollout))
    }

    /// Follows the rollout in `folder`.
    #[must_use]
    pub fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), tail: Tail::new(&folder.join("journal")), state: RolloutState::default() }
    }

    /// Folds what came since the last call, and gives it.
    ///
    /// # Errors
    /// When the journal cannot be read, is damaged, or a later program wrote it.
    pub fn poll(&mut self) -> Result<Vec<Stamped<RolloutEvent>>, JournalError> {
        let events = self.tail.poll()?;
        for event in &events {
            self.state.apply(event);
        }
        Ok(events)
    }

    /// The fold so far.
    #[must_use]
    pub fn state(&self) -> &RolloutState {
        &self.state
    }

    /// The rollout of this host that means to take its place, or did.
    #[must_use]
    pub fn successor(&self) -> Option<RolloutState> {
        replaced_by(&self.folder, &self.state.created.as_ref()?.rollout)
    }

    /// Who drives it now, on this host.
    #[must_use]
    pub fn holder(&self) -> Option<Holder> {
        holder(&self.folder)
    }
}

/// The fold of the rollout in `folder`; none when there is none.
///
/// # Errors
/// As [`RolloutReader::poll`].
pub fn read(folder: &Path) -> Result<Option<RolloutState>, JournalError> {
    let mut reader = RolloutReader::at(folder);
    reader.poll()?;
    Ok(reader.state.created.is_some().then_some(reader.state))
}

/// The evidence file that a rollout's last verdict rests on: the newest one, when it is of that class.
#[must_use]
pub fn evidence(folder: &Path, class: VerdictClass) -> Option<EvidenceRef> {
    super::evidence::newest(folder).filter(|newest| newest.verdict == class)
}

/// The evidence files of the rollout in `folder` that are here, each compared with the samples of its journal.
///
/// # Errors
/// When the journal cannot be read or is damaged: nothing was compared then.
pub fn kept_evidence(folder: &Path) -> Result<Vec<Kept>, JournalError> {
    let events = Tail::<RolloutEvent>::new(&folder.join("journal")).poll()?;
    let of = |stamped: Stamped<_>| if let RolloutEvent::Sampled { sample } = stamped.event { Some(sample) } else { None };
    let mut samples: Vec<_> = events.into_iter().filter_map(of).collect();
    samples.sort_by_key(|sample| sample.at);
    samples.dedup_by_key(|sample| sample.at);
    Ok(super::evidence::kept(folder, &samples))
}

/// The rollout of this host that took the place of the one in `folder`; none when none says so.
pub(crate) fn successor(folder: &Path, rollout: &RolloutId) -> Option<RolloutId> {
    replaced_by(folder, rollout)?.created.map(|created| created.rollout)
}

fn replaced_by(folder: &Path, rollout: &RolloutId) -> Option<RolloutState> {
    let beside = std::fs::read_dir(folder.parent()?).ok()?.flatten();
    // Ids are ULIDs: only a later one can have superseded it, and the first that did counts.
    let mut later: Vec<PathBuf> = beside.map(|entry| entry.path()).filter(|path| path.file_name() > folder.file_name()).collect();
    later.sort();
    let superseded = |state: &RolloutState| state.created.as_ref().is_some_and(|created| created.supersedes.as_ref() == Some(rollout));
    later.iter().find_map(|path| read(path).ok()?.filter(superseded))
}

/// Who drives the rollout in `folder`, on this host; none when nobody does. A lock that cannot be looked at counts as free.
#[must_use]
pub fn holder(folder: &Path) -> Option<Holder> {
    holder_of(&folder.join("lock")).ok().flatten()
}

/// The rollouts of an app that this STATE knows, oldest first.
///
/// # Errors
/// When the folder is there and cannot be read.
pub fn rollouts(state: &Path, app: &AppName) -> Result<Vec<RolloutId>, DiskError> {
    let folder = state.join("rollouts").join(app.as_str());
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(DiskError::of("read the folder", &folder)(error)),
    };
    let mut found: Vec<RolloutId> = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    // Ids are ULIDs: their order is that of their making.
    found.sort();
    Ok(found)
}

/// The rollback of an app that counts down on this host now.
///
/// # Errors
/// As [`rollouts`].
pub fn armed(state: &Path, app: &AppName) -> Result<Option<(RolloutId, RolloutState)>, DiskError> {
    for rollout in rollouts(state, app)?.into_iter().rev() {
        let folder = folder_of(state, app, &rollout);
        if let Ok(Some(found)) = read(&folder)
            && matches!(found.phase, RolloutPhase::Armed { .. })
            && found.ended.is_none()
            && holder(&folder).is_some()
        {
            return Ok(Some((rollout, found)));
        }
    }
    Ok(None)
}

/// Since when a canary has weight and nobody watches it; none while somebody does, or there is nothing to watch.
///
/// `record` is the target's, when it could be read: it knows of watchers on other hosts, and of rollouts that were superseded
/// while their driver was dead. `holder` is who holds the rollout's lock on this host.
#[must_use]
pub fn unwatched(
    state: &RolloutState,
    record: Option<&EnvironmentRecord>,
    holder: Option<&Holder>,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let created = state.created.as_ref()?;
    let rollout = &created.rollout;
    let whole = state.watched_production().filter(|watched| watched.holdback.is_none() && now < watched.until);
    if !state.has_weight() && whole.is_none() {
        return None;
    }
    let mut promise = None;
    if let Some(record) = record {
        let has_all = || record.slot.is_none() && record.current.as_ref().is_some_and(|current| current.digest == created.release.digest);
        let holds = || record.slot.as_ref().is_some_and(|slot| slot.rollout == *rollout);
        if record.superseded.contains(rollout) || !(if whole.is_some() { has_all() } else { holds() }) {
            return None;
        }
        promise = record.watch.as_ref().filter(|watch| watch.rollout == *rollout);
    }
    if holder.is_some() && !state.left {
        return None;
    }
    let fresh = |watch: &&Watch| {
        let ttl = i64::try_from(watch.ttl_seconds).ok().and_then(TimeDelta::try_seconds).unwrap_or(TimeDelta::MAX);
        watch.renewed_at.checked_add_signed(ttl).is_none_or(|end| end > now)
    };
    // The promise of the driver that died here is void however fresh it is; one from elsewhere is all that is known of it.
    if promise.filter(fresh).is_some_and(|watch| state.driver.as_ref() != Some(&watch.by)) {
        return None;
    }
    Some(promise.map_or_else(|| last_seen(state), |watch| watch.renewed_at.max(last_seen(state))))
}

fn last_seen(state: &RolloutState) -> DateTime<Utc> {
    let sampled = state.samples.last().map(|sample| sample.at);
    let times = [sampled, state.verdict_at, state.watch_started_at, state.created_at];
    times.into_iter().flatten().max().unwrap_or_default()
}
