//! How a control effect is carried out, for every rollout alike: intent, fence, journal, effect, outcome, record.
//!
//! The one place that calls the target's *apply*, and the one that writes an environment's record.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::mpsc;

use super::crash::{self, CrashPoint};
use super::logbook::Logbook;
use super::ports::{ActionDraft, ActionResult, OutcomeDraft, Patience, RecordError, Recorder};
use crate::deploy::{Applied, Effect, Observation, Target, TargetError};
use crate::event::{Digest, EnvironmentName, EnvironmentRecord, Refusal, RolloutEvent, RolloutId, Step};
use crate::store::JournalError;

/// How often a forward step tries to write a record that others write too; approvals and pins move it harmlessly.
const FORWARD_TRIES: u32 = 4;
/// How often a rollback does. Each try that fails means that somebody else's succeeded.
const BACK_TRIES: u32 = 64;
/// How many superseded rollouts a record names.
const SUPERSEDED_KEPT: usize = 50;

/// Lines for the person who asked, as they come.
pub type Tell = Arc<dyn Fn(&str) + Send + Sync>;
/// Wall time; tests have their own.
pub type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// Why a step went no further.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StepError {
    /// Another rollout holds the environment.
    #[error("superseded")]
    Superseded(Option<RolloutId>),
    /// The target did not do it.
    #[error(transparent)]
    Target(TargetError),
    /// The journal cannot be written.
    #[error("the rollout's journal cannot be written: {0}")]
    Journal(#[from] JournalError),
    /// The ledger cannot be written.
    #[error("{0}")]
    Ledger(String),
    /// A rule says no.
    #[error(transparent)]
    Refused(Refusal),
    /// What the target shows is not what it said.
    #[error("{0}")]
    Unproven(String),
    /// The environment's release is not the one that was decided about.
    #[error("the environment changed meanwhile")]
    Changed,
    /// Somebody wants this driver to stop.
    #[error("interrupted")]
    Interrupted,
}

impl From<TargetError> for StepError {
    fn from(error: TargetError) -> Self {
        match error {
            TargetError::Superseded { by, .. } => Self::Superseded(by),
            TargetError::Conflict { .. }
            | TargetError::StartFailed { .. }
            | TargetError::ReleaseMissing { .. }
            | TargetError::NotPossible { .. }
            | TargetError::Unreachable { .. } => Self::Target(error),
        }
    }
}

impl From<RecordError> for StepError {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Refused(refusal) => Self::Refused(refusal),
            RecordError::Unavailable(_) => Self::Ledger(error.to_string()),
        }
    }
}

/// Whose write it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Claim {
    /// The slot is this rollout's, or the write is not made.
    Holding,
    /// Likewise, and only while this release has the traffic by the record.
    HoldingFrom(Option<Digest>),
    /// The slot becomes this rollout's, whoever had it.
    Taking,
    /// Likewise, but only while this release has the traffic by the record: a decision rests on it.
    TakingFrom(Option<Digest>),
    /// Likewise, and only while that rollout (none: nobody) has the slot: what came since may be of the same mind.
    Replacing(Option<Digest>, Option<RolloutId>),
    /// Nobody has the slot, and this release has the traffic by the record: production is watched.
    Having(Digest),
}

/// A step that has its fence.
#[derive(Debug)]
pub(crate) struct Begun {
    /// The ledger's intent; none when it is UNRECORDED.
    pub(crate) intent: Option<u64>,
    pub(crate) draft: ActionDraft,
    pub(crate) record: EnvironmentRecord,
    /// Why the record could not be written, when it could not.
    pub(crate) unwritten: Option<String>,
}

/// A rollout's hands at its target.
pub(crate) struct Steps<T> {
    pub(crate) target: Arc<T>,
    pub(crate) environment: EnvironmentName,
    pub(crate) rollout: RolloutId,
    pub(crate) recorder: Arc<dyn Recorder>,
    pub(crate) book: Logbook,
    pub(crate) tell: Tell,
    pub(crate) clock: Clock,
    pub(crate) fence: u64,
}

impl<T: Target + 'static> Steps<T> {
    pub(crate) fn now(&self) -> DateTime<Utc> {
        (self.clock)()
    }

    pub(crate) fn note(&mut self, event: RolloutEvent) -> Result<(), JournalError> {
        let now = self.now();
        self.book.append(now, event)
    }

    /// Says a line to the person and keeps it for those who look later; that it cannot be kept stops nothing.
    pub(crate) fn say(&mut self, text: &str) {
        (self.tell)(text);
        let _ = self.note(RolloutEvent::ProgressSeen { text: text.to_owned() });
    }

    pub(crate) async fn record(&self) -> Result<EnvironmentRecord, StepError> {
        Ok(self.target.record(&self.environment).await?)
    }

    pub(crate) async fn observe(&self) -> Result<Observation, StepError> {
        Ok(self.target.observe(&self.environment).await?)
    }

    /// Whether the environment is still this rollout's to change.
    pub(crate) fn still_ours(&self, record: &EnvironmentRecord) -> Result<(), StepError> {
        let holder = record.slot.as_ref().map(|slot| &slot.rollout);
        if record.superseded.contains(&self.rollout) || holder != Some(&self.rollout) {
            return Err(StepError::Superseded(holder.filter(|holder| **holder != self.rollout).cloned()));
        }
        Ok(())
    }

    fn check(&self, claim: &Claim, record: &EnvironmentRecord) -> Result<(), StepError> {
        let holds = matches!(claim, Claim::Holding | Claim::HoldingFrom(_));
        if holds || record.superseded.contains(&self.rollout) {
            self.still_ours(record)?;
        }
        match claim {
            Claim::Replacing(_, holder) if record.slot.as_ref().map(|slot| &slot.rollout) != holder.as_ref() => Err(StepError::Changed),
            Claim::Having(current) => {
                let has = record.current.as_ref().is_some_and(|there| there.digest == *current);
                if has && record.slot.is_none() { Ok(()) } else { Err(StepError::Changed) }
            }
            Claim::HoldingFrom(current) | Claim::TakingFrom(current) | Claim::Replacing(current, _) => {
                if record.current.as_ref().map(|release| &release.digest) == current.as_ref() { Ok(()) } else { Err(StepError::Changed) }
            }
            Claim::Holding | Claim::Taking => Ok(()),
        }
    }

    /// Changes the record by compare-and-swap. `change` may run more than once, each time on what is stored then.
    pub(crate) async fn amend(
        &self,
        claim: Claim,
        mut change: impl FnMut(&mut EnvironmentRecord) + Send,
    ) -> Result<EnvironmentRecord, StepError> {
        let tries = if self.book.is_tolerant() { BACK_TRIES } else { FORWARD_TRIES };
        let mut last = None;
        for _ in 0..tries {
            let mut record = self.record().await?;
            self.check(&claim, &record)?;
            change(&mut record);
            let surplus = record.superseded.len().saturating_sub(SUPERSEDED_KEPT);
            record.superseded.drain(..surplus);
            match self.put(record).await {
                Ok(stored) => return Ok(stored),
                Err(error @ TargetError::Conflict { .. }) => last = Some(error),
                Err(error) => return Err(error.into()),
            }
        }
        Err(last.map_or(StepError::Superseded(None), StepError::Target))
    }

    /// A tolerant rollout's record is held by the target when its disk does not take it: that is said, and stops nothing.
    async fn put(&self, record: EnvironmentRecord) -> Result<EnvironmentRecord, TargetError> {
        if !self.book.is_tolerant() {
            return self.target.put_record(record).await;
        }
        let held = self.target.hold_record(record).await?;
        if let Some(why) = held.unwritten {
            (self.tell)(&format!("UNRECORDED: the target holds its record in memory until it can store it: {why}"));
        }
        Ok(held.record)
    }

    /// Writes the intent, takes the fence, and says in the journal that the step begins. Nothing has changed for users yet.
    ///
    /// `change` goes into the write that takes the fence. A tolerant rollout goes on without ledger, record or journal.
    pub(crate) async fn begin(
        &mut self,
        step: Step,
        mut draft: ActionDraft,
        claim: Claim,
        mut change: impl FnMut(&mut EnvironmentRecord) + Send,
    ) -> Result<Begun, StepError> {
        let tolerant = self.book.is_tolerant();
        let record = self.record().await?;
        self.check(&claim, &record)?;
        draft.pinned.clone_from(&record.ledger);
        let taken_in = if tolerant { Vec::new() } else { self.take_in(&record).await };
        let intent = match self.intend(&draft).await {
            Ok(seq) => Some(seq),
            Err(error) if tolerant => {
                self.unrecorded(&error.to_string());
                None
            }
            Err(error) => return Err(error.into()),
        };
        crash::reach(CrashPoint::IntentWritten).await;
        let head = self.recorder.head();
        let written = self
            .amend(claim, |record| {
                change(record);
                record.fence += 1;
                if head.is_some() {
                    record.ledger.clone_from(&head);
                }
                record.unrecorded.retain(|entry| !taken_in.contains(entry));
            })
            .await;
        let (record, unwritten) = match written {
            Ok(record) => (record, None),
            // The target cannot store it: the effect goes first, under the number that the write would have taken (6.6).
            Err(StepError::Target(error)) if tolerant => {
                let mut record = self.record().await.unwrap_or(record);
                let seen = self.observe().await.map_or(0, |seen| seen.fence);
                change(&mut record);
                record.fence = record.fence.max(seen) + 1;
                (self.tell)(&format!("UNRECORDED: the target cannot store its record ({error}); going on"));
                (record, Some(error.to_string()))
            }
            Err(error) => {
                self.close(intent, &failed(ActionResult::Failed, error.to_string())).await;
                return Err(error);
            }
        };
        self.fence = record.fence;
        crash::reach(CrashPoint::FenceTaken).await;
        if let Err(error) = self.note(RolloutEvent::StepBegan { step, fence: self.fence, intent_seq: intent }) {
            self.close(intent, &failed(ActionResult::Failed, error.to_string())).await;
            return Err(error.into());
        }
        Ok(Begun { intent, draft, record, unwritten })
    }

    /// Carries out one effect under the fence taken last. No other function of this room changes what runs or who gets traffic.
    pub(crate) async fn carry_out(&mut self, effect: &Effect) -> Result<Applied, StepError> {
        let (before, after) = CrashPoint::around(effect);
        crash::reach(before).await;
        let applied = match self.ask_for(effect).await {
            Err(TargetError::Superseded { fence, .. }) if self.outgrows(fence).await => self.ask_for(effect).await?,
            answer => answer?,
        };
        crash::reach(after).await;
        Ok(applied)
    }

    /// Goes on above a number that stands at the place of the effects and that no record gave: the record was lost, or what it is about was
    /// brought here from another cluster. Every number is taken in the record first, so whoever holds the environment and has the newest number
    /// there is the next in line. False: somebody else is.
    async fn outgrows(&mut self, seen: u64) -> bool {
        let Ok(record) = self.record().await else { return false };
        if self.still_ours(&record).is_err() || record.fence != self.fence || seen <= record.fence {
            return false;
        }
        let Ok(record) = self.amend(Claim::Holding, |record| record.fence = record.fence.max(seen) + 1).await else { return false };
        self.fence = record.fence;
        self.say(&format!("number {seen} stands at the target, of a record that is gone: going on with {}", record.fence));
        true
    }

    async fn ask_for(&mut self, effect: &Effect) -> Result<Applied, TargetError> {
        let (sender, mut lines) = mpsc::unbounded_channel();
        let progress = move |line: String| {
            // Short: it is emptied below while the effect goes on.
            let _ = sender.send(line);
        };
        let target = Arc::clone(&self.target);
        let environment = self.environment.clone();
        let mut effect = std::pin::pin!(target.apply(&environment, self.fence, effect, &progress));
        let applied = loop {
            tokio::select! {
                biased;
                Some(line) = lines.recv() => self.say(&line),
                applied = &mut effect => break applied,
            }
        };
        while let Ok(line) = lines.try_recv() {
            self.say(&line);
        }
        applied
    }

    /// Writes the outcome to the ledger, then the record. The effect is real: what cannot be written is said and kept, not undone.
    pub(crate) async fn settle(
        &mut self,
        begun: Begun,
        outcome: OutcomeDraft,
        mut change: impl FnMut(&mut EnvironmentRecord) + Send,
    ) -> Result<EnvironmentRecord, StepError> {
        crash::reach(CrashPoint::EffectWritten).await;
        let mut waiting = None;
        match begun.intent {
            Some(seq) => {
                if let Err(error) = self.conclude(seq, &outcome).await {
                    self.unrecorded(&error.to_string());
                    waiting = Some((&begun.draft, &outcome));
                }
            }
            None => waiting = Some((&begun.draft, &outcome)),
        }
        let mut unrecorded = None;
        if let Some((draft, outcome)) = waiting {
            let (recorder, draft, outcome) = (Arc::clone(&self.recorder), draft.clone(), outcome.clone());
            unrecorded = serde_json::to_value(&draft).ok().map(|mut entry| {
                if let (Some(entry), Ok(outcome)) = (entry.as_object_mut(), serde_json::to_value(&outcome)) {
                    entry.insert("outcome".to_owned(), outcome);
                }
                entry
            });
            if let Err(error) = blocking(Patience::Rollback, move || recorder.set_aside(&draft, Some(&outcome))).await {
                (self.tell)(&format!("UNRECORDED: the entry could not be left for the next writer either: {error}"));
            }
        }
        crash::reach(CrashPoint::OutcomeWritten).await;
        let head = self.recorder.head();
        let claim = if begun.unwritten.is_some() { Claim::Taking } else { Claim::Holding };
        let written = self
            .amend(claim, |record| {
                change(record);
                if begun.unwritten.is_some() {
                    record.fence = record.fence.max(begun.record.fence);
                }
                if head.is_some() {
                    record.ledger.clone_from(&head);
                }
                record.unrecorded.extend(unrecorded.clone());
            })
            .await;
        crash::reach(CrashPoint::RecordWritten).await;
        match written {
            Err(StepError::Target(error)) if self.book.is_tolerant() => {
                self.unrecorded(&format!("the target's record could not be written: {error}"));
                let mut record = begun.record;
                change(&mut record);
                Ok(record)
            }
            answer => answer,
        }
    }

    /// Closes an intent after which nothing happened, or not all. What cannot be written stays open, and is shown as unresolved.
    pub(crate) async fn close(&self, intent: Option<u64>, outcome: &OutcomeDraft) {
        if let Some(seq) = intent {
            let _ = self.conclude(seq, outcome).await;
        }
    }

    /// Closes the intents that a former driver of this rollout left open.
    pub(crate) async fn resolve_open(&self, message: &str) {
        let (recorder, rollout) = (Arc::clone(&self.recorder), self.rollout.clone());
        let open = blocking(self.patience(), move || recorder.unresolved(&rollout)).await.unwrap_or_default();
        for seq in open {
            self.close(Some(seq), &failed(ActionResult::Resolved, message.to_owned())).await;
        }
    }

    /// Says everywhere that the ledger lacks something.
    pub(crate) fn unrecorded(&mut self, reason: &str) {
        (self.tell)(&format!("UNRECORDED: {reason}"));
        let _ = self.note(RolloutEvent::Unrecorded { reason: reason.to_owned() });
    }

    fn patience(&self) -> Patience {
        if self.book.is_tolerant() { Patience::Rollback } else { Patience::Deploy }
    }

    pub(crate) async fn intend(&self, draft: &ActionDraft) -> Result<u64, RecordError> {
        let (recorder, draft, patience) = (Arc::clone(&self.recorder), draft.clone(), self.patience());
        blocking(patience, move || recorder.intent(&draft, patience)).await
    }

    pub(crate) async fn conclude(&self, seq: u64, outcome: &OutcomeDraft) -> Result<(), RecordError> {
        let (recorder, outcome, patience) = (Arc::clone(&self.recorder), outcome.clone(), self.patience());
        blocking(patience, move || recorder.outcome(seq, &outcome, patience)).await
    }

    /// Enters what the target holds as UNRECORDED; gives the entries that may leave the record now.
    async fn take_in(&self, record: &EnvironmentRecord) -> Vec<serde_json::Value> {
        if record.unrecorded.is_empty() {
            return Vec::new();
        }
        let (recorder, waiting) = (Arc::clone(&self.recorder), record.unrecorded.clone());
        match blocking(Patience::Deploy, move || recorder.take_in(&waiting)).await {
            Ok(()) => record.unrecorded.clone(),
            Err(_) => Vec::new(),
        }
    }
}

/// An outcome without weights.
pub(crate) fn failed(result: ActionResult, message: String) -> OutcomeDraft {
    OutcomeDraft { result, message, requested: None, applied: None, measured: None }
}

/// What failed, and the release's last lines, if it would not start.
pub(crate) fn told(error: &StepError) -> (String, Vec<String>) {
    let lines = match error {
        StepError::Target(TargetError::StartFailed { last_lines, .. }) => last_lines.clone(),
        StepError::Superseded(_)
        | StepError::Target(_)
        | StepError::Journal(_)
        | StepError::Ledger(_)
        | StepError::Refused(_)
        | StepError::Unproven(_)
        | StepError::Changed
        | StepError::Interrupted => Vec::new(),
    };
    (error.to_string(), lines)
}

/// Runs a call of the ledger on a thread for blocking work, and does not wait longer than twice its patience: a disk that hangs
/// must not hang a rollback. A call that comes through later writes an entry that its id makes one with the one set aside.
pub(crate) async fn blocking<R: Send + 'static>(
    patience: Patience,
    call: impl FnOnce() -> Result<R, RecordError> + Send + 'static,
) -> Result<R, RecordError> {
    let bound = patience.duration() + patience.duration().min(Duration::from_millis(250));
    match tokio::time::timeout(bound, tokio::task::spawn_blocking(call)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Err(RecordError::Unavailable("its writer broke down".to_owned())),
        Err(_) => Err(RecordError::Unavailable(format!("no answer within {} ms", bound.as_millis()))),
    }
}
