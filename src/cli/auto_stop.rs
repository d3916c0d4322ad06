//! `environment: auto_stop_in` carried out: by whoever starts a run, or asks for it (`docs/decisions.md` 15.26). Nothing lives here between runs
//! that could do it at its time, as GitLab's worker does once an hour.

use std::time::{Duration, Instant};

use crate::event::RefusalKind;
use crate::run::{KnownEnvironment, Mark, StopJobStanding, delivered};
use crate::store::now;
use crate::text::quoted;

use super::environment::{Environment, actor};
use super::environments::{Asker, note, start};
use super::failure::Failure;
use super::place::settings_at_head;
use super::run_new::Clone;

/// How long a run is kept waiting for the environments of others; the next one goes on with the rest.
const PATIENCE: Duration = Duration::from_secs(5);

/// Stops what is due and may be stopped unasked, and says of each what became of it. Those that `spared` names are left alone: a run that is
/// about to deploy there sets their time anew.
pub(super) fn stop_due(environment: &Environment, clone: &Clone, spared: &[String]) -> Vec<String> {
    // A journal that cannot be read is for those who need it to tell.
    let all = crate::run::environments(&clone.folder).unwrap_or_default();
    let begun = Instant::now();
    let due = all.iter().filter(|found| found.is_due(now()) && !spared.contains(&found.name));
    due.take_while(|_| begun.elapsed() < PATIENCE)
        .filter_map(|found| match for_a_person(clone, found) {
            Some(why) => Some(format!(
                "the time of the environment {} is over, and only a person stops it, because {why}: hms environments stop {}",
                found.name,
                quoted(&found.name)
            )),
            None => stop(environment, clone, found),
        })
        .collect()
}

fn stop(environment: &Environment, clone: &Clone, found: &KnownEnvironment) -> Option<String> {
    let name = &found.name;
    if found.stop_jobs.is_empty() {
        let noted = note(environment, clone, name, Mark::Stopped, &actor("auto_stop"));
        return Some(match noted {
            Ok(()) => format!("the environment {name} is stopped: its time is over, and it names no job to run for that"),
            Err(failure) => not_stopped(name, &failure),
        });
    }
    let ready = found.stop_jobs.iter().filter(|stop| stop.standing != StopJobStanding::GoesOn);
    let started: Vec<Result<String, Failure>> = ready.map(|stop| start(environment, stop, name, Asker::Time)).collect();
    let said: Vec<String> = started
        .into_iter()
        .filter_map(|started| match started {
            Ok(message) => Some(format!("the time of an environment is over: {message}")),
            // Another run began at the same moment, and did it.
            Err(failure) if failure.refusal == Some(RefusalKind::NotWaiting) => None,
            Err(failure) => Some(not_stopped(name, &failure)),
        })
        .collect();
    Some(said.join("; ")).filter(|said| !said.is_empty())
}

fn not_stopped(name: &str, failure: &Failure) -> String {
    format!("the time of the environment {name} is over, and it could not be stopped: {}", failure.in_one_line())
}

/// Why only a person stops an environment: what its jobs are, or that hms delivers there, so that users may be served from it.
pub(super) fn for_a_person(clone: &Clone, found: &KnownEnvironment) -> Option<String> {
    if let Some(why) = found.for_a_person() {
        return Some(why);
    }
    let name: crate::event::EnvironmentName = found.name.parse().ok()?;
    let is_named = ["prod", "canary"].contains(&name.as_str())
        || settings_at_head(clone).is_some_and(|settings| settings.policy.environments.contains_key(&name));
    // In doubt it serves somebody.
    let delivered = is_named || delivered(&clone.folder).map_or(true, |all| all.contains(&name));
    delivered.then(|| "hms delivers there".to_owned())
}
