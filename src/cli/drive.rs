//! `hms drive`: one rollback, in a process of its own that no terminal and no other process can hold up (`docs/decisions.md` 1.2).
//!
//! Whoever wants one starts it with [`start_rollback`], follows its lines for as long as it likes, and may die meanwhile. The request comes
//! as JSON on its standard input, its lines go as JSON to its standard output.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::setsid;
use serde::{Deserialize, Serialize};

use crate::deploy::Target;
use crate::event::{self, Actor, AppName, Arm, Digest, EnvironmentName, RefusalKind, ReleaseRef, RolloutId, RunId, TargetIdentity, Weight};
use crate::ledger::LedgerPlaces;
use crate::rollout::ports::Recorder;
use crate::rollout::wired::{ClusterName, LedgerRecorder, ground};
use crate::rollout::{Aim, Hear, RollbackEnd, RollbackRequest, RollbackSetup, folder_of, reader, roll_back};
use crate::run::control::{ControlRequest, command};
use crate::store::{self, KEPT, Peer, inside_run, make_private_folder, now};

use super::environment::{Environment, actor};
use super::failure::{Exit, Failure};
use super::notices::Notices;
use super::place::{Place, Refused, no_such_environment, outside_run};

/// How long an engine may take to hear that its canary is gone.
const HEARD: Duration = Duration::from_millis(300);

/// A rollback as it is asked of the process that does it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DriveRequest {
    /// The rollback's id: its journal can be followed by it.
    pub(crate) rollout: RolloutId,
    pub(crate) app: AppName,
    /// As a person names it: `canary` is the canary arm of the environment that policy says.
    pub(crate) environment: EnvironmentName,
    /// The cluster to look at; none for the home that is known on this machine.
    #[serde(default)]
    pub(crate) cluster: Option<ClusterName>,
    /// Given, `environment` is taken as the one that has the traffic, and this as the part that is meant.
    #[serde(default)]
    pub(crate) arm: Option<Arm>,
    /// What the asker saw there.
    #[serde(default)]
    pub(crate) from: Option<Digest>,
    /// A tag, a digest, or the beginning of a revision.
    #[serde(default)]
    pub(crate) to: Option<String>,
    /// How long it may be taken back before it fires.
    #[serde(default)]
    pub(crate) delay_ms: u64,
    pub(crate) actor: Actor,
    #[serde(default)]
    pub(crate) reason: Option<String>,
    #[serde(default)]
    pub(crate) run: Option<RunId>,
}

/// A line of its standard output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "drive", rename_all = "snake_case")]
pub(crate) enum DriveLine {
    /// Something on the way, for people; UNRECORDED among it.
    Told { text: String },
    /// Always last.
    Ended { end: Box<DriveEnd> },
}

/// How it ended, and what is so now.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct DriveEnd {
    pub(crate) result: DriveResult,
    /// The environment that has the traffic.
    pub(crate) environment: Option<EnvironmentName>,
    pub(crate) rollout: Option<RolloutId>,
    pub(crate) from: Option<ReleaseRef>,
    /// What has the traffic now.
    pub(crate) to: Option<ReleaseRef>,
    pub(crate) further_back: Option<ReleaseRef>,
    /// What it had before, when a rollback brought it where it is and nothing is further back.
    #[serde(default)]
    pub(crate) before: Option<ReleaseRef>,
    pub(crate) target: Option<TargetIdentity>,
    pub(crate) address: Option<String>,
    /// The canary's weight that was asked for; none when nothing was.
    pub(crate) requested: Option<Weight>,
    pub(crate) applied: Option<Weight>,
    /// Requests since, to canary and stable.
    pub(crate) served: Option<(u64, u64)>,
    pub(crate) unrecorded: bool,
    pub(crate) by: Option<Actor>,
    pub(crate) superseded_by: Option<RolloutId>,
    pub(crate) reason: Option<String>,
    pub(crate) hint: Option<String>,
    /// Which rule said no, when one did.
    #[serde(default)]
    pub(crate) refusal: Option<RefusalKind>,
    pub(crate) last_lines: Vec<String>,
}

/// How it ended, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DriveResult {
    Reverted,
    AlreadyReverted,
    NothingToRevert,
    /// What the asker saw is not what is there.
    Moved,
    Cancelled,
    /// There is nowhere to go.
    NoTarget,
    Refused,
    /// It was begun and could not be finished.
    Failed,
    Superseded,
    /// It could not be begun.
    #[default]
    NotCarriedOut,
}

impl DriveResult {
    pub(crate) fn exit(self) -> u8 {
        match self {
            Self::Reverted | Self::AlreadyReverted | Self::NothingToRevert | Self::Moved | Self::Cancelled => 0,
            Self::Failed | Self::Superseded => Exit::Failed.code(),
            Self::NoTarget | Self::NotCarriedOut => Exit::NotCarriedOut.code(),
            Self::Refused => Exit::Refused.code(),
        }
    }
}

/// How long a ledger that is held is asked again after the rollback.
const LATER: Duration = Duration::from_mins(5);
/// Between two asks.
const PAUSE: Duration = Duration::from_millis(200);

/// A rollback under way in its own process. Dropped, it goes on.
#[derive(Debug)]
pub(crate) struct Drive {
    child: Child,
}

/// Starts a rollback. It goes on whatever becomes of the caller.
pub(crate) fn start_rollback(environment: &Environment, request: &DriveRequest) -> Result<Drive, Failure> {
    let mut command = Command::new(&environment.program);
    command.arg("drive").env_clear().current_dir("/");
    command.envs(KEPT.iter().filter_map(|name| std::env::var_os(name).map(|value| (*name, value))));
    command.env("HMS_STATE_HOME", &environment.places.state).env("HMS_DATA_HOME", &environment.places.data);
    #[cfg(debug_assertions)]
    if let Some(point) = std::env::var_os("HMS_CRASH_AT") {
        command.env("HMS_CRASH_AT", point);
    }
    // What it cannot say in its lines, a panic for instance. A full disk takes the log away, not the rollback.
    let folder = environment.places.state.join("rollouts").join(request.app.as_str());
    let log = make_private_folder(&folder)
        .ok()
        .and_then(|()| OpenOptions::new().append(true).create(true).mode(0o600).open(folder.join("drive.log")).ok());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log.map_or_else(Stdio::null, Stdio::from));
    let mut child = command.spawn()?;
    let told = serde_json::to_vec(request).map_err(|error| Failure::of(Exit::NotCarriedOut, &error))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(&told)?;
    }
    Ok(Drive { child })
}

impl Drive {
    /// Waits for its end, with each line on the way given to `told`.
    pub(crate) fn follow(mut self, told: &mut dyn FnMut(&str)) -> Result<DriveEnd, Failure> {
        let lines = self.child.stdout.take().map(|stdout| BufReader::new(stdout).lines()).into_iter().flatten();
        let mut end = None;
        for line in lines {
            match serde_json::from_str(&line?) {
                Ok(DriveLine::Told { text }) => told(&text),
                // It may live on, to give the ledger what it could not take.
                Ok(DriveLine::Ended { end: last }) => {
                    end = Some(*last);
                    break;
                }
                Err(error) => return Err(Failure::of(Exit::NotCarriedOut, &error)),
            }
        }
        if let Some(end) = end {
            // Waited for, so that it is no zombie of this process when it ends; it ends with this process or after it.
            std::thread::spawn(move || self.child.wait());
            return Ok(end);
        }
        let status = self.child.wait()?;
        Err({
            Failure::new(Exit::NotCarriedOut, format!("the rollback's process ended without a word ({status})"))
                .hint("say it again: a rollback that was begun is taken up where it stands")
        })
    }
}

/// `hms drive`, whole.
pub(crate) fn drive_main() -> u8 {
    // Refused only to the leader of a group, which nobody starts this as.
    let _ = setsid();
    match drive() {
        Ok(exit) => exit,
        Err(failure) => {
            failure.report(&mut std::io::stderr());
            let result = if failure.exit == Exit::Refused { DriveResult::Refused } else { DriveResult::NotCarriedOut };
            let (reason, hint) = failure.told();
            say_end(DriveEnd { result, reason: Some(reason), hint, refusal: failure.refusal, ..DriveEnd::default() })
        }
    }
}

/// The last line; gives the exit code.
fn say_end(end: DriveEnd) -> u8 {
    let exit = end.result.exit();
    say(&DriveLine::Ended { end: Box::new(end) });
    exit
}

/// A reader that is gone changes nothing.
fn say(line: &DriveLine) {
    if let Ok(mut text) = serde_json::to_vec(line) {
        text.push(b'\n');
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(&text).and_then(|()| out.flush());
    }
}

fn drive() -> Result<u8, Failure> {
    let mut told = Vec::new();
    std::io::stdin().read_to_end(&mut told)?;
    let request: DriveRequest = serde_json::from_slice(&told).map_err(|error| Failure::of(Exit::Usage, &error))?;
    let environment = Environment::find_whatever_the_operator_wrote(&mut |text| say(&DriveLine::Told { text }))?;
    let about = Refused { verb: "hms rollback", app: Some(&request.app), environment: Some(&request.environment), digest: None };
    outside_run(&environment, &about)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (app, named) = (request.app.clone(), request.cluster.clone());
    let notices = Notices::start(&environment, |text| say(&DriveLine::Told { text: text.to_owned() }));
    let end = runtime.block_on(carry_out(&environment, request, notices.hear()))?;
    let waits = end.environment.clone().filter(|_| end.unrecorded);
    let exit = say_end(end);
    if let Some(name) = waits {
        runtime.block_on(record_later(&environment, &app, named.as_ref(), &name));
    }
    drop(notices);
    runtime.shutdown_timeout(Duration::from_millis(200));
    Ok(exit)
}

/// What the ledger could not take is given to it as soon as it takes it; whoever asked has the answer already. What is left after that
/// the next writer takes in.
async fn record_later(environment: &Environment, app: &AppName, named: Option<&ClusterName>, name: &EnvironmentName) {
    let recorder = LedgerRecorder::new(LedgerPlaces::of(&environment.places));
    let end = Instant::now() + LATER;
    while Instant::now() < end {
        match record_now(environment, &recorder, app, named, name).await {
            Ok(()) => return,
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn record_now(
    environment: &Environment,
    recorder: &LedgerRecorder,
    app: &AppName,
    named: Option<&ClusterName>,
    name: &EnvironmentName,
) -> Result<(), Failure> {
    let target = Place::find(environment, app, named).await?.target_of(name).await?;
    let waiting = target.record(name).await?.unrecorded;
    if waiting.is_empty() {
        return Ok(());
    }
    let (recorder, taken) = (recorder.clone(), waiting.clone());
    let unwritten = |error: &dyn std::error::Error| Failure::of(Exit::NotCarriedOut, error);
    let written = tokio::task::spawn_blocking(move || recorder.take_in(&taken)).await;
    written.map_err(|error| unwritten(&error))?.map_err(|error| unwritten(&error))?;
    let mut record = target.record(name).await?;
    record.unrecorded.retain(|entry| !waiting.contains(entry));
    target.put_record(record).await?;
    Ok(())
}

async fn carry_out(environment: &Environment, request: DriveRequest, hear: Hear) -> Result<DriveEnd, Failure> {
    let place = Place::find(environment, &request.app, request.cluster.as_ref()).await?;
    let (name, arm) = if let Some(arm) = request.arm {
        (request.environment.clone(), arm)
    } else {
        let placed = place.resolve(&request.environment);
        (placed.environment, placed.arm)
    };
    let policy_hash = place.policy_hash();
    let unknown = place.names().await.ok().filter(|known| !known.contains(&name));
    let target = Arc::new(place.target_of(&name).await?);
    let state = environment.places.state.clone();
    let setup = RollbackSetup {
        target: Arc::clone(&target),
        recorder: Arc::new(LedgerRecorder::new(LedgerPlaces::of(&environment.places))),
        state: environment.places.state.clone(),
        runtime: environment.places.runtime.clone(),
        host: actor("hms drive").host,
        hear,
        tell: Arc::new(|text: &str| say(&DriveLine::Told { text: text.to_owned() })),
        clock: Arc::new(now),
        inside: Arc::new(move |peer: &Peer| {
            peer.process.as_ref().is_none_or(|process| inside_run(process.pid, &state) != store::Inside::No)
        }),
        start_timeout: ground::START_TIMEOUT,
    };
    let rollback = RollbackRequest {
        rollout: request.rollout.clone(),
        app: request.app,
        environment: name.clone(),
        from: request.from,
        to: request.to.map(aim),
        arm,
        delay: Duration::from_millis(request.delay_ms),
        actor: request.actor,
        reason: request.reason,
        policy_hash,
        run: request.run,
        evidence: None,
    };
    let end = roll_back(&setup, &rollback).await?;
    tell_the_superseded(&setup.state, &rollback);
    let mut end = ended(end);
    if let Some(known) = unknown.filter(|_| end.result == DriveResult::NothingToRevert) {
        let (reason, hint) = no_such_environment(&rollback.app, &name, &known);
        (end.result, end.reason, end.hint) = (DriveResult::NoTarget, Some(reason), Some(hint));
    }
    if end.result == DriveResult::AlreadyReverted && end.further_back.is_none() {
        let before = target.record(&name).await.ok().and_then(|record| record.previous);
        end.before = before.filter(|before| end.to.as_ref().is_none_or(|to| to.digest != before.digest));
    }
    end.environment = Some(name.clone());
    end.target = target.identity().await.ok();
    if let Ok(seen) = target.observe(&name).await {
        let live = seen.weight > Weight::ZERO;
        if live && end.result == DriveResult::NoTarget {
            end.hint = Some(format!("its canary has {}; take that back: hms rollback --env canary --app {}", seen.weight, rollback.app));
        }
        end.address = seen.address;
    }
    Ok(end)
}

/// Tells the engine whose canary this took back, so that nobody waits at its gate until its next sample is due. One that does not
/// answer finds out then.
fn tell_the_superseded(state: &Path, rollback: &RollbackRequest) {
    let folder = |rollout: &RolloutId| folder_of(state, &rollback.app, rollout);
    let created = reader::read(&folder(&rollback.rollout)).ok().flatten().and_then(|state| state.created);
    let superseded = created.and_then(|created| created.supersedes);
    let holder = superseded.as_ref().and_then(|superseded| reader::holder(&folder(superseded)));
    if let Some(socket) = holder.and_then(|holder| holder.socket) {
        let request =
            ControlRequest { id: ulid::Ulid::generate().to_string(), actor: rollback.actor.clone(), command: event::Command::Look {} };
        let _ = command(&socket, &request, HEARD);
    }
}

pub(super) fn aim(to: String) -> Aim {
    to.parse().map_or(Aim::Name(to), Aim::Digest)
}

fn ended(end: RollbackEnd) -> DriveEnd {
    let empty = DriveEnd::default();
    match end {
        RollbackEnd::AlreadyReverted { to, further_back } => {
            DriveEnd { result: DriveResult::AlreadyReverted, to: Some(to), further_back, ..empty }
        }
        RollbackEnd::NothingToRevert { stable } => DriveEnd { result: DriveResult::NothingToRevert, to: stable, ..empty },
        RollbackEnd::Moved { now } => DriveEnd { result: DriveResult::Moved, to: now, ..empty },
        RollbackEnd::NoTarget { why } => DriveEnd { result: DriveResult::NoTarget, reason: Some(why), ..empty },
        RollbackEnd::Cancelled { by } => DriveEnd { result: DriveResult::Cancelled, by: Some(by), ..empty },
        RollbackEnd::Reverted { rollout, from, to, applied, served, unrecorded } => DriveEnd {
            result: DriveResult::Reverted,
            rollout: Some(rollout),
            from,
            to,
            requested: Some(Weight::ZERO),
            applied: Some(applied),
            served,
            unrecorded,
            ..empty
        },
        RollbackEnd::Failed { reason, last_lines, further_back } => {
            DriveEnd { result: DriveResult::Failed, reason: Some(reason), last_lines, further_back, ..empty }
        }
        RollbackEnd::Superseded { by } => DriveEnd { result: DriveResult::Superseded, superseded_by: by, ..empty },
    }
}
