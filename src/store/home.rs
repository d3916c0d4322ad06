//! In which pid namespace those who live on a STATE live: engines, keepers and supervisors (`docs/decisions.md` 14.2).
//!
//! A process in a namespace of its own sees nobody above it, and from inside it looks like a container that a person works in. What
//! tells them apart is who else is there: whoever lives for long holds `STATE/home` shared, and the file names the namespace.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::process::this_process;

/// How often a lock is tried that others hold for a moment, and the pause between.
const LOOKS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(2);

/// What the file holds: `{"format":1,"boot_id":"…","pid_namespace":4026531836}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Home {
    format: u32,
    boot_id: String,
    /// The inode of `/proc/self/ns/pid`; none where the kernel has no such thing.
    pid_namespace: Option<u64>,
}

/// That somebody lives on a STATE, for as long as this value is there.
#[derive(Debug)]
pub struct AtHome {
    _file: File,
}

/// Says that this process lives on the STATE. The first one says where that is; none when it cannot be said, which stops nothing.
#[must_use]
pub fn settle(state: &Path) -> Option<AtHome> {
    let path = file_of(state);
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path).ok()?;
    if tries(|| file.try_lock()) == Some(Held::Here) {
        // Nobody lives here: whatever stands in the file is from before.
        let text = serde_json::to_vec(&Home::here()).ok()?;
        let mut writer = &file;
        writer.set_len(0).and_then(|()| writer.seek(SeekFrom::Start(0))).and_then(|_| writer.write_all(&text)).ok()?;
    }
    (tries(|| file.try_lock_shared()) == Some(Held::Here)).then_some(AtHome { _file: file })
}

/// Whether those who live on the STATE live in another pid namespace of this machine.
pub(super) fn is_elsewhere(state: &Path) -> bool {
    let Ok(mut file) = File::open(file_of(state)) else { return false };
    let mut text = Vec::new();
    let home = file.read_to_end(&mut text).ok().and_then(|_| serde_json::from_slice::<Home>(&text).ok());
    let here = Home::here();
    let Some(home) = home.filter(|home| home.boot_id == here.boot_id && home.pid_namespace != here.pid_namespace) else { return false };
    // One that died left the file behind; its lock is free.
    home.format > 1 || tries(|| file.try_lock()) != Some(Held::Here)
}

fn file_of(state: &Path) -> PathBuf {
    state.join("home")
}

impl Home {
    fn here() -> Self {
        let pid_namespace = std::fs::metadata("/proc/self/ns/pid").ok().map(|found| found.ino());
        Self { format: 1, boot_id: this_process().boot_id, pid_namespace }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    Here,
    Elsewhere,
}

fn tries(lock: impl Fn() -> Result<(), TryLockError>) -> Option<Held> {
    for look in 0..LOOKS {
        match lock() {
            Ok(()) => return Some(Held::Here),
            Err(TryLockError::WouldBlock) if look + 1 < LOOKS => std::thread::sleep(PAUSE),
            Err(TryLockError::WouldBlock) => return Some(Held::Elsewhere),
            Err(TryLockError::Error(_)) => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_namespace_counts_while_somebody_lives_there() {
        let state = tempfile::tempdir().unwrap();
        assert!(!is_elsewhere(state.path()));
        let first = settle(state.path()).unwrap();
        let second = settle(state.path()).unwrap();
        assert!(!is_elsewhere(state.path()), "they live where this process does");
        let other = Home { pid_namespace: Some(1), ..Home::here() };
        std::fs::write(file_of(state.path()), serde_json::to_vec(&other).unwrap()).unwrap();
        assert!(is_elsewhere(state.path()));
        drop(first);
        assert!(is_elsewhere(state.path()), "the second still lives there");
        drop(second);
        assert!(!is_elsewhere(state.path()), "nobody lives there any more");
        let again = settle(state.path()).unwrap();
        assert_eq!(std::fs::read(file_of(state.path())).unwrap(), serde_json::to_vec(&Home::here()).unwrap());
        let another_machine = Home { boot_id: "another".to_owned(), ..other };
        std::fs::write(file_of(state.path()), serde_json::to_vec(&another_machine).unwrap()).unwrap();
        assert!(!is_elsewhere(state.path()), "a STATE that two machines share is not nested");
        drop(again);
    }
}
