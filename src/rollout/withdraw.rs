//! The canary's weight taken away by its own driver: harm, cancel, leave, undo. Like a rollback it stops for no ledger and no journal.

use super::choice::running;
use super::driver::Answer;
use super::forward::weighed;
use super::logbook::Insistence;
use super::ports::{ActionDraft, ActionKind, ActionResult, EvidenceRef, Unwatched};
use super::production::Stage;
use super::rollback::take_away;
use super::steps::{Claim, StepError, failed};
use super::worker::Worker;
use crate::deploy::{ArmName, Target};
use crate::event::{Actor, DeployOutcome, RolloutEvent, RolloutOutcome, Step, VerdictClass, Weight, Weights};

impl<T: Target + 'static> Worker<T> {
    /// Takes the weight away and ends the rollout as rolled back; while the target does not answer, the watch tries again.
    pub(super) async fn take_back(&mut self, kind: ActionKind, actor: &Actor, reason: String, evidence: Option<EvidenceRef>) -> Answer {
        self.steps.book.insist(Insistence::Tolerant);
        let done = self.withdraw(kind, actor, &reason, evidence).await;
        let answer = match done {
            Ok(()) => {
                let to = self.base.clone();
                let _ = self.steps.note(RolloutEvent::RolledBack { to, reason: reason.clone() });
                let _ = self.steps.note(RolloutEvent::RolloutEnded { outcome: RolloutOutcome::RolledBack });
                self.watch = None;
                // Also where a driver that died over the harm is taken up by another one.
                let harm = kind == ActionKind::Rollback || self.steps.book.state().verdict_class() == Some(VerdictClass::Rollback);
                let outcome = if harm { DeployOutcome::RolledBack } else { DeployOutcome::TakenBack };
                Answer::new(outcome, format!("rolled back: {reason}"))
            }
            Err(StepError::Superseded(by)) => self.superseded(Step::Withdraw, by).await,
            Err(error) => {
                let reason = format!("the canary could not be taken back: {error}");
                let _ = self.steps.note(RolloutEvent::StepFailed { step: Step::Withdraw, reason: reason.clone(), last_lines: Vec::new() });
                Answer::new(DeployOutcome::Failed, reason)
            }
        };
        self.steps.book.insist(Insistence::Strict);
        answer
    }

    async fn withdraw(&mut self, kind: ActionKind, actor: &Actor, reason: &str, evidence: Option<EvidenceRef>) -> Result<(), StepError> {
        let measured = self.measured();
        let draft = self.draft(kind, actor, Some(reason.to_owned()));
        let draft = ActionDraft { requested: Some(Weight::ZERO), evidence, ..draft };
        let digest = self.digest().clone();
        let begun = self
            .steps
            .begin(Step::Withdraw, draft, Claim::Holding, |record| {
                let applied = record.weights.map_or(Weight::ZERO, |weights| weights.applied);
                record.weights = Some(Weights { requested: Weight::ZERO, applied });
                // Taken back: the yeses that it had are void (6.1).
                record.yeses.retain(|yes| yes.release != digest);
            })
            .await?;
        let applied = match take_away(self.base.as_ref(), self.rules.start_timeout, &mut self.steps).await {
            Ok(applied) if applied.weight == Weight::ZERO => applied,
            Ok(applied) => {
                let error = StepError::Unproven(format!("the target still gives the canary {}", applied.weight));
                self.steps.close(begun.intent, &failed(ActionResult::Failed, error.to_string())).await;
                return Err(error);
            }
            Err(error) => {
                self.steps.close(begun.intent, &failed(super::forward::result_of(&error), error.to_string())).await;
                return Err(error);
            }
        };
        self.steps.note(RolloutEvent::WeightApplied { requested: Weight::ZERO, applied: applied.weight })?;
        let outcome = weighed(reason.to_owned(), Weight::ZERO, applied.weight, measured);
        self.steps
            .settle(begun, outcome, |record| {
                record.slot = None;
                record.weights = None;
                record.watch = None;
            })
            .await?;
        self.held = false;
        Ok(())
    }

    /// Takes back what had no weight yet, after a failure; false when the target does not let it.
    pub(super) async fn undo(&mut self) -> bool {
        let Ok(record) = self.steps.record().await else { return false };
        if self.steps.still_ours(&record).is_ok() {
            let started = self.steps.observe().await.map(|seen| running(&seen, ArmName::Canary) == Some(self.digest()));
            match started {
                Err(_) => return false,
                Ok(false) => self.release_slot().await,
                Ok(true) => {
                    self.steps.book.insist(Insistence::Tolerant);
                    let actor = self.own_actor();
                    let done = self.withdraw(ActionKind::Abort, &actor, "the step before failed", None).await;
                    self.steps.book.insist(Insistence::Strict);
                    if done.is_err() {
                        return false;
                    }
                }
            }
        }
        let _ = self.steps.note(RolloutEvent::RolloutEnded { outcome: RolloutOutcome::Failed });
        true
    }

    /// A person takes the release back. Weight 0 is never refused as stale.
    pub(super) async fn cancel(&mut self, actor: Actor, reason: Option<String>) -> Answer {
        if let Some(answer) = self.ended() {
            return answer;
        }
        let reason = reason.unwrap_or_else(|| format!("cancelled by {}", actor.login));
        if self.stage() == Stage::Whole {
            let text = format!("production is watched no more: {reason}");
            self.end_production(&text).await;
            return Answer::new(DeployOutcome::Done, text);
        }
        let record = match self.steps.record().await {
            Ok(record) => record,
            Err(error) => return Answer::new(DeployOutcome::Failed, format!("the canary could not be taken back: {error}")),
        };
        match self.steps.still_ours(&record) {
            Ok(()) => {
                let answer = self.take_back(ActionKind::Abort, &actor, reason, None).await;
                match answer.outcome {
                    DeployOutcome::RolledBack | DeployOutcome::TakenBack => Answer { outcome: DeployOutcome::Done, ..answer },
                    DeployOutcome::Done
                    | DeployOutcome::Overridden
                    | DeployOutcome::Failed
                    | DeployOutcome::Held
                    | DeployOutcome::Refused => answer,
                }
            }
            Err(StepError::Superseded(by)) if self.held || record.superseded.contains(&self.created.rollout) => {
                self.superseded(Step::Withdraw, by).await
            }
            Err(_) => {
                // It never held the environment: there is nothing to take back.
                let _ = self.steps.note(RolloutEvent::RolloutEnded { outcome: RolloutOutcome::Cancelled });
                Answer::new(DeployOutcome::Done, "cancelled before it began")
            }
        }
    }

    /// Nobody will watch from here on: what policy says is done, and said.
    pub(super) async fn leave(&mut self) -> Answer {
        if let Some(answer) = self.ended() {
            return answer;
        }
        if self.watch.is_none() {
            if self.held {
                let _ = self.undo().await;
            }
            return Answer::new(DeployOutcome::Failed, "the driver left before the canary had weight");
        }
        if let Some(production) = self.steps.book.state().production {
            if self.stage() == Stage::Whole {
                return self.leave_unwatched(Claim::Having(self.digest().clone()), "production keeps all traffic, UNWATCHED").await;
            }
            if self.steps.now() >= production.until {
                self.tick().await;
                if let Some(answer) = self.ended() {
                    return answer;
                }
            }
            // Policy says what becomes of a canary; this was let through.
            return self.leave_unwatched(Claim::Holding, "production and what is held back keep their weights, UNWATCHED").await;
        }
        match self.rules.unwatched {
            Unwatched::Rollback => {
                let actor = self.own_actor();
                self.take_back(ActionKind::Abort, &actor, "nobody watches it from here on (canary.unwatched: rollback)".to_owned(), None)
                    .await
            }
            Unwatched::Keep => self.leave_unwatched(Claim::Holding, "the canary keeps its weight, UNWATCHED").await,
        }
    }

    async fn leave_unwatched(&mut self, claim: Claim, told: &str) -> Answer {
        let _ = self.steps.note(RolloutEvent::WatchLeft);
        let cleared = self.steps.amend(claim, |record| record.watch = None).await;
        if let Err(StepError::Target(error)) = cleared {
            self.steps.say(&format!("the promise to watch could not be taken back, it ends by itself: {error}"));
        }
        self.watch = None;
        Answer::new(DeployOutcome::Done, told)
    }
}
