//! Waiting: for journals, logs, locks and refs to change. One thread each for what is read whole and for the log on the screen.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::console::Waker;
use crate::event::ProcessName;
use crate::store::{Changes, DiskError};

/// Between two looks while things change all the time; a burst of changes is one look.
const BREATH: Duration = Duration::from_millis(20);

/// Folders whose changes the console is told of.
#[derive(Debug)]
pub(super) struct Watched {
    changes: Arc<Changes>,
    waker: Waker,
    /// The engine whose end is awaited as well; it writes nothing when it is killed.
    engine: Option<ProcessName>,
}

impl Watched {
    pub(super) fn start(waker: Waker) -> Result<Self, DiskError> {
        let changes = Arc::new(Changes::new()?);
        let (waiting, told) = (Arc::clone(&changes), waker.clone());
        std::thread::spawn(move || {
            loop {
                waiting.wait(None);
                told.changed();
                std::thread::sleep(BREATH);
            }
        });
        Ok(Self { changes, waker, engine: None })
    }

    /// Watches a folder as well; one that is not there yet is watched when its parent changes.
    pub(super) fn add(&self, folder: &Path) {
        let _ = self.changes.watch(folder);
    }

    /// Awaits this engine's end, on a thread that ends with it.
    pub(super) fn await_engine(&mut self, engine: Option<ProcessName>) {
        if engine.is_none() || engine == self.engine {
            return;
        }
        self.engine.clone_from(&engine);
        let waker = self.waker.clone();
        std::thread::spawn(move || {
            if let (Some(engine), Ok(nothing)) = (engine, Changes::new()) {
                while !nothing.wait_or_end(&engine) {}
                waker.changed();
            }
        });
    }
}

/// Tells the console when the log on the screen has grown.
#[derive(Debug)]
pub(super) struct LogWatch {
    changes: Arc<Changes>,
    folder: Option<PathBuf>,
}

impl LogWatch {
    pub(super) fn start(waker: Waker) -> Result<Self, DiskError> {
        let changes = Arc::new(Changes::new()?);
        let waiting = Arc::clone(&changes);
        std::thread::spawn(move || {
            loop {
                waiting.wait(None);
                waker.log_grew();
                std::thread::sleep(BREATH);
            }
        });
        Ok(Self { changes, folder: None })
    }

    /// Watches this attempt's folder from here on.
    pub(super) fn look_at(&mut self, folder: &Path) {
        if self.folder.as_deref() != Some(folder) {
            if let Some(old) = &self.folder {
                self.changes.forget(old);
            }
            // An attempt begins before its folder is there: then it is asked for again.
            self.folder = self.changes.watch(folder).is_ok().then(|| folder.to_owned());
        }
    }
}
