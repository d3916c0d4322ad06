//! Waiting: for journals, logs, locks and refs to change. One thread each for what is read whole and for the log on the screen.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::console::Waker;
use crate::event::ProcessName;
use crate::store::{Changes, DiskError};

/// Between two looks while things change all the time; a burst of changes is one look.
const BREATH: Duration = Duration::from_millis(20);

/// What the watcher's thread shares with the source.
#[derive(Debug)]
pub(super) struct Watched {
    changes: Changes,
    /// The engine whose end is awaited as well; it writes nothing when it is killed.
    engine: Mutex<Option<ProcessName>>,
}

impl Watched {
    pub(super) fn new() -> Result<Arc<Self>, DiskError> {
        Ok(Arc::new(Self { changes: Changes::new()?, engine: Mutex::new(None) }))
    }

    /// Watches a folder as well; one that is not there yet is watched when its parent changes.
    pub(super) fn add(&self, folder: &Path) {
        let _ = self.changes.watch(folder);
    }

    /// Awaits this engine's end.
    pub(super) fn await_engine(&self, engine: Option<ProcessName>) {
        *self.engine.lock().unwrap_or_else(PoisonError::into_inner) = engine;
    }

    /// Calls `changed` after each burst of changes, for as long as it says to go on.
    pub(super) fn run(self: &Arc<Self>, mut changed: impl FnMut() -> bool + Send + 'static) {
        let watched = Arc::clone(self);
        std::thread::spawn(move || {
            let mut seen_gone: Option<ProcessName> = None;
            loop {
                let engine = watched.engine.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let engine = engine.filter(|engine| seen_gone.as_ref() != Some(engine));
                let gone = match &engine {
                    None => {
                        watched.changes.wait(None);
                        false
                    }
                    Some(engine) => watched.changes.wait_or_end(engine),
                };
                if gone {
                    seen_gone = engine;
                }
                if !changed() {
                    return;
                }
                std::thread::sleep(BREATH);
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
            let _ = self.changes.watch(folder);
            self.folder = Some(folder.to_owned());
        }
    }
}
