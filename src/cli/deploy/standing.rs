//! `hms-deploy status` and `hms status --app`: how an app's environments stand, as their target tells it. Needs no clone.

use std::io::Write;
use std::path::Path;

use chrono::{DateTime, Local, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::cli::arguments::Output;
use crate::cli::drift::drift_lines;
use crate::cli::drill;
use crate::cli::environment::Environment;
use crate::cli::failure::{Exit, Failure};
use crate::cli::freeze::{freeze_json, frozen_line, next_line, windows};
use crate::cli::place::{Place, app_of, measured, notice, policy_around, shown, targets};
use crate::deploy::{ArmName, Observation, Target};
use crate::event::{AppName, Drift, EnvironmentName, EnvironmentRecord, ReleaseRef, RolloutState, TargetIdentity, Weight};
use crate::policy::FreezeWindow;
use crate::rollout::wired::{ClusterName, Home};
use crate::rollout::{folder_of, reader};
use crate::store::{self, Holder, now, this_inside_run};
use crate::text::{plain, share};

/// An environment as its target tells it, beside what this host knows of who changes it.
struct Standing {
    record: EnvironmentRecord,
    seen: Observation,
    /// The rollout that holds it, when its journal is on this host.
    rollout: Option<RolloutState>,
    driver: Option<Holder>,
    /// What runs beside the record, or why that cannot be told.
    drift: Result<Vec<Drift>, String>,
    unwatched_since: Option<DateTime<Utc>>,
}

/// Tells how one environment stands, or all of them.
pub(crate) fn status(
    env: Option<&EnvironmentName>,
    app: Option<&AppName>,
    named: Option<&ClusterName>,
    at: Option<&Path>,
    output: Output,
) -> Result<u8, Failure> {
    let environment = Environment::find_whatever_the_operator_wrote(&mut |text| notice(&text))?;
    let app = app_of(app, at)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (place, identity, standings) = runtime.block_on(look(&environment, &app, named, env))?;
    let mut out = std::io::stdout();
    match output {
        Output::Json => writeln!(out, "{}", as_json(&place, &identity, &standings, &windows(&place, &environment)))?,
        Output::Text => tell(&mut out, &place, &identity, &standings, &windows(&place, &environment))?,
    }
    Ok(0)
}

async fn look(
    environment: &Environment,
    app: &AppName,
    named: Option<&ClusterName>,
    env: Option<&EnvironmentName>,
) -> Result<(Place, TargetIdentity, Vec<Standing>), Failure> {
    let at_home = matches!(targets(environment, app).at(named.cloned()).known_home(policy_around(app).as_ref()).await?, Home::Local);
    let local = crate::deploy::local::LocalTarget::open(&environment.places, app, &environment.program);
    let halted = if at_home { local.halted()? } else { None };
    if let Some(process) = &halted {
        notice(&format!(
            "the supervisor of {app} (pid {0}) was stopped by a signal: this is what it wrote down last; kill -CONT {0} wakes it",
            process.pid
        ));
    }
    // A job may look, but the supervisor that looking would start would be that job's (`docs/decisions.md` 1.5).
    if at_home
        && halted.is_none()
        && this_inside_run(&environment.places.state) != store::Inside::No
        && local.status().await?.supervisor.is_none()
    {
        return Err(Failure::new(Exit::NotCarriedOut, format!("the local target of {app} does not run, and a job may not start it")));
    }
    let place = match &halted {
        Some(_) => Place::at(environment, app, None, local.from_store().into()).await?,
        None => Place::find(environment, app, named).await?,
    };
    let identity = place.target.identity().await?;
    let known = match env {
        Some(name) => {
            let name = place.resolve(name).environment;
            let target = place.target_of(&name).await?;
            vec![(name, target)]
        }
        None => place.environments().await?,
    };
    let mut standings = Vec::new();
    for (name, target) in known {
        let record = target.record(&name).await?;
        if record.version > 0 {
            let drift = target.drift(&name).await.map_err(|error| error.to_string());
            standings.push(stand(environment, app, record, target.observe(&name).await?, drift));
        }
    }
    if standings.is_empty() {
        let what =
            env.map_or_else(|| format!("nothing of {app} was ever deployed here"), |name| format!("{app} was never deployed to {name}"));
        return Err(Failure::new(Exit::NotCarriedOut, what).hint("hms run, or name another app with --app"));
    }
    Ok((place, identity, standings))
}

fn stand(
    environment: &Environment,
    app: &AppName,
    record: EnvironmentRecord,
    seen: Observation,
    drift: Result<Vec<Drift>, String>,
) -> Standing {
    // Production that is watched after its promotion is held by nobody, and its rollout has a promise there.
    let rollout = record.slot.as_ref().map(|slot| &slot.rollout).or(record.watch.as_ref().map(|watch| &watch.rollout));
    let folder = rollout.map(|rollout| folder_of(&environment.places.state, app, rollout));
    let rollout = folder.as_ref().and_then(|folder| reader::read(folder).ok().flatten());
    let driver = folder.as_ref().and_then(|folder| reader::holder(folder));
    let unwatched_since = match &rollout {
        Some(rollout) => reader::unwatched(rollout, Some(&record), driver.as_ref(), now()),
        None => unwatched_elsewhere(&record, &seen, now()),
    };
    Standing { record, seen, rollout, driver, drift, unwatched_since }
}

/// A canary whose journal is not here: the promise in the record is all there is to go by.
fn unwatched_elsewhere(record: &EnvironmentRecord, seen: &Observation, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    if seen.weight == Weight::ZERO || !seen.arms.iter().any(|view| view.arm == ArmName::Canary) {
        return None;
    }
    match &record.watch {
        None => Some(record.slot.as_ref().map_or(seen.at, |slot| slot.since)),
        Some(watch) => {
            let ttl = i64::try_from(watch.ttl_seconds).ok().and_then(TimeDelta::try_seconds).unwrap_or(TimeDelta::MAX);
            let kept = watch.renewed_at.checked_add_signed(ttl).is_none_or(|end| end > now);
            (!kept).then_some(watch.renewed_at)
        }
    }
}

impl Standing {
    fn canary(&self) -> Option<&ReleaseRef> {
        let slot = self.record.slot.as_ref()?;
        let runs = self.seen.arms.iter().any(|view| view.arm == ArmName::Canary && view.release == slot.release.digest);
        runs.then_some(&slot.release)
    }

    fn unrecorded(&self) -> usize {
        self.record.unrecorded.len()
    }
}

fn tell(
    out: &mut dyn Write,
    place: &Place,
    identity: &TargetIdentity,
    standings: &[Standing],
    windows: &[FreezeWindow],
) -> Result<(), Failure> {
    let policy = place.record.policy.as_ref().map_or("none in force", |policy| policy.hash.short());
    writeln!(out, "{} on {} ({})  policy {policy}", place.record.app, plain(&identity.name), identity.kind)?;
    if place.target.was_stopped()? {
        writeln!(out, "STOPPED by a person: nothing serves users")?;
        let current = standings.iter().find_map(|standing| Some((&standing.record.environment, standing.record.current.as_ref()?)));
        if let Some((environment, current)) = current {
            notice(&format!("Hint: hms-deploy --env {environment} --promote {} --app {} brings it back", current.digest, place.record.app));
        }
    }
    if let Some(frozen) = frozen_line(windows, now()) {
        writeln!(out, "FROZEN: {frozen}")?;
    } else if let Some(next) = next_line(windows, now()) {
        writeln!(out, "next freeze: {next}")?;
    }
    for standing in standings {
        tell_one(out, standing)?;
    }
    Ok(())
}

fn tell_one(out: &mut dyn Write, standing: &Standing) -> Result<(), Failure> {
    let Standing { record, seen, .. } = standing;
    let address = seen.address.clone().unwrap_or_else(|| "no address yet".to_owned());
    writeln!(out, "{}  {}", record.environment, plain(&address))?;
    let rows = [
        ("current", record.current.as_ref()),
        ("previous", record.previous.as_ref()),
        ("last healthy", record.healthy.first()),
        ("origin", record.origin.as_ref()),
    ];
    for (name, release) in rows {
        if let Some(release) = release {
            writeln!(out, "  {name:<13} {}", plain(&shown(release)))?;
        }
    }
    if let Some(canary) = standing.canary() {
        writeln!(out, "  {:<13} {}", "canary", plain(&shown(canary)))?;
        let requested = record.weights.map_or_else(|| "–".to_owned(), |weights| share(weights.requested.fraction()));
        let seen_share = measured(seen.served)
            .map_or_else(|| "nothing measured yet".to_owned(), |(part, all)| format!("measured {} of {all} requests", share(part)));
        writeln!(out, "  {:<13} {requested} asked for, {} in force, {seen_share}", "weight", share(seen.weight.fraction()))?;
    }
    if let Some(verdict) = standing.rollout.as_ref().and_then(|rollout| rollout.verdict.as_ref()) {
        writeln!(out, "  {:<13} {}: {}", "verdict", verdict.class, plain(&verdict.reason))?;
    }
    if let Some(slot) = &record.slot {
        let by = standing
            .driver
            .as_ref()
            .map_or_else(String::new, |driver| format!(", driven by {} with pid {} on {}", driver.role, driver.process.pid, driver.host));
        writeln!(out, "  {:<13} {} since {}{}", "held by", plain(&slot.release.tag), clock(slot.since), plain(&by))?;
    }
    if let Some(done) = &record.drill {
        writeln!(out, "  {:<13} {}", "rehearsed", plain(&drill::told(done)))?;
    }
    match &standing.drift {
        Ok(found) => {
            for (what, ways_out) in drift_lines(&record.environment, &record.app, found) {
                writeln!(out, "  DRIFT: {}\n  {:<13} {ways_out}", plain(&what), "")?;
            }
        }
        Err(why) => writeln!(out, "  {:<13} it cannot be told what runs beside the record: {}", "drift", plain(why))?,
    }
    if let Some(since) = standing.unwatched_since {
        writeln!(out, "  UNWATCHED since {}", clock(since))?;
    } else if let Some(watch) = record.watch.as_ref().filter(|_| standing.canary().is_some() || record.slot.is_none()) {
        writeln!(out, "  {:<13} pid {} on {}", "watched by", watch.by.pid, plain(&watch.host))?;
    }
    if standing.unrecorded() > 0 {
        writeln!(out, "  UNRECORDED: {} not in the ledger yet", standing.unrecorded())?;
    }
    if let Some(ledger) = &record.ledger {
        let root = ledger.root.get(..12).unwrap_or(&ledger.root);
        writeln!(out, "  {:<13} {} entries, root {}, id {}", "ledger", ledger.size, plain(root), ledger.id)?;
    }
    Ok(())
}

/// The hour on this host; with the day when it is another one.
pub(super) fn clock(at: DateTime<Utc>) -> String {
    let (local, today) = (at.with_timezone(&Local), now().with_timezone(&Local));
    let format = if local.date_naive() == today.date_naive() { "%H:%M" } else { "%Y-%m-%d %H:%M" };
    local.format(format).to_string()
}

fn as_json(place: &Place, identity: &TargetIdentity, standings: &[Standing], windows: &[FreezeWindow]) -> Value {
    let policy = place.record.policy.as_ref();
    json!({
        "format": 1,
        "app": place.record.app,
        "target": identity,
        "stopped": place.target.was_stopped().unwrap_or(false),
        "policy": policy.map(|policy| json!({"hash": policy.hash, "accepted_at": time(policy.accepted_at), "by": policy.by})),
        "freeze": freeze_json(windows, now()),
        "environments": standings.iter().map(one_as_json).collect::<Vec<_>>(),
    })
}

fn one_as_json(standing: &Standing) -> Value {
    let Standing { record, seen, .. } = standing;
    let slot = record.slot.as_ref();
    let watched = standing.canary().map(|_| standing.unwatched_since.is_none());
    json!({
        "environment": record.environment,
        "address": seen.address,
        "current": record.current,
        "previous": record.previous,
        "last_healthy": record.healthy.first(),
        "healthy": record.healthy,
        "origin": record.origin,
        "returned_to": record.returned_to,
        "canary": standing.canary(),
        "weight": {
            "requested": record.weights.map(|weights| weights.requested),
            "applied": seen.weight,
            "measured": measured(seen.served).map(|(part, _)| part),
        },
        "verdict": standing.rollout.as_ref().and_then(RolloutState::verdict_class),
        "slot": slot.map(|slot| json!({"release": slot.release, "rollout": slot.rollout, "since": time(slot.since)})),
        "driver": standing.driver,
        "watched": watched,
        "unwatched_since": standing.unwatched_since.map(time),
        "unrecorded": standing.unrecorded(),
        "drill": record.drill,
        "drift": standing.drift.as_ref().ok(),
        "fence": record.fence,
        "ledger": record.ledger,
        "yeses": record.yeses,
    })
}

/// RFC 3339, UTC, milliseconds.
pub(super) fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}
