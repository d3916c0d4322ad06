//! Pause, resume, skip, extend: what a person does to a canary under way, and what it must not do.

use std::time::Duration;

use super::world::{World, actor, percent};
use crate::event::{DeployOutcome, RefusalKind, RolloutEvent, VerdictClass, Weight};
use crate::rollout::ports::{ActionKind, ActionResult, OnHarm};
use crate::rollout::{Answer, Driver, Standing, SteerAsk, SteerWish, Walk};

async fn steer(driver: &Driver, what: SteerWish, reason: Option<&str>) -> Answer {
    driver.steer(SteerAsk { actor: actor(), what, reason: reason.map(str::to_owned) }).await
}

async fn minutes(minutes: u64) {
    tokio::time::sleep(Duration::from_secs(minutes * 60)).await;
}

/// Each entry of that kind: with the evidence of its moment, and done.
fn entered(world: &World, kind: ActionKind) -> usize {
    let intents = world.recorder.intents.lock().unwrap();
    let found: Vec<_> = intents.iter().filter(|(draft, _)| draft.kind == kind).collect();
    for (draft, outcome) in &found {
        assert!(draft.evidence.is_some(), "{draft:?}");
        assert_eq!(outcome.as_ref().unwrap().result, ActionResult::Done);
    }
    found.len()
}

#[tokio::test(start_paused = true)]
async fn a_paused_canary_stays_and_goes_on_when_it_is_resumed() {
    let world = World::new();
    world.promoted(1).await;
    let driver = world.begin(2).await;
    let told = async {
        minutes(1).await;
        assert_eq!(steer(&driver, SteerWish::Resume, None).await.message, "it is not paused");
        assert_eq!(steer(&driver, SteerWish::Pause, Some("a look first")).await.outcome, DeployOutcome::Done);
        assert!(steer(&driver, SteerWish::Pause, None).await.message.starts_with("paused already"));
        // Its PASS comes after ten minutes, and an hour is more than HOLD may last.
        minutes(60).await;
        let state = world.fold(driver.rollout());
        assert_eq!((state.verdict_class(), state.applied), (Some(VerdictClass::Pass), Some(percent(1))));
        assert_eq!(state.paused.as_ref().unwrap().1.as_deref(), Some("a look first"));
        assert!(!state.hold_expired);
        assert_eq!(steer(&driver, SteerWish::Resume, None).await.outcome, DeployOutcome::Done);
        minutes(1).await;
        assert_eq!(world.fold(driver.rollout()).applied, Some(percent(5)));
    };
    let (answer, ()) = tokio::join!(driver.canary(Walk::Steps), told);
    assert_eq!(answer.outcome, DeployOutcome::Done, "{answer:?}");
    assert_eq!((entered(&world, ActionKind::Pause), entered(&world, ActionKind::Resume)), (1, 1), "what changes nothing is not entered");
}

#[tokio::test(start_paused = true)]
async fn harm_is_acted_on_while_it_is_paused() {
    let world = World::new();
    world.promoted(1).await;
    let driver = world.begin(2).await;
    let told = async {
        minutes(1).await;
        steer(&driver, SteerWish::Pause, None).await;
        world.verdict(VerdictClass::Rollback);
    };
    let (answer, ()) = tokio::join!(driver.canary(Walk::Steps), told);
    assert_eq!(answer.outcome, DeployOutcome::RolledBack, "{answer:?}");
    assert_eq!(world.target.state().weight, Weight::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_step_is_skipped_with_a_reason_alone_and_never_past_the_last_one() {
    let world = World::new();
    world.promoted(1).await;
    let driver = world.begin(2).await;
    world.verdict(VerdictClass::Hold);
    let told = async {
        minutes(1).await;
        let refused = steer(&driver, SteerWish::Skip, Some("  ")).await;
        assert_eq!(refused.refusal.unwrap().kind, RefusalKind::Protected);
        for next in [5, 25] {
            let answer = steer(&driver, SteerWish::Skip, Some("no traffic at night")).await;
            assert_eq!(answer.outcome, DeployOutcome::Done, "{answer:?}");
            let state = world.fold(driver.rollout());
            assert_eq!((state.applied, state.verdict), (Some(percent(next)), None), "a verdict is of one weight");
        }
        let refused = steer(&driver, SteerWish::Skip, Some("once more")).await;
        assert!(refused.message.contains("last weight"), "{refused:?}");
        driver.override_hold(actor(), "enough".to_owned()).await;
    };
    let (answer, ()) = tokio::join!(driver.canary(Walk::Steps), told);
    assert_eq!(answer.outcome, DeployOutcome::Overridden, "{answer:?}");
    assert_eq!((entered(&world, ActionKind::Skip), entered(&world, ActionKind::Weight)), (2, 2));
    assert!(world.recorder.notes.lock().unwrap().iter().filter(|note| note.kind == ActionKind::Refuse).count() >= 2);
}

#[tokio::test(start_paused = true)]
async fn a_canary_that_does_harm_gets_no_more_by_a_skip() {
    let mut world = World::new();
    world.rules.on_harm = OnHarm::Hold;
    world.promoted(1).await;
    let driver = world.begin(2).await;
    world.verdict(VerdictClass::Rollback);
    assert_eq!(driver.canary(Walk::Steps).await.outcome, DeployOutcome::Held);
    let refused = steer(&driver, SteerWish::Skip, Some("I know better")).await;
    assert!(refused.message.contains("does harm"), "{refused:?}");
    assert_eq!(world.target.state().weight, percent(1));
}

#[tokio::test(start_paused = true)]
async fn hold_lasts_longer_by_what_it_was_extended() {
    let world = World::new();
    world.promoted(1).await;
    let driver = world.begin(2).await;
    world.verdict(VerdictClass::Hold);
    let began = tokio::time::Instant::now();
    let told = async {
        minutes(1).await;
        assert!(steer(&driver, SteerWish::Extend { seconds: 0 }, None).await.refusal.is_some());
        assert_eq!(steer(&driver, SteerWish::Extend { seconds: 1800 }, None).await.outcome, DeployOutcome::Done);
    };
    let (answer, ()) = tokio::join!(driver.canary(Walk::One(percent(1))), told);
    assert_eq!(answer.outcome, DeployOutcome::Held);
    let lasted = began.elapsed().checked_sub(world.rules.on_hold).unwrap();
    assert!((Duration::from_secs(1800)..Duration::from_secs(1860)).contains(&lasted), "{lasted:?}");
    assert!(steer(&driver, SteerWish::Extend { seconds: 60 }, None).await.message.contains("too long already"));
    assert_eq!(entered(&world, ActionKind::Extend), 1);
}

#[tokio::test(start_paused = true)]
async fn what_has_no_canary_is_not_steered_and_nothing_is_done_that_is_not_entered() {
    let world = World::new();
    world.promoted(1).await;
    let driver = world.begin(2).await;
    assert_eq!(steer(&driver, SteerWish::Pause, None).await.refusal.unwrap().kind, RefusalKind::NotWaiting);
    let told = async {
        minutes(1).await;
        *world.recorder.intent_error.lock().unwrap() = Some(crate::rollout::ports::RecordError::Unavailable("disk full".to_owned()));
        let answer = steer(&driver, SteerWish::Pause, None).await;
        assert_eq!(answer.outcome, DeployOutcome::Failed, "{answer:?}");
        assert!(world.fold(driver.rollout()).paused.is_none());
        *world.recorder.intent_error.lock().unwrap() = None;
    };
    tokio::join!(driver.canary(Walk::Steps), told);
    driver.cancel(actor(), None).await;
    driver.standing().wait_for(|standing| *standing == Standing::Over).await.unwrap();
    assert!(steer(&driver, SteerWish::Pause, None).await.refusal.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_pass_does_not_outlive_a_weight_that_was_changed_by_hand() {
    let world = World::new();
    world.promoted(1).await;
    let driver = world.begin(2).await;
    assert_eq!(driver.canary(Walk::One(percent(1))).await.outcome, DeployOutcome::Done);
    world.target.state().weight = percent(50);
    tokio::time::sleep(Duration::from_secs(6)).await;
    let state = world.fold(driver.rollout());
    assert_eq!((state.verdict_class(), state.applied), (Some(VerdictClass::Hold), Some(percent(50))), "PASS begins anew");
    let events = world.events(driver.rollout());
    assert!(events.iter().any(|event| matches!(event, RolloutEvent::VerdictVoided { reason } if reason.contains("50%"))), "{events:?}");
    minutes(11).await;
    assert_eq!(world.fold(driver.rollout()).verdict_class(), Some(VerdictClass::Pass));
}
