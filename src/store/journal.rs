//! Journals: one writer, any number of readers, whole lines only (`docs/decisions.md` 3).

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::marker::PhantomData;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::files::{DiskError, sync_folder};
use crate::event::{FORMAT, Stamped};

/// A journal that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk said no.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A line that is not the last cannot be read, or a number is missing.
    #[error("{path}:{line}: the journal is damaged: {why}")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: u64,
        /// What is wrong with it.
        why: String,
    },
    /// A later program wrote it.
    #[error("{path} has format {format}, and this program reads up to {FORMAT}; use the hms that wrote it")]
    TooNew {
        /// Which file.
        path: PathBuf,
        /// Its format.
        format: u32,
    },
    /// An earlier write failed, so what is on disk is not known.
    #[error("{path} could not be written before; it must be opened again")]
    Poisoned {
        /// Which file.
        path: PathBuf,
    },
}

/// When an appended event must have reached the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// It survives the death of this process.
    Written,
    /// It survives a power cut before `append` returns.
    Synced,
}

/// A journal open for its one writer. The caller holds the lock beside it.
#[derive(Debug)]
pub struct Journal<E> {
    path: PathBuf,
    file: File,
    end: u64,
    next: u64,
    poisoned: bool,
    events: PhantomData<fn(E)>,
}

/// A journal just opened: the writer, and what was in it.
#[derive(Debug)]
pub struct Opened<E> {
    /// The writer.
    pub journal: Journal<E>,
    /// The events that were in it.
    pub events: Vec<Stamped<E>>,
    /// The length of a torn last line that was cut off; the writer records it.
    pub dropped_bytes: u64,
}

impl<E: Serialize + DeserializeOwned> Journal<E> {
    /// Opens a journal to write, making it if it is not there; a torn last line is cut off.
    ///
    /// # Errors
    /// When the disk says no, the journal is damaged, or a later program wrote it.
    pub fn open(path: &Path) -> Result<Opened<E>, JournalError> {
        let fresh = !path.exists();
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(DiskError::of("open", path))?;
        if fresh {
            sync_folder(path.parent().unwrap_or(Path::new(".")))?;
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(DiskError::of("read", path))?;
        let mut lines = Lines::new(path);
        let events = lines.take(&bytes)?;
        let dropped_bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX) - lines.offset;
        if dropped_bytes > 0 {
            file.set_len(lines.offset).map_err(DiskError::of("cut", path))?;
        }
        let journal = Self { path: path.to_owned(), file, end: lines.offset, next: lines.next, poisoned: false, events: PhantomData };
        Ok(Opened { journal, events, dropped_bytes })
    }

    /// Appends one event.
    ///
    /// # Errors
    /// When the disk says no. A line that was written in part is cut off again; after a failed sync the journal is poisoned.
    pub fn append(&mut self, time: DateTime<Utc>, event: E, durability: Durability) -> Result<Stamped<E>, JournalError> {
        if self.poisoned {
            return Err(JournalError::Poisoned { path: self.path.clone() });
        }
        let stamped = Stamped { format: FORMAT, seq: self.next, time, event };
        let mut line = serde_json::to_vec(&stamped).map_err(|error| DiskError::of("write", &self.path)(error.into()))?;
        line.push(b'\n');
        if let Err(error) = self.write(&line) {
            self.poisoned = self.file.set_len(self.end).is_err();
            return Err(DiskError::of("write", &self.path)(error).into());
        }
        self.end += u64::try_from(line.len()).unwrap_or(0);
        self.next += 1;
        if durability == Durability::Synced {
            self.sync()?;
        }
        Ok(stamped)
    }

    /// Waits until everything appended so far has reached the disk.
    ///
    /// # Errors
    /// When it cannot be; the journal is poisoned then, for the system may have dropped the data.
    pub fn sync(&mut self) -> Result<(), JournalError> {
        self.file.sync_data().map_err(|error| {
            self.poisoned = true;
            DiskError::of("sync", &self.path)(error).into()
        })
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.end))?;
        self.file.write_all(line)
    }
}

/// Reads a whole journal without writing to it; a torn last line is left out.
///
/// # Errors
/// When it is not there, cannot be read, is damaged, or a later program wrote it.
pub fn read<E: DeserializeOwned>(path: &Path) -> Result<Vec<Stamped<E>>, JournalError> {
    let bytes = std::fs::read(path).map_err(DiskError::of("read", path))?;
    Lines::new(path).take(&bytes)
}

/// Follows a journal that somebody else writes.
#[derive(Debug)]
pub struct Tail<E> {
    lines: Lines,
    file: Option<File>,
    events: PhantomData<fn() -> E>,
}

impl<E: DeserializeOwned> Tail<E> {
    /// Follows the journal at `path` from its first line; it need not be there yet.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { lines: Lines::new(path), file: None, events: PhantomData }
    }

    /// The events that came since the last call.
    ///
    /// # Errors
    /// As [`read`], but a journal that is not there yet has no events.
    pub fn poll(&mut self) -> Result<Vec<Stamped<E>>, JournalError> {
        let path = self.lines.path.clone();
        if self.file.is_none() {
            match File::open(&path) {
                Ok(file) => self.file = Some(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                Err(error) => return Err(DiskError::of("open", &path)(error).into()),
            }
        }
        let Some(file) = self.file.as_mut() else { return Ok(Vec::new()) };
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(self.lines.offset)).map_err(DiskError::of("read", &path))?;
        file.read_to_end(&mut bytes).map_err(DiskError::of("read", &path))?;
        self.lines.take(&bytes)
    }
}

/// Where a reader stands: after which byte, before which number.
#[derive(Debug)]
struct Lines {
    path: PathBuf,
    offset: u64,
    next: u64,
}

impl Lines {
    fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), offset: 0, next: 1 }
    }

    /// Reads the whole lines of `bytes`, which begin at `offset`, and moves past them.
    fn take<E: DeserializeOwned>(&mut self, bytes: &[u8]) -> Result<Vec<Stamped<E>>, JournalError> {
        let mut events = Vec::new();
        let mut rest = bytes;
        while let Some(length) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, after) = rest.split_at(length + 1);
            let stamped = match self.read_line(line) {
                Ok(stamped) => stamped,
                Err(JournalError::Damaged { .. }) if after.is_empty() && !is_json(line) => break,
                Err(error) => return Err(error),
            };
            events.push(stamped);
            self.offset += u64::try_from(line.len()).unwrap_or(0);
            self.next += 1;
            rest = after;
        }
        Ok(events)
    }

    fn read_line<E: DeserializeOwned>(&self, line: &[u8]) -> Result<Stamped<E>, JournalError> {
        let damaged = |why: String| JournalError::Damaged { path: self.path.clone(), line: self.next, why };
        let head: Head = serde_json::from_slice(line).map_err(|error| damaged(error.to_string()))?;
        if head.format > FORMAT {
            return Err(JournalError::TooNew { path: self.path.clone(), format: head.format });
        }
        if head.seq != self.next {
            return Err(damaged(format!("event {} stands where event {} belongs", head.seq, self.next)));
        }
        serde_json::from_slice(line).map_err(|error| damaged(error.to_string()))
    }
}

/// The part of a line that every format has.
#[derive(serde::Deserialize)]
struct Head {
    format: u32,
    seq: u64,
}

fn is_json(line: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok()
}
