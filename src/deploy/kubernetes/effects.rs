//! The effects of the contract on a cluster, step by step (`docs/decisions.md` 20.7).

use std::time::Duration;

use super::KubernetesTarget;
use super::arm::pods_for;
use super::beside::Beside;
use super::in_force::Seen;
use super::names;
use super::object::{Edit, Fence, Object};
use super::router::{RouteView, Router};
use super::set::Role;
use super::status::{Rollout, rollout};
use super::workload::{replicas, runs};
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

    /// Another weight: the arms can carry it first, then the router gives it to all of them in one write.
    async fn weigh(&self, weight: Weight) -> Result<Option<Seen>, TargetError> {
        let target = self.target;
        let beside = target.all_beside().await?;
        let lacks = |member: &&KubernetesTarget| {
            let is_there =
                |(one, beside): &(KubernetesTarget, Beside)| one.place.workload == member.place.workload && beside.arm == ArmName::Canary;
            (member.role == Role::Leads || member.is_routed()) && !beside.iter().any(is_there)
        };
        if let Some(lacking) = target.members().iter().find(lacks) {
            if let Some(router) = target.router().filter(|_| weight == Weight::ZERO) {
                // A weight that leads to nothing is taken away like any other.
                router.set(weight, &self.fence).await?;
                return Ok(None);
            }
            return Err(impossible(match lacking.role {
                Role::Leads => "there is no canary to give traffic to".to_owned(),
                Role::Follows => format!("there is no canary beside {} to give traffic to", lacking.place.workload),
            }));
        }
        for (_, beside) in &beside {
            beside.object.admit(&self.fence)?;
        }
        let Some(router) = target.router() else {
            let pods = replicas(&target.need_workload().await?);
            let best = 100.0 / f64::from(pods + 1);
            return Err(impossible(format!(
                "no router is named, so {weight} cannot be given: with {pods} pods the least is {best:.1} % (hint: `traffic: {{httproute: \
                 NAME, stable: SERVICE, canary: SERVICE}}` in .hms)"
            )));
        };
        for (member, _) in &beside {
            self.at(member).carry(weight).await?;
        }
        let before = router.read().await?.weight;
        let seen = router.set(weight, &self.fence).await?;
        self.warn(&router, &seen);
        (self.say)(format!("{} accepted, the canary has {}", router.name(), seen.weight));
        for (member, _) in &beside {
            self.at(member).mark(weight, seen.weight).await?;
        }
        // Weight 0 is told when it is accepted: whoever asked for it waits for nothing.
        if weight == Weight::ZERO {
            return Ok(None);
        }
        let mut measured = Vec::new();
        for (member, beside) in beside.into_iter().filter(|(member, _)| member.is_routed()) {
            measured.push((beside, member.need_workload().await?));
        }
        self.in_force((before, weight), &measured).await
    }

    /// Says what a router's object warns of.
    pub(super) fn warn(&self, router: &Router, seen: &RouteView) {
        for warning in &seen.warnings {
            (self.say)(format!("{}: {warning}", router.name()));
        }
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

    /// All traffic back to stable at once; then the arms go.
    async fn withdraw(&self) -> Result<(), TargetError> {
        self.may_lower().await?;
        if let Some(router) = self.target.router() {
            let seen = router.set(Weight::ZERO, &self.fence).await?;
            self.warn(&router, &seen);
            (self.say)(format!("{} accepted, the canary has nothing", router.name()));
            reach(CrashPoint::TrafficBack).await;
        }
        self.clear_all_beside().await
    }

    /// Stable that is being changed to what the arm runs has pods of both, or none: users stay with the arm until a promotion or a return is
    /// through. What cannot be read stops no withdrawal.
    async fn may_lower(&self) -> Result<(), TargetError> {
        for member in self.target.members() {
            let (Ok(Some(stable)), Ok(Some(beside))) = (member.workload().await, member.beside().await) else { continue };
            let is_changed = beside.arm == ArmName::Canary && beside.release == Some(runs(&stable));
            if is_changed
                && !self.is_promoted(&runs(&stable)).await
                && matches!(self.target.route().await, Ok(Some(route)) if route.weight > Weight::ZERO)
            {
                return Err(impossible(format!(
                    "{} is in the middle of being changed, so the arm beside it keeps its traffic (hint: hms rollback --env {})",
                    member.place.workload, self.environment
                )));
            }
        }
        Ok(())
    }

    /// Whether every workload has that release and is rolled out; one that cannot be read is passed over.
    async fn is_promoted(&self, release: &Digest) -> bool {
        for member in self.target.members() {
            let Ok(Some(object)) = member.workload().await else { continue };
            let is_through = matches!(rollout(member.place.workload.kind(), &object, 0), Rollout::Done { .. });
            if !is_through || !member.is_of(release, &object, false) {
                return false;
            }
        }
        true
    }

    async fn retire(&self, release: &Digest) -> Result<(), TargetError> {
        let stable = self.target.need_workload().await?;
        if runs(&stable) == *release {
            return Err(impossible(format!("{} is stable", release.short())));
        }
        for (member, beside) in self.target.all_beside().await? {
            match beside.arm {
                _ if beside.release.as_ref() != Some(release) => {}
                ArmName::Standby => member.remove_beside(&self.fence).await?,
                ArmName::Canary | ArmName::Stable => return Err(impossible(format!("{} is the canary", release.short()))),
            }
        }
        Ok(())
    }
}
