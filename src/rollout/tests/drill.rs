//! A rollback rehearsed: nothing that serves is touched, whatever comes of it.

use std::sync::Arc;
use std::time::Duration;

use super::world::{World, actor, digest, percent, policy, release};
use crate::deploy::{ArmName, Effect};
use crate::event::{Drill, DrillResult, RefusalKind, Weight};
use crate::rollout::ports::{ActionKind, ActionResult};
use crate::rollout::{Aim, DrillEnd, DrillRequest, DrillSetup, Rehearsal, Walk, drill};

async fn rehearse(world: &World, to: Option<u32>, rehearsal: Rehearsal) -> DrillEnd {
    let setup = world.setup();
    let setup = DrillSetup {
        target: setup.target,
        recorder: setup.ports.recorder,
        tell: setup.tell,
        clock: setup.clock,
        start_timeout: Duration::from_secs(60),
        rehearsal,
    };
    let request = DrillRequest {
        app: "shop".parse().unwrap(),
        environment: World::environment(),
        to: to.map(|n| Aim::Digest(digest(n))),
        actor: actor(),
        reason: Some("before the weekend".to_owned()),
        policy_hash: policy(),
    };
    drill(&setup, &request).await.unwrap()
}

fn rehearsed(end: DrillEnd) -> Drill {
    let DrillEnd::Rehearsed(done) = end else { panic!("{end:?}") };
    *done
}

#[tokio::test(start_paused = true)]
async fn it_is_started_beside_production_answers_and_is_stopped() {
    let world = World::new();
    world.promoted(1).await;
    world.promoted(2).await;
    // What was there before runs beside it still.
    let warm = rehearsed(rehearse(&world, None, Rehearsal::Start).await);
    assert_eq!((&warm.result, &warm.release), (&DrillResult::Warm, &release(1)));
    world.target.state().arms.remove(&ArmName::Standby);
    let (before, effects) = (world.record(), world.target.state().effects.len());
    let cold = rehearsed(rehearse(&world, None, Rehearsal::Start).await);
    assert_eq!((cold.result.clone(), cold.duration_ms), (DrillResult::Healthy, 300));
    assert_eq!(cold.to_string(), "v1: healthy in 0.3 s");
    let done: Vec<(u64, Effect)> = world.target.state().effects.iter().skip(effects).cloned().collect();
    assert!(done.iter().all(|(fence, _)| *fence == before.fence), "the fence in force, and no new one: {done:?}");
    let kinds: Vec<&Effect> = done.iter().map(|(_, effect)| effect).collect();
    assert!(matches!(kinds[..], [Effect::Start { arm: ArmName::Standby, .. }, Effect::Retire { .. }]), "{kinds:?}");
    let state = world.target.state();
    assert_eq!((state.arm(ArmName::Stable), state.arm(ArmName::Standby), state.weight), (Some(digest(2)), None, Weight::ZERO));
    drop(state);
    let record = world.record();
    assert_eq!((&record.current, &record.slot, record.fence, &record.drill), (&before.current, &None, before.fence, &Some(Box::new(cold))));
    let intents = world.recorder.intents.lock().unwrap();
    let (draft, outcome) = intents.last().unwrap();
    assert_eq!((draft.kind, draft.digest.clone(), draft.requested), (ActionKind::Drill, digest(1), None));
    assert_eq!(outcome.as_ref().unwrap().result, ActionResult::Done);
}

#[tokio::test(start_paused = true)]
async fn a_rollback_that_would_fail_is_told_before_it_is_needed() {
    let world = World::new();
    world.promoted(1).await;
    assert!(matches!(rehearse(&world, None, Rehearsal::Start).await, DrillEnd::NoTarget(_)));
    world.promoted(2).await;
    world.target.state().arms.remove(&ArmName::Standby);
    world.target.state().broken.insert(digest(1));
    let failed = rehearsed(rehearse(&world, None, Rehearsal::Start).await);
    assert_eq!(failed.result, DrillResult::Failed { reason: "it exited with 1".to_owned() });
    assert!(world.said.lock().unwrap().iter().any(|line| line.contains("cannot find module x")));
    assert_eq!(world.target.state().arm(ArmName::Stable), Some(digest(2)));
    assert_eq!(world.recorder.intents.lock().unwrap().last().unwrap().1.as_ref().unwrap().result, ActionResult::Failed);
    // Where nothing can be started, what is needed is looked for.
    assert_eq!(rehearsed(rehearse(&world, None, Rehearsal::Check).await).result, DrillResult::Checked);
    assert_eq!(rehearsed(rehearse(&world, Some(1), Rehearsal::Check).await).result, DrillResult::Checked);
    world.target.state().placed.retain(|placed| placed.release.digest != digest(1));
    assert!(matches!(rehearse(&world, None, Rehearsal::Check).await, DrillEnd::NoTarget(_)));
}

#[tokio::test(start_paused = true)]
async fn a_drill_waits_for_a_rollout_and_gives_way_to_one() {
    let world = World::new();
    world.promoted(1).await;
    world.promoted(2).await;
    let driver = world.begin(3).await;
    drop(driver.canary(Walk::One(percent(1))).await);
    let DrillEnd::Refused(refusal) = rehearse(&world, None, Rehearsal::Start).await else { panic!("not refused") };
    assert_eq!(refusal.kind, RefusalKind::SlotTaken);
    world.end(driver).await;
    world.amend(|record| record.slot = None);
    world.target.state().weight = Weight::ZERO;
    world.target.state().arms.remove(&ArmName::Canary);
    world.target.state().arms.remove(&ArmName::Standby);
    // A rollback that begins meanwhile takes a higher number: the drill ends, and nothing of its is forced on anybody.
    let fence = world.record().fence;
    world.target.state().start_takes = Duration::from_secs(10);
    let (target, end) = (world.target.clone(), Arc::new(tokio::sync::Notify::new()));
    let waits = Arc::clone(&end);
    let later = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(5)).await;
        target.state().fence = fence + 1;
        waits.notify_one();
    });
    let done = rehearsed(rehearse(&world, None, Rehearsal::Start).await);
    end.notified().await;
    later.await.unwrap();
    assert!(matches!(&done.result, DrillResult::Failed { reason } if reason.contains("superseded")), "{done:?}");
    assert_eq!(world.target.state().arm(ArmName::Stable), Some(digest(2)));
}
