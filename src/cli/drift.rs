//! `hms drift`: what runs beside the record, and the two ways out of it: the record says what runs (`adopt`), or what was recorded runs
//! again (`restore`).

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::deploy::{AnyTarget, Target, TargetError};
use crate::event::{AppName, Drift, EnvironmentName, EnvironmentRecord, Refusal, RefusalKind, ReleaseRef};
use crate::ledger::{Entry, Phase};
use crate::text::plain;

use super::arguments::{AdoptArguments, DriftVerb, Output, RollbackArguments};
use super::environment::{Environment, actor};
use super::failure::{Exit, Failure};
use super::place::{Place, Refused, app_of, enter, outside_run, refuse};
use super::rollback::rollback;

/// How long the ledger may take.
const LEDGER: Duration = Duration::from_secs(10);
/// How often the record is written when somebody else's write came between.
const TRIES: u32 = 8;

/// Carries out a verb of drift.
pub(crate) fn drift(verb: &DriftVerb, at: Option<&Path>, output: Output) -> Result<u8, Failure> {
    let environment = Environment::find()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match verb {
        DriftVerb::Show { env, app } => {
            let app = app_of(app.as_ref(), at)?;
            runtime.block_on(show(&environment, &app, env.as_ref(), output))
        }
        DriftVerb::Adopt(asked) => {
            let app = app_of(asked.app.as_ref(), at)?;
            runtime.block_on(adopt(&environment, &app, asked, output))
        }
        DriftVerb::Restore(asked) => {
            let app = app_of(asked.app.as_ref(), at)?;
            let wanted = runtime.block_on(recorded(&environment, &app, &asked.env))?;
            let reason = Some(asked.reason.clone());
            let arguments = match wanted {
                Restored::Canary => RollbackArguments { env: canary()?, to: None, app: Some(app), target: None, reason },
                Restored::Stable(release) => {
                    RollbackArguments { env: asked.env.clone(), to: Some(release.digest.to_string()), app: Some(app), target: None, reason }
                }
            };
            drop(runtime);
            rollback(&arguments, at, output, "hms drift restore")
        }
    }
}

fn canary() -> Result<EnvironmentName, Failure> {
    "canary".parse().map_err(|error| Failure::of(Exit::NotCarriedOut, &error))
}

/// What is different in an environment, in words, each with what there is to do.
pub(crate) fn drift_lines(environment: &EnvironmentName, app: &AppName, found: &[Drift]) -> Vec<(String, String)> {
    let one = |drift: &Drift| {
        let adopt = format!("hms drift adopt --env {environment} --app {app} --reason TEXT");
        let restore = format!("hms drift restore --env {environment} --app {app} --reason TEXT");
        let what = match drift {
            Drift::Stable { found: Some(_), .. } => format!("keep what runs: {adopt}; or what was recorded: {restore}"),
            Drift::Stable { found: None, .. } | Drift::Canary { .. } => format!("as it was recorded: {restore}"),
            Drift::Changed { .. } => {
                format!("keep it: {adopt}; what was recorded: {restore}; or another release: hms rollback --env {environment} --app {app}")
            }
        };
        (drift.to_string(), what)
    };
    found.iter().map(one).collect()
}

async fn show(environment: &Environment, app: &AppName, env: Option<&EnvironmentName>, output: Output) -> Result<u8, Failure> {
    let place = Place::find(environment, app, None).await?;
    let known = match env {
        Some(name) => {
            let name = place.resolve(name).environment;
            let target = place.target_of(&name).await?;
            vec![(name, target)]
        }
        None => place.environments().await?,
    };
    let mut all: Vec<(EnvironmentName, Vec<Drift>)> = Vec::new();
    for (name, target) in known {
        let found = target.drift(&name).await?;
        all.push((name, found));
    }
    let mut out = std::io::stdout().lock();
    let drifted = all.iter().any(|(_, found)| !found.is_empty());
    if output == Output::Json {
        let environments: Vec<Value> = all.iter().map(|(name, found)| json!({"environment": name, "drift": found})).collect();
        writeln!(out, "{}", json!({"format": 1, "app": app, "drifted": drifted, "environments": environments}))?;
        return Ok(u8::from(drifted));
    }
    for (name, found) in &all {
        if found.is_empty() {
            writeln!(out, "{name}: what runs is what is recorded")?;
        }
        for (what, ways_out) in drift_lines(name, app, found) {
            writeln!(out, "{name}: DRIFT: {}\n  {ways_out}", plain(&what))?;
        }
    }
    Ok(u8::from(drifted))
}

/// What a restore brings back.
enum Restored {
    Stable(Box<ReleaseRef>),
    Canary,
}

async fn recorded(environment: &Environment, app: &AppName, env: &EnvironmentName) -> Result<Restored, Failure> {
    let place = Place::find(environment, app, None).await?;
    let name = place.resolve(env).environment;
    let target = place.target_of(&name).await?;
    let (record, found) = (target.record(&name).await?, target.drift(&name).await?);
    let nothing = |what: String| Failure::from(Refusal::new(RefusalKind::NotWaiting, what).hint("hms drift show"));
    match (found.first(), record.current) {
        (Some(Drift::Stable { .. }), Some(current)) => Ok(Restored::Stable(Box::new(current))),
        (Some(Drift::Canary { .. }), _) => Ok(Restored::Canary),
        // Where its bytes or its template are kept, it is as it was again.
        (Some(Drift::Changed { .. }), Some(current)) if matches!(target.placed(&current.digest).await, Ok(Some(_))) => {
            Ok(Restored::Stable(Box::new(current)))
        }
        (Some(Drift::Changed { what, .. }), _) => {
            let message = format!("the bytes of what is recorded are not here any more ({what}), so it cannot be started again");
            Err(Failure::from(
                Refusal::new(RefusalKind::ReleaseMissing, message).hint(format!("hms rollback --env {name}, or run its commit again")),
            ))
        }
        (Some(Drift::Stable { .. }), None) | (None, _) => Err(nothing(format!("what runs in {name} is what is recorded"))),
    }
}

async fn adopt(environment: &Environment, app: &AppName, asked: &AdoptArguments, output: Output) -> Result<u8, Failure> {
    let about = Refused { verb: "hms drift adopt", app: Some(app), environment: Some(&asked.env), digest: None };
    outside_run(environment, &about)?;
    if asked.reason.trim().is_empty() {
        return Err(Failure::new(Exit::Usage, "adopting what runs needs a reason").hint("--reason TEXT"));
    }
    let place = Place::find(environment, app, None).await?;
    let name = place.resolve(&asked.env).environment;
    let target = place.target_of(&name).await?;
    let mut done: Option<(Vec<Drift>, EnvironmentRecord)> = None;
    for _ in 0..TRIES {
        let (record, found) = (target.record(&name).await?, target.drift(&name).await?);
        let changed = match adopted(&target, &record, &found).await {
            Ok(changed) => changed,
            Err(refusal) => return Err(refuse(environment, &about, refusal)),
        };
        let mut entry = Entry::new("drift.adopt", Phase::Note, actor("hms drift adopt"));
        entry.app = Some(app.clone());
        entry.environment = Some(name.clone());
        entry.target = Some(target.identity().await?);
        let current = changed.current.as_ref();
        entry.tag = current.map(|release| release.tag.clone());
        entry.revision = current.and_then(|release| release.revision.clone());
        entry.digest = current.map(|release| release.digest.clone());
        entry.previous = record.current.as_ref().map(|release| release.digest.clone());
        entry.policy_hash = Some(place.policy_hash());
        let what: Vec<String> = found.iter().map(ToString::to_string).collect();
        entry.reason = Some(format!("{}: {}", asked.reason, what.join("; ")));
        enter(environment, entry, LEDGER)?;
        match target.put_record(changed).await {
            Err(TargetError::Conflict { .. }) => {}
            Ok(record) => {
                done = Some((found, record));
                break;
            }
            Err(error) => return Err(error.into()),
        }
    }
    let (found, record) = done.ok_or_else(|| {
        Failure::new(Exit::NotCarriedOut, "somebody else changes this environment's record all the time").hint("say it again")
    })?;
    let mut out = std::io::stdout().lock();
    match output {
        Output::Json => writeln!(out, "{}", json!({"format": 1, "environment": name, "adopted": found, "current": record.current}))?,
        Output::Text => {
            for drift in &found {
                writeln!(out, "✔ adopted in {name}: {}", plain(&drift.to_string()))?;
            }
        }
    }
    Ok(0)
}

/// The record that says what runs. What runs without a place in it, or not at all, is not adopted.
async fn adopted(target: &AnyTarget, record: &EnvironmentRecord, found: &[Drift]) -> Result<EnvironmentRecord, Refusal> {
    let mut changed = record.clone();
    let name = &record.environment;
    if found.is_empty() {
        return Err(Refusal::new(RefusalKind::NotWaiting, format!("what runs in {name} is what is recorded")).hint("hms drift show"));
    }
    if let Some(slot) = &record.slot {
        let message = format!("{} holds {name}: let it end first", slot.release.tag);
        return Err(Refusal::new(RefusalKind::SlotTaken, message).hint(format!("hms rollback --env {name}")));
    }
    for drift in found {
        match drift {
            Drift::Changed { .. } => changed.adopted.push(drift.clone()),
            Drift::Stable { found: Some(digest), .. } => {
                let known = [&record.previous, &record.origin].into_iter().flatten().chain(&record.healthy).chain(&record.releases);
                let release = match known.into_iter().find(|release| release.digest == *digest).cloned() {
                    Some(release) => Some(release),
                    None => target
                        .releases()
                        .await
                        .ok()
                        .and_then(|all| all.into_iter().map(|one| one.release).find(|one| one.digest == *digest)),
                };
                // A target that can keep what it knows nothing of makes it a release.
                let kept = match &release {
                    Some(_) => None,
                    None => target.adopt(name).await.ok().flatten().filter(|kept| kept.digest == *digest),
                };
                let Some(release) = release.or(kept) else {
                    let message = format!("{} runs in {name}, and nothing is known of it", digest.short());
                    return Err(
                        Refusal::new(RefusalKind::ReleaseMissing, message).hint(format!("hms drift restore --env {name} --reason TEXT"))
                    );
                };
                changed.previous = changed.current.replace(release);
                changed.returned_to = None;
            }
            Drift::Stable { found: None, .. } | Drift::Canary { .. } => {
                let message = format!("{drift}: that is nothing to keep");
                return Err(Refusal::new(RefusalKind::NotWaiting, message).hint(format!("hms drift restore --env {name} --reason TEXT")));
            }
        }
    }
    Ok(changed)
}
