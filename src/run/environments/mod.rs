//! The environments that a repository's jobs name with `environment:`, as GitLab keeps them (`app/models/environment.rb`): available or stopped,
//! the last deployment, when they are stopped by themselves, and which jobs stop them (`docs/decisions.md` 15.25).
//!
//! Nothing is kept but what runs say of themselves and what people said of an environment ([`mark`]): all else is a fold of these, in the order of
//! time. `gather.rs` reads, `history.rs` folds.

mod gather;
mod history;

use chrono::{DateTime, Utc};

use crate::event::{Actor, JobName, RepositoryEvent, Revision};
use crate::store::{Durability, Holder, Journal, Lock};

use super::registry::PATIENCE;
use super::{RegisterError, RepositoryFolder, RunFolder};

pub use gather::{delivered, environments};

/// An environment as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownEnvironment {
    /// Its name.
    pub name: String,
    /// Whether it is there.
    pub standing: EnvironmentStanding,
    /// Its tier: what a job says, else what its name does.
    pub tier: String,
    /// Its address.
    pub url: Option<String>,
    /// Its last deployment that succeeded.
    pub deployed: Option<Deployment>,
    /// When it is stopped by itself.
    pub stops_at: Option<DateTime<Utc>>,
    /// The jobs that stop it: those that the deployments of the last run that deployed there name.
    pub stop_jobs: Vec<StopJob>,
}

/// Whether an environment is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnvironmentStanding {
    /// It is.
    Available,
    /// A job that stops it goes on.
    Stopping,
    /// It is not.
    Stopped,
}

impl EnvironmentStanding {
    /// GitLab's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }
}

/// A deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// The number of its run.
    pub run: u64,
    /// Its job.
    pub job: JobName,
    /// Its commit.
    pub revision: Revision,
    /// The branch or tag of the run.
    pub reference: Option<String>,
    /// When the job ended.
    pub at: DateTime<Utc>,
}

/// A job that stops an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopJob {
    /// The number of its run.
    pub run: u64,
    /// That run's folder.
    pub folder: RunFolder,
    /// Its name.
    pub job: JobName,
    /// What can be done with it.
    pub standing: StopJobStanding,
    /// Why only a person may start it; none when the file's `auto_stop_in` may.
    pub for_a_person: Option<String>,
}

/// What can be done with a job that stops an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopJobStanding {
    /// It waits at its gate.
    AtGate,
    /// It was started, and goes on.
    GoesOn,
    /// It has run, and can be run again.
    Ended,
    /// It cannot be started, and why.
    Unready(String),
}

impl KnownEnvironment {
    /// Whether the time is over after which it is to be stopped (`app/services/environments/auto_stop_service.rb`).
    #[must_use]
    pub fn is_due(&self, now: DateTime<Utc>) -> bool {
        self.standing == EnvironmentStanding::Available && self.stops_at.is_some_and(|at| at < now)
    }

    /// Why it is not stopped unless a person says so, whatever its time: users may be served from it, or its stop is more than a job.
    #[must_use]
    pub fn for_a_person(&self) -> Option<String> {
        if self.tier == "production" {
            return Some("its tier is production".to_owned());
        }
        self.stop_jobs.iter().find_map(|stop| match &stop.standing {
            StopJobStanding::Unready(why) => Some(format!("{} of run {} cannot be started: {why}", stop.job, stop.run)),
            StopJobStanding::AtGate | StopJobStanding::GoesOn | StopJobStanding::Ended => stop.for_a_person.clone(),
        })
    }
}

/// What a person says of an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// It is stopped, and no job has to run for that.
    Stopped,
    /// It is not to be stopped by itself.
    Kept,
}

/// Writes down what a person says of an environment, in the repository's journal.
///
/// # Errors
/// When the repository's lock is not to be had in 10 s, or its journal not to be written.
pub fn mark(
    repository: &RepositoryFolder,
    environment: &str,
    what: Mark,
    actor: &Actor,
    holder: &Holder,
    now: DateTime<Utc>,
) -> Result<(), RegisterError> {
    repository.make()?;
    let _lock = Lock::take_within(&repository.lock(), holder, PATIENCE)?;
    let mut opened = Journal::<RepositoryEvent>::open(&repository.journal())?;
    if opened.dropped_bytes > 0 {
        let dropped_bytes = opened.dropped_bytes;
        opened.journal.append(now, RepositoryEvent::JournalRepaired { dropped_bytes }, Durability::Written)?;
    }
    let (environment, actor) = (environment.to_owned(), actor.clone());
    let event = match what {
        Mark::Stopped => RepositoryEvent::EnvironmentStopped { environment, actor },
        Mark::Kept => RepositoryEvent::EnvironmentKept { environment, actor },
    };
    opened.journal.append(now, event, Durability::Synced).map_err(RegisterError::from)?;
    Ok(())
}
