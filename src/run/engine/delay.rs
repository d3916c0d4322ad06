//! `when: delayed`: the time is in the journal, and whichever engine lives then starts the job.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::event::{JobName, JobStatus, RunEvent};
use crate::store::now;

use super::{Engine, EngineError, Input, group};

/// The clock is looked at again after this long, however far off the next job is: a machine that slept, or whose clock was set,
/// is late by no more.
const LOOK: Duration = Duration::from_secs(30);

/// The time so many seconds after another; the last one that there is, when it is farther than that.
pub(super) fn time_after(from: DateTime<Utc>, seconds: u64) -> DateTime<Utc> {
    let delay = i64::try_from(seconds).ok().and_then(TimeDelta::try_seconds);
    delay.and_then(|delay| from.checked_add_signed(delay)).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

impl Engine {
    /// Queues what was to start by now. One whose time passed while no engine lived starts late, not never.
    pub(super) fn queue_due(&mut self) -> Result<(), EngineError> {
        let time = now();
        let due = |at: Option<DateTime<Utc>>| at.is_none_or(|at| at <= time);
        let scheduled = self.state.jobs.iter().filter(|job| job.status == JobStatus::Scheduled && due(job.starts_at));
        let jobs: Vec<JobName> = scheduled.map(|job| job.plan.name.clone()).collect();
        for job in jobs {
            self.record(RunEvent::JobQueued { job })?;
        }
        Ok(())
    }

    /// What reaches the engine next; none when it is time to look at the clock.
    pub(super) async fn awaited(&mut self) -> Option<Input> {
        let scheduled = self.state.jobs.iter().filter(|job| job.status == JobStatus::Scheduled);
        let next = scheduled.filter_map(|job| job.starts_at).min().map(|at| (at - now()).to_std().unwrap_or_default().min(LOOK));
        let group = self.awaits_group().then_some(group::LOOK);
        let Some(patience) = next.into_iter().chain(group).min() else { return self.inputs.recv().await };
        tokio::time::timeout(patience, self.inputs.recv()).await.ok().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_ends_at_a_time_however_long_it_is() {
        let from = DateTime::<Utc>::UNIX_EPOCH;
        assert_eq!(time_after(from, 90).timestamp(), 90);
        assert_eq!(time_after(from, u64::MAX), DateTime::<Utc>::MAX_UTC);
    }
}
