//! A canary in lines.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};

use super::{CanaryFacts, metric_key, metric_text, outcome_words};
use crate::event::{MarkKind, RolloutPhase, RolloutState, Weight};
use crate::text::{count, plain, share};

/// How a moment is written on this host.
pub(super) type Clock<'a> = &'a dyn Fn(DateTime<Utc>) -> String;

/// How it stands: weight, verdict, forecast, every metric.
#[must_use]
pub fn canary_text(facts: &CanaryFacts<'_>, clock: Clock<'_>) -> String {
    let state = facts.state;
    let mut text = head(facts, clock);
    if let Some(verdict) = &state.verdict {
        let _ = writeln!(text, "{}  {}", verdict.class, plain(&verdict.reason));
        for sentence in &verdict.forecast {
            let _ = writeln!(text, "  {}", plain(sentence));
        }
        for metric in &verdict.metrics {
            text.push_str(&metric_text(metric));
        }
        let (to_pass, to_rollback) = (share(verdict.toward_pass()), share(verdict.toward_rollback()));
        let _ = writeln!(text, "  evidence: {to_pass} of the way to PASS, {to_rollback} of the way to ROLLBACK");
    } else {
        let why = state.voided.as_deref().map_or_else(|| "nothing was concluded yet".to_owned(), |why| format!("voided: {}", plain(why)));
        let _ = writeln!(text, "no verdict: {why}");
    }
    if let Some((actor, reason)) = &state.paused {
        let why = reason.as_deref().map(|reason| format!(": {}", plain(reason))).unwrap_or_default();
        let _ = writeln!(text, "  PAUSED by {}{why}; harm is still acted on; hms canary resume goes on", plain(&actor.login));
    }
    if let Some((actor, reason)) = &state.overridden {
        let _ = writeln!(text, "  HOLD passed by {}: {}", plain(&actor.login), plain(reason));
    }
    if state.missed > 0 {
        let why = state.missed_reason.as_deref().map(plain).unwrap_or_default();
        let _ = writeln!(text, "  {} scrapes in a row failed: {why}", count(u64::from(state.missed)));
    }
    text
}

fn head(facts: &CanaryFacts<'_>, clock: Clock<'_>) -> String {
    let state = facts.state;
    let mut text = String::new();
    if let Some(created) = &state.created {
        let run = facts.run_number.map_or_else(String::new, |number| format!("  run {number}"));
        let _ = writeln!(text, "{} of {} in {}{run}", plain(&created.release.tag), created.app, created.environment);
    }
    let applied = state.applied.map_or_else(|| "no weight yet".to_owned(), |weight| weight.to_string());
    let asked = state.requested.filter(|asked| Some(*asked) != state.applied).map(|asked| format!(", {asked} asked for"));
    let measured =
        state.verdict.as_ref().and_then(|verdict| verdict.measured_share).map(|measured| format!(", {} measured", share(measured)));
    let since = state.watch_started_at.filter(|_| state.has_weight()).map(|since| format!(", since {}", clock(since)));
    let next = state.next_weight().filter(|_| state.has_weight()).map(|next| format!(", {next} at PASS"));
    let stands = [asked, measured, since, next].into_iter().flatten().collect::<String>();
    let _ = writeln!(text, "  weight {applied}{stands}{}", standing(facts, clock));
    if let Some((words, watched)) = state.production_words().zip(state.watched_production()) {
        let _ = writeln!(text, "  {}, until {}", plain(&words), clock(watched.until));
    }
    text
}

/// Who looks after it, or how it ended.
fn standing(facts: &CanaryFacts<'_>, clock: Clock<'_>) -> String {
    if let Some((outcome, at)) = facts.state.ended {
        let why = match &facts.state.phase {
            RolloutPhase::RolledBack { reason, .. } | RolloutPhase::Failed(reason) => format!(": {}", plain(reason)),
            RolloutPhase::New
            | RolloutPhase::AwaitingSlot(_)
            | RolloutPhase::Armed { .. }
            | RolloutPhase::Stepping
            | RolloutPhase::Watching
            | RolloutPhase::Promoted
            | RolloutPhase::Superseded(_)
            | RolloutPhase::Cancelled => String::new(),
        };
        return format!("; {} at {}{why}", outcome_words(outcome), clock(at));
    }
    match (facts.unwatched_since, facts.driver) {
        (Some(since), _) => format!("; UNWATCHED since {}", clock(since)),
        (None, Some((role, pid))) => format!("; watched by {} {pid}", plain(role)),
        (None, None) => String::new(),
    }
}

/// The same in one line: the moment, the word, the weight, the reason, what each metric counted.
#[must_use]
pub fn canary_line(state: &RolloutState, at: DateTime<Utc>, clock: Clock<'_>) -> String {
    let word = state.verdict.as_ref().map_or_else(|| "–".to_owned(), |verdict| verdict.class.to_string());
    let weight = state.applied.unwrap_or(Weight::ZERO).to_string();
    let why = match &state.verdict {
        Some(verdict) => plain(&verdict.reason),
        None => state.progress.as_deref().map(plain).unwrap_or_default(),
    };
    let counts = state.verdict.iter().flat_map(|verdict| &verdict.metrics).map(|metric| {
        let detail = metric.detail.as_deref();
        let all = |all: Option<u64>| all.map_or_else(|| "–".to_owned(), count);
        let canary =
            format!("{} {}/{}", plain(metric_key(&metric.name)), count(metric.canary_bad), all(detail.map(|detail| detail.canary_all)));
        match detail.map(|detail| detail.stable_all).filter(|all| *all > 0) {
            Some(of_stable) => format!("{canary} (stable {}/{})", count(metric.stable_bad), count(of_stable)),
            None => canary,
        }
    });
    let counts: Vec<String> = counts.collect();
    format!("{}  {word:<8}  {weight:>6}  {why}  {}", clock(at), counts.join("  ")).trim_end().to_owned()
}

/// A mark in words.
pub(in crate::report) fn mark_words(kind: MarkKind) -> String {
    match kind {
        MarkKind::Weight(weight) => format!("weight {weight}"),
        MarkKind::Verdict(class) => class.to_string(),
        MarkKind::Overridden => "HOLD passed by a person".to_owned(),
        MarkKind::Left => "nobody watches".to_owned(),
        MarkKind::Promoted => "promoted".to_owned(),
        MarkKind::RolledBack => "taken back".to_owned(),
    }
}
