//! A rollout, folded.

use chrono::{DateTime, Utc};

use crate::event::{
    Actor, Drift, ProcessName, ReleaseRef, RolloutCreated, RolloutEvent, RolloutId, RolloutOutcome, Sample, Stamped, Steering, Step,
    Verdict, VerdictClass, Weight,
};

use super::Course;

/// A rollout as its journal tells it. Samples are kept whole: graphs and the judge read the same ones.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RolloutState {
    /// The first event; none before it was read.
    pub created: Option<RolloutCreated>,
    /// When it was created.
    pub created_at: Option<DateTime<Utc>>,
    /// The sequence number of the last event folded.
    pub seq: u64,
    /// The last driver.
    pub driver: Option<ProcessName>,
    /// Where it stands.
    pub phase: RolloutPhase,
    /// The step under way or last done, its fencing number, its ledger intent.
    pub step: Option<(Step, u64, Option<u64>)>,
    /// The release's share of the traffic that was last asked for: all of it, once promoted.
    pub requested: Option<Weight>,
    /// Its share that the target last said is in force; none of it, once another rollout took its place.
    pub applied: Option<Weight>,
    /// Since when samples count.
    pub watch_started_at: Option<DateTime<Utc>>,
    /// The `WatchStarted` event, whole, with the threshold that was chosen later.
    pub watch: Option<RolloutEvent>,
    /// Samples of all weights, oldest first.
    pub samples: Vec<Sample>,
    /// How many of them are older than the weight in force.
    pub samples_before: usize,
    /// What was concluded when, and what a graph of it marks.
    pub course: Course,
    /// Scrapes that failed since the last good one, and why the last did.
    pub missed: u32,
    /// Why the last scrape failed; none when it did not.
    pub missed_reason: Option<String>,
    /// The verdict in force.
    pub verdict: Option<Verdict>,
    /// When it was reached.
    pub verdict_at: Option<DateTime<Utc>>,
    /// Why a verdict was voided, if the last was.
    pub voided: Option<String>,
    /// Who passed a HOLD, and why.
    pub overridden: Option<(Actor, String)>,
    /// Who paused it, and why, while it is.
    pub paused: Option<(Actor, Option<String>)>,
    /// How much longer HOLD may last at this weight, in seconds.
    pub extended_seconds: u64,
    /// HOLD lasted too long.
    pub hold_expired: bool,
    /// How production is watched, from when the release was let through; none before, and where it is not.
    pub production: Option<Production>,
    /// A driver left although the canary has weight.
    pub left: bool,
    /// An effect is not in the ledger yet.
    pub unrecorded: bool,
    /// What runs there beside the record, as it was last looked at.
    pub drift: Vec<Drift>,
    /// The last line for people.
    pub progress: Option<String>,
    /// The release's last lines, if it would not start.
    pub last_lines: Vec<String>,
    /// The end.
    pub ended: Option<(RolloutOutcome, DateTime<Utc>)>,
}

/// How a release is watched that was let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Production {
    /// Since when.
    pub since: DateTime<Utc>,
    /// Until when.
    pub until: DateTime<Utc>,
    /// What the release before keeps meanwhile; none: nothing.
    pub holdback: Option<Weight>,
}

/// Where a rollout stands.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum RolloutPhase {
    /// Nothing was done yet.
    #[default]
    New,
    /// Another release holds the environment.
    AwaitingSlot(ReleaseRef),
    /// A rollback counts down.
    Armed {
        /// From which release.
        from: ReleaseRef,
        /// To which.
        to: ReleaseRef,
        /// When.
        fires_at: DateTime<Utc>,
    },
    /// A step is under way.
    Stepping,
    /// The canary has weight and is watched.
    Watching,
    /// All traffic.
    Promoted,
    /// Taken back, and why.
    RolledBack {
        /// To which release.
        to: Option<ReleaseRef>,
        /// Why.
        reason: String,
    },
    /// A step failed, and why.
    Failed(String),
    /// Another took its place.
    Superseded(RolloutId),
    /// A person took it back before it began.
    Cancelled,
}

impl RolloutState {
    /// Folds a whole journal.
    #[must_use]
    pub fn fold<'a>(events: impl IntoIterator<Item = &'a Stamped<RolloutEvent>>) -> Self {
        let mut state = Self::default();
        for event in events {
            state.apply(event);
        }
        state
    }

    /// Whether the canary has weight, as far as the journal knows.
    #[must_use]
    pub fn has_weight(&self) -> bool {
        self.ended.is_none() && self.phase != RolloutPhase::Promoted && self.applied.is_some_and(|weight| weight > Weight::ZERO)
    }

    /// Whether somebody is to watch it: a canary with weight, or production after its promotion.
    #[must_use]
    pub fn wants_watch(&self) -> bool {
        self.has_weight() || self.watched_production().is_some()
    }

    /// How production is watched now; none when it is not, or no more.
    #[must_use]
    pub fn watched_production(&self) -> Option<Production> {
        let held = matches!(self.production, Some(Production { holdback: Some(_), .. })) && self.has_weight();
        self.production.filter(|_| self.ended.is_none() && (self.phase == RolloutPhase::Promoted || held))
    }

    /// What production is compared with, in words; none when it is not watched.
    #[must_use]
    pub fn production_words(&self) -> Option<String> {
        let before = self
            .created
            .as_ref()
            .and_then(|created| created.previous.as_ref())
            .map_or("the release before", |release| release.tag.as_str());
        self.watched_production().map(|watched| match watched.holdback {
            Some(held) => format!("in production beside {before} with {held}"),
            None => "in production, by its SLOs alone".to_owned(),
        })
    }

    /// The weight that follows at PASS; none after the last.
    #[must_use]
    pub fn next_weight(&self) -> Option<Weight> {
        match &self.watch {
            Some(RolloutEvent::WatchStarted { next, .. }) => *next,
            Some(_) | None => None,
        }
    }

    /// The verdict's class, if one is in force.
    #[must_use]
    pub fn verdict_class(&self) -> Option<VerdictClass> {
        self.verdict.as_ref().map(|verdict| verdict.class)
    }

    /// Samples since the weight in force began, oldest first: its deltas start from the first one.
    #[must_use]
    pub fn samples_of_weight(&self) -> &[Sample] {
        self.samples.get(self.samples_before..).unwrap_or_default()
    }

    /// Folds one more event. An event that fits nothing known changes nothing.
    pub fn apply(&mut self, stamped: &Stamped<RolloutEvent>) {
        self.seq = stamped.seq;
        let time = stamped.time;
        self.course.apply(stamped);
        match &stamped.event {
            RolloutEvent::RolloutCreated(created) => {
                self.created = Some((**created).clone());
                self.created_at = Some(time);
            }
            RolloutEvent::DriverStarted { driver } => {
                self.driver = Some(driver.clone());
                self.left = false;
            }
            RolloutEvent::JournalRepaired { .. } | RolloutEvent::Unknown => {}
            RolloutEvent::SlotTaken { previous } => {
                if let (Some(created), Some(previous)) = (&mut self.created, previous) {
                    created.previous = Some(previous.clone());
                }
            }
            RolloutEvent::SlotAwaited { holder } => self.phase = RolloutPhase::AwaitingSlot(holder.clone()),
            RolloutEvent::ProgressSeen { text } => self.progress = Some(text.clone()),
            RolloutEvent::RollbackArmed { from, to, fires_at } => {
                self.phase = RolloutPhase::Armed { from: from.clone(), to: to.clone(), fires_at: *fires_at };
            }
            RolloutEvent::RollbackCancelled { .. } => self.phase = RolloutPhase::Cancelled,
            RolloutEvent::StepBegan { step, fence, intent_seq } => {
                self.step = Some((*step, *fence, *intent_seq));
                self.phase = RolloutPhase::Stepping;
            }
            RolloutEvent::ReleaseHealthy { duration_ms } => self.progress = Some(format!("healthy after {duration_ms} ms")),
            RolloutEvent::WeightApplied { requested, applied } => {
                self.requested = Some(*requested);
                self.applied = Some(*applied);
            }
            RolloutEvent::WatchStarted { .. } => self.watch_started(stamped),
            RolloutEvent::ThresholdChosen { threshold_seconds: seconds, slow_share: share } => {
                if let Some(RolloutEvent::WatchStarted { threshold_seconds, slow_share, .. }) = &mut self.watch {
                    (*threshold_seconds, *slow_share) = (Some(*seconds), Some(*share));
                }
            }
            RolloutEvent::Sampled { sample } => self.sampled(sample),
            RolloutEvent::SampleMissed { reason } => {
                self.missed += 1;
                self.missed_reason = Some(reason.clone());
            }
            RolloutEvent::VerdictReached { verdict } => {
                self.verdict = Some(verdict.clone());
                self.verdict_at = Some(time);
                self.voided = None;
            }
            RolloutEvent::VerdictVoided { reason } => {
                self.verdict = None;
                self.voided = Some(reason.clone());
                self.overridden = None;
            }
            RolloutEvent::HoldExpired { verdict } => {
                self.verdict = Some(verdict.clone());
                self.hold_expired = true;
            }
            RolloutEvent::HoldOverridden { actor, reason } => {
                self.overridden = Some((actor.clone(), reason.clone()));
                self.hold_expired = false;
            }
            RolloutEvent::Steered { actor, what, reason } => self.steered(actor, *what, reason.as_deref()),
            RolloutEvent::DriftFound { drift } => self.drift.clone_from(drift),
            RolloutEvent::WatchLeft => self.left = true,
            RolloutEvent::Promoted => {
                self.phase = RolloutPhase::Promoted;
                self.requested = Some(Weight::FULL);
                self.applied = Some(Weight::FULL);
            }
            RolloutEvent::ProductionWatched { until, holdback } => {
                self.production = Some(Production { since: time, until: *until, holdback: *holdback });
            }
            RolloutEvent::RolledBack { to, reason } => {
                self.phase = RolloutPhase::RolledBack { to: to.clone(), reason: reason.clone() };
            }
            RolloutEvent::Superseded { by } => {
                self.phase = RolloutPhase::Superseded(by.clone());
                self.lose_weight();
            }
            RolloutEvent::StepFailed { reason, last_lines, .. } => {
                self.phase = RolloutPhase::Failed(reason.clone());
                self.last_lines.clone_from(last_lines);
            }
            RolloutEvent::Unrecorded { .. } => self.unrecorded = true,
            RolloutEvent::RolloutEnded { outcome } => {
                if *outcome == RolloutOutcome::Superseded {
                    self.lose_weight();
                }
                self.ended = Some((*outcome, time));
            }
        }
    }

    fn watch_started(&mut self, stamped: &Stamped<RolloutEvent>) {
        // Production that is watched is promoted all the same.
        if self.phase != RolloutPhase::Promoted {
            self.phase = RolloutPhase::Watching;
        }
        self.watch_started_at = Some(stamped.time);
        self.watch = Some(stamped.event.clone());
        self.samples_before = self.samples.len();
        self.verdict = None;
        self.hold_expired = false;
        self.extended_seconds = 0;
    }

    fn sampled(&mut self, sample: &Sample) {
        if self.samples.last().is_none_or(|last| last.at < sample.at) {
            self.samples.push(sample.clone());
        }
        self.missed = 0;
        self.missed_reason = None;
    }

    fn steered(&mut self, actor: &Actor, what: Steering, reason: Option<&str>) {
        match what {
            Steering::Paused => self.paused = Some((actor.clone(), reason.map(str::to_owned))),
            Steering::Resumed => self.paused = None,
            Steering::Extended { seconds } => self.extended_seconds = self.extended_seconds.saturating_add(seconds),
            // Its weight and its watch are events of their own.
            Steering::Skipped { .. } => {}
        }
    }

    /// Whoever takes the environment takes this one's weight away first; what is applied from there on is the other's.
    fn lose_weight(&mut self) {
        self.applied = self.applied.map(|_| Weight::ZERO);
    }
}
