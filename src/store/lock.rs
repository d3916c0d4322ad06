//! Locks that say who holds them. Alive means: the lock is held (`docs/decisions.md` 1.3).

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::files::DiskError;
use super::process::{is_alive, this_process};
use crate::event::ProcessName;

/// Who holds a lock, as the holder wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Which process.
    pub process: ProcessName,
    /// On which host.
    pub host: String,
    /// What it is: `engine`, `keeper`, `driver`, `supervisor`, or a verb.
    pub role: String,
    /// Where it listens.
    #[serde(default)]
    pub socket: Option<PathBuf>,
}

/// A lock that was not to be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else has it.
    #[error("{path} is held by {}", describe(.holder.as_deref()))]
    Held {
        /// The lock's file.
        path: PathBuf,
        /// Who, if it could be read.
        holder: Option<Box<Holder>>,
    },
    /// The disk said no.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

fn describe(holder: Option<&Holder>) -> String {
    holder.map_or_else(
        || "another process".to_owned(),
        |holder| format!("{} with pid {} on {}", holder.role, holder.process.pid, holder.host),
    )
}

/// How often a taker looks before it believes that the lock is held: [`holder_of`] holds it shared for a moment.
const LOOKS: u32 = 3;

/// A lock that is held until this value is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Takes the lock, or says who has it.
    ///
    /// # Errors
    /// [`LockError::Held`] when it is taken; else what the disk said.
    pub fn try_take(path: &Path, holder: &Holder) -> Result<Self, LockError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(DiskError::of("open", path))?;
        for look in 0..LOOKS {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if look + 1 < LOOKS => std::thread::sleep(Duration::from_millis(2)),
                Err(TryLockError::WouldBlock) => {
                    return Err(LockError::Held { path: path.to_owned(), holder: living_holder(&file).map(Box::new) });
                }
                Err(TryLockError::Error(error)) => return Err(DiskError::of("lock", path)(error).into()),
            }
        }
        let lock = Self { file, path: path.to_owned() };
        lock.describe(holder)?;
        Ok(lock)
    }

    /// Takes the lock within `patience`, looking every few milliseconds.
    ///
    /// # Errors
    /// As [`Lock::try_take`].
    pub fn take_within(path: &Path, holder: &Holder, patience: Duration) -> Result<Self, LockError> {
        let end = Instant::now() + patience;
        loop {
            match Self::try_take(path, holder) {
                Err(LockError::Held { .. }) if Instant::now() < end => std::thread::sleep(Duration::from_millis(5)),
                answer => return answer,
            }
        }
    }

    /// Writes who holds it, for others to read.
    ///
    /// # Errors
    /// When the disk says no.
    pub fn describe(&self, holder: &Holder) -> Result<(), DiskError> {
        let text = serde_json::to_vec(holder).map_err(|error| DiskError::of("write", &self.path)(error.into()))?;
        let mut file = &self.file;
        file.set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| file.write_all(&text))
            .map_err(DiskError::of("write", &self.path))
    }
}

/// Who holds the lock at `path`; none when nobody does, or there is no such file. A holder that did not describe itself yet is
/// waited for, 100 ms at most.
///
/// # Errors
/// When the file is there and cannot be opened.
pub fn holder_of(path: &Path) -> Result<Option<Holder>, DiskError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(DiskError::of("open", path)(error)),
    };
    let end = Instant::now() + Duration::from_millis(100);
    loop {
        match file.try_lock_shared() {
            Ok(()) => return Ok(None),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(DiskError::of("lock", path)(error)),
        }
        if let Some(holder) = read_holder(&file) {
            return Ok(Some(holder));
        }
        if Instant::now() >= end {
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Who holds it, for people: what one that is gone left in the file is not the name of the one that has it now.
fn living_holder(file: &File) -> Option<Holder> {
    let boot = this_process().boot_id;
    read_holder(file).filter(|holder| holder.process.boot_id != boot || is_alive(&holder.process))
}

fn read_holder(mut file: &File) -> Option<Holder> {
    let mut text = Vec::new();
    file.seek(SeekFrom::Start(0)).ok()?;
    file.read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}
