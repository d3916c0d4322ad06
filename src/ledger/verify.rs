//! The verifier. It shares hashing with the writer and nothing else: it reads the lines anew and believes none of them.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::event::LedgerHead;
use crate::store::{DiskError, read_if_there};

use super::entry::Entry;
use super::files::{LedgerPlaces, Pin};
use super::reader::{follows, predecessors};
use super::tree::{Hash, hex, leaf_hash, root_of};

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// The first line that it concerns, from 1, where that can be told.
    pub line: Option<u64>,
    /// What is wrong.
    pub what: String,
}

/// What a verification says.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Verification {
    /// How many entries are here.
    pub size: u64,
    /// Their root.
    pub root: String,
    /// The ledger's id, as its head has it.
    pub id: Option<String>,
    /// What is not as it was written; none when all is.
    pub findings: Vec<Finding>,
    /// What was compared, and what could not be.
    pub notes: Vec<String>,
}

/// Recomputes the tree from the lines, and compares it with the head, with every pin of this STATE, and with the heads that
/// this STATE's own targets hold (each with the target's name): they name this ledger, or one that it was begun after.
///
/// # Errors
/// When a file is there and cannot be read at all.
pub fn verify(places: &LedgerPlaces, targets: &[(String, LedgerHead)]) -> Result<Verification, DiskError> {
    let bytes = read_if_there(&places.entries())?;
    let head = places.read_head();
    let mut findings = Vec::new();
    let mut notes = Vec::new();
    let all = bytes.clone().unwrap_or_default();
    let lines: Vec<&[u8]> = all.split_inclusive(|byte| *byte == b'\n').collect();
    let leaves = check_lines(&lines, &mut findings);
    let mut id = None;
    match head {
        Err(error) => findings.push(Finding { line: None, what: format!("the head cannot be read: {error}") }),
        Ok(None) if lines.is_empty() => notes.push("no ledger was begun here".to_owned()),
        Ok(None) => findings.push(Finding { line: None, what: "the head is gone".to_owned() }),
        Ok(Some(head)) => {
            id = Some(head.id.to_string());
            let first = lines.first().and_then(|line| serde_json::from_slice::<Entry>(line).ok());
            if first.is_none_or(|entry| entry.ledger.as_ref() != Some(&head.id)) {
                findings.push(Finding { line: Some(1), what: "the first entry does not begin the ledger that the head names".to_owned() });
            }
            compare("the head", &head.pin(), &leaves, &mut findings);
            let headed = usize::try_from(head.size).unwrap_or(usize::MAX);
            let length: usize = lines.iter().take(headed).map(|line| line.len()).sum();
            if u64::try_from(length).ok() != Some(head.bytes) {
                findings.push(Finding {
                    line: None,
                    what: format!("the head was written over {} bytes, and its entries have {length}", head.bytes),
                });
            }
            if leaves.len() > headed {
                findings.push(Finding {
                    line: Some(head.size + 1),
                    what: "there are entries past the head; the next writer takes them in, or they were put there".to_owned(),
                });
            }
        }
    }
    let entries: Vec<Entry> = lines.iter().filter_map(|line| serde_json::from_slice(line).ok()).collect();
    let before = predecessors(&entries);
    if let Some(what) = bad_frame("the head", &places.head()) {
        findings.push(what);
    }
    let here = Here { places, id: id.as_deref(), entries: &entries, before: &before, leaves: &leaves };
    let pinned_uid = here.compare_pins(&mut findings, &mut notes);
    for (target, pinned) in targets {
        if Some(pinned.id.as_str()) == id.as_deref() {
            compare(&format!("the record at {target}"), pinned, &leaves, &mut findings);
            if let Some(by) = &pinned.by
                && (!places.is_state(&by.state) || Some(by.uid) != pinned_uid || !here.wrote_last(&by.host, pinned.size))
            {
                findings.push(Finding { line: None, what: format!("the record at {target} names another owner than the pin does") });
            }
            notes.push(format!("compared with the record at {target}: {} entries", pinned.size));
        } else if follows(&before, pinned) {
            notes.push(format!(
                "the record at {target} names the ledger {} ({} entries), which this one goes on from; that part is not here",
                pinned.id, pinned.size
            ));
        } else {
            let what = format!(
                "the record at {target} was written over {} entries of the ledger {}, which is not here and which this one does not go on from",
                pinned.size, pinned.id
            );
            findings.push(Finding { line: None, what });
        }
    }
    let waiting = std::fs::read_dir(places.unrecorded()).map_or(0, Iterator::count);
    if waiting > 0 {
        let what = if waiting == 1 { "1 action is".to_owned() } else { format!("{waiting} actions are") };
        notes.push(format!("{what} UNRECORDED: the next entry takes them in"));
    }
    notes.push(
        "whoever can write this user's files can write the ledger, its head, its pin and a local target's record alike; only a copy in other hands finds a forgery made of all of them".to_owned(),
    );
    Ok(Verification { size: u64::try_from(leaves.len()).unwrap_or(u64::MAX), root: hex(&root_of(&leaves)), id, findings, notes })
}

/// Every line is canonical JSON of an entry in its place, over the root before it.
fn check_lines(lines: &[&[u8]], findings: &mut Vec<Finding>) -> Vec<Hash> {
    let mut leaves: Vec<Hash> = Vec::new();
    let mut tree = super::tree::Tree::default();
    for (index, line) in lines.iter().enumerate() {
        let number = u64::try_from(index).unwrap_or(u64::MAX);
        let text = line.strip_suffix(b"\n");
        let mut bad = |what: String| findings.push(Finding { line: Some(number + 1), what });
        let body = text.unwrap_or(line);
        if text.is_none() {
            bad("the last line is torn".to_owned());
        }
        match serde_json::from_slice::<Entry>(body) {
            Err(error) => bad(format!("this is no entry: {error}")),
            Ok(entry) => {
                if entry.seq != number {
                    bad(format!("entry {} stands where entry {number} belongs", entry.seq));
                }
                if entry.prev_root != hex(&tree.root()) {
                    bad("the entries before it are not those it was written after".to_owned());
                }
                if !is_canonical(body) {
                    bad("it is not in canonical form".to_owned());
                }
            }
        }
        if text.is_some() {
            tree.push(leaf_hash(body));
            leaves.push(leaf_hash(body));
        }
    }
    leaves
}

/// By its value, not by this program's idea of an entry: a later hms may have written fields that this one does not know.
fn is_canonical(body: &[u8]) -> bool {
    let value: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    value.and_then(|value| serde_json_canonicalizer::to_vec(&value).ok()).as_deref() == Some(body)
}

fn compare(what: &str, pinned: &LedgerHead, leaves: &[Hash], findings: &mut Vec<Finding>) {
    let size = usize::try_from(pinned.size).unwrap_or(usize::MAX);
    match leaves.get(..size) {
        None => findings.push(Finding {
            line: None,
            what: format!("{what} was written over {} entries, and {} are here: the ledger was cut", pinned.size, leaves.len()),
        }),
        Some(prefix) if hex(&root_of(prefix)) == pinned.root => {}
        Some(_) => findings
            .push(Finding { line: None, what: format!("{what} was written over other entries than the first {} here", pinned.size) }),
    }
}

/// What is here, for what lies elsewhere to be compared with.
struct Here<'a> {
    places: &'a LedgerPlaces,
    id: Option<&'a str>,
    entries: &'a [Entry],
    /// The ledgers that this one goes on from.
    before: &'a [&'a LedgerHead],
    leaves: &'a [Hash],
}

impl Here<'_> {
    /// Compares every pin of this STATE; gives the user that this ledger's pin names.
    fn compare_pins(&self, findings: &mut Vec<Finding>, notes: &mut Vec<String>) -> Option<u32> {
        let mut bad = |what: String| findings.push(Finding { line: None, what });
        let mut own = None;
        for path in self.places.pin_files() {
            let shown = path.display();
            let pin = match read_if_there(&path).map(|bytes| bytes.map(|bytes| serde_json::from_slice::<Pin>(&bytes))) {
                Ok(Some(Ok(pin))) => pin,
                Ok(Some(Err(error))) => {
                    bad(format!("the pin {shown} cannot be understood: {error}"));
                    continue;
                }
                Ok(None) => continue,
                Err(error) => {
                    bad(format!("the pin {shown} cannot be read: {error}"));
                    continue;
                }
            };
            if !self.places.is_state(&pin.state) {
                continue;
            }
            if std::fs::metadata(&path).is_ok_and(|file| file.uid() != pin.uid) {
                bad(format!("the pin {shown} names another user than the one whose file it is"));
            }
            if let Some(finding) = bad_frame("the pin", &path) {
                bad(finding.what);
            }
            if self.before.iter().any(|known| pin.head.is_same(known)) {
                notes.push(format!("this ledger goes on from {} ({} entries), which is not here", pin.head.id, pin.head.size));
            } else if Some(pin.head.id.as_str()) == self.id {
                let mut found = Vec::new();
                compare(&format!("the pin {shown}"), &pin.head, self.leaves, &mut found);
                if found.is_empty() && !self.wrote_last(&pin.host, pin.head.size) {
                    bad(format!("the pin {shown} names another host than its last entry"));
                }
                for finding in found {
                    bad(finding.what);
                }
                notes.push(format!("compared with the pin {shown}: {} entries", pin.head.size));
                own = Some(pin.uid);
            } else {
                bad(format!("the pin {shown} names a ledger of {} entries that is not here", pin.head.size));
            }
        }
        if own.is_none() && !self.leaves.is_empty() {
            bad(format!("no pin for {} is left outside it", self.places.state().display()));
        }
        own
    }

    /// Whether the last of so many entries was written on that host.
    fn wrote_last(&self, host: &str, size: u64) -> bool {
        let last = size.checked_sub(1).and_then(|last| self.entries.iter().find(|entry| entry.seq == last));
        last.is_none_or(|entry| entry.actor.host == host)
    }
}

/// Head and pins are one line each: what stands around it was not written by a writer.
fn bad_frame(what: &str, path: &Path) -> Option<Finding> {
    let bytes = read_if_there(path).ok().flatten()?;
    let body = bytes.strip_suffix(b"\n").filter(|body| body.starts_with(b"{") && body.ends_with(b"}") && !body.contains(&b'\n'));
    body.is_none().then(|| Finding { line: None, what: format!("{what} {} is not one line as it was written", path.display()) })
}
