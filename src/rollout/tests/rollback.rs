//! Back: hot, cold, pressed twice, counted down, and against everything that is broken.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::target::{Act, When, unreachable};
use super::world::{World, actor, authority, digest, new_id, percent, release};
use crate::deploy::{ArmName, Effect};
use crate::event::{Arm, DeployOutcome, Drift, RolloutEvent, RolloutOutcome, RolloutPhase, Slot, Weight};
use crate::rollout::ports::{ActionKind, Patience, RecordError};
use crate::rollout::{Aim, CountdownAsk, Driver, RollbackEnd, RollbackRequest, Walk, ask_countdown, reader, roll_back};

async fn with_two() -> World {
    let world = World::new();
    world.promoted(1).await;
    world.promoted(2).await;
    world
}

fn reverted_to(end: &RollbackEnd) -> Option<&str> {
    match end {
        RollbackEnd::Reverted { to, .. } => to.as_ref().map(|to| to.tag.as_str()),
        _ => None,
    }
}

/// What somebody put there past hms is gone from like anything else, and said: `hms drift restore` is this rollback.
#[tokio::test(start_paused = true)]
async fn a_rollback_goes_from_what_is_there_and_says_that_it_was_not_recorded() {
    let world = with_two().await;
    world.target.state().arms.insert(ArmName::Stable, vec![digest(1)]);
    world.target.state().arms.insert(ArmName::Standby, vec![digest(2)]);
    let request = RollbackRequest { to: Some(Aim::Digest(digest(2))), ..world.back(Arm::Whole) };
    let end = roll_back(&world.rollback_setup(), &request).await.unwrap();
    assert_eq!(reverted_to(&end), Some("v2"), "{end:?}");
    let stable = world.target.state().arm(ArmName::Stable);
    assert_eq!((stable, world.record().current), (Some(digest(2)), Some(release(2))));
    let told = format!("DRIFT in prod: {} has the traffic", digest(1).short());
    let said = world.said.lock().unwrap().clone();
    assert!(said.iter().any(|line| line.starts_with(&told)), "{said:?}");
    let found = |event: &RolloutEvent| matches!(event, RolloutEvent::DriftFound { drift } if drift.len() == 1);
    assert_eq!(world.events(&request.rollout).iter().filter(|event| found(event)).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_hot_rollback_moves_traffic_at_once_and_the_second_press_changes_nothing() {
    let world = with_two().await;
    let began = tokio::time::Instant::now();
    let request = RollbackRequest { from: Some(digest(2)), ..world.back(Arm::Whole) };
    let end = roll_back(&world.rollback_setup(), &request).await.unwrap();
    assert_eq!(reverted_to(&end), Some("v1"), "{end:?}");
    assert!(began.elapsed() < Duration::from_millis(100));
    let record = world.record();
    assert_eq!((record.current, record.previous), (Some(release(1)), Some(release(2))));
    assert_eq!(record.healthy, [release(1)]);
    assert_eq!(record.returned_to, Some(digest(1)));
    assert_eq!(record.slot, None);
    let state = world.fold(&request.rollout);
    assert_eq!(state.ended.unwrap().0, RolloutOutcome::RolledBack);
    assert!(!state.unrecorded);
    let (draft, outcome) = world.recorder.intents.lock().unwrap().last().cloned().unwrap();
    assert_eq!((draft.kind, draft.digest, draft.previous), (ActionKind::Rollback, digest(1), Some(digest(2))));
    assert!(outcome.is_some());
    assert_eq!(*world.recorder.patience.lock().unwrap().last().unwrap(), Patience::Rollback);

    let before = world.target.state().effects.len();
    for from in [Some(digest(2)), None] {
        let again = RollbackRequest { from, rollout: new_id(), ..world.back(Arm::Whole) };
        let end = roll_back(&world.rollback_setup(), &again).await.unwrap();
        assert_eq!(end, RollbackEnd::AlreadyReverted { to: release(1), further_back: None });
    }
    assert_eq!(world.target.state().effects.len(), before);
}

/// What was collected since is found before anything is taken: it goes to the next one, and names what it passed over.
#[tokio::test(start_paused = true)]
async fn a_release_whose_bytes_were_collected_is_passed_over_before_anything_is_taken() {
    let world = with_two().await;
    world.promoted(3).await;
    world.target.state().arms.remove(&ArmName::Standby);
    world.target.state().gone.insert(digest(2));
    let named = RollbackRequest { to: Some(Aim::Digest(digest(2))), ..world.back(Arm::Whole) };
    let end = roll_back(&world.rollback_setup(), &named).await.unwrap();
    assert!(matches!(&end, RollbackEnd::NoTarget { why } if why.contains("v2")), "{end:?}");
    assert_eq!(world.record().healthy, [release(3), release(2), release(1)]);
    let end = roll_back(&world.rollback_setup(), &world.back(Arm::Whole)).await.unwrap();
    assert_eq!(reverted_to(&end), Some("v1"), "{end:?}");
    assert!(world.said.lock().unwrap().iter().any(|line| line.contains("v2") && line.contains("passed over")));
}

/// The record is gone, and what it was about remembers its numbers: both ways go on above them.
#[tokio::test(start_paused = true)]
async fn a_lost_record_stops_neither_a_deploy_nor_a_rollback() {
    let world = with_two().await;
    world.target.state().fence = 40;
    world.promoted(3).await;
    assert!(world.record().fence > 40);
    world.amend(|record| record.fence = 1);
    world.target.state().fence = 80;
    let end = roll_back(&world.rollback_setup(), &world.back(Arm::Whole)).await.unwrap();
    assert_eq!(reverted_to(&end), Some("v2"), "{end:?}");
    assert!(world.record().fence > 80);
    assert!(world.said.lock().unwrap().iter().any(|line| line.contains("number 80 stands at the target")));
}

#[tokio::test(start_paused = true)]
async fn two_presses_at_once_are_one() {
    let world = with_two().await;
    world.promoted(3).await;
    world.target.state().arms.remove(&ArmName::Standby);
    let (one, two) = (world.rollback_setup(), world.rollback_setup());
    let request = RollbackRequest { from: Some(digest(3)), ..world.back(Arm::Whole) };
    let again = RollbackRequest { rollout: new_id(), ..request.clone() };
    let (first, second) = tokio::join!(roll_back(&one, &request), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        roll_back(&two, &again).await
    });
    assert_eq!(reverted_to(&first.unwrap()), Some("v2"));
    assert_eq!(second.unwrap(), RollbackEnd::AlreadyReverted { to: release(2), further_back: Some(release(1)) });
    assert_eq!(world.record().current, Some(release(2)));
}

#[tokio::test(start_paused = true)]
async fn many_presses_in_the_same_moment_are_one() {
    for standby in ["hot", "cold"] {
        let world = with_two().await;
        world.promoted(3).await;
        if standby == "cold" {
            world.target.state().arms.remove(&ArmName::Standby);
        }
        let setups: Vec<_> = (0..6).map(|_| world.rollback_setup()).collect();
        let requests: Vec<_> = (0..6).map(|_| world.back(Arm::Whole)).collect();
        let pressed = setups.iter().zip(&requests).map(|(setup, request)| roll_back(setup, request));
        let ends: Vec<RollbackEnd> = futures_of(pressed).await.into_iter().map(Result::unwrap).collect();
        let done = |end: &&RollbackEnd| reverted_to(end) == Some("v2");
        let already = RollbackEnd::AlreadyReverted { to: release(2), further_back: Some(release(1)) };
        assert_eq!(ends.iter().filter(done).count(), 1, "{standby}: {ends:?}");
        assert!(ends.iter().all(|end| done(&end) || *end == already), "{standby}: {ends:?}");
        assert_eq!((world.record().current, world.record().slot), (Some(release(2)), None));
        let rollbacks = world.recorder.intents.lock().unwrap().iter().filter(|(draft, _)| draft.kind == ActionKind::Rollback).count();
        assert!(rollbacks >= 1, "{rollbacks}");
    }
}

/// Polls them in turn until all are done.
async fn futures_of<F: Future>(all: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut all: Vec<_> = all.map(|one| (Box::pin(one), None)).collect();
    std::future::poll_fn(|context| {
        for (one, output) in all.iter_mut().filter(|(_, output)| output.is_none()) {
            if let std::task::Poll::Ready(done) = one.as_mut().poll(context) {
                *output = Some(done);
            }
        }
        if all.iter().all(|(_, output)| output.is_some()) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    all.into_iter().filter_map(|(_, output)| output).collect()
}

#[tokio::test(start_paused = true)]
async fn a_cold_one_is_started_first_with_progress() {
    let world = with_two().await;
    world.target.state().arms.remove(&ArmName::Standby);
    let request = world.back(Arm::Whole);
    let end = roll_back(&world.rollback_setup(), &request).await.unwrap();
    assert_eq!(reverted_to(&end), Some("v1"));
    assert!(world.said.lock().unwrap().iter().any(|line| line == "starting v1 again"));
    assert!(world.events(&request.rollout).iter().any(|event| matches!(event, RolloutEvent::ReleaseHealthy { .. })));
    // One that does not start leaves traffic where it is, and says what else there is.
    world.promoted(3).await;
    world.promoted(4).await;
    world.target.state().arms.remove(&ArmName::Standby);
    world.target.state().broken.insert(digest(3));
    let end = roll_back(&world.rollback_setup(), &world.back(Arm::Whole)).await.unwrap();
    let RollbackEnd::Failed { last_lines, further_back, .. } = end else { panic!("{end:?}") };
    assert_eq!((last_lines.len(), further_back), (1, Some(release(1))));
    assert_eq!(world.target.state().arm(ArmName::Stable), Some(digest(4)));
    assert_eq!(world.record().slot, None);
    let to = RollbackRequest { to: Some(Aim::Name("v1".to_owned())), ..world.back(Arm::Whole) };
    assert_eq!(reverted_to(&roll_back(&world.rollback_setup(), &to).await.unwrap()), Some("v1"));
}

#[tokio::test(start_paused = true)]
async fn the_canary_alone_or_with_the_whole() {
    let world = with_two().await;
    let end = roll_back(&world.rollback_setup(), &world.back(Arm::Canary)).await.unwrap();
    assert_eq!(end, RollbackEnd::NothingToRevert { stable: Some(release(2)) });
    let driver = world.begin(3).await;
    driver.canary(Walk::One(percent(5))).await;
    let end = roll_back(&world.rollback_setup(), &world.back(Arm::Canary)).await.unwrap();
    assert_eq!(reverted_to(&end), Some("v2"));
    assert_eq!(world.target.state().weight, Weight::ZERO);
    assert_eq!(world.target.state().arm(ArmName::Canary), None);
    assert_eq!(world.record().current, Some(release(2)));
    let answer = driver.promote(authority()).await;
    assert_eq!((answer.outcome, answer.message.as_str()), (DeployOutcome::TakenBack, "superseded by rollback"));
    assert_eq!(world.fold(driver.rollout()).ended.unwrap().0, RolloutOutcome::Superseded);

    let driver = world.begin(3).await;
    driver.canary(Walk::One(percent(5))).await;
    let end = roll_back(&world.rollback_setup(), &world.back(Arm::Whole)).await.unwrap();
    assert_eq!(reverted_to(&end), Some("v1"));
    let state = world.target.state();
    assert_eq!((state.weight, state.arm(ArmName::Canary), state.arm(ArmName::Stable)), (Weight::ZERO, None, Some(digest(1))));
    // Weight first, then stable (6.5).
    let tail: Vec<_> = state.effects.iter().rev().take(3).rev().map(|(_, effect)| effect.clone()).collect();
    assert_eq!(tail, [Effect::Weigh { weight: Weight::ZERO }, Effect::Return { release: digest(1) }, Effect::Withdraw]);
}

#[tokio::test(start_paused = true)]
async fn what_was_taken_back_has_no_weight_and_what_was_promoted_has_all() {
    let world = with_two().await;
    let driver = world.begin(3).await;
    driver.canary(Walk::One(percent(5))).await;
    assert_eq!(world.fold(driver.rollout()).applied, Some(percent(5)));
    let back = world.back(Arm::Canary);
    roll_back(&world.rollback_setup(), &back).await.unwrap();
    // The rollback is over when the driver looks next, so that its name is in no slot any more.
    tokio::time::sleep(world.rules.scrape * 2).await;
    let taken_back = world.fold(driver.rollout());
    assert_eq!(taken_back.phase, RolloutPhase::Superseded(back.rollout));
    assert_eq!((taken_back.applied, taken_back.has_weight()), (Some(Weight::ZERO), false));

    let driver = world.begin(4).await;
    driver.canary(Walk::One(percent(5))).await;
    world.verdict(crate::event::VerdictClass::Pass);
    assert_eq!(driver.promote(authority()).await.outcome, DeployOutcome::Done);
    let promoted = world.fold(driver.rollout());
    assert_eq!((promoted.requested, promoted.applied), (Some(Weight::FULL), Some(Weight::FULL)));
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_is_told_to_look_does_not_wait_for_its_next_sample() {
    let world = with_two().await;
    let driver = world.begin(3).await;
    driver.canary(Walk::One(percent(5))).await;
    driver.look().await;
    assert_eq!(world.fold(driver.rollout()).ended, None);
    roll_back(&world.rollback_setup(), &world.back(Arm::Canary)).await.unwrap();
    assert_eq!(world.fold(driver.rollout()).ended, None);
    let began = tokio::time::Instant::now();
    driver.look().await;
    assert!(began.elapsed() < world.rules.scrape);
    assert_eq!(world.fold(driver.rollout()).ended.unwrap().0, RolloutOutcome::Superseded);
}

#[test]
fn an_ended_rollout_without_a_name_for_its_successor_has_no_weight_either() {
    let weight = percent(10);
    let events = [
        RolloutEvent::WeightApplied { requested: weight, applied: weight },
        RolloutEvent::RolloutEnded { outcome: RolloutOutcome::Superseded },
    ];
    let events = events.map(|event| crate::event::Stamped { format: 1, seq: 1, time: chrono::DateTime::default(), event });
    assert_eq!(crate::event::RolloutState::fold(&events).applied, Some(Weight::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_rollback_passes_a_deploy_that_hangs_in_its_start() {
    let world = with_two().await;
    let driver = world.begin(3).await;
    world.target.state().start_takes = Duration::from_secs(100);
    let canary = driver.canary(Walk::Steps);
    tokio::pin!(canary);
    let _ = tokio::time::timeout(Duration::from_secs(5), &mut canary).await;
    let began = tokio::time::Instant::now();
    let end = roll_back(&world.rollback_setup(), &world.back(Arm::Whole)).await.unwrap();
    assert_eq!(reverted_to(&end), Some("v1"));
    assert!(began.elapsed() < Duration::from_secs(1));
    let answer = canary.await;
    assert_eq!((answer.outcome, answer.message.as_str()), (DeployOutcome::TakenBack, "superseded by rollback"));
    assert_eq!(world.target.state().arm(ArmName::Stable), Some(digest(1)));
}

#[tokio::test(start_paused = true)]
async fn without_ledger_journal_and_record_it_goes_on_unrecorded() {
    let world = with_two().await;
    *world.recorder.intent_error.lock().unwrap() = Some(RecordError::Unavailable("held by another".to_owned()));
    let request = world.back(Arm::Whole);
    let end = roll_back(&world.rollback_setup(), &request).await.unwrap();
    assert!(matches!(&end, RollbackEnd::Reverted { unrecorded: true, .. }), "{end:?}");
    assert!(world.fold(&request.rollout).unrecorded);
    assert_eq!(world.record().unrecorded.len(), 1);
    assert_eq!(world.record().unrecorded[0]["outcome"]["result"], "done");
    assert_eq!(world.recorder.aside.lock().unwrap().len(), 1);
    assert!(world.said.lock().unwrap().iter().any(|line| line.starts_with("UNRECORDED")));

    // No journal: nobody may write to the folder. (Root may; then a file stands where the folder should be.)
    *world.recorder.intent_error.lock().unwrap() = None;
    world.promoted(3).await;
    let rollouts = world.folder.path().join("rollouts");
    std::fs::rename(&rollouts, world.folder.path().join("away")).unwrap();
    std::fs::write(&rollouts, b"").unwrap();
    std::fs::set_permissions(&rollouts, std::fs::Permissions::from_mode(0o600)).unwrap();
    let end = roll_back(&world.rollback_setup(), &world.back(Arm::Whole)).await.unwrap();
    assert!(matches!(&end, RollbackEnd::Reverted { unrecorded: true, .. }), "{end:?}");
    assert_eq!(world.record().current, Some(release(1)));
    std::fs::remove_file(&rollouts).unwrap();

    // No record either: the target's disk is full, its traffic is not.
    world.promoted(4).await;
    let client = world.target.other_client();
    client.gate.every("put_record", When::Before, Some(Act::Fail(unreachable())));
    let end = roll_back(&world.rollback_setup_at(&client), &world.back(Arm::Whole)).await.unwrap();
    assert!(matches!(&end, RollbackEnd::Reverted { unrecorded: true, .. }), "{end:?}");
    assert_eq!(world.target.state().arm(ArmName::Stable), Some(digest(1)));
}

#[tokio::test(start_paused = true)]
async fn conflicts_and_silence_are_tried_again() {
    let world = with_two().await;
    let client = world.target.other_client();
    client.gate.every("put_record", When::Before, Some(Act::Hold));
    let (setup, request) = (world.rollback_setup_at(&client), world.back(Arm::Whole));
    let back = roll_back(&setup, &request);
    tokio::pin!(back);
    let mut conflicts = 0;
    let end = loop {
        tokio::select! {
            end = &mut back => break end,
            () = client.gate.held.notified() => {
                // Somebody else writes between its read and its write, again and again.
                world.amend(|record| record.yeses.clear());
                conflicts += 1;
                if conflicts == 20 {
                    client.gate.every("put_record", When::Before, None);
                }
                client.gate.go.notify_one();
            }
        }
    };
    assert_eq!((reverted_to(&end.unwrap()), conflicts), (Some("v1"), 20));
    let world = with_two().await;
    let client = world.target.other_client();
    client.gate.every("apply", When::After, Some(Act::Fail(unreachable())));
    let setup = world.rollback_setup_at(&client);
    let request = world.back(Arm::Whole);
    let (end, ()) = tokio::join!(roll_back(&setup, &request), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        client.gate.every("apply", When::After, None);
    });
    assert_eq!(reverted_to(&end.unwrap()), Some("v1"));
}

#[tokio::test]
async fn an_armed_rollback_can_be_taken_back_or_hurried() {
    let world = with_two().await;
    let setup = world.rollback_setup();
    for hurry in [false, true] {
        let request = RollbackRequest { delay: Duration::from_secs(60), ..world.back(Arm::Whole) };
        let (state, rollout) = (world.state(), request.rollout.clone());
        let asked = tokio::task::spawn_blocking(move || {
            let app = "shop".parse().unwrap();
            let end = std::time::Instant::now() + Duration::from_secs(10);
            loop {
                let found = reader::armed(&state, &app).unwrap();
                if let Some((id, found)) = found {
                    assert_eq!(id, rollout);
                    assert!(matches!(found.phase, RolloutPhase::Armed { .. }));
                    let ask = if hurry { CountdownAsk::Now } else { CountdownAsk::Cancel { actor: actor() } };
                    if let Ok(Some(answer)) = ask_countdown(&state, &app, &rollout, &ask) {
                        return answer;
                    }
                }
                assert!(std::time::Instant::now() < end, "nothing counted down");
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        let (end, answer) = tokio::join!(roll_back(&setup, &request), asked);
        assert_eq!(answer.unwrap().end, "accepted");
        match end.unwrap() {
            RollbackEnd::Cancelled { by } => assert!(!hurry && by == actor()),
            end => assert!(hurry && reverted_to(&end) == Some("v1"), "{end:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_changed_while_it_was_armed_is_answered_not_acted_upon() {
    let world = with_two().await;
    let setup = world.rollback_setup();
    let request = RollbackRequest { delay: Duration::from_secs(3), ..world.back(Arm::Whole) };
    let (end, ()) = tokio::join!(roll_back(&setup, &request), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.promoted(3).await;
    });
    assert_eq!(end.unwrap(), RollbackEnd::Moved { now: Some(release(3)) });
    assert_eq!(world.target.state().arm(ArmName::Stable), Some(digest(3)));
    assert_eq!(world.fold(&request.rollout).ended.unwrap().0, RolloutOutcome::Cancelled);
    let began = tokio::time::Instant::now();
    let request = RollbackRequest { delay: Duration::from_secs(3), ..world.back(Arm::Whole) };
    assert_eq!(reverted_to(&roll_back(&setup, &request).await.unwrap()), Some("v2"));
    assert!(began.elapsed() >= Duration::from_secs(3) && began.elapsed() < Duration::from_secs(4));
}

#[tokio::test(start_paused = true)]
async fn a_superseded_rollout_is_not_taken_up_again() {
    let world = with_two().await;
    let driver = world.begin(3).await;
    driver.canary(Walk::One(percent(1))).await;
    let rollout = driver.rollout().clone();
    world.end(driver).await;
    roll_back(&world.rollback_setup(), &world.back(Arm::Canary)).await.unwrap();
    assert_eq!(reader::unwatched(&world.fold(&rollout), Some(&world.record()), None, chrono::Utc::now()), None);
    let driver = Driver::resume(world.setup(), &"shop".parse().unwrap(), &rollout, None).await.unwrap();
    let before = world.target.state().effects.len();
    assert_eq!(driver.canary(Walk::One(percent(1))).await.outcome, DeployOutcome::TakenBack);
    assert_eq!(world.fold(&rollout).ended.unwrap().0, RolloutOutcome::Superseded);
    assert_eq!(world.target.state().effects.len(), before);
}

#[tokio::test(start_paused = true)]
async fn a_canary_is_unwatched_only_when_nobody_keeps_a_promise() {
    let world = with_two().await;
    let driver = world.begin(3).await;
    driver.canary(Walk::One(percent(1))).await;
    let (state, now) = (world.fold(driver.rollout()), (world.setup().clock)());
    let holder = reader::holder(driver.folder()).unwrap();
    assert_eq!(reader::unwatched(&state, Some(&world.record()), Some(&holder), now), None);
    // Its own promise is void with its process; another's is kept until it runs out.
    assert!(reader::unwatched(&state, Some(&world.record()), None, now).is_some());
    world.amend(|record| record.watch.as_mut().unwrap().by.pid += 1);
    assert_eq!(reader::unwatched(&state, Some(&world.record()), None, now), None);
    assert!(reader::unwatched(&state, Some(&world.record()), None, now + chrono::TimeDelta::minutes(5)).is_some());
    assert!(reader::unwatched(&state, None, None, now).is_some());
}

#[tokio::test(start_paused = true)]
async fn what_was_changed_without_hms_is_put_back_by_name_and_the_next_rollback_goes_where_it_would_have() {
    let world = with_two().await;
    let changed = || Some(Drift::Changed { release: digest(2), what: "it was scaled, by kubectl".to_owned() });
    world.target.state().changed = changed();
    let named = || RollbackRequest { rollout: new_id(), to: Some(Aim::Name("v2".to_owned())), ..world.back(Arm::Whole) };
    let end = roll_back(&world.rollback_setup(), &named()).await.unwrap();
    assert_eq!(reverted_to(&end), Some("v2"), "{end:?}");
    let effects = world.target.state().effects.clone();
    assert!(effects.iter().any(|(_, effect)| *effect == Effect::Return { release: digest(2) }), "{effects:?}");
    let record = world.record();
    assert_eq!((record.current, record.returned_to), (Some(release(2)), None), "nothing was left, and nothing was returned to");
    assert_eq!(record.healthy, [release(2), release(1)]);

    let end = roll_back(&world.rollback_setup(), &named()).await.unwrap();
    assert!(matches!(end, RollbackEnd::AlreadyReverted { .. }), "{end:?}");
    // And back from there, over another change.
    world.target.state().changed = changed();
    let end = roll_back(&world.rollback_setup(), &RollbackRequest { rollout: new_id(), ..world.back(Arm::Whole) }).await.unwrap();
    assert_eq!(reverted_to(&end), Some("v1"), "{end:?}");
}

/// A rollback that died holds the environment in the name of what it went to. That is ended by who names it, and is not taken for bad.
#[tokio::test(start_paused = true)]
async fn what_a_dead_rollback_holds_is_let_go_and_stays_healthy() {
    for arm in [Arm::Whole, Arm::Canary] {
        let world = with_two().await;
        let slot = Slot { release: release(2), rollout: "01KATE000000000000000RQXX1".parse().unwrap(), since: chrono::DateTime::default() };
        world.amend(|record| record.slot = Some(slot.clone()));
        let to = (arm == Arm::Whole).then(|| Aim::Digest(digest(2)));
        let end = roll_back(&world.rollback_setup(), &RollbackRequest { to, ..world.back(arm) }).await.unwrap();
        assert_eq!(reverted_to(&end), Some("v2"), "{end:?}");
        let record = world.record();
        assert_eq!((record.slot, record.current), (None, Some(release(2))), "{arm:?}");
        assert_eq!(record.healthy.first(), Some(&release(2)), "{arm:?}");
    }
}
