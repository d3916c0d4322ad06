//! Waiting for files to change, without looking again and again (`inotify(7)`).

use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{CreateFlags, Reader, WatchFlags, add_watch, init, remove_watch};

use super::files::DiskError;
use super::process::pidfd;
use crate::event::ProcessName;

/// Tells when something in the watched folders was written, made or renamed.
#[derive(Debug)]
pub struct Changes {
    inotify: OwnedFd,
    folders: Mutex<HashMap<PathBuf, i32>>,
}

impl Changes {
    /// Watches nothing yet.
    ///
    /// # Errors
    /// When the system has no more watches to give.
    pub fn new() -> Result<Self, DiskError> {
        let inotify =
            init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(|error| DiskError::of("watch", Path::new("files"))(error.into()))?;
        Ok(Self { inotify, folders: Mutex::new(HashMap::new()) })
    }

    /// Watches the files of a folder as well; twice is once.
    ///
    /// # Errors
    /// When the folder is not there, or the system has no more watches to give.
    pub fn watch(&self, folder: &Path) -> Result<(), DiskError> {
        let flags = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::DELETE | WatchFlags::CLOSE_WRITE;
        let watch = add_watch(&self.inotify, folder, flags).map_err(|error| DiskError::of("watch", folder)(error.into()))?;
        self.folders.lock().unwrap_or_else(PoisonError::into_inner).insert(folder.to_owned(), watch);
        Ok(())
    }

    /// Does not watch that folder any more.
    pub fn forget(&self, folder: &Path) {
        if let Some(watch) = self.folders.lock().unwrap_or_else(PoisonError::into_inner).remove(folder) {
            let _ = remove_watch(&self.inotify, watch);
        }
    }

    /// Waits for a change or for the end of that process, whichever comes first; whether it was the end.
    #[must_use]
    pub fn wait_or_end(&self, process: &ProcessName) -> bool {
        let Some(end) = pidfd(process) else { return true };
        let mut fds = [PollFd::new(&self.inotify, PollFlags::IN), PollFd::new(&end, PollFlags::IN)];
        let answered = poll(&mut fds, None).is_ok();
        let [changed, ended] = fds.map(|fd| answered && !fd.revents().is_empty());
        if changed {
            self.drain();
        }
        ended
    }

    /// Waits for a change, at most so long; whether there was one. Changes that came together are one.
    pub fn wait(&self, patience: Option<Duration>) -> bool {
        let patience = patience.and_then(|patience| Timespec::try_from(patience).ok());
        let mut fds = [PollFd::new(&self.inotify, PollFlags::IN)];
        let found = poll(&mut fds, patience.as_ref()).is_ok_and(|ready| ready > 0);
        if found {
            self.drain();
        }
        found
    }

    /// Forgets the changes that were seen.
    pub fn drain(&self) {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(&self.inotify, &mut buffer);
        while reader.next().is_ok() {}
    }
}

impl AsFd for Changes {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_noticed_and_silence_is_silence() {
        let folder = tempfile::tempdir().unwrap();
        let changes = Changes::new().unwrap();
        changes.watch(folder.path()).unwrap();
        assert!(!changes.wait(Some(Duration::ZERO)));
        std::fs::write(folder.path().join("journal"), b"x").unwrap();
        assert!(changes.wait(Some(Duration::from_secs(5))));
        changes.drain();
        assert!(!changes.wait(Some(Duration::ZERO)));
    }
}
