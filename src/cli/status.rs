//! `hms status`, `hms runs`, `hms logs`: reading only.

use std::io::Write;

use crate::deploy::ArmName;
use crate::deploy::local::LocalTarget;
use crate::event::{AppName, JobName, RolloutId, RolloutPhase, RolloutState, Weight};
use crate::executor::log_path;
use crate::report::{RunReport, engine_gone, run_report};
use crate::run::reader::{EngineLife, Listed, RunReader, find, list};
use crate::store::is_alive;
use crate::text::{duration, plain};

use super::arguments::Output;
use super::environment::Environment;
use super::failure::{Exit, Failure};
use super::follow::Followed;
use super::place::notice;
use super::run_new::Clone;

/// How a run stands.
pub(crate) fn status(environment: &Environment, clone: &Clone, run: Option<&str>, output: Output) -> Result<u8, Failure> {
    let listed = find(&clone.folder, run)?;
    let mut followed = Followed::new(&listed.folder, &environment.places);
    followed.poll()?;
    let folder = listed.folder.clone();
    let log = |job: &JobName, number: u32| log_path(&folder.attempt(job, number));
    if followed.engine()? == EngineLife::Dead {
        // Or it ended since the journal was read, and said so there first.
        followed.poll()?;
    }
    let rollouts = followed.rollouts();
    let mut report = run_report(followed.state(), &rollouts, followed.engine()?.word(), &log)
        .ok_or_else(|| Failure::new(Exit::NotCarriedOut, "the run's journal has no beginning"))?;
    if let Some(created) = &followed.state().created {
        look_there(environment, &created.app, &rollouts, &mut report)?;
    }
    let mut out = std::io::stdout();
    if output == Output::Json {
        let text = serde_json::to_string(&report).map_err(|error| Failure::of(Exit::NotCarriedOut, &error))?;
        writeln!(out, "{text}")?;
        return Ok(0);
    }
    writeln!(out, "run {} ({})  {}  {}  engine {}", report.number, report.run, plain(&report.tag), word(&report.outcome), report.engine)?;
    for job in &report.jobs {
        let took = job.duration_ms.map(duration).unwrap_or_default();
        let why = job.why.as_deref().map(plain).unwrap_or_default();
        writeln!(out, "  {:<12} {:<20} {took:<8} {why}", word(&job.status), plain(job.name.as_str()))?;
        for attempt in job.attempts.iter().filter(|_| job.attempts.len() > 1) {
            let took = attempt.duration_ms.map(duration).unwrap_or_default();
            let result = attempt.result.map_or_else(|| "goes on".to_owned(), |result| word(&result));
            let code = attempt.exit_code.filter(|code| *code != 0).map(|code| format!("exit {code}")).unwrap_or_default();
            let reason = attempt.failure_reason.map(|reason| word(&reason)).unwrap_or_default();
            writeln!(out, "    attempt {:<3} {result:<20} {took:<8} {code} {reason}", attempt.number)?;
        }
    }
    for rollout in &report.rollouts {
        let environment = rollout.environment.as_ref().map(ToString::to_string).unwrap_or_default();
        let share = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), crate::text::share);
        let weight = &rollout.weight;
        let verdict = rollout.verdict.map(|class| class.to_string()).unwrap_or_default();
        let watched = if rollout.watched == Some(false) { "  UNWATCHED" } else { "" };
        writeln!(
            out,
            "  rollout {environment}: requested {} applied {} measured {}  {verdict}{watched}",
            share(weight.requested),
            share(weight.applied),
            share(weight.measured)
        )?;
        if let Some(reason) = &rollout.reason {
            writeln!(out, "    {}", plain(reason))?;
        }
    }
    let mut told: Vec<&String> = Vec::new();
    for notice in &report.notices {
        if !told.contains(&notice) {
            writeln!(out, "  notice: {}", plain(notice))?;
            told.push(notice);
        }
    }
    for waiting in &report.waiting {
        let asks = waiting.confirmation.as_deref().map(|text| format!("   asks: {}", plain(text))).unwrap_or_default();
        writeln!(out, "  waits: {}{asks}", plain(&waiting.command))?;
    }
    if let Some(gone) = engine_gone(followed.state(), &is_alive).filter(|_| followed.engine().is_ok_and(|life| life == EngineLife::Dead)) {
        writeln!(out, "  {gone}")?;
    }
    Ok(0)
}

/// Puts what the target says in place of what the journal last knew: an engine that was killed between an effect and its line in the
/// journal left that behind, and what was promoted may have been taken back since. A target that does not answer leaves the journal's word.
fn look_there(
    environment: &Environment,
    app: &AppName,
    rollouts: &[(RolloutId, RolloutState)],
    report: &mut RunReport,
) -> Result<(), Failure> {
    let engine_lives = report.engine == "alive";
    let open = |id: &RolloutId| {
        rollouts.iter().any(|(known, rollout)| known == id && (rollout.ended.is_none() || rollout.phase == RolloutPhase::Promoted))
    };
    if !report.rollouts.iter().any(|rollout| open(&rollout.id)) {
        return Ok(());
    }
    let target = LocalTarget::open(&environment.places, app, &environment.program);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let Ok(there) = runtime.block_on(target.status()) else { return Ok(()) };
    if there.supervisor.is_none() && !there.stopped {
        return Ok(());
    }
    if there.stopped {
        report.notices.push(format!("{app} was stopped by a person (hms local stop): nothing serves users"));
    }
    for rollout in report.rollouts.iter_mut().filter(|rollout| open(&rollout.id)) {
        let Some(found) = there.environments.iter().find(|found| Some(&found.environment) == rollout.environment.as_ref()) else {
            continue;
        };
        let digest = rollout.release.as_ref().map(|release| &release.digest);
        let runs_as = |arm: ArmName| found.arms.iter().any(|there| there.view.arm == arm && Some(&there.view.release) == digest);
        let rest = Weight::from_thousandths(Weight::FULL.thousandths().saturating_sub(found.weight.thousandths()));
        let applied = match (runs_as(ArmName::Canary), runs_as(ArmName::Stable)) {
            (true, _) => found.weight,
            (false, true) => rest.unwrap_or(Weight::FULL),
            (false, false) => Weight::ZERO,
        };
        if there.stopped {
            rollout.weight.measured = None;
        }
        rollout.weight.applied = Some(applied.fraction());
        let after_promotion = rollout.watched.is_some() && runs_as(ArmName::Stable);
        let live = after_promotion || runs_as(ArmName::Canary) && found.weight > Weight::ZERO;
        rollout.watched = live.then_some(rollout.watched == Some(true) && engine_lives);
    }
    Ok(())
}

pub(super) fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// The repository's runs. One that cannot be read is said to be so, and keeps none of the others back.
pub(crate) fn runs(environment: &Environment, clone: &Clone, output: Output) -> Result<u8, Failure> {
    let mut out = std::io::stdout();
    let (mut rows, mut code) = (Vec::new(), 0);
    for listed in list(&clone.folder)? {
        let row = row(environment, &listed).unwrap_or_else(|failure| {
            code = failure.exit.code();
            let why = failure.in_one_line();
            notice(&format!(
                "run {}: {why}; the others are as they are (what is left of it: {})",
                listed.number,
                listed.folder.path().display()
            ));
            serde_json::json!({"number": listed.number, "run": listed.run, "revision": listed.revision, "error": why})
        });
        if output == Output::Text {
            let text = |key: &str| row.get(key).and_then(serde_json::Value::as_str).unwrap_or_default();
            let outcome = if row.get("error").is_some() { "damaged" } else { text("outcome") };
            let (number, revision, engine, title) = (listed.number, listed.revision.short(), text("engine"), plain(text("title")));
            writeln!(out, "{number:>5}  {revision}  {outcome:<11}  {engine:<7}  {title}")?;
        }
        rows.push(row);
    }
    if output == Output::Json {
        writeln!(out, "{}", serde_json::json!({"format": 1, "runs": rows}))?;
    } else if rows.is_empty() {
        writeln!(out, "no runs yet: hms run")?;
    }
    Ok(code)
}

/// A run in the list.
fn row(environment: &Environment, listed: &Listed) -> Result<serde_json::Value, Failure> {
    let mut reader = RunReader::new(&listed.folder);
    reader.poll()?;
    let engine = reader.engine()?;
    let mut followed = Followed::new(&listed.folder, &environment.places);
    // The rollouts of a parked run can have ended since; those of any other are not read for a line.
    let state = if engine == EngineLife::Parked { followed.poll().map(|_| followed.state())? } else { reader.state() };
    let title = state.created.as_ref().map(|created| created.title.clone()).unwrap_or_default();
    let created_at = state.created_at.map(|at| at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true));
    Ok(serde_json::json!({
        "number": listed.number, "run": listed.run, "revision": listed.revision, "title": title,
        "outcome": state.outcome(), "engine": engine.word(), "created_at": created_at,
    }))
}
