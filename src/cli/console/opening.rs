//! Finding the repository beside the console: git may be slow, a network's file system may hang, and the screen waits for neither.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use crate::console::Waker;
use crate::event::AppName;
use crate::run::RepositoryFolder;

use super::super::environment::Environment;
use super::super::failure::{Exit, Failure};
use super::super::place::app_of_clone;
use super::super::run_new::Clone;
use super::super::watch::{self, Watch};

/// What a repository that does not take long may take. Then "there is none" is said on the command line, not on a screen of its own;
/// and a person sees no difference.
const AT_ONCE: Duration = Duration::from_millis(25);

/// What a console needs of a repository.
#[derive(Debug, std::clone::Clone)]
pub(super) struct Found {
    pub(super) folder: RepositoryFolder,
    pub(super) common: PathBuf,
    /// For people.
    pub(super) name: String,
    pub(super) app: AppName,
    /// The refs on which new commits are looked for.
    pub(super) watching: Option<String>,
}

/// What the console does about new commits.
#[derive(Debug, std::clone::Clone, Copy, PartialEq, Eq)]
pub(super) enum Watching {
    /// Nothing: it shows one run.
    No,
    /// What the repository says.
    AsSettled,
    /// The current branch, if the repository says nothing.
    Asked,
}

type Opened = Result<(Clone, Option<Watch>), Failure>;

/// A repository that is being looked for.
pub(super) struct Opening {
    found: Receiver<Opened>,
    at_once: Option<Opened>,
}

impl Opening {
    /// Looks at `at`, or here.
    ///
    /// # Errors
    /// When there is no repository and that is known at once, or no watch can be made.
    pub(super) fn begin(at: Option<&Path>, watching: Watching) -> Result<Self, Failure> {
        let at = at.map(Path::to_owned);
        let (tell, found) = sync_channel(1);
        std::thread::spawn(move || {
            // The receiver is gone when the console is.
            let _ = tell.send(open(at.as_deref(), watching));
        });
        let at_once = match found.recv_timeout(AT_ONCE) {
            Ok(Ok(found)) => Some(Ok(found)),
            Ok(Err(failure)) => return Err(failure),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => None,
        };
        Ok(Self { found, at_once })
    }

    /// Waits for it, and then watches it as was asked. `tell` gets what is to be known of the watch.
    pub(super) fn finish(
        self,
        environment: Environment,
        mut tell: impl FnMut(Result<String, String>) + Send + 'static,
    ) -> Result<Found, Failure> {
        let broke = || Failure::new(Exit::NotCarriedOut, "the repository cannot be looked at");
        let (clone, plan) = self.at_once.unwrap_or_else(|| self.found.recv().unwrap_or_else(|_| Err(broke())))?;
        let found = Found {
            folder: clone.folder.clone(),
            common: clone.repository.common_dir(),
            name: clone.repository.app_name_default().to_string(),
            app: app_of_clone(&clone),
            watching: plan.as_ref().map(Watch::refs),
        };
        if let Some(plan) = plan {
            std::thread::spawn(move || {
                let ended = watch::run(&environment, &clone, &plan, &mut |line| {
                    tell(line);
                    true
                });
                if let Err(failure) = ended {
                    tell(Err(format!("new commits are not looked for any more: {}", failure.in_one_line())));
                }
            });
        }
        Ok(found)
    }
}

fn open(at: Option<&Path>, watching: Watching) -> Opened {
    let clone = Clone::find(at)?;
    let plan = match watching {
        Watching::No => None,
        Watching::AsSettled => watch::plan(&clone, false)?,
        Watching::Asked => watch::plan(&clone, true)?,
    };
    Ok((clone, plan))
}

/// Tells the console, and gives what it is told to show.
pub(super) fn note(waker: &Waker, trouble: &std::sync::Mutex<Option<String>>, said: Result<String, String>) {
    *trouble.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = said.err();
    waker.changed();
}
