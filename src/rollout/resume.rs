//! A rollout taken up by a new driver: what the journal says, what the record says, what is really there; then the truth is written
//! and what was half done is finished or open again. Done twice it is done.

use super::choice::{reconcile, running};
use super::driver::Authority;
use super::forward::result_of;
use super::logbook::{DriveError, Insistence};
use super::ports::{ActionDraft, ActionKind};
use super::promote::{Proven, has_all};
use super::steps::{Claim, StepError, failed};
use super::worker::Worker;
use crate::deploy::{ArmName, Observation, Target, TargetError};
use crate::event::{EnvironmentRecord, RolloutEvent, RolloutOutcome, RolloutPhase, Stamped, Step, Weight, Weights};

impl<T: Target + 'static> Worker<T> {
    /// Takes up what a former driver left.
    pub(super) async fn take_up(&mut self, events: &[Stamped<RolloutEvent>]) -> Result<(), DriveError> {
        if self.steps.book.state().ended.is_some() {
            return Ok(());
        }
        let record = self.steps.target.record(&self.steps.environment).await?;
        self.held = events.iter().any(|stamped| matches!(stamped.event, RolloutEvent::SlotTaken { .. }));
        if self.steps.book.state().phase == RolloutPhase::Promoted && self.steps.book.state().production.is_some() && record.slot.is_none()
        {
            return self.take_up_production(&record, events).await;
        }
        self.base.clone_from(&record.current);
        match self.steps.still_ours(&record) {
            Ok(()) => {}
            Err(_) => return self.not_ours(&record).await,
        }
        let seen = self.steps.target.observe(&self.steps.environment).await?;
        self.steps.fence = record.fence;
        let is_over = reconcile(&record, &seen) != record;
        if (is_over || self.was_being_promoted(&record, &seen)) && self.is_canary(&seen) {
            return self.go_on_promoting(&record, events).await;
        }
        if is_over {
            return self.finish_promotion().await;
        }
        self.steps.resolve_open(&told(&seen)).await;
        if matches!(self.steps.book.state().step, Some((Step::Withdraw, ..))) && self.held && self.phase_is_stepping() {
            return self.finish_withdrawal().await;
        }
        if self.is_canary(&seen) && seen.weight > Weight::ZERO {
            self.take_up_canary(&record, &seen, events).await?;
        } else if self.steps.book.state().applied.is_some_and(|applied| applied > Weight::ZERO) {
            let requested = self.steps.book.state().requested.unwrap_or(Weight::ZERO);
            self.steps.note(RolloutEvent::WeightApplied { requested, applied: Weight::ZERO })?;
            self.steps.say("the canary has no weight any more; it is started again when it is asked for");
        }
        Ok(())
    }

    fn phase_is_stepping(&self) -> bool {
        self.steps.book.state().phase == RolloutPhase::Stepping
    }

    /// The environment is somebody else's, or nobody's: this rollout is over, or had not begun.
    async fn not_ours(&mut self, record: &EnvironmentRecord) -> Result<(), DriveError> {
        let state = self.steps.book.state();
        let is_promoted = state.phase == RolloutPhase::Promoted && record.slot.is_none();
        let current = record.current.as_ref().is_some_and(|current| current.digest == *self.digest());
        let superseded = record.superseded.contains(&self.created.rollout);
        let step = state.step.map(|(step, ..)| step);
        let outcome = match (&state.phase, step) {
            (RolloutPhase::New | RolloutPhase::AwaitingSlot(_), None) if !superseded => return Ok(()),
            (RolloutPhase::Promoted, _) if current || !superseded => RolloutOutcome::Promoted,
            (_, Some(Step::Promote)) if current && !superseded => {
                self.steps.note(RolloutEvent::Promoted)?;
                RolloutOutcome::Promoted
            }
            (RolloutPhase::RolledBack { .. }, _) => RolloutOutcome::RolledBack,
            (_, Some(Step::Withdraw)) if !superseded => {
                let reason = "its canary was taken back, and its driver ended before it could say so".to_owned();
                self.steps.note(RolloutEvent::RolledBack { to: record.current.clone(), reason })?;
                RolloutOutcome::RolledBack
            }
            (_, _) if !superseded && record.slot.is_none() => RolloutOutcome::Failed,
            (_, _) => RolloutOutcome::Superseded,
        };
        self.steps.resolve_open("its driver ended; the environment is no longer this rollout's").await;
        if is_promoted && current && self.watch_production().await.is_some() {
            return Ok(());
        }
        let by = record.slot.as_ref().map(|slot| slot.rollout.clone());
        if let (RolloutOutcome::Superseded, Some(by)) = (outcome, by) {
            self.steps.note(RolloutEvent::Superseded { by })?;
        }
        self.steps.note(RolloutEvent::RolloutEnded { outcome })?;
        Ok(())
    }

    /// The canary has everything, and nobody asked for that share of it: its driver died inside the promotion.
    fn was_being_promoted(&self, record: &EnvironmentRecord, seen: &Observation) -> bool {
        let asked = record.weights.map(|weights| weights.requested);
        let step = self.steps.book.state().step.map(|(step, ..)| step);
        step == Some(Step::Promote) && self.phase_is_stepping() && seen.weight == Weight::FULL && asked != Some(Weight::FULL)
    }

    /// A promotion that is not over is carried out again, whole, under a fence of its own; only then is it one. Where that fails, the canary is
    /// watched with the traffic that it has, and the way back is open.
    async fn go_on_promoting(&mut self, record: &EnvironmentRecord, events: &[Stamped<RolloutEvent>]) -> Result<(), DriveError> {
        self.steps.resolve_open("its driver ended in the middle of the promotion, which is carried out again").await;
        if !self.held {
            self.steps.note(RolloutEvent::SlotTaken { previous: record.current.clone() })?;
            self.held = true;
        }
        let actor = self.own_actor();
        let draft = self.draft(ActionKind::Promote, &actor, Some("its driver ended in the middle of it".to_owned()));
        let draft = ActionDraft { requested: Some(Weight::FULL), ..draft };
        let begun = match self.steps.begin(Step::Promote, draft, Claim::Holding, |_| ()).await {
            Ok(begun) => begun,
            Err(StepError::Superseded(by)) => {
                self.superseded(Step::Promote, by).await;
                return Ok(());
            }
            Err(error) => return Err(unreachable(&error)),
        };
        let error = match self.carry_promotion().await {
            Ok(_) => {
                let proven = self.was_let_through();
                match self.promoted(begun, proven).await {
                    Ok(_) => return Ok(()),
                    Err(error) => error,
                }
            }
            Err(error) => {
                self.steps.close(begun.intent, &failed(result_of(&error), error.to_string())).await;
                error
            }
        };
        if let StepError::Superseded(by) = error {
            self.superseded(Step::Promote, by).await;
            return Ok(());
        }
        let (reason, last_lines) = super::steps::told(&error);
        self.steps.say(&format!("the promotion could not be finished: {reason}"));
        self.steps.note(RolloutEvent::StepFailed { step: Step::Promote, reason, last_lines })?;
        let seen = self.steps.target.observe(&self.steps.environment).await?;
        if self.is_canary(&seen) && seen.weight > Weight::ZERO {
            self.take_up_canary(record, &seen, events).await?;
        }
        Ok(())
    }

    /// A promotion without a canary was let through by an override, or would not have begun.
    fn was_let_through(&self) -> Proven {
        let nobody = Authority { actor: self.created.actor.clone(), yeses: Vec::new(), reason: None };
        let direct = self.steps.book.state().watch_started_at.is_none();
        if direct { Proven::Yes } else { self.counts_as_healthy(&nobody) }
    }

    /// The target promoted it, and nothing written says so: then it is written.
    async fn finish_promotion(&mut self) -> Result<(), DriveError> {
        self.steps.resolve_open("its driver ended; the target shows the release with all traffic").await;
        if self.steps.book.state().phase != RolloutPhase::Promoted {
            self.steps.note(RolloutEvent::Promoted)?;
        }
        let proven = self.was_let_through();
        let release = self.created.release.clone();
        let head = self.steps.recorder.head();
        let written = self
            .steps
            .amend(Claim::Holding, |record| {
                has_all(record, &release, proven);
                if head.is_some() {
                    record.ledger.clone_from(&head);
                }
            })
            .await;
        match written {
            Ok(_) if self.watch_production().await.is_some() => {}
            Ok(_) => self.steps.note(RolloutEvent::RolloutEnded { outcome: RolloutOutcome::Promoted })?,
            Err(StepError::Superseded(by)) => {
                self.superseded(Step::Promote, by).await;
                return Ok(());
            }
            Err(error) => return Err(unreachable(&error)),
        }
        self.held = false;
        self.clean_up().await;
        Ok(())
    }

    /// A withdrawal was begun: it is carried out again, with an intent of its own.
    async fn finish_withdrawal(&mut self) -> Result<(), DriveError> {
        let actor = self.own_actor();
        let reason = "its driver ended while it took the canary back".to_owned();
        self.take_back(ActionKind::Abort, &actor, reason, None).await;
        self.steps.book.insist(Insistence::Strict);
        Ok(())
    }

    async fn take_up_canary(
        &mut self,
        record: &EnvironmentRecord,
        seen: &Observation,
        events: &[Stamped<RolloutEvent>],
    ) -> Result<(), DriveError> {
        let state = self.steps.book.state();
        let requested = record.weights.map(|weights| weights.requested).or(state.requested).unwrap_or(seen.weight);
        if state.applied != Some(seen.weight) || state.requested != Some(requested) {
            self.steps.note(RolloutEvent::WeightApplied { requested, applied: seen.weight })?;
        }
        if !self.held {
            self.steps.note(RolloutEvent::SlotTaken { previous: record.current.clone() })?;
            self.held = true;
        }
        self.take_up_watch(seen, seen.weight, events)?;
        let promise = self.watch_promise();
        let weights = Weights { requested, applied: seen.weight };
        let written = self
            .steps
            .amend(Claim::Holding, |record| {
                record.weights = Some(weights);
                record.watch = Some(promise.clone());
            })
            .await;
        match written {
            Ok(_) => Ok(()),
            Err(StepError::Superseded(by)) => {
                self.superseded(Step::Weigh, by).await;
                Ok(())
            }
            Err(error) => Err(unreachable(&error)),
        }
    }
}

fn told(seen: &Observation) -> String {
    let stable = running(seen, ArmName::Stable).map_or("nothing", |digest| digest.short());
    format!("its driver ended; the target shows the canary with {} and {stable} as stable", seen.weight)
}

fn unreachable(error: &StepError) -> DriveError {
    DriveError::Target(TargetError::Unreachable { reason: error.to_string() })
}
