//! Reading the ledger without writing to it.

use crate::event::LedgerHead;
use crate::store::{DiskError, read_if_there};

use super::entry::{Entry, Phase};
use super::files::LedgerPlaces;

/// Every entry that can be read, oldest first. Whether they are what was written is [`verify`](super::verify())'s to say.
///
/// # Errors
/// When the file is there and cannot be read.
pub fn entries(places: &LedgerPlaces) -> Result<Vec<Entry>, DiskError> {
    let bytes = read_if_there(&places.entries())?.unwrap_or_default();
    Ok(bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect())
}

/// Intents without an outcome: whoever wrote them was stopped in between.
#[must_use]
pub fn unresolved(entries: &[Entry]) -> Vec<&Entry> {
    let resolved: std::collections::HashSet<u64> = entries.iter().filter_map(|entry| entry.intent_seq).collect();
    entries.iter().filter(|entry| entry.phase == Phase::Intent && !resolved.contains(&entry.seq)).collect()
}

/// The ledger's head; none when no ledger was begun.
///
/// # Errors
/// When the file is there and cannot be read.
pub fn head(places: &LedgerPlaces) -> Result<Option<LedgerHead>, DiskError> {
    Ok(places.read_head()?.map(|head| head.pin()))
}
