//! The status of several jobs taken together (GitLab `lib/gitlab/ci/status/composite.rb`).

use crate::event::JobStatus;

/// A set of statuses, with what `allow_failure` makes of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Statuses(u16);

const CREATED: u16 = 1;
const WAITING: u16 = 1 << 1;
const PREPARING: u16 = 1 << 2;
const PENDING: u16 = 1 << 3;
const RUNNING: u16 = 1 << 4;
const SUCCESS: u16 = 1 << 5;
const FAILED: u16 = 1 << 6;
const CANCELED: u16 = 1 << 7;
const SKIPPED: u16 = 1 << 8;
const MANUAL: u16 = 1 << 9;
const SCHEDULED: u16 = 1 << 10;
const WARNINGS: u16 = 1 << 11;
const IGNORED: u16 = 1 << 12;

/// How a job is scheduled: by what it needs, or by the stages before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheduling {
    /// It has `needs`.
    Needs,
    /// It has none.
    Stages,
}

/// The status of jobs taken together, each with its `allow_failure`; none when there are none.
#[must_use]
pub fn composite(jobs: impl IntoIterator<Item = (JobStatus, bool)>, scheduling: Scheduling) -> Option<JobStatus> {
    let mut statuses = Statuses::default();
    for (status, allow_failure) in jobs {
        statuses.add(status, allow_failure);
    }
    statuses.composite(scheduling)
}

impl Statuses {
    pub(super) fn add(&mut self, status: JobStatus, allow_failure: bool) {
        self.0 |= match (status, allow_failure) {
            (JobStatus::Failed | JobStatus::Canceled, true) => WARNINGS,
            (JobStatus::Manual, true) => IGNORED,
            (JobStatus::Created, _) => CREATED,
            (JobStatus::WaitingForResource, _) => WAITING,
            (JobStatus::Preparing, _) => PREPARING,
            (JobStatus::Pending, _) => PENDING,
            (JobStatus::Running, _) => RUNNING,
            (JobStatus::Success, _) => SUCCESS,
            (JobStatus::Failed, false) => FAILED,
            (JobStatus::Canceled, false) => CANCELED,
            (JobStatus::Skipped, _) => SKIPPED,
            (JobStatus::Manual, false) => MANUAL,
            (JobStatus::Scheduled, _) => SCHEDULED,
        };
    }

    pub(super) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The first line that matches, in GitLab's order.
    pub(super) fn composite(self, scheduling: Scheduling) -> Option<JobStatus> {
        let any = |set: u16| self.0 & set != 0;
        let only = |set: u16| self.0 & !set == 0;
        let needs = scheduling == Scheduling::Needs;
        let finished = SUCCESS | FAILED | CANCELED | SKIPPED | WARNINGS;
        let table = [
            (needs && any(SKIPPED | IGNORED), JobStatus::Skipped),
            (needs && !only(finished), JobStatus::Pending),
            (only(SKIPPED | IGNORED), JobStatus::Skipped),
            (only(SUCCESS | SKIPPED | WARNINGS | IGNORED), JobStatus::Success),
            (only(CREATED | WARNINGS | IGNORED), JobStatus::Created),
            (only(PREPARING | WARNINGS | IGNORED), JobStatus::Preparing),
            (only(CANCELED | SUCCESS | SKIPPED | WARNINGS | IGNORED), JobStatus::Canceled),
            (only(PENDING | CREATED | SKIPPED | WARNINGS | IGNORED), JobStatus::Pending),
            (any(RUNNING | PENDING), JobStatus::Running),
            (any(WAITING), JobStatus::WaitingForResource),
            (any(MANUAL), JobStatus::Manual),
            (any(SCHEDULED), JobStatus::Scheduled),
            (any(PREPARING), JobStatus::Preparing),
            (any(CREATED), JobStatus::Running),
            (true, JobStatus::Failed),
        ];
        let found = table.into_iter().find(|(matches, _)| *matches).map(|(_, status)| status);
        found.filter(|_| self != Self::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use JobStatus::{Canceled, Created, Failed, Manual, Pending, Running, Skipped, Success};

    #[test]
    fn lines_of_gitlabs_table() {
        use Scheduling::{Needs, Stages};
        type Row = (&'static [(JobStatus, bool)], Scheduling, Option<JobStatus>);
        let table: &[Row] = &[
            (&[], Stages, None),
            (&[(Success, false), (Skipped, false)], Needs, Some(Skipped)),
            (&[(Success, false), (Manual, true)], Needs, Some(Skipped)),
            (&[(Success, false), (Manual, false)], Needs, Some(Pending)),
            (&[(Success, false), (Running, false)], Needs, Some(Pending)),
            (&[(Failed, true)], Needs, Some(Success)),
            (&[(Failed, false)], Needs, Some(Failed)),
            (&[(Skipped, false), (Manual, true)], Stages, Some(Skipped)),
            (&[(Success, false), (Skipped, false), (Failed, true), (Manual, true)], Stages, Some(Success)),
            (&[(Created, false), (Failed, true)], Stages, Some(Created)),
            (&[(Canceled, false), (Success, false)], Stages, Some(Canceled)),
            (&[(Pending, false), (Created, false)], Stages, Some(Pending)),
            (&[(Success, false), (Pending, false)], Stages, Some(Running)),
            (&[(Success, false), (Manual, false)], Stages, Some(Manual)),
            (&[(Failed, false), (Manual, false)], Stages, Some(Manual)),
            (&[(Success, false), (Created, false)], Stages, Some(Running)),
            (&[(Success, false), (Failed, false)], Stages, Some(Failed)),
            (&[(Canceled, false), (Failed, false)], Stages, Some(Failed)),
        ];
        for (jobs, scheduling, expected) in table {
            assert_eq!(composite(jobs.iter().copied(), *scheduling), *expected, "{jobs:?} {scheduling:?}");
        }
    }
}
