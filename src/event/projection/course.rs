//! What was concluded of a canary when, and the moments that a graph marks: a fold beside the state's.

use chrono::{DateTime, Utc};

use crate::event::{Estimate, RolloutEvent, Stamped, VerdictClass, Weight};

/// A rollout over time. It grows by a verdict every few seconds, so a watched day is some ten thousand small entries.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Course {
    /// The verdicts, oldest first.
    pub told: Vec<Told>,
    /// What happened between them, oldest first.
    pub marks: Vec<Mark>,
}

/// A verdict at its moment, short.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Told {
    /// When.
    pub at: DateTime<Utc>,
    /// The word.
    pub class: VerdictClass,
    /// How far the evidence is on its way to ROLLBACK, 0 to 1.
    pub to_rollback: f64,
    /// How far it is on its way to PASS, 0 to 1.
    pub to_pass: f64,
    /// The canary's rate of errors by then, with the interval that holds at every look.
    pub error_rate: Option<Estimate>,
}

/// A moment that is worth a line in a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// When.
    pub at: DateTime<Utc>,
    /// What.
    pub kind: MarkKind,
}

/// What happened at a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarkKind {
    /// The canary has this weight from here on.
    Weight(Weight),
    /// The verdict's word is this from here on.
    Verdict(VerdictClass),
    /// A person passed a HOLD.
    Overridden,
    /// Nobody watches from here on.
    Left,
    /// The release has all traffic.
    Promoted,
    /// It was taken back.
    RolledBack,
}

impl Course {
    /// Folds one more event.
    pub(super) fn apply(&mut self, stamped: &Stamped<RolloutEvent>) {
        let at = stamped.time;
        if let Some(kind) = self.marked(&stamped.event) {
            self.marks.push(Mark { at, kind });
        }
        if let RolloutEvent::VerdictReached { verdict } | RolloutEvent::HoldExpired { verdict } = &stamped.event {
            let (to_rollback, to_pass) = (verdict.toward_rollback(), verdict.toward_pass());
            let errors = verdict.metrics.iter().find(|metric| metric.name == "errors");
            let error_rate = errors.and_then(|errors| errors.detail.as_deref()?.canary_rate);
            self.told.push(Told { at, class: verdict.class, to_rollback, to_pass, error_rate });
        }
    }

    fn marked(&self, event: &RolloutEvent) -> Option<MarkKind> {
        match event {
            RolloutEvent::WeightApplied { applied, .. } => {
                let weights = self.marks.iter().rev().filter_map(|mark| match mark.kind {
                    MarkKind::Weight(weight) => Some(weight),
                    MarkKind::Verdict(_) | MarkKind::Overridden | MarkKind::Left | MarkKind::Promoted | MarkKind::RolledBack => None,
                });
                (weights.into_iter().next() != Some(*applied)).then_some(MarkKind::Weight(*applied))
            }
            RolloutEvent::VerdictReached { verdict } => {
                (self.told.last().map(|last| last.class) != Some(verdict.class)).then_some(MarkKind::Verdict(verdict.class))
            }
            RolloutEvent::HoldOverridden { .. } => Some(MarkKind::Overridden),
            RolloutEvent::WatchLeft => Some(MarkKind::Left),
            RolloutEvent::Promoted => Some(MarkKind::Promoted),
            RolloutEvent::RolledBack { .. } | RolloutEvent::Superseded { .. } => Some(MarkKind::RolledBack),
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
            | RolloutEvent::ThresholdChosen { .. }
            | RolloutEvent::Sampled { .. }
            | RolloutEvent::SampleMissed { .. }
            | RolloutEvent::VerdictVoided { .. }
            | RolloutEvent::HoldExpired { .. }
            | RolloutEvent::Steered { .. }
            | RolloutEvent::DriftFound { .. }
            | RolloutEvent::ProductionWatched { .. }
            | RolloutEvent::StepFailed { .. }
            | RolloutEvent::Unrecorded { .. }
            | RolloutEvent::RolloutEnded { .. }
            | RolloutEvent::Unknown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{FORMAT, MetricDetail, MetricEvidence, RolloutState, Verdict};

    fn verdict(class: VerdictClass, harm_ln: f64, abs_ln: f64, canary_requests: u64) -> Verdict {
        let detail = MetricDetail { harm_goal_ln: 5.0, abs_goal_ln: Some(4.0), ..MetricDetail::default() };
        let metric = MetricEvidence {
            name: "errors".to_owned(),
            slo: 0.01,
            threshold_seconds: None,
            canary_bad: 0,
            stable_bad: 0,
            harm_ln,
            abs_ln,
            passed: class == VerdictClass::Pass,
            harmed: class == VerdictClass::Rollback,
            detail: Some(Box::new(detail)),
        };
        Verdict {
            class,
            reason: String::new(),
            canary_requests,
            stable_requests: 0,
            floor: 300,
            forecast_seconds: None,
            synthetic: false,
            measured_share: None,
            metrics: vec![metric],
            forecast: Vec::new(),
        }
    }

    #[test]
    fn the_way_to_a_verdict_is_measured_by_logarithms_and_the_laggard_counts() {
        let hold = verdict(VerdictClass::Hold, 2.5, 3.0, 150);
        assert!((hold.toward_rollback() - 0.5).abs() < 1e-9);
        assert!((hold.toward_pass() - 0.5).abs() < 1e-9, "requests lag: {}", hold.toward_pass());
        assert!((verdict(VerdictClass::Hold, -3.0, 1.0, 900).toward_pass() - 0.25).abs() < 1e-9);
        assert_eq!(verdict(VerdictClass::Hold, -3.0, f64::NAN, 900).toward_pass().to_bits(), 0.0_f64.to_bits());
        assert_eq!(verdict(VerdictClass::Hold, -3.0, 1.0, 900).toward_rollback().to_bits(), 0.0_f64.to_bits());
        assert_eq!(verdict(VerdictClass::Rollback, 9.0, 0.0, 9).toward_rollback().to_bits(), 1.0_f64.to_bits());
    }

    #[test]
    fn a_course_marks_what_changed_and_nothing_twice() {
        let weight = |thousandths| {
            let weight = Weight::from_thousandths(thousandths).unwrap();
            RolloutEvent::WeightApplied { requested: weight, applied: weight }
        };
        let told = |class| RolloutEvent::VerdictReached { verdict: verdict(class, 0.0, 0.0, 1) };
        let events = [
            weight(10),
            told(VerdictClass::Hold),
            weight(10),
            told(VerdictClass::Hold),
            told(VerdictClass::Pass),
            weight(50),
            RolloutEvent::Promoted,
        ];
        let mut state = RolloutState::default();
        for (seq, event) in (1..).zip(events) {
            state.apply(&Stamped { format: FORMAT, seq, time: DateTime::UNIX_EPOCH, event });
        }
        let kinds: Vec<MarkKind> = state.course.marks.iter().map(|mark| mark.kind).collect();
        let share = |thousandths| MarkKind::Weight(Weight::from_thousandths(thousandths).unwrap());
        let (hold, pass) = (MarkKind::Verdict(VerdictClass::Hold), MarkKind::Verdict(VerdictClass::Pass));
        assert_eq!(kinds, [share(10), hold, pass, share(50), MarkKind::Promoted]);
        assert_eq!(state.course.told.len(), 3);
    }
}
