//! The gates over policy: who may begin, and who may have all traffic.

use super::Lineage;
use super::same_place::{elsewhere, moved_from};
use crate::event::{
    Actor, EnvironmentName, EnvironmentRecord, Refusal, RefusalKind, ReleaseRef, RunId, TargetIdentity, VerdictClass, Yes, YesKind,
};
use crate::ledger::{LedgerPlaces, entries};
use crate::policy::{
    FreezeFacts, FreezeWindow, GivenYes, Judgement, Policy, PromotionFacts, Protection, frozen, may_promote, outdated, scan_gate,
};
use crate::rollout::ports::{Gatekeeper, PromoteFacts, StartFacts};
use crate::store::DiskError;

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
    /// How commits stand to each other.
    pub lineage: Lineage,
    /// The ledger, which knows where the environment was.
    pub ledger: LedgerPlaces,
    /// The reason given with `--allow-outdated` by whoever asks now, beside the one that the rollout began with.
    pub allow_outdated: Option<String>,
}

impl Gatekeeper for PolicyGatekeeper {
    fn may_start(&self, facts: &StartFacts<'_>) -> Result<(), Refusal> {
        self.same_place(facts.record, facts.target)?;
        self.outdated(facts.record, &facts.release.release, facts.allow_outdated)?;
        scan_gate(&self.policy.scan, self.protection, facts.release.scan.as_ref(), &facts.release.must_be_scanned)
    }

    fn may_promote(&self, facts: &PromoteFacts<'_>) -> Result<(), Refusal> {
        self.same_place(facts.record, facts.target)?;
        self.outdated(facts.record, &facts.release.release, facts.allow_outdated)?;
        self.frozen(facts)?;
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
    /// A context that leads elsewhere than it did is not followed.
    fn same_place(&self, record: &EnvironmentRecord, here: &TargetIdentity) -> Result<(), Refusal> {
        let unread = |error: DiskError| Refusal::new(RefusalKind::LedgerUnwritten, format!("the ledger cannot be read: {error}"));
        let known = entries(&self.ledger).map_err(unread)?;
        moved_from(&known, &record.app, &record.environment, here).map_or(Ok(()), |there| Err(elsewhere(&record.app, there, here)))
    }

    /// Policy's windows and the operator's, as one: the message then has the end of both.
    fn frozen(&self, facts: &PromoteFacts<'_>) -> Result<(), Refusal> {
        let mut windows = self.policy.freeze.clone();
        windows.extend(self.freeze.iter().filter(|window| !self.policy.freeze.contains(window)).cloned());
        let asked = FreezeFacts {
            environment: &self.environment,
            release: &facts.release.release.digest,
            policy_hash: facts.policy_hash,
            broken: &facts.record.broken_freezes,
            now: facts.now,
        };
        frozen(&asked, &windows)
    }

    /// What is there is asked of the record each time: a release that waited for its turn may have been overtaken.
    fn outdated(&self, record: &EnvironmentRecord, release: &ReleaseRef, allowed: Option<&str>) -> Result<(), Refusal> {
        let Some(current) = &record.current else { return Ok(()) };
        outdated(self.lineage.ancestry(current, release), release, current, self.allow_outdated.as_deref().or(allowed))
    }

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

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::deploy::ReleaseRecord;
    use crate::event::{BrokenFreeze, Digest, RefusalKind};

    fn release(letter: char) -> ReleaseRef {
        let digest = Digest::of(letter.to_string().as_bytes());
        ReleaseRef { digest, revision: letter.to_string().repeat(40).parse().ok(), tag: letter.to_string(), tag_object: None, run: None }
    }

    fn placed(letter: char) -> ReleaseRecord {
        ReleaseRecord {
            must_be_scanned: std::collections::BTreeMap::new(),
            images: Vec::new(),
            format: 1,
            release: release(letter),
            app: "shop".parse().unwrap(),
            created_at: DateTime::default(),
            files: 1,
            bytes: 1,
            start: None,
            scan: None,
        }
    }

    /// Later letters come after earlier ones.
    fn gatekeeper() -> PolicyGatekeeper {
        let none = || std::path::PathBuf::from("/nonexistent");
        let nowhere = crate::store::Places { state: none(), runtime: none(), data: none() };
        PolicyGatekeeper {
            policy: Policy::default(),
            freeze: Vec::new(),
            protection: Protection::Open,
            environment: "prod".parse().unwrap(),
            run: None,
            lineage: Lineage::new(|there, candidate| Some(there.as_str() < candidate.as_str())),
            ledger: LedgerPlaces::of(&nowhere),
            allow_outdated: None,
        }
    }

    /// The same for a run's engine and for `hms-deploy` alone: both ask this gate.
    #[test]
    fn a_freeze_of_policy_or_of_the_operator_stops_a_promotion_and_no_start() {
        let window: FreezeWindow = serde_json::from_value(serde_json::json!({
            "from": "2026-01-01 00:00", "to": "2027-01-01 00:00", "zone": "Europe/Berlin", "reason": "audit", "break_glass": 1,
        }))
        .unwrap();
        let actor = Actor { uid: 1, login: "ada".to_owned(), host: "h".to_owned(), tty: None, ssh_client: None, via: "hms".to_owned() };
        let (release, policy_hash) = (placed('b'), Digest::of(b"policy"));
        let target = TargetIdentity { kind: "local".to_owned(), id: "here".to_owned(), name: "this machine".to_owned() };
        let ask = |gatekeeper: &PolicyGatekeeper, now: &str, broken: Vec<BrokenFreeze>| {
            let mut record = EnvironmentRecord::empty("shop".parse().unwrap(), "prod".parse().unwrap());
            record.broken_freezes = broken;
            let (record, now) = (&record, now.parse().unwrap());
            let start = StartFacts { record, target: &target, release: &release, policy_hash: &policy_hash, allow_outdated: None, now };
            assert_eq!(gatekeeper.may_start(&start), Ok(()));
            let promote = PromoteFacts {
                record,
                target: &target,
                release: &release,
                verdict: None,
                overridden: None,
                yeses: &[],
                policy_hash: &policy_hash,
                allow_outdated: None,
                starter: &actor,
                now,
            };
            gatekeeper.may_promote(&promote).map_err(|refusal| refusal.kind)
        };
        let mut by_policy = gatekeeper();
        by_policy.policy.freeze = vec![window.clone()];
        let by_operator = PolicyGatekeeper { freeze: vec![window], ..gatekeeper() };
        let broken = BrokenFreeze {
            actor: actor.clone(),
            release: release.release.digest.clone(),
            policy_hash: policy_hash.clone(),
            reason: "nobody can pay".to_owned(),
            at: "2026-06-01T00:00:00Z".parse().unwrap(),
        };
        for gatekeeper in [by_policy, by_operator] {
            assert_eq!(ask(&gatekeeper, "2025-12-31T22:59:59Z", Vec::new()), Ok(()));
            assert_eq!(ask(&gatekeeper, "2025-12-31T23:00:00Z", Vec::new()), Err(RefusalKind::Frozen));
            assert_eq!(ask(&gatekeeper, "2026-06-02T00:00:00Z", vec![broken.clone()]), Ok(()));
        }
    }

    #[test]
    fn what_is_there_is_compared_at_the_start_and_again_at_the_promotion() {
        let actor = Actor { uid: 1, login: "ada".to_owned(), host: "h".to_owned(), tty: None, ssh_client: None, via: "hms".to_owned() };
        let (release, policy_hash) = (placed('b'), Digest::of(b"policy"));
        let ask = |gatekeeper: &PolicyGatekeeper, current: Option<char>, allow_outdated: Option<&str>| {
            let mut record = EnvironmentRecord::empty("shop".parse().unwrap(), "prod".parse().unwrap());
            record.current = current.map(self::release);
            let now = DateTime::default();
            let target = TargetIdentity { kind: "local".to_owned(), id: "here".to_owned(), name: "this machine".to_owned() };
            let start = StartFacts { record: &record, target: &target, release: &release, policy_hash: &policy_hash, allow_outdated, now };
            let promote = PromoteFacts {
                record: &record,
                target: &target,
                release: &release,
                verdict: None,
                overridden: None,
                yeses: &[],
                policy_hash: &policy_hash,
                allow_outdated,
                starter: &actor,
                now,
            };
            let kind = |answer: Result<(), Refusal>| answer.map_err(|refusal| refusal.kind);
            [kind(gatekeeper.may_start(&start)), kind(gatekeeper.may_promote(&promote))]
        };
        let gatekeeper = gatekeeper();
        assert_eq!(ask(&gatekeeper, None, None), [Ok(()), Ok(())]);
        assert_eq!(ask(&gatekeeper, Some('a'), None), [Ok(()), Ok(())]);
        // The same gatekeeper, when something newer is there meanwhile.
        assert_eq!(ask(&gatekeeper, Some('c'), None), [Err(RefusalKind::Outdated), Err(RefusalKind::Outdated)]);
        assert_eq!(ask(&gatekeeper, Some('c'), Some("known good")), [Ok(()), Ok(())]);
        let now_allowed = PolicyGatekeeper { allow_outdated: Some("known good".to_owned()), ..gatekeeper };
        assert_eq!(ask(&now_allowed, Some('c'), None), [Ok(()), Ok(())]);
    }
}
