//! `hms local`: what runs on this machine, an end to it, and synthetic traffic for it.

use std::io::Write;
use std::time::Duration;

use crate::deploy::local::{LoadProgress, LoadReport, LocalArm, LocalEnvironment, LocalStatus, LocalTarget, load};
use crate::deploy::{ArmName, Target as _};
use crate::event::{AppName, EnvironmentName};
use crate::ledger::{Entry, Phase};
use crate::pipeline::settings;
use crate::policy::Settings;
use crate::text::{count, plain};

use super::arguments::{LocalVerb, Output};
use super::environment::{Environment, actor};
use super::failure::{Exit, Failure};
use super::place::{Refused, enter, outside_run};
use super::run_new::Clone;

/// How many of the last happenings a person is shown.
const LATELY: usize = 5;
/// How long a stop waits for the ledger's lock.
const LEDGER: Duration = Duration::from_secs(10);

/// Runs the verb; `clone` finds the repository, and is asked only when no app is named.
pub(crate) fn local(
    environment: &Environment,
    clone: &dyn Fn() -> Result<Clone, Failure>,
    verb: LocalVerb,
    output: Output,
) -> Result<u8, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let open = |app: Option<AppName>| {
        let app = app.map_or_else(|| clone().map(|clone| app_of(&clone)), Ok)?;
        Ok::<_, Failure>(LocalTarget::open(&environment.places, &app, &environment.program))
    };
    runtime.block_on(async {
        match verb {
            LocalVerb::Status { app } => {
                let mut target = open(app)?;
                if let Some(process) = target.halted()? {
                    let _ = writeln!(std::io::stderr(), "hms: {}", stopped_by_signal(process.pid));
                    target = target.from_store();
                }
                tell(&target.status().await?, output)
            }
            LocalVerb::Stop { app } => {
                outside_run(environment, &Refused { verb: "hms local stop", app: app.as_ref(), environment: None, digest: None })?;
                stop(environment, &open(app)?, output).await
            }
            LocalVerb::Load { rps, duration, path, env, app } => {
                let duration = super::duration::parse(&duration)?;
                let address = address_of(&open(app)?.status().await?, &env)?;
                send(&address, rps, duration, &path, output).await
            }
        }
    })
}

/// The app of a repository: what its last commit names, else its folder's name. A commit that cannot be read names none.
fn app_of(clone: &Clone) -> AppName {
    let named = || {
        let head = clone.repository.resolve("HEAD").ok()?;
        let bytes = clone.repository.read_file_at(&head.revision, std::path::Path::new(".hms-ci.yml")).ok()??;
        Settings::read(&settings(&bytes)?).ok()?.app().cloned()
    };
    named().unwrap_or_else(|| clone.repository.app_name_default())
}

fn stopped_by_signal(pid: u32) -> String {
    format!("the supervisor (pid {pid}) was stopped by a signal: this is what it wrote down last; kill -CONT {pid} wakes it")
}

/// Where users reach an environment.
fn address_of(status: &LocalStatus, name: &EnvironmentName) -> Result<String, Failure> {
    let app = &status.app;
    let found = status.environments.iter().find(|found| &found.environment == name);
    if let Some(address) = found.filter(|found| found.listening).and_then(|found| found.address.clone()) {
        return Ok(address);
    }
    let why = match found.and_then(|found| found.address.as_ref()) {
        Some(address) => format!("{app} does not listen at {address} now"),
        None => format!("{name} of {app} has no address on this machine yet: nothing was deployed there"),
    };
    Err(Failure::new(Exit::NotCarriedOut, why).hint("a deploy starts it: hms run"))
}

fn tell(status: &LocalStatus, output: Output) -> Result<u8, Failure> {
    let mut out = std::io::stdout();
    if output == Output::Json {
        let text = serde_json::to_string(status).map_err(|error| Failure::of(Exit::NotCarriedOut, &error))?;
        writeln!(out, "{text}")?;
        return Ok(0);
    }
    let supervisor = match (&status.supervisor, status.stopped) {
        (Some(process), _) => format!("supervisor {}", process.pid),
        (None, true) => "stopped; the next deploy starts it again".to_owned(),
        (None, false) => "no supervisor runs".to_owned(),
    };
    writeln!(out, "{}  {supervisor}", status.app)?;
    if let Some(metrics) = &status.metrics {
        writeln!(out, "  metrics {}", plain(metrics))?;
    }
    if let Some(reason) = &status.unpersisted {
        writeln!(out, "  the store cannot be written: {}", plain(reason))?;
    }
    for found in &status.environments {
        environment_lines(found, &mut out)?;
    }
    for happening in status.happenings.iter().rev().take(LATELY).rev() {
        writeln!(out, "  {}  {}", happening.at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true), plain(&happening.text))?;
    }
    Ok(0)
}

fn environment_lines(found: &LocalEnvironment, out: &mut dyn Write) -> Result<(), Failure> {
    let address = match (&found.address, found.listening) {
        (Some(address), true) => format!("at {}", plain(address)),
        (Some(address), false) => format!("does not listen at {} now", plain(address)),
        (None, _) => "has no address yet".to_owned(),
    };
    let (canary, stable) = found.served;
    writeln!(
        out,
        "  {}  {address}  canary {}  ({} of {} requests since)",
        found.environment,
        found.weight,
        count(canary),
        count(canary.saturating_add(stable))
    )?;
    for arm in &found.arms {
        arm_line(arm_word(arm.view.arm), arm, out)?;
    }
    for arm in &found.leaving {
        arm_line("leaving", arm, out)?;
    }
    Ok(())
}

fn arm_word(arm: ArmName) -> &'static str {
    match arm {
        ArmName::Stable => "stable",
        ArmName::Canary => "canary",
        ArmName::Standby => "standby",
    }
}

fn arm_line(word: &str, arm: &LocalArm, out: &mut dyn Write) -> Result<(), Failure> {
    let process = arm.process.as_ref().map_or_else(|| "down".to_owned(), |process| format!("pid {}", process.pid));
    writeln!(out, "    {word:<8} {}  {process}  port {}  {} open", plain(&arm.view.version), arm.port, arm.in_flight)?;
    Ok(())
}

async fn stop(environment: &Environment, target: &LocalTarget, output: Output) -> Result<u8, Failure> {
    let status = target.status().await?;
    let told = |line: String| {
        let _ = writeln!(std::io::stderr(), "hms: {}", plain(&line));
    };
    let identity = target.identity().await?;
    let entry =
        |phase| Entry { app: Some(status.app.clone()), target: Some(identity.clone()), ..Entry::new("stop", phase, actor("hms local")) };
    // With something that users reach it is a control action: in the ledger first (`docs/decisions.md` 14.3).
    let serves = status.supervisor.is_some() && status.environments.iter().any(|found| !found.arms.is_empty());
    let intent = serves.then(|| {
        let running = status.environments.iter().flat_map(|found| found.arms.iter().map(move |arm| (found, arm)));
        let running: Vec<String> =
            running.map(|(found, arm)| format!("{} in {} ({})", arm.view.version, found.environment, arm_word(arm.view.arm))).collect();
        enter(environment, Entry { reason: Some(running.join(", ")), ..entry(Phase::Intent) }, LEDGER)
    });
    let intent = intent.transpose()?;
    let answer = target.stop(&told).await;
    if let Some(intent) = intent {
        let outcome = match &answer {
            Ok(_) => "done",
            Err(_) => "failed",
        };
        let outcome = Entry { intent_seq: Some(intent), outcome: Some(outcome.to_owned()), ..entry(Phase::Outcome) };
        if let Err(error) = enter(environment, outcome, LEDGER) {
            told(format!("how it ended is not in the ledger: {error}"));
        }
    }
    let stopped = answer?;
    let mut out = std::io::stdout();
    match output {
        Output::Json => writeln!(out, "{}", serde_json::json!({"format": 1, "app": status.app, "stopped": stopped}))?,
        Output::Text if stopped => writeln!(out, "{} is stopped; the next deploy brings it back", status.app)?,
        Output::Text => writeln!(out, "{} does not run on this machine: nothing to stop", status.app)?,
    }
    Ok(0)
}

/// Sends the load until it is over or a person ends it.
async fn send(address: &str, rps: u32, duration: Duration, path: &str, output: Output) -> Result<u8, Failure> {
    let _ = writeln!(
        std::io::stderr(),
        "hms: {rps} synthetic requests a second to {} for {}; Ctrl-C ends it",
        plain(address),
        crate::text::duration(milliseconds(duration))
    );
    let told = |progress: LoadProgress| {
        let _ = writeln!(
            std::io::stderr(),
            "hms: {}: {} sent, {} failed",
            crate::text::duration(milliseconds(progress.elapsed)),
            count(progress.sent),
            count(progress.failed)
        );
    };
    let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let report = tokio::select! {
        report = load(address, rps, duration, path, &told) => report.map_err(|error| Failure::of(Exit::Usage, &error))?,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            return Ok(130);
        }
        _ = terminated.recv() => return Ok(143),
    };
    let mut out = std::io::stdout();
    if output == Output::Json {
        let text = serde_json::to_string(&report).map_err(|error| Failure::of(Exit::NotCarriedOut, &error))?;
        writeln!(out, "{text}")?;
    } else {
        for line in report_lines(&report) {
            writeln!(out, "{line}")?;
        }
    }
    // A load that nobody answered is no success.
    Ok(if report.statuses.is_empty() { Exit::NotCarriedOut.code() } else { 0 })
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// `60,000 synthetic requests in 5m00s to http://…: 200 59,990 · 502 10`, then latencies.
fn report_lines(report: &LoadReport) -> Vec<String> {
    let mut answers: Vec<String> = report.statuses.iter().map(|(status, number)| format!("{status} {}", count(*number))).collect();
    if report.unanswered > 0 {
        answers.push(format!("unanswered {}", count(report.unanswered)));
    }
    // To the nearest second: 9.99 s are 10 s.
    let took = crate::text::duration(if report.duration_ms < 1000 { report.duration_ms } else { report.duration_ms.saturating_add(500) });
    let mut lines = vec![format!("{} synthetic requests in {took} to {}: {}", count(report.sent), plain(&report.url), answers.join(" · "))];
    if report.unsent > 0 {
        lines.push(format!("{} were not sent: too many others were still open", count(report.unsent)));
    }
    if let (Some(p50), Some(p95)) = (report.p50_ms, report.p95_ms) {
        lines.push(format!("p50 {p50:.1} ms · p95 {p95:.1} ms"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_names_every_kind_of_answer() {
        let report = LoadReport {
            format: 1,
            url: "http://127.0.0.1:8080/".to_owned(),
            rps: 200,
            duration_ms: 59_990,
            sent: 12_000,
            statuses: [(200, 11_990), (502, 7)].into(),
            unanswered: 3,
            unsent: 4,
            p50_ms: Some(1.25),
            p95_ms: Some(9.0),
        };
        let lines = report_lines(&report).join("\n");
        for part in ["12,000 synthetic", "200 11,990", "502 7", "unanswered 3", "4 were not sent", "in 1m00s", "p50 1.2 ms · p95 9.0 ms"] {
            assert!(lines.contains(part), "{part} is not in {lines}");
        }
    }

    #[test]
    fn an_environment_without_an_address_is_said() {
        let status = LocalStatus {
            format: 1,
            app: "shop".parse().unwrap(),
            supervisor: None,
            stopped: false,
            metrics: None,
            environments: Vec::new(),
            unpersisted: None,
            happenings: Vec::new(),
        };
        let mut said = Vec::new();
        address_of(&status, &"prod".parse().unwrap()).unwrap_err().report(&mut said);
        assert!(String::from_utf8(said).unwrap().contains("prod of shop has no address"));
    }
}
