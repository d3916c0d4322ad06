//! `hms rollback` and `hms-deploy rollback`: start the process that goes back, follow it, say what is so now.

use std::io::Write;
use std::path::Path;

use serde_json::json;

use crate::deploy::Target as _;
use crate::deploy::local::LocalTarget;
use crate::event::{AppName, ReleaseRef, RolloutId, Weight};
use crate::repo::NamedRelease;
use crate::text::{plain, share};

use super::arguments::{Output, RollbackArguments};
use super::deploy::moved;
use super::drive::{DriveEnd, DriveRequest, DriveResult, start_rollback};
use super::environment::{Environment, actor};
use super::failure::{Exit, Failure};
use super::ledger_verb::local_apps;
use super::place::{Place, Refused, app_of, cluster_of, is_own_clone, measured, notice, outside_run, refuse, short};
use super::run_new::Clone;

/// Goes back, and gives the exit code. `at` is where the repository is, if the app is not named.
pub(crate) fn rollback(arguments: &RollbackArguments, at: Option<&Path>, output: Output, via: &str) -> Result<u8, Failure> {
    let environment = Environment::find_whatever_the_operator_wrote(&mut |text| notice(&text))?;
    let about = Refused { verb: via, app: arguments.app.as_ref(), environment: Some(&arguments.env), digest: None };
    outside_run(&environment, &about)?;
    let app = app_of(arguments.app.as_ref(), at)?;
    let to = arguments.to.as_deref().map(|to| meant(&environment, &app, arguments, to, at)).transpose()?;
    let request = DriveRequest {
        rollout: RolloutId::from_ulid(ulid::Ulid::generate()),
        cluster: cluster_of(&environment, &app, arguments.target.as_ref())?,
        app,
        environment: arguments.env.clone(),
        arm: None,
        from: None,
        to,
        delay_ms: 0,
        actor: actor(via),
        reason: arguments.reason.clone(),
        run: None,
    };
    if arguments.app.is_some() && request.cluster.is_none() {
        known_here(&environment, &request.app)?;
    }
    let end = start_rollback(&environment, &request)?.follow(&mut notice)?;
    let mut out = std::io::stdout();
    let (lines, complaints) = tell(&end, arguments, &request);
    match output {
        Output::Json => writeln!(out, "{}", as_json(&end, hint_of(&end, arguments, &request).as_deref()))?,
        Output::Text => {
            for line in lines {
                writeln!(out, "{}", plain(&line))?;
            }
        }
    }
    for line in complaints {
        notice(&line);
    }
    if matches!(end.result, DriveResult::AlreadyReverted | DriveResult::NothingToRevert)
        && LocalTarget::open(&environment.places, &request.app, &environment.program).was_stopped()?
    {
        let why = format!("{} was stopped by a person (hms local stop): nothing serves users", request.app);
        let hint = format!("hms-deploy status --app {} says what brings it back", request.app);
        return Err(Failure::new(Exit::NotCarriedOut, why).hint(hint));
    }
    Ok(end.result.exit())
}

/// A slip of the keys is no environment where nothing is to revert.
fn known_here(environment: &Environment, app: &AppName) -> Result<(), Failure> {
    let apps: Vec<String> = local_apps(&environment.places)?.into_iter().map(|(app, _)| app).collect();
    if apps.iter().any(|known| known == app.as_str()) {
        return Ok(());
    }
    let failure = Failure::new(Exit::NotCarriedOut, format!("nothing of {app} was ever deployed here"));
    Err(if apps.is_empty() { failure } else { failure.hint(format!("what was deployed here: {}", apps.join(", "))) })
}

/// What `--to` names. A git tag of the app's own clone is the release of its commit, and refused when that was another commit while the
/// release was made; everything else is for whoever goes back to find in the record.
fn meant(environment: &Environment, app: &AppName, arguments: &RollbackArguments, to: &str, at: Option<&Path>) -> Result<String, Failure> {
    let name = &arguments.env;
    let as_it_is = || Ok(to.to_owned());
    let Some(clone) = Clone::find(at).ok() else { return as_it_is() };
    let Ok(NamedRelease::Commit { revision, tag: Some(_) }) = clone.repository.resolve_tag(to) else { return as_it_is() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let found = runtime.block_on(async {
        let place =
            Place::find(environment, app, arguments.target.as_ref()).await.ok().filter(|place| is_own_clone(&clone, &place.record))?;
        let environment = place.resolve(name).environment;
        place.target_of(&environment).await.ok()?.record(&environment).await.ok()
    });
    let Some(record) = found else { return as_it_is() };
    let single = record.current.iter().chain(&record.previous).chain(&record.origin);
    let known: Vec<&ReleaseRef> = single.chain(&record.healthy).chain(&record.releases).collect();
    let of_commit = |release: &&&ReleaseRef| release.revision.as_ref() == Some(&revision);
    let called: Vec<&ReleaseRef> = known.iter().copied().filter(|release| release.tag == to).collect();
    if let Some(was) = called.first()
        && !called.iter().any(|release| of_commit(&release))
    {
        let about = Refused { verb: "rollback", app: Some(app), environment: Some(name), digest: Some(&was.digest) };
        return Err(refuse(environment, &about, moved(was, Some(revision.short()))));
    }
    Ok(known.iter().find(of_commit).map_or_else(|| to.to_owned(), |release| release.digest.to_string()))
}

/// Result lines, and what belongs on standard error.
fn tell(end: &DriveEnd, arguments: &RollbackArguments, request: &DriveRequest) -> (Vec<String>, Vec<String>) {
    let name = &arguments.env;
    let environment = end.environment.as_ref().unwrap_or(name);
    let to = end.to.as_ref();
    let mut lines = Vec::new();
    let mut complaints = Vec::new();
    match end.result {
        DriveResult::Reverted => {
            lines.push(to.map_or_else(
                || format!("✔ The canary was taken back; nothing is left in {environment}"),
                |to| format!("✔ Reverted to tag {}", short(to)),
            ));
            lines.push(standing(end));
            if end.unrecorded {
                complaints.push("UNRECORDED: the ledger does not hold this yet; the next entry takes it in".to_owned());
            }
        }
        DriveResult::AlreadyReverted => {
            let here = to.map(short).unwrap_or_default();
            lines.push(match (&end.further_back, &end.before) {
                (Some(back), _) => format!("already reverted to {here}; further back: --to {}", back.tag),
                (None, Some(before)) => {
                    format!(
                        "already reverted to {here}; nothing is further back; before that it had {}: --to {}",
                        short(before),
                        before.tag
                    )
                }
                (None, None) => format!("already reverted to {here}; nothing is further back"),
            });
        }
        DriveResult::NothingToRevert => {
            lines.push(to.map_or_else(
                || format!("nothing to revert: nothing was ever released to {environment}"),
                |to| format!("nothing to revert: {environment} has {}", short(to)),
            ));
        }
        DriveResult::Moved => lines.push(format!("nothing was done: {environment} is now {}", to.map_or("empty", short))),
        DriveResult::Cancelled => {
            let by = end.by.as_ref().map(|by| by.login.clone()).unwrap_or_default();
            lines.push(format!("the rollback was taken back by {by}"));
        }
        DriveResult::NoTarget | DriveResult::Refused | DriveResult::Failed | DriveResult::NotCarriedOut => {
            complaints.push(format!("Error: {}", end.reason.clone().unwrap_or_default()));
            complaints.extend(end.last_lines.iter().map(|line| format!("  | {line}")));
            complaints.extend(hint_of(end, arguments, request).map(|hint| format!("Hint: {hint}")));
        }
        DriveResult::Superseded => {
            let by = end.superseded_by.as_ref().map(|by| format!(" {by}")).unwrap_or_default();
            complaints.push(format!("Error: another rollback{by} took its place"));
            complaints.extend(hint_of(end, arguments, request).map(|hint| format!("Hint: {hint}")));
        }
    }
    (lines, complaints)
}

/// The way out of a rollback that was not done.
fn hint_of(end: &DriveEnd, arguments: &RollbackArguments, request: &DriveRequest) -> Option<String> {
    let (name, app) = (&arguments.env, &request.app);
    let further = || end.further_back.as_ref().map(|release| format!("hms rollback --env {name} --to {} --app {app}", release.tag));
    let known = || match end.result {
        DriveResult::NoTarget => Some(format!("hms-deploy history --env {name} --app {app}")),
        DriveResult::Superseded => Some(format!("hms status --app {app}")),
        DriveResult::Reverted
        | DriveResult::AlreadyReverted
        | DriveResult::NothingToRevert
        | DriveResult::Moved
        | DriveResult::Cancelled
        | DriveResult::Refused
        | DriveResult::Failed
        | DriveResult::NotCarriedOut => None,
    };
    end.hint.clone().or_else(further).or_else(known)
}

/// Where, what has the traffic, and how much of it: in force and measured.
fn standing(end: &DriveEnd) -> String {
    let target = end.target.as_ref().map(|target| target.name.clone()).unwrap_or_default();
    let address = end.address.as_ref().map(|address| format!(" at {address}")).unwrap_or_default();
    let environment = end.environment.as_ref().map(ToString::to_string).unwrap_or_default();
    let weight = |weight: Option<Weight>| weight.map_or_else(|| "–".to_owned(), |weight| share(weight.fraction()));
    let seen = |of: &dyn Fn(f64) -> f64| match measured(end.served) {
        Some((canary, requests)) => format!("measured {} of {requests} requests", share(of(canary))),
        None => "no requests since".to_owned(),
    };
    match &end.to {
        Some(to) => format!(
            "  {environment} on {target}{address}: {} has {} of the traffic, all of it asked for, {}",
            to.tag,
            weight(end.applied.map(rest)),
            seen(&|canary| 1.0 - canary)
        ),
        None => format!(
            "  {environment} on {target}{address}: nothing has the traffic; canary {} asked for, {} in force, {}",
            weight(end.requested),
            weight(end.applied),
            seen(&|canary| canary)
        ),
    }
}

/// What the canary does not have.
fn rest(canary: Weight) -> Weight {
    Weight::from_thousandths(Weight::FULL.thousandths().saturating_sub(canary.thousandths())).unwrap_or(Weight::FULL)
}

/// What was not done has the fields of every failure too (`assets/failure.schema.json`).
fn as_json(end: &DriveEnd, hint: Option<&str>) -> serde_json::Value {
    let error = (end.result.exit() != 0).then(|| match (&end.reason, &end.superseded_by) {
        (Some(reason), _) => reason.clone(),
        (None, Some(by)) => format!("another rollback {by} took its place"),
        (None, None) => "nothing was reverted".to_owned(),
    });
    let mut value = told(end);
    if let (Some(error), Some(fields)) = (error, value.as_object_mut()) {
        fields.extend([
            ("error".to_owned(), json!(error)),
            ("causes".to_owned(), json!([])),
            ("hint".to_owned(), json!(hint)),
            ("refusal".to_owned(), json!(end.refusal)),
        ]);
    }
    value
}

fn told(end: &DriveEnd) -> serde_json::Value {
    json!({
        "format": 1,
        "result": end.result,
        "exit_code": end.result.exit(),
        "environment": end.environment,
        "target": end.target,
        "address": end.address,
        "rollout": end.rollout,
        "from": end.from,
        "to": end.to,
        "further_back": end.further_back,
        "before": end.before,
        "weight": {
            "requested": end.requested,
            "applied": end.applied,
            "measured": measured(end.served).map(|(fraction, _)| fraction),
        },
        "traffic": end.to.as_ref().map(|_| json!({
            "applied": end.applied.map(rest),
            "measured": measured(end.served).map(|(canary, _)| 1.0 - canary),
        })),
        "unrecorded": end.unrecorded,
        "reason": end.reason,
        "last_lines": end.last_lines,
    })
}
