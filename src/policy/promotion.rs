//! May this release have that environment?
//!
//! A protected environment takes a release when its canary passed, or somebody overrode that with a reason, and enough different
//! people said yes. Verdict and yeses are about exactly this release, run, environment and policy; none counts for another, and
//! none from before the release was rolled back there (`docs/decisions.md` 5.2, 6.1).

use chrono::{DateTime, Utc};

use super::people::count_people;
use super::place::Protection;
use crate::event::{Actor, Digest, EnvironmentName, Refusal, RefusalKind, RunId, VerdictClass, Yes, YesKind};

/// A yes with what it was said about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenYes {
    /// In which environment's record, or at which environment's gate.
    pub environment: EnvironmentName,
    /// At the gate of which run; none for one given outside a run, which names the release alone.
    pub run: Option<RunId>,
    /// The yes.
    pub yes: Yes,
}

/// A verdict with what it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// The word.
    pub class: VerdictClass,
    /// Of which release.
    pub release: Digest,
    /// Of which run's rollout; none outside a run.
    pub run: Option<RunId>,
    /// In which environment.
    pub environment: EnvironmentName,
    /// Under which policy.
    pub policy_hash: Digest,
    /// When it was reached.
    pub at: DateTime<Utc>,
}

/// What a promotion rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromotionFacts {
    /// The environment whose traffic the release would get; never an arm.
    pub environment: EnvironmentName,
    /// How it is protected.
    pub protection: Protection,
    /// The release.
    pub release: Digest,
    /// The run that made the release; none for a release without one.
    pub run: Option<RunId>,
    /// The policy in force.
    pub policy_hash: Digest,
    /// The newest verdict on the release, if there is any.
    pub judgement: Option<Judgement>,
    /// All yeses that are known, in any order; those about something else are passed over.
    pub yeses: Vec<GivenYes>,
    /// When the release was last rolled back in this environment.
    pub rolled_back_at: Option<DateTime<Utc>>,
}

/// Says whether the release may have the environment's traffic.
///
/// Harm that is proven is not overridden: an override passes HOLD, or a verdict that is not there. An override is a yes too. Who
/// started the run counts once, like everybody. The facts must be whole; what is not in them was not said.
///
/// # Errors
/// When there is neither a PASS nor an override, or people are missing.
pub fn may_promote(facts: &PromotionFacts) -> Result<(), Refusal> {
    let Protection::Protected { approvals } = facts.protection else { return Ok(()) };
    let environment = &facts.environment;
    let short = facts.release.short();
    let no = |message: String| Refusal::new(RefusalKind::Protected, message);
    let overridden = valid(facts).any(|given| given.yes.kind == YesKind::Override);
    match facts.judgement.as_ref().filter(|judgement| judgement.holds_for(facts)).map(|judgement| judgement.class) {
        Some(VerdictClass::Pass) => {}
        Some(VerdictClass::Rollback) => {
            let message = format!("{environment} is protected, and the canary of {short} is proven harmful");
            return Err(no(message).hint("mend it and release again: proven harm is not overridden"));
        }
        Some(VerdictClass::Hold) | None if overridden => {}
        Some(VerdictClass::Hold) | None => {
            let message = format!("{environment} is protected, and {short} has neither a PASS nor an override");
            let hint = format!("let its canary pass, or: hms override --env {environment} --release {} --reason TEXT", facts.release);
            return Err(no(message).hint(hint));
        }
    }
    let (given, wanted) = (count_yeses(facts), usize::try_from(approvals).unwrap_or(usize::MAX).saturating_add(1));
    if given >= wanted {
        return Ok(());
    }
    let message = format!("{environment} is protected, and {short} has {given} of {wanted} yeses from different people");
    Err(no(message).hint(format!("somebody else: hms approve --env {environment} --release {} --reason TEXT", facts.release)))
}

/// How many different people said yes to exactly this.
#[must_use]
pub fn count_yeses(facts: &PromotionFacts) -> usize {
    let actors: Vec<&Actor> = valid(facts).map(|given| &given.yes.actor).collect();
    count_people(&actors)
}

/// The yeses that are about exactly this and not void.
fn valid(facts: &PromotionFacts) -> impl Iterator<Item = &GivenYes> {
    facts.yeses.iter().filter(|given| {
        given.environment == facts.environment
            && given.yes.release == facts.release
            && given.yes.policy_hash == facts.policy_hash
            && (given.run.is_none() || given.run == facts.run)
            && facts.still_counts(given.yes.at)
    })
}

impl PromotionFacts {
    /// Whether something said then was not made void by a rollback since.
    fn still_counts(&self, at: DateTime<Utc>) -> bool {
        self.rolled_back_at.is_none_or(|rolled_back| at > rolled_back)
    }
}

impl Judgement {
    fn holds_for(&self, facts: &PromotionFacts) -> bool {
        self.release == facts.release
            && self.run == facts.run
            && self.environment == facts.environment
            && self.policy_hash == facts.policy_hash
            && facts.still_counts(self.at)
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(second)
    }

    fn run(number: u128) -> RunId {
        RunId::from_ulid(number.into())
    }

    fn given(uid: u32, kind: YesKind) -> GivenYes {
        let actor =
            Actor { uid, login: format!("u{uid}"), host: "h".to_owned(), tty: None, ssh_client: None, via: "hms approve".to_owned() };
        let (release, policy_hash) = (Digest::of(b"release"), Digest::of(b"policy"));
        GivenYes {
            environment: "prod".parse().unwrap(),
            run: Some(run(1)),
            yes: Yes { kind, actor, release, policy_hash, reason: None, at: at(100) },
        }
    }

    fn facts(approvals: u32, class: Option<VerdictClass>, yeses: &[GivenYes]) -> PromotionFacts {
        let (release, policy_hash) = (Digest::of(b"release"), Digest::of(b"policy"));
        PromotionFacts {
            environment: "prod".parse().unwrap(),
            protection: Protection::Protected { approvals },
            release: release.clone(),
            run: Some(run(1)),
            policy_hash: policy_hash.clone(),
            judgement: class.map(|class| Judgement {
                class,
                release,
                run: Some(run(1)),
                environment: "prod".parse().unwrap(),
                policy_hash,
                at: at(90),
            }),
            yeses: yeses.to_vec(),
            rolled_back_at: None,
        }
    }

    #[test]
    fn verdict_and_people_are_both_needed() {
        let (ada, bo) = (given(1, YesKind::Approval), given(2, YesKind::Approval));
        let over = given(1, YesKind::Override);
        let (pass, hold, harm) = (Some(VerdictClass::Pass), Some(VerdictClass::Hold), Some(VerdictClass::Rollback));
        let table: [(u32, Option<VerdictClass>, &[&GivenYes], bool); 18] = [
            (0, pass, &[&ada], true),
            (0, pass, &[], false),
            (0, None, &[&ada], false),
            (0, hold, &[&ada], false),
            (0, hold, &[&over], true),
            (0, None, &[&over], true),
            (0, harm, &[&over], false),
            (0, harm, &[&over, &ada, &bo], false),
            (1, pass, &[&ada], false),
            (1, pass, &[&ada, &ada], false),
            (1, pass, &[&ada, &over], false),
            (1, pass, &[&ada, &bo], true),
            (1, hold, &[&over], false),
            (1, hold, &[&ada, &bo], false),
            (1, hold, &[&over, &bo], true),
            (1, None, &[&over, &bo], true),
            (1, harm, &[&over, &bo], false),
            (2, pass, &[&ada, &bo], false),
        ];
        for (approvals, class, yeses, wanted) in table {
            let yeses: Vec<GivenYes> = yeses.iter().map(|given| (*given).clone()).collect();
            let answer = may_promote(&facts(approvals, class, &yeses));
            assert_eq!(answer.is_ok(), wanted, "{approvals} {class:?} {yeses:?}: {answer:?}");
            if let Err(refusal) = answer {
                assert_eq!(refusal.kind, RefusalKind::Protected);
                assert!(refusal.hint.is_some());
            }
        }
    }

    #[test]
    fn an_open_environment_asks_nobody() {
        let facts = PromotionFacts { protection: Protection::Open, ..facts(3, None, &[]) };
        assert_eq!(may_promote(&facts), Ok(()));
    }

    #[test]
    fn what_was_said_about_something_else_does_not_count() {
        let other = Digest::of(b"other");
        let mut yeses = vec![given(1, YesKind::Approval); 5];
        yeses[0].environment = "staging".parse().unwrap();
        yeses[1].yes.release = other.clone();
        yeses[2].yes.policy_hash = other.clone();
        yeses[3].run = Some(run(2));
        yeses[4].yes.at = at(10);
        let mut asked = facts(0, Some(VerdictClass::Pass), &yeses);
        asked.rolled_back_at = Some(at(50));
        assert_eq!(count_yeses(&asked), 0);
        yeses.push(GivenYes { run: None, ..given(1, YesKind::Approval) });
        asked.yeses = yeses;
        assert_eq!((count_yeses(&asked), may_promote(&asked)), (1, Ok(())));

        let changes: [fn(&mut Judgement); 5] = [
            |judgement| judgement.release = Digest::of(b"other"),
            |judgement| judgement.run = Some(run(2)),
            |judgement| judgement.environment = "staging".parse().unwrap(),
            |judgement| judgement.policy_hash = Digest::of(b"other"),
            |judgement| judgement.at = at(50),
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut asked = asked.clone();
            change(asked.judgement.as_mut().unwrap());
            assert!(may_promote(&asked).is_err(), "change {number}");
        }
    }

    fn some_yes() -> impl Strategy<Value = GivenYes> {
        let kind = prop_oneof![Just(YesKind::Approval), Just(YesKind::Override)];
        (0..4u32, "[xyz]", "[hk]", kind, 0..200i64, any::<bool>()).prop_map(|(uid, login, host, kind, second, right)| {
            let mut given = given(uid, kind);
            (given.yes.actor.login, given.yes.actor.host, given.yes.at) = (login, host, at(second));
            if !right {
                given.yes.policy_hash = Digest::of(b"other");
            }
            given
        })
    }

    fn some_class() -> impl Strategy<Value = Option<VerdictClass>> {
        prop_oneof![Just(None), Just(Some(VerdictClass::Pass)), Just(Some(VerdictClass::Hold)), Just(Some(VerdictClass::Rollback))]
    }

    proptest! {
        #[test]
        fn one_more_yes_never_turns_yes_into_no(
            yeses in proptest::collection::vec(some_yes(), 0..7), more in some_yes(), approvals in 0..3u32, class in some_class(), gone in 0..150i64,
        ) {
            let before = PromotionFacts { rolled_back_at: Some(at(gone)), ..facts(approvals, class, &yeses) };
            let mut after = before.clone();
            after.yeses.push(more);
            prop_assert!(may_promote(&before).is_err() || may_promote(&after).is_ok());
        }

        #[test]
        fn a_shared_uid_never_counts_twice(yeses in proptest::collection::vec(some_yes(), 1..7), login in "[a-z]{1,4}", client in "[0-9.:]{1,9}") {
            let before = facts(0, Some(VerdictClass::Pass), &yeses);
            let accounts = yeses.iter().map(|given| (given.yes.actor.uid, &given.yes.actor.host)).collect::<std::collections::BTreeSet<_>>();
            prop_assert!(count_yeses(&before) <= accounts.len());
            let all_of_one: Vec<GivenYes> = yeses
                .iter()
                .enumerate()
                .map(|(number, given)| {
                    let mut given = given.clone();
                    (given.yes.actor.uid, given.yes.actor.host) = (7, "h".to_owned());
                    (given.yes.actor.login, given.yes.actor.ssh_client) = (format!("{login}{number}"), Some(format!("{client}{number}")));
                    given
                })
                .collect();
            prop_assert!(count_yeses(&facts(0, None, &all_of_one)) <= 1);
        }

        #[test]
        fn without_enough_people_it_is_always_no(yeses in proptest::collection::vec(some_yes(), 0..7), approvals in 0..4u32, class in some_class()) {
            let asked = facts(approvals, class, &yeses);
            if may_promote(&asked).is_ok() {
                prop_assert!(count_yeses(&asked) > usize::try_from(approvals).unwrap());
                prop_assert!(class != Some(VerdictClass::Rollback));
            }
        }
    }
}
