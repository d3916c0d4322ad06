//! `hms drill`: the rollback rehearsed, without touching traffic.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use crate::event::{Drill, DrillResult};
use crate::ledger::LedgerPlaces;
use crate::rollout::wired::{LedgerRecorder, ground};
use crate::rollout::{DrillEnd, DrillRequest, DrillSetup, Rehearsal, drill};
use crate::store::now;
use crate::text::{age, plain};

use super::arguments::{DrillArguments, Output};
use super::drive::aim;
use super::environment::{Environment, actor};
use super::failure::{Exit, Failure};
use super::place::{Place, Refused, app_of, notice, outside_run, refuse};

/// Rehearses, and gives the exit code: 0 when a rollback would go, 1 when it would not.
pub(crate) fn rehearse(asked: &DrillArguments, at: Option<&Path>, output: Output) -> Result<u8, Failure> {
    let environment = Environment::find()?;
    let about = Refused { verb: "hms drill", app: asked.app.as_ref(), environment: Some(&asked.env), digest: None };
    outside_run(&environment, &about)?;
    let app = app_of(asked.app.as_ref(), at)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let end = runtime.block_on(async {
        let place = Place::find(&environment, &app, None).await?;
        let name = place.resolve(&asked.env).environment;
        let target = Arc::new(place.target_of(&name).await?);
        let rehearsal = if target.starts_beside() { Rehearsal::Start } else { Rehearsal::Check };
        let setup = DrillSetup {
            target,
            recorder: Arc::new(LedgerRecorder::new(LedgerPlaces::of(&environment.places))),
            tell: Arc::new(notice),
            clock: Arc::new(now),
            start_timeout: ground::START_TIMEOUT,
            rehearsal,
        };
        let request = DrillRequest {
            app: app.clone(),
            environment: name,
            to: asked.to.clone().map(aim),
            actor: actor("hms drill"),
            reason: asked.reason.clone(),
            policy_hash: place.policy_hash(),
        };
        Ok::<_, Failure>(Box::pin(drill(&setup, &request)).await?)
    })?;
    match end {
        DrillEnd::Rehearsed(done) => report(&done, output),
        DrillEnd::NoTarget(why) => {
            Err(Failure::new(Exit::NotCarriedOut, format!("a rollback of {} would have nowhere to go: {why}", asked.env)))
        }
        DrillEnd::Refused(refusal) => {
            let about = Refused { verb: "hms drill", app: Some(&app), environment: Some(&asked.env), digest: None };
            Err(refuse(&environment, &about, refusal))
        }
    }
}

fn report(done: &Drill, output: Output) -> Result<u8, Failure> {
    let failed = matches!(done.result, DrillResult::Failed { .. });
    let mut out = std::io::stdout().lock();
    match output {
        Output::Json => writeln!(out, "{}", json!({"format": 1, "drill": done}))?,
        Output::Text => writeln!(out, "{} rollback rehearsed: {}", if failed { '✘' } else { '✔' }, plain(&done.to_string()))?,
    }
    Ok(u8::from(failed))
}

/// The last rehearsal, for a status: `2h ago: v1.4.0: healthy in 0.8 s`.
pub(crate) fn told(done: &Drill) -> String {
    let seconds = u64::try_from((now() - done.at).num_seconds()).unwrap_or(0);
    format!("{} ago: {done}", age(seconds))
}
