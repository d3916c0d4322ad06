//! A call of the target that fails, each in turn: what is told is what is there, and one rollback or retry mends it.

use std::time::Duration;

use super::target::{Act, When, unreachable};
use super::world::{World, authority, digest, percent, release};
use crate::deploy::ArmName;
use crate::event::{Arm, DeployOutcome, Weight};
use crate::rollout::ports::RecordError;
use crate::rollout::{Driver, RollbackEnd, Walk, roll_back};

async fn world() -> World {
    let world = World::new();
    *world.judge.passes_after.lock().unwrap() = Duration::from_secs(10);
    world.promoted(1).await;
    world.promoted(2).await;
    world
}

#[tokio::test(start_paused = true)]
async fn one_failed_call_never_makes_a_success_of_what_is_none() {
    for when in [When::Before, When::After] {
        for n in 1..60 {
            let world = world().await;
            let client = world.target.other_client();
            let driver = Driver::begin(world.setup_at(&client), world.request(3)).await.unwrap();
            client.gate.at(n, when, Act::Fail(unreachable()));
            let canary = driver.canary(Walk::One(percent(1))).await;
            let (stable, weight) = {
                let state = world.target.state();
                (state.arm(ArmName::Stable), state.weight)
            };
            assert_eq!(stable, Some(digest(2)), "{n} {when:?}");
            if canary.outcome == DeployOutcome::Done {
                assert_eq!(weight, percent(1), "{n} {when:?}");
            }
            let promoted = driver.promote(authority()).await;
            let stable = world.target.state().arm(ArmName::Stable);
            if promoted.outcome == DeployOutcome::Done {
                assert_eq!(stable, Some(digest(3)), "{n} {when:?} {promoted:?}");
            }
            world.end(driver).await;
            // Whatever was left: one command brings it back, and says the truth.
            let from = stable.clone();
            let end = roll_back(&world.rollback_setup(), &world.back(Arm::Whole)).await.unwrap();
            let expected = if from == Some(digest(3)) { 2 } else { 1 };
            assert!(matches!(&end, RollbackEnd::Reverted { to: Some(to), .. } if *to == release(expected)), "{n} {when:?}: {end:?}");
            let state = world.target.state();
            assert_eq!((state.weight, state.arm(ArmName::Stable)), (Weight::ZERO, Some(digest(expected))), "{n} {when:?}");
            drop(state);
            assert_eq!(world.record().slot, None, "{n} {when:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_outcome_that_cannot_be_written_is_unrecorded_not_undone() {
    let world = world().await;
    let driver = world.begin(3).await;
    *world.recorder.outcome_error.lock().unwrap() = Some(RecordError::Unavailable("disk full".to_owned()));
    assert_eq!(driver.canary(Walk::One(percent(1))).await.outcome, DeployOutcome::Done);
    assert!(world.fold(driver.rollout()).unrecorded);
    assert_eq!(world.record().unrecorded.len(), 1);
    assert_eq!(world.target.state().weight, percent(1));
}

#[tokio::test(start_paused = true)]
async fn harm_is_acted_on_without_ledger_and_journal() {
    let world = world().await;
    let driver = world.begin(3).await;
    assert_eq!(driver.canary(Walk::One(percent(1))).await.outcome, DeployOutcome::Done);
    *world.recorder.intent_error.lock().unwrap() = Some(RecordError::Unavailable("held by another".to_owned()));
    world.verdict(crate::event::VerdictClass::Rollback);
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(world.target.state().weight, Weight::ZERO);
    assert_eq!(world.record().unrecorded.len(), 1);
    assert_eq!(world.record().slot, None);
}

#[tokio::test(start_paused = true)]
async fn harm_is_tried_again_until_the_target_answers() {
    let world = world().await;
    let client = world.target.other_client();
    let driver = Driver::begin(world.setup_at(&client), world.request(3)).await.unwrap();
    assert_eq!(driver.canary(Walk::One(percent(1))).await.outcome, DeployOutcome::Done);
    client.gate.every("apply", When::Before, Some(Act::Fail(unreachable())));
    world.verdict(crate::event::VerdictClass::Rollback);
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(world.target.state().weight, percent(1));
    client.gate.every("apply", When::Before, None);
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(world.target.state().weight, Weight::ZERO);
    assert_eq!(world.record().slot, None);
}
