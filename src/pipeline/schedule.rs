//! What to do next in a run (GitLab `app/services/ci/pipeline_processing/atomic_processing_service.rb`).
//!
//! A ready queue, not waves: a job is queued the moment the last job it waits for has ended. Pure: the statuses come in, the
//! steps go out, and the engine carries them out.

use crate::event::{JobName, JobStatus, When};

use super::composite::{Scheduling, Statuses};
use super::plan::{Job, Plan};

/// Something to be done with a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// It can run.
    Queue(JobName),
    /// It is manual and its turn has come: it waits for a person.
    Gate(JobName),
    /// It is delayed and its turn has come: it can run after so many seconds.
    Delay(JobName, u64),
    /// It will not run, and why.
    Skip(JobName, String),
}

/// A job as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Its status.
    pub status: JobStatus,
    /// Its gate has all its yeses.
    pub gate_open: bool,
    /// With what its last attempt's script ended.
    pub exit_code: Option<i32>,
}

impl From<(JobStatus, bool)> for Seen {
    fn from((status, gate_open): (JobStatus, bool)) -> Self {
        Self { status, gate_open, exit_code: None }
    }
}

/// The steps that follow from how the jobs stand.
///
/// All at once: a job that is skipped here already counts as skipped for those after it. No step is left when the answer is
/// empty. A job that waits for a decision after an interruption must be given as `Running`, or what comes after it is skipped.
pub fn next<S: Into<Seen>>(plan: &Plan, seen: &impl Fn(&JobName) -> S) -> Vec<Step> {
    let mut now: Vec<JobStatus> = Vec::with_capacity(plan.jobs.len());
    // Whether a failure of each is a warning.
    let mut allowed: Vec<bool> = Vec::with_capacity(plan.jobs.len());
    let mut steps = Vec::new();
    for job in &plan.jobs {
        let Seen { status, gate_open, exit_code } = seen(&job.name).into();
        allowed.push(job.failure_allowed(exit_code));
        if status == JobStatus::Manual && gate_open {
            steps.push(Step::Queue(job.name.clone()));
            now.push(JobStatus::Pending);
        } else {
            now.push(status);
        }
    }
    let (order, edges) = plan.order();
    // All jobs of all stages before the one that is looked at; the order goes by stages.
    let mut before = Statuses::default();
    let (mut stage, mut of_stage) = (0, Statuses::default());
    for at in order {
        let Some(job) = plan.jobs.get(at) else { continue };
        if job.stage_index != stage {
            before = before.with(std::mem::take(&mut of_stage));
            stage = job.stage_index;
        }
        let status = now.get(at).copied().unwrap_or(JobStatus::Created);
        let status = if status == JobStatus::Created {
            let needed = edges.get(at).map(Vec::as_slice).unwrap_or_default();
            let step = decide(plan, job, before, needed, &now, &allowed);
            let after = match &step {
                Some(Step::Queue(_)) => JobStatus::Pending,
                Some(Step::Gate(_)) => JobStatus::Manual,
                Some(Step::Delay(..)) => JobStatus::Scheduled,
                Some(Step::Skip(..)) => JobStatus::Skipped,
                None => JobStatus::Created,
            };
            steps.extend(step);
            if let Some(place) = now.get_mut(at) {
                *place = after;
            }
            after
        } else {
            status
        };
        of_stage.add(status, allowed.get(at).copied().unwrap_or_default());
    }
    steps
}

fn decide(plan: &Plan, job: &Job, before: Statuses, needed: &[usize], now: &[JobStatus], allowed: &[bool]) -> Option<Step> {
    let scheduling = if job.needs.is_some() { Scheduling::Needs } else { Scheduling::Stages };
    let statuses = match scheduling {
        Scheduling::Stages => before,
        Scheduling::Needs => {
            let mut statuses = Statuses::default();
            for at in needed {
                statuses.add(now.get(*at).copied().unwrap_or(JobStatus::Created), allowed.get(*at).copied().unwrap_or_default());
            }
            statuses
        }
    };
    let previous = statuses.composite(scheduling).unwrap_or(JobStatus::Success);
    if !previous.is_finished() {
        return None;
    }
    let runs = match (job.when, previous) {
        (When::OnSuccess | When::Manual | When::Delayed, JobStatus::Success) | (When::OnFailure, JobStatus::Failed) => true,
        (When::OnSuccess | When::Manual | When::Delayed, JobStatus::Skipped) => scheduling == Scheduling::Stages,
        (When::Always, status) => status != JobStatus::Canceled,
        (When::OnSuccess | When::OnFailure | When::Manual | When::Never | When::Delayed, _) => false,
    };
    Some(match (runs, job.when) {
        (true, When::Manual) => Step::Gate(job.name.clone()),
        (true, When::Delayed) => Step::Delay(job.name.clone(), job.start_in_seconds.unwrap_or_default()),
        (true, When::OnSuccess | When::OnFailure | When::Always | When::Never) => Step::Queue(job.name.clone()),
        (false, _) => Step::Skip(job.name.clone(), why_not(plan, job, needed, (now, allowed), previous)),
    })
}

/// Names the job that decided it.
fn why_not(plan: &Plan, job: &Job, needed: &[usize], (now, allowed): (&[JobStatus], &[bool]), previous: JobStatus) -> String {
    let before: Vec<usize> = match &job.needs {
        Some(_) => needed.to_vec(),
        None => (0..plan.jobs.len()).filter(|at| plan.jobs.get(*at).is_some_and(|other| other.stage_index < job.stage_index)).collect(),
    };
    let first = |wanted: fn(JobStatus, bool) -> bool| {
        before.iter().find_map(|at| wanted(*now.get(*at)?, *allowed.get(*at)?).then(|| plan.jobs.get(*at).map(|job| job.name.to_string())))
    };
    let first = |wanted| first(wanted).flatten();
    let failed = first(|status, allowed| status == JobStatus::Failed && !allowed).map(|name| format!("`{name}` failed"));
    let canceled = || first(|status, allowed| status == JobStatus::Canceled && !allowed).map(|name| format!("`{name}` was cancelled"));
    let waiting = || first(|status, _| status == JobStatus::Manual).map(|name| format!("`{name}` is optional and nobody has started it"));
    let skipped = || first(|status, _| status == JobStatus::Skipped).map(|name| format!("`{name}` was skipped"));
    if job.when == When::OnFailure && previous != JobStatus::Canceled {
        return "nothing before it failed".to_owned();
    }
    failed.or_else(canceled).or_else(waiting).or_else(skipped).unwrap_or_else(|| "nothing before it ran".to_owned())
}
