//! What a person does to a canary under way, beside passing its HOLD and taking it back: pause, resume, skip, extend. Each is in the
//! ledger with the evidence of that moment before it has an effect.

use tokio::time::Instant;

use super::driver::Answer;
use super::hearing::{SteerAsk, SteerWish};
use super::ports::{ActionKind, ActionResult, RecordError};
use super::steps::failed;
use super::tale;
use super::worker::Worker;
use crate::deploy::Target;
use crate::event::{DeployOutcome, Refusal, RefusalKind, RolloutEvent, Steering, Step, VerdictClass, Weight};

/// HOLD is not made longer by more than this at once.
const LONGEST_SECONDS: u64 = 7 * 86_400;

impl<T: Target + 'static> Worker<T> {
    pub(super) async fn steer(&mut self, ask: SteerAsk) -> Answer {
        match self.may_steer(&ask) {
            Ok(Some(steering)) => self.carry_out_steering(ask, steering).await,
            Ok(None) => Answer::new(DeployOutcome::Done, self.unchanged(ask.what)),
            Err(refusal) => {
                self.note_refusal(&refusal).await;
                Answer::refused(refusal)
            }
        }
    }

    /// What the wish comes to; none when it is so already.
    fn may_steer(&self, ask: &SteerAsk) -> Result<Option<Steering>, Refusal> {
        let no = |message: String| Refusal::new(RefusalKind::NotWaiting, message);
        if let Some(answer) = self.ended() {
            return Err(no(answer.message));
        }
        if let Some(answer) = self.let_through() {
            return Err(no(answer.message).hint("nothing of it is steered any more: hms rollback takes it back"));
        }
        if self.watch.is_none() {
            return Err(no("no canary has weight, so there is nothing to steer".to_owned()));
        }
        let state = self.steps.book.state();
        match ask.what {
            SteerWish::Pause => Ok(state.paused.is_none().then_some(Steering::Paused)),
            SteerWish::Resume => Ok(state.paused.is_some().then_some(Steering::Resumed)),
            SteerWish::Extend { seconds } if seconds == 0 || seconds > LONGEST_SECONDS => {
                Err(no("HOLD is made longer by 1s to 7d".to_owned()))
            }
            SteerWish::Extend { .. } if state.hold_expired => {
                Err(no("HOLD has lasted too long already, and its job has failed as held".to_owned())
                    .hint("hms retry RUN JOB goes on with the same evidence"))
            }
            SteerWish::Extend { seconds } => Ok(Some(Steering::Extended { seconds })),
            SteerWish::Skip => self.may_skip(ask).map(Some),
        }
    }

    fn may_skip(&self, ask: &SteerAsk) -> Result<Steering, Refusal> {
        let state = self.steps.book.state();
        if ask.reason.as_deref().is_none_or(|reason| reason.trim().is_empty()) {
            return Err(Refusal::new(RefusalKind::Protected, "a weight without a PASS needs a reason").hint("--reason TEXT"));
        }
        if state.verdict_class() == Some(VerdictClass::Rollback) {
            let message = "the canary does harm: it gets no more traffic";
            return Err(Refusal::new(RefusalKind::Protected, message).hint("take it back: hms rollback --env canary"));
        }
        if self.pending.is_empty() {
            return Err(Refusal::new(RefusalKind::NotWaiting, "nobody waits for this canary's verdict, so it walks no further"));
        }
        let from = state.requested.unwrap_or(Weight::ZERO);
        let to = tale::next_in(&self.walk, from).ok_or_else(|| {
            Refusal::new(RefusalKind::NotWaiting, format!("{from} is its last weight"))
                .hint("pass its HOLD instead: hms override RUN JOB --reason TEXT")
        })?;
        Ok(Steering::Skipped { from, to })
    }

    async fn carry_out_steering(&mut self, ask: SteerAsk, steering: Steering) -> Answer {
        let Some(watch) = self.watch.as_ref() else { return Answer::new(DeployOutcome::Failed, "no canary has weight") };
        let verdict = self.ports.judge.assess(&watch.facts, &watch.samples, self.steps.now());
        let Some(evidence) = self.write_evidence(&verdict) else {
            return Answer::new(DeployOutcome::Failed, "the evidence could not be written, so nothing was done");
        };
        let kind = match steering {
            Steering::Paused => ActionKind::Pause,
            Steering::Resumed => ActionKind::Resume,
            Steering::Skipped { .. } => ActionKind::Skip,
            Steering::Extended { .. } => ActionKind::Extend,
        };
        let mut draft = self.draft_with(kind, &ask.actor, Some(evidence), &[]);
        draft.reason.clone_from(&ask.reason);
        if let Steering::Skipped { to, .. } = steering {
            draft.requested = Some(to);
        }
        let recorded = match self.steps.intend(&draft).await {
            Ok(seq) => seq,
            Err(RecordError::Refused(refusal)) => return Answer::refused(refusal),
            Err(error) => return Answer::new(DeployOutcome::Failed, error.to_string()),
        };
        let event = RolloutEvent::Steered { actor: ask.actor.clone(), what: steering, reason: ask.reason.clone() };
        let written = self.steps.note(event).map_err(|error| error.to_string());
        let result = if written.is_ok() { ActionResult::Done } else { ActionResult::Failed };
        let message = written.clone().err().unwrap_or_else(|| format!("{steering} by {}", ask.actor.login));
        let _ = self.steps.conclude(recorded, &failed(result, message.clone())).await;
        if written.is_err() {
            return Answer::new(DeployOutcome::Failed, message);
        }
        self.steps.say(&message);
        self.take_effect(steering).await.unwrap_or_else(|| Answer::new(DeployOutcome::Done, message))
    }

    /// What follows from it; an answer of its own when that went wrong.
    async fn take_effect(&mut self, steering: Steering) -> Option<Answer> {
        match steering {
            Steering::Paused | Steering::Extended { .. } => None,
            Steering::Resumed => {
                let (now, waited_for) = (self.steps.now(), !self.pending.is_empty());
                let watch = self.watch.as_mut()?;
                // The time it was paused is no HOLD; a PASS that is known already is acted on at once.
                watch.hold_since = watch.hold_since.or(waited_for.then_some(now)).map(|_| now);
                watch.next_tick = Instant::now();
                None
            }
            Steering::Skipped { to, .. } => {
                let error = self.next_weight(to).await.err()?;
                let answer = self.fail(Step::Weigh, error).await?;
                self.reply(&answer);
                Some(answer)
            }
        }
    }

    fn unchanged(&self, wish: SteerWish) -> String {
        match (wish, &self.steps.book.state().paused) {
            (SteerWish::Pause, Some((by, _))) => format!("paused already, by {}", by.login),
            (SteerWish::Pause | SteerWish::Resume | SteerWish::Skip | SteerWish::Extend { .. }, _) => "it is not paused".to_owned(),
        }
    }
}
