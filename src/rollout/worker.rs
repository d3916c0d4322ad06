//! The task behind a driver: one ask or one tick at a time, so that no two steps of a rollout overlap.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::driver::{Answer, Ask, Bytes, Reply, Setup, Standing};
use super::evidence::Evidence;
use super::logbook::Hear;
use super::ports::{ActionDraft, ActionKind, EvidenceRef, Ports, Rules};
use super::production::Stage;
use super::reader;
use super::steps::{StepError, Steps, told};
use super::watch::Watching;
use crate::deploy::Target;
use crate::event::{
    Actor, DeployOutcome, Digest, Refusal, RefusalKind, ReleaseRef, RolloutCreated, RolloutEvent, RolloutOutcome, RolloutPhase, Step,
    VerdictClass, Weight, Yes,
};

/// How often a journal that is behind tries to catch up.
const BEHIND: Duration = Duration::from_secs(1);

/// Whether somebody waits for this driver to drop what it is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interrupt {
    None,
    Wanted,
}

/// A rollout under way.
pub(crate) struct Worker<T> {
    pub(super) steps: Steps<T>,
    pub(super) ports: Ports,
    pub(super) rules: Rules,
    pub(super) host: String,
    pub(super) created: RolloutCreated,
    pub(super) bytes: Option<Bytes>,
    pub(super) interrupt: Arc<watch::Sender<Interrupt>>,
    pub(super) standing: watch::Sender<Standing>,
    /// The weights still asked for.
    pub(super) walk: Vec<Weight>,
    /// Those who wait for the canary's verdict: one, or more when a client connected again.
    pub(super) pending: Vec<Reply>,
    pub(super) watch: Option<Watching>,
    pub(super) evidence: Evidence,
    /// What had the traffic when this rollout got the environment.
    pub(super) base: Option<ReleaseRef>,
    /// The journal says that the environment was taken.
    pub(super) held: bool,
    /// What was answered when another rollout took its place: the journal keeps less of it.
    pub(super) pushed_out: Option<Answer>,
    /// Nothing more is done here.
    pub(super) left: bool,
    /// `STATE`, and who is told of what happens: for a rollback that this driver asks for.
    pub(super) state: PathBuf,
    pub(super) hear: Hear,
}

impl<T: Target + 'static> Worker<T> {
    pub(crate) fn new(steps: Steps<T>, setup: &Setup<T>, created: RolloutCreated, bytes: Option<Bytes>) -> Self {
        let evidence = Evidence::in_folder(steps.book.folder());
        Self {
            ports: setup.ports.clone(),
            rules: setup.rules.clone(),
            host: setup.host.clone(),
            base: created.previous.clone(),
            created,
            bytes,
            interrupt: Arc::new(watch::Sender::new(Interrupt::None)),
            standing: watch::Sender::new(Standing::Idle),
            walk: Vec::new(),
            pending: Vec::new(),
            watch: None,
            evidence,
            held: false,
            pushed_out: None,
            left: false,
            state: setup.state.clone(),
            hear: setup.hear.clone(),
            steps,
        }
    }

    /// Serves asks and watches until the handle is dropped or the driver has left.
    pub(crate) async fn run(mut self, mut asks: mpsc::Receiver<Ask>) {
        loop {
            self.show();
            let tick = self.watch.as_ref().map(|watch| watch.next_tick);
            let behind = self.steps.book.is_behind().then(|| Instant::now() + BEHIND);
            tokio::select! {
                biased;
                ask = asks.recv() => match ask {
                    Some(ask) => self.serve(ask).await,
                    None => return,
                },
                () = until(tick) => self.tick().await,
                () = until(behind) => self.steps.book.catch_up(),
            }
            if self.left {
                self.show();
                return;
            }
        }
    }

    /// Tells those who follow whether there is something to watch.
    pub(crate) fn show(&self) {
        let over = self.left || self.steps.book.state().ended.is_some();
        let standing = match (over, &self.watch) {
            // Nobody who reads the journal could know that it is over.
            (true, _) if self.steps.book.is_behind() && !self.left => Standing::Watching,
            (true, _) => Standing::Over,
            (false, Some(_)) => Standing::Watching,
            (false, None) => Standing::Idle,
        };
        self.standing.send_if_modified(|shown| std::mem::replace(shown, standing) != standing);
    }

    async fn serve(&mut self, ask: Ask) {
        match ask {
            Ask::Canary(walk, reply) => {
                self.pending.push(reply);
                match self.let_through() {
                    Some(answer) => self.reply(&answer),
                    None => self.canary(walk).await,
                }
            }
            Ask::Promote(authority, reply) => {
                let answer = match self.let_through() {
                    Some(answer) => answer,
                    None => self.promote(authority).await,
                };
                self.reply_to_all_if_over();
                let _ = reply.send(answer);
            }
            Ask::Override(actor, reason, reply) => {
                let answer = self.override_hold(actor, reason).await;
                let _ = reply.send(answer);
            }
            Ask::Steer(ask, reply) => {
                let answer = self.steer(ask).await;
                let _ = reply.send(answer);
            }
            Ask::Cancel(actor, reason, reply) => {
                self.interrupt.send_replace(Interrupt::None);
                let answer = self.cancel(actor, reason).await;
                self.reply(&Answer::new(DeployOutcome::Failed, "cancelled"));
                let _ = reply.send(answer);
            }
            Ask::Look(reply) => {
                self.find_out().await;
                let _ = reply.send(Answer::new(DeployOutcome::Done, ""));
            }
            Ask::Leave(reply) => {
                self.interrupt.send_replace(Interrupt::None);
                let answer = self.leave().await;
                self.reply(&answer);
                self.left = true;
                let _ = reply.send(answer);
            }
        }
    }

    /// Answers those who wait for the canary's verdict.
    pub(super) fn reply(&mut self, answer: &Answer) {
        for waiting in self.pending.drain(..) {
            let _ = waiting.send(answer.clone());
        }
    }

    fn reply_to_all_if_over(&mut self) {
        if let Some(answer) = self.ended() {
            self.reply(&answer);
        }
    }

    /// The answer of a rollout that is over.
    pub(super) fn ended(&self) -> Option<Answer> {
        if self.pushed_out.is_some() {
            return self.pushed_out.clone();
        }
        let state = self.steps.book.state();
        let (outcome, _) = state.ended?;
        let reason = match &state.phase {
            RolloutPhase::RolledBack { reason, .. } | RolloutPhase::Failed(reason) => reason.clone(),
            RolloutPhase::New
            | RolloutPhase::AwaitingSlot(_)
            | RolloutPhase::Armed { .. }
            | RolloutPhase::Stepping
            | RolloutPhase::Watching
            | RolloutPhase::Promoted
            | RolloutPhase::Superseded(_)
            | RolloutPhase::Cancelled => String::new(),
        };
        Some(match outcome {
            RolloutOutcome::Promoted => Answer::new(DeployOutcome::Done, self.already()),
            RolloutOutcome::RolledBack if state.verdict_class() != Some(VerdictClass::Rollback) => {
                Answer::new(DeployOutcome::TakenBack, format!("rolled back: {reason}"))
            }
            RolloutOutcome::RolledBack => Answer::new(DeployOutcome::RolledBack, format!("rolled back: {reason}")),
            RolloutOutcome::Failed => Answer::new(DeployOutcome::Failed, reason),
            RolloutOutcome::Refused => Answer::new(DeployOutcome::Refused, reason),
            RolloutOutcome::Cancelled => Answer::new(DeployOutcome::Failed, "cancelled"),
            RolloutOutcome::Superseded => Answer::new(DeployOutcome::TakenBack, "superseded by rollback"),
        })
    }

    pub(super) fn already(&self) -> String {
        format!("{} is already in {}", self.created.release.tag, self.created.environment)
    }

    pub(super) fn digest(&self) -> &Digest {
        &self.created.release.digest
    }

    /// A ledger entry about this rollout's release.
    pub(super) fn draft(&self, kind: ActionKind, actor: &Actor, reason: Option<String>) -> ActionDraft {
        let release = &self.created.release;
        let verdict = self.steps.book.state().verdict.as_ref();
        ActionDraft {
            id: ulid::Ulid::generate().to_string(),
            kind,
            actor: actor.clone(),
            app: self.created.app.clone(),
            environment: self.created.environment.clone(),
            target: self.created.target.clone(),
            run: self.created.run.clone(),
            rollout: self.created.rollout.clone(),
            tag: release.tag.clone(),
            tag_object: release.tag_object.clone(),
            revision: release.revision.clone().map(String::from),
            digest: release.digest.clone(),
            previous: self.base.as_ref().map(|release| release.digest.clone()),
            requested: None,
            scan_report: None,
            evidence: None,
            yeses: Vec::new(),
            policy_hash: self.created.policy_hash.clone(),
            reason,
            synthetic: verdict.is_some_and(|verdict| verdict.synthetic),
            pinned: None,
        }
    }

    pub(super) fn draft_with(&self, kind: ActionKind, actor: &Actor, evidence: Option<EvidenceRef>, yeses: &[Yes]) -> ActionDraft {
        ActionDraft { evidence, yeses: yeses.to_vec(), ..self.draft(kind, actor, self.created.reason.clone()) }
    }

    /// Writes down why a step went no further, undoes what had no weight yet, and gives the answer. None: somebody who waits decides.
    pub(super) async fn fail(&mut self, step: Step, error: StepError) -> Option<Answer> {
        match error {
            StepError::Interrupted => None,
            StepError::Superseded(by) => Some(self.superseded(step, by).await),
            StepError::Refused(refusal) => {
                self.note_refusal(&refusal).await;
                if self.watch.is_none() {
                    self.release_slot().await;
                    let _ = self.steps.note(RolloutEvent::StepFailed { step, reason: refusal.message.clone(), last_lines: Vec::new() });
                    let _ = self.steps.note(RolloutEvent::RolloutEnded { outcome: RolloutOutcome::Refused });
                }
                Some(Answer::refused(refusal))
            }
            error @ (StepError::Target(_) | StepError::Journal(_) | StepError::Ledger(_) | StepError::Unproven(_) | StepError::Changed) => {
                let (reason, last_lines) = told(&error);
                let _ = self.steps.note(RolloutEvent::StepFailed { step, reason: reason.clone(), last_lines: last_lines.clone() });
                let refusal = matches!(error, StepError::Ledger(_)).then(|| unwritten(&reason));
                let mut answer = Answer { refusal, last_lines, ..Answer::new(DeployOutcome::Failed, reason) };
                if self.watch.is_none() && !self.undo().await {
                    answer.message.push_str("; it could not be undone, so the environment is still held: hms rollback --env canary");
                }
                Some(answer)
            }
        }
    }

    /// Another rollout holds the environment: this one ends, and touches nothing on its way out.
    pub(super) async fn superseded(&mut self, step: Step, by: Option<crate::event::RolloutId>) -> Answer {
        let record = self.steps.record().await.ok();
        let holder = || record.as_ref()?.slot.as_ref().map(|slot| slot.rollout.clone()).filter(|by| *by != self.created.rollout);
        // One that is over already left its journal, if it was driven from this host.
        let by = by.or_else(holder).or_else(|| reader::successor(self.steps.book.folder(), &self.created.rollout));
        let pushed_out = record.as_ref().and_then(|record| {
            let slot = record.slot.as_ref()?;
            let known = record.healthy.iter().chain(&record.current).chain(&record.previous).chain(&record.origin);
            (!known.into_iter().any(|known| known.digest == slot.release.digest)).then(|| slot.release.tag.clone())
        });
        let message = format!("superseded by {}", pushed_out.as_deref().unwrap_or("rollback"));
        self.watch = None;
        let _ = match by {
            Some(by) => self.steps.note(RolloutEvent::Superseded { by }),
            None => self.steps.note(RolloutEvent::StepFailed { step, reason: message.clone(), last_lines: Vec::new() }),
        };
        let _ = self.steps.note(RolloutEvent::RolloutEnded { outcome: RolloutOutcome::Superseded });
        // Taken back by somebody is taken back, whether this driver lived to see it or a later one reads it (`lost.rs` in the engine).
        let answer = Answer::new(DeployOutcome::TakenBack, message);
        self.pushed_out = Some(answer.clone());
        answer
    }

    /// Whether the environment is still this rollout's: now, and not when the next sample is due.
    async fn find_out(&mut self) {
        if self.watch.is_none() {
            return;
        }
        if self.stage() == Stage::Whole {
            return self.find_out_of_production().await;
        }
        let Ok(record) = self.steps.record().await else { return };
        if let Err(error @ StepError::Superseded(_)) = self.steps.still_ours(&record)
            && let Some(answer) = self.fail(Step::Weigh, error).await
        {
            self.reply(&answer);
        }
    }

    pub(super) fn tree(&self) -> Option<PathBuf> {
        self.bytes.as_ref().and_then(|bytes| bytes.tree.clone())
    }
}

/// No ledger, no deploy; the answer is a failure all the same, since no rule weighed anything.
fn unwritten(why: &str) -> Refusal {
    Refusal::new(RefusalKind::LedgerUnwritten, format!("nothing was done: {why}"))
        .hint("see that it can be written, then ask again: hms doctor shows the disk; a rollback does not wait for it")
}

async fn until(tick: Option<Instant>) {
    match tick {
        Some(tick) => tokio::time::sleep_until(tick).await,
        None => std::future::pending().await,
    }
}
