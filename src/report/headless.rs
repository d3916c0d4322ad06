//! The lines of `hms run --headless`: one a job when it is over, and what a person must know meanwhile.

use std::collections::HashSet;

use chrono::{DateTime, Utc};

use crate::event::{
    AttemptState, DeployOutcome, EngineState, FailureReason, JobName, JobState, JobStatus, ProcessName, RolloutEvent, RolloutId,
    RolloutPhase, RolloutState, RunOutcome, RunState, ScanSummary, Verdict, VerdictClass, Weight,
};
use crate::text::{count, duration, plain, quoted, seconds_latency, share};

/// Where a line belongs: results are what was asked for, notices are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Result,
    /// Standard error.
    Notice,
}

/// A line to print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Where to.
    pub stream: Stream,
    /// What; no escape sequence is in it.
    pub text: String,
    /// The job and the attempt whose log's end says more: it belongs below.
    pub log: Option<(JobName, u32)>,
}

impl Line {
    fn result(text: String) -> Self {
        Self { stream: Stream::Result, text, log: None }
    }

    fn notice(text: String) -> Self {
        Self { stream: Stream::Notice, text, log: None }
    }

    /// Of an attempt that failed, and whose reason is not all that is to be said.
    fn with_log(self, job: &JobName, attempt: Option<&AttemptState>) -> Self {
        Self { log: attempt.filter(|attempt| speaks_for_itself(attempt)).map(|attempt| (job.clone(), attempt.number)), ..self }
    }
}

/// Remembers what was printed, so that each thing is said once however often it looks.
#[derive(Debug, Default)]
pub struct Headless {
    told: HashSet<String>,
    notices: usize,
}

impl Headless {
    /// What is to be said now. Latency is the p95 of a rollout's canary in seconds, where known.
    pub fn look(&mut self, state: &RunState, rollouts: &[(RolloutId, RolloutState)], p95: &dyn Fn(&RolloutId) -> Option<f64>) -> Vec<Line> {
        let mut lines = Vec::new();
        for (job, text) in state.notices.iter().skip(self.notices) {
            let text = job.as_ref().map_or_else(|| plain(text), |job| format!("{}: {}", plain(job.as_str()), plain(text)));
            lines.push(Line::notice(format!("hms: {text}")));
        }
        self.notices = state.notices.len();
        for job in &state.jobs {
            self.job(job, state, rollouts, p95, &mut lines);
        }
        for (id, rollout) in rollouts {
            self.rollout(id, rollout, &mut lines);
        }
        lines
    }

    fn job(
        &mut self,
        job: &JobState,
        state: &RunState,
        rollouts: &[(RolloutId, RolloutState)],
        p95: &dyn Fn(&RolloutId) -> Option<f64>,
        lines: &mut Vec<Line>,
    ) {
        let name = &job.plan.name;
        for attempt in job.attempts.iter().filter(|attempt| attempt.again) {
            if self.told.insert(format!("{name}/{}/again", attempt.number)) {
                let words = ended(attempt, attempt.message.as_deref(), "↻");
                let line = Line::result(format!("▶ {:<6} {words}; runs again", title(state, name)));
                lines.push(line.with_log(name, Some(attempt)));
            }
        }
        let once = format!("{name}/{}/{:?}/{}", job.attempts.len(), job.status, job.why.clone().unwrap_or_default());
        let speaks = job.status.is_finished() || matches!(job.status, JobStatus::WaitingForResource | JobStatus::Scheduled);
        if !speaks || !self.told.insert(once) {
            return;
        }
        let words = match job.status {
            JobStatus::Success => success(job, state, rollouts, p95),
            JobStatus::Failed => failure(job),
            JobStatus::Canceled => "⊘ canceled".to_owned(),
            JobStatus::Skipped => format!("» skipped: {}", plain(job.why.as_deref().unwrap_or("its needs are not met"))),
            JobStatus::WaitingForResource => format!("… {}", plain(job.why.as_deref().unwrap_or("waits for a resource"))),
            JobStatus::Scheduled => format!("… {}", plain(job.why.as_deref().unwrap_or("waits for its time"))),
            JobStatus::Created | JobStatus::Preparing | JobStatus::Pending | JobStatus::Running | JobStatus::Manual => return,
        };
        let failed = job.attempts.last().filter(|_| job.status == JobStatus::Failed);
        lines.push(Line::result(format!("▶ {:<6} {words}", title(state, name))).with_log(name, failed));
    }

    fn rollout(&mut self, id: &RolloutId, rollout: &RolloutState, lines: &mut Vec<Line>) {
        let mut say = |key: String, text: String| {
            // A HOLD that lasted too long may have nothing new to say.
            if self.told.insert(format!("{id}/{key}")) && self.told.insert(format!("{id}/said/{text}")) {
                lines.push(Line::notice(text));
            }
        };
        let environment = rollout.created.as_ref().map(|created| created.environment.to_string()).unwrap_or_default();
        if let Some(verdict) = rollout.verdict.as_ref().filter(|_| rollout.ended.is_none() && rollout.phase == RolloutPhase::Watching) {
            // Numbers that go on are no news, another reason is.
            let kind: String = verdict.reason.split([';', ':']).next().unwrap_or_default().chars().filter(|c| c.is_alphabetic()).collect();
            let kind = if verdict.class == VerdictClass::Hold { kind } else { String::new() };
            let key = format!("verdict/{}/{}/{kind}", verdict.class, rollout.hold_expired);
            say(key, format!("hms: {environment} canary {}: {}", verdict.class, verdict_words(verdict)));
        }
        if let Some(reason) = &rollout.voided {
            say(format!("voided/{reason}"), format!("hms: {environment} canary: the verdict is void: {}", plain(reason)));
        }
        if rollout.unrecorded {
            say("unrecorded".to_owned(), format!("hms: UNRECORDED: a change of {environment} is not in the ledger yet"));
        }
        if let Some(unwatched) = unwatched(rollout).filter(|_| rollout.left) {
            say("left".to_owned(), format!("hms: {unwatched}"));
        }
    }

    /// The line that says how a run stands when the printer leaves it; none for a plain success.
    #[must_use]
    pub fn farewell(
        state: &RunState,
        rollouts: &[(RolloutId, RolloutState)],
        outcome: RunOutcome,
        engine: Option<u32>,
        lives: &dyn Fn(&ProcessName) -> bool,
    ) -> Vec<Line> {
        let number = state.created.as_ref().map_or(0, |created| created.number);
        let watching = rollouts.iter().any(|(_, rollout)| rollout.has_weight() && !rollout.left);
        let watched = match (watching, engine) {
            (true, Some(pid)) => format!("; canary watched by engine {pid}"),
            _ => String::new(),
        };
        let line = Line::result;
        let jobs = |wanted: fn(&JobState) -> bool| {
            state.jobs.iter().filter(move |job| wanted(job)).map(|job| plain(&quoted(job.plan.name.as_str())))
        };
        match outcome {
            RunOutcome::Waiting => state
                .jobs
                .iter()
                .filter(|job| job.status == JobStatus::Manual && job.plan.blocking && !job.gate_open)
                .map(|job| {
                    let (title, name) = (title(state, &job.plan.name), plain(&quoted(job.plan.name.as_str())));
                    line(format!(
                        "{title} waiting for manual approval: hms approve {number} {name}   (blocked at a gate: exit 10{watched})"
                    ))
                })
                .collect(),
            RunOutcome::Held => jobs(is_held)
                .map(|name| {
                    line(format!(
                        "HELD: hms retry {number} {name} goes on with the same evidence, \
                         hms override {number} {name} --reason TEXT passes it   (exit 11{watched})"
                    ))
                })
                .collect(),
            RunOutcome::Interrupted => jobs(|job| job.interrupted().is_some())
                .map(|name| line(format!("INTERRUPTED: nobody knows how it ended: hms retry {number} {name}   (exit 1)")))
                .chain(engine.is_none().then(|| engine_gone(state, lives)).flatten().map(&line))
                .chain(
                    rollouts
                        .iter()
                        .filter(|(_, rollout)| engine.is_none() && !rollout.left)
                        .filter_map(|(_, rollout)| unwatched(rollout))
                        .map(&line),
                )
                .collect(),
            RunOutcome::None => vec![line("nothing to run".to_owned())],
            RunOutcome::Running
            | RunOutcome::Success
            | RunOutcome::Failed
            | RunOutcome::RolledBack
            | RunOutcome::Canceled
            | RunOutcome::Refused => Vec::new(),
        }
    }
}

/// A job's name at the head of a line: in capitals where nothing is lost by it, as written where capitals are part of it, or would
/// make another job of the run of it.
fn title(state: &RunState, name: &JobName) -> String {
    let (written, capitals) = (plain(name.as_str()), name.as_str().to_uppercase());
    let lost = capitals.to_lowercase() != name.as_str() || !name.as_str().is_ascii();
    let another = state.jobs.iter().any(|job| job.plan.name != *name && job.plan.name.as_str().to_uppercase() == capitals);
    if lost || another { written } else { written.to_uppercase() }
}

/// That the engine of a run is gone and said nothing of an end, what became of its jobs' keepers, and how to go on; none when it did.
#[must_use]
pub fn engine_gone(state: &RunState, lives: &dyn Fn(&ProcessName) -> bool) -> Option<String> {
    if !matches!(state.engine, EngineState::Started(_)) || state.ended.is_some() {
        return None;
    }
    let number = state.created.as_ref().map_or(0, |created| created.number);
    let begun = |job: &&JobState| matches!(job.status, JobStatus::Running | JobStatus::WaitingForResource) && !job.waits_to_start();
    let keeper = |job: &JobState| job.attempts.last().and_then(|attempt| attempt.keeper.as_ref()).is_some_and(lives);
    let (kept, left): (Vec<&JobState>, Vec<&JobState>) = state.jobs.iter().filter(begun).partition(|job| keeper(job));
    let kept = if kept.is_empty() { "" } else { "; jobs go on under their keepers" };
    let left: Vec<String> = left.into_iter().map(|job| plain(&quoted(job.plan.name.as_str()))).collect();
    let left = if left.is_empty() { String::new() } else { format!("; nobody looks after {} any more", left.join(", ")) };
    Some(format!("the engine of run {number} is gone{kept}{left}: hms run --resume {number} --headless"))
}

/// That a canary with weight has nobody who watches it; whether that is so is the asker's to know.
fn unwatched(rollout: &RolloutState) -> Option<String> {
    let environment = rollout.created.as_ref().map(|created| created.environment.to_string()).unwrap_or_default();
    let weight = rollout.applied.filter(|_| rollout.has_weight())?;
    Some(format!("UNWATCHED: the canary of {environment} keeps {weight} and nobody watches it"))
}

fn success(job: &JobState, state: &RunState, rollouts: &[(RolloutId, RolloutState)], p95: &dyn Fn(&RolloutId) -> Option<f64>) -> String {
    let last = job.attempts.last();
    let took = last.and_then(|attempt| attempt.duration_ms).map(duration).unwrap_or_default();
    if let Some((id, rollout)) = linked(&job.plan.name, state, rollouts) {
        return deployed(job, rollout, p95(id), &took);
    }
    if let Some(end) = &job.deploy {
        return format!("✔ {}  {took}", plain(&end.message));
    }
    if let Some((_, scan)) = last.and_then(|last| state.scans.iter().rev().find(|(attempt, _)| attempt == &last.id)) {
        return format!("✔ {}  {took}", scan_words(scan));
    }
    let coverage = last.and_then(|attempt| attempt.coverage).map(|percent| format!("coverage {percent} %"));
    let tests = last.and_then(|attempt| attempt.tests).map(|tests| match tests.failed {
        0 => format!("{} tests passed", count(tests.passed)),
        failed => format!("{} tests passed, {} failed", count(tests.passed), count(failed)),
    });
    match tests.into_iter().chain(coverage).collect::<Vec<_>>().join(" · ") {
        said if said.is_empty() => format!("✔ {took}"),
        said => format!("✔ {said}  {took}"),
    }
}

fn linked<'a>(job: &JobName, state: &RunState, rollouts: &'a [(RolloutId, RolloutState)]) -> Option<&'a (RolloutId, RolloutState)> {
    let (id, ..) = state.rollouts.iter().rev().find(|(.., asker)| asker == job)?;
    rollouts.iter().find(|(found, _)| found == id)
}

fn deployed(job: &JobState, rollout: &RolloutState, p95: Option<f64>, took: &str) -> String {
    let tag = rollout.created.as_ref().map(|created| plain(&created.release.tag)).unwrap_or_default();
    if rollout.phase == RolloutPhase::Promoted && job.plan.environments.iter().all(|environment| environment.as_str() != "canary") {
        let watched = rollout.watched_production().map_or_else(String::new, |watched| format!(", watched until {}", hour(watched.until)));
        return format!("✔ {tag} has all traffic{watched}  {took}");
    }
    if let Some(watched) = rollout.watched_production()
        && let (Some(held), Some(weight)) = (watched.holdback, rollout.applied)
        && job.plan.environments.iter().all(|environment| environment.as_str() != "canary")
    {
        return format!("✔ {tag} has {weight}, {held} held back until {}  {took}", hour(watched.until));
    }
    let Some(verdict) = &rollout.verdict else {
        return if job.warned() { format!("⚠ passed by an override  {took}") } else { format!("✔ {took}") };
    };
    let weight = match &rollout.watch {
        Some(RolloutEvent::WatchStarted { weight, .. }) => *weight,
        Some(_) | None => rollout.applied.unwrap_or(Weight::ZERO),
    };
    let state = match (verdict.class, job.warned()) {
        (VerdictClass::Pass, _) => "healthy",
        (_, true) => "passed by an override",
        (VerdictClass::Hold | VerdictClass::Rollback, false) => "done",
    };
    let mark = if job.warned() && verdict.class != VerdictClass::Pass { "⚠" } else { "✔" };
    format!("{mark} {weight} traffic {state} ({})", numbers(verdict, p95))
}

fn hour(at: DateTime<Utc>) -> String {
    at.format("%H:%M UTC").to_string()
}

fn numbers(verdict: &Verdict, p95: Option<f64>) -> String {
    let mut parts = Vec::new();
    if let Some(seconds) = p95 {
        parts.push(format!("p95={}", seconds_latency(seconds)));
    }
    if let Some(errors) = verdict.metrics.iter().find(|metric| metric.name == "errors") {
        parts.push(format!("errors {}", share(ratio(errors.canary_bad, verdict.canary_requests))));
    }
    parts.push(format!("{} {}requests", count(verdict.canary_requests), if verdict.synthetic { "synthetic " } else { "" }));
    parts.join(", ")
}

fn ratio(part: u64, whole: u64) -> f64 {
    let small = |number: u64| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
    if whole == 0 { 0.0 } else { small(part) / small(whole) }
}

fn verdict_words(verdict: &Verdict) -> String {
    let forecast = verdict.forecast_seconds.filter(|_| verdict.class == VerdictClass::Hold && !verdict.reason.contains("PASS in"));
    let synthetic = if verdict.synthetic { " (synthetic traffic)" } else { "" };
    match forecast {
        Some(seconds) => format!("{}; at this traffic PASS in about {}{synthetic}", plain(&verdict.reason), duration(seconds * 1000)),
        None => format!("{}{synthetic}", plain(&verdict.reason)),
    }
}

/// `0 critical 0 high 2 medium · 0 secrets · 41 files · 214 packages NOT CHECKED`.
fn scan_words(scan: &ScanSummary) -> String {
    let level = |name: &str| scan.findings.get(name).copied().unwrap_or(0);
    let unknown = match level("unknown") {
        0 => String::new(),
        unknown => format!(" {unknown} unknown"),
    };
    let packages = match (scan.packages, scan.advisories_checked) {
        (0, _) => "no dependencies to check".to_owned(),
        (packages, true) => format!("{} packages", count(packages)),
        (packages, false) => format!("{} packages NOT CHECKED", count(packages)),
    };
    format!(
        "{} critical {} high {} medium{unknown} · {} · {} · {packages}",
        level("critical"),
        level("high"),
        level("medium"),
        if scan.secrets == 1 { "1 secret".to_owned() } else { format!("{} secrets", count(scan.secrets)) },
        if scan.files == 1 { "1 file".to_owned() } else { format!("{} files", count(scan.files)) }
    )
}

fn failure(job: &JobState) -> String {
    let mark = if job.failure_allowed() { "⚠" } else { "✘" };
    job.attempts.last().map_or_else(|| format!("{mark} failed  "), |last| ended(last, job.reason(), mark))
}

/// How a failed attempt ended, and why.
fn ended(attempt: &AttemptState, reason: Option<&str>, mark: &str) -> String {
    let took = attempt.duration_ms.map(duration).unwrap_or_default();
    let how = how_it_ended(attempt);
    // That its script passed the driver's exit code on is no news; the driver's sentence may begin with what is said already.
    let why = reason.map(|text| text.strip_prefix(&format!("{how}: ")).unwrap_or(text));
    let why = why.map(|text| format!(": {}", plain(text))).unwrap_or_default();
    let tests = attempt.tests.map(|tests| format!(" · {} tests failed", count(tests.failed))).unwrap_or_default();
    format!("{mark} {how}{tests}  {took}{why}")
}

/// Whether the log of an attempt that failed tells more than its reason: not where hms itself ended it for a canary or by a rule.
fn speaks_for_itself(attempt: &AttemptState) -> bool {
    match attempt.failure_reason {
        Some(FailureReason::CanaryHeld | FailureReason::CanaryHarm | FailureReason::CanaryTakenBack | FailureReason::Refused) => false,
        Some(
            FailureReason::Interrupted
            | FailureReason::JobExecutionTimeout
            | FailureReason::RunnerSystemFailure
            | FailureReason::MissingDependencyFailure
            | FailureReason::ScriptFailure,
        )
        | None => true,
    }
}

/// What is no plain failure is never called one: held, rolled back, refused and unknown are outcomes of their own.
fn how_it_ended(attempt: &AttemptState) -> String {
    match attempt.failure_reason {
        Some(FailureReason::CanaryHeld) => "held".to_owned(),
        Some(FailureReason::CanaryHarm | FailureReason::CanaryTakenBack) => "rolled back".to_owned(),
        Some(FailureReason::Refused) => "refused".to_owned(),
        Some(FailureReason::Interrupted) => "interrupted: nobody knows how it ended".to_owned(),
        Some(FailureReason::JobExecutionTimeout) => "took too long".to_owned(),
        Some(FailureReason::RunnerSystemFailure) => "could not be carried out".to_owned(),
        Some(FailureReason::MissingDependencyFailure) => "lacks what it needs".to_owned(),
        Some(FailureReason::ScriptFailure) | None => match (attempt.exit_code, attempt.signal) {
            (_, Some(signal)) => format!("killed by signal {signal}"),
            (Some(code), None) => format!("exit {code}"),
            (None, None) => "failed".to_owned(),
        },
    }
}

fn is_held(job: &JobState) -> bool {
    job.status == JobStatus::Failed && job.deploy.as_ref().is_some_and(|end| end.outcome == DeployOutcome::Held)
}
