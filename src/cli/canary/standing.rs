//! `hms canary status|watch|explain`: reading a rollout's journal only.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use chrono::{DateTime, Local, Utc};
use serde_json::json;

use super::which::Canary;
use crate::cli::arguments::{Output, WhichCanary};
use crate::cli::environment::Environment;
use crate::cli::failure::Failure;
use crate::event::{RolloutOutcome, RolloutPhase, RolloutState, VerdictClass};
use crate::report::{CanaryFacts, canary_json, canary_line, canary_text, explain_text, happened, json_text};
use crate::store::{Changes, now};

/// A driver that ended may be followed by another one: an engine that goes on, a person who resumes.
const TAKEN_UP: Duration = Duration::from_secs(10);
/// A lock says nothing when it is let go: it is looked at again after so long.
const LOOK: Duration = Duration::from_secs(1);

pub(super) fn status(which: &WhichCanary, at: Option<&Path>, output: Output) -> Result<u8, Failure> {
    let canary = Canary::find(&Environment::find()?, which, at)?;
    let mut out = std::io::stdout().lock();
    canary.with_facts(|facts| match output {
        Output::Text => out.write_all(canary_text(facts, &clock).as_bytes()),
        Output::Json => say_json(&mut out, facts),
    })?;
    Ok(0)
}

pub(super) fn explain(which: &WhichCanary, at: Option<&Path>, output: Output) -> Result<u8, Failure> {
    let canary = Canary::find(&Environment::find()?, which, at)?;
    let happened = happened(canary.events());
    let mut out = std::io::stdout().lock();
    canary.with_facts(|facts| match output {
        Output::Text => out.write_all(explain_text(facts, &happened, &clock).as_bytes()),
        Output::Json => {
            let mut told = canary_json(facts);
            if let Some(told) = told.as_object_mut() {
                told.insert("happened".to_owned(), json!(happened));
            }
            writeln!(out, "{}", json_text(&told)?)
        }
    })?;
    Ok(0)
}

fn say_json(out: &mut dyn Write, facts: &CanaryFacts<'_>) -> std::io::Result<()> {
    writeln!(out, "{}", json_text(&canary_json(facts))?)
}

/// Follows it to its end, or to a word that is one.
pub(super) fn watch(which: &WhichCanary, at: Option<&Path>, output: Output) -> Result<u8, Failure> {
    let mut canary = Canary::find(&Environment::find()?, which, at)?;
    // Watched first, then read: what is written in between wakes the wait.
    let changes = Changes::new()?;
    changes.watch(&canary.folder)?;
    canary.poll()?;
    let mut out = std::io::stdout().lock();
    let mut said: Option<String> = None;
    let mut alone_since: Option<Instant> = None;
    loop {
        let moment = canary.state().verdict_at.or(canary.state().watch_started_at).or(canary.state().created_at);
        let line = canary_line(canary.state(), moment.unwrap_or_default(), &clock);
        if said.as_ref() != Some(&line) {
            match output {
                Output::Text => writeln!(out, "{line}")?,
                Output::Json => canary.with_facts(|facts| say_json(&mut out, facts))?,
            }
            out.flush()?;
            said = Some(line);
        }
        if let Some(code) = decided(canary.state()) {
            tell_end(&mut out, &canary, output)?;
            return Ok(code);
        }
        let (driver, unwatched_since) = canary.watcher();
        alone_since = if driver.is_none() { alone_since.or(Some(Instant::now())) } else { None };
        if alone_since.is_some_and(|since| since.elapsed() >= TAKEN_UP) {
            let since = unwatched_since
                .map_or_else(|| "nobody drives this rollout".to_owned(), |since| format!("UNWATCHED since {}", clock(since)));
            let _ = writeln!(std::io::stderr(), "hms: {since}");
            return Ok(left_by_its_driver(canary.state()));
        }
        changes.wait(Some(LOOK));
        changes.drain();
        canary.poll()?;
    }
}

/// The exit code of a canary that is decided; none while it is not.
fn decided(state: &RolloutState) -> Option<u8> {
    if let Some((outcome, _)) = state.ended {
        return Some(match outcome {
            RolloutOutcome::Promoted => 0,
            RolloutOutcome::RolledBack | RolloutOutcome::Superseded | RolloutOutcome::Cancelled => 12,
            RolloutOutcome::Failed => 1,
            RolloutOutcome::Refused => 13,
        });
    }
    if state.hold_expired {
        return Some(11);
    }
    // At the last weight PASS is the end; at an earlier one the next weight follows, and while it is paused nothing does.
    let goes_on = state.next_weight().is_some() || state.paused.is_some();
    (state.verdict_class() == Some(VerdictClass::Pass) && !goes_on).then_some(0)
}

/// The exit code of a rollout whose driver ended in the middle.
fn left_by_its_driver(state: &RolloutState) -> u8 {
    match state.phase {
        RolloutPhase::Promoted => 0,
        RolloutPhase::RolledBack { .. } | RolloutPhase::Superseded(_) | RolloutPhase::Cancelled => 12,
        RolloutPhase::Failed(_) => 1,
        RolloutPhase::New
        | RolloutPhase::AwaitingSlot(_)
        | RolloutPhase::Armed { .. }
        | RolloutPhase::Stepping
        | RolloutPhase::Watching => 11,
    }
}

fn tell_end(out: &mut dyn Write, canary: &Canary, output: Output) -> Result<(), Failure> {
    if canary.state().ended.is_none() {
        return Ok(());
    }
    canary.with_facts(|facts| match output {
        Output::Text => {
            let text = canary_text(facts, &clock);
            writeln!(out, "{}", text.lines().take(2).map(str::trim).collect::<Vec<_>>().join("; "))
        }
        Output::Json => say_json(out, facts),
    })?;
    Ok(())
}

/// The second on this host; with the day when it is another one.
fn clock(at: DateTime<Utc>) -> String {
    let (local, today) = (at.with_timezone(&Local), now().with_timezone(&Local));
    let format = if local.date_naive() == today.date_naive() { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
    local.format(format).to_string()
}
