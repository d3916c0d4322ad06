//! All traffic: the checks again, at the effect, and then the effect.

use super::choice::running;
use super::driver::{Answer, Authority};
use super::forward::{result_of, weighed};
use super::ports::{ActionDraft, ActionKind, PromoteFacts, Protection};
use super::rollback::insist;
use super::steps::{Begun, Claim, StepError, failed};
use super::worker::Worker;
use crate::deploy::{Applied, ArmName, Effect, Target};
use crate::event::{
    BrokenFreeze, DeployOutcome, Digest, EnvironmentRecord, Refusal, RefusalKind, ReleaseRef, RolloutEvent, RolloutOutcome, Step, Verdict,
    VerdictClass, Weight, YesKind,
};

impl<T: Target + 'static> Worker<T> {
    pub(super) async fn promote(&mut self, authority: Authority) -> Answer {
        match self.try_promote(authority).await {
            Ok(answer) => answer,
            Err(error) => self
                .fail(Step::Promote, error)
                .await
                .unwrap_or_else(|| Answer::new(DeployOutcome::Failed, "interrupted before anything changed")),
        }
    }

    async fn try_promote(&mut self, authority: Authority) -> Result<Answer, StepError> {
        if let Some(answer) = self.ended() {
            return Ok(answer);
        }
        let record = self.take_slot().await?;
        self.refuse_drift().await?;
        if let Some(answer) = self.already_there(&record).await {
            return Ok(answer);
        }
        let direct = self.watch.is_none();
        if !direct {
            // The verdict that counts is the one on what is measured now.
            self.tick().await;
            if let Some(answer) = self.ended() {
                return Ok(answer);
            }
        }
        let record = self.steps.record().await?;
        self.steps.still_ours(&record)?;
        self.may_promote(&record, &authority).await?;
        self.refuse_drift().await?;
        self.check_way_back(&record).await?;
        let verdict = self.steps.book.state().verdict.clone();
        let evidence = match verdict.as_ref().filter(|_| !direct) {
            Some(verdict) => {
                let unwritten = || StepError::Unproven("the evidence could not be written, so nothing was promoted".to_owned());
                Some(self.write_evidence(verdict).ok_or_else(unwritten)?)
            }
            None => None,
        };
        let mut draft = self.draft_with(ActionKind::Promote, &authority.actor, evidence, &authority.yeses);
        draft.reason = with_broken_freeze(authority.reason.clone(), &record.broken_freezes, self.digest());
        let scan_report = self.scan_report().await?;
        draft = ActionDraft { requested: Some(Weight::FULL), scan_report, ..draft };
        if let Some(beside) = self.wanted_holdback() {
            let text = self.deployed();
            return self.promote_beside(draft, direct, beside, text).await;
        }
        let base = self.base.as_ref().map(|release| release.digest.clone());
        // The write that takes the fence is made only while the same release has the traffic that was there when all this was decided.
        let begun = self.steps.begin(Step::Promote, draft, Claim::HoldingFrom(base), |_| ()).await?;
        match self.give_all(direct).await {
            Ok(_) => {
                let proven = self.counts_as_healthy(&authority);
                self.promoted(begun, proven).await
            }
            Err(error) => {
                self.steps.close(begun.intent, &failed(result_of(&error), error.to_string())).await;
                Err(error)
            }
        }
    }

    async fn may_promote(&self, record: &EnvironmentRecord, authority: &Authority) -> Result<(), StepError> {
        let release = self.release().await?;
        let state = self.steps.book.state();
        // Without a canary that has weight now, an old verdict is about nothing.
        let verdict = state.verdict.as_ref().filter(|_| self.watch.is_some());
        let facts = PromoteFacts {
            record,
            target: &self.created.target,
            release: &release,
            verdict,
            overridden: state.overridden.as_ref(),
            yeses: &authority.yeses,
            policy_hash: &self.created.policy_hash,
            allow_outdated: self.created.allow_outdated.as_deref(),
            starter: &self.created.actor,
            now: self.steps.now(),
        };
        self.ports.gatekeeper.may_promote(&facts).map_err(StepError::Refused)?;
        self.is_proven(verdict, authority).map_err(StepError::Refused)
    }

    /// The driver's own check, beside policy's: nothing protected gets all traffic without PASS or override, and nothing that does harm.
    fn is_proven(&self, verdict: Option<&Verdict>, authority: &Authority) -> Result<(), Refusal> {
        let state = self.steps.book.state();
        let environment = &self.created.environment;
        if let Some(verdict) = verdict.filter(|verdict| verdict.class == VerdictClass::Rollback) {
            let message = format!("the canary of {environment} does harm: {}", verdict.reason);
            return Err(Refusal::new(RefusalKind::Protected, message).hint("take it back: hms rollback --env canary"));
        }
        if self.rules.protection == Protection::Open || self.has_override(authority) || state.overridden.is_some() {
            return Ok(());
        }
        let message = match verdict {
            Some(verdict) if verdict.class == VerdictClass::Pass => return Ok(()),
            Some(verdict) => format!("{environment} is protected, and the canary is on HOLD: {}", verdict.reason),
            None => format!("{environment} is protected, and {} was never proven by a canary", self.created.release.tag),
        };
        Err(Refusal::new(RefusalKind::Protected, message).hint("wait for PASS, or: hms override RUN JOB --reason TEXT"))
    }

    fn has_override(&self, authority: &Authority) -> bool {
        authority
            .yeses
            .iter()
            .any(|yes| yes.kind == YesKind::Override && yes.release == *self.digest() && yes.policy_hash == self.created.policy_hash)
    }

    async fn give_all(&mut self, direct: bool) -> Result<Applied, StepError> {
        if direct {
            self.bring_up().await?;
        } else if !self.is_canary(&self.steps.observe().await?) {
            return Err(StepError::Unproven("the target's canary is another release".to_owned()));
        }
        self.carry_promotion().await
    }

    /// The effect, and its proof.
    pub(super) async fn carry_promotion(&mut self) -> Result<Applied, StepError> {
        let effect = Effect::Promote { release: self.digest().clone() };
        let applied = insist(&mut self.steps, &effect).await?;
        let stable = running(&applied.observation, ArmName::Stable);
        if stable != Some(self.digest()) {
            let found = stable.map_or("nothing", |digest| digest.short());
            return Err(StepError::Unproven(format!("the target shows {found} where {} was to be", self.digest().short())));
        }
        Ok(applied)
    }

    pub(super) async fn promoted(&mut self, begun: Begun, proven: Proven) -> Result<Answer, StepError> {
        let text = self.deployed();
        // The effect is real: what cannot be written any more is said, and stops nothing.
        self.steps.book.insist(super::logbook::Insistence::Tolerant);
        let measured = self.watch.as_ref().and_then(|_| self.measured());
        let _ = self.steps.note(RolloutEvent::Promoted);
        self.watch = None;
        // Nothing is the canary any more, so the target says 0 of it; what was asked for and proven is that the release has all.
        let outcome = weighed(text.clone(), Weight::FULL, Weight::FULL, measured);
        let release = self.created.release.clone();
        let settled = self.steps.settle(begun, outcome, |record| has_all(record, &release, proven)).await;
        let answer = match settled {
            Ok(_) => {
                self.held = false;
                self.steps.book.insist(super::logbook::Insistence::Strict);
                let watched = self.watch_production().await;
                self.steps.book.insist(super::logbook::Insistence::Tolerant);
                if watched.is_none() {
                    let _ = self.steps.note(RolloutEvent::RolloutEnded { outcome: RolloutOutcome::Promoted });
                }
                self.clean_up().await;
                let told = watched.map_or(text.clone(), |watched| format!("{text}; {watched}"));
                Ok(Answer::new(DeployOutcome::Done, told))
            }
            Err(error) => Err(error),
        };
        self.steps.book.insist(super::logbook::Insistence::Strict);
        answer
    }

    /// What was done, by its commit, as a rollback names what it returned to.
    fn deployed(&self) -> String {
        let release = &self.created.release;
        let name = release.revision.as_ref().map_or(release.tag.as_str(), |revision| revision.short());
        format!("Deployed {name} to {}", self.created.environment)
    }

    /// Whether a rollback may come back to it: it had a PASS or an override, or nobody asks for one here.
    pub(super) fn counts_as_healthy(&self, authority: &Authority) -> Proven {
        let state = self.steps.book.state();
        let passed = state.verdict_class() == Some(VerdictClass::Pass) || state.overridden.is_some();
        if passed || self.has_override(authority) || self.rules.protection == Protection::Open { Proven::Yes } else { Proven::No }
    }
}

/// The reason, and who broke a freeze for this release, each with theirs.
fn with_broken_freeze(reason: Option<String>, broken: &[BrokenFreeze], release: &Digest) -> Option<String> {
    let mine = broken.iter().filter(|broken| broken.release == *release);
    let said = mine.map(|broken| format!("freeze broken by {}: {}", broken.actor.login, broken.reason));
    let parts: Vec<String> = reason.into_iter().chain(said).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// Whether a release is one that a rollback may come back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proven {
    Yes,
    No,
}

/// The record after a promotion. Done twice it is done.
pub(super) fn has_all(record: &mut EnvironmentRecord, release: &ReleaseRef, proven: Proven) {
    if record.current.as_ref().is_none_or(|current| current.digest != release.digest) {
        record.previous = record.current.replace(release.clone());
    }
    if proven == Proven::Yes {
        record.healthy.retain(|healthy| healthy.digest != release.digest);
        record.healthy.insert(0, release.clone());
    }
    record.releases.retain(|kept| kept.digest != release.digest);
    record.releases.insert(0, release.clone());
    record.yeses.retain(|yes| yes.release != release.digest);
    record.broken_freezes.retain(|broken| broken.release != release.digest);
    record.adopted.clear();
    record.slot = None;
    record.watch = None;
    record.weights = None;
    record.returned_to = None;
}
