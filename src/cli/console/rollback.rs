//! `R`: rollbacks that a console asks for. Each is a process of its own, which counts down and fires by itself; the console
//! only follows its lines, and may die meanwhile.

use std::time::Duration;

use ulid::Ulid;

use crate::event::{AppName, Arm, Digest, EnvironmentName, RolloutId};
use crate::rollout::{CountdownAsk, ask_countdown};

use super::super::drive::{DriveEnd, DriveRequest, DriveResult, start_rollback};
use super::super::environment::{Environment, actor};
use super::super::failure::{Exit, Failure};

const VIA: &str = "hms";

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
    match ask_countdown(&environment.places.state, app, rollout, ask)? {
        Some(answer) if answer.end == "accepted" => Ok(String::new()),
        Some(answer) => Err(Failure::new(Exit::Refused, answer.end)),
        None => Err(Failure::new(Exit::Failed, "it does not count down any more")),
    }
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
