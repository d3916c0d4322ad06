//! Control verbs: what a person says to a run's engine. An engine that is not there is started for it.

use std::io::{BufRead, Write};
use std::time::{Duration, Instant};

use crate::event::{Actor, Command, Facts, JobName, JobStatus, Refusal, RefusalKind, RunState};
use crate::rollout::reader::RolloutReader;
use crate::run::RunFolder;
use crate::run::control::{ControlRequest, Reply, command};
use crate::run::reader::{RunReader, engine_of, find};
use crate::store::SocketError;

use super::arguments::{Output, Wait};
use super::environment::{Environment, actor, is_interactive};
use super::failure::{Exit, Failure};
use super::follow::follow;
use super::masked::Values;
use super::run_new::{Clone, Waking, wake};

/// How long an engine may take to be there and to take a command (`docs/decisions.md` 1.6).
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// A control verb, whole: find the run, say it, tell the answer, follow when asked to.
pub(crate) fn say(
    environment: &Environment,
    clone: &Clone,
    run: &str,
    build: impl Fn(&RunState, Facts) -> Command,
    wait: &Wait,
    output: Output,
) -> Result<u8, Failure> {
    // Looked at first: a command is not taken back because of a flag beside it.
    let wait = wait.wait.as_deref().map(super::duration::parse_optional).transpose()?;
    let listed = find(&clone.folder, Some(run))?;
    let mut reader = RunReader::new(&listed.folder);
    reader.poll()?;
    let command = build(reader.state(), facts(environment, reader.state()));
    if let Some(job) = command.job() {
        known_job(reader.state(), job)?;
    }
    if let Command::Approve { job, .. } = &command {
        confirm(reader.state(), job, &mut std::io::stderr())?;
    }
    let message = send(environment, &listed.folder, command)?;
    let (mut out, mut notices) = (std::io::stdout(), std::io::stderr());
    let _ = match output {
        Output::Text => writeln!(out, "{}", crate::text::plain(&message)),
        Output::Json => writeln!(out, "{}", serde_json::json!({"format": 1, "accepted": true, "message": message})),
    };
    match wait {
        None => Ok(0),
        Some(bound) => follow(&listed.folder, &environment.places, output, bound, &|| None, &mut out, &mut notices),
    }
}

/// What the file wants a person to be asked before a manual job starts (`manual_confirmation`): asked at a terminal, told elsewhere.
pub(super) fn confirm(state: &RunState, name: &JobName, notices: &mut dyn Write) -> Result<(), Failure> {
    let waits = state.job(name).filter(|job| job.status == JobStatus::Manual && !job.gate_open);
    let Some(text) = waits.and_then(|job| job.plan.manual_confirmation.as_deref()) else { return Ok(()) };
    let text = crate::text::plain(text);
    if !is_interactive() {
        writeln!(notices, "hms: {name} asks: {text}")?;
        return Ok(());
    }
    write!(notices, "{text}\nStart {name}? Type yes: ")?;
    notices.flush()?;
    let mut typed = String::new();
    std::io::stdin().lock().read_line(&mut typed)?;
    if typed.trim() == "yes" {
        return Ok(());
    }
    Err(Refusal::new(RefusalKind::NotWaiting, format!("{name} was not confirmed; nothing was started")).into())
}

/// What this view sees of the run at this moment; the engine compares it with what is so.
pub(super) fn facts(environment: &Environment, state: &RunState) -> Facts {
    let candidate = state.release.as_ref().map(|release| release.digest.clone());
    let rollout = state.created.as_ref().zip(state.rollouts.last()).and_then(|(created, (id, ..))| {
        let mut reader = RolloutReader::new(&environment.places.state, &created.app, id);
        reader.poll().ok()?;
        Some(reader.state().clone())
    });
    let created = rollout.as_ref().and_then(|rollout| rollout.created.as_ref());
    Facts {
        current: created.and_then(|created| created.previous.as_ref()).map(|previous| previous.digest.clone()),
        candidate,
        verdict: rollout.as_ref().and_then(crate::event::RolloutState::verdict_class),
        policy_hash: created.map(|created| created.policy_hash.clone()),
    }
}

/// Says it to the living engine, or starts one for it.
pub(crate) fn send(environment: &Environment, folder: &RunFolder, what: Command) -> Result<String, Failure> {
    let request =
        ControlRequest { id: ulid::Ulid::generate().to_string(), actor: Actor { ..actor(&format!("hms {}", what.verb())) }, command: what };
    let values = if request.command.starts_jobs() { Values::Needed } else { Values::Unneeded };
    let waking = Waking { values, ..Waking::default() };
    let end = Instant::now() + PATIENCE;
    loop {
        let holder = match engine_of(folder)? {
            Some(holder) => Some(holder),
            None => wake(environment, folder, &waking)?.holder,
        };
        let pid = holder.as_ref().map_or(0, |holder| holder.process.pid);
        let answer = match holder.and_then(|holder| holder.socket) {
            Some(socket) => command(&socket, &request, PATIENCE),
            None => Ok(None),
        };
        match answer {
            Ok(Some(Reply::Accepted { message })) => return Ok(message),
            Ok(Some(Reply::Refused { refusal })) => return Err(refusal.into()),
            Ok(Some(Reply::Failed { message })) => return Err(Failure::new(Exit::NotCarriedOut, message)),
            Ok(Some(Reply::Line { .. } | Reply::Done { .. } | Reply::Taken { .. }) | None)
            | Err(SocketError::Nobody { .. } | SocketError::Broken { .. } | SocketError::Silent { .. })
                if Instant::now() < end =>
            {
                std::thread::sleep(Duration::from_millis(20));
            }
            Ok(_) => {
                return Err(Failure::new(Exit::NotCarriedOut, "the run's engine does not answer")
                    .hint(format!("see {}", folder.engine_log().display())));
            }
            Err(error @ SocketError::Nobody { .. }) => {
                let hint = format!("kill {pid} and say it again: the run's jobs go on under their keepers, and another engine takes it up");
                return Err(Failure::of(Exit::NotCarriedOut, &error).because(format!("the run's engine (pid {pid}) lives")).hint(hint));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// The job of that name; a helpful no otherwise.
pub(crate) fn known_job(state: &RunState, name: &JobName) -> Result<(), Failure> {
    if state.job(name).is_some() {
        return Ok(());
    }
    let names: Vec<&str> = state.jobs.iter().map(|job| job.plan.name.as_str()).collect();
    let like: Vec<&&str> = names.iter().filter(|other| other.to_lowercase() == name.as_str().to_lowercase()).collect();
    if let [like] = like.as_slice() {
        return Err(Failure::new(Exit::Usage, format!("this run has no job `{name}`")).hint(format!("did you mean `{like}`?")));
    }
    Err(Failure::new(Exit::Usage, format!("this run has no job `{name}`")).hint(format!("its jobs are {}", names.join(", "))))
}
