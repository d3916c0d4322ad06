//! The effects of the contract on a cluster, step by step (`docs/decisions.md` 20.7).

use std::time::Duration;

use serde_json::Value;

use super::KubernetesTarget;
use super::arm::{arm_word, pods_for};
use super::diagnosis::Hope;
use super::in_force::Seen;
use super::names;
use super::object::{DEPLOYMENT, Edit, Fence, Object};
use super::status::{Rollout, rollout};
use super::workload::{release_of, replicas, runs};
use crate::deploy::{Applied, ArmName, Effect, Observation, TargetError};
use crate::event::{Digest, EnvironmentName, Weight};
use crate::store::{CrashPoint, reach};

/// How long pods that only grow or change may take to get further.
pub(super) const GROWTH: Duration = Duration::from_mins(5);

/// One effect on its way.
pub(super) struct Hands<'a> {
    pub(super) target: &'a KubernetesTarget,
    pub(super) environment: &'a EnvironmentName,
    pub(super) fence: Fence,
    /// Told of what happens meanwhile.
    pub(super) say: &'a (dyn Fn(String) + Send + Sync),
}

pub(super) fn impossible(reason: impl Into<String>) -> TargetError {
    TargetError::NotPossible { reason: reason.into() }
}

impl Hands<'_> {
    pub(super) async fn carry_out(&self, effect: &Effect) -> Result<Applied, TargetError> {
        self.admit().await?;
        let mut seen = None;
        match effect {
            Effect::Start { release, arm, timeout_ms } => self.start(release, *arm, Duration::from_millis(*timeout_ms)).await?,
            Effect::Weigh { weight } => seen = self.weigh(*weight).await?,
            Effect::Promote { release } => self.promote(release).await?,
            Effect::Withdraw => self.withdraw().await?,
            Effect::Return { release } => self.go_back(release).await?,
            Effect::Retire { release } => self.retire(release).await?,
        }
        let observation = Observation { served: seen, ..self.target.seen(self.environment).await? };
        Ok(Applied { weight: observation.weight, observation })
    }

    /// An object that is not there yet has no fence of its own: the record's is looked at before one is made.
    pub(super) async fn admit(&self) -> Result<(), TargetError> {
        let record = self.target.records.environment(self.environment).await?;
        if self.fence.number < record.fence {
            let by = record.slot.map(|slot| slot.rollout);
            return Err(TargetError::Superseded { by, fence: record.fence });
        }
        Ok(())
    }

    async fn start(&self, release: &Digest, arm: ArmName, patience: Duration) -> Result<(), TargetError> {
        let target = self.target;
        if target.records.release(release).await?.is_none() {
            let why = format!("{} has no record of it", target.access.name());
            return Err(TargetError::ReleaseMissing { release: release.clone(), why });
        }
        let stable = target.need_workload().await?;
        stable.admit(&self.fence)?;
        if stable.annotation(names::ARM) == Some("canary") || target.place.workload.kind() != DEPLOYMENT {
            return self.start_in_place(&stable, release, arm).await;
        }
        let runs = runs(&stable);
        match arm {
            ArmName::Stable => return Err(impossible("a release becomes stable by promotion or return, not by a start")),
            ArmName::Canary if runs == *release => {
                return Err(impossible(format!("{} is stable already", release.short())));
            }
            ArmName::Standby if runs == *release && target.is_as_left(self.environment, &stable).await? => return Ok(()),
            ArmName::Canary | ArmName::Standby => {}
        }
        let there = target.beside().await?;
        if let Some(there) = &there
            && there.release.as_ref() != Some(release)
            && target.route().await?.is_some_and(|route| route.weight > Weight::ZERO)
        {
            let other = there.release.as_ref().map_or("another release", Digest::short);
            return Err(impossible(format!("{other} is beside stable and has traffic")));
        }
        let is_there = there.is_some();
        let pod = match arm {
            ArmName::Standby => target.template_for(self, &stable, release).await?,
            ArmName::Canary | ArmName::Stable => target.new_template(&stable, release).await?,
        };
        let pods = match arm {
            ArmName::Standby => KubernetesTarget::full_size(&stable),
            ArmName::Canary | ArmName::Stable => there.as_ref().map_or(1, |there| replicas(&there.object).max(1)),
        };
        if stable.at("/spec/strategy/type").and_then(Value::as_str) == Some("Recreate") {
            let workload = &target.place.workload;
            (self.say)(format!(
                "the strategy of {workload} is Recreate, for which no two versions run at once: {} and it do now",
                release.short()
            ));
        }
        if arm == ArmName::Canary {
            self.rehearse(&stable, release, &|_| ()).await?;
        }
        (self.say)(format!("starting {} beside {} as {}", release.short(), target.place.workload, arm_word(arm)));
        let written = target.put_beside(self, &stable, arm, release, &pod, pods).await?;
        reach(CrashPoint::ArmWritten).await;
        match target.await_rollout(&target.arms(), DEPLOYMENT, &written, patience, self).await {
            Ok(_) => {
                // Available to the cluster is not known to the gateway.
                match &target.place.traffic {
                    Some(traffic) => self.learned(&traffic.canary, pods).await,
                    None => Ok(()),
                }
            }
            Err(error) if arm == ArmName::Standby && self.lacks_room(&written, &error).await? => {
                (self.say)(format!(
                    "{} cannot come up beside {} ({error}): it comes back in place, by the workload's own strategy",
                    release.short(),
                    target.place.workload
                ));
                let edit = |_: &Object| Ok(Edit::default().annotate(names::IN_PLACE, "true").put("/spec/replicas", Value::from(0)));
                target.arms().change(&written.name(), names::MANAGER, &self.fence, edit).await?;
                // A quota counts those that are ending, too: the room is there when they are gone.
                let pods = names::selector(&super::arm::labels_at(written.at("/spec/selector/matchLabels")));
                target.until_gone(&pods).await
            }
            Err(error) => {
                // What never came up takes no place. One that was up before stays for whoever looks.
                if !is_there && matches!(error, TargetError::StartFailed { .. }) {
                    target.remove_beside(&self.fence).await?;
                }
                Err(error)
            }
        }
    }

    /// Whether a release did not come up for want of room (quota, nodes, time), and not by its own fault: then it can take the place of the pods
    /// that are there, one after another. Not while the arm has traffic, whose pods would go for it.
    async fn lacks_room(&self, written: &Object, error: &TargetError) -> Result<bool, TargetError> {
        let target = self.target;
        if !matches!(error, TargetError::StartFailed { .. }) || target.route().await?.is_some_and(|route| route.weight > Weight::ZERO) {
            return Ok(false);
        }
        let pods = names::selector(&super::arm::labels_at(written.at("/spec/selector/matchLabels")));
        Ok(!matches!(target.why_not_up(&pods).await, Some((finding, _)) if finding.hope == Hope::None))
    }

    /// A workload that can have nothing beside it: the new template is tried by the server, and rolled out at promotion.
    async fn start_in_place(&self, stable: &Object, release: &Digest, arm: ArmName) -> Result<(), TargetError> {
        if release_of(stable).as_ref() == Some(release) {
            return Ok(());
        }
        let word = self.target.place.workload.to_string();
        match arm {
            ArmName::Canary => Err(impossible(format!(
                "{word} can have no canary beside it: only a Deployment can (hint: hms-deploy --env with the environment itself)"
            ))),
            ArmName::Standby | ArmName::Stable => {
                self.target.template_for(self, stable, release).await?;
                Ok(())
            }
        }
    }

    /// Another weight: the arm can carry it first, then the router gives it.
    async fn weigh(&self, weight: Weight) -> Result<Option<Seen>, TargetError> {
        let target = self.target;
        let Some(beside) = target.beside().await?.filter(|beside| beside.arm == ArmName::Canary) else {
            if let Some(router) = target.router().filter(|_| weight == Weight::ZERO) {
                // A weight that leads to nothing is taken away like any other.
                router.set(weight, &self.fence).await?;
                return Ok(None);
            }
            return Err(impossible("there is no canary to give traffic to"));
        };
        beside.object.admit(&self.fence)?;
        let Some(router) = target.router() else {
            let pods = replicas(&target.need_workload().await?);
            let best = 100.0 / f64::from(pods + 1);
            return Err(impossible(format!(
                "no router is named, so {weight} cannot be given: with {pods} pods the least is {best:.1} % (hint: `traffic: {{httproute: \
                 NAME, stable: SERVICE, canary: SERVICE}}` in .hms)"
            )));
        };
        self.carry(weight).await?;
        let before = router.read().await?.weight;
        let seen = router.set(weight, &self.fence).await?;
        for warning in seen.warnings {
            (self.say)(format!("{}: {warning}", router.name()));
        }
        (self.say)(format!("{} accepted, the canary has {}", router.name(), seen.weight));
        self.mark(weight, seen.weight).await?;
        // Weight 0 is told when it is accepted: whoever asked for it waits for nothing.
        if weight == Weight::ZERO {
            return Ok(None);
        }
        self.in_force((before, weight), &beside, &target.need_workload().await?).await
    }

    /// Makes the arm large enough for a share before it gets it.
    pub(super) async fn carry(&self, weight: Weight) -> Result<(), TargetError> {
        let target = self.target;
        let stable = target.need_workload().await?;
        let needed = if weight == Weight::ZERO { 0 } else { pods_for(KubernetesTarget::full_size(&stable), weight) };
        let Some(beside) = target.beside().await? else { return Err(impossible("there is nothing beside stable")) };
        if replicas(&beside.object) < needed {
            (self.say)(format!("{needed} pods for {weight}"));
            target.resize_beside(self, needed, GROWTH).await?;
            if let Some(traffic) = &target.place.traffic {
                self.learned(&traffic.canary, needed).await?;
            }
        }
        let selector = super::arm::labels_at(beside.object.at("/spec/selector/matchLabels"));
        let ready = target.pods(&names::selector(&selector)).await?.ready;
        if ready < needed {
            let reason = format!("{ready} of {needed} pods that {weight} needs are ready; the weight stays as it is");
            return Err(TargetError::StartFailed { reason, last_lines: Vec::new() });
        }
        Ok(())
    }

    /// Writes for people what the weight is; truth is the record.
    async fn mark(&self, requested: Weight, applied: Weight) -> Result<(), TargetError> {
        let per_cent = |weight: Weight| weight.to_string().trim_end_matches('%').trim_end().to_owned();
        let name = names::arm_object(self.target.place.workload.name());
        let edit = |_: &Object| {
            Ok(Edit::default()
                .annotate(names::TRAFFIC, &per_cent(applied))
                .annotate(names::APPLIED, &per_cent(applied))
                .annotate(names::REQUESTED, &per_cent(requested)))
        };
        self.target.arms().change(&name, names::MANAGER, &self.fence, edit).await?;
        Ok(())
    }

    /// All traffic back to stable at once; then the arm goes.
    async fn withdraw(&self) -> Result<(), TargetError> {
        self.may_lower().await?;
        if let Some(router) = self.target.router() {
            router.set(Weight::ZERO, &self.fence).await?;
            (self.say)(format!("{} accepted, the canary has nothing", router.name()));
            reach(CrashPoint::TrafficBack).await;
        }
        self.clear_beside().await
    }

    /// Stable that is being changed to what the arm runs has pods of both, or none: users stay with the arm until a promotion or a return is
    /// through. What cannot be read stops no withdrawal.
    async fn may_lower(&self) -> Result<(), TargetError> {
        let (Ok(Some(stable)), Ok(Some(beside))) = (self.target.workload().await, self.target.beside().await) else { return Ok(()) };
        let is_changed = beside.arm == ArmName::Canary && beside.release == Some(runs(&stable));
        let is_through = matches!(rollout(self.target.place.workload.kind(), &stable, 0), Rollout::Done { .. });
        if is_changed && !is_through && matches!(self.target.route().await, Ok(Some(route)) if route.weight > Weight::ZERO) {
            return Err(impossible(format!(
                "{} is in the middle of being changed, so the arm beside it keeps its traffic (hint: hms rollback --env {})",
                self.target.place.workload, self.environment
            )));
        }
        Ok(())
    }

    async fn retire(&self, release: &Digest) -> Result<(), TargetError> {
        let stable = self.target.need_workload().await?;
        if runs(&stable) == *release {
            return Err(impossible(format!("{} is stable", release.short())));
        }
        match self.target.beside().await? {
            Some(beside) if beside.release.as_ref() == Some(release) && beside.arm == ArmName::Standby => {
                self.target.remove_beside(&self.fence).await
            }
            Some(beside) if beside.release.as_ref() == Some(release) => Err(impossible(format!("{} is the canary", release.short()))),
            Some(_) | None => Ok(()),
        }
    }
}
