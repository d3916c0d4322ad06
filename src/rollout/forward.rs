//! Forward: the environment's slot, the release's start, the canary's weights.

use std::time::Duration;

use tokio::time::Instant;

use super::abandoned;
use super::choice::{self, running};
use super::crash::{self, CrashPoint};
use super::driver::{Answer, Walk};
use super::ports::{ActionDraft, ActionKind, ActionResult, OutcomeDraft, Patience, SlotPolicy, StartFacts};
use super::rollback::{insist, take_away};
use super::steps::{Claim, StepError, blocking, failed};
use super::worker::{Interrupt, Worker};
use crate::deploy::{Applied, ArmName, Effect, Target, TargetError};
use crate::event::{
    DeployOutcome, Digest, EnvironmentRecord, Refusal, RefusalKind, RolloutEvent, RolloutOutcome, Slot, Step, Weight, Weights,
};

/// How often a taken environment is looked at again.
const SLOT_LOOK: Duration = Duration::from_secs(1);

impl<T: Target + 'static> Worker<T> {
    /// Goes forward as far as it can without a verdict, and answers those who wait if there is an answer already.
    pub(super) async fn canary(&mut self, walk: Walk) {
        let gone = match self.advance(walk).await {
            Ok(answer) => answer,
            Err((step, error)) => self.fail(step, error).await,
        };
        if let Some(answer) = gone {
            self.reply(&answer);
        }
    }

    async fn advance(&mut self, walk: Walk) -> Result<Option<Answer>, (Step, StepError)> {
        if let Some(answer) = self.ended() {
            return Ok(Some(answer));
        }
        self.walk = match walk {
            Walk::One(weight) => vec![weight],
            Walk::Steps => self.rules.steps.clone(),
        };
        if self.watch.is_some() {
            return self.go_on().await;
        }
        let start = |error| (Step::Start, error);
        let record = self.take_slot().await.map_err(start)?;
        // The record's word alone says nothing of what is there.
        self.refuse_drift().await.map_err(start)?;
        if let Some(answer) = self.already_there(&record).await {
            return Ok(Some(answer));
        }
        self.check_start(&record).await.map_err(start)?;
        if self.is_first(&record).await.map_err(start)? {
            self.walk = vec![Weight::FULL];
            self.steps.say("the first release of this environment: it takes all traffic and is judged by the absolute SLO alone");
        }
        let weight = self.walk.first().copied().unwrap_or(Weight::ZERO);
        self.first_weight(weight).await?;
        Ok(None)
    }

    /// The canary is watched already: the same weight goes on with the same evidence, another one is the next step.
    async fn go_on(&mut self) -> Result<Option<Answer>, (Step, StepError)> {
        if let Some((actor, reason)) = &self.steps.book.state().overridden {
            let message = format!("HOLD passed by {}: {reason}", actor.login);
            return Ok(Some(Answer::new(DeployOutcome::Overridden, message)));
        }
        let requested = self.steps.book.state().requested.unwrap_or(Weight::ZERO);
        let first = self.watch.as_ref().is_some_and(|watch| watch.facts.absolute_only);
        if first {
            self.walk = vec![Weight::FULL];
        }
        if self.walk.contains(&requested) || first {
            let now = self.steps.now();
            if let Some(watch) = self.watch.as_mut() {
                watch.hold_since = Some(now);
                // At once, so that a verdict that is known already is answered now.
                watch.next_tick = Instant::now();
            }
            return Ok(None);
        }
        let next = self.walk.first().copied().unwrap_or(Weight::ZERO);
        self.next_weight(next).await.map_err(|error| (Step::Weigh, error))?;
        Ok(None)
    }

    /// Waits until the environment is this rollout's. One that was superseded never gets it.
    pub(super) async fn take_slot(&mut self) -> Result<EnvironmentRecord, StepError> {
        let began = Instant::now();
        let mut waited_for = None;
        let mut record = loop {
            let record = self.steps.record().await?;
            if record.superseded.contains(&self.created.rollout) {
                return Err(StepError::Superseded(None));
            }
            match record.slot.as_ref() {
                Some(slot) if slot.rollout == self.created.rollout => break record,
                None => match self.put_slot(record).await {
                    Ok(record) => break record,
                    Err(StepError::Target(TargetError::Conflict { .. })) => {}
                    Err(error) => return Err(error),
                },
                Some(slot) if self.rules.slot == SlotPolicy::Supersede => {
                    let text = format!("{} gives way", slot.release.tag);
                    self.steps.say(&text);
                    match self.push_out(Claim::TakingFrom(record.current.as_ref().map(|release| release.digest.clone()))).await {
                        Ok(record) => break record,
                        Err(StepError::Changed) => {}
                        Err(error) => return Err(error),
                    }
                }
                Some(slot) => {
                    if waited_for.as_ref() != Some(&slot.rollout) {
                        waited_for = Some(slot.rollout.clone());
                        let text = slot.release.awaited(&self.created.environment, &self.created.app);
                        self.steps.note(RolloutEvent::SlotAwaited { holder: slot.release.clone() })?;
                        self.steps.say(&text);
                    }
                    if began.elapsed() >= self.rules.slot_timeout {
                        return Err(StepError::Refused(self.slot_taken(slot)));
                    }
                    let look = SLOT_LOOK.min(self.rules.slot_timeout.saturating_sub(began.elapsed()));
                    let mut interrupt = self.interrupt.subscribe();
                    tokio::select! {
                        () = tokio::time::sleep(look) => {}
                        _ = interrupt.wait_for(|wanted| *wanted == Interrupt::Wanted) => return Err(StepError::Interrupted),
                    }
                }
            }
        };
        crash::reach(CrashPoint::SlotTaken).await;
        if record.current.is_none() {
            record = self.adopt(record).await?;
        }
        self.base.clone_from(&record.current);
        if !self.held {
            self.close_abandoned().await;
            let seen = self.steps.observe().await?;
            if running(&seen, ArmName::Canary).is_some_and(|release| release != self.digest()) {
                record = self.push_out(Claim::Holding).await?;
            }
            self.steps.note(RolloutEvent::SlotTaken { previous: record.current.clone() })?;
            self.held = true;
        }
        Ok(record)
    }

    /// What runs here that hms did not bring is what a rollback comes back to.
    async fn adopt(&mut self, record: EnvironmentRecord) -> Result<EnvironmentRecord, StepError> {
        let Some(origin) = self.steps.target.adopt(&self.created.environment).await? else { return Ok(record) };
        let text = format!("{} ran here before: {} is kept to be gone back to", origin.tag, origin.digest.short());
        let kept = origin.clone();
        let record = self
            .steps
            .amend(Claim::Holding, move |record| {
                record.current = Some(kept.clone());
                record.origin = Some(kept.clone());
            })
            .await?;
        self.steps.say(&text);
        Ok(record)
    }

    async fn close_abandoned(&self) {
        let Some(rollouts) = self.steps.book.folder().parent() else { return };
        abandoned::close(&self.steps.recorder, rollouts, &self.created.app, &self.created.environment, &self.created.rollout).await;
    }

    fn slot(&self) -> Slot {
        Slot { release: self.created.release.clone(), rollout: self.created.rollout.clone(), since: self.steps.now() }
    }

    async fn put_slot(&self, record: EnvironmentRecord) -> Result<EnvironmentRecord, StepError> {
        let mut record = record;
        record.slot = Some(self.slot());
        Ok(self.steps.target.put_record(record).await?)
    }

    fn slot_taken(&self, slot: &Slot) -> Refusal {
        let since = slot.since.format("%Y-%m-%d %H:%M:%S UTC");
        Refusal::new(RefusalKind::SlotTaken, format!("{} holds {} since {since}", slot.release.tag, self.created.environment))
            .hint("wait longer with --slot-timeout, or take its place with --supersede")
    }

    /// Takes away a canary that is not this rollout's, in the ledger as an abort of that canary.
    async fn push_out(&mut self, claim: Claim) -> Result<EnvironmentRecord, StepError> {
        let slot = self.slot();
        let reason = format!("superseded by {}", self.created.release.tag);
        let draft =
            ActionDraft { requested: Some(Weight::ZERO), ..self.draft(ActionKind::Abort, &self.created.actor, Some(reason.clone())) };
        let began = self.steps.begin(Step::Withdraw, draft, claim, |record| choice::take_over(record, slot.clone(), None, None)).await?;
        let stable = began.record.current.clone();
        let applied = take_away(stable.as_ref(), self.rules.start_timeout, &mut self.steps).await;
        match applied {
            Ok(applied) => {
                let outcome = weighed(reason, Weight::ZERO, applied.weight, None);
                self.steps.settle(began, outcome, |record| record.weights = None).await
            }
            Err(error) => {
                self.steps.close(began.intent, &failed(ActionResult::Failed, error.to_string())).await;
                Err(error)
            }
        }
    }

    /// The candidate has the traffic already: nothing is done, and that is a success.
    pub(super) async fn already_there(&mut self, record: &EnvironmentRecord) -> Option<Answer> {
        if record.current.as_ref().is_none_or(|current| current.digest != *self.digest()) {
            return None;
        }
        self.release_slot().await;
        let text = self.already();
        self.steps.say(&text);
        let _ = self.steps.note(RolloutEvent::RolloutEnded { outcome: RolloutOutcome::Promoted });
        Some(Answer::new(DeployOutcome::Done, text))
    }

    /// The gates, and that there is a way back.
    async fn check_start(&mut self, record: &EnvironmentRecord) -> Result<(), StepError> {
        let release = self.release().await?;
        let facts = StartFacts {
            record,
            target: &self.created.target,
            release: &release,
            policy_hash: &self.created.policy_hash,
            allow_outdated: self.created.allow_outdated.as_deref(),
            now: self.steps.now(),
        };
        self.ports.gatekeeper.may_start(&facts).map_err(StepError::Refused)?;
        self.check_way_back(record).await
    }

    pub(super) async fn check_way_back(&self, record: &EnvironmentRecord) -> Result<(), StepError> {
        let Some(current) = &record.current else { return Ok(()) };
        let seen = self.steps.observe().await?;
        let runs = seen.arms.iter().any(|view| view.release == current.digest);
        if runs || self.steps.target.placed(&current.digest).await?.is_some() {
            return Ok(());
        }
        let message =
            format!("{} is in {} but neither runs nor is kept there: there would be no way back", current.tag, record.environment);
        Err(StepError::Refused(Refusal::new(RefusalKind::ReleaseMissing, message).hint("deploy it again from its run first")))
    }

    pub(super) async fn release(&self) -> Result<crate::deploy::ReleaseRecord, StepError> {
        if let Some(bytes) = &self.bytes {
            return Ok(bytes.record.clone());
        }
        let missing = TargetError::ReleaseMissing { release: self.digest().clone(), why: "it was never brought there".to_owned() };
        self.steps.target.placed(self.digest()).await?.ok_or(StepError::Target(missing))
    }

    /// The scan that the release was let through by.
    pub(super) async fn scan_report(&self) -> Result<Option<Digest>, StepError> {
        Ok(self.release().await?.scan.map(|scan| scan.report_sha256))
    }

    async fn is_first(&self, record: &EnvironmentRecord) -> Result<bool, StepError> {
        Ok(record.current.is_none() && running(&self.steps.observe().await?, ArmName::Stable).is_none())
    }

    /// One control action: bytes, start, health, the first weight.
    async fn first_weight(&mut self, weight: Weight) -> Result<(), (Step, StepError)> {
        let scan_report = self.scan_report().await.map_err(|error| (Step::Start, error))?;
        let draft = self.draft(ActionKind::Deploy, &self.created.actor, self.created.reason.clone());
        let draft = ActionDraft { requested: Some(weight), scan_report, ..draft };
        let weights = Weights { requested: weight, applied: Weight::ZERO };
        let begun = self.steps.begin(Step::Start, draft, Claim::Holding, |record| record.weights = Some(weights)).await;
        let begun = begun.map_err(|error| (Step::Start, error))?;
        let before = match self.bring_up().await {
            Ok(()) => self.scrape_before().await,
            Err(error) => {
                self.steps.close(begun.intent, &failed(result_of(&error), error.to_string())).await;
                return Err((Step::Start, error));
            }
        };
        self.weigh(weight, begun, before).await.map_err(|error| (Step::Weigh, error))
    }

    /// Brings the bytes, starts the release as the canary, waits until it is healthy. No traffic yet.
    pub(super) async fn bring_up(&mut self) -> Result<(), StepError> {
        if let Some(tree) = self.tree() {
            let record = self.release().await?;
            crash::reach(CrashPoint::BeforePlace).await;
            self.steps.target.place(&record, &tree).await?;
            crash::reach(CrashPoint::AfterPlace).await;
        }
        let timeout_ms = u64::try_from(self.rules.start_timeout.as_millis()).unwrap_or(u64::MAX);
        let effect = Effect::Start { release: self.digest().clone(), arm: ArmName::Canary, timeout_ms };
        let began = Instant::now();
        let mut interrupt = self.interrupt.subscribe();
        tokio::select! {
            started = self.steps.carry_out(&effect) => { started?; }
            // What was begun is withdrawn by whoever interrupts, under a higher fence.
            _ = interrupt.wait_for(|wanted| *wanted == Interrupt::Wanted) => return Err(StepError::Interrupted),
        }
        let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.steps.note(RolloutEvent::ReleaseHealthy { duration_ms })?;
        Ok(())
    }

    /// Another weight: one control action.
    pub(super) async fn next_weight(&mut self, weight: Weight) -> Result<(), StepError> {
        let before = self.scrape_before().await;
        let evidence = self.evidence.last().cloned();
        let draft = self.draft_with(ActionKind::Weight, &self.created.actor, evidence, &[]);
        let draft = ActionDraft { requested: Some(weight), ..draft };
        let begun = self
            .steps
            .begin(Step::Weigh, draft, Claim::Holding, |record| {
                let applied = record.weights.map_or(Weight::ZERO, |weights| weights.applied);
                record.weights = Some(Weights { requested: weight, applied });
            })
            .await?;
        self.weigh(weight, begun, before).await
    }

    async fn weigh(&mut self, weight: Weight, begun: super::steps::Begun, before: Option<crate::event::Sample>) -> Result<(), StepError> {
        let measured = self.measured();
        let applied = match self.set_weight(weight, begun.intent).await {
            Ok(applied) => applied,
            Err(error) => {
                self.steps.close(begun.intent, &failed(result_of(&error), error.to_string())).await;
                return Err(error);
            }
        };
        let weights = Weights { requested: weight, applied: applied.weight };
        let message = format!("the canary has {}", applied.weight);
        let outcome = weighed(message, weight, applied.weight, measured);
        self.start_watch(&applied, before)?;
        let promise = self.watch_promise();
        self.steps
            .settle(begun, outcome, |record| {
                record.weights = Some(weights);
                record.watch = Some(promise.clone());
            })
            .await?;
        let line = if applied.weight == weight {
            format!("{} has {} of the traffic of {}", self.created.release.tag, applied.weight, self.created.environment)
        } else {
            format!("{} was asked for; the target gives {} {}", weight, self.created.release.tag, applied.weight)
        };
        self.steps.say(&line);
        Ok(())
    }

    /// The canary's share of the requests at the weight that is in force, as it was judged last.
    pub(super) fn measured(&self) -> Option<f64> {
        self.steps.book.state().verdict.as_ref()?.measured_share
    }

    pub(super) async fn set_weight(&mut self, weight: Weight, intent_seq: Option<u64>) -> Result<Applied, StepError> {
        self.steps.note(RolloutEvent::StepBegan { step: Step::Weigh, fence: self.steps.fence, intent_seq })?;
        let applied = insist(&mut self.steps, &Effect::Weigh { weight }).await?;
        self.steps.note(RolloutEvent::WeightApplied { requested: weight, applied: applied.weight })?;
        if applied.weight == Weight::ZERO && weight > Weight::ZERO {
            return Err(StepError::Unproven(format!("{weight} was asked for and the target gives the canary nothing")));
        }
        if running(&applied.observation, ArmName::Canary) != Some(self.digest()) {
            return Err(StepError::Unproven("the target's canary is another release".to_owned()));
        }
        Ok(applied)
    }

    /// Gives the environment back. A record that cannot be written now is written by whoever comes next.
    pub(super) async fn release_slot(&mut self) {
        let freed = self
            .steps
            .amend(Claim::Holding, |record| {
                record.slot = None;
                record.weights = None;
                record.watch = None;
            })
            .await;
        if let Err(StepError::Target(error)) = freed {
            self.steps.say(&format!("the environment could not be given back: {error}"));
        }
        self.held = false;
    }

    pub(super) async fn note_refusal(&mut self, refusal: &Refusal) {
        let draft = self.draft(ActionKind::Refuse, &self.created.actor, Some(format!("deploy: {}", refusal.message)));
        let recorder = std::sync::Arc::clone(&self.steps.recorder);
        let rule = refusal.kind;
        if let Err(error) = blocking(Patience::Deploy, move || recorder.note(&draft, rule)).await {
            self.steps.say(&format!("the refusal is not in the ledger: {error}"));
        }
    }
}

/// An outcome with its weights. `measured` is the canary's share over the span that the action ends; a first weight ends none.
pub(super) fn weighed(message: String, requested: Weight, applied: Weight, measured: Option<f64>) -> OutcomeDraft {
    OutcomeDraft { result: ActionResult::Done, message, requested: Some(requested), applied: Some(applied), measured }
}

pub(super) fn result_of(error: &StepError) -> ActionResult {
    if matches!(error, StepError::Superseded(_)) { ActionResult::Superseded } else { ActionResult::Failed }
}
