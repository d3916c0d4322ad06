//! `hms status`, `hms runs`, `hms logs`: reading only.

use std::io::{Read, Seek, SeekFrom, Write};
use std::time::Duration;

use crate::deploy::ArmName;
use crate::deploy::local::{LocalArm, LocalTarget};
use crate::event::{AppName, JobName, JobStatus, RolloutId, RolloutState, Weight};
use crate::executor::log_path;
use crate::report::{RunReport, engine_gone, run_report};
use crate::run::reader::{EngineLife, RunReader, find, list};
use crate::text::{duration, plain, safe_line};

use super::arguments::Output;
use super::control::known_job;
use super::environment::Environment;
use super::failure::{Exit, Failure};
use super::follow::Followed;
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
    if let Some(created) = followed.state().created.as_ref().filter(|_| report.engine != "alive") {
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
        writeln!(out, "  waits: {}", plain(&waiting.command))?;
    }
    if let Some(gone) = engine_gone(followed.state()).filter(|_| followed.engine().is_ok_and(|life| life == EngineLife::Dead)) {
        writeln!(out, "  {gone}")?;
    }
    Ok(0)
}

/// Puts what the target says in place of what the journal last knew: an engine that was killed between an effect and its line in the
/// journal left that behind. A target that does not answer leaves the journal's word.
fn look_there(
    environment: &Environment,
    app: &AppName,
    rollouts: &[(RolloutId, RolloutState)],
    report: &mut RunReport,
) -> Result<(), Failure> {
    let open = |id: &RolloutId| rollouts.iter().any(|(known, rollout)| known == id && rollout.ended.is_none());
    if !report.rollouts.iter().any(|rollout| open(&rollout.id)) {
        return Ok(());
    }
    let target = LocalTarget::open(&environment.places, app, &environment.program);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let Ok(there) = runtime.block_on(target.status()) else { return Ok(()) };
    if there.supervisor.is_none() {
        return Ok(());
    }
    for rollout in report.rollouts.iter_mut().filter(|rollout| open(&rollout.id)) {
        let Some(found) = there.environments.iter().find(|found| Some(&found.environment) == rollout.environment.as_ref()) else {
            continue;
        };
        let own = |arm: &LocalArm| {
            arm.view.arm == ArmName::Canary && rollout.release.as_ref().is_some_and(|release| release.digest == arm.view.release)
        };
        let applied = if found.arms.iter().any(own) { found.weight } else { Weight::ZERO };
        rollout.weight.applied = Some(applied.fraction());
        rollout.watched = (applied > Weight::ZERO).then_some(false);
    }
    Ok(())
}

fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// The repository's runs.
pub(crate) fn runs(clone: &Clone, output: Output) -> Result<u8, Failure> {
    let mut out = std::io::stdout();
    let mut rows = Vec::new();
    for listed in list(&clone.folder)? {
        let mut reader = RunReader::new(&listed.folder);
        reader.poll()?;
        let state = reader.state();
        let title = state.created.as_ref().map(|created| created.title.clone()).unwrap_or_default();
        let created_at = state.created_at.map(|at| at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true));
        rows.push(serde_json::json!({
            "number": listed.number, "run": listed.run, "revision": listed.revision, "title": title,
            "outcome": state.outcome(), "engine": reader.engine()?.word(), "created_at": created_at,
        }));
        if output == Output::Text {
            writeln!(
                out,
                "{:>5}  {}  {:<11}  {:<7}  {}",
                listed.number,
                listed.revision.short(),
                word(&state.outcome()),
                reader.engine()?.word(),
                plain(&title)
            )?;
        }
    }
    if output == Output::Json {
        writeln!(out, "{}", serde_json::json!({"format": 1, "runs": rows}))?;
    } else if rows.is_empty() {
        writeln!(out, "no runs yet: hms run")?;
    }
    Ok(0)
}

/// A job's log; with `follow` until its attempt ends.
pub(crate) fn logs(clone: &Clone, job: &JobName, run: Option<&str>, follow: bool) -> Result<u8, Failure> {
    let listed = find(&clone.folder, run)?;
    let mut reader = RunReader::new(&listed.folder);
    reader.poll()?;
    known_job(reader.state(), job)?;
    let mut offset = 0;
    let mut partial = Vec::new();
    let mut out = std::io::stdout();
    loop {
        let state = reader.state();
        let found = state.job(job).map(|job| (job.status, job.attempts.last().map(|attempt| attempt.number)));
        let over = found.is_none_or(|(status, _)| status.is_finished());
        if let Some((_, Some(number))) = found {
            offset += copy_lines(&log_path(&listed.folder.attempt(job, number)), offset, &mut partial, &mut out)?;
        } else if !follow || over {
            let status = found.map_or(JobStatus::Created, |(status, _)| status);
            return Err(Failure::new(Exit::NotCarriedOut, format!("{job} has no log: it is {}", word(&status))));
        }
        if !follow || over {
            if !partial.is_empty() {
                writeln!(out, "{}", safe_line(&partial))?;
            }
            return Ok(0);
        }
        std::thread::sleep(Duration::from_millis(100));
        reader.poll()?;
    }
}

/// Copies whole lines from `offset` on, without what a terminal would obey; how many bytes were read.
fn copy_lines(path: &std::path::Path, offset: u64, partial: &mut Vec<u8>, out: &mut dyn Write) -> Result<u64, Failure> {
    let Ok(mut file) = std::fs::File::open(path) else { return Ok(0) };
    file.seek(SeekFrom::Start(offset))?;
    let mut buffer = vec![0; 1 << 16];
    let mut copied = 0;
    loop {
        let count = file.read(&mut buffer)?;
        let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else { return Ok(copied) };
        copied += u64::try_from(count).unwrap_or(0);
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            partial.extend_from_slice(piece);
            if partial.last() == Some(&b'\n') {
                partial.pop();
                writeln!(out, "{}", safe_line(partial))?;
                partial.clear();
            }
        }
    }
}
