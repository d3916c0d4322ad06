//! What the runs of a repository say of environments, and how these stand by it.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::{AttemptResult, AttemptState, EnvironmentName, JobState, JobStatus, RepositoryEvent, RunState, Stamped, When};
use crate::executor::{KeeperState, keeper_state};
use crate::pipeline::{Job, JobEnvironment, Plan, expand_for_include, guessed_tier};
use crate::run::reader::{Listed, RunReader, list};
use crate::run::{RepositoryFolder, RunFolder};
use crate::store::{JournalError, read};

use super::history::{Happening, Success, Told, What, fold};
use super::{Deployment, EnvironmentStanding, KnownEnvironment, StopJob, StopJobStanding};

/// A run whose jobs name environments.
struct Looked {
    number: u64,
    folder: RunFolder,
    state: RunState,
    plan: Plan,
}

/// All environments that jobs of this repository's runs have named and come to an end in, by name.
///
/// # Errors
/// When the repository's journal is damaged, or of a later program. A run that cannot be read says nothing.
pub fn environments(repository: &RepositoryFolder) -> Result<Vec<KnownEnvironment>, JournalError> {
    let listed = list(repository)?;
    let runs: BTreeMap<u64, Looked> = listed.into_iter().filter_map(look).map(|run| (run.number, run)).collect();
    let mut happened: Vec<Happening> = runs.values().flat_map(of_run).collect();
    if !happened.is_empty() {
        happened.extend(read(&repository.journal())?.into_iter().filter_map(of_people));
    }
    let all = fold(happened);
    Ok(all.into_iter().map(|(name, told)| known(name, told, &runs)).collect())
}

/// The environments that hms itself has delivered to in a run of this repository, whatever its jobs call them.
///
/// # Errors
/// When the repository's journal is damaged, or of a later program. A run that cannot be read says nothing.
pub fn delivered(repository: &RepositoryFolder) -> Result<BTreeSet<EnvironmentName>, JournalError> {
    let mut found = BTreeSet::new();
    for listed in list(repository)? {
        let mut reader = RunReader::new(&listed.folder);
        if reader.poll().is_ok() {
            found.extend(reader.state().rollouts.iter().map(|(_, environment, ..)| environment.clone()));
        }
    }
    Ok(found)
}

/// Reads a run, unless none of its jobs names an environment: most do not, and a plan can be large.
fn look(listed: Listed) -> Option<Looked> {
    let bytes = std::fs::read(listed.folder.plan()).ok()?;
    let named = b"\"environment\":{";
    if !bytes.windows(named.len()).any(|window| window == named) {
        return None;
    }
    let plan = serde_json::from_slice(&bytes).ok()?;
    let mut reader = RunReader::new(&listed.folder);
    reader.poll().ok()?;
    let state = reader.state().clone();
    Some(Looked { number: listed.number, folder: listed.folder, state, plan })
}

fn of_people(stamped: Stamped<RepositoryEvent>) -> Option<Happening> {
    let (environment, what) = match stamped.event {
        RepositoryEvent::EnvironmentStopped { environment, .. } => (environment, What::Stopped),
        RepositoryEvent::EnvironmentKept { environment, .. } => (environment, What::Kept),
        RepositoryEvent::RefSeen { .. }
        | RepositoryEvent::RunRegistered { .. }
        | RepositoryEvent::EnvironmentObserved { .. }
        | RepositoryEvent::JournalRepaired { .. }
        | RepositoryEvent::Unknown => return None,
    };
    Some(Happening { environment, at: stamped.time, what })
}

fn of_run(run: &Looked) -> Vec<Happening> {
    let mut happened = Vec::new();
    for job in &run.plan.jobs {
        let (Some(environment), Some(state)) = (&job.environment, run.state.job(&job.name)) else { continue };
        for attempt in &state.attempts {
            let (Some(at), Some(result)) = (attempt.ended_at, attempt.result) else { continue };
            let Some(what) = what_ended(run, job, environment, attempt, at, result) else { continue };
            happened.push(Happening { environment: environment.name.clone(), at, what });
        }
    }
    happened
}

/// What the end of an attempt is to its environment. Of jobs that do not deploy only a success counts.
fn what_ended(
    run: &Looked,
    job: &Job,
    environment: &JobEnvironment,
    attempt: &AttemptState,
    at: chrono::DateTime<chrono::Utc>,
    result: AttemptResult,
) -> Option<What> {
    let success = if result == AttemptResult::Success { Success::Yes } else { Success::No };
    let auto_stop = environment.auto_stop;
    match (environment.action.as_str(), success) {
        ("start", _) => {
            let created = run.state.created.as_ref()?;
            let deployment = Deployment {
                run: run.number,
                job: job.name.clone(),
                revision: created.revision.clone(),
                reference: created.ref_name.clone(),
                at,
            };
            let url = environment.url.as_ref().map(|url| address(run, job, attempt, url));
            Some(What::Deployed { deployment, success, url, tier: environment.tier.clone(), auto_stop })
        }
        ("prepare" | "access", Success::Yes) => Some(What::Accessed { auto_stop }),
        ("verify", Success::Yes) => Some(What::Verified { auto_stop }),
        ("stop", Success::Yes) => Some(What::Stopped),
        _ => None,
    }
}

/// An address with what the job itself and those before it reported; what is still unknown becomes nothing.
fn address(run: &Looked, job: &Job, attempt: &AttemptState, url: &str) -> String {
    if !url.contains(['$', '%']) {
        return url.to_owned();
    }
    let mut reported = BTreeMap::new();
    let mut add = |of: &Job, number: u32| {
        if let Ok(KeeperState::Ended(record)) = keeper_state(&run.folder.attempt(&of.name, number)) {
            reported.extend(record.dotenv);
        }
    };
    for producer in run.plan.producers_of(job) {
        if let Some(last) = run.state.job(&producer.name).and_then(|state| state.attempts.last()) {
            add(producer, last.number);
        }
    }
    add(job, attempt.number);
    reported.extend(run.state.job(&job.name).map(|state| state.given.clone()).unwrap_or_default());
    expand_for_include(url, &reported)
}

fn known(name: String, told: Told, runs: &BTreeMap<u64, Looked>) -> KnownEnvironment {
    let stop_jobs = told.last_run.and_then(|number| runs.get(&number)).map(|run| stop_jobs(run, &name)).unwrap_or_default();
    let stopping = stop_jobs.iter().any(|stop| stop.standing == StopJobStanding::GoesOn);
    let standing = match (told.stopped, stopping) {
        (true, _) => EnvironmentStanding::Stopped,
        (false, true) => EnvironmentStanding::Stopping,
        (false, false) => EnvironmentStanding::Available,
    };
    let tier = told.tier.unwrap_or_else(|| guessed_tier(&name).to_owned());
    KnownEnvironment { name, standing, tier, url: told.url, deployed: told.deployed, stops_at: told.stops_at, stop_jobs }
}

/// What the deployments of a run that have ended name with `on_stop` (`Deployment.last_finished_deployment_group_for_environment`).
fn stop_jobs(run: &Looked, environment: &str) -> Vec<StopJob> {
    let mut found: Vec<StopJob> = Vec::new();
    for job in &run.plan.jobs {
        let Some(placed) = job.environment.as_ref().filter(|placed| placed.name == environment && placed.action == "start") else {
            continue;
        };
        let ended = run.state.job(&job.name).is_some_and(|state| match state.status {
            JobStatus::Success | JobStatus::Failed | JobStatus::Canceled => true,
            JobStatus::Created
            | JobStatus::WaitingForResource
            | JobStatus::Preparing
            | JobStatus::Pending
            | JobStatus::Running
            | JobStatus::Skipped
            | JobStatus::Manual
            | JobStatus::Scheduled => false,
        });
        let Some(name) = placed.on_stop.as_ref().filter(|_| ended).and_then(|name| name.parse().ok()) else { continue };
        if found.iter().any(|stop| stop.job == name) {
            continue;
        }
        let (planned, state) = (run.plan.job(&name), run.state.job(&name));
        let standing = match (planned, state) {
            (Some(planned), Some(state)) => standing(planned, state),
            (None, _) | (_, None) => StopJobStanding::Unready("it is not in that run".to_owned()),
        };
        let for_a_person = planned.and_then(for_a_person);
        found.push(StopJob { run: run.number, folder: run.folder.clone(), job: name, standing, for_a_person });
    }
    found
}

/// Only a manual job is an action to GitLab (`app/models/ci/pipeline.rb`, `manual_actions`).
fn standing(planned: &Job, state: &JobState) -> StopJobStanding {
    let why = || state.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    match state.status {
        _ if planned.when != When::Manual => StopJobStanding::Unready("it is not `when: manual`".to_owned()),
        JobStatus::Manual if !state.gate_open => StopJobStanding::AtGate,
        JobStatus::Manual
        | JobStatus::Pending
        | JobStatus::Preparing
        | JobStatus::Running
        | JobStatus::WaitingForResource
        | JobStatus::Scheduled => StopJobStanding::GoesOn,
        JobStatus::Success | JobStatus::Failed | JobStatus::Canceled => StopJobStanding::Ended,
        JobStatus::Created => StopJobStanding::Unready("its turn has not come".to_owned()),
        JobStatus::Skipped => StopJobStanding::Unready(format!("it was skipped{}", why())),
    }
}

/// What of a job is a person's to say.
fn for_a_person(job: &Job) -> Option<String> {
    if job.deploys() {
        return Some(format!("{} deploys", job.name));
    }
    if job.manual_confirmation.is_some() {
        return Some(format!("{} asks to be confirmed", job.name));
    }
    job.blocking.then(|| format!("{} holds back other jobs", job.name))
}
