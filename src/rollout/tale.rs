//! What of a verdict is worth writing down: pure.

use chrono::{DateTime, TimeDelta, Utc};

use crate::event::{Verdict, VerdictClass, Weight};

/// A verdict that differs in its numbers alone is written at most so often. Each write is synced, and a view that is read by a
/// person needs no more.
const RETELL: TimeDelta = TimeDelta::seconds(5);

/// Whether a verdict differs from the last one written in class or kind, or is due again for its numbers.
pub(crate) fn worth_telling(last: Option<(&Verdict, DateTime<Utc>)>, next: &Verdict, now: DateTime<Utc>) -> bool {
    let Some((last, at)) = last else { return true };
    if kind(last) != kind(next) {
        return true;
    }
    let numbers = last.reason != next.reason || last.canary_requests != next.canary_requests;
    numbers && now.signed_duration_since(at) >= RETELL
}

/// What a verdict says, numbers apart.
fn kind(verdict: &Verdict) -> (VerdictClass, String, Vec<(&str, bool, bool)>) {
    let words = verdict.reason.split_whitespace().filter(|word| !word.contains(|letter: char| letter.is_ascii_digit()));
    let metrics = verdict.metrics.iter().map(|metric| (metric.name.as_str(), metric.passed, metric.harmed));
    (verdict.class, words.collect::<Vec<_>>().join(" "), metrics.collect())
}

/// The weight after `requested` in a walk; none when it was the last, or no part of the walk.
pub(crate) fn next_in(walk: &[Weight], requested: Weight) -> Option<Weight> {
    walk.iter().skip_while(|weight| **weight != requested).nth(1).copied()
}
