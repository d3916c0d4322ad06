//! `hms environments`: the environments that jobs name, one stopped by its own job, one kept (`docs/decisions.md` 15.25).

use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::event::{Actor, Command, JobStatus, Refusal, RefusalKind};
use crate::ledger::{Entry, Phase};
use crate::run::reader::RunReader;
use crate::run::{EnvironmentStanding, KnownEnvironment, Mark, StopJob, StopJobStanding, mark};
use crate::store::{Holder, now, this_process};
use crate::text::{plain, quoted};

use super::arguments::{EnvironmentsArguments, EnvironmentsVerb, Output, Wait};
use super::auto_stop::{for_a_person, stop_due};
use super::control::{PATIENCE, confirm, facts, send};
use super::environment::{Environment, actor};
use super::failure::{Exit, Failure};
use super::follow::follow;
use super::place::{Refused, app_of_clone, enter, outside_run, refuse};
use super::run_new::Clone;

/// How long the ledger may take.
const LEDGER: Duration = Duration::from_secs(10);

/// Whether somebody is there to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asker {
    /// A person said so.
    Person,
    /// Nobody: its time is over.
    Time,
}

/// Lists them, or does what is asked with one.
pub(crate) fn environments(environment: &Environment, clone: &Clone, asked: &EnvironmentsArguments, output: Output) -> Result<u8, Failure> {
    let Some(verb) = &asked.verb else { return list(clone, asked, output) };
    let app = app_of_clone(clone);
    let about = Refused { verb: "hms environments", app: Some(&app), environment: None, digest: None };
    outside_run(environment, &about)?;
    match verb {
        EnvironmentsVerb::Stop { name: Some(name), force: true, .. } => {
            let found = find(clone, name)?;
            let message = match found.standing {
                EnvironmentStanding::Stopped => format!("{name} is stopped already"),
                EnvironmentStanding::Available | EnvironmentStanding::Stopping => {
                    note(environment, clone, name, Mark::Stopped, &actor("hms environments stop"))?;
                    format!("{name} is called stopped; no job was run for that")
                }
            };
            tell(name, &message, output)
        }
        EnvironmentsVerb::Stop { name: Some(name), wait, .. } => {
            stop(environment, clone, name, wait, output).map_err(|failed| match failed {
                NotStopped::Refused(refusal) => refuse(environment, &about, refusal),
                NotStopped::Failed(failure) => failure,
            })
        }
        EnvironmentsVerb::Stop { .. } => {
            let said = stop_due(environment, clone, &[]);
            let mut out = std::io::stdout();
            match output {
                Output::Json => writeln!(out, "{}", json!({"format": 1, "said": said}))?,
                Output::Text if said.is_empty() => writeln!(out, "no environment's time is over")?,
                Output::Text => said.iter().try_for_each(|line| writeln!(out, "{}", plain(line)))?,
            }
            Ok(0)
        }
        EnvironmentsVerb::Keep { name } => {
            let found = find(clone, name)?;
            let message = if found.stops_at.is_some() {
                note(environment, clone, name, Mark::Kept, &actor("hms environments keep"))?;
                format!("{name} stays until somebody stops it, or a deployment sets a time anew")
            } else {
                format!("{name} is not stopped by itself; nothing is changed")
            };
            tell(name, &message, output)
        }
    }
}

/// A stop that was none.
enum NotStopped {
    /// A rule said no.
    Refused(Refusal),
    /// It could not be carried out.
    Failed(Failure),
}

impl<E: Into<Failure>> From<E> for NotStopped {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

fn stop(environment: &Environment, clone: &Clone, name: &str, wait: &Wait, output: Output) -> Result<u8, NotStopped> {
    // Looked at first: nothing is taken back because of a flag beside it.
    let wait = wait.wait.as_deref().map(super::duration::parse_optional).transpose()?;
    let found = find(clone, name)?;
    match found.standing {
        EnvironmentStanding::Stopped => return Ok(tell(name, &format!("{name} is stopped already"), output)?),
        EnvironmentStanding::Available if found.stop_jobs.is_empty() => {
            note(environment, clone, name, Mark::Stopped, &actor("hms environments stop"))?;
            return Ok(tell(name, &format!("{name} is stopped: no deployment of it names a job with `on_stop`"), output)?);
        }
        EnvironmentStanding::Available | EnvironmentStanding::Stopping => {}
    }
    let started = start_jobs(environment, &found, Asker::Person)?;
    tell(name, &started.join("; "), output)?;
    let folder = found.stop_jobs.first().map(|stop| stop.folder.clone());
    match (wait, folder) {
        (Some(bound), Some(folder)) => {
            let (mut out, mut notices) = (std::io::stdout(), std::io::stderr());
            Ok(follow(&folder, &environment.places, output, bound, &|| None, &mut out, &mut notices)?)
        }
        (None, _) | (_, None) => Ok(0),
    }
}

/// Starts the jobs that stop it, each through its own gate, and says of each what became of it.
///
/// # Errors
/// When none of them can be started, or one is refused.
fn start_jobs(environment: &Environment, found: &KnownEnvironment, asker: Asker) -> Result<Vec<String>, NotStopped> {
    let mut said = Vec::new();
    let mut unready = Vec::new();
    for stop in &found.stop_jobs {
        match &stop.standing {
            StopJobStanding::AtGate | StopJobStanding::Ended => said.push(start(environment, stop, &found.name, asker)?),
            StopJobStanding::GoesOn => said.push(format!("{} of run {} goes on", stop.job, stop.run)),
            StopJobStanding::Unready(why) => unready.push(format!("{} of run {} cannot be started: {why}", stop.job, stop.run)),
        }
    }
    if said.is_empty() {
        let refusal = Refusal::new(RefusalKind::NotWaiting, format!("{} is not stopped: {}", found.name, unready.join("; ")));
        return Err(NotStopped::Refused(
            refusal.hint(format!("to call it stopped without that: hms environments stop {} --force", quoted(&found.name))),
        ));
    }
    said.extend(unready);
    Ok(said)
}

/// Starts one of them; a job that has run goes back to its gate first. Whatever its gate wants holds.
pub(super) fn start(environment: &Environment, stop: &StopJob, name: &str, asker: Asker) -> Result<String, Failure> {
    let mut reader = RunReader::new(&stop.folder);
    reader.poll()?;
    if stop.standing == StopJobStanding::Ended {
        send(environment, &stop.folder, Command::Retry { job: Some(stop.job.clone()) })?;
        let end = Instant::now() + PATIENCE;
        while reader.state().job(&stop.job).is_some_and(|job| job.status == JobStatus::Created || job.status.is_finished()) {
            if Instant::now() >= end {
                return Err(Failure::new(Exit::NotCarriedOut, format!("{} of run {} does not come to its gate", stop.job, stop.run)));
            }
            std::thread::sleep(Duration::from_millis(20));
            reader.poll()?;
        }
    }
    let reason = match asker {
        Asker::Person => {
            confirm(reader.state(), &stop.job, &mut std::io::stderr())?;
            format!("stops {name}")
        }
        Asker::Time => format!("stops {name}, whose `auto_stop_in` is over"),
    };
    let facts = facts(environment, reader.state());
    let yes = Command::Approve { job: stop.job.clone(), facts, reason: Some(reason), variables: std::collections::BTreeMap::new() };
    let message = send(environment, &stop.folder, yes)?;
    Ok(format!("{name}: {message} in run {}", stop.run))
}

/// Enters what is said of an environment into the ledger, then writes it down.
pub(super) fn note(environment: &Environment, clone: &Clone, name: &str, what: Mark, who: &Actor) -> Result<(), Failure> {
    let kind = match what {
        Mark::Stopped => "environment.stop",
        Mark::Kept => "environment.keep",
    };
    let mut entry = Entry::new(kind, Phase::Note, who.clone());
    (entry.app, entry.environment, entry.reason) = (Some(app_of_clone(clone)), name.parse().ok(), Some(name.to_owned()));
    enter(environment, entry, LEDGER)?;
    let holder = Holder { process: this_process(), host: who.host.clone(), role: who.via.clone(), socket: None };
    Ok(mark(&clone.folder, name, what, who, &holder, now())?)
}

fn find(clone: &Clone, name: &str) -> Result<KnownEnvironment, Failure> {
    let all = crate::run::environments(&clone.folder)?;
    let names: Vec<String> = all.iter().map(|found| found.name.clone()).collect();
    all.into_iter().find(|found| found.name == name).ok_or_else(|| {
        let failure = Failure::new(Exit::Usage, format!("no job of this repository's runs has an environment `{name}`"));
        if names.is_empty() {
            failure.hint("see `hms status --app APP` for what hms itself delivers")
        } else {
            failure.hint(format!("there are {}", names.join(", ")))
        }
    })
}

fn tell(name: &str, message: &str, output: Output) -> Result<u8, Failure> {
    let mut out = std::io::stdout();
    match output {
        Output::Text => writeln!(out, "{}", plain(message))?,
        Output::Json => writeln!(out, "{}", json!({"format": 1, "accepted": true, "environment": name, "message": message}))?,
    }
    Ok(0)
}

fn list(clone: &Clone, asked: &EnvironmentsArguments, output: Output) -> Result<u8, Failure> {
    let all = crate::run::environments(&clone.folder)?;
    let mut out = std::io::stdout();
    if output == Output::Json {
        let rows: Vec<Value> = all.iter().map(|found| row(clone, found)).collect();
        writeln!(out, "{}", json!({"format": 1, "environments": rows}))?;
        return Ok(0);
    }
    let shown: Vec<&KnownEnvironment> = all.iter().filter(|found| asked.all || found.standing != EnvironmentStanding::Stopped).collect();
    for found in &shown {
        line(clone, found, &mut out)?;
    }
    let hidden = all.len().saturating_sub(shown.len());
    match (all.is_empty(), hidden) {
        (true, _) => writeln!(out, "no job with `environment` has ended in a run of this repository")?,
        (false, 0) => {}
        (false, hidden) => writeln!(out, "{hidden} stopped: hms environments --all")?,
    }
    Ok(0)
}

fn seconds(at: chrono::DateTime<chrono::Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

fn line(clone: &Clone, found: &KnownEnvironment, out: &mut dyn Write) -> Result<(), Failure> {
    writeln!(
        out,
        "{}  {}  {}{}",
        plain(&found.name),
        found.standing.word(),
        found.tier,
        found.url.as_ref().map(|url| format!("  {}", plain(url))).unwrap_or_default()
    )?;
    match &found.deployed {
        Some(last) => {
            let reference = last.reference.as_ref().map(|name| format!("{} ", plain(name))).unwrap_or_default();
            writeln!(out, "    deployed by {} of run {}, {reference}{}, {}", last.job, last.run, last.revision.short(), seconds(last.at))?;
        }
        None => writeln!(out, "    no deployment yet")?,
    }
    let due = found.is_due(now());
    match (found.stops_at, for_a_person(clone, found).filter(|_| due)) {
        (None, _) => {}
        (Some(at), Some(why)) => {
            writeln!(out, "    its time was over at {}, and only a person stops it: {}", seconds(at), plain(&why))?;
            writeln!(out, "    hint: hms environments stop {}", plain(&quoted(&found.name)))?;
        }
        (Some(at), None) if due => {
            writeln!(out, "    its time was over at {}: the next run stops it, or hms environments stop --due", seconds(at))?;
        }
        (Some(at), None) => writeln!(out, "    stops by itself after {}", seconds(at))?,
    }
    Ok(())
}

fn row(clone: &Clone, found: &KnownEnvironment) -> Value {
    let deployed = found
        .deployed
        .as_ref()
        .map(|last| json!({"run": last.run, "job": last.job, "revision": last.revision, "ref": last.reference, "at": seconds(last.at)}));
    let jobs: Vec<Value> = found
        .stop_jobs
        .iter()
        .map(|stop| {
            let (word, why) = match &stop.standing {
                StopJobStanding::AtGate => ("waiting", None),
                StopJobStanding::GoesOn => ("running", None),
                StopJobStanding::Ended => ("ended", None),
                StopJobStanding::Unready(why) => ("unready", Some(why)),
            };
            json!({"run": stop.run, "job": stop.job, "standing": word, "why": why})
        })
        .collect();
    json!({
        "name": found.name, "state": found.standing.word(), "tier": found.tier, "url": found.url, "deployed": deployed,
        "stops_at": found.stops_at.map(seconds), "due": found.is_due(now()), "only_a_person": for_a_person(clone, found), "stop_jobs": jobs,
    })
}
