//! What every target must do, written once. A target's tests call [`all`] with a stage of theirs.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use hms::deploy::{ArmName, Effect, Health, ReleaseRecord, Target, TargetError};
use hms::event::{Digest, EnvironmentName, Weight};

use super::world::{arm, prod, quiet, start, weight};

/// What a target keeps running of the release that was stable before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standby {
    /// All of it, to be gone back to at once.
    Warm,
    /// What is needed to start it again.
    Cold,
}

/// A target that no release of hms was brought to, and releases for it.
pub(super) trait Stage {
    type Target: Target;
    const STANDBY: Standby;
    fn target(&self) -> &Self::Target;
    /// A release that starts and answers; each name is another one.
    fn good(&self, name: &str) -> (ReleaseRecord, PathBuf);
    /// A release that prints `the variable X is missing` and exits.
    fn bad(&self) -> (ReleaseRecord, PathBuf);
    /// A release that starts and never answers.
    fn silent(&self) -> (ReleaseRecord, PathBuf);
}

/// How many stages [`all`] asks for.
pub(super) const STAGES: usize = 6;

/// Everything, each on a stage of its own.
pub(super) async fn all<S: Stage>(stage: impl Fn() -> S) {
    records_are_compared_and_swapped(&stage()).await;
    releases_are_kept_by_their_digest(&stage()).await;
    a_release_walks_to_stable_and_back(&stage()).await;
    a_bad_start_is_told_and_gets_no_place(&stage()).await;
    a_lower_fence_is_refused(&stage()).await;
    a_stuck_start_holds_nobody_up(&stage()).await;
}

async fn placed<S: Stage>(stage: &S, release: (ReleaseRecord, PathBuf)) -> Digest {
    stage.target().place(&release.0, &release.1).await.unwrap();
    release.0.release.digest
}

async fn records_are_compared_and_swapped<S: Stage>(stage: &S) {
    let target = stage.target();
    assert_eq!(target.environments().await.unwrap(), Vec::<EnvironmentName>::new());
    let empty = target.record(&prod()).await.unwrap();
    assert_eq!(empty.version, 0);
    let mut first = empty.clone();
    first.extra.insert("of_a_later_version".to_owned(), serde_json::json!({"kept": true}));
    let stored = target.put_record(first).await.unwrap();
    assert_eq!(stored.version, 1);
    assert_eq!(target.record(&prod()).await.unwrap(), stored);
    assert_eq!(stored.extra["of_a_later_version"]["kept"], true);
    let conflict = target.put_record(empty).await.unwrap_err();
    assert!(matches!(conflict, TargetError::Conflict { found: 1, .. }), "{conflict}");
    assert_eq!(target.put_record(stored).await.unwrap().version, 2);
    assert_eq!(target.environments().await.unwrap(), [prod()]);

    let app = target.app_record().await.unwrap();
    let stored = target.put_app_record(app.clone()).await.unwrap();
    assert_eq!((app.version, stored.version), (0, 1));
    assert!(matches!(target.put_app_record(app).await, Err(TargetError::Conflict { found: 1, .. })));
    assert_eq!(target.app_record().await.unwrap(), stored);
}

async fn releases_are_kept_by_their_digest<S: Stage>(stage: &S) {
    let target = stage.target();
    let (record, tree) = stage.good("one");
    let digest = record.release.digest.clone();
    assert_eq!(target.placed(&digest).await.unwrap(), None);
    let mut other = record.clone();
    other.release.digest = Digest::of(b"something else");
    let error = target.place(&other, &tree).await.unwrap_err();
    assert!(matches!(error, TargetError::ReleaseMissing { .. }), "{error}");
    assert_eq!(target.releases().await.unwrap(), []);
    for _ in 0..2 {
        target.place(&record, &tree).await.unwrap();
    }
    assert_eq!(target.placed(&digest).await.unwrap().as_ref(), Some(&record));
    let (newer, tree) = stage.good("two");
    target.place(&newer, &tree).await.unwrap();
    assert_eq!(target.releases().await.unwrap(), [newer.clone(), record]);
    target.apply(&prod(), 1, &start(&digest, ArmName::Canary), &quiet).await.unwrap();
    assert!(matches!(target.remove(&digest).await, Err(TargetError::NotPossible { .. })), "a running release was removed");
    for _ in 0..2 {
        target.remove(&newer.release.digest).await.unwrap();
    }
    assert_eq!(target.placed(&newer.release.digest).await.unwrap(), None);
    let gone = target.apply(&prod(), 1, &start(&newer.release.digest, ArmName::Standby), &quiet).await.unwrap_err();
    assert!(matches!(gone, TargetError::ReleaseMissing { .. }), "{gone}");
}

async fn a_release_walks_to_stable_and_back<S: Stage>(stage: &S) {
    let target = stage.target();
    let (one, two) = (placed(stage, stage.good("one")).await, placed(stage, stage.good("two")).await);
    let apply = async |effect: Effect| target.apply(&prod(), 1, &effect, &quiet).await;
    let promote = |release: &Digest| Effect::Promote { release: release.clone() };
    let release_at = |arms: &[hms::deploy::ArmView], name| arm(arms, name).map(|arm| arm.release.clone());

    assert!(matches!(apply(promote(&one)).await, Err(TargetError::NotPossible { .. })));
    assert!(matches!(apply(Effect::Weigh { weight: weight("1%") }).await, Err(TargetError::NotPossible { .. })));
    for _ in 0..2 {
        let applied = apply(start(&one, ArmName::Canary)).await.unwrap();
        assert_eq!(applied.weight, Weight::ZERO);
        let canary = arm(&applied.observation.arms, ArmName::Canary).unwrap();
        assert_eq!((&canary.release, &canary.health, canary.restarts), (&one, &Health::Healthy, 0));
        assert_eq!(canary.version, one.short());
    }
    assert_eq!(apply(Effect::Weigh { weight: Weight::FULL }).await.unwrap().weight, Weight::FULL);
    assert!(matches!(apply(promote(&two)).await, Err(TargetError::NotPossible { .. })), "another release than the canary was promoted");
    for _ in 0..2 {
        let applied = apply(promote(&one)).await.unwrap();
        assert_eq!(applied.weight, Weight::ZERO);
        assert_eq!(release_at(&applied.observation.arms, ArmName::Stable), Some(one.clone()));
        assert_eq!(release_at(&applied.observation.arms, ArmName::Canary), None);
    }
    assert!(matches!(apply(start(&one, ArmName::Canary)).await, Err(TargetError::NotPossible { .. })));

    apply(start(&two, ArmName::Canary)).await.unwrap();
    for _ in 0..2 {
        assert_eq!(apply(Effect::Weigh { weight: weight("2.5%") }).await.unwrap().weight, weight("2.5%"));
    }
    for _ in 0..2 {
        let applied = apply(Effect::Withdraw).await.unwrap();
        assert_eq!((applied.weight, release_at(&applied.observation.arms, ArmName::Canary)), (Weight::ZERO, None));
    }
    apply(start(&two, ArmName::Canary)).await.unwrap();
    // What is held back keeps its share beside almost everything, until the promotion is completed.
    for _ in 0..2 {
        let applied = apply(Effect::Weigh { weight: weight("95%") }).await.unwrap();
        let kept = (release_at(&applied.observation.arms, ArmName::Stable), release_at(&applied.observation.arms, ArmName::Canary));
        assert_eq!((applied.weight, kept), (weight("95%"), (Some(one.clone()), Some(two.clone()))));
    }
    let applied = apply(promote(&two)).await.unwrap();
    assert_eq!(release_at(&applied.observation.arms, ArmName::Stable), Some(two.clone()));
    let standby = (S::STANDBY == Standby::Warm).then(|| one.clone());
    assert_eq!(release_at(&applied.observation.arms, ArmName::Standby), standby);
    if standby.is_none() {
        let applied = apply(start(&one, ArmName::Standby)).await.unwrap();
        assert_eq!((applied.weight, release_at(&applied.observation.arms, ArmName::Standby)), (Weight::ZERO, Some(one.clone())));
    }
    for _ in 0..2 {
        let applied = apply(Effect::Return { release: one.clone() }).await.unwrap();
        assert_eq!(release_at(&applied.observation.arms, ArmName::Stable), Some(one.clone()));
        assert_eq!(applied.observation.arms.len(), 1);
    }
    assert!(matches!(apply(Effect::Return { release: two.clone() }).await, Err(TargetError::NotPossible { .. })));
    apply(start(&two, ArmName::Standby)).await.unwrap();
    assert!(matches!(apply(Effect::Retire { release: one }).await, Err(TargetError::NotPossible { .. })));
    for _ in 0..2 {
        let applied = apply(Effect::Retire { release: two.clone() }).await.unwrap();
        assert_eq!(release_at(&applied.observation.arms, ArmName::Standby), None);
    }
}

async fn a_bad_start_is_told_and_gets_no_place<S: Stage>(stage: &S) {
    let target = stage.target();
    let before = target.observe(&prod()).await.unwrap();
    let bad = placed(stage, stage.bad()).await;
    match target.apply(&prod(), 1, &start(&bad, ArmName::Canary), &quiet).await {
        Err(TargetError::StartFailed { reason, last_lines }) => {
            assert!(reason.contains("exit"), "{reason}");
            assert!(last_lines.iter().any(|line| line.contains("the variable X is missing")), "{last_lines:?}");
        }
        other => panic!("{other:?}"),
    }
    let silent = placed(stage, stage.silent()).await;
    let effect = Effect::Start { release: silent, arm: ArmName::Canary, timeout_ms: 500 };
    match target.apply(&prod(), 1, &effect, &quiet).await {
        Err(TargetError::StartFailed { reason, .. }) => assert!(reason.contains("not healthy in time"), "{reason}"),
        other => panic!("{other:?}"),
    }
    let observed = target.observe(&prod()).await.unwrap();
    assert_eq!((observed.arms, observed.weight), (before.arms, Weight::ZERO));
}

async fn a_lower_fence_is_refused<S: Stage>(stage: &S) {
    let target = stage.target();
    let one = placed(stage, stage.good("one")).await;
    target.apply(&prod(), 5, &start(&one, ArmName::Canary), &quiet).await.unwrap();
    target.apply(&prod(), 6, &Effect::Weigh { weight: weight("10%") }, &quiet).await.unwrap();
    for effect in [Effect::Weigh { weight: Weight::FULL }, Effect::Withdraw, Effect::Promote { release: one.clone() }] {
        let error = target.apply(&prod(), 5, &effect, &quiet).await.unwrap_err();
        assert!(matches!(error, TargetError::Superseded { fence: 6, .. }), "{error}");
    }
    let observed = target.observe(&prod()).await.unwrap();
    assert_eq!((observed.weight, observed.fence), (weight("10%"), 6));
    // A number given out in the record counts before its first effect does.
    let mut record = target.record(&prod()).await.unwrap();
    record.fence = 9;
    target.put_record(record).await.unwrap();
    let error = target.apply(&prod(), 8, &Effect::Weigh { weight: Weight::FULL }, &quiet).await.unwrap_err();
    assert!(matches!(error, TargetError::Superseded { fence: 9, .. }), "{error}");
    assert_eq!(target.apply(&prod(), 9, &Effect::Withdraw, &quiet).await.unwrap().weight, Weight::ZERO);
}

async fn a_stuck_start_holds_nobody_up<S: Stage>(stage: &S) {
    let target = stage.target();
    let (one, two) = (placed(stage, stage.good("one")).await, placed(stage, stage.good("two")).await);
    let silent = placed(stage, stage.silent()).await;
    let apply = async |fence, effect: Effect| target.apply(&prod(), fence, &effect, &quiet).await;
    apply(1, start(&one, ArmName::Canary)).await.unwrap();
    apply(1, Effect::Promote { release: one.clone() }).await.unwrap();
    apply(1, start(&two, ArmName::Canary)).await.unwrap();
    apply(1, Effect::Promote { release: two }).await.unwrap();
    let stuck = apply(2, start(&silent, ArmName::Canary));
    let other = async {
        super::world::until("the start is under way", async || {
            let arms = target.observe(&prod()).await.unwrap().arms;
            arms.iter().any(|arm| arm.release == silent && arm.health == Health::Starting)
        })
        .await;
        let since = Instant::now();
        if S::STANDBY == Standby::Cold {
            apply(3, start(&one, ArmName::Standby)).await.unwrap();
        }
        let applied = apply(3, Effect::Return { release: one.clone() }).await.unwrap();
        (since.elapsed(), applied)
    };
    let (stuck, (took, applied)) = tokio::join!(stuck, other);
    assert!(S::STANDBY == Standby::Cold || took < Duration::from_secs(1), "the return took {took:?}");
    assert_eq!(arm(&applied.observation.arms, ArmName::Stable).map(|arm| &arm.release), Some(&one));
    assert!(matches!(stuck, Err(TargetError::Superseded { fence: 3, .. })), "{stuck:?}");
    assert!(target.observe(&prod()).await.unwrap().arms.iter().all(|arm| arm.release != silent));
}
