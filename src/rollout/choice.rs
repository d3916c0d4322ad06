//! Where a rollback goes: pure decisions over the record, what is seen, and what is there.

use crate::deploy::{ArmName, Observation};
use crate::event::{Arm, Digest, EnvironmentRecord, ReleaseRef, Weight};

/// What the person who asks for a rollback names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Aim {
    /// A release by its digest.
    Digest(Digest),
    /// A release by its tag, the beginning of its revision, or the beginning of its digest's hex digits.
    Name(String),
}

/// What a rollback has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Choice {
    /// All traffic to this release, and the canary's away.
    Return { from: Option<ReleaseRef>, to: ReleaseRef },
    /// The canary's traffic away; this stays (none: nothing is left).
    Withdraw { from: Option<ReleaseRef>, stable: Option<ReleaseRef> },
    /// A rollback brought it here before.
    AlreadyReverted { to: ReleaseRef, further_back: Option<ReleaseRef> },
    /// There is no canary, or nothing at all.
    NothingToRevert { stable: Option<ReleaseRef> },
    /// What the asker saw is not what is there.
    Moved { now: Option<ReleaseRef> },
    /// There is nowhere to go.
    NoTarget { why: String },
}

/// The record as it would be if nobody had died between an effect and the write after it: when the holder's own release is seen
/// as stable, it has the traffic, whatever the record says.
pub(crate) fn reconcile(record: &EnvironmentRecord, seen: &Observation) -> EnvironmentRecord {
    let mut record = record.clone();
    let Some(holder) = record.slot.as_ref().map(|slot| slot.release.clone()) else { return record };
    let current = record.current.as_ref().map(|release| &release.digest);
    if running(seen, ArmName::Stable) == Some(&holder.digest) && current != Some(&holder.digest) {
        record.previous = record.current.replace(holder);
    }
    record
}

/// The release in that place.
pub(crate) fn running(seen: &Observation, arm: ArmName) -> Option<&Digest> {
    seen.arms.iter().find(|view| view.arm == arm).map(|view| &view.release)
}

/// Whether the arm beside stable must keep its traffic until stable is another release: stable is being changed to what the arm runs, or
/// the arm is what a rollback went to. A weight of 0 would give everybody pods that are half rolled out, or what is being left.
pub(crate) fn holds_the_fort(seen: &Observation) -> bool {
    let beside = running(seen, ArmName::Canary);
    let is_return = || beside.is_none() && running(seen, ArmName::Standby).is_some();
    let is_promotion = || beside.is_some() && beside == running(seen, ArmName::Stable);
    seen.weight > Weight::ZERO && (is_return() || is_promotion())
}

/// Decides where a rollback goes. `placed` are the releases whose bytes the target has.
pub(crate) fn choose(
    stored: &EnvironmentRecord,
    seen: &Observation,
    placed: &[Digest],
    from: Option<&Digest>,
    aim: Option<&Aim>,
    arm: Arm,
) -> Choice {
    let record = &reconcile(stored, seen);
    let canary = running(seen, ArmName::Canary);
    let live = canary.is_some() || seen.weight > Weight::ZERO;
    let held = left_by(stored, record);
    let here = |release: &ReleaseRef| placed.contains(&release.digest) || seen.arms.iter().any(|view| view.release == release.digest);
    match arm {
        Arm::Canary => {
            let known = held.or_else(|| canary.and_then(|digest| find(record, digest)));
            let gone = from.is_some() && from != canary && from != known.as_ref().map(|release| &release.digest);
            // Weight 0 is never refused as stale (4.3), but it is not taken from a canary that the asker never saw.
            if gone && live {
                return Choice::Moved { now: known };
            }
            if !live && stored.slot.is_none() {
                return Choice::NothingToRevert { stable: record.current.clone() };
            }
            if canary.is_none()
                && holds_the_fort(seen)
                && let Some(to) = running(seen, ArmName::Standby).and_then(|digest| find(record, digest))
            {
                // A rollback died, and users have what it went to: there is nothing to do but to finish it.
                return Choice::Return { from: stored.current.clone(), to };
            }
            if *record != *stored && canary.is_none() {
                // What was the canary has all traffic already: that is no canary any more.
                return Choice::Moved { now: record.current.clone() };
            }
            // Of a promotion that was begun stable may be the canary already: what it was before is what the record says.
            Choice::Withdraw { from: known, stable: stored.current.clone() }
        }
        Arm::Whole => whole(stored, record, seen, from, aim, &here),
    }
}

/// The release that holds the environment, if it is to be gone back from: a rollback that died holds it in the name of what it went to.
fn left_by(stored: &EnvironmentRecord, record: &EnvironmentRecord) -> Option<ReleaseRef> {
    let held = record.slot.as_ref().map(|slot| slot.release.clone());
    held.filter(|held| stored.current.as_ref().is_none_or(|current| current.digest != held.digest))
}

fn whole(
    stored: &EnvironmentRecord,
    record: &EnvironmentRecord,
    seen: &Observation,
    from: Option<&Digest>,
    aim: Option<&Aim>,
    here: &dyn Fn(&ReleaseRef) -> bool,
) -> Choice {
    let held = left_by(stored, record);
    let live = running(seen, ArmName::Canary).is_some() || seen.weight > Weight::ZERO;
    let Some(current) = record.current.clone() else {
        // The first release of all: there is nothing behind it.
        return match (live, held) {
            (true, from) => Choice::Withdraw { from, stable: None },
            (false, _) => Choice::NothingToRevert { stable: None },
        };
    };
    let returned = record.returned_to.as_ref() == Some(&current.digest);
    let half_done = record != stored;
    // Somebody else's release, past the record: whoever saw it saw what is there.
    let other = running(seen, ArmName::Stable).filter(|stable| **stable != current.digest && !half_done);
    if let Some(from) = from
        && *from != current.digest
        && Some(from) != other
        && !(half_done && stored.current.as_ref().is_some_and(|stored| stored.digest == *from))
    {
        if returned {
            return Choice::AlreadyReverted { further_back: next_back(record, &current, here), to: current };
        }
        return Choice::Moved { now: Some(current) };
    }
    let wanted = match aim {
        Some(aim) => match resolve(record, aim) {
            Some(release) => Some(release),
            None => return Choice::NoTarget { why: format!("nothing that was in {} is called {}", record.environment, named(aim)) },
        },
        None => None,
    };
    let arrived = wanted.as_ref().map_or(returned, |wanted| wanted.digest == current.digest);
    // Where it is by the record, and not by what is seen: the other release makes way for it.
    if let Some(other) = other.filter(|_| arrived) {
        return Choice::Return { from: find(record, other), to: current };
    }
    if arrived {
        return match (live, half_done) {
            (_, true) => Choice::Return { from: stored.current.clone(), to: current },
            (true, false) => Choice::Withdraw { from: held, stable: Some(current) },
            // A driver that died holds it, and whoever names what is there wants nothing else there: that is ended.
            (false, false) if aim.is_some() && stored.slot.is_some() => Choice::Withdraw { from: held, stable: Some(current) },
            (false, false) => Choice::AlreadyReverted { further_back: next_back(record, &current, here), to: current },
        };
    }
    match wanted {
        Some(to) if here(&to) => Choice::Return { from: Some(current), to },
        Some(to) => Choice::NoTarget { why: format!("the bytes of {} ({}) are no longer at the target", to.tag, to.digest.short()) },
        None => match next_back(record, &current, here) {
            Some(to) => Choice::Return { from: Some(current), to },
            None => Choice::NoTarget { why: nowhere(record, &current, here) },
        },
    }
}

/// The release that the record says is there is asked for, and somebody changed it: it is put back as it was, whatever else runs.
pub(crate) fn put_back(record: &EnvironmentRecord, chosen: Choice) -> Choice {
    match (chosen, &record.current) {
        (Choice::AlreadyReverted { .. } | Choice::Withdraw { .. }, Some(current)) => {
            Choice::Return { from: Some(current.clone()), to: current.clone() }
        }
        (chosen, _) => chosen,
    }
}

/// The newest release that was healthy here and is not `current`; else what ran before hms came.
pub(crate) fn next_back(record: &EnvironmentRecord, current: &ReleaseRef, here: &dyn Fn(&ReleaseRef) -> bool) -> Option<ReleaseRef> {
    let other = |release: &&ReleaseRef| release.digest != current.digest && here(release);
    // Behind the current one when it is in the list: what stands before it was passed over by somebody's `--to`.
    let behind = record.healthy.iter().position(|release| release.digest == current.digest).map_or(0, |place| place + 1);
    record.healthy.iter().skip(behind).chain(record.origin.iter()).find(other).cloned()
}

fn nowhere(record: &EnvironmentRecord, current: &ReleaseRef, here: &dyn Fn(&ReleaseRef) -> bool) -> String {
    let other = |release: &&ReleaseRef| release.digest != current.digest;
    let gone: Vec<&str> = record.healthy.iter().filter(other).map(|release| release.tag.as_str()).collect();
    if !gone.is_empty() {
        return format!("the bytes of {} are no longer at the target", gone.join(", "));
    }
    let left: Vec<&str> =
        record.releases.iter().filter(other).filter(|release| here(release)).map(|release| release.tag.as_str()).collect();
    if left.is_empty() {
        format!("no other release was ever in {}", record.environment)
    } else {
        format!(
            "every other release that was in {} was taken back; one of them goes by its name alone: --to {}",
            record.environment,
            left.join(", --to ")
        )
    }
}

/// The release that a person names, of those that the record knows.
pub(crate) fn resolve(record: &EnvironmentRecord, aim: &Aim) -> Option<ReleaseRef> {
    let known = || {
        let before = record.current.iter().chain(&record.previous).chain(&record.origin);
        record.healthy.iter().chain(&record.releases).chain(before)
    };
    match aim {
        Aim::Digest(digest) => known().find(|release| release.digest == *digest).cloned(),
        Aim::Name(name) => {
            known().find(|release| release.tag == *name).or_else(|| known().find(|release| abbreviates(name, release))).cloned()
        }
    }
}

/// Whether a name is the beginning of a release's revision or digest; at least seven digits, so that it is no accident.
fn abbreviates(name: &str, release: &ReleaseRef) -> bool {
    let hex = name.strip_prefix("sha256:").unwrap_or(name);
    hex.len() >= 7
        && (release.digest.hex().starts_with(hex) || release.revision.as_ref().is_some_and(|revision| revision.as_str().starts_with(name)))
}

fn named(aim: &Aim) -> String {
    match aim {
        Aim::Digest(digest) => digest.to_string(),
        Aim::Name(name) => name.clone(),
    }
}

/// Any release by its digest that the record names.
pub(crate) fn find(record: &EnvironmentRecord, digest: &Digest) -> Option<ReleaseRef> {
    let held = record.slot.as_ref().map(|slot| &slot.release);
    let known = held.into_iter().chain(&record.current).chain(&record.previous).chain(&record.healthy).chain(&record.releases);
    known.chain(&record.origin).find(|release| release.digest == *digest).cloned()
}

/// The first write of a rollback, all in one (`docs/decisions.md` 6.2): the environment is this rollout's, the old rollout never
/// gets a number again, and what is gone from is neither healthy nor agreed to any more. Where it goes is the newest healthy release
/// from then on, so that the next rollback ends where this one did.
pub(crate) fn take_over(record: &mut EnvironmentRecord, slot: crate::event::Slot, bad: Option<&Digest>, returned_to: Option<&Digest>) {
    if let Some(old) = record.slot.take()
        && old.rollout != slot.rollout
        && !record.superseded.contains(&old.rollout)
    {
        record.superseded.push(old.rollout);
    }
    record.slot = Some(slot);
    record.watch = None;
    let returns = returned_to.and_then(|to| find(record, to));
    let forward = bad.zip(returned_to).is_some_and(|(from, to)| is_newer(record, to, from));
    if let Some(bad) = bad {
        // A person who goes on to a newer release takes nothing back.
        record.healthy.retain(|release| forward || release.digest != *bad);
        record.yeses.retain(|yes| yes.release != *bad);
        record.broken_freezes.retain(|broken| broken.release != *bad);
    }
    if let Some(to) = returns {
        // What stands before it was passed over.
        let passed = record.healthy.iter().position(|release| release.digest == to.digest).unwrap_or(0);
        record.healthy.drain(..passed);
        let origin = record.origin.as_ref().is_some_and(|origin| origin.digest == to.digest);
        if !origin && record.healthy.first().is_none_or(|first| first.digest != to.digest) {
            record.healthy.insert(0, to);
        }
    }
    if let Some(to) = returned_to {
        record.returned_to = Some(to.clone());
    }
}

/// Whether one release was promoted after another, as far as the record knows.
fn is_newer(record: &EnvironmentRecord, one: &Digest, other: &Digest) -> bool {
    let place = |digest: &Digest| record.releases.iter().position(|release| release.digest == *digest);
    place(one).zip(place(other)).is_some_and(|(one, other)| one < other)
}

/// The releases whose bytes may go: not among the `keep` newest, running nowhere, named by no environment as current, previous,
/// held, or as the place that a rollback would go to.
pub(crate) fn removable(releases: &[Digest], keep: usize, records: &[EnvironmentRecord], running: &[Digest]) -> Vec<Digest> {
    let mut kept: Vec<&Digest> = releases.iter().take(keep).chain(running).collect();
    for record in records {
        let held = record.slot.as_ref().map(|slot| &slot.release);
        let named = record.current.iter().chain(&record.previous).chain(&record.origin).chain(held);
        kept.extend(named.map(|release| &release.digest));
        kept.extend(&record.returned_to);
    }
    let here = |release: &ReleaseRef| releases.contains(&release.digest);
    // Two back: where a rollback goes, and where one more would (`further back`).
    let one: Vec<_> =
        records.iter().filter_map(|record| next_back(record, record.current.as_ref()?, &here).map(|to| (record, to))).collect();
    let two: Vec<_> = one.iter().filter_map(|(record, to)| next_back(record, to, &here)).collect();
    kept.extend(one.iter().map(|(_, to)| &to.digest).chain(two.iter().map(|to| &to.digest)));
    releases.iter().filter(|digest| !kept.contains(digest)).cloned().collect()
}
