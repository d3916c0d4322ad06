//! A release forward: every path of a canary and a promotion.

use std::time::Duration;

use super::target::{Act, When, unreachable};
use super::world::{World, actor, authority, digest, override_for, percent, release};
use crate::deploy::{ArmName, Effect};
use crate::event::{DeployOutcome, Drift, Refusal, RefusalKind, RolloutEvent, RolloutOutcome, RolloutPhase, VerdictClass, Weight};
use crate::rollout::ports::{ActionKind, ActionResult, OnHarm, RecordError, SlotPolicy, Threshold, Unwatched};
use crate::rollout::{Driver, Standing, Walk, reader};

#[tokio::test(start_paused = true)]
async fn a_canary_that_passes_is_promoted() {
    let world = World::new();
    world.promoted(1).await;
    let driver = world.begin(2).await;
    let answer = driver.canary(Walk::One(percent(1))).await;
    assert_eq!(answer.outcome, DeployOutcome::Done, "{answer:?}");
    assert!(answer.message.starts_with("1% traffic healthy"), "{}", answer.message);
    assert_eq!(world.target.state().weight, percent(1));
    let record = world.record();
    assert_eq!(record.slot.as_ref().unwrap().release, release(2));
    assert_eq!(record.weights.unwrap().applied, percent(1));
    assert_eq!(record.watch.as_ref().unwrap().rollout, *driver.rollout());
    assert_eq!(*driver.standing().borrow(), Standing::Watching);

    let answer = driver.promote(authority()).await;
    assert_eq!((answer.outcome, answer.message.as_str()), (DeployOutcome::Done, "Deployed 00000000 to prod"));
    let record = world.record();
    assert_eq!(record.current, Some(release(2)));
    assert_eq!(record.previous, Some(release(1)));
    assert_eq!(record.healthy, [release(2), release(1)]);
    assert_eq!((record.slot, record.weights, record.watch), (None, None, None));
    assert_eq!(world.target.state().arm(ArmName::Stable), Some(digest(2)));
    assert_eq!(world.target.state().arm(ArmName::Standby), Some(digest(1)));
    let state = world.fold(driver.rollout());
    assert_eq!(state.phase, RolloutPhase::Promoted);
    assert_eq!(state.ended.unwrap().0, RolloutOutcome::Promoted);
    let intents = world.recorder.intents.lock().unwrap();
    assert!(intents.iter().all(|(_, outcome)| outcome.as_ref().is_some_and(|outcome| outcome.result == ActionResult::Done)));
    let kinds: Vec<_> = intents.iter().map(|(draft, _)| draft.kind).collect();
    assert_eq!(kinds, [ActionKind::Promote, ActionKind::Deploy, ActionKind::Promote]);
    let shares = |n: usize| intents[n].1.as_ref().map(|outcome| (outcome.requested, outcome.applied, outcome.measured)).unwrap();
    assert_eq!(shares(0), (Some(Weight::FULL), Some(Weight::FULL), None), "nothing was measured of a release without a canary");
    assert_eq!(shares(1), (Some(percent(1)), Some(percent(1)), None), "nothing is measured in the moment that it is given");
    assert_eq!(shares(2), (Some(Weight::FULL), Some(Weight::FULL), Some(0.01)));
    assert_eq!(intents[2].0.evidence.as_ref().unwrap().verdict, VerdictClass::Pass);
    let evidence = std::fs::read(driver.folder().join("evidence-2.json")).unwrap();
    assert_eq!(intents[2].0.evidence.as_ref().unwrap().sha256, crate::event::Digest::of(&evidence));
    assert_eq!(record.ledger.unwrap().size, 3);
}

#[tokio::test(start_paused = true)]
async fn the_steps_are_walked_each_with_its_own_pass() {
    let world = World::new();
    world.promoted(1).await;
    let driver = world.begin(2).await;
    let began = tokio::time::Instant::now();
    let answer = driver.canary(Walk::Steps).await;
    assert_eq!(answer.outcome, DeployOutcome::Done, "{answer:?}");
    assert!(began.elapsed() >= Duration::from_secs(1800), "three bakes of ten minutes, not {:?}", began.elapsed());
    let weights: Vec<_> = world
        .target
        .state()
        .effects
        .iter()
        .filter_map(|(_, effect)| match effect {
            Effect::Weigh { weight } => Some(*weight),
            _ => None,
        })
        .collect();
    assert_eq!(weights, [percent(1), percent(5), percent(25)]);
    let (facts, _) = world.judge.asked.lock().unwrap().clone().unwrap();
    assert_eq!(facts.spans.iter().map(|span| span.weight).collect::<Vec<_>>(), weights);
    assert_eq!(facts.threshold.unwrap().seconds, 0.25);
}

#[tokio::test(start_paused = true)]
async fn the_first_release_takes_all_traffic_and_is_judged_alone() {
    let world = World::new();
    let driver = world.begin(1).await;
    let answer = driver.canary(Walk::One(percent(1))).await;
    assert_eq!(answer.outcome, DeployOutcome::Done, "{answer:?}");
    assert_eq!(world.target.state().weight, Weight::FULL);
    let (facts, _) = world.judge.asked.lock().unwrap().clone().unwrap();
    assert!(facts.absolute_only);
    assert_eq!(facts.threshold, None);
    assert_eq!(driver.promote(authority()).await.outcome, DeployOutcome::Done);
    assert_eq!(world.record().current, Some(release(1)));
}

#[tokio::test(start_paused = true)]
async fn what_is_slow_is_chosen_by_the_first_sample_that_tells_it_and_kept() {
    let world = World::new();
    world.promoted(1).await;
    *world.judge.blind.lock().unwrap() = true;
    world.verdict(VerdictClass::Hold);
    let driver = world.begin(2).await;
    let asked = driver.canary(Walk::One(percent(1)));
    let seen = async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        let before = world.judge.asked.lock().unwrap().clone().unwrap().0.threshold;
        *world.judge.blind.lock().unwrap() = false;
        tokio::time::sleep(Duration::from_secs(20)).await;
        (before, world.judge.asked.lock().unwrap().clone().unwrap().0.threshold)
    };
    let chosen = Some(Threshold { seconds: 0.25, slow_share: 0.1 });
    let ((before, after), _) = tokio::join!(seen, asked);
    assert_eq!((before, after), (None, chosen));
    let told = |event: &RolloutEvent| matches!(event, RolloutEvent::ThresholdChosen { .. });
    assert_eq!(world.events(driver.rollout()).iter().filter(|event| told(event)).count(), 1);
    let rollout = driver.rollout().clone();
    world.end(driver).await;

    *world.judge.blind.lock().unwrap() = true;
    let driver = Driver::resume(world.setup(), &"shop".parse().unwrap(), &rollout, None).await.unwrap();
    let _ = driver.promote(authority()).await;
    assert_eq!(world.judge.asked.lock().unwrap().clone().unwrap().0.threshold, chosen);
}

#[tokio::test(start_paused = true)]
async fn harm_takes_the_canary_back() {
    let world = World::new();
    world.promoted(1).await;
    let driver = world.begin(2).await;
    world.verdict(VerdictClass::Rollback);
    let answer = driver.canary(Walk::One(percent(1))).await;
    assert_eq!(answer.outcome, DeployOutcome::RolledBack, "{answer:?}");
    let state = world.target.state();
    assert_eq!((state.weight, state.arm(ArmName::Canary)), (Weight::ZERO, None));
    drop(state);
    assert_eq!(world.record().slot, None);
    assert_eq!(world.record().current, Some(release(1)));
    assert_eq!(world.fold(driver.rollout()).ended.unwrap().0, RolloutOutcome::RolledBack);
    let intents = world.recorder.intents.lock().unwrap();
    let (draft, outcome) = intents.last().unwrap();
    assert_eq!(draft.kind, ActionKind::Rollback);
    assert_eq!(draft.evidence.as_ref().unwrap().verdict, VerdictClass::Rollback);
    let outcome = outcome.as_ref().unwrap();
    assert_eq!((outcome.applied, outcome.measured), (Some(Weight::ZERO), Some(0.01)));
}

/// Somebody deleted what runs the canary, and the router still sends a share there: those are errors that no version counts.
#[tokio::test(start_paused = true)]
async fn a_weight_with_nothing_behind_it_is_taken_away_whatever_becomes_of_harm() {
    let mut world = World::new();
    world.rules.on_harm = OnHarm::Hold;
    world.promoted(1).await;
    let driver = world.begin(2).await;
    assert_eq!(driver.canary(Walk::One(percent(25))).await.outcome, DeployOutcome::Done);
    world.target.state().arms.remove(&ArmName::Canary);
    let mut standing = driver.standing();
    standing.wait_for(|standing| *standing == Standing::Over).await.unwrap();
    assert_eq!(world.target.state().weight, Weight::ZERO);
    let state = world.fold(driver.rollout());
    assert_eq!(state.ended.unwrap().0, RolloutOutcome::RolledBack);
    assert!(
        matches!(&state.phase, RolloutPhase::RolledBack { reason, .. } if reason.contains("behind the canary's 25%")),
        "{:?}",
        state.phase
    );
    assert_eq!((world.record().current, world.record().slot), (Some(release(1)), None));
}

#[tokio::test(start_paused = true)]
async fn harm_after_pass_voids_the_verdict_and_takes_it_back() {
    let world = World::new();
    world.promoted(1).await;
    let driver = world.begin(2).await;
    assert_eq!(driver.canary(Walk::One(percent(1))).await.outcome, DeployOutcome::Done);
    world.verdict(VerdictClass::Rollback);
    let mut standing = driver.standing();
    standing.wait_for(|standing| *standing == Standing::Over).await.unwrap();
    assert!(
        world.fold(driver.rollout()).voided.is_some()
            || world.events(driver.rollout()).iter().any(|event| matches!(event, RolloutEvent::VerdictVoided { .. }))
    );
    assert_eq!(driver.promote(authority()).await.outcome, DeployOutcome::RolledBack);
    assert_eq!(world.record().current, Some(release(1)));
    assert_eq!(world.target.state().weight, Weight::ZERO);
}

#[tokio::test(start_paused = true)]
async fn harm_found_at_the_promotion_itself_blocks_it() {
    let world = World::new();
    world.promoted(1).await;
    let driver = world.begin(2).await;
    assert_eq!(driver.canary(Walk::One(percent(1))).await.outcome, DeployOutcome::Done);
    world.verdict(VerdictClass::Rollback);
    assert_eq!(driver.promote(authority()).await.outcome, DeployOutcome::RolledBack);
    assert_eq!(world.target.state().arm(ArmName::Stable), Some(digest(1)));
}

#[tokio::test(start_paused = true)]
async fn with_on_harm_hold_the_weight_stays_and_the_gate_is_shut() {
    let mut world = World::new();
    world.rules.on_harm = OnHarm::Hold;
    world.promoted(1).await;
    let driver = world.begin(2).await;
    world.verdict(VerdictClass::Rollback);
    assert_eq!(driver.canary(Walk::One(percent(1))).await.outcome, DeployOutcome::Held);
    assert_eq!(world.target.state().weight, percent(1));
    let answer = driver.promote(override_for(2)).await;
    assert_eq!(answer.refusal.unwrap().kind, RefusalKind::Protected);
    let answer = driver.override_hold(actor(), "I know".to_owned()).await;
    assert_eq!(answer.outcome, DeployOutcome::Refused);
    assert_eq!(world.target.state().weight, percent(1));
}

#[tokio::test(start_paused = true)]
async fn hold_expires_goes_on_with_the_same_evidence_and_can_be_passed() {
    let world = World::new();
    world.promoted(1).await;
    let driver = world.begin(2).await;
    world.verdict(VerdictClass::Hold);
    let answer = driver.canary(Walk::One(percent(1))).await;
    assert_eq!(answer.outcome, DeployOutcome::Held);
    let state = world.fold(driver.rollout());
    assert!(state.hold_expired);
    assert_eq!(world.target.state().weight, percent(1));
    let effects = world.target.state().effects.len();

    // A retry goes on with the same evidence: nothing is started or weighed anew.
    let retried = driver.canary(Walk::One(percent(1)));
    let passed = async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        driver.override_hold(actor(), "traffic is low".to_owned()).await
    };
    let (retried, passed) = tokio::join!(retried, passed);
    assert_eq!((retried.outcome, passed.outcome), (DeployOutcome::Overridden, DeployOutcome::Overridden));
    assert_eq!(driver.override_hold(actor(), "once more".to_owned()).await.outcome, DeployOutcome::Overridden);
    assert_eq!(world.target.state().effects.len(), effects);
    assert!(world.judge.asked.lock().unwrap().as_ref().unwrap().1 > 360);
    assert_eq!(driver.promote(authority()).await.outcome, DeployOutcome::Done);
    assert_eq!(world.record().healthy.first(), Some(&release(2)));
    let intents = world.recorder.intents.lock().unwrap();
    let passed = intents.iter().find(|(draft, _)| draft.kind == ActionKind::Override).unwrap();
    assert_eq!(passed.0.reason.as_deref(), Some("traffic is low"));
    assert_eq!(intents.iter().filter(|(draft, _)| draft.kind == ActionKind::Override).count(), 1, "it was entered again");
}

#[tokio::test(start_paused = true)]
async fn hold_rolls_back_on_harm_even_after_it_expired() {
    let world = World::new();
    world.promoted(1).await;
    let driver = world.begin(2).await;
    world.verdict(VerdictClass::Hold);
    assert_eq!(driver.canary(Walk::One(percent(1))).await.outcome, DeployOutcome::Held);
    world.verdict(VerdictClass::Rollback);
    driver.standing().wait_for(|standing| *standing == Standing::Over).await.unwrap();
    assert_eq!(world.target.state().weight, Weight::ZERO);
}

#[tokio::test(start_paused = true)]
async fn without_pass_or_override_nothing_protected_is_promoted() {
    let world = World::new();
    world.promoted(1).await;
    let driver = world.begin(2).await;
    let answer = driver.promote(authority()).await;
    assert_eq!(answer.refusal.unwrap().kind, RefusalKind::Protected);
    assert_eq!(world.record().current, Some(release(1)));
    assert_eq!(world.record().slot, None);
    assert_eq!(world.recorder.notes.lock().unwrap()[0].kind, ActionKind::Refuse);
    let driver = world.begin(2).await;
    // An override for another release says nothing about this one.
    assert_eq!(driver.promote(override_for(3)).await.outcome, DeployOutcome::Refused);
}

#[tokio::test(start_paused = true)]
async fn the_gates_are_asked_and_a_refused_canary_changes_nothing() {
    let world = World::new();
    world.promoted(1).await;
    let before = world.target.state().effects.len();
    *world.gatekeeper.start.lock().unwrap() = Some(Refusal::new(RefusalKind::Outdated, "older than prod"));
    let driver = world.begin(2).await;
    let answer = driver.canary(Walk::Steps).await;
    assert_eq!(answer.refusal.unwrap().kind, RefusalKind::Outdated);
    assert_eq!(world.target.state().effects.len(), before);
    assert_eq!(world.record().slot, None);
    *world.gatekeeper.start.lock().unwrap() = None;
    *world.gatekeeper.promote.lock().unwrap() = Some(Refusal::new(RefusalKind::Frozen, "frozen until Monday"));
    let driver = world.begin(2).await;
    assert_eq!(driver.canary(Walk::One(percent(1))).await.outcome, DeployOutcome::Done);
    let answer = driver.promote(authority()).await;
    assert_eq!(answer.refusal.unwrap().kind, RefusalKind::Frozen);
    // The canary stays, and so does its watch.
    assert_eq!(*driver.standing().borrow(), Standing::Watching);
    assert_eq!(world.target.state().weight, percent(1));
    *world.gatekeeper.promote.lock().unwrap() = None;
    assert_eq!(driver.promote(authority()).await.outcome, DeployOutcome::Done);
}

/// What runs by somebody else's hand is told once, refused to be built on, and gone when it is gone.
#[tokio::test(start_paused = true)]
async fn drift_stops_a_start_and_a_promotion_and_is_told_when_it_changes() {
    let world = World::new();
    world.promoted(1).await;
    let changed = Drift::Changed { release: digest(1), what: "its bytes were changed".to_owned() };
    world.target.state().changed = Some(changed.clone());
    let driver = world.begin(2).await;
    let refusal = driver.canary(Walk::One(percent(1))).await.refusal.unwrap();
    assert_eq!(refusal.kind, RefusalKind::Drifted);
    assert!(refusal.message.starts_with("prod has drifted: ") && refusal.hint.unwrap().contains("hms drift show --env prod"));
    assert_eq!((world.record().slot, world.target.state().weight), (None, Weight::ZERO));

    world.target.state().changed = None;
    let driver = world.begin(2).await;
    assert_eq!(driver.canary(Walk::One(percent(1))).await.outcome, DeployOutcome::Done);
    let told = |driver: &Driver| {
        let found = |event| {
            let RolloutEvent::DriftFound { drift } = event else { return None };
            Some(drift.len())
        };
        world.events(driver.rollout()).into_iter().filter_map(found).collect::<Vec<_>>()
    };
    assert_eq!(told(&driver), Vec::<usize>::new());
    // Within two minutes it is found, and told once.
    world.target.state().changed = Some(changed);
    tokio::time::sleep(Duration::from_secs(180)).await;
    assert_eq!(told(&driver), [1]);
    assert_eq!(driver.promote(authority()).await.refusal.unwrap().kind, RefusalKind::Drifted);
    assert_eq!(*driver.standing().borrow(), Standing::Watching);
    world.target.state().changed = None;
    assert_eq!(driver.promote(authority()).await.outcome, DeployOutcome::Done);
    assert_eq!(told(&driver), [1, 0]);
}

#[tokio::test(start_paused = true)]
async fn what_is_current_is_already_there() {
    let world = World::new();
    world.promoted(1).await;
    let before = world.target.state().effects.len();
    let driver = world.begin(1).await;
    let answer = driver.canary(Walk::Steps).await;
    assert_eq!((answer.outcome, answer.message.as_str()), (DeployOutcome::Done, "v1 is already in prod"));
    assert_eq!(world.target.state().effects.len(), before);
    assert_eq!(world.record().slot, None);
}

#[tokio::test(start_paused = true)]
async fn a_release_that_does_not_start_is_told_with_its_last_lines_and_gives_the_slot_back() {
    let world = World::new();
    world.promoted(1).await;
    world.target.state().broken.insert(digest(2));
    let driver = world.begin(2).await;
    let answer = driver.canary(Walk::Steps).await;
    assert_eq!(answer.outcome, DeployOutcome::Failed);
    assert_eq!(answer.last_lines, ["cannot find module x"]);
    assert_eq!(world.record().slot, None);
    assert_eq!(world.fold(driver.rollout()).ended.unwrap().0, RolloutOutcome::Failed);
    assert_eq!(world.target.state().weight, Weight::ZERO);
}

/// To renew the promise is a write, and a write would bring a target back that a person stopped.
#[tokio::test(start_paused = true)]
async fn nothing_is_promised_of_a_canary_that_is_not_there() {
    let world = World::new();
    world.promoted(1).await;
    let driver = world.begin(2).await;
    assert_eq!(driver.canary(Walk::One(percent(1))).await.outcome, DeployOutcome::Done);
    let promised = || world.record().watch.unwrap().renewed_at;
    let first = promised();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let renewed = promised();
    assert!(renewed > first);
    world.target.state().arms.clear();
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert!(promised() - renewed < chrono::TimeDelta::seconds(30), "{renewed} {}", promised());
}

#[tokio::test(start_paused = true)]
async fn without_a_ledger_there_is_no_deploy() {
    let world = World::new();
    world.promoted(1).await;
    let before = world.target.state().effects.len();
    *world.recorder.intent_error.lock().unwrap() = Some(RecordError::Unavailable("disk full".to_owned()));
    let driver = world.begin(2).await;
    let answer = driver.canary(Walk::Steps).await;
    assert_eq!(answer.outcome, DeployOutcome::Failed);
    assert!(answer.message.contains("disk full"));
    assert_eq!(answer.refusal.map(|refusal| refusal.kind), Some(RefusalKind::LedgerUnwritten));
    assert_eq!(world.target.state().effects.len(), before);
    assert_eq!(world.record().slot, None);
    let forked = Refusal::new(RefusalKind::LedgerForked, "the ledger was cut");
    *world.recorder.intent_error.lock().unwrap() = Some(RecordError::Refused(forked));
    let driver = world.begin(2).await;
    assert_eq!(driver.canary(Walk::Steps).await.refusal.unwrap().kind, RefusalKind::LedgerForked);
}

#[tokio::test(start_paused = true)]
async fn a_second_release_waits_says_for_whom_and_gives_up_in_time() {
    let mut world = World::new();
    world.promoted(1).await;
    let first = world.begin(2).await;
    assert_eq!(first.canary(Walk::One(percent(1))).await.outcome, DeployOutcome::Done);
    world.rules.slot_timeout = Duration::from_secs(30);
    let second = world.begin(3).await;
    let answer = second.canary(Walk::One(percent(1))).await;
    assert_eq!(answer.refusal.unwrap().kind, RefusalKind::SlotTaken);
    assert!(
        world
            .said
            .lock()
            .unwrap()
            .iter()
            .any(|line| line.starts_with("waiting for v2 of no run, which holds prod: hms rollback --env canary --app shop"))
    );
    world.rules.slot_timeout = Duration::ZERO;
    let third = world.begin(3).await;
    let began = tokio::time::Instant::now();
    assert_eq!(third.canary(Walk::One(percent(1))).await.outcome, DeployOutcome::Refused);
    assert_eq!(began.elapsed(), Duration::ZERO);
    world.rules.slot_timeout = Duration::from_secs(3600);
    let fourth = world.begin(4).await;
    let (answer, cancelled) = tokio::join!(fourth.canary(Walk::One(percent(1))), async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        first.cancel(actor(), None).await
    });
    assert_eq!((answer.outcome, cancelled.outcome), (DeployOutcome::Done, DeployOutcome::Done));
    assert_eq!(world.record().slot.unwrap().release, release(4));
}

#[tokio::test(start_paused = true)]
async fn supersede_pushes_the_other_release_out() {
    let mut world = World::new();
    world.promoted(1).await;
    let first = world.begin(2).await;
    assert_eq!(first.canary(Walk::One(percent(5))).await.outcome, DeployOutcome::Done);
    world.rules.slot = SlotPolicy::Supersede;
    let second = world.begin(3).await;
    assert_eq!(second.canary(Walk::One(percent(1))).await.outcome, DeployOutcome::Done);
    assert_eq!(world.record().slot.unwrap().release, release(3));
    assert_eq!(world.target.state().arm(ArmName::Canary), Some(digest(3)));
    let answer = first.promote(authority()).await;
    assert_eq!((answer.outcome, answer.message.as_str()), (DeployOutcome::TakenBack, "superseded by v3"));
    assert_eq!(world.fold(first.rollout()).ended.unwrap().0, RolloutOutcome::Superseded);
    assert_eq!(world.target.state().weight, percent(1));
}

#[tokio::test(start_paused = true)]
async fn cancel_stops_a_start_that_hangs() {
    let world = World::new();
    world.promoted(1).await;
    world.target.state().start_takes = Duration::from_secs(1_000_000);
    let driver = world.begin(2).await;
    let (answer, cancelled) = tokio::join!(driver.canary(Walk::Steps), async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        driver.cancel(actor(), None).await
    });
    assert_eq!((answer.outcome, answer.message.as_str()), (DeployOutcome::Failed, "cancelled"));
    assert_eq!(cancelled.outcome, DeployOutcome::Done);
    assert_eq!(world.record().slot, None);
    assert!(world.recorder.intents.lock().unwrap().iter().all(|(_, outcome)| outcome.is_some()));
}

#[tokio::test(start_paused = true)]
async fn leaving_is_said_everywhere_or_takes_it_back() {
    let mut world = World::new();
    world.promoted(1).await;
    let driver = world.begin(2).await;
    driver.canary(Walk::One(percent(1))).await;
    assert_eq!(driver.leave().await.outcome, DeployOutcome::Done);
    let rollout = driver.rollout().clone();
    world.end(driver).await;
    let state = world.fold(&rollout);
    assert!(state.left);
    assert_eq!(world.record().watch, None);
    assert!(reader::unwatched(&state, Some(&world.record()), None, chrono::Utc::now()).is_some());
    assert_eq!(world.target.state().weight, percent(1));

    world.rules.unwatched = Unwatched::Rollback;
    let driver = Driver::resume(world.setup(), &"shop".parse().unwrap(), &rollout, None).await.unwrap();
    assert_eq!(driver.leave().await.outcome, DeployOutcome::TakenBack);
    assert_eq!(world.target.state().weight, Weight::ZERO);
    assert_eq!(reader::unwatched(&world.fold(&rollout), Some(&world.record()), None, chrono::Utc::now()), None);
}

#[tokio::test(start_paused = true)]
async fn no_data_is_hold_and_a_gap_is_no_harm() {
    let world = World::new();
    world.promoted(1).await;
    let driver = world.begin(2).await;
    *world.meter.failing.lock().unwrap() = Some("connection refused".to_owned());
    let answer = driver.canary(Walk::One(percent(1))).await;
    assert_eq!(answer.outcome, DeployOutcome::Held);
    assert!(answer.message.contains("connection refused"), "{}", answer.message);
    // A target that does not answer gives no sample, whatever the meter says.
    *world.meter.failing.lock().unwrap() = None;
    world.target.gate.every("record", When::Before, Some(Act::Fail(unreachable())));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(world.fold(driver.rollout()).missed >= 10);
    world.target.gate.every("record", When::Before, None);
    assert_eq!(driver.canary(Walk::One(percent(1))).await.outcome, DeployOutcome::Done);
}

#[tokio::test(start_paused = true)]
async fn old_releases_go_and_the_way_back_stays() {
    let mut world = World::new();
    world.rules.keep = 3;
    for n in 1..=6 {
        world.promoted(n).await;
    }
    let state = world.target.state();
    assert_eq!(state.removed, [digest(1), digest(2), digest(3)]);
    assert_eq!(state.arms[&ArmName::Standby], [digest(5)]);
    drop(state);
    assert!(!world.record().releases.contains(&release(1)));
    let removals = world.recorder.intents.lock().unwrap().iter().filter(|(draft, _)| draft.kind == ActionKind::ReleaseRemove).count();
    assert_eq!(removals, 3);
}

#[tokio::test(start_paused = true)]
async fn a_weight_that_changed_at_the_target_is_shown_as_it_is() {
    let world = World::new();
    world.promoted(1).await;
    let driver = world.begin(2).await;
    driver.canary(Walk::One(percent(1))).await;
    world.target.state().weight = percent(50);
    tokio::time::sleep(Duration::from_secs(6)).await;
    let state = world.fold(driver.rollout());
    assert_eq!((state.requested, state.applied), (Some(percent(1)), Some(percent(50))));
}

#[tokio::test(start_paused = true)]
async fn unrecorded_entries_at_the_target_are_taken_in_by_the_next_deploy() {
    let world = World::new();
    world.promoted(1).await;
    world.amend(|record| record.unrecorded.push(serde_json::json!({"type": "rollback"})));
    world.promoted(2).await;
    assert_eq!(world.recorder.taken_in.lock().unwrap().len(), 1);
    assert_eq!(world.record().unrecorded.len(), 0);
}
