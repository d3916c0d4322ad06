//! `R`: rollbacks that a console asks for. Each is a process of its own, which counts down and fires by itself; the console
//! only follows its lines, and may die meanwhile.

use std::path::Path;
use std::time::{Duration, Instant};

use ulid::Ulid;

use crate::cli::place::cluster_of;
use crate::event::{AppName, Arm, Digest, EnvironmentName, RolloutId, RolloutPhase};
use crate::rollout::{CountdownAsk, ask_countdown, folder_of, reader};

use super::super::drive::{DriveEnd, DriveRequest, DriveResult, start_rollback};
use super::super::environment::{Environment, actor};
use super::super::failure::{Exit, Failure};

const VIA: &str = "hms";
/// How long a countdown whose journal says that it counts may take to be reached, and how often it is tried.
const PATIENCE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(10);

/// What a person saw and wants back, by value.
pub(super) struct Wanted<'a> {
    pub(super) app: &'a AppName,
    pub(super) environment: &'a EnvironmentName,
    pub(super) arm: Arm,
    pub(super) from: Option<Digest>,
    pub(super) to: Option<Digest>,
    /// How long it may be taken back before it fires.
    pub(super) delay: Duration,
}

/// Goes back, and says how it stands when it is over.
pub(super) fn go_back(environment: &Environment, wanted: &Wanted<'_>) -> Result<String, Failure> {
    let request = DriveRequest {
        rollout: RolloutId::from_ulid(Ulid::generate()),
        cluster: cluster_of(environment, wanted.app, None)?,
        app: wanted.app.clone(),
        environment: wanted.environment.clone(),
        arm: Some(wanted.arm),
        from: wanted.from.clone(),
        to: wanted.to.as_ref().map(ToString::to_string),
        delay_ms: u64::try_from(wanted.delay.as_millis()).unwrap_or(u64::MAX),
        actor: actor(VIA),
        reason: None,
        run: None,
    };
    // What it says on the way is in its journal, which the screen shows.
    told(&start_rollback(environment, &request)?.follow(&mut |_| ())?, wanted)
}

/// Fires a rollback that counts down at once, or takes it back.
pub(super) fn countdown(environment: &Environment, app: &AppName, rollout: &RolloutId, ask: &CountdownAsk) -> Result<String, Failure> {
    let state = &environment.places.state;
    let end = Instant::now() + PATIENCE;
    loop {
        match ask_countdown(state, app, rollout, ask) {
            Ok(Some(answer)) if answer.end == "accepted" => return Ok(String::new()),
            Ok(Some(answer)) => return Err(Failure::new(Exit::Refused, answer.end)),
            // Its journal is on the screen before its socket is there: a quick key is not lost for that.
            Ok(None) | Err(_) if counts_down(state, app, rollout) && Instant::now() < end => std::thread::sleep(PAUSE),
            Ok(None) => return Err(Failure::new(Exit::Failed, "it does not count down any more")),
            Err(error) => return Err(error.into()),
        }
    }
}

fn counts_down(state: &Path, app: &AppName, rollout: &RolloutId) -> bool {
    let found = reader::read(&folder_of(state, app, rollout)).ok().flatten();
    found.is_some_and(|found| found.ended.is_none() && matches!(found.phase, RolloutPhase::Armed { .. }))
}

/// Takes it back as this person.
pub(super) fn cancel() -> CountdownAsk {
    CountdownAsk::Cancel { actor: actor(VIA) }
}

fn told(end: &DriveEnd, wanted: &Wanted<'_>) -> Result<String, Failure> {
    let name = end.environment.as_ref().unwrap_or(wanted.environment);
    let tag = end.to.as_ref().map_or("nothing", |release| release.tag.as_str());
    let failed = |exit: Exit| {
        let last = end.last_lines.last().map_or(String::new(), |line| format!(" (its last line: {line})"));
        let why = end.reason.clone().unwrap_or_else(|| "it did not say why".to_owned());
        let mut failure = Failure::new(exit, format!("{why}{last}"));
        let further = || {
            let further = end.further_back.as_ref()?;
            Some(format!("hms rollback --env {name} --to {} --app {}", further.tag, wanted.app))
        };
        if let Some(hint) = end.hint.clone().or_else(further) {
            failure = failure.hint(hint);
        }
        Err(failure)
    };
    match end.result {
        DriveResult::Reverted => {
            let unrecorded = if end.unrecorded { "; UNRECORDED: the ledger does not hold this yet" } else { "" };
            Ok(format!("{name} is on {tag}{unrecorded}"))
        }
        DriveResult::AlreadyReverted => Ok(format!("{name} is on {tag} already")),
        DriveResult::NothingToRevert => Ok(format!("there is nothing to take back: {name} has {tag}")),
        DriveResult::Moved => Ok(format!("nothing was done: {name} has {tag} by now")),
        DriveResult::Cancelled => Ok(format!("taken back by {}", end.by.as_ref().map_or("somebody", |by| by.login.as_str()))),
        DriveResult::Superseded => Ok("another rollback took its place".to_owned()),
        DriveResult::Refused => failed(Exit::Refused),
        DriveResult::Failed => failed(Exit::Failed),
        DriveResult::NoTarget | DriveResult::NotCarriedOut => failed(Exit::NotCarriedOut),
    }
}
