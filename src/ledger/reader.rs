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

/// The heads of ledgers that were here before and that this one was begun after (`ledger.create`), as far as they are known.
#[must_use]
pub fn predecessors(entries: &[Entry]) -> Vec<&LedgerHead> {
    entries.iter().filter(|entry| entry.kind == "ledger.create").filter_map(|entry| entry.follows.as_ref()).collect()
}

/// Whether a head that is held elsewhere is of one of these ledgers, as it was last or earlier.
#[must_use]
pub fn follows(predecessors: &[&LedgerHead], held: &LedgerHead) -> bool {
    predecessors.iter().any(|known| known.id == held.id && (held.size < known.size || known.is_same(held)))
}

/// The ledger's head, with its owner as its pin names it; none when no ledger was begun.
///
/// # Errors
/// When the file is there and cannot be read.
pub fn head(places: &LedgerPlaces) -> Result<Option<LedgerHead>, DiskError> {
    let Some(head) = places.read_head()? else { return Ok(None) };
    let by = places.read_pin(&head.id)?.map(|pin| pin.owner());
    Ok(Some(LedgerHead { by, ..head.pin() }))
}
