//! What is there against what the record says. Pure: the part of [`Target::drift`](super::Target::drift) that every target can tell.

use super::{ArmName, Observation};
use crate::event::{Drift, EnvironmentRecord, Weight};

/// Compares what is there with a record that was the same before and after the look.
///
/// An environment that nothing was recorded of has no drift: what runs there is adopted. While a rollout holds it, the release on its way
/// may be stable before the record says so, and its weight is its driver's to watch.
#[must_use]
pub fn differences(record: &EnvironmentRecord, seen: &Observation) -> Vec<Drift> {
    let running = |arm: ArmName| seen.arms.iter().find(|view| view.arm == arm).map(|view| view.release.clone());
    let Some(recorded) = record.current.as_ref().map(|release| release.digest.clone()) else { return Vec::new() };
    let holder = record.slot.as_ref().map(|slot| slot.release.digest.clone());
    let (stable, canary) = (running(ArmName::Stable), running(ArmName::Canary));
    let explained = stable.as_ref() == Some(&recorded) || (stable.is_some() && stable == holder);
    let mut found = Vec::new();
    if !explained {
        found.push(Drift::Stable { recorded, found: stable });
    }
    if holder.is_none() && (canary.is_some() || seen.weight > Weight::ZERO) {
        found.push(Drift::Canary { found: canary, weight: seen.weight });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::{ArmView, Health};
    use crate::event::{Digest, ReleaseRef, Slot};

    fn release(tag: &str) -> ReleaseRef {
        ReleaseRef { digest: Digest::of(tag.as_bytes()), revision: None, tag: tag.to_owned(), tag_object: None, run: None }
    }

    fn record(current: Option<&str>, holder: Option<&str>) -> EnvironmentRecord {
        let mut record = EnvironmentRecord::empty("shop".parse().unwrap(), "prod".parse().unwrap());
        record.current = current.map(release);
        let rollout = || "01KATE000000000000000RQXX1".parse().unwrap();
        record.slot = holder.map(|tag| Slot { release: release(tag), rollout: rollout(), since: chrono::DateTime::default() });
        record
    }

    fn seen(stable: Option<&str>, canary: Option<&str>, thousandths: u16) -> Observation {
        let view = |arm, tag: &str| ArmView {
            arm,
            release: release(tag).digest,
            version: tag.to_owned(),
            health: Health::Failing { reason: "it is slow".to_owned(), last_lines: Vec::new() },
            restarts: 3,
        };
        Observation {
            at: chrono::DateTime::default(),
            arms: stable.map(|tag| view(ArmName::Stable, tag)).into_iter().chain(canary.map(|tag| view(ArmName::Canary, tag))).collect(),
            weight: Weight::from_thousandths(thousandths).unwrap(),
            fence: 1,
            address: None,
            metrics: None,
            served: None,
        }
    }

    #[test]
    fn what_a_rollout_explains_is_no_drift() {
        let digest = |tag: &str| release(tag).digest;
        let stable = |found: Option<&str>| Drift::Stable { recorded: digest("v1"), found: found.map(digest) };
        let canary = |found: Option<&str>, thousandths| Drift::Canary {
            found: found.map(digest),
            weight: Weight::from_thousandths(thousandths).unwrap(),
        };
        let table: [(EnvironmentRecord, Observation, Vec<Drift>); 11] = [
            (record(Some("v1"), None), seen(Some("v1"), None, 0), vec![]),
            (record(None, None), seen(Some("v1"), None, 0), vec![]),
            (record(Some("v1"), None), seen(Some("v2"), None, 0), vec![stable(Some("v2"))]),
            (record(Some("v1"), None), seen(None, None, 0), vec![stable(None)]),
            (record(Some("v1"), None), seen(Some("v1"), Some("v2"), 0), vec![canary(Some("v2"), 0)]),
            (record(Some("v1"), None), seen(Some("v1"), None, 10), vec![canary(None, 10)]),
            (record(Some("v1"), Some("v2")), seen(Some("v1"), Some("v2"), 10), vec![]),
            (record(Some("v1"), Some("v2")), seen(Some("v2"), None, 0), vec![]),
            (record(Some("v1"), Some("v2")), seen(Some("v3"), Some("v2"), 10), vec![stable(Some("v3"))]),
            (record(Some("v1"), Some("v2")), seen(None, Some("v2"), 10), vec![stable(None)]),
            (record(Some("v1"), None), seen(Some("v3"), Some("v2"), 10), vec![stable(Some("v3")), canary(Some("v2"), 10)]),
        ];
        for (number, (record, seen, wanted)) in table.into_iter().enumerate() {
            assert_eq!(differences(&record, &seen), wanted, "row {number}");
        }
    }
}
