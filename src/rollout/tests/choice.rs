//! Where a rollback goes, as a table; and what may be removed.

use super::world::{digest, percent, release};
use crate::deploy::{ArmName, ArmView, Health, Observation};
use crate::event::{Arm, Digest, EnvironmentRecord, Slot, Weight};
use crate::rollout::Aim;
use crate::rollout::choice::{Choice, choose, removable, take_over};

fn record(current: Option<u32>, healthy: &[u32]) -> EnvironmentRecord {
    let mut record = EnvironmentRecord::empty("shop".parse().unwrap(), "prod".parse().unwrap());
    record.current = current.map(release);
    record.healthy = healthy.iter().copied().map(release).collect();
    record.releases.clone_from(&record.healthy);
    record
}

fn held_by(mut record: EnvironmentRecord, n: u32) -> EnvironmentRecord {
    record.slot = Some(Slot { release: release(n), rollout: super::world::new_id(), since: chrono::DateTime::default() });
    record
}

fn seen(stable: Option<u32>, canary: Option<(u32, Weight)>) -> Observation {
    let view = |arm, n| ArmView { arm, release: digest(n), version: String::new(), health: Health::Healthy, restarts: 0 };
    let mut arms: Vec<ArmView> = stable.map(|n| view(ArmName::Stable, n)).into_iter().collect();
    arms.extend(canary.map(|(n, _)| view(ArmName::Canary, n)));
    Observation {
        at: chrono::DateTime::default(),
        arms,
        weight: canary.map_or(Weight::ZERO, |(_, weight)| weight),
        fence: 0,
        address: None,
        metrics: None,
        served: None,
    }
}

fn placed(releases: &[u32]) -> Vec<Digest> {
    releases.iter().copied().map(digest).collect()
}

fn back(from: Option<u32>, to: u32) -> Choice {
    Choice::Return { from: from.map(release), to: release(to) }
}

#[test]
fn the_whole_environment_goes_to_the_last_healthy_release_that_is_there() {
    let all = placed(&[1, 2, 3, 4]);
    let whole = |record: &EnvironmentRecord, seen: &Observation, placed: &[Digest], from: Option<u32>, to: Option<Aim>| {
        choose(record, seen, placed, from.map(digest).as_ref(), to.as_ref(), Arm::Whole)
    };
    let plain = record(Some(3), &[3, 2, 1]);
    let stable = seen(Some(3), None);
    assert_eq!(whole(&plain, &stable, &all, None, None), back(Some(3), 2));
    assert_eq!(whole(&plain, &stable, &all, Some(3), None), back(Some(3), 2));
    // Never the second highest: 2 was rolled back once and is not in the list.
    assert_eq!(whole(&record(Some(3), &[3, 1]), &stable, &all, None, None), back(Some(3), 1));
    // One that is neither placed nor runs is passed over.
    assert_eq!(whole(&plain, &stable, &placed(&[1, 3]), None, None), back(Some(3), 1));
    // A current one that was never healthy goes back too.
    assert_eq!(whole(&record(Some(4), &[3, 2]), &seen(Some(4), None), &all, None, None), back(Some(4), 3));
    assert_eq!(whole(&plain, &stable, &all, Some(2), None), Choice::Moved { now: Some(release(3)) });
    assert_eq!(whole(&plain, &stable, &all, None, Some(Aim::Digest(digest(1)))), back(Some(3), 1));
    assert_eq!(whole(&plain, &stable, &all, None, Some(Aim::Name("v1".to_owned()))), back(Some(3), 1));
    assert_eq!(whole(&plain, &stable, &all, None, Some(Aim::Name(digest(1).hex()[..8].to_owned()))), back(Some(3), 1));
    assert!(matches!(whole(&plain, &stable, &all, None, Some(Aim::Name("v9".to_owned()))), Choice::NoTarget { why } if why.contains("v9")));
    assert!(matches!(whole(&plain, &stable, &placed(&[3]), None, None), Choice::NoTarget { why } if why.contains("v2, v1")));
    assert!(matches!(whole(&record(Some(3), &[3]), &stable, &all, None, None), Choice::NoTarget { .. }));
    assert_eq!(whole(&record(None, &[]), &seen(None, None), &all, None, None), Choice::NothingToRevert { stable: None });

    let mut returned = record(Some(2), &[2, 1]);
    returned.returned_to = Some(digest(2));
    let already = Choice::AlreadyReverted { to: release(2), further_back: Some(release(1)) };
    let stable = seen(Some(2), None);
    assert_eq!(whole(&returned, &stable, &all, None, None), already);
    assert_eq!(whole(&returned, &stable, &all, Some(3), None), already, "the key pressed a second time");
    assert_eq!(whole(&returned, &stable, &all, None, Some(Aim::Digest(digest(1)))), back(Some(2), 1));
    // What somebody's --to passed over is not further back.
    let mut far = record(Some(1), &[3, 1]);
    far.returned_to = Some(digest(1));
    assert_eq!(whole(&far, &seen(Some(1), None), &all, None, None), Choice::AlreadyReverted { to: release(1), further_back: None });
    // A canary on top of it is live: that goes.
    let canary = held_by(returned, 4);
    let live = seen(Some(2), Some((4, percent(1))));
    assert_eq!(whole(&canary, &live, &all, None, None), Choice::Withdraw { from: Some(release(4)), stable: Some(release(2)) });
    // The origin is where it ends.
    let mut adopted = record(Some(3), &[3]);
    adopted.origin = Some(release(1));
    assert_eq!(whole(&adopted, &seen(Some(3), None), &all, None, None), back(Some(3), 1));
}

/// After any way to and fro, a release that comes next goes back to what had the traffic before it.
#[test]
fn the_next_rollback_ends_where_the_last_one_did() {
    let all = placed(&[1, 2, 3, 4]);
    let go = |record: &mut EnvironmentRecord, from: u32, to: u32| {
        let slot = Slot { release: release(to), rollout: super::world::new_id(), since: chrono::DateTime::default() };
        take_over(record, slot, Some(&digest(from)), Some(&digest(to)));
        (record.previous, record.current, record.slot) = (Some(release(from)), Some(release(to)), None);
    };
    let promoted = |record: &EnvironmentRecord, n: u32| {
        let mut record = record.clone();
        record.healthy.insert(0, release(n));
        record.releases.insert(0, release(n));
        record.previous = record.current.replace(release(n));
        record.returned_to = None;
        record
    };
    let healthy = |record: &EnvironmentRecord| record.healthy.clone();
    let next = |record: &EnvironmentRecord| {
        let (record, stable) = (promoted(record, 4), seen(Some(4), None));
        choose(&record, &stable, &all, None, None, Arm::Whole)
    };
    // Back, and on again by name: nothing was taken back by that.
    let mut record = record(Some(3), &[3, 2, 1]);
    go(&mut record, 3, 2);
    assert_eq!((healthy(&record), next(&record)), (vec![release(2), release(1)], back(Some(4), 2)));
    go(&mut record, 2, 3);
    assert_eq!((healthy(&record), next(&record)), (vec![release(3), release(2), release(1)], back(Some(4), 3)));
    // The same written twice is the same.
    let once = record.clone();
    take_over(
        &mut record,
        once.slot.clone().unwrap_or(Slot { release: release(3), rollout: super::world::new_id(), since: chrono::DateTime::default() }),
        Some(&digest(2)),
        Some(&digest(3)),
    );
    assert_eq!(healthy(&record), healthy(&once));
    // Far back: what lies between was passed over.
    go(&mut record, 3, 1);
    assert_eq!((healthy(&record), next(&record)), (vec![release(1)], back(Some(4), 1)));
    // With nothing left by itself, what is there can be named.
    let stable = seen(Some(1), None);
    record.returned_to = None;
    let why = choose(&record, &stable, &all, None, None, Arm::Whole);
    assert!(matches!(&why, Choice::NoTarget { why } if why.contains("--to v3")), "{why:?}");
}

#[test]
fn what_somebody_died_over_is_seen_as_it_is() {
    let all = placed(&[1, 2, 3]);
    // Promoted, and nobody wrote it: back means back to 2, not to what was before 2.
    let promoted = held_by(record(Some(2), &[2, 1]), 3);
    assert_eq!(choose(&promoted, &seen(Some(3), None), &all, None, None, Arm::Whole), back(Some(3), 2));
    // Returned, and nobody wrote it: the second press finishes the first.
    let mut returned = held_by(record(Some(3), &[2, 1]), 2);
    returned.returned_to = Some(digest(2));
    assert_eq!(choose(&returned, &seen(Some(2), None), &all, None, None, Arm::Whole), back(Some(3), 2));
    assert_eq!(choose(&returned, &seen(Some(2), None), &all, Some(&digest(3)), None, Arm::Whole), back(Some(3), 2));
}

#[test]
fn what_somebody_put_there_past_hms_makes_way_for_what_is_recorded() {
    let all = placed(&[1, 2, 3]);
    let whole = |record: &EnvironmentRecord, seen: &Observation, aim: Option<u32>| {
        choose(record, seen, &all, None, aim.map(|n| Aim::Digest(digest(n))).as_ref(), Arm::Whole)
    };
    let drifted = seen(Some(3), None);
    assert_eq!(whole(&record(Some(2), &[2, 1]), &drifted, Some(2)), Choice::Return { from: None, to: release(2) });
    assert_eq!(whole(&record(Some(2), &[3, 2, 1]), &drifted, Some(2)), back(Some(3), 2));
    // Asked again with what was seen, as a rollback under way does.
    let seen_before = choose(&record(Some(2), &[3, 2, 1]), &drifted, &all, Some(&digest(3)), Some(&Aim::Digest(digest(2))), Arm::Whole);
    assert_eq!(seen_before, back(Some(3), 2));
    let returned = EnvironmentRecord { returned_to: Some(digest(2)), ..record(Some(2), &[2, 1]) };
    assert_eq!(whole(&returned, &drifted, None), Choice::Return { from: None, to: release(2) });
    // Where nothing drifted, it is there already.
    assert!(matches!(whole(&record(Some(2), &[2, 1]), &seen(Some(2), None), Some(2)), Choice::AlreadyReverted { .. }));
}

#[test]
fn a_canary_alone_goes_to_nothing() {
    let all = placed(&[1, 2]);
    let canary = |record: &EnvironmentRecord, seen: &Observation, from: Option<u32>| {
        choose(record, seen, &all, from.map(digest).as_ref(), None, Arm::Canary)
    };
    let live = seen(Some(1), Some((2, percent(1))));
    let held = held_by(record(Some(1), &[1]), 2);
    let gone = Choice::Withdraw { from: Some(release(2)), stable: Some(release(1)) };
    assert_eq!(canary(&held, &live, None), gone);
    assert_eq!(canary(&held, &live, Some(2)), gone);
    assert_eq!(canary(&held, &live, Some(3)), Choice::Moved { now: Some(release(2)) });
    assert_eq!(canary(&record(Some(1), &[1]), &seen(Some(1), None), None), Choice::NothingToRevert { stable: Some(release(1)) });
    let first = held_by(record(None, &[]), 2);
    assert_eq!(canary(&first, &seen(None, Some((2, Weight::FULL))), None), Choice::Withdraw { from: Some(release(2)), stable: None });
}

proptest::proptest! {
    #[test]
    fn nothing_needed_is_ever_removed(
        count in 0u32..12, keep in 0usize..6, current in 0u32..12, healthy in proptest::collection::vec(0u32..12, 0..6), runs in proptest::collection::vec(0u32..12, 0..3),
    ) {
        let releases = placed(&(0..count).rev().collect::<Vec<_>>());
        let record = record(Some(current), &healthy);
        let running = placed(&runs);
        let gone = removable(&releases, keep, std::slice::from_ref(&record), &running);
        proptest::prop_assert!(!gone.contains(&digest(current)));
        proptest::prop_assert!(gone.iter().all(|digest| !running.contains(digest)));
        proptest::prop_assert!(releases.iter().take(keep).all(|newest| !gone.contains(newest)));
        let before: Vec<Digest> = releases.iter().filter(|digest| !gone.contains(digest)).cloned().collect();
        let stable = seen(Some(current), None);
        // The rollback that was possible before is the same one after.
        proptest::prop_assert_eq!(
            choose(&record, &stable, &releases, None, None, Arm::Whole),
            choose(&record, &stable, &before, None, None, Arm::Whole)
        );
    }
}
