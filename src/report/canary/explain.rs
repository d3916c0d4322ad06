//! Why the verdict is what it is: how it came to it, what each test says, and what is missing.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::text::{Clock, mark_words};
use super::{CanaryFacts, canary_text, e_value, metric_key};
use crate::event::{MarkKind, MetricDetail, MetricEvidence, RolloutEvent, Stamped, Verdict, VerdictClass};
use crate::text::{count, plain};

/// Something that led to the verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Happened {
    /// When.
    pub at: DateTime<Utc>,
    /// What, in one plain sentence.
    pub what: String,
}

/// What led to the verdict, oldest first: weights, changes of the word, of its kind, gaps, people.
#[must_use]
pub fn happened(events: &[Stamped<RolloutEvent>]) -> Vec<Happened> {
    let mut found = Vec::new();
    let (mut last, mut missed): (Option<VerdictClass>, u64) = (None, 0);
    for stamped in events {
        let what = match &stamped.event {
            RolloutEvent::WeightApplied { requested, applied } if requested == applied => mark_words(MarkKind::Weight(*applied)),
            RolloutEvent::WeightApplied { requested, applied } => format!("weight {applied}, {requested} asked for"),
            RolloutEvent::VerdictReached { verdict } if last != Some(verdict.class) => {
                last = Some(verdict.class);
                format!("{}: {}", verdict.class, verdict.reason)
            }
            RolloutEvent::VerdictVoided { reason } => {
                last = None;
                format!("verdict voided: {reason}")
            }
            RolloutEvent::SampleMissed { reason } => {
                missed += 1;
                if missed > 1 {
                    continue;
                }
                format!("no sample: {reason}")
            }
            RolloutEvent::Sampled { .. } => {
                let back = (missed > 1).then(|| format!("samples again, after {} scrapes that failed", count(missed)));
                missed = 0;
                let Some(back) = back else { continue };
                back
            }
            RolloutEvent::HoldExpired { verdict } => format!("HOLD for too long: {}", verdict.reason),
            RolloutEvent::HoldOverridden { actor, reason } => format!("HOLD passed by {}: {reason}", actor.login),
            RolloutEvent::Steered { actor, what, reason } => {
                let why = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
                format!("{what} by {}{why}", actor.login)
            }
            RolloutEvent::ThresholdChosen { threshold_seconds, .. } => {
                format!("slow is above {}", crate::text::seconds_latency(*threshold_seconds))
            }
            RolloutEvent::DriftFound { drift } if drift.is_empty() => "what runs is as recorded again".to_owned(),
            RolloutEvent::DriftFound { drift } => {
                let each: Vec<String> = drift.iter().map(ToString::to_string).collect();
                format!("DRIFT: {}", each.join("; "))
            }
            RolloutEvent::WatchLeft => mark_words(MarkKind::Left),
            RolloutEvent::Promoted => mark_words(MarkKind::Promoted),
            RolloutEvent::ProductionWatched { until, holdback: None } => {
                format!("production is watched by its SLOs alone until {}", until.format("%H:%M:%S UTC"))
            }
            RolloutEvent::ProductionWatched { until, holdback: Some(held) } => {
                format!("in production; the release before keeps {held} until {}", until.format("%H:%M:%S UTC"))
            }
            RolloutEvent::RolledBack { reason, .. } => format!("taken back: {reason}"),
            RolloutEvent::StepFailed { reason, .. } => format!("failed: {reason}"),
            RolloutEvent::Superseded { by } => format!("superseded by {by}"),
            RolloutEvent::Unrecorded { reason } => format!("UNRECORDED: {reason}"),
            RolloutEvent::RolloutCreated(_)
            | RolloutEvent::DriverStarted { .. }
            | RolloutEvent::JournalRepaired { .. }
            | RolloutEvent::SlotAwaited { .. }
            | RolloutEvent::SlotTaken { .. }
            | RolloutEvent::ProgressSeen { .. }
            | RolloutEvent::RollbackArmed { .. }
            | RolloutEvent::RollbackCancelled { .. }
            | RolloutEvent::StepBegan { .. }
            | RolloutEvent::ReleaseHealthy { .. }
            | RolloutEvent::WatchStarted { .. }
            | RolloutEvent::VerdictReached { .. }
            | RolloutEvent::RolloutEnded { .. }
            | RolloutEvent::Unknown => continue,
        };
        found.push(Happened { at: stamped.time, what });
    }
    found
}

/// How it stands, what each test says, what PASS still needs, and how it came to this.
#[must_use]
pub fn explain_text(facts: &CanaryFacts<'_>, happened: &[Happened], clock: Clock<'_>) -> String {
    let mut text = canary_text(facts, clock);
    if let Some(verdict) = &facts.state.verdict {
        text.push_str("\nWhat each test says\n");
        for metric in &verdict.metrics {
            for sentence in sentences(metric) {
                let _ = writeln!(text, "  {}: {sentence}", plain(metric_key(&metric.name)));
            }
        }
        let missing = missing(verdict);
        if !missing.is_empty() {
            text.push_str("\nWhat PASS still needs\n");
            for sentence in missing {
                let _ = writeln!(text, "  {sentence}");
            }
        }
    }
    if !happened.is_empty() {
        text.push_str("\nHow it came to this\n");
        for Happened { at, what } in happened {
            let _ = writeln!(text, "  {}  {}", clock(*at), plain(what));
        }
    }
    text
}

/// What the tests of a metric say, a sentence each.
fn sentences(metric: &MetricEvidence) -> Vec<String> {
    let detail = metric.detail.as_deref().cloned().unwrap_or_default();
    let mut said = vec![harm_sentence(metric, &detail)];
    if let Some((safe, goal)) = detail.safe_ln.zip(detail.safe_goal_ln) {
        said.push(format!("SAFE, not twice as bad as stable, is {} of {}: {}", e_value(safe), e_value(goal), proven(safe >= goal)));
    }
    if let Some(goal) = detail.abs_goal_ln {
        let abs = metric.abs_ln;
        said.push(format!("ABS, within its limit, is {} of {}: {}", e_value(abs), e_value(goal), proven(abs >= goal)));
    }
    said
}

fn harm_sentence(metric: &MetricEvidence, detail: &MetricDetail) -> String {
    let against = if detail.safe_ln.is_some() { "worse than stable" } else { "over its limit" };
    let end = if metric.harmed { "proven" } else { "not proven" };
    format!("HARM, {against}, is {} of {}: {end}", e_value(metric.harm_ln), e_value(detail.harm_goal_ln))
}

fn proven(is_proven: bool) -> &'static str {
    if is_proven { "proven" } else { "not proven yet" }
}

/// What PASS still needs; nothing when it is reached, or when harm is proven.
fn missing(verdict: &Verdict) -> Vec<String> {
    if verdict.class != VerdictClass::Hold {
        return Vec::new();
    }
    let short = verdict.floor.saturating_sub(verdict.canary_requests);
    let requests = (short > 0).then(|| format!("{} more canary requests, of {}", count(short), count(verdict.floor)));
    let open = verdict
        .metrics
        .iter()
        .filter(|metric| !metric.passed)
        .map(|metric| format!("proof of SAFE or ABS for {}", plain(metric_key(&metric.name))));
    let needed: Vec<String> = requests.into_iter().chain(open).collect();
    // Bake time, data, share: the reason says which.
    if needed.is_empty() { vec![plain(&verdict.reason)] } else { needed }
}
