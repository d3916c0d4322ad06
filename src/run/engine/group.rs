//! `resource_group`: one job of a group at a time, whichever run, clone or process it is of.
//!
//! Two locks a group, `STATE/groups/<app>/<16 hex>.turn` and `.place`. The turn is an engine's, from the decision to start a job
//! until its keeper lives; the place is the keeper's, for as long as the job runs. So a killed engine gives up no place that its job
//! still has, and a killed keeper gives it up. Who waits looks again and again: GitLab's `unordered`, which is its default.

use std::path::PathBuf;
use std::time::Duration;

use crate::event::{Digest, JobName, JobState, RunEvent};
use crate::executor::Resource;
use crate::store::{Holder, Lock, LockError, holder_of, make_private_folder, this_process};

use super::{Engine, EngineError};

/// How often a waiting job looks whether the group is free.
pub(super) const LOOK: Duration = Duration::from_millis(250);

/// Whether a job may start.
enum Turn {
    /// It may; with a group it has this lock until its keeper has the place.
    Free(Option<Lock>),
    /// Another has the group.
    Awaited(String),
}

impl Engine {
    /// Starts a job whose group is free; one whose group is not says for whom it waits.
    pub(super) fn start_in_turn(&mut self, job: &JobName) -> Result<(), EngineError> {
        match self.turn_of(job) {
            Turn::Free(turn) => self.start(job, turn),
            Turn::Awaited(why) => {
                let told = self.state.job(job).is_some_and(|job| job.waits_to_start() && job.why.as_ref() == Some(&why));
                if told { Ok(()) } else { self.record(RunEvent::ResourceAwaited { job: job.clone(), why }) }
            }
        }
    }

    fn turn_of(&self, job: &JobName) -> Turn {
        let (Some(group), Some(resource)) = (self.group_of(job), self.resource_of(job)) else { return Turn::Free(None) };
        let waits = |for_whom: String| Turn::Awaited(format!("waits for the resource group `{group}`: {for_whom}"));
        let has_it =
            |holder: Option<&Holder>| holder.map_or_else(|| "another job has it".to_owned(), |holder| format!("{} has it", holder.role));
        let turn = resource.path.with_extension("turn");
        let holder = Holder { process: this_process(), host: self.setup.actor.host.clone(), role: resource.role.clone(), socket: None };
        let folder = resource.path.parent().map_or(Ok(()), make_private_folder);
        match folder.map_err(LockError::from).and_then(|()| Lock::try_take(&turn, &holder)) {
            Ok(turn) => match holder_of(&resource.path) {
                Ok(None) => Turn::Free(Some(turn)),
                Ok(Some(holder)) => waits(has_it(Some(&holder))),
                Err(error) => waits(error.to_string()),
            },
            Err(LockError::Held { holder, .. }) => waits(has_it(holder.as_deref())),
            Err(LockError::Disk(error)) => waits(error.to_string()),
        }
    }

    fn group_of(&self, job: &JobName) -> Option<&str> {
        self.plan.job(job)?.resource_group.as_deref()
    }

    /// The place that a job's keeper takes.
    pub(super) fn resource_of(&self, job: &JobName) -> Option<Resource> {
        let (group, created) = (self.group_of(job)?, self.state.created.as_ref()?);
        let folder: PathBuf = self.setup.places.state.join("groups").join(created.app.as_str());
        // No text of a file becomes a path.
        let name = Digest::of(group.as_bytes()).hex().get(..16).unwrap_or_default().to_owned();
        Some(Resource { path: folder.join(name).with_extension("place"), role: format!("{job} of run {}", created.number) })
    }

    /// Whether a job waits for its group.
    pub(super) fn awaits_group(&self) -> bool {
        self.state.jobs.iter().any(JobState::waits_to_start)
    }
}
