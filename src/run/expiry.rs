//! `artifacts: expire_in`: whose time is over, and doing away with it (GitLab `app/services/ci/job_artifacts/destroy_all_expired_service.rb`,
//! and `unlock_artifacts_service.rb` for what is kept all the same).

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::event::{Actor, ArtifactsLife, EngineState, JobName, RunEvent, RunOutcome, RunState};
use crate::pipeline::Plan;
use crate::store::{Durability, Holder, Journal, JournalError, Lock, LockError};

use super::reader::{RunReader, engine_of, list};
use super::{RepositoryFolder, RunFolder};

/// Artifacts whose time is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expired {
    /// The run's number.
    pub number: u64,
    /// The job that made them.
    pub job: JobName,
    /// Which attempt of it, from 1.
    pub attempt: u32,
    /// The run's folder.
    pub folder: RunFolder,
}

/// A run as it is looked at.
struct Looked {
    number: u64,
    folder: RunFolder,
    state: RunState,
}

/// What could be done away with now. A run that goes on or waits, one that made a release (somebody may go back to it, or ask what was in it), and
/// of each ref the last run that succeeded with all that came after it keep what they have.
#[must_use]
pub fn expired(repository: &RepositoryFolder, now: DateTime<Utc>) -> Vec<Expired> {
    let looked: Vec<Looked> = list(repository).unwrap_or_default().into_iter().filter_map(|run| look(run.number, run.folder)).collect();
    let newest = newest_successes(looked.iter().map(|run| (run.number, &run.state)));
    let over = looked.into_iter().filter(|run| may_go(run.number, &run.state, &newest));
    over.flat_map(|run| of_run(&run, now)).collect()
}

/// Does away with them, and gives those that are gone: the journal first, under the run's lock, then the files. A run that somebody has taken up
/// meanwhile keeps its own; what cannot be done away with now is looked at again by the next run.
#[must_use]
pub fn remove_expired(repository: &RepositoryFolder, holder: &Holder, now: DateTime<Utc>) -> Vec<Expired> {
    expired(repository, now).into_iter().filter(|expired| remove(expired, holder, now).is_some()).collect()
}

/// Artifacts that could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// Somebody drives the run.
    #[error("the run goes on")]
    Lock(#[from] LockError),
    /// Its journal could not be read or written.
    #[error("the run's journal failed")]
    Journal(#[from] JournalError),
    /// It was written by a later hms.
    #[error("the run's journal holds events of a later hms")]
    Later,
}

/// Keeps what a run's jobs handed on for as long as the run is there, or that of one job (GitLab's "Keep"), and gives what was not kept before. What is
/// gone cannot be kept.
///
/// # Errors
/// When somebody drives the run, or its journal fails.
pub fn keep_artifacts(
    folder: &RunFolder,
    job: Option<&JobName>,
    actor: &Actor,
    holder: &Holder,
    now: DateTime<Utc>,
) -> Result<Vec<(JobName, u32)>, KeepError> {
    let _held = Lock::try_take(&folder.lock(), holder)?;
    let mut opened = Journal::<RunEvent>::open(&folder.journal())?;
    if opened.events.iter().any(|stamped| stamped.event == RunEvent::Unknown) {
        return Err(KeepError::Later);
    }
    let state = RunState::fold(&opened.events);
    let mut kept = Vec::new();
    for found in state.jobs.iter().filter(|found| job.is_none_or(|job| job == &found.plan.name)) {
        for attempt in found.attempts.iter().filter(|attempt| attempt.artifacts == ArtifactsLife::ByTime) {
            if folder.artifacts(&found.plan.name, attempt.number).is_dir() {
                kept.push((found.plan.name.clone(), attempt.number));
            }
        }
    }
    for (job, number) in &kept {
        let event = RunEvent::ArtifactsKept { job: job.clone(), number: *number, actor: actor.clone() };
        opened.journal.append(now, event, Durability::Synced)?;
    }
    Ok(kept)
}

fn remove(expired: &Expired, holder: &Holder, now: DateTime<Utc>) -> Option<()> {
    let _held = Lock::try_take(&expired.folder.lock(), holder).ok()?;
    let mut opened = Journal::<RunEvent>::open(&expired.folder.journal()).ok()?;
    let is_known = opened.events.iter().all(|stamped| stamped.event != RunEvent::Unknown);
    let state = RunState::fold(&opened.events);
    if !is_known || state.ended.is_none() || state.engine != EngineState::Ended {
        return None;
    }
    let event = RunEvent::ArtifactsExpired { job: expired.job.clone(), number: expired.attempt };
    opened.journal.append(now, event, Durability::Synced).ok()?;
    std::fs::remove_dir_all(expired.folder.artifacts(&expired.job, expired.attempt)).ok()
}

fn look(number: u64, folder: RunFolder) -> Option<Looked> {
    let mut reader = RunReader::new(&folder);
    reader.poll().ok()?;
    let state = reader.state().clone();
    Some(Looked { number, folder, state })
}

fn of_run(run: &Looked, now: DateTime<Utc>) -> Vec<Expired> {
    if engine_of(&run.folder).ok().flatten().is_some() {
        return Vec::new();
    }
    let plan: Option<Plan> = std::fs::read(run.folder.plan()).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let mut due = plan.map(|plan| due(&run.state, &plan, now)).unwrap_or_default();
    due.retain(|(job, attempt)| run.folder.artifacts(job, *attempt).is_dir());
    due.into_iter().map(|(job, attempt)| Expired { number: run.number, job, attempt, folder: run.folder.clone() }).collect()
}

/// The newest run of each ref that succeeded.
fn newest_successes<'a>(runs: impl Iterator<Item = (u64, &'a RunState)>) -> HashMap<String, u64> {
    let succeeded = runs.filter(|(_, state)| state.ended.is_some_and(|(outcome, _)| outcome == RunOutcome::Success));
    let named = succeeded.filter_map(|(number, state)| Some((state.created.as_ref()?.ref_name.clone()?, number)));
    named.fold(HashMap::new(), |mut newest, (name, number)| {
        newest.entry(name).and_modify(|there: &mut u64| *there = number.max(*there)).or_insert(number);
        newest
    })
}

fn may_go(number: u64, state: &RunState, newest: &HashMap<String, u64>) -> bool {
    let over = state.ended.is_some() && state.engine == EngineState::Ended && state.release.is_none() && state.rollouts.is_empty();
    let reference = state.created.as_ref().and_then(|created| created.ref_name.as_ref());
    over && reference.is_none_or(|name| newest.get(name).is_some_and(|newest| number < *newest))
}

fn due(state: &RunState, plan: &Plan, now: DateTime<Utc>) -> Vec<(JobName, u32)> {
    let mut due = Vec::new();
    for job in &state.jobs {
        let life = plan.job(&job.plan.name).and_then(|job| job.artifacts.expire_in_seconds);
        let Some(life) = life.and_then(|seconds| TimeDelta::try_seconds(i64::try_from(seconds).ok()?)) else { continue };
        let over = job
            .attempts
            .iter()
            .filter(|attempt| attempt.artifacts == ArtifactsLife::ByTime && attempt.ended_at.is_some_and(|at| now - at > life));
        due.extend(over.map(|attempt| (job.plan.name.clone(), attempt.number)));
    }
    due
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(reference: &str, outcome: Option<RunOutcome>) -> RunState {
        let created = serde_json::json!({
            "run": ulid::Ulid::nil().to_string(), "number": 1, "app": "shop", "revision": "a".repeat(40), "ref_name": (!reference.is_empty()).then_some(reference),
            "tag": "t", "title": "t", "source": "web", "repository": "/srv/shop", "jobs": [],
            "actor": {"uid": 1, "login": "l", "host": "h", "tty": null, "ssh_client": null, "via": "v"},
        });
        let mut state = RunState { created: Some(serde_json::from_value(created).unwrap()), ..RunState::default() };
        if let Some(outcome) = outcome {
            (state.ended, state.engine) = (Some((outcome, DateTime::UNIX_EPOCH)), EngineState::Ended);
        }
        state
    }

    #[test]
    fn of_each_ref_the_last_success_and_what_came_after_it_stay() {
        use RunOutcome::{Failed, Success};
        let runs = [
            ("main", Some(Success), true),
            ("main", Some(Failed), true),
            ("topic", Some(Failed), false),
            ("main", Some(Success), false),
            ("main", Some(Failed), false),
            ("topic", None, false),
            ("", Some(Failed), true),
        ];
        let states: Vec<RunState> = runs.iter().map(|(reference, outcome, _)| run(reference, *outcome)).collect();
        let newest = newest_successes((1..).zip(&states));
        for (number, ((reference, outcome, goes), state)) in (1..).zip(runs.iter().zip(&states)) {
            assert_eq!(may_go(number, state, &newest), *goes, "{number} {reference} {outcome:?}");
        }
    }

    #[test]
    fn what_made_a_release_or_waits_for_somebody_stays() {
        let newest = HashMap::from([("main".to_owned(), 9)]);
        let state = run("main", Some(RunOutcome::Success));
        assert!(may_go(1, &state, &newest));
        let parked = RunState { engine: EngineState::Parked { unwatched: false }, ..state.clone() };
        assert!(!may_go(1, &parked, &newest));
        let digest = crate::event::Digest::of(b"x");
        let release = crate::event::ReleaseRef { digest, revision: None, tag: "t".to_owned(), tag_object: None, run: None };
        assert!(!may_go(1, &RunState { release: Some(release), ..state }, &newest));
    }
}
