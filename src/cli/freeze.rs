//! `hms freeze`: which windows hold, what comes next, and breaking one for a release, with a reason. And how views tell of it.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Local, Utc};
use serde_json::{Value, json};

use crate::deploy::{Target, TargetError};
use crate::event::{AppName, BrokenFreeze, Digest, EnvironmentRecord, Refusal, RefusalKind};
use crate::policy::{FreezeFacts, FreezeWindow, Policy, Span, apply_floors, breakers, freeze_at};
use crate::store::now;
use crate::text::plain;

use super::arguments::{BreakArguments, FreezeVerb, Output};
use super::environment::{Environment, actor};
use super::failure::{Exit, Failure};
use super::place::{Place, Refused, app_of, enter, note_of_release, outside_run, refuse, shown};

/// How long the ledger may take.
const LEDGER: Duration = Duration::from_secs(10);
/// How often the record is written when somebody else's write came between.
const TRIES: u32 = 8;

/// Carries out a verb of freezes.
pub(crate) fn freeze(verb: &FreezeVerb, at: Option<&Path>, output: Output) -> Result<u8, Failure> {
    let environment = Environment::find()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match verb {
        FreezeVerb::Show { app } => {
            let app = app_of(app.as_ref(), at)?;
            let place = runtime.block_on(Place::find(&environment, &app, None))?;
            show(&app, &windows(&place, &environment), now(), output)
        }
        FreezeVerb::Break(asked) => {
            let app = app_of(asked.app.as_ref(), at)?;
            runtime.block_on(break_glass(&environment, &app, asked, output))
        }
    }
}

/// The windows in force: policy's and the operator's.
pub(crate) fn windows(place: &Place, environment: &Environment) -> Vec<FreezeWindow> {
    let stored = place.record.policy.as_ref().and_then(|accepted| Policy::from_text(&accepted.text).ok());
    let policy = stored.map(|stored| stored.policy).unwrap_or_default();
    apply_floors(&policy, &environment.operator.floors).0.freeze
}

/// A moment on the window's clocks and, where they differ, on this host's.
fn both(window: &FreezeWindow, at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let (there, here) = (window.shown(at, now), at.with_timezone(&Local).format("%a %H:%M").to_string());
    if there.contains(here.split(' ').next_back().unwrap_or_default()) { there } else { format!("{there}, {here} here") }
}

/// What holds now, in one sentence: until when, why, and by how many people it may be broken.
pub(crate) fn frozen_line(windows: &[FreezeWindow], now: DateTime<Utc>) -> Option<String> {
    let state = freeze_at(windows, now);
    let (_, window) = state.holding.first()?;
    let reasons: Vec<&str> = state.holding.iter().map(|(_, window)| window.reason.as_str()).collect();
    Some(format!("frozen until {}: {}", both(window, state.until?, now), plain(&reasons.join(", "))))
}

/// The freeze that comes next, in one sentence.
pub(crate) fn next_line(windows: &[FreezeWindow], now: DateTime<Utc>) -> Option<String> {
    let (span, window) = freeze_at(windows, now).next?;
    Some(format!("frozen from {} to {}: {}", both(window, span.from, now), both(window, span.to, now), plain(&window.reason)))
}

/// The same for programs.
pub(crate) fn freeze_json(windows: &[FreezeWindow], now: DateTime<Utc>) -> Value {
    let state = freeze_at(windows, now);
    let time = |at: DateTime<Utc>| at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    let one = |(span, window): &(Span, &FreezeWindow)| {
        json!({
            "from": time(span.from), "to": time(span.to), "zone": window.zone, "reason": window.reason, "break_glass": window.break_glass,
        })
    };
    json!({
        "frozen": !state.holding.is_empty(),
        "until": state.until.map(time),
        "holding": state.holding.iter().map(one).collect::<Vec<_>>(),
        "next": state.next.as_ref().map(one),
    })
}

fn show(app: &AppName, windows: &[FreezeWindow], now: DateTime<Utc>, output: Output) -> Result<u8, Failure> {
    let mut out = std::io::stdout().lock();
    if output == Output::Json {
        let mut value = freeze_json(windows, now);
        if let Some(fields) = value.as_object_mut() {
            fields.insert("format".to_owned(), json!(1));
            fields.insert("app".to_owned(), json!(app));
            fields.insert("windows".to_owned(), json!(windows));
        }
        writeln!(out, "{value}")?;
        return Ok(0);
    }
    writeln!(out, "{app}: {}", frozen_line(windows, now).unwrap_or_else(|| "not frozen".to_owned()))?;
    writeln!(out, "next: {}", next_line(windows, now).unwrap_or_else(|| "no freeze is to come".to_owned()))?;
    for window in windows {
        let broken = match window.break_glass {
            0 => "nobody may break it".to_owned(),
            1 => "one person may break it".to_owned(),
            people => format!("{people} people may break it"),
        };
        writeln!(out, "  {}; {broken}", plain(&window.to_string()))?;
    }
    Ok(0)
}

async fn break_glass(environment: &Environment, app: &AppName, asked: &BreakArguments, output: Output) -> Result<u8, Failure> {
    let digest: Digest = asked.release.parse().map_err(|_| {
        Failure::new(Exit::Usage, format!("`{}` is no digest", asked.release))
            .hint(format!("a freeze is broken for certain bytes: sha256: and 64 digits; hms-deploy history --app {app} shows them"))
    })?;
    let about = Refused { verb: "hms freeze break", app: Some(app), environment: Some(&asked.env), digest: Some(&digest) };
    outside_run(environment, &about)?;
    if asked.reason.trim().is_empty() {
        return Err(Failure::new(Exit::Usage, "breaking a freeze needs a reason").hint("--reason TEXT"));
    }
    let place = Place::find(environment, app, None).await?;
    let Some(policy) = place.record.policy.as_ref() else {
        let refusal = Refusal::new(RefusalKind::Stale, format!("no policy is in force for {app}, so nothing is frozen"));
        return Err(refuse(environment, &about, refusal.hint("hms policy show")));
    };
    let (windows, now) = (windows(&place, environment), now());
    let holding = freeze_at(&windows, now).holding;
    if holding.is_empty() {
        let refusal = Refusal::new(RefusalKind::NotWaiting, format!("{} is not frozen now", asked.env));
        return Err(refuse(environment, &about, refusal.hint("hms freeze show")));
    }
    if let Some((_, window)) = holding.iter().find(|(_, window)| window.break_glass == 0) {
        let until = window.covering(now).map_or_else(String::new, |span| format!(" It ends {}.", both(window, span.to, now)));
        let refusal = Refusal::new(RefusalKind::Frozen, format!("nobody may break this freeze ({}).{until}", window.reason));
        return Err(refuse(
            environment,
            &about,
            refusal.hint("a rollback is never frozen; another policy is put in force with: hms policy accept"),
        ));
    }
    let placed = place.resolve(&asked.env);
    let target = place.target_of(&placed.environment).await?;
    let Some(found) = target.releases().await?.into_iter().find(|found| found.release.digest == digest) else {
        return Err(Failure::new(Exit::NotCarriedOut, format!("no release with the digest {digest} is at the target of {app}"))
            .hint(format!("hms-deploy history --app {app}")));
    };
    let broken = BrokenFreeze {
        actor: actor("hms freeze break"),
        release: digest.clone(),
        policy_hash: policy.hash.clone(),
        reason: asked.reason.clone(),
        at: now,
    };
    let record = target.record(&placed.environment).await?;
    let mut entry = note_of_release("freeze.break", broken.actor.clone(), &found.release, &record, target.identity().await?);
    entry.policy_hash = Some(broken.policy_hash.clone());
    entry.reason = Some(asked.reason.clone());
    enter(environment, entry, LEDGER)?;
    let record = put(&target, record, &broken).await?;
    let facts = FreezeFacts {
        environment: &placed.environment,
        release: &digest,
        policy_hash: &broken.policy_hash,
        broken: &record.broken_freezes,
        now,
    };
    let given = holding.iter().map(|(span, _)| breakers(&facts, *span).len()).min().unwrap_or(0);
    let wanted = holding.iter().map(|(_, window)| window.break_glass).max().unwrap_or(1);
    let mut out = std::io::stdout().lock();
    match output {
        Output::Json => writeln!(
            out,
            "{}",
            json!({"format": 1, "environment": placed.environment, "release": found.release, "people": given, "wanted": wanted})
        )?,
        Output::Text => {
            writeln!(out, "✔ the freeze of {} is broken for {}", placed.environment, plain(&shown(&found.release)))?;
            writeln!(out, "  {given} of {wanted} people; for this release alone, and until it ends")?;
        }
    }
    Ok(0)
}

async fn put(
    target: &crate::deploy::AnyTarget,
    mut record: EnvironmentRecord,
    broken: &BrokenFreeze,
) -> Result<EnvironmentRecord, Failure> {
    for _ in 0..TRIES {
        let environment = record.environment.clone();
        record.broken_freezes.push(broken.clone());
        match target.put_record(record).await {
            Err(TargetError::Conflict { .. }) => record = target.record(&environment).await?,
            answer => return Ok(answer?),
        }
    }
    Err(Failure::new(Exit::NotCarriedOut, "somebody else changes this environment's record all the time").hint("say it again"))
}
