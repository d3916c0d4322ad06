//! A rollback between any two calls of a driver: once it is complete, that driver changes nothing any more.

use std::time::Duration;

use proptest::prelude::*;

use super::target::{Act, When};
use super::world::{World, authority, digest, percent, release};
use crate::deploy::ArmName;
use crate::event::{Arm, DeployOutcome, VerdictClass, Weight};
use crate::rollout::{Driver, RollbackEnd, Walk, roll_back};

/// What the driver is doing when the rollback comes.
#[derive(Debug, Clone, Copy)]
enum Scene {
    Canary,
    Steps,
    Promotion,
    Harm,
}

async fn play(scene: Scene, driver: &Driver, world: &World) {
    let canary = |walk| async move { driver.canary(walk).await };
    match scene {
        Scene::Canary => {
            canary(Walk::One(percent(1))).await;
        }
        Scene::Steps => {
            canary(Walk::Steps).await;
        }
        Scene::Promotion => {
            canary(Walk::One(percent(1))).await;
            driver.promote(authority()).await;
        }
        Scene::Harm => {
            world.verdict(VerdictClass::Rollback);
            canary(Walk::One(percent(1))).await;
        }
    }
}

/// Holds call `n` of the driver, rolls back, lets it go; gives false when there was no such call.
async fn rolled_back_at(scene: Scene, n: usize, when: When, arm: Arm) -> bool {
    let world = World::new();
    *world.judge.passes_after.lock().unwrap() = Duration::from_secs(10);
    world.promoted(1).await;
    world.promoted(2).await;
    let client = world.target.other_client();
    let driver = Driver::begin(world.setup_at(&client), world.request(3)).await.unwrap();
    client.gate.at(n, when, Act::Hold);
    let played = play(scene, &driver, &world);
    tokio::pin!(played);
    tokio::select! {
        () = &mut played => return false,
        () = client.gate.held.notified() => {}
    }
    let end = roll_back(&world.rollback_setup(), &world.back(arm)).await.unwrap();
    let expected = match (arm, &end) {
        // Whatever was under way: one back from what the environment had.
        (Arm::Whole, RollbackEnd::Reverted { to, from, .. }) => {
            let to = to.clone().unwrap();
            assert_ne!(Some(&to), from.as_ref());
            assert_ne!(to, release(3), "never to the release that was on its way");
            to
        }
        (Arm::Canary, RollbackEnd::Reverted { to, .. }) => to.clone().unwrap(),
        (Arm::Canary, RollbackEnd::NothingToRevert { stable } | RollbackEnd::Moved { now: stable }) => {
            // There was no canary yet, or none any more: the driver may go on.
            assert!(stable.is_some());
            client.gate.go.notify_one();
            played.await;
            return true;
        }
        (_, end) => panic!("{scene:?} {n} {when:?}: {end:?}"),
    };
    let before = world.target.state().effects.clone();
    let record = world.record();
    assert_eq!(record.current.as_ref(), Some(&expected), "{scene:?} {n} {when:?} {end:?}");
    let held = record.slot.is_some();
    client.gate.go.notify_one();
    let _ = tokio::time::timeout(Duration::from_secs(7200), &mut played).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let (after, stable, weight) = {
        let state = world.target.state();
        (state.effects.clone(), state.arm(ArmName::Stable), state.weight)
    };
    let superseded = world.record().superseded.contains(driver.rollout());
    if superseded {
        assert_eq!(before, after, "{scene:?} {n} {when:?}: the old driver changed something");
        assert_eq!((stable, weight), (Some(expected.digest), Weight::ZERO));
        assert_eq!(world.record().slot, None);
        assert_ne!(driver.canary(Walk::Steps).await.outcome, DeployOutcome::Done);
    } else {
        // It had not taken the environment when the rollback came, or had given it back: then it is a release like any other.
        assert!(!held);
        assert_ne!(stable, None);
    }
    true
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 160, ..ProptestConfig::default() })]

    #[test]
    fn after_a_rollback_the_old_driver_never_changes_traffic_again(
        scene in prop_oneof![Just(Scene::Canary), Just(Scene::Steps), Just(Scene::Promotion), Just(Scene::Harm)],
        n in 0usize..48,
        when in prop_oneof![Just(When::Before), Just(When::After)],
        arm in prop_oneof![Just(Arm::Whole), Just(Arm::Canary)],
    ) {
        runtime().block_on(rolled_back_at(scene, n, when, arm));
    }
}

/// Each call of a promotion, so that none is left to chance. Call 0 is the read that makes the rollout, before any driver runs.
#[test]
fn a_rollback_at_every_call_of_a_promotion() {
    for when in [When::Before, When::After] {
        for arm in [Arm::Whole, Arm::Canary] {
            let reached = (1..200).take_while(|n| runtime().block_on(rolled_back_at(Scene::Promotion, *n, when, arm))).count();
            assert!(reached > 20, "only {reached} calls");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_approval_that_is_written_meanwhile_stops_no_deploy() {
    let world = World::new();
    world.promoted(1).await;
    let client = world.target.other_client();
    let driver = Driver::begin(world.setup_at(&client), world.request(2)).await.unwrap();
    // Between the read and the write of the fence.
    for n in 0..30 {
        client.gate.at(n, When::Before, Act::Hold);
    }
    let canary = driver.canary(Walk::One(percent(1)));
    tokio::pin!(canary);
    let mut writes = 0;
    let answer = loop {
        tokio::select! {
            answer = &mut canary => break answer,
            () = client.gate.held.notified() => {
                // Every third call: a compare-and-swap is tried a bounded number of times.
                if client.gate.calls().is_multiple_of(3) {
                    world.amend(|record| record.returned_to = None);
                    writes += 1;
                }
                client.gate.go.notify_one();
            }
        }
    };
    assert!(writes > 5);
    assert_eq!(answer.outcome, DeployOutcome::Done, "{answer:?}");
    assert_eq!(world.target.state().arm(ArmName::Canary), Some(digest(2)));
}
