//! The driver dies at each point of the table; the next one, or a rollback, finishes or reverts it, and the truth is told.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::world::{World, authority, digest, percent, release};
use crate::deploy::{ArmName, Effect};
use crate::event::{Arm, DeployOutcome, Weight};
use crate::rollout::crash::{CrashPoint, hook};
use crate::rollout::{Driver, RollbackEnd, Walk, roll_back};

/// Stops drivers of this thread at the `nth` passing (from 0) of a point.
fn stop_at(point: CrashPoint, nth: u32) -> Arc<Notify> {
    let stopped = Arc::new(Notify::new());
    let (told, seen) = (Arc::clone(&stopped), Rc::new(Cell::new(0)));
    hook::set(move |reached| {
        if reached != point {
            return false;
        }
        seen.set(seen.get() + 1);
        let stops = seen.get() == nth + 1;
        if stops {
            told.notify_one();
        }
        stops
    });
    stopped
}

async fn forward(driver: &Driver) {
    driver.canary(Walk::One(percent(1))).await;
    driver.promote(authority()).await;
}

/// How a target carries out an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effects {
    /// In one write, and a standby stays.
    Whole,
    /// In several, with one arm beside stable.
    InSteps,
}

const BOTH: [Effects; 2] = [Effects::Whole, Effects::InSteps];

async fn world(effects: Effects) -> World {
    let mut world = World::new();
    world.rules.keep = 2;
    world.target.state().in_steps = effects == Effects::InSteps;
    *world.judge.passes_after.lock().unwrap() = Duration::from_secs(10);
    for n in 1..=3 {
        world.promoted(n).await;
    }
    world
}

/// Dies at a point on the way of release 4 to all traffic; none when the way does not pass it so often.
async fn die(world: &World, point: CrashPoint, nth: u32) -> Option<crate::event::RolloutId> {
    let stopped = stop_at(point, nth);
    let request = world.request(4);
    let rollout = request.rollout.clone();
    let begun = tokio::select! {
        driver = Driver::begin(world.setup(), request) => Some(driver.unwrap()),
        () = stopped.notified() => None,
    };
    let Some(driver) = begun else {
        hook::clear();
        return Some(rollout);
    };
    let died = tokio::select! {
        () = forward(&driver) => false,
        () = stopped.notified() => true,
    };
    hook::clear();
    world.end(driver).await;
    died.then_some(rollout)
}

#[tokio::test(start_paused = true)]
async fn after_every_point_the_next_driver_finishes_it() {
    for effects in BOTH {
        after_every_point_of(effects).await;
    }
}

async fn after_every_point_of(effects: Effects) {
    let mut met = BTreeSet::new();
    for point in CrashPoint::ALL {
        for nth in 0..4 {
            let world = world(effects).await;
            let Some(rollout) = die(&world, *point, nth).await else { break };
            met.insert(*point);
            let name = format!("{effects:?} {} #{nth}", point.name());
            let bytes = Some(world.request(4).bytes);
            let driver = Driver::resume(world.setup(), &"shop".parse().unwrap(), &rollout, bytes.clone()).await.unwrap();
            // The truth, before anything else is asked: what the journal says of the weight is what the target has.
            let state = world.fold(&rollout);
            if state.ended.is_none() {
                let there = world.target.state().weight;
                assert_eq!(state.applied.unwrap_or(Weight::ZERO), there, "{name}");
            }
            forward(&driver).await;
            world.end(driver).await;
            assert_eq!(world.record().current, Some(release(4)), "{name}");
            assert_eq!(world.record().previous, Some(release(3)), "{name}");
            assert_eq!(world.record().slot, None, "{name}");
            assert_eq!(world.target.state().arm(ArmName::Stable), Some(digest(4)), "{name}");
            assert_eq!(world.target.state().weight, Weight::ZERO, "{name}");
            assert_eq!(world.target.state().harm, Vec::<String>::new(), "{name}");
            // Once more changes nothing.
            let effects = world.target.state().effects.len();
            let driver = Driver::resume(world.setup(), &"shop".parse().unwrap(), &rollout, bytes).await.unwrap();
            assert_eq!(driver.canary(Walk::One(percent(1))).await.outcome, DeployOutcome::Done, "{name}");
            assert_eq!(world.target.state().effects.len(), effects, "{name}");
            let open =
                world.recorder.intents.lock().unwrap().iter().filter(|(draft, end)| draft.rollout == rollout && end.is_none()).count();
            let cleaning = matches!(point, CrashPoint::BeforeRemove | CrashPoint::AfterRemove);
            assert!(open == 0 || cleaning, "{name}: {open} intents are open");
        }
    }
    let only_back = [CrashPoint::BeforeWithdraw, CrashPoint::AfterWithdraw, CrashPoint::BeforeReturn, CrashPoint::AfterReturn];
    // What the cluster alone passes is walked there.
    let elsewhere = |point: &CrashPoint| match effects {
        Effects::Whole => CrashPoint::INSIDE.contains(point),
        Effects::InSteps => matches!(point, CrashPoint::ArmWritten | CrashPoint::BeforeRetire | CrashPoint::AfterRetire),
    };
    let unmet: Vec<_> =
        CrashPoint::ALL.iter().filter(|point| !met.contains(point) && !only_back.contains(point) && !elsewhere(point)).collect();
    assert!(unmet.is_empty(), "never passed: {unmet:?}");
}

#[tokio::test(start_paused = true)]
async fn after_every_point_one_rollback_reverts_it() {
    for (effects, point) in BOTH.into_iter().flat_map(|effects| CrashPoint::ALL.iter().map(move |point| (effects, point))) {
        for nth in 0..4 {
            let world = world(effects).await;
            let Some(_) = die(&world, *point, nth).await else { break };
            let name = format!("{effects:?} {} #{nth}", point.name());
            let promoted = world.target.state().arm(ArmName::Stable) == Some(digest(4));
            let end = roll_back(&world.rollback_setup(), &world.back(Arm::Whole)).await.unwrap();
            // From the new release to the one before it; from the old one to the one before that.
            let expected = if promoted { 3 } else { 2 };
            assert!(matches!(&end, RollbackEnd::Reverted { to: Some(to), .. } if *to == release(expected)), "{name}: {end:?}");
            let state = world.target.state();
            assert_eq!(
                (state.weight, state.arm(ArmName::Stable), state.arm(ArmName::Canary)),
                (Weight::ZERO, Some(digest(expected)), None),
                "{name}"
            );
            drop(state);
            assert_eq!((world.record().current, world.record().slot), (Some(release(expected)), None), "{name}");
            assert_eq!(world.target.state().harm, Vec::<String>::new(), "{name}");
        }
    }
}

/// `R` on the canary of a promotion that died inside: what was there before it, and no word of the new release as reverted to.
#[tokio::test(start_paused = true)]
async fn inside_a_promotion_taking_the_canary_back_brings_what_was_there_before() {
    let mut met = BTreeSet::new();
    for point in CrashPoint::INSIDE {
        let world = world(Effects::InSteps).await;
        let before = world.target.state().effects.len();
        let Some(_) = die(&world, *point, 0).await else { continue };
        if world.target.state().effects[before..].iter().any(|(_, effect)| matches!(effect, Effect::Withdraw)) {
            continue;
        }
        met.insert(*point);
        let end = roll_back(&world.rollback_setup(), &world.back(Arm::Canary)).await.unwrap();
        let name = point.name();
        assert!(matches!(&end, RollbackEnd::Reverted { to: Some(to), .. } if *to == release(3)), "{name}: {end:?}");
        let state = world.target.state();
        assert_eq!((state.weight, state.arm(ArmName::Stable), state.arm(ArmName::Canary)), (Weight::ZERO, Some(digest(3)), None), "{name}");
        assert_eq!(state.harm, Vec::<String>::new(), "{name}");
        drop(state);
        assert_eq!((world.record().current, world.record().slot), (Some(release(3)), None), "{name}");
        let intents = world.recorder.intents.lock().unwrap();
        let (draft, outcome) = intents.last().unwrap();
        assert_eq!(draft.digest, digest(3), "{name}");
        assert_eq!(outcome.as_ref().unwrap().message, "reverted to v3", "{name}");
    }
    let all = [CrashPoint::TrafficBeside, CrashPoint::StableWritten, CrashPoint::StableRolled, CrashPoint::TrafficBack];
    assert_eq!(met, BTreeSet::from(all));
}

/// A promotion that failed half-way and does harm is taken back by its own driver, to what was there before.
#[tokio::test(start_paused = true)]
async fn a_cancelled_promotion_that_failed_inside_brings_what_was_there_before() {
    let world = world(Effects::InSteps).await;
    let driver = world.begin(4).await;
    driver.canary(Walk::One(percent(1))).await;
    let stopped = stop_at(CrashPoint::StableWritten, 0);
    tokio::select! {
        _ = driver.promote(authority()) => panic!("it went through"),
        () = stopped.notified() => {}
    }
    hook::clear();
    let rollout = driver.rollout().clone();
    world.end(driver).await;
    // What the next driver tries is refused by the cluster: the promotion is not one, and says so.
    let gated = world.target.other_client();
    gated.gate.every("apply", super::target::When::Before, Some(super::target::Act::Fail(super::target::unreachable())));
    let driver = Driver::resume(world.setup_at(&gated), &"shop".parse().unwrap(), &rollout, None).await.unwrap();
    assert_eq!(world.record().current, Some(release(3)), "it is in production by the record, and half rolled out");
    assert!(world.fold(&rollout).ended.is_none());
    gated.gate.every("apply", super::target::When::Before, None);
    let answer = driver.cancel(super::world::actor(), None).await;
    assert_eq!(answer.outcome, DeployOutcome::Done, "{answer:?}");
    world.end(driver).await;
    let state = world.target.state();
    assert_eq!((state.weight, state.arm(ArmName::Stable), state.arm(ArmName::Canary)), (Weight::ZERO, Some(digest(3)), None));
    assert_eq!(state.harm, Vec::<String>::new());
    drop(state);
    assert_eq!((world.record().current, world.record().slot), (Some(release(3)), None));
}

#[tokio::test(start_paused = true)]
async fn a_rollback_that_died_is_finished_by_the_next_to_the_same_place() {
    let mut met = BTreeSet::new();
    for (effects, point) in BOTH.into_iter().flat_map(|effects| CrashPoint::ALL.iter().map(move |point| (effects, point))) {
        for nth in 0..3 {
            let world = world(effects).await;
            // Cold, and with a canary, so that it passes all it can.
            world.target.state().arms.remove(&ArmName::Standby);
            let driver = world.begin(4).await;
            driver.canary(Walk::One(percent(1))).await;
            world.end(driver).await;
            let stopped = stop_at(*point, nth);
            let setup = world.rollback_setup();
            let request = world.back(Arm::Whole);
            let died = tokio::select! {
                _ = roll_back(&setup, &request) => false,
                () = stopped.notified() => true,
            };
            hook::clear();
            if !died {
                break;
            }
            met.insert(*point);
            let name = format!("{effects:?} {} #{nth}", point.name());
            let end = roll_back(&setup, &world.back(Arm::Whole)).await.unwrap();
            let there = match &end {
                RollbackEnd::Reverted { to: Some(to), .. } | RollbackEnd::AlreadyReverted { to, .. } => to.clone(),
                end => panic!("{name}: {end:?}"),
            };
            assert_eq!(there, release(2), "{name}");
            let state = world.target.state();
            assert_eq!((state.weight, state.arm(ArmName::Stable)), (Weight::ZERO, Some(digest(2))), "{name}");
            assert_eq!(state.harm, Vec::<String>::new(), "{name}");
            drop(state);
            assert_eq!((world.record().current, world.record().slot), (Some(release(2)), None), "{name}");
        }
    }
    let inside = [CrashPoint::TrafficBeside, CrashPoint::StableWritten, CrashPoint::StableRolled, CrashPoint::TrafficBack];
    let around =
        [CrashPoint::BeforeReturn, CrashPoint::AfterReturn, CrashPoint::BeforeStart, CrashPoint::AfterWeigh, CrashPoint::AfterWithdraw];
    for point in inside.into_iter().chain(around) {
        assert!(met.contains(&point), "{point:?} was never passed");
    }
}

/// Users have what a rollback went to, and it died or failed there: whoever asks next finishes it, also who asks for the canary alone.
#[tokio::test(start_paused = true)]
async fn a_rollback_that_died_inside_is_finished_by_whoever_asks_and_leads_nobody_back() {
    for point in [CrashPoint::TrafficBeside, CrashPoint::StableWritten, CrashPoint::StableRolled] {
        for slot in ["held", "free"] {
            let world = world(Effects::InSteps).await;
            let stopped = stop_at(point, 0);
            let (setup, request) = (world.rollback_setup(), world.back(Arm::Whole));
            tokio::select! {
                _ = roll_back(&setup, &request) => panic!("it went through"),
                () = stopped.notified() => {}
            }
            hook::clear();
            if slot == "free" {
                world.amend(|record| record.slot = None);
            }
            let name = format!("{} {slot}", point.name());
            let end = roll_back(&setup, &world.back(Arm::Canary)).await.unwrap();
            assert!(matches!(&end, RollbackEnd::Reverted { to: Some(to), .. } if *to == release(2)), "{name}: {end:?}");
            let state = world.target.state();
            assert_eq!((state.weight, state.arm(ArmName::Stable)), (Weight::ZERO, Some(digest(2))), "{name}");
            assert_eq!(state.harm, Vec::<String>::new(), "{name}");
            drop(state);
            assert_eq!((world.record().current, world.record().slot), (Some(release(2)), None), "{name}");
        }
    }
}

/// An effect without its points does not compile; two effects with the same points, or a second way to the target, fail here.
#[test]
fn every_effect_has_its_own_points_and_goes_one_way() {
    let release = digest(1);
    let effects = [
        Effect::Start { release: release.clone(), arm: ArmName::Canary, timeout_ms: 1 },
        Effect::Weigh { weight: Weight::ZERO },
        Effect::Promote { release: release.clone() },
        Effect::Withdraw,
        Effect::Return { release: release.clone() },
        Effect::Retire { release },
    ];
    let points: BTreeSet<CrashPoint> = effects.iter().map(CrashPoint::around).flat_map(|(before, after)| [before, after]).collect();
    assert_eq!(points.len(), 2 * effects.len());
    let names: BTreeSet<&str> = CrashPoint::ALL.iter().map(|point| point.name()).collect();
    assert_eq!(names.len(), CrashPoint::ALL.len());

    let room = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/rollout");
    let mut ways = Vec::new();
    for entry in std::fs::read_dir(room).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            ways.extend(text.lines().filter(|line| line.contains("target.apply(")).map(|line| format!("{}: {line}", path.display())));
            let removes = text.matches("target.remove(").count();
            assert_eq!(removes, text.matches("CrashPoint::BeforeRemove).await").count(), "{}", path.display());
            assert_eq!(text.matches("target.place(").count(), text.matches("CrashPoint::BeforePlace).await").count(), "{}", path.display());
        }
    }
    assert_eq!(ways.len(), 1, "{ways:?}");
    assert!(ways[0].contains("steps.rs"));
}

/// The variable that ends the process, in a process of its own.
#[test]
fn the_variable_kills_the_process_at_its_point() {
    use std::os::unix::process::ExitStatusExt;
    let child = |point: &str| {
        let test = "rollout::tests::crash::a_child_passes_a_point";
        std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--include-ignored"])
            .env("HMS_CRASH_AT", point)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .status()
            .unwrap()
    };
    assert_eq!(child("before-promote").signal(), Some(9));
    assert!(child("after-promote").success());
}

#[tokio::test]
#[ignore = "run by the test above, in a process of its own"]
async fn a_child_passes_a_point() {
    crate::rollout::crash::reach(CrashPoint::BeforePromote).await;
}
