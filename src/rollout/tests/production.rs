//! Production after its promotion: by its SLOs alone, or beside a holdback; and whoever ends the watch before its time.

use std::time::Duration;

use super::target::{Act, When};
use super::world::{World, actor, authority, digest, override_for, percent, release};
use crate::canary::Subject;
use crate::deploy::{ArmName, Effect, TargetError};
use crate::event::{Arm, DeployOutcome, RolloutEvent, RolloutId, RolloutOutcome, RolloutPhase, VerdictClass, Weight};
use crate::rollout::ports::{ActionKind, ActionResult, After, AfterHarm};
use crate::rollout::{Driver, RollbackEnd, Standing, SteerAsk, SteerWish, Walk, reader, roll_back};

async fn minutes(minutes: u64) {
    tokio::time::sleep(Duration::from_secs(minutes * 60)).await;
}

/// A first release in production, and what policy says of the next one.
async fn world(holdback: Option<u16>, on_harm: AfterHarm) -> World {
    let mut world = World::new();
    world.promoted(1).await;
    world.rules.after = Some(After { watch: Duration::from_secs(600), holdback: holdback.map(percent), on_harm });
    world
}

/// The second release, with its PASS, let through.
async fn let_through(world: &World) -> Driver {
    let driver = world.begin(2).await;
    assert_eq!(driver.canary(Walk::One(percent(1))).await.outcome, DeployOutcome::Done);
    let answer = driver.promote(authority()).await;
    assert!(answer.outcome == DeployOutcome::Done && answer.message.starts_with("Deployed 00000000 to prod; "), "{answer:?}");
    assert_eq!(*driver.standing().borrow(), Standing::Watching);
    driver
}

async fn resumed(world: &World, rollout: &RolloutId) -> Driver {
    Driver::resume(world.setup(), &"shop".parse().unwrap(), rollout, None).await.unwrap()
}

fn said(world: &World, words: &str) -> bool {
    world.said.lock().unwrap().iter().any(|line| line.contains(words))
}

fn weight(world: &World) -> Weight {
    world.target.state().weight
}

fn outcome(world: &World, rollout: &RolloutId) -> Option<RolloutOutcome> {
    world.fold(rollout).ended.map(|(outcome, _)| outcome)
}

#[tokio::test(start_paused = true)]
async fn with_nothing_beside_it_production_is_judged_by_its_slos_for_its_time() {
    let world = world(None, AfterHarm::Rollback).await;
    let driver = let_through(&world).await;
    let record = world.record();
    assert_eq!((record.current, record.slot, record.weights), (Some(release(2)), None, None));
    assert_eq!(record.watch.as_ref().map(|watch| &watch.rollout), Some(driver.rollout()));
    minutes(5).await;
    assert!(world.record().watch.unwrap().renewed_at > record.watch.unwrap().renewed_at, "the promise is renewed");
    let (facts, samples) = world.judge.asked.lock().unwrap().clone().unwrap();
    assert_eq!((facts.subject, facts.absolute_only, facts.stable_version), (Subject::Production, true, None));
    assert_eq!(facts.canary_version, digest(2).short());
    assert_eq!(facts.spans.iter().map(|span| span.weight).collect::<Vec<_>>(), [Weight::FULL]);
    assert!(facts.health.is_some(), "how production is is looked at");
    // What the canary was judged on is left out: a sample each 5 s since the promotion, and the one at its begin.
    assert!((55..=62).contains(&samples), "{samples}");
    let state = world.fold(driver.rollout());
    assert_eq!((state.phase.clone(), state.ended, state.has_weight(), state.wants_watch()), (RolloutPhase::Promoted, None, false, true));
    assert!(state.verdict.unwrap().reason.starts_with("in production, by its SLOs alone: "));
    // Nobody changes it from here on by what is a canary's to be changed by.
    assert_eq!(driver.canary(Walk::Steps).await.outcome, DeployOutcome::Done);
    assert_eq!(driver.promote(authority()).await.message, "v2 is already in prod");
    assert_eq!(driver.override_hold(actor(), "why".to_owned()).await.outcome, DeployOutcome::Refused);
    let skip = SteerAsk { actor: actor(), what: SteerWish::Skip, reason: Some("why".to_owned()) };
    assert_eq!(driver.steer(skip).await.outcome, DeployOutcome::Refused);
    minutes(6).await;
    assert_eq!(*driver.standing().borrow(), Standing::Over);
    assert_eq!(outcome(&world, driver.rollout()), Some(RolloutOutcome::Promoted));
    assert_eq!((world.record().watch, world.record().current), (None, Some(release(2))));
    assert!(said(&world, "the watch of production is over: PASS: in production, by its SLOs alone: "));
}

#[tokio::test(start_paused = true)]
async fn harm_in_production_is_rolled_back_by_a_rollout_of_its_own() {
    let world = world(None, AfterHarm::Rollback).await;
    let driver = let_through(&world).await;
    world.verdict(VerdictClass::Rollback);
    minutes(1).await;
    assert_eq!(world.record().current, Some(release(1)));
    assert_eq!(world.target.state().arm(ArmName::Stable), Some(digest(1)));
    let state = world.fold(driver.rollout());
    assert_eq!(state.ended.unwrap().0, RolloutOutcome::RolledBack);
    assert!(
        matches!(&state.phase, RolloutPhase::RolledBack { to: Some(to), reason } if *to == release(1) && reason.starts_with("in production"))
    );
    let intents = world.recorder.intents.lock().unwrap();
    let (draft, outcome) = intents.last().unwrap();
    assert_eq!((draft.kind, &draft.digest), (ActionKind::Rollback, &digest(1)));
    assert_ne!(draft.rollout, *driver.rollout());
    assert_eq!(draft.actor.via, "hms driver, by policy");
    assert_eq!(draft.evidence.as_ref().unwrap().verdict, VerdictClass::Rollback);
    assert_eq!(outcome.as_ref().unwrap().result, ActionResult::Done);
    assert!(!world.record().healthy.contains(&release(2)), "nobody comes back to it by accident");
}

#[tokio::test(start_paused = true)]
async fn harm_that_cannot_be_rolled_back_is_said_and_tried_once() {
    let world = world(None, AfterHarm::Rollback).await;
    let driver = let_through(&world).await;
    world.target.gate.every(
        "apply",
        When::Before,
        Some(Act::Fail(TargetError::NotPossible { reason: "the disk is read-only".to_owned() })),
    );
    world.verdict(VerdictClass::Rollback);
    minutes(3).await;
    assert!(said(&world, "production does harm and could not be rolled back: the disk is read-only"));
    let tries = world.recorder.intents.lock().unwrap().iter().filter(|(draft, _)| draft.kind == ActionKind::Rollback).count();
    assert_eq!(tries, 1);
    assert_eq!((*driver.standing().borrow(), world.record().current), (Standing::Watching, Some(release(2))));
    world.target.gate.every("apply", When::Before, None);
    minutes(10).await;
    assert_eq!(outcome(&world, driver.rollout()), Some(RolloutOutcome::Promoted));
}

#[tokio::test(start_paused = true)]
async fn harm_is_only_told_where_policy_says_so() {
    let world = world(None, AfterHarm::Tell).await;
    let driver = let_through(&world).await;
    world.verdict(VerdictClass::Rollback);
    minutes(2).await;
    assert_eq!(world.record().current, Some(release(2)));
    assert!(said(&world, "harm, left to people as on_harm: tell says (hms rollback --env prod --app shop)"));
    assert_eq!(world.fold(driver.rollout()).verdict_class(), Some(VerdictClass::Rollback));
    minutes(9).await;
    assert_eq!(outcome(&world, driver.rollout()), Some(RolloutOutcome::Promoted));
    assert!(said(&world, "the watch of production is over: ROLLBACK"));
}

#[tokio::test(start_paused = true)]
async fn a_holdback_keeps_its_share_for_its_time_and_is_drained() {
    let world = world(Some(5), AfterHarm::Rollback).await;
    let driver = let_through(&world).await;
    assert_eq!(weight(&world), percent(95));
    let record = world.record();
    assert_eq!((record.current.clone(), record.weights.unwrap().applied), (Some(release(1)), percent(95)));
    assert_eq!(record.slot.as_ref().map(|slot| &slot.rollout), Some(driver.rollout()));
    assert!(said(&world, "v1 keeps 5% until"));
    // Asked again it is done already, and the weight stays.
    let asked = driver.canary(Walk::One(percent(1))).await;
    assert!(asked.outcome == DeployOutcome::Done && asked.message.contains("v1 keeps 5% until"), "{asked:?}");
    assert_eq!(driver.promote(authority()).await.outcome, DeployOutcome::Done);
    // A HOLD of any length is no reason for anything: what it waits for is its time.
    world.verdict(VerdictClass::Hold);
    minutes(5).await;
    assert_eq!(weight(&world), percent(95));
    let (facts, _) = world.judge.asked.lock().unwrap().clone().unwrap();
    assert_eq!((facts.subject, facts.absolute_only), (Subject::Canary, false));
    assert_eq!(facts.spans.iter().map(|span| span.weight).collect::<Vec<_>>(), [percent(1), percent(95)]);
    let state = world.fold(driver.rollout());
    assert!(state.verdict.as_ref().unwrap().reason.starts_with("in production beside v1 with 5%: "), "{state:?}");
    assert_eq!((state.phase, state.production.unwrap().holdback), (RolloutPhase::Watching, Some(percent(5))));
    minutes(6).await;
    assert_eq!(*driver.standing().borrow(), Standing::Over);
    let record = world.record();
    assert_eq!((record.current, record.slot, record.weights, record.watch), (Some(release(2)), None, None, None));
    assert_eq!(record.healthy, [release(2), release(1)], "a rollback may come back to it");
    assert_eq!(world.target.state().arm(ArmName::Stable), Some(digest(2)));
    assert_eq!(outcome(&world, driver.rollout()), Some(RolloutOutcome::Promoted));
    let intents = world.recorder.intents.lock().unwrap();
    let of_it: Vec<_> = intents.iter().filter(|(draft, _)| draft.rollout == *driver.rollout()).collect();
    let told: Vec<_> = of_it.iter().map(|(draft, _)| (draft.kind, draft.requested)).collect();
    let (one, rest, full) = (Some(percent(1)), Some(percent(95)), Some(Weight::FULL));
    assert_eq!(told, [(ActionKind::Deploy, one), (ActionKind::Promote, rest), (ActionKind::Promote, full)]);
    assert!(of_it.iter().all(|(_, outcome)| outcome.as_ref().is_some_and(|outcome| outcome.result == ActionResult::Done)));
    assert_eq!(of_it[2].0.reason.as_deref(), Some("the time is over in which v1 kept 5%"));
}

#[tokio::test(start_paused = true)]
async fn harm_beside_a_holdback_gives_everything_back_at_once() {
    let world = world(Some(5), AfterHarm::Rollback).await;
    let driver = let_through(&world).await;
    world.verdict(VerdictClass::Rollback);
    minutes(1).await;
    let stable = world.target.state().arm(ArmName::Stable);
    assert_eq!((weight(&world), stable), (Weight::ZERO, Some(digest(1))));
    assert_eq!((world.record().current, world.record().slot), (Some(release(1)), None));
    assert_eq!(outcome(&world, driver.rollout()), Some(RolloutOutcome::RolledBack));
    assert!(world.fold(driver.rollout()).production.is_some(), "its run's outcome stays");
}

#[tokio::test(start_paused = true)]
async fn proven_harm_gets_no_more_traffic_even_where_it_is_only_told() {
    let world = world(Some(5), AfterHarm::Tell).await;
    let driver = let_through(&world).await;
    world.verdict(VerdictClass::Rollback);
    minutes(30).await;
    assert_eq!((weight(&world), *driver.standing().borrow()), (percent(95), Standing::Watching));
    world.verdict(VerdictClass::Hold);
    minutes(1).await;
    assert_eq!(world.record().current, Some(release(2)), "what is no harm any more gets the rest");
}

#[tokio::test(start_paused = true)]
async fn a_promotion_that_cannot_be_completed_is_tried_again() {
    let world = world(Some(5), AfterHarm::Rollback).await;
    let driver = let_through(&world).await;
    minutes(9).await;
    world.target.gate.every("apply", When::Before, Some(Act::Fail(TargetError::NotPossible { reason: "a quota".to_owned() })));
    minutes(3).await;
    assert!(said(&world, "v1 still keeps 5%, the promotion could not be completed: a quota"));
    assert_eq!(weight(&world), percent(95));
    let tries = || world.recorder.intents.lock().unwrap().iter().filter(|(draft, _)| draft.requested == Some(Weight::FULL)).count();
    assert!((2..=5).contains(&tries()), "once a minute, and not with each sample: {}", tries());
    world.target.gate.every("apply", When::Before, None);
    minutes(2).await;
    assert_eq!(outcome(&world, driver.rollout()), Some(RolloutOutcome::Promoted));
}

#[tokio::test(start_paused = true)]
async fn a_target_that_cannot_give_a_share_refuses_the_holdback_by_name() {
    let world = world(Some(5), AfterHarm::Rollback).await;
    let driver = world.begin(2).await;
    driver.canary(Walk::One(percent(1))).await;
    let no = TargetError::NotPossible { reason: "no router is named".to_owned() };
    world.target.gate.every("apply", When::Before, Some(Act::Fail(no)));
    let answer = driver.promote(authority()).await;
    assert_eq!(answer.outcome, DeployOutcome::Failed);
    assert_eq!(answer.message, "v1 cannot keep 5% beside it, as canary.after.holdback wants: no router is named");
    world.target.gate.every("apply", When::Before, None);
    assert_eq!((weight(&world), world.record().current), (percent(1), Some(release(1))), "the canary stays what it is");
    assert_eq!(world.fold(driver.rollout()).production, None);
    assert_eq!(driver.promote(authority()).await.outcome, DeployOutcome::Done);
}

#[tokio::test(start_paused = true)]
async fn a_first_release_holds_nothing_back_and_an_override_without_a_canary_does() {
    let mut world = World::new();
    world.rules.after = Some(After { watch: Duration::from_secs(600), holdback: Some(percent(5)), on_harm: AfterHarm::Rollback });
    let driver = world.begin(1).await;
    assert_eq!(driver.promote(override_for(1)).await.outcome, DeployOutcome::Done);
    assert!(said(&world, "nothing can be held back"));
    assert_eq!(world.fold(driver.rollout()).production.unwrap().holdback, None);
    minutes(11).await;
    assert_eq!(outcome(&world, driver.rollout()), Some(RolloutOutcome::Promoted));
    let driver = world.begin(2).await;
    assert_eq!(driver.promote(override_for(2)).await.outcome, DeployOutcome::Done);
    assert_eq!(weight(&world), percent(95));
    minutes(11).await;
    assert_eq!(world.record().current, Some(release(2)));
}

#[tokio::test(start_paused = true)]
async fn whoever_takes_the_environment_ends_the_watch() {
    // The next release.
    let first = world(None, AfterHarm::Rollback).await;
    let driver = let_through(&first).await;
    let next = first.begin(3).await;
    let (answer, ()) = tokio::join!(next.canary(Walk::One(percent(1))), async {
        minutes(1).await;
        assert_eq!(outcome(&first, driver.rollout()), Some(RolloutOutcome::Promoted));
    });
    assert_eq!(answer.outcome, DeployOutcome::Done);
    assert!(said(&first, "v3 is on its way to prod"));
    assert_eq!(first.record().watch.map(|watch| watch.rollout), Some(next.rollout().clone()), "the other's promise stays");

    // A person who goes back: asked to look, it knows at once.
    let second = world(None, AfterHarm::Rollback).await;
    let driver = let_through(&second).await;
    let end = roll_back(&second.rollback_setup(), &second.back(Arm::Whole)).await.unwrap();
    assert!(matches!(end, RollbackEnd::Reverted { .. }), "{end:?}");
    driver.look().await;
    assert_eq!((outcome(&second, driver.rollout()), *driver.standing().borrow()), (Some(RolloutOutcome::Promoted), Standing::Over));
    assert!(said(&second, "prod has v1"));

    // A person who takes a holdback back.
    let third = world(Some(5), AfterHarm::Rollback).await;
    let driver = let_through(&third).await;
    let end = roll_back(&third.rollback_setup(), &third.back(Arm::Canary)).await.unwrap();
    assert!(matches!(end, RollbackEnd::Reverted { .. }), "{end:?}");
    driver.look().await;
    assert_eq!(outcome(&third, driver.rollout()), Some(RolloutOutcome::Superseded));
    assert_eq!((weight(&third), third.record().current), (Weight::ZERO, Some(release(1))));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_watch_leaves_production_as_it_is() {
    let world = world(None, AfterHarm::Rollback).await;
    let driver = let_through(&world).await;
    let answer = driver.cancel(actor(), None).await;
    assert_eq!((answer.outcome, answer.message.as_str()), (DeployOutcome::Done, "production is watched no more: cancelled by ana"));
    assert_eq!((world.record().current, outcome(&world, driver.rollout())), (Some(release(2)), Some(RolloutOutcome::Promoted)));
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_dies_leaves_production_unwatched_and_the_next_one_goes_on() {
    for holdback in [None, Some(5)] {
        let world = world(holdback, AfterHarm::Rollback).await;
        let driver = let_through(&world).await;
        minutes(2).await;
        let rollout = driver.rollout().clone();
        world.end(driver).await;
        let now = || (world.setup().clock)();
        let unwatched = || reader::unwatched(&world.fold(&rollout), Some(&world.record()), None, now());
        assert!(unwatched().is_some(), "{holdback:?}");
        minutes(2).await;
        let driver = resumed(&world, &rollout).await;
        assert_eq!(
            *driver.standing().borrow(),
            Standing::Watching,
            "an engine that took it up knows at once that there is something to watch"
        );
        minutes(1).await;
        let (facts, samples) = world.judge.asked.lock().unwrap().clone().unwrap();
        assert_eq!(facts.subject == Subject::Production, holdback.is_none());
        assert!(samples > 30, "what was gathered before counts: {samples}");
        assert_eq!(world.events(&rollout).iter().filter(|event| matches!(event, RolloutEvent::ProductionWatched { .. })).count(), 1);
        minutes(6).await;
        assert_eq!(outcome(&world, &rollout), Some(RolloutOutcome::Promoted), "to the same end");
        assert_eq!((unwatched(), world.record().current), (None, Some(release(2))));
        drop(driver);
    }
}

#[tokio::test(start_paused = true)]
async fn past_its_time_a_holdback_is_ended_and_a_watch_that_was_not_is_said() {
    for holdback in [None, Some(5)] {
        let world = world(holdback, AfterHarm::Rollback).await;
        let driver = let_through(&world).await;
        let rollout = driver.rollout().clone();
        let left = driver.leave().await;
        assert!(left.message.ends_with("UNWATCHED"), "{left:?}");
        world.end(driver).await;
        assert!(world.fold(&rollout).left);
        minutes(60).await;
        let now = (world.setup().clock)();
        let unwatched = reader::unwatched(&world.fold(&rollout), Some(&world.record()), None, now);
        assert_eq!(unwatched.is_some(), holdback.is_some(), "what has all traffic is nobody's to watch any more, a holdback is");
        let driver = resumed(&world, &rollout).await;
        minutes(1).await;
        assert_eq!(outcome(&world, &rollout), Some(RolloutOutcome::Promoted));
        assert_eq!((world.record().current, weight(&world)), (Some(release(2)), Weight::ZERO));
        assert_eq!(said(&world, "nobody watched production from"), holdback.is_none());
        drop(driver);
    }
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_only_passes_by_completes_what_is_over_before_it_leaves() {
    let mut world = world(Some(5), AfterHarm::Rollback).await;
    let driver = let_through(&world).await;
    let rollout = driver.rollout().clone();
    driver.leave().await;
    world.end(driver).await;
    minutes(60).await;
    world.rules.unwatched = crate::rollout::ports::Unwatched::Rollback;
    world.rules.after = None;
    let driver = resumed(&world, &rollout).await;
    driver.leave().await;
    assert_eq!(outcome(&world, &rollout), Some(RolloutOutcome::Promoted), "what was let through is no canary that is taken back");
    let promotes = |effect: &Effect| matches!(effect, Effect::Promote { release } if *release == digest(2));
    assert!(world.target.state().effects.iter().any(|(_, effect)| promotes(effect)));
}
