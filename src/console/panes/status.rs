//! The verdict line: one word, and why. What must not be overlooked (nobody watches, not in the ledger, synthetic traffic)
//! stands before the reason, so that a narrow screen cuts the reason.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::console::rollback::{is_gone, production};
use crate::console::source::{EngineLife, FreezeView, SourceState, View};
use crate::console::theme::Theme;
use crate::console::words;
use crate::event::{
    FailureReason, JobStatus, RolloutKind, RolloutOutcome, RolloutPhase, RolloutState, RunOutcome, RunState, Verdict, VerdictClass,
};

use super::{Scene, columns, put};

/// A word, flags, and a sentence.
pub(super) struct Line {
    word: String,
    tone: Tone,
    flags: Vec<String>,
    reason: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Bad,
    Open,
}

impl Line {
    fn new(tone: Tone, word: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { word: word.into(), tone, flags: Vec::new(), reason: words::plain(&reason.into()) }
    }

    /// All of it.
    pub(super) fn text(&self) -> String {
        let mut text = self.word.clone();
        for flag in &self.flags {
            text.push_str("  ");
            text.push_str(flag);
        }
        if !self.reason.is_empty() {
            text.push_str("  ");
            text.push_str(&self.reason);
        }
        text
    }

    fn style(&self, theme: Theme) -> Style {
        match self.tone {
            Tone::Good => theme.good(),
            Tone::Bad => theme.bad(),
            Tone::Open => theme.strong(),
        }
    }
}

/// How many rows it needs.
pub(super) fn rows(scene: Scene<'_>, width: u16) -> u16 {
    if columns(&line(scene).text()) < width || scene.ui.size.height < 20 { 1 } else { 2 }
}

pub(super) fn draw(buffer: &mut Buffer, area: Rect, scene: Scene<'_>) {
    let (line, theme) = (line(scene), scene.ui.theme);
    let mut x = 1 + put(buffer, area, 1, 0, &line.word, line.style(theme));
    for flag in &line.flags {
        x += 2;
        x += put(buffer, area, x, 0, flag, theme.selected());
    }
    x += 2;
    // The first row has what fits beside the word, the second the rest.
    let room = usize::from(area.width.saturating_sub(x));
    let mut rest = words::wrap(&line.reason, room.max(1)).into_iter();
    let first = rest.next().unwrap_or_default();
    if area.height < 2 {
        put(buffer, area, x, 0, &line.reason, Style::new());
        return;
    }
    put(buffer, area, x, 0, &first, Style::new());
    let second = rest.collect::<Vec<_>>().join(" ");
    put(buffer, area, 1, 1, &second, Style::new());
}

/// What is to be said now.
pub(super) fn line(scene: Scene<'_>) -> Line {
    let view = scene.view;
    let mut line = if let Some(trouble) = &view.trouble {
        Line::new(Tone::Bad, "TROUBLE", trouble.as_str())
    } else {
        concerned(view).map_or_else(|| of_run(view), |rollout| of_rollout(rollout, view))
    };
    if let Some(watched) = concerned(view).and_then(RolloutState::watched_production).filter(|_| view.trouble.is_none()) {
        let until = words::time_of_day(watched.until, scene.now, scene.ui.zone);
        line.flags
            .push(watched.holdback.map_or_else(|| format!("watched until {until}"), |held| format!("{held} held back until {until}")));
    }
    if let Some(since) = view.unwatched_since {
        line.flags.push(format!("UNWATCHED since {}", words::time_of_day(since, scene.now, scene.ui.zone)));
    } else if view.rollouts.iter().any(|rollout| rollout.left && rollout.has_weight() && !is_gone(view, rollout)) {
        line.flags.push("UNWATCHED".into());
    }
    let kept = view.environments.iter().filter_map(|known| known.record.as_ref()).any(|record| !record.unrecorded.is_empty());
    if kept || view.rollouts.iter().any(|rollout| rollout.unrecorded) {
        line.flags.push("UNRECORDED".into());
    }
    if view.environments.iter().any(|environment| !environment.drift.is_empty()) {
        line.flags.push("DRIFT: hms drift show".into());
    }
    if let Some(FreezeView::Frozen { until, .. }) = production(view).map(|production| &production.freeze)
        && waiting_gate(view).is_some()
    {
        line.flags.push(format!("FROZEN until {}", words::plain(until)));
    }
    if view.engine == EngineLife::Dead {
        line.flags.push("ENGINE DIED".into());
        // What is said of the future does not come true by itself now.
        line.reason = "nobody drives this run: r goes on with it".into();
    }
    line
}

/// The rollout that the line is about: one under way, else the newest, if it is the run's or undid something of it.
fn concerned(view: &View) -> Option<&RolloutState> {
    let rollouts = || view.rollouts.iter().rev().map(AsRef::as_ref).filter(|rollout| rollout.created.is_some());
    let run = view.run.as_ref().and_then(|run| run.created.as_ref());
    let run_at = view.run.as_ref().and_then(|run| run.created_at);
    let ours = |rollout: &&RolloutState| {
        let of_run = rollout.created.as_ref().is_some_and(|created| created.run.is_some() && created.run == run.map(|run| run.run.clone()));
        of_run || run.is_none() || rollout.created_at >= run_at
    };
    let started = |rollout: &&RolloutState| !matches!(rollout.phase, RolloutPhase::New | RolloutPhase::Cancelled);
    let replaced = |rollout: &&RolloutState| matches!(rollout.phase, RolloutPhase::Superseded(_)) || is_gone(view, rollout);
    rollouts()
        .find(|rollout| rollout.ended.is_none() && started(rollout) && !replaced(rollout))
        .or_else(|| rollouts().find(|rollout| ours(rollout) && started(rollout) && !replaced(rollout)))
}

fn of_rollout(rollout: &RolloutState, view: &View) -> Line {
    let Some(created) = &rollout.created else {
        return of_run(view);
    };
    let environment = &created.environment;
    let tag = words::plain(&created.release.tag);
    match &rollout.phase {
        RolloutPhase::Watching => of_others(watching(rollout, view), rollout, view),
        RolloutPhase::New | RolloutPhase::Stepping if created.kind == RolloutKind::Release && rollout.verdict.is_some() => {
            of_others(watching(rollout, view), rollout, view)
        }
        RolloutPhase::New | RolloutPhase::Stepping => {
            let word = match created.kind {
                RolloutKind::Release => "DEPLOYING",
                RolloutKind::Rollback => "ROLLING BACK",
                RolloutKind::Abort => "CANARY TO 0",
            };
            let progress = rollout.progress.as_deref().map_or(String::new(), |line| format!(": {line}"));
            Line::new(Tone::Open, word, format!("{tag} in {environment}{progress}"))
        }
        RolloutPhase::AwaitingSlot(holder) => {
            Line::new(Tone::Open, "WAITING", format!("{environment} is held by {}; {tag} comes after it", holder.tag))
        }
        RolloutPhase::Armed { to, .. } => {
            Line::new(Tone::Bad, "ROLLING BACK", format!("{environment} to {}, when it has counted down", to.tag))
        }
        RolloutPhase::Promoted => {
            let mut line = match (rollout.watched_production(), &rollout.verdict) {
                (Some(_), Some(verdict)) if verdict.class == VerdictClass::Rollback => {
                    Line::new(Tone::Bad, "HARM", words::plain(&verdict.reason))
                }
                (Some(_), verdict) => {
                    let how = || rollout.production_words().unwrap_or_default();
                    let why = verdict.as_ref().map_or_else(how, |verdict| verdict.reason.clone());
                    Line::new(Tone::Good, "PROMOTED", format!("{tag} {}", words::plain(&why)))
                }
                (None, _) => Line::new(Tone::Good, "PROMOTED", format!("{tag} has all traffic of {environment}")),
            };
            line.flags.extend(rollout.overridden.as_ref().map(|(actor, _)| format!("HOLD passed by {}", words::plain(&actor.login))));
            line
        }
        RolloutPhase::RolledBack { to, reason } => {
            let to = to.as_ref().map_or("no release".into(), |to| to.tag.clone());
            Line::new(Tone::Bad, "ROLLED BACK", format!("{environment} is on {to}: {reason}"))
        }
        RolloutPhase::Failed(why) => {
            let last = rollout.last_lines.last().map_or(String::new(), |line| format!(" (its last line: {line})"));
            let refused = matches!(rollout.ended, Some((RolloutOutcome::Refused, _)));
            Line::new(Tone::Bad, if refused { "REFUSED" } else { "FAILED" }, format!("{tag} in {environment}: {why}{last}"))
        }
        RolloutPhase::Superseded(by) => Line::new(Tone::Open, "SUPERSEDED", format!("{tag} in {environment}, by {by}")),
        RolloutPhase::Cancelled => Line::new(Tone::Open, "CANCELLED", format!("{environment} stays as it is")),
    }
}

/// Whose canary it is, when it is not that of the run on the screen.
pub(crate) fn whose(rollout: &RolloutState, view: &View) -> Option<String> {
    let created = rollout.created.as_ref()?;
    let shown = view.run.as_ref().and_then(|run| run.created.as_ref()).map(|run| &run.run);
    match &created.run {
        own if own.as_ref() == shown => None,
        None => Some("no run's: hms-deploy drives it".to_owned()),
        Some(run) => {
            let number = view.numbers.iter().find(|(known, _)| known == run).map(|(_, number)| *number);
            Some(number.map_or_else(|| format!("run {run}'s, of another clone"), |number| format!("run {number}'s: hms attach {number}")))
        }
    }
}

/// A canary of somebody else's is named, for everything else on the screen is about this run.
fn of_others(mut line: Line, rollout: &RolloutState, view: &View) -> Line {
    if let (Some(whose), Some(created)) = (whose(rollout, view), &rollout.created) {
        line.flags.insert(0, format!("{}, {whose}", words::plain(&created.release.tag)));
    }
    line
}

/// A canary with weight: what the judge says, and what keeps it from saying more.
fn watching(rollout: &RolloutState, view: &View) -> Line {
    let mut line = verdict_line(rollout, view);
    if rollout.verdict.as_ref().is_some_and(|verdict| verdict.synthetic) {
        line.flags.push("synthetic traffic".into());
    }
    line.flags.extend(rollout.paused.as_ref().map(|(by, _)| format!("PAUSED by {}", words::plain(&by.login))));
    if let (Some(requested), Some(applied)) = (rollout.requested, rollout.applied)
        && requested != applied
    {
        line.flags.push(format!("asked {requested}, in force {applied}"));
    }
    line
}

fn verdict_line(rollout: &RolloutState, view: &View) -> Line {
    if let Some((actor, why)) = &rollout.overridden {
        return Line::new(Tone::Bad, "OVERRIDDEN", format!("by {}: {why}", actor.login));
    }
    if let Some(why) = &rollout.voided {
        return Line::new(Tone::Bad, "VOID", format!("the verdict no longer holds: {why}"));
    }
    let missed = rollout
        .missed_reason
        .as_deref()
        .map(|why| format!("no data in {}: {why}", words::several(rollout.missed.into(), "scrape", "scrapes")));
    let Some(verdict) = &rollout.verdict else {
        return Line::new(Tone::Open, "HOLD", missed.unwrap_or_else(|| "no samples yet".into()));
    };
    match verdict.class {
        VerdictClass::Pass => {
            let gate = waiting_gate(view)
                .filter(|_| whose(rollout, view).is_none())
                .map_or(String::new(), |gate| format!("; {gate} waits for a yes: P"));
            Line::new(Tone::Good, "PASS", format!("{}{gate}", verdict.reason))
        }
        VerdictClass::Rollback => Line::new(Tone::Bad, "ROLLBACK", verdict.reason.clone()),
        VerdictClass::Hold => {
            let word = if rollout.hold_expired { "HELD" } else { "HOLD" };
            let tone = if rollout.hold_expired { Tone::Bad } else { Tone::Open };
            let more = match missed {
                Some(missed) => format!("; {missed}"),
                None if rollout.hold_expired => way_out(view),
                None if verdict.reason.contains("PASS in about") => String::new(),
                None => forecast(verdict),
            };
            Line::new(tone, word, format!("{}{more}", verdict.reason))
        }
    }
}

fn forecast(verdict: &Verdict) -> String {
    verdict.forecast_seconds.map_or(String::new(), |seconds| format!("; at this traffic PASS in about {}", words::about(seconds)))
}

/// What a person can do about a HOLD that lasted too long.
fn way_out(view: &View) -> String {
    let held = view.run.as_ref().and_then(|run| {
        let job =
            run.jobs.iter().find(|job| job.attempts.last().is_some_and(|last| last.failure_reason == Some(FailureReason::CanaryHeld)))?;
        Some((run.created.as_ref()?.number, job.plan.name.clone()))
    });
    held.map_or(String::new(), |(run, job)| format!("; r goes on with the same evidence, or: hms override {run} {job} --reason TEXT"))
}

fn waiting_gate(view: &View) -> Option<String> {
    let run = view.run.as_ref()?;
    let gate = run.jobs.iter().find(|job| job.status == JobStatus::Manual && !job.gate_open)?;
    Some(words::plain(gate.plan.name.as_str()))
}

fn of_run(view: &View) -> Line {
    let Some(run) = &view.run else {
        let (word, reason) = match view.state {
            SourceState::Loading => ("LOOKING", ""),
            SourceState::Ready => ("NO RUN", "s starts one"),
        };
        return Line::new(Tone::Open, word, reason);
    };
    if let Some((ended, _)) = run.ended {
        let (word, tone) = outcome(ended);
        return Line::new(tone, word, failed_job(run));
    }
    if run.cancel.is_some() {
        return Line::new(Tone::Bad, "ABORTING", "canary to 0 first, then its jobs");
    }
    if let Some(gate) = waiting_gate(view) {
        return Line::new(Tone::Open, "WAITING", format!("{gate} waits for a yes: P"));
    }
    let running: Vec<_> = run.jobs.iter().filter(|job| job.status == JobStatus::Running).map(|job| job.plan.name.to_string()).collect();
    let failed = failed_job(run);
    match (running.is_empty(), failed.is_empty()) {
        (_, false) => Line::new(Tone::Bad, "FAILED", failed),
        (false, true) => Line::new(Tone::Open, "RUNNING", running.join(", ")),
        (true, true) => Line::new(Tone::Open, "RUNNING", ""),
    }
}

fn failed_job(run: &RunState) -> String {
    let failed = run.jobs.iter().find(|job| job.status == JobStatus::Failed && !job.failure_allowed());
    failed.map_or(String::new(), |job| {
        let message = job.attempts.last().and_then(|attempt| attempt.message.as_deref());
        let hint = if run.ended.is_some() { "" } else { "; r retries it when it is selected" };
        message.map_or_else(|| format!("{}{hint}", job.plan.name), |message| format!("{}: {message}{hint}", job.plan.name))
    })
}

/// An outcome's word, with how it is meant.
pub(super) fn outcome(outcome: RunOutcome) -> (&'static str, Tone) {
    match outcome {
        RunOutcome::Running => ("RUNNING", Tone::Open),
        RunOutcome::Waiting => ("WAITING", Tone::Open),
        RunOutcome::Success => ("SUCCESS", Tone::Good),
        RunOutcome::Failed => ("FAILED", Tone::Bad),
        RunOutcome::Held => ("HELD", Tone::Bad),
        RunOutcome::RolledBack => ("ROLLED BACK", Tone::Bad),
        RunOutcome::Canceled => ("CANCELED", Tone::Open),
        RunOutcome::Interrupted => ("INTERRUPTED", Tone::Bad),
        RunOutcome::Refused => ("REFUSED", Tone::Bad),
        RunOutcome::None => ("NOTHING TO RUN", Tone::Open),
    }
}
