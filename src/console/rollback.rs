//! What `R` means: one target, always named, by value. Pure; the footer, the review and the key all ask here.

use chrono::{DateTime, Utc};

use crate::event::{Digest, EnvironmentName, EnvironmentRecord, ReleaseRef, RolloutId, RolloutKind, RolloutPhase, RolloutState, Weight};

use super::source::{EnvironmentView, SourceState, View};

/// Where a rollback without a named target would bring an environment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Back {
    /// Not known: the environment was not observed.
    #[default]
    Unknown,
    /// There is nothing to go back to.
    Nothing,
    /// To this release.
    To(ReleaseRef),
    /// A rollback brought it where it is; going further back wants the target named.
    Already {
        /// Where it is.
        at: ReleaseRef,
        /// What may be named with `--to`.
        next: Option<Next>,
    },
}

/// Where an environment that was brought back may go from there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Further back.
    Further(ReleaseRef),
    /// To what it had before, when nothing is further back.
    Before(ReleaseRef),
}

impl Back {
    /// The newest release that was healthy there and is not current; else what ran before hms came.
    #[must_use]
    pub fn of(record: &EnvironmentRecord) -> Self {
        let Some(current) = &record.current else {
            return Self::Nothing;
        };
        // Behind the current one: what stands before it was passed over by somebody's `--to`.
        let behind = record.healthy.iter().position(|release| release.digest == current.digest).map_or(0, |place| place + 1);
        let further = record.healthy.iter().skip(behind).chain(&record.origin).find(|release| release.digest != current.digest).cloned();
        if record.returned_to.as_ref() == Some(&current.digest) {
            let before = || record.previous.clone().filter(|before| before.digest != current.digest);
            let next = further.map(Next::Further).or_else(|| before().map(Next::Before));
            return Self::Already { at: current.clone(), next };
        }
        further.map_or(Self::Nothing, Self::To)
    }
}

/// What `R` would do now.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Target {
    /// A live canary goes to weight 0, at once.
    Canary { environment: EnvironmentName, release: Option<ReleaseRef>, weight: Weight },
    /// Production goes back; arms the banner.
    Production { environment: EnvironmentName, from: ReleaseRef, to: ReleaseRef },
    /// Nothing, and why.
    Nothing(String),
}

impl Target {
    /// What `R` means in this view.
    pub(crate) fn of(view: &View) -> Self {
        if let Some(canary) = live_canary(view) {
            return canary;
        }
        let Some(environment) = production(view) else {
            let why = match view.state {
                SourceState::Loading => "not known yet",
                SourceState::Ready => "nothing to roll back",
            };
            return Self::Nothing(why.into());
        };
        match (&environment.back, environment.record.as_ref().and_then(|record| record.current.as_ref())) {
            (Back::To(to), Some(from)) => Self::Production { environment: environment.name.clone(), from: from.clone(), to: to.clone() },
            (Back::Already { at, next }, _) => {
                let next = match next {
                    Some(Next::Further(further)) => format!("; further back: --to {}", further.tag),
                    Some(Next::Before(before)) => format!("; before that it had {}: --to {}", before.tag, before.tag),
                    None => String::new(),
                };
                Self::Nothing(format!("already reverted to {}{next}", at.tag))
            }
            (Back::Unknown, _) => Self::Nothing(format!("{} is not known yet", environment.name)),
            (Back::Nothing, _) | (Back::To(_), None) => Self::Nothing("nothing to roll back".into()),
        }
    }

    /// What makes two targets the same for a person who pressed `R`; a canary's weight may change meanwhile.
    pub(crate) fn identity(&self) -> Identity {
        match self {
            Self::Canary { environment, release, .. } => {
                Identity::Canary(environment.clone(), release.as_ref().map(|release| release.digest.clone()))
            }
            Self::Production { environment, from, to } => Identity::Production(environment.clone(), from.digest.clone(), to.digest.clone()),
            Self::Nothing(_) => Identity::Nothing,
        }
    }
}

/// A target without what may change while it stays the same one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Identity {
    Canary(EnvironmentName, Option<Digest>),
    Production(EnvironmentName, Digest, Digest),
    Nothing,
}

/// The environment that `P` and `R` mean.
pub(crate) fn production(view: &View) -> Option<&EnvironmentView> {
    match &view.production {
        Some(name) => view.environments.iter().find(|environment| &environment.name == name),
        None => view.environments.first(),
    }
}

/// A canary with weight: as its rollout's journal says, or as the target's record does (another host may drive it).
fn live_canary(view: &View) -> Option<Target> {
    let by_record = view.environments.iter().find_map(|environment| {
        let record = environment.record.as_ref()?;
        let weights = record.weights?;
        let weight = weights.applied.max(weights.requested);
        let slot = record.slot.as_ref()?;
        let ended = view.rollouts.iter().any(|rollout| id(rollout) == Some(&slot.rollout) && rollout.ended.is_some());
        // All the traffic before it is current is a promotion under way: going back still means taking its weight away, not
        // bringing what was current to something older. A slot held by a rollback is no canary.
        let promoted = record.current.as_ref().is_some_and(|current| current.digest == slot.release.digest);
        let canary = weight > Weight::ZERO && !promoted && !ended && !is_rollback(view, &slot.rollout);
        canary.then(|| Target::Canary { environment: environment.name.clone(), release: Some(slot.release.clone()), weight })
    });
    by_record.or_else(|| {
        view.rollouts.iter().rev().find_map(|rollout| {
            let created = rollout.created.as_ref()?;
            let weight = rollout.applied?;
            let live = created.kind == RolloutKind::Release && rollout.has_weight() && !is_back(&rollout.phase) && !is_gone(view, rollout);
            live.then(|| Target::Canary { environment: created.environment.clone(), release: Some(created.release.clone()), weight })
        })
    })
}

/// Whether the target's own record says that this rollout's canary is gone, whatever its journal last knew: its driver finds out when
/// it looks next, and what the target says is decisive.
pub(crate) fn is_gone(view: &View, rollout: &RolloutState) -> bool {
    let Some(created) = rollout.created.as_ref().filter(|_| rollout.has_weight()) else { return false };
    let observed = view.environments.iter().find(|known| known.name == created.environment && known.stale.is_none());
    let record = observed.and_then(|known| known.record.as_ref());
    record.is_some_and(|record| record.slot.as_ref().is_none_or(|slot| slot.rollout != created.rollout))
}

fn is_back(phase: &RolloutPhase) -> bool {
    match phase {
        RolloutPhase::RolledBack { .. } | RolloutPhase::Superseded(_) | RolloutPhase::Cancelled => true,
        RolloutPhase::New
        | RolloutPhase::AwaitingSlot(_)
        | RolloutPhase::Armed { .. }
        | RolloutPhase::Stepping
        | RolloutPhase::Watching
        | RolloutPhase::Promoted
        | RolloutPhase::Failed(_) => false,
    }
}

/// Whether the environment is held by a rollback: then its slot names where it goes, and no canary.
pub(crate) fn is_held_by_rollback(view: &View, record: &EnvironmentRecord) -> bool {
    record.slot.as_ref().is_some_and(|slot| {
        let here = record.current.as_ref().is_some_and(|current| current.digest == slot.release.digest);
        here || is_rollback(view, &slot.rollout)
    })
}

fn is_rollback(view: &View, rollout: &RolloutId) -> bool {
    view.rollouts.iter().any(|known| known.created.as_ref().is_some_and(|c| &c.rollout == rollout && c.kind != RolloutKind::Release))
}

fn id(rollout: &RolloutState) -> Option<&RolloutId> {
    rollout.created.as_ref().map(|created| &created.rollout)
}

/// A rollback that counts down or is being carried out.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct UnderWay<'a> {
    pub(crate) rollout: &'a RolloutId,
    pub(crate) environment: &'a EnvironmentName,
    pub(crate) from: Option<&'a ReleaseRef>,
    pub(crate) to: &'a ReleaseRef,
    pub(crate) stage: Stage<'a>,
}

/// How far it is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Stage<'a> {
    /// It fires by itself at this time.
    Armed(DateTime<Utc>),
    /// It is being done; the last line for people.
    Going(Option<&'a str>),
}

/// The newest rollback that is not over.
pub(crate) fn under_way(view: &View) -> Option<UnderWay<'_>> {
    view.rollouts.iter().rev().filter(|rollout| rollout.ended.is_none()).find_map(|rollout| {
        let created = rollout.created.as_ref().filter(|created| created.kind == RolloutKind::Rollback)?;
        let base = |from, to, stage| UnderWay { rollout: &created.rollout, environment: &created.environment, from, to, stage };
        match &rollout.phase {
            RolloutPhase::Armed { from, to, fires_at } => Some(base(Some(from), to, Stage::Armed(*fires_at))),
            RolloutPhase::New | RolloutPhase::Stepping | RolloutPhase::AwaitingSlot(_) => {
                Some(base(created.previous.as_ref(), &created.release, Stage::Going(rollout.progress.as_deref())))
            }
            RolloutPhase::Watching
            | RolloutPhase::Promoted
            | RolloutPhase::RolledBack { .. }
            | RolloutPhase::Failed(_)
            | RolloutPhase::Superseded(_)
            | RolloutPhase::Cancelled => None,
        }
    })
}
