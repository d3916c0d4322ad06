//! The writer: one at a time, and never after something that does not fit.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};

use crate::event::{Actor, LedgerHead, LedgerId};
use crate::store::{DiskError, Holder, Lock, LockError, monotonic_ms, read_if_there, replace, sync_folder, this_process};

use super::entry::{Entry, Phase};
use super::files::{Head, LedgerPlaces, Pin};
use super::reader::{entries, follows, predecessors};
use super::tree::{Tree, hex, leaf_hash};

/// What is wrong with the ledger that was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The lines are not those that the head was written over.
    #[error("the entries are not what the head says: {why}")]
    Changed {
        /// What differs, with the line where it is known.
        why: String,
    },
    /// The pin outside the folder was written over more entries, or others.
    #[error("the pin {pin} was written over {size} entries that are not here: the ledger was cut, restored or replaced")]
    Pinned {
        /// The pin's file.
        pin: PathBuf,
        /// How many entries it was written over.
        size: u64,
    },
    /// A pin names this place, and no ledger is here.
    #[error("the pin {pin} says that a ledger of {size} entries was here, and it is gone")]
    Gone {
        /// The pin's file.
        pin: PathBuf,
        /// How many entries it had.
        size: u64,
    },
}

/// What a writer does about a [`Fault`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFault {
    /// No ledger, no deploy.
    Refuse,
    /// A rollback records the fork and goes on.
    Record,
}

/// A ledger that could not be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Somebody else writes, for too long.
    #[error("the ledger's lock cannot be had")]
    Lock(#[from] LockError),
    /// The disk said no.
    #[error("the ledger could not be read or written")]
    Disk(#[from] DiskError),
    /// It does not fit its head or its pins.
    #[error("{0}")]
    Fault(Fault),
    /// An entry cannot be written as canonical JSON.
    #[error("the entry cannot be written: {0}")]
    Entry(String),
}

/// How a head that is pinned elsewhere stands to this ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// It is this ledger's, now or earlier.
    Fits,
    /// It is another ledger's.
    Another,
    /// It is this ledger's id over entries that are not here: this one was cut, restored or forked.
    Forked,
}

/// The ledger, open for its one writer.
#[derive(Debug)]
pub struct Ledger {
    places: LedgerPlaces,
    id: LedgerId,
    tree: Tree,
    /// The root after each entry, for pins of earlier sizes.
    roots: Vec<String>,
    bytes: u64,
    said: Vec<String>,
    _lock: Lock,
}

impl Ledger {
    /// Takes the lock, checks lines, head and pin, takes in what was left unrecorded, and begins a ledger where there is none.
    ///
    /// # Errors
    /// When the lock is not to be had in `patience`, the disk says no, or (with [`OnFault::Refuse`]) the ledger has a fault.
    pub fn open(
        places: &LedgerPlaces,
        actor: &Actor,
        patience: Duration,
        on_fault: OnFault,
        now: DateTime<Utc>,
    ) -> Result<Self, LedgerError> {
        places.make()?;
        let holder =
            Holder { process: this_process(), host: actor.host.clone(), role: format!("ledger writer ({})", actor.via), socket: None };
        let lock = Lock::take_within(&places.lock(), &holder, patience)?;
        let mut ledger = Self {
            places: places.clone(),
            id: LedgerId::from_ulid(ulid::Ulid::generate()),
            tree: Tree::default(),
            roots: Vec::new(),
            bytes: 0,
            said: Vec::new(),
            _lock: lock,
        };
        let fault = ledger.load()?;
        let fault = match (fault, on_fault) {
            (Some(fault), OnFault::Refuse) => return Err(LedgerError::Fault(fault)),
            (Some(fault), OnFault::Record) => Some(fault),
            (None, _) => None,
        };
        if ledger.tree.size() == 0 {
            ledger.begin(actor, fault.as_ref().map(ToString::to_string), now)?;
        } else if let Some(fault) = fault {
            ledger.record_fork(actor, &fault, now)?;
        }
        ledger.take_in_unrecorded(now)?;
        Ok(ledger)
    }

    /// Begins a new ledger where one is gone. It follows what the old pin says, and what this STATE's targets hold.
    ///
    /// # Errors
    /// As [`Ledger::open`]; also when a ledger is there.
    pub fn begin_anew(
        places: &LedgerPlaces,
        actor: &Actor,
        reason: &str,
        at_targets: &[LedgerHead],
        now: DateTime<Utc>,
    ) -> Result<Self, LedgerError> {
        if places.read_head()?.is_some() {
            return Err(LedgerError::Entry("there is a ledger here already; `hms ledger verify` says how it stands".to_owned()));
        }
        let mut ledger = Self::open(places, actor, Duration::from_secs(10), OnFault::Record, now)?;
        let mut note = Entry::new("ledger.create", Phase::Note, actor.clone());
        note.reason = Some(reason.to_owned());
        ledger.append(note, now)?;
        for held in at_targets {
            let entries = entries(places)?;
            if follows(&predecessors(&entries), held) || held.id == ledger.id {
                continue;
            }
            let mut note = Entry::new("ledger.create", Phase::Note, actor.clone());
            note.follows = Some(held.clone());
            note.reason = Some(format!("a target's record names it: {reason}"));
            ledger.append(note, now)?;
        }
        Ok(ledger)
    }

    /// Appends an entry: synced, then the head, then the pin. Gives its `seq`.
    ///
    /// Head and pin lie ready beside the old ones before the entry is written, so that a full disk takes all three or none: an entry that
    /// was refused must not be there for the next writer to take in.
    ///
    /// # Errors
    /// When the disk says no; the ledger is then as it was.
    pub fn append(&mut self, mut entry: Entry, now: DateTime<Utc>) -> Result<u64, LedgerError> {
        entry.seq = self.tree.size();
        entry.time = now.to_rfc3339_opts(SecondsFormat::Millis, true);
        entry.boot_id = this_process().boot_id;
        entry.monotonic_ms = monotonic_ms();
        env!("CARGO_PKG_VERSION").clone_into(&mut entry.tool_version);
        entry.prev_root = hex(&self.tree.root());
        let line = serde_json_canonicalizer::to_vec(&entry).map_err(|error| LedgerError::Entry(error.to_string()))?;
        let next = self.places.prepare_head(&self.head_with(&line), &entry.actor.host)?;
        self.write(&line)?;
        if let Err(error) = next.head.take_place() {
            self.cut_back()?;
            return Err(error.into());
        }
        self.take(&line);
        // The entry is synced and headed: it stands. A pin that stays behind is of a prefix, and the next writer moves it.
        if let Err(error) = next.pin.take_place().and_then(|()| self.places.sync_names()) {
            self.said.push(format!("the pin stays behind: {error}"));
        }
        Ok(entry.seq)
    }

    /// The head: what a target's record pins.
    #[must_use]
    pub fn head(&self) -> LedgerHead {
        self.full_head().pin()
    }

    /// How a head that a target holds stands to this ledger.
    #[must_use]
    pub fn relation(&self, pinned: &LedgerHead) -> Relation {
        if pinned.id != self.id {
            return Relation::Another;
        }
        let index = usize::try_from(pinned.size).ok().and_then(|size| size.checked_sub(1));
        match index {
            None => Relation::Fits,
            Some(index) if self.roots.get(index) == Some(&pinned.root) => Relation::Fits,
            Some(_) => Relation::Forked,
        }
    }

    /// What was put right when the ledger was opened, in words.
    #[must_use]
    pub fn said(&self) -> &[String] {
        &self.said
    }

    fn full_head(&self) -> Head {
        Head { id: self.id.clone(), size: self.tree.size(), bytes: self.bytes, root: hex(&self.tree.root()) }
    }

    fn head_with(&self, line: &[u8]) -> Head {
        let mut tree = self.tree.clone();
        tree.push(leaf_hash(line));
        Head { id: self.id.clone(), size: tree.size(), bytes: self.bytes + length(line), root: hex(&tree.root()) }
    }

    fn take(&mut self, line: &[u8]) {
        self.tree.push(leaf_hash(line));
        self.roots.push(hex(&self.tree.root()));
        self.bytes += length(line);
    }

    /// Takes what was written past the last known entry off again.
    fn cut_back(&self) -> Result<(), DiskError> {
        let path = self.places.entries();
        let cut = |file: std::fs::File| file.set_len(self.bytes).and_then(|()| file.sync_data());
        OpenOptions::new().write(true).open(&path).and_then(cut).map_err(DiskError::of("cut", &path))
    }

    /// Reads what is there; tells what does not fit.
    fn load(&mut self) -> Result<Option<Fault>, LedgerError> {
        let bytes = read_if_there(&self.places.entries())?.unwrap_or_default();
        let Some(head) = self.places.read_head()? else { return self.load_without_head(&bytes) };
        self.id = head.id.clone();
        let headed = usize::try_from(head.bytes).unwrap_or(usize::MAX);
        let (inside, beyond) = bytes.split_at_checked(headed).unwrap_or((&bytes, &[]));
        for line in inside.split_inclusive(|byte| *byte == b'\n') {
            self.take(line.strip_suffix(b"\n").unwrap_or(line));
        }
        let mut fault = None;
        if (self.tree.size(), hex(&self.tree.root()), self.bytes) != (head.size, head.root.clone(), head.bytes) {
            let why = format!(
                "{} entries with root {} where {} with root {} belong",
                self.tree.size(),
                short(&self.tree),
                head.size,
                cut(&head.root)
            );
            fault = Some(Fault::Changed { why });
        }
        self.take_in(beyond, fault.is_none())?;
        Ok(fault.or(self.check_pin()?))
    }

    /// No head: nothing was ever written, or the first entry was and its head was not, or somebody took the head away.
    fn load_without_head(&mut self, bytes: &[u8]) -> Result<Option<Fault>, LedgerError> {
        if let Some((pin, found)) = self.places.pins()?.into_iter().next() {
            return Ok(Some(Fault::Gone { pin, size: found.head.size }));
        }
        let first = bytes.split(|byte| *byte == b'\n').next().and_then(|line| serde_json::from_slice::<Entry>(line).ok());
        match first.and_then(|entry| entry.ledger) {
            Some(id) => self.id = id,
            None if bytes.contains(&b'\n') => {
                return Ok(Some(Fault::Changed { why: "the first line is no ledger's beginning".to_owned() }));
            }
            None => {}
        }
        self.take_in(bytes, true)?;
        Ok(None)
    }

    /// Lines past the head: those that parse and go on were synced and not yet headed; the rest is a torn tail.
    fn take_in(&mut self, beyond: &[u8], sound: bool) -> Result<(), LedgerError> {
        let before = self.tree.size();
        let mut rest = beyond;
        while sound && let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, after) = rest.split_at(end);
            let fits = serde_json::from_slice::<Entry>(line)
                .is_ok_and(|entry| entry.seq == self.tree.size() && entry.prev_root == hex(&self.tree.root()));
            if !fits {
                break;
            }
            self.take(line);
            rest = after.get(1..).unwrap_or_default();
        }
        if self.tree.size() > before {
            self.said.push(format!("{} entries were written and not yet headed; they are taken in", self.tree.size() - before));
        }
        if !rest.is_empty() && sound {
            let path = self.places.entries();
            OpenOptions::new().write(true).open(&path).and_then(|file| file.set_len(self.bytes)).map_err(DiskError::of("cut", &path))?;
            self.said.push(format!("a torn tail of {} bytes was cut off", rest.len()));
        }
        Ok(())
    }

    fn check_pin(&self) -> Result<Option<Fault>, LedgerError> {
        let Some(pin) = self.places.read_pin(&self.id)? else { return Ok(None) };
        Ok(match self.relation(&pin.head) {
            Relation::Fits => None,
            Relation::Another | Relation::Forked => Some(Fault::Pinned { pin: self.places.pin(&self.id), size: pin.head.size }),
        })
    }

    fn begin(&mut self, actor: &Actor, reason: Option<String>, now: DateTime<Utc>) -> Result<(), LedgerError> {
        let path = self.places.entries();
        if path.metadata().is_ok_and(|found| found.len() > 0) {
            let aside = path.with_extension(format!("beyond-{}", now.timestamp_millis()));
            std::fs::rename(&path, &aside).map_err(DiskError::of("put aside", &path))?;
        }
        let mut entry = Entry::new("ledger.create", Phase::Note, actor.clone());
        entry.ledger = Some(self.id.clone());
        // The newest ledger's pin is the last by name; pins of those before it, and kept ones, are entered beside it.
        let mut pins = self.places.pins()?;
        entry.follows = pins.pop().map(|(_, pin)| pin.head);
        entry.reason = reason;
        self.append(entry, now)?;
        for (path, pin) in pins {
            let mut entry = Entry::new("ledger.create", Phase::Note, actor.clone());
            entry.follows = Some(pin.head);
            entry.reason = Some(format!("the pin {} names it", path.display()));
            self.append(entry, now)?;
        }
        Ok(())
    }

    fn record_fork(&mut self, actor: &Actor, fault: &Fault, now: DateTime<Utc>) -> Result<(), LedgerError> {
        if let Some(pin) = self.places.read_pin(&self.id)? {
            self.keep_if_unfit(&pin)?;
        }
        // What is there is what is gone on from; the bytes past it are kept aside, never cut.
        let path = self.places.entries();
        let there = read_if_there(&path)?.unwrap_or_default();
        let known = usize::try_from(self.bytes).unwrap_or(usize::MAX).min(there.len());
        if there.len() > known {
            replace(&path.with_extension(format!("beyond-{}", now.timestamp_millis())), there.get(known..).unwrap_or_default())?;
            OpenOptions::new().write(true).open(&path).and_then(|file| file.set_len(self.bytes)).map_err(DiskError::of("cut", &path))?;
        } else if there.last().is_some_and(|byte| *byte != b'\n') {
            let mut file = OpenOptions::new().append(true).open(&path).map_err(DiskError::of("open", &path))?;
            file.write_all(b"\n").map_err(DiskError::of("write", &path))?;
        }
        let mut entry = Entry::new("fork", Phase::Note, actor.clone());
        entry.reason = Some(fault.to_string());
        self.append(entry, now)?;
        Ok(())
    }

    fn keep_if_unfit(&self, pin: &Pin) -> Result<(), LedgerError> {
        if self.relation(&pin.head) != Relation::Fits {
            self.places.keep_pin(pin)?;
        }
        Ok(())
    }

    fn take_in_unrecorded(&mut self, now: DateTime<Utc>) -> Result<(), LedgerError> {
        let folder = self.places.unrecorded();
        let Ok(files) = std::fs::read_dir(&folder) else { return Ok(()) };
        let mut paths: Vec<PathBuf> = files.filter_map(|file| Some(file.ok()?.path())).collect();
        paths.sort();
        for path in paths {
            let Some(entry) = read_if_there(&path)?.and_then(|bytes| serde_json::from_slice::<Entry>(&bytes).ok()) else { continue };
            let mut entry = entry;
            let when = std::mem::take(&mut entry.time);
            entry.reason = Some(format!("{} (UNRECORDED since {when})", entry.reason.unwrap_or_default()).trim().to_owned());
            self.append(entry, now)?;
            std::fs::remove_file(&path).map_err(DiskError::of("remove", &path))?;
            self.said.push("an action that was UNRECORDED is in the ledger now".to_owned());
        }
        Ok(())
    }

    fn write(&mut self, line: &[u8]) -> Result<(), LedgerError> {
        let path = self.places.entries();
        let fresh = !path.exists();
        let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path).map_err(DiskError::of("open", &path))?;
        let mut bytes = line.to_vec();
        bytes.push(b'\n');
        let written = file.write_all(&bytes).and_then(|()| file.sync_data());
        if let Err(error) = written {
            let _ = file.set_len(self.bytes).and_then(|()| file.sync_data());
            return Err(DiskError::of("write", &path)(error).into());
        }
        if fresh {
            sync_folder(path.parent().unwrap_or(&path))?;
        }
        Ok(())
    }
}

/// Keeps an entry that could not be appended, for the next writer.
///
/// # Errors
/// When the disk says no to that as well.
pub fn keep_unrecorded(places: &LedgerPlaces, mut entry: Entry, now: DateTime<Utc>) -> Result<(), LedgerError> {
    places.make()?;
    entry.time = now.to_rfc3339_opts(SecondsFormat::Millis, true);
    let bytes = serde_json_canonicalizer::to_vec(&entry).map_err(|error| LedgerError::Entry(error.to_string()))?;
    replace(&places.unrecorded().join(format!("{}.json", entry.id)), &bytes)?;
    Ok(())
}

/// How many bytes a line takes in the file.
fn length(line: &[u8]) -> u64 {
    u64::try_from(line.len()).unwrap_or(0) + 1
}

fn short(tree: &Tree) -> String {
    cut(&hex(&tree.root())).to_owned()
}

fn cut(root: &str) -> &str {
    root.get(..12).unwrap_or(root)
}
