//! Production after its promotion: watched by its SLOs alone, or beside a holdback, for as long as policy says (`docs/decisions.md` 21.18).
//!
//! Which of the two it is stands in the journal (`ProductionWatched`), so that the next driver goes on with the same one.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;

use super::driver::Answer;
use super::forward::{result_of, weighed};
use super::logbook::{DriveError, Insistence};
use super::ports::{ActionDraft, ActionKind, After, AfterHarm, EvidenceRef, Span, WatchFacts};
use super::promote::Proven;
use super::rollback::{RollbackEnd, RollbackRequest, RollbackSetup, roll_back};
use super::steps::{Begun, Claim, StepError, failed, told};
use super::watch::{Watching, watch_started};
use super::worker::Worker;
use crate::canary::Subject;
use crate::deploy::{Applied, ArmName, Observation, Target, TargetError};
use crate::event::{
    Arm, DeployOutcome, Digest, EnvironmentRecord, Production, RolloutEvent, RolloutId, RolloutOutcome, RolloutPhase, Sample, Stamped,
    Step, Verdict, VerdictClass, Weight, Weights,
};

/// So long after a promotion that could not be completed it is tried again.
const AGAIN: Duration = Duration::from_mins(1);

/// What is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// A canary, or nothing yet.
    Canary,
    /// A release that was let through, beside what the one before keeps.
    Holdback,
    /// One that has all traffic.
    Whole,
}

impl<T: Target + 'static> Worker<T> {
    pub(super) fn stage(&self) -> Stage {
        let state = self.steps.book.state();
        match &state.production {
            None => Stage::Canary,
            Some(Production { holdback: Some(_), .. }) if state.phase != RolloutPhase::Promoted => Stage::Holdback,
            Some(_) => Stage::Whole,
        }
    }

    /// The answer to whoever asks for what is done: the release is in production. None before that, and when the rollout is over.
    pub(super) fn let_through(&self) -> Option<Answer> {
        let state = self.steps.book.state();
        let production = state.production.filter(|_| state.ended.is_none())?;
        let kept = production
            .holdback
            .filter(|_| self.stage() == Stage::Holdback)
            .map_or_else(String::new, |held| format!("; {} keeps {held} until {}", self.before(), production.until.format("%H:%M:%S UTC")));
        Some(Answer::new(DeployOutcome::Done, format!("{}{kept}", self.already())))
    }

    /// What the release before is to keep; none where policy wants nothing of the kind, or nothing was there before.
    pub(super) fn wanted_holdback(&mut self) -> Option<(After, Weight)> {
        let after = self.rules.after?;
        let held = after.holdback?;
        if self.base.is_some() {
            return Some((after, held));
        }
        self.steps.say("no release was there before this one: nothing can be held back, and production is watched by its SLOs alone");
        None
    }

    /// The promotion with a holdback: one more weight, after which the release counts as let through.
    pub(super) async fn promote_beside(
        &mut self,
        draft: ActionDraft,
        direct: bool,
        (after, held): (After, Weight),
        text: String,
    ) -> Result<Answer, StepError> {
        let share = rest_of(held);
        let draft = ActionDraft { requested: Some(share), ..draft };
        let base = self.base.as_ref().map(|release| release.digest.clone());
        let begun = self
            .steps
            .begin(Step::Weigh, draft, Claim::HoldingFrom(base), |record| {
                let applied = record.weights.map_or(Weight::ZERO, |weights| weights.applied);
                record.weights = Some(Weights { requested: share, applied });
            })
            .await?;
        let measured = self.measured();
        let (applied, before) = match self.weigh_beside(direct, share, &begun).await {
            Ok(weighed) => weighed,
            Err(error) => {
                self.steps.close(begun.intent, &failed(result_of(&error), error.to_string())).await;
                return Err(self.cannot_hold(held, error));
            }
        };
        self.start_watch(&applied, before)?;
        let until = later(self.steps.now(), after.watch);
        self.steps.note(RolloutEvent::ProductionWatched { until, holdback: Some(held) })?;
        let weights = Weights { requested: share, applied: applied.weight };
        let promise = self.watch_promise();
        let outcome = weighed(format!("{text}; {} keeps {held}", self.before()), share, applied.weight, measured);
        self.steps
            .settle(begun, outcome, |record| {
                record.weights = Some(weights);
                record.watch = Some(promise.clone());
            })
            .await?;
        let line = format!("{} keeps {held} until {} to be compared with, then it is drained", self.before(), until.format("%H:%M:%S UTC"));
        self.steps.say(&line);
        Ok(Answer::new(DeployOutcome::Done, format!("{text}; {line}")))
    }

    async fn weigh_beside(&mut self, direct: bool, share: Weight, begun: &Begun) -> Result<(Applied, Option<Sample>), StepError> {
        if direct {
            self.bring_up().await?;
        } else if !self.is_canary(&self.steps.observe().await?) {
            return Err(StepError::Unproven("the target's canary is another release".to_owned()));
        }
        let before = self.scrape_before().await;
        Ok((self.set_weight(share, begun.intent).await?, before))
    }

    /// A target that cannot give a share at all is refused by the name of what wants one.
    fn cannot_hold(&self, held: Weight, error: StepError) -> StepError {
        if let StepError::Target(TargetError::NotPossible { reason }) = &error {
            let before = self.before();
            return StepError::Unproven(format!("{before} cannot keep {held} beside it, as canary.after.holdback wants: {reason}"));
        }
        error
    }

    /// Begins to watch a release that has all traffic, if policy wants it, and says so. None: nothing is watched, and the rollout is over.
    pub(super) async fn watch_production(&mut self) -> Option<String> {
        let after = self.rules.after.filter(|_| self.steps.book.state().production.is_none())?;
        match self.begin_production(after).await {
            Ok(until) => {
                let text = format!("production is watched by its SLOs alone until {}", until.format("%H:%M:%S UTC"));
                self.steps.say(&text);
                Some(text)
            }
            Err(error) => {
                self.watch = None;
                self.steps.say(&format!("production is not watched: {error}"));
                None
            }
        }
    }

    async fn begin_production(&mut self, after: After) -> Result<DateTime<Utc>, StepError> {
        let seen = self.steps.observe().await?;
        let before = self.scrape_before().await;
        let now = self.steps.now();
        let facts = WatchFacts {
            spans: vec![Span { weight: Weight::FULL, since: now }],
            threshold: self.ports.judge.threshold(before.as_ref(), None),
            absolute_only: true,
            canary_version: version_of(&seen, self.digest()),
            stable_version: None,
            missed: 0,
            missed_reason: None,
            health: None,
            stable_health: None,
            subject: Subject::Production,
        };
        let until = later(now, after.watch);
        let started = watch_started(Weight::FULL, &facts, None, self.ports.judge.own());
        self.steps.note(RolloutEvent::ProductionWatched { until, holdback: None })?;
        self.steps.note(started)?;
        if let Some(sample) = before.clone() {
            self.steps.note(RolloutEvent::Sampled { sample })?;
        }
        let mut watch = Watching::new(facts, before.into_iter().collect(), None);
        watch.next_tick = Instant::now() + self.rules.scrape;
        self.watch = Some(watch);
        self.promise_production().await.map(|()| until)
    }

    async fn promise_production(&mut self) -> Result<(), StepError> {
        let promise = self.watch_promise();
        self.steps.amend(Claim::Having(self.digest().clone()), |record| record.watch = Some(promise.clone())).await.map(drop)
    }

    /// One look at a release that has all traffic.
    pub(super) async fn tick_of_production(&mut self) {
        let sample = match self.look_at_production().await {
            Ok(None) => self.scrape().await,
            Ok(Some(why)) => return self.end_production(&why).await,
            Err(error) => Err(error.to_string()),
        };
        self.measured_now(sample).await;
        self.judge_production().await;
    }

    /// Whether somebody else has the environment now, and how the release is.
    async fn look_at_production(&mut self) -> Result<Option<String>, StepError> {
        let record = self.steps.record().await?;
        if let Some(why) = self.taken(&record) {
            return Ok(Some(why));
        }
        let seen = self.steps.observe().await?;
        let digest = self.digest().clone();
        let health = seen.arms.iter().find(|view| view.arm == ArmName::Stable && view.release == digest).map(|view| view.health.clone());
        self.compare_when_due().await?;
        let ttl = self.ttl();
        let Some(watch) = self.watch.as_mut() else { return Ok(None) };
        watch.facts.health = health;
        if watch.renew_at <= Instant::now() {
            watch.renew_at = Instant::now() + ttl / 3;
            match self.promise_production().await {
                Err(StepError::Changed) => return Ok(Some("the environment is somebody else's".to_owned())),
                answer => answer?,
            }
        }
        Ok(None)
    }

    pub(super) async fn find_out_of_production(&mut self) {
        let Ok(record) = self.steps.record().await else { return };
        if let Some(why) = self.taken(&record) {
            self.end_production(&why).await;
        }
    }

    /// Who has the environment, when it is not this release alone any more.
    fn taken(&self, record: &EnvironmentRecord) -> Option<String> {
        let environment = &record.environment;
        match (&record.slot, &record.current) {
            (Some(slot), _) => Some(format!("{} is on its way to {environment}", slot.release.tag)),
            (None, Some(current)) if current.digest == *self.digest() => None,
            (None, current) => Some(format!("{environment} has {}", current.as_ref().map_or("no release", |release| release.tag.as_str()))),
        }
    }

    /// Judges production, and does what follows.
    pub(super) async fn judge_production(&mut self) {
        let (now, state) = (self.steps.now(), self.steps.book.state());
        let Some((watch, production)) = self.watch.as_ref().zip(state.production) else { return };
        let mut verdict = self.ports.judge.assess(&watch.facts, &watch.samples, now);
        if let Some(words) = state.production_words() {
            verdict.reason = format!("{words}: {}", verdict.reason);
        }
        if verdict.class == VerdictClass::Rollback {
            self.production_harmed(&verdict).await;
        } else {
            let _ = self.told(&verdict);
        }
        if self.watch.is_none() || now < production.until {
            return;
        }
        match (production.holdback.filter(|_| self.stage() == Stage::Holdback), verdict.class) {
            // It gets no more traffic; `production_harmed` said what there is to do.
            (Some(_), VerdictClass::Rollback) => {}
            (Some(held), VerdictClass::Pass | VerdictClass::Hold) => self.complete(held, &verdict).await,
            (None, _) => {
                let text = format!("the watch of production is over: {}: {}", verdict.class, verdict.reason);
                self.end_production(&text).await;
            }
        }
    }

    async fn production_harmed(&mut self, verdict: &Verdict) {
        let evidence =
            if self.class() == Some(VerdictClass::Rollback) { self.evidence.last().cloned() } else { self.write_evidence(verdict) };
        // Harm is acted on even when it cannot be written down.
        let _ = self.told(verdict);
        let stage = self.stage();
        let usual = if stage == Stage::Holdback { AfterHarm::Rollback } else { AfterHarm::Tell };
        let on_harm = self.rules.after.map_or(usual, |after| after.on_harm);
        let Some(acted) = self.watch.as_mut().map(|watch| std::mem::replace(&mut watch.acted, true)) else { return };
        match (on_harm, stage) {
            (AfterHarm::Rollback, Stage::Canary | Stage::Holdback) => {
                let actor = self.own_actor();
                let _ = self.take_back(ActionKind::Rollback, &actor, verdict.reason.clone(), evidence).await;
            }
            (AfterHarm::Rollback, Stage::Whole) if !acted => self.go_back(verdict, evidence).await,
            (AfterHarm::Tell, _) if !acted => {
                let (environment, app) = (&self.created.environment, &self.created.app);
                let text = format!("harm, left to people as on_harm: tell says (hms rollback --env {environment} --app {app})");
                self.steps.say(&text);
            }
            (AfterHarm::Rollback | AfterHarm::Tell, _) => {}
        }
    }

    /// Back to the last healthy release: a rollout of its own, tried once.
    async fn go_back(&mut self, verdict: &Verdict, evidence: Option<EvidenceRef>) {
        let setup = RollbackSetup {
            target: Arc::clone(&self.steps.target),
            recorder: Arc::clone(&self.steps.recorder),
            state: self.state.clone(),
            // Nothing counts down, so nobody listens.
            runtime: self.state.clone(),
            host: self.host.clone(),
            hear: self.hear.clone(),
            tell: Arc::clone(&self.steps.tell),
            clock: Arc::clone(&self.steps.clock),
            inside: Arc::new(|_| true),
            start_timeout: self.rules.start_timeout,
        };
        let request = RollbackRequest {
            rollout: RolloutId::from_ulid(ulid::Ulid::generate()),
            app: self.created.app.clone(),
            environment: self.created.environment.clone(),
            from: Some(self.digest().clone()),
            to: None,
            arm: Arm::Whole,
            delay: Duration::ZERO,
            actor: self.own_actor(),
            reason: Some(verdict.reason.clone()),
            policy_hash: self.created.policy_hash.clone(),
            run: self.created.run.clone(),
            evidence,
        };
        let why = match Box::pin(roll_back(&setup, &request)).await {
            Ok(RollbackEnd::Reverted { to, .. }) => {
                self.steps.book.insist(Insistence::Tolerant);
                let _ = self.steps.note(RolloutEvent::RolledBack { to, reason: verdict.reason.clone() });
                let _ = self.steps.note(RolloutEvent::RolloutEnded { outcome: RolloutOutcome::RolledBack });
                self.steps.book.insist(Insistence::Strict);
                self.watch = None;
                return;
            }
            Ok(RollbackEnd::NoTarget { why }) => why,
            Ok(RollbackEnd::Failed { reason, .. }) => reason,
            // Somebody else was there first: the next look finds out who, and ends the watch.
            Ok(
                RollbackEnd::AlreadyReverted { .. }
                | RollbackEnd::NothingToRevert { .. }
                | RollbackEnd::Moved { .. }
                | RollbackEnd::Cancelled { .. }
                | RollbackEnd::Superseded { .. },
            ) => return,
            Err(error) => error.to_string(),
        };
        self.steps.say(&format!("production does harm and could not be rolled back: {why}"));
    }

    /// The time of the holdback is over: the release gets the rest too, and the one before is drained.
    async fn complete(&mut self, held: Weight, verdict: &Verdict) {
        let answer = match self.try_complete(held, verdict).await {
            Ok(_) => return,
            Err(error @ StepError::Superseded(_)) => self.fail(Step::Promote, error).await,
            Err(error) => {
                let (reason, last_lines) = told(&error);
                self.steps.say(&format!("{} still keeps {held}, the promotion could not be completed: {reason}", self.before()));
                let _ = self.steps.note(RolloutEvent::StepFailed { step: Step::Promote, reason, last_lines });
                None
            }
        };
        if let Some(answer) = answer {
            self.reply(&answer);
        }
        if let Some(watch) = self.watch.as_mut() {
            watch.next_tick = Instant::now() + AGAIN;
        }
    }

    async fn try_complete(&mut self, held: Weight, verdict: &Verdict) -> Result<Answer, StepError> {
        let unwritten = || StepError::Unproven("the evidence could not be written".to_owned());
        let evidence = self.write_evidence(verdict).ok_or_else(unwritten)?;
        let draft = self.draft_with(ActionKind::Promote, &self.own_actor(), Some(evidence), &[]);
        let reason = Some(format!("the time is over in which {} kept {held}", self.before()));
        let draft = ActionDraft { requested: Some(Weight::FULL), reason, scan_report: self.scan_report().await?, ..draft };
        let base = self.base.as_ref().map(|release| release.digest.clone());
        let begun = self.steps.begin(Step::Promote, draft, Claim::HoldingFrom(base), |_| ()).await?;
        match self.carry_promotion().await {
            // What let it through was looked at before it had its weight.
            Ok(_) => self.promoted(begun, Proven::Yes).await,
            Err(error) => {
                self.steps.close(begun.intent, &failed(result_of(&error), error.to_string())).await;
                Err(error)
            }
        }
    }

    /// Nothing is watched from here on: the rollout ends as what it is.
    pub(super) async fn end_production(&mut self, why: &str) {
        self.steps.say(why);
        self.steps.book.insist(Insistence::Tolerant);
        let _ = self.steps.amend(Claim::Having(self.digest().clone()), |record| record.watch = None).await;
        let _ = self.steps.note(RolloutEvent::RolloutEnded { outcome: RolloutOutcome::Promoted });
        self.steps.book.insist(Insistence::Strict);
        self.watch = None;
    }

    /// Takes up the watch of a release that has all traffic; past its time it is said that nobody watched.
    pub(super) async fn take_up_production(
        &mut self,
        record: &EnvironmentRecord,
        events: &[Stamped<RolloutEvent>],
    ) -> Result<(), DriveError> {
        let Some(production) = self.steps.book.state().production else { return Ok(()) };
        if let Some(why) = self.taken(record) {
            self.end_production(&why).await;
            return Ok(());
        }
        if self.steps.now() >= production.until {
            let last = self.steps.book.state().samples.last().map_or(production.since, |sample| sample.at.max(production.since));
            let (last, until) = (last.format("%H:%M:%S"), production.until.format("%H:%M:%S UTC"));
            self.end_production(&format!("nobody watched production from {last} to {until}, when it was to end")).await;
            return Ok(());
        }
        let seen = self.steps.target.observe(&self.steps.environment).await?;
        self.take_up_watch(&seen, Weight::FULL, events)?;
        if let Err(error) = self.promise_production().await {
            self.steps.say(&format!("the record does not say that production is watched: {error}"));
        }
        Ok(())
    }

    /// The release that was there before, as people name it.
    fn before(&self) -> String {
        self.base.as_ref().map_or_else(|| "the release before".to_owned(), |release| release.tag.clone())
    }
}

/// All but that.
fn rest_of(held: Weight) -> Weight {
    Weight::from_thousandths(Weight::FULL.thousandths().saturating_sub(held.thousandths())).unwrap_or(Weight::FULL)
}

/// That long after.
fn later(now: DateTime<Utc>, by: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(by).ok().and_then(|by| now.checked_add_signed(by)).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

fn version_of(seen: &Observation, release: &Digest) -> String {
    seen.arms.iter().find(|view| view.release == *release).map(|view| view.version.clone()).unwrap_or_default()
}
