//! How a canary stands, for programs and for people: what `hms canary status`, `watch` and `explain` say (`assets/canary-status.schema.json`).
//!
//! It folds nothing itself: a [`RolloutState`] and what is known around it go in, and nothing is looked up.

mod explain;
mod metric;
mod text;

pub use explain::{Happened, explain_text, happened};
pub use metric::{e_value, metric_key, metric_text, metrics_json};
pub(super) use text::mark_words;
pub use text::{canary_line, canary_text};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::run_status::release_report;
use crate::event::{MarkKind, RolloutOutcome, RolloutPhase, RolloutState};

/// A canary and what is known around it.
#[derive(Debug, Clone, Copy)]
pub struct CanaryFacts<'a> {
    /// Its rollout.
    pub state: &'a RolloutState,
    /// The number of its run, where it has one and that is here.
    pub run_number: Option<u64>,
    /// Since when nobody watches although it has weight.
    pub unwatched_since: Option<DateTime<Utc>>,
    /// Who watches it: role and process.
    pub driver: Option<(&'a str, u32)>,
}

impl CanaryFacts<'_> {
    /// Whether somebody watches it; none when there is nothing to watch.
    #[must_use]
    pub fn watched(&self) -> Option<bool> {
        self.state.wants_watch().then_some(self.unwatched_since.is_none() && self.driver.is_some())
    }
}

/// As `--output json` has it: fields are added, never renamed.
#[must_use]
pub fn canary_json(facts: &CanaryFacts<'_>) -> Value {
    let state = facts.state;
    let created = state.created.as_ref();
    let verdict = state.verdict.as_ref();
    let weights: Vec<Value> = state
        .course
        .marks
        .iter()
        .filter_map(|mark| match mark.kind {
            MarkKind::Weight(weight) => Some(json!({"at": stamp(mark.at), "weight": weight.fraction()})),
            MarkKind::Verdict(_) | MarkKind::Overridden | MarkKind::Left | MarkKind::Promoted | MarkKind::RolledBack => None,
        })
        .collect();
    json!({
        "format": 1,
        "rollout": created.map(|created| &created.rollout),
        "run": created.and_then(|created| created.run.as_ref()),
        "run_number": facts.run_number,
        "app": created.map(|created| &created.app),
        "environment": created.map(|created| &created.environment),
        "target": created.map(|created| &created.target.name),
        "release": created.map(|created| release_report(&created.release)),
        "previous": created.and_then(|created| created.previous.as_ref()).map(release_report),
        "policy_hash": created.map(|created| &created.policy_hash),
        "phase": phase_word(&state.phase),
        "outcome": state.ended.as_ref().map(|(outcome, _)| outcome),
        "weight": {
            "requested": state.requested.map(crate::event::Weight::fraction),
            "applied": state.applied.map(crate::event::Weight::fraction),
            "measured": verdict.and_then(|verdict| verdict.measured_share),
            "next": state.next_weight().map(crate::event::Weight::fraction),
        },
        "weights": weights,
        "watched": facts.watched(),
        "unwatched_since": facts.unwatched_since.map(stamp),
        "verdict": verdict.map(|verdict| verdict.class),
        "verdict_at": state.verdict_at.filter(|_| verdict.is_some()).map(stamp),
        "reason": state.voided.clone().or_else(|| verdict.map(|verdict| verdict.reason.clone())),
        "overridden": state.overridden.as_ref().map(|(actor, reason)| json!({"by": actor.login, "reason": reason})),
        "paused": state.paused.as_ref().map(|(actor, reason)| json!({"by": actor.login, "reason": reason})),
        "extended_seconds": state.extended_seconds,
        "hold_expired": state.hold_expired,
        "production": state.production.map(|watched| json!({
            "since": stamp(watched.since), "until": stamp(watched.until), "holdback": watched.holdback,
            "watched": state.watched_production().is_some(),
        })),
        "forecast": verdict.map(|verdict| &verdict.forecast),
        "forecast_seconds": verdict.and_then(|verdict| verdict.forecast_seconds),
        "canary_requests": verdict.map(|verdict| verdict.canary_requests),
        "stable_requests": verdict.map(|verdict| verdict.stable_requests),
        "floor": verdict.map(|verdict| verdict.floor),
        "synthetic": verdict.is_some_and(|verdict| verdict.synthetic),
        "toward_pass": verdict.map(crate::event::Verdict::toward_pass),
        "toward_rollback": verdict.map(crate::event::Verdict::toward_rollback),
        "samples": state.samples.len(),
        "last_sample_at": state.samples.last().map(|sample| stamp(sample.at)),
        "missed": state.missed,
        "missed_reason": state.missed_reason,
        "metrics": verdict.map(metrics_json).unwrap_or_default(),
    })
}

/// Where a rollout stands, in a word.
fn phase_word(phase: &RolloutPhase) -> &'static str {
    match phase {
        RolloutPhase::New => "new",
        RolloutPhase::AwaitingSlot(_) => "awaiting_slot",
        RolloutPhase::Armed { .. } => "armed",
        RolloutPhase::Stepping => "stepping",
        RolloutPhase::Watching => "watching",
        RolloutPhase::Promoted => "promoted",
        RolloutPhase::RolledBack { .. } => "rolled_back",
        RolloutPhase::Failed(_) => "failed",
        RolloutPhase::Superseded(_) => "superseded",
        RolloutPhase::Cancelled => "cancelled",
    }
}

/// How it ended, in words.
fn outcome_words(outcome: RolloutOutcome) -> &'static str {
    match outcome {
        RolloutOutcome::Promoted => "promoted",
        RolloutOutcome::RolledBack => "rolled back",
        RolloutOutcome::Failed => "failed",
        RolloutOutcome::Refused => "refused",
        RolloutOutcome::Cancelled => "cancelled",
        RolloutOutcome::Superseded => "superseded",
    }
}

fn stamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}
