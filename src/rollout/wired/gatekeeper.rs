//! The gates over policy: who may begin, and who may have all traffic.

use crate::event::{Actor, EnvironmentName, Refusal, RunId, VerdictClass, Yes, YesKind};
use crate::policy::{
    Ancestry, FreezeWindow, GivenYes, Judgement, Policy, PromotionFacts, Protection, frozen, may_promote, outdated, scan_gate,
};
use crate::rollout::ports::{Gatekeeper, PromoteFacts, StartFacts};

/// The gates of one release on its way into one environment.
#[derive(Debug, Clone)]
pub struct PolicyGatekeeper {
    /// The policy in force, floors applied.
    pub policy: Policy,
    /// Freeze windows of the operator, beside policy's.
    pub freeze: Vec<FreezeWindow>,
    /// How the environment is protected.
    pub protection: Protection,
    /// The environment.
    pub environment: EnvironmentName,
    /// The run that made the release.
    pub run: Option<RunId>,
    /// How its commit stands to what is there.
    pub ancestry: Ancestry,
    /// The reason given with `--allow-outdated`.
    pub allow_outdated: Option<String>,
}

impl Gatekeeper for PolicyGatekeeper {
    fn may_start(&self, facts: &StartFacts<'_>) -> Result<(), Refusal> {
        if let Some(current) = &facts.record.current {
            outdated(self.ancestry, &facts.release.release, current, self.allow_outdated.as_deref())?;
        }
        scan_gate(&self.policy.scan, self.protection, facts.release.scan.as_ref(), &facts.release.must_be_scanned)
    }

    fn may_promote(&self, facts: &PromoteFacts<'_>) -> Result<(), Refusal> {
        frozen(facts.now, &self.policy.freeze)?;
        frozen(facts.now, &self.freeze)?;
        scan_gate(&self.policy.scan, self.protection, facts.release.scan.as_ref(), &facts.release.must_be_scanned)?;
        may_promote(&PromotionFacts {
            environment: self.environment.clone(),
            protection: self.protection,
            release: facts.release.release.digest.clone(),
            run: self.run.clone(),
            policy_hash: facts.policy_hash.clone(),
            judgement: facts.verdict.map(|verdict| self.judgement(facts, verdict.class)),
            yeses: self.yeses(facts),
            rolled_back_at: None,
        })
    }
}

impl PolicyGatekeeper {
    /// The driver keeps a verdict only while it is about this very release, run, environment and policy.
    fn judgement(&self, facts: &PromoteFacts<'_>, class: VerdictClass) -> Judgement {
        Judgement {
            class,
            release: facts.release.release.digest.clone(),
            run: self.run.clone(),
            environment: self.environment.clone(),
            policy_hash: facts.policy_hash.clone(),
            at: facts.now,
        }
    }

    /// Yeses of the gate, of the record, and an override of the rollout's HOLD. A rollback takes a release's yeses out of the record.
    fn yeses(&self, facts: &PromoteFacts<'_>) -> Vec<GivenYes> {
        let given = |yes: Yes, run| GivenYes { environment: self.environment.clone(), run, yes };
        let mut all: Vec<GivenYes> = facts.yeses.iter().cloned().map(|yes| given(yes, self.run.clone())).collect();
        all.extend(facts.record.yeses.iter().cloned().map(|yes| given(yes, None)));
        if let Some((actor, reason)) = facts.overridden {
            all.push(given(override_yes(facts, actor, reason), self.run.clone()));
        }
        all
    }
}

fn override_yes(facts: &PromoteFacts<'_>, actor: &Actor, reason: &str) -> Yes {
    Yes {
        kind: YesKind::Override,
        actor: actor.clone(),
        release: facts.release.release.digest.clone(),
        policy_hash: facts.policy_hash.clone(),
        reason: Some(reason.to_owned()),
        at: facts.now,
    }
}
