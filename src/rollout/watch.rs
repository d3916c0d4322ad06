//! The watch: scrape, keep, judge, act. It goes on from the first weight until the release is promoted or taken back.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;

use super::choice::running;
use super::driver::Answer;
use super::evidence::Grounds;
use super::logbook::Insistence;
use super::ports::{ActionKind, EvidenceRef, OnHarm, Span, Threshold, WatchFacts};
use super::production::Stage;
use super::steps::{Claim, StepError};
use super::tale;
use super::worker::Worker;
use crate::canary::Subject;
use crate::deploy::{Applied, ArmName, Observation, Target};
use crate::event::{
    Actor, DeployOutcome, OwnMetric, Refusal, RefusalKind, RolloutEvent, Sample, Step, Verdict, VerdictClass, Watch, Weight,
};
use crate::store::{JournalError, this_process};

/// A scrape may take so long even when scrapes come more often.
const SCRAPE_PATIENCE: Duration = Duration::from_secs(5);
/// Nobody watches when a watch was not renewed for so many scrapes; at least [`LEAST_TTL`].
const TTL_SCRAPES: u32 = 6;
const LEAST_TTL: Duration = Duration::from_secs(30);
/// So many scrapes without a sample are a gap.
const GAP_SCRAPES: u32 = 3;

/// What is known of the canary under watch.
#[derive(Debug)]
pub(crate) struct Watching {
    pub(super) facts: WatchFacts,
    /// All samples of the rollout, oldest first; its journal holds the same ones.
    pub(super) samples: Vec<Sample>,
    /// The verdict that was last written, and when.
    pub(super) told: Option<(Verdict, DateTime<Utc>)>,
    /// From when HOLD counts; none while nobody waits for the verdict.
    pub(super) hold_since: Option<DateTime<Utc>>,
    pub(super) next_tick: Instant,
    pub(super) renew_at: Instant,
    /// Whether it was said what to do where nobody asks.
    told_of_load: bool,
    /// When what runs is compared with the record again.
    pub(super) drift_at: Instant,
    /// Harm in production was acted on: a rollback is tried once.
    pub(super) acted: bool,
}

impl Watching {
    pub(super) fn new(facts: WatchFacts, samples: Vec<Sample>, hold_since: Option<DateTime<Utc>>) -> Self {
        let now = Instant::now();
        Self { facts, samples, told: None, hold_since, next_tick: now, renew_at: now, told_of_load: false, drift_at: now, acted: false }
    }

    fn keep(&mut self, sample: Sample) {
        if self.samples.last().is_none_or(|last| last.at < sample.at) {
            self.samples.push(sample);
        }
    }
}

/// What is behind the canary's weight.
enum Behind {
    /// The canary, as far as anybody knows.
    Canary,
    /// Nothing at all.
    Nothing(Weight),
}

impl<T: Target + 'static> Worker<T> {
    /// The counters just before a weight: what the new weight's deltas start from.
    pub(super) async fn scrape_before(&mut self) -> Option<Sample> {
        match self.scrape().await {
            Ok(sample) => Some(sample),
            Err(reason) => {
                self.steps.say(&format!("no sample before the weight: {reason}"));
                None
            }
        }
    }

    pub(super) async fn scrape(&self) -> Result<Sample, String> {
        let patience = self.rules.scrape.max(SCRAPE_PATIENCE);
        match tokio::time::timeout(patience, self.ports.meter.scrape()).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {} s", patience.as_secs())),
        }
    }

    /// Begins a span at the weight that the target applied.
    pub(super) fn start_watch(&mut self, applied: &Applied, before: Option<Sample>) -> Result<(), JournalError> {
        let now = self.steps.now();
        let facts = self.facts_from(&applied.observation, before.as_ref());
        let watch = self.watch.get_or_insert_with(|| Watching::new(facts, Vec::new(), None));
        watch.facts.spans.push(Span { weight: applied.weight, since: now });
        watch.told = None;
        watch.hold_since = Some(now);
        watch.next_tick = Instant::now() + self.rules.scrape;
        let requested = self.steps.book.state().requested.unwrap_or(applied.weight);
        let started = watch_started(applied.weight, &watch.facts, tale::next_in(&self.walk, requested), self.ports.judge.own());
        if let Some(sample) = before.clone() {
            watch.keep(sample);
        }
        self.steps.note(started)?;
        if let Some(sample) = before {
            self.steps.note(RolloutEvent::Sampled { sample })?;
        }
        Ok(())
    }

    fn facts_from(&self, seen: &Observation, before: Option<&Sample>) -> WatchFacts {
        let version = |arm| seen.arms.iter().find(|view| view.arm == arm).map(|view| view.version.clone());
        let stable_version = version(ArmName::Stable);
        let absolute_only = stable_version.is_none();
        // A first release has no latency to be compared with, and none is made up.
        let threshold = if absolute_only { None } else { self.ports.judge.threshold(before, stable_version.as_deref()) };
        WatchFacts {
            spans: Vec::new(),
            threshold,
            absolute_only,
            canary_version: version(ArmName::Canary).unwrap_or_default(),
            stable_version,
            missed: 0,
            missed_reason: None,
            health: None,
            stable_health: None,
            subject: Subject::Canary,
        }
    }

    pub(super) fn watch_promise(&self) -> Watch {
        Watch {
            rollout: self.created.rollout.clone(),
            host: self.host.clone(),
            by: this_process(),
            renewed_at: self.steps.now(),
            ttl_seconds: self.ttl().as_secs(),
        }
    }

    pub(super) fn ttl(&self) -> Duration {
        (self.rules.scrape * TTL_SCRAPES).max(LEAST_TTL)
    }

    /// One look: is it still ours, what was measured, what does it mean, what follows.
    pub(super) async fn tick(&mut self) {
        let scrape = self.rules.scrape;
        if let Some(watch) = self.watch.as_mut() {
            watch.next_tick = Instant::now() + scrape;
        }
        if self.stage() == Stage::Whole {
            return self.tick_of_production().await;
        }
        let looked = self.look().await;
        if let Err(error @ StepError::Superseded(_)) = looked {
            // It is over whether the disk takes that or not.
            self.steps.book.insist(Insistence::Tolerant);
            let answer = self.fail(Step::Weigh, error).await;
            self.steps.book.insist(Insistence::Strict);
            if let Some(answer) = answer {
                self.reply(&answer);
            }
            return;
        }
        if let Ok(Behind::Nothing(weight)) = looked {
            self.unserved(weight).await;
            return;
        }
        // Unreachable: samples from behind a target that does not answer prove nothing about its weight.
        let sample = match looked {
            Ok(Behind::Canary | Behind::Nothing(_)) => self.scrape().await,
            Err(error) => Err(error.to_string()),
        };
        self.measured_now(sample).await;
        match self.stage() {
            Stage::Canary => self.judge().await,
            Stage::Holdback | Stage::Whole => self.judge_production().await,
        }
    }

    /// Takes in what a look brought, with what was missed before it.
    pub(super) async fn measured_now(&mut self, sample: Result<Sample, String>) {
        if let Ok(sample) = &sample {
            self.fill_gap(sample.at).await;
        }
        self.take_in_sample(sample);
        self.choose_threshold();
    }

    /// After a time without samples: takes in what the source kept of it. Where it kept nothing, the next difference covers the gap.
    async fn fill_gap(&mut self, now: DateTime<Utc>) {
        let step = self.rules.scrape;
        let Some(last) = self.watch.as_ref().and_then(|watch| watch.samples.last()).map(|sample| sample.at) else { return };
        if (now - last).to_std().unwrap_or_default() <= step * GAP_SCRAPES {
            return;
        }
        let past = tokio::time::timeout(SCRAPE_PATIENCE, self.ports.meter.history(last, now, step)).await;
        let past = match past {
            Ok(Ok(past)) => past,
            Ok(Err(reason)) => return self.steps.say(&format!("the time without samples stays one interval: {reason}")),
            Err(_) => return self.steps.say("the time without samples stays one interval: its history did not come in time"),
        };
        for sample in past.into_iter().filter(|sample| sample.at > last && sample.at < now) {
            self.take_in_sample(Ok(sample));
        }
    }

    fn take_in_sample(&mut self, sample: Result<Sample, String>) {
        let Some(watch) = self.watch.as_mut() else { return };
        let event = match sample {
            Ok(sample) => {
                watch.facts.missed = 0;
                watch.facts.missed_reason = None;
                watch.keep(sample.clone());
                RolloutEvent::Sampled { sample }
            }
            Err(reason) => {
                watch.facts.missed += 1;
                watch.facts.missed_reason = Some(reason.clone());
                RolloutEvent::SampleMissed { reason }
            }
        };
        if let Err(error) = self.steps.note(event) {
            // The sample is judged all the same: a full disk must not hide harm.
            (self.steps.tell)(&format!("the journal is behind: {error}"));
        }
    }

    /// What is slow, when nothing told it before the canary had its weight: by the first sample that does, and never again.
    fn choose_threshold(&mut self) {
        let Some(Watching { facts, samples, .. }) = &self.watch else { return };
        let first = facts.absolute_only && facts.subject == Subject::Canary;
        if first || facts.threshold.is_some() {
            return;
        }
        let Some(chosen) = self.ports.judge.threshold(samples.last(), facts.stable_version.as_deref()) else { return };
        let event = RolloutEvent::ThresholdChosen { threshold_seconds: chosen.seconds, slow_share: chosen.slow_share };
        match self.steps.note(event) {
            Ok(()) => {
                if let Some(watch) = self.watch.as_mut() {
                    watch.facts.threshold = Some(chosen);
                }
            }
            // The next driver must find the same one: what cannot be written down is chosen again.
            Err(error) => (self.steps.tell)(&format!("the latency threshold could not be written: {error}")),
        }
    }

    /// Compares the target with what was written, and renews the promise to watch.
    async fn look(&mut self) -> Result<Behind, StepError> {
        let record = self.steps.record().await?;
        self.steps.still_ours(&record)?;
        let seen = self.steps.observe().await?;
        let digest = self.digest().clone();
        let health = seen.arms.iter().find(|view| view.arm == ArmName::Canary && view.release == digest).map(|view| view.health.clone());
        let stable_health = seen.arms.iter().find(|view| view.arm == ArmName::Stable).map(|view| view.health.clone());
        let applied = self.steps.book.state().applied;
        if applied.is_some_and(|applied| applied != seen.weight) {
            let requested = self.steps.book.state().requested.unwrap_or(seen.weight);
            self.steps.say(&format!("the target now gives the canary {}", seen.weight));
            self.steps.note(RolloutEvent::WeightApplied { requested, applied: seen.weight })?;
            self.begin_span(seen.weight)?;
        }
        let nothing = running(&seen, ArmName::Canary).is_none() && running(&seen, ArmName::Stable).is_some();
        if nothing && seen.weight > Weight::ZERO {
            return Ok(Behind::Nothing(seen.weight));
        }
        self.compare_when_due().await?;
        let ttl = self.ttl();
        let Some(watch) = self.watch.as_mut() else { return Ok(Behind::Canary) };
        // Nothing is promised of a canary that is not there: a target that a person stopped stays stopped.
        let there = health.is_some();
        watch.facts.health = health;
        watch.facts.stable_health = stable_health;
        if there && watch.renew_at <= Instant::now() {
            watch.renew_at = Instant::now() + ttl / 3;
            let promise = self.watch_promise();
            self.steps.amend(Claim::Holding, |record| record.watch = Some(promise.clone())).await?;
        }
        Ok(Behind::Canary)
    }

    /// Users of a share get errors, and no measure of what is not there will say so: it is taken away, whatever becomes of a canary that does
    /// harm.
    async fn unserved(&mut self, weight: Weight) {
        let actor = self.own_actor();
        let reason = format!("nothing runs behind the canary's {weight}: whoever is sent there gets errors");
        let answer = self.take_back(ActionKind::Abort, &actor, reason, None).await;
        self.reply(&answer);
    }

    /// The weight is another without this driver's doing: what was concluded at the one before holds no more, and PASS begins anew.
    fn begin_span(&mut self, weight: Weight) -> Result<(), JournalError> {
        if weight == Weight::ZERO {
            return Ok(());
        }
        let (now, state) = (self.steps.now(), self.steps.book.state());
        let (had_verdict, next) = (state.verdict.is_some() || state.overridden.is_some(), state.next_weight());
        if had_verdict {
            self.steps.note(RolloutEvent::VerdictVoided { reason: format!("the weight became {weight} outside of hms") })?;
        }
        let Some(watch) = self.watch.as_mut() else { return Ok(()) };
        watch.facts.spans.push(Span { weight, since: now });
        watch.told = None;
        watch.hold_since = watch.hold_since.map(|_| now);
        let started = watch_started(weight, &watch.facts, next, self.ports.judge.own());
        self.steps.note(started)?;
        Ok(())
    }

    /// Judges all samples so far, and does what follows.
    async fn judge(&mut self) {
        let now = self.steps.now();
        let Some(watch) = self.watch.as_ref() else { return };
        let verdict = self.ports.judge.assess(&watch.facts, &watch.samples, now);
        match verdict.class {
            VerdictClass::Rollback => self.harmed(verdict).await,
            VerdictClass::Pass => self.passed(verdict).await,
            VerdictClass::Hold => self.holding(&verdict),
        }
    }

    /// Writes a verdict if it is worth it. False: it could not be written, so nothing may rest on it.
    pub(super) fn told(&mut self, verdict: &Verdict) -> bool {
        let now = self.steps.now();
        let Some(watch) = self.watch.as_mut() else { return false };
        if !tale::worth_telling(watch.told.as_ref().map(|(verdict, at)| (verdict, *at)), verdict, now) {
            return true;
        }
        if let Err(error) = self.steps.note(RolloutEvent::VerdictReached { verdict: verdict.clone() }) {
            (self.steps.tell)(&format!("the verdict could not be written: {error}"));
            return false;
        }
        if let Some(watch) = self.watch.as_mut() {
            watch.told = Some((verdict.clone(), now));
        }
        true
    }

    pub(super) fn write_evidence(&mut self, verdict: &Verdict) -> Option<EvidenceRef> {
        let watch = self.watch.as_ref()?;
        let judge = self.ports.judge.describe();
        let grounds = Grounds {
            created: &self.created,
            judge: &judge,
            facts: &watch.facts,
            samples: &watch.samples,
            verdict,
            journal_seq: self.steps.book.state().seq,
            at: self.steps.now(),
        };
        match self.evidence.write(grounds) {
            Ok(written) => Some(written),
            Err(error) => {
                (self.steps.tell)(&format!("the evidence could not be written: {error}"));
                None
            }
        }
    }

    pub(super) fn class(&self) -> Option<VerdictClass> {
        self.watch.as_ref()?.told.as_ref().map(|(verdict, _)| verdict.class)
    }

    async fn harmed(&mut self, verdict: Verdict) {
        let state = self.steps.book.state();
        if state.verdict_class() == Some(VerdictClass::Pass) || state.overridden.is_some() {
            let reason = format!("the canary turned bad: {}", verdict.reason);
            let _ = self.steps.note(RolloutEvent::VerdictVoided { reason });
        }
        let evidence =
            if self.class() == Some(VerdictClass::Rollback) { self.evidence.last().cloned() } else { self.write_evidence(&verdict) };
        // Harm is acted on even when it cannot be written down.
        let _ = self.told(&verdict);
        match self.rules.on_harm {
            OnHarm::Rollback => {
                let actor = self.own_actor();
                let answer = self.take_back(ActionKind::Rollback, &actor, verdict.reason, evidence).await;
                self.reply(&answer);
            }
            OnHarm::Hold => {
                let message = format!("the canary does harm and keeps its weight, as on_harm: hold says: {}", verdict.reason);
                self.reply(&Answer::new(DeployOutcome::Held, message));
            }
        }
    }

    async fn passed(&mut self, verdict: Verdict) {
        if self.class() != Some(VerdictClass::Pass) && self.write_evidence(&verdict).is_none() {
            return;
        }
        if !self.told(&verdict) {
            return;
        }
        let state = self.steps.book.state();
        let (requested, applied) = (state.requested.unwrap_or(Weight::ZERO), state.applied.unwrap_or(Weight::ZERO));
        if self.pending.is_empty() || state.paused.is_some() {
            return;
        }
        match tale::next_in(&self.walk, requested) {
            Some(next) => {
                if let Err(error) = self.next_weight(next).await
                    && let Some(answer) = self.fail(Step::Weigh, error).await
                {
                    self.reply(&answer);
                }
            }
            None => self.reply(&Answer::new(DeployOutcome::Done, format!("{applied} traffic healthy: {}", verdict.reason))),
        }
    }

    fn holding(&mut self, verdict: &Verdict) {
        let written = self.told(verdict);
        self.tell_of_load(verdict);
        let now = self.steps.now();
        let extended = Duration::from_secs(self.steps.book.state().extended_seconds);
        let on_hold = TimeDelta::from_std(self.rules.on_hold.saturating_add(extended)).unwrap_or(TimeDelta::MAX);
        let Some(watch) = self.watch.as_mut() else { return };
        let expired = watch.hold_since.is_some_and(|since| now.signed_duration_since(since) > on_hold);
        let state = self.steps.book.state();
        let waits = state.overridden.is_some() || state.paused.is_some();
        if !expired || waits || !written {
            return;
        }
        watch.hold_since = None;
        let _ = self.write_evidence(verdict);
        if let Err(error) = self.steps.note(RolloutEvent::HoldExpired { verdict: verdict.clone() }) {
            (self.steps.tell)(&format!("the journal is behind: {error}"));
        }
        self.reply(&Answer::new(DeployOutcome::Held, format!("still HOLD: {}", verdict.reason)));
    }

    /// On this machine there may be no users at all: then nothing is ever known, and the way out is said once.
    fn tell_of_load(&mut self, verdict: &Verdict) {
        let (now, quiet) = (self.steps.now(), TimeDelta::from_std(self.rules.scrape * GAP_SCRAPES).unwrap_or(TimeDelta::MAX));
        let nobody = verdict.canary_requests == 0 && verdict.stable_requests == 0 && self.created.target.kind == "local";
        let Some(watch) = self.watch.as_mut().filter(|watch| nobody && !watch.told_of_load) else { return };
        if watch.facts.spans.first().is_none_or(|span| now.signed_duration_since(span.since) < quiet) {
            return;
        }
        watch.told_of_load = true;
        let (environment, app) = (&self.created.environment, &self.created.app);
        self.steps.say(&format!("nobody asks {environment}: hms local load --env {environment} --app {app} sends synthetic requests"));
    }

    /// hms itself, when it acts by the policy: in the name of whoever asked for the release.
    pub(super) fn own_actor(&self) -> Actor {
        Actor { via: "hms driver, by policy".to_owned(), ..self.created.actor.clone() }
    }

    /// Passes a HOLD: in the ledger, then in the journal; then those who wait have their answer.
    pub(super) async fn override_hold(&mut self, actor: Actor, reason: String) -> Answer {
        if let Some(answer) = self.ended() {
            return Answer::refused(Refusal::new(RefusalKind::NotWaiting, answer.message));
        }
        if let Some(answer) = self.let_through() {
            return Answer::refused(Refusal::new(RefusalKind::NotWaiting, answer.message));
        }
        let Some(watch) = self.watch.as_ref() else {
            return Answer::refused(Refusal::new(RefusalKind::NotWaiting, "no canary has weight, so nothing is on HOLD"));
        };
        if let Some((by, reason)) = &self.steps.book.state().overridden {
            // It is passed: there is nothing to enter again.
            return Answer::new(DeployOutcome::Overridden, format!("HOLD passed by {}: {reason}", by.login));
        }
        let verdict = self.ports.judge.assess(&watch.facts, &watch.samples, self.steps.now());
        if verdict.class == VerdictClass::Rollback {
            let message = format!("the canary does harm, and an override passes HOLD alone: {}", verdict.reason);
            return Answer::refused(Refusal::new(RefusalKind::Protected, message).hint("take it back: hms rollback --env canary"));
        }
        let Some(evidence) = self.write_evidence(&verdict) else {
            return Answer::new(DeployOutcome::Failed, "the evidence could not be written, so nothing was overridden");
        };
        let mut draft = self.draft_with(ActionKind::Override, &actor, Some(evidence), &[]);
        draft.reason = Some(reason.clone());
        let recorded = match self.steps.intend(&draft).await {
            Ok(seq) => seq,
            Err(super::ports::RecordError::Refused(refusal)) => return Answer::refused(refusal),
            Err(error) => return Answer::new(DeployOutcome::Failed, error.to_string()),
        };
        let written = self.steps.note(RolloutEvent::HoldOverridden { actor: actor.clone(), reason: reason.clone() });
        let result = if written.is_ok() { super::ports::ActionResult::Done } else { super::ports::ActionResult::Failed };
        let message = written.as_ref().map_or_else(ToString::to_string, |()| format!("HOLD passed by {}", actor.login));
        let _ = self.steps.conclude(recorded, &super::steps::failed(result, message.clone())).await;
        if written.is_err() {
            return Answer::new(DeployOutcome::Failed, message);
        }
        let answer = Answer::new(DeployOutcome::Overridden, format!("HOLD passed by {}: {reason}", actor.login));
        self.reply(&answer);
        answer
    }

    /// Takes up the watch where a former driver left it. The gap is covered by the next delta: counters are cumulative.
    pub(super) fn take_up_watch(
        &mut self,
        seen: &Observation,
        weight: Weight,
        events: &[crate::event::Stamped<RolloutEvent>],
    ) -> Result<(), JournalError> {
        let mut facts = self.facts_from(seen, None);
        let mut samples: Vec<Sample> = Vec::new();
        for stamped in events {
            if let RolloutEvent::Sampled { sample } = &stamped.event {
                samples.push(sample.clone());
            }
            if let RolloutEvent::ProductionWatched { holdback: None, .. } = &stamped.event {
                // What the canary was judged on is another test's.
                samples.clear();
                facts.spans.clear();
                facts.subject = Subject::Production;
            }
            if let RolloutEvent::WatchStarted {
                weight, threshold_seconds, slow_share, absolute_only, canary_version, stable_version, ..
            } = &stamped.event
            {
                facts.spans.push(Span { weight: *weight, since: stamped.time });
                facts.threshold = threshold_seconds.zip(*slow_share).map(|(seconds, slow_share)| Threshold { seconds, slow_share });
                facts.absolute_only = *absolute_only;
                facts.canary_version.clone_from(canary_version);
                facts.stable_version.clone_from(stable_version);
            }
            if let RolloutEvent::ThresholdChosen { threshold_seconds, slow_share } = &stamped.event {
                facts.threshold = Some(Threshold { seconds: *threshold_seconds, slow_share: *slow_share });
            }
        }
        samples.sort_by_key(|sample| sample.at);
        samples.dedup_by_key(|sample| sample.at);
        let state = self.steps.book.state();
        let told = state.verdict.clone().zip(state.verdict_at);
        let hold_since = if state.hold_expired { None } else { state.watch_started_at };
        let last = facts.spans.last().map(|span| span.weight);
        let mut watch = Watching::new(facts, samples, hold_since);
        watch.told = told;
        if last != Some(weight) {
            let now = self.steps.now();
            watch.facts.spans.push(Span { weight, since: now });
            watch.told = None;
            watch.hold_since = Some(now);
            let next = state.next_weight();
            let started = watch_started(weight, &watch.facts, next, self.ports.judge.own());
            self.steps.note(started)?;
        }
        self.watch = Some(watch);
        Ok(())
    }

    /// Whether the target's canary is this release.
    pub(super) fn is_canary(&self, seen: &Observation) -> bool {
        running(seen, ArmName::Canary) == Some(self.digest())
    }
}

pub(super) fn watch_started(weight: Weight, facts: &WatchFacts, next: Option<Weight>, own: Vec<OwnMetric>) -> RolloutEvent {
    RolloutEvent::WatchStarted {
        weight,
        threshold_seconds: facts.threshold.map(|threshold| threshold.seconds),
        slow_share: facts.threshold.map(|threshold| threshold.slow_share),
        absolute_only: facts.absolute_only,
        canary_version: facts.canary_version.clone(),
        stable_version: facts.stable_version.clone(),
        next,
        own,
    }
}
