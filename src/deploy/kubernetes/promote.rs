//! The canary becomes stable. All traffic goes to the arm first, so that stable's pods are changed while they have none.

use std::collections::BTreeMap;

use serde_json::Value;

use super::KubernetesTarget;
use super::access::Trouble;
use super::effects::{GROWTH, Hands, impossible};
use super::in_force::{Quiet, pods_beside, pods_of_stable};
use super::names;
use super::object::{DEPLOYMENT, Edit, Object};
use super::workload::{applied_fields, release_of, replicas, runs, template};
use crate::deploy::{ArmName, ReleaseRecord, TargetError};
use crate::event::{Digest, Weight};
use crate::store::{CrashPoint, reach};

impl Hands<'_> {
    pub(super) async fn promote(&self, release: &Digest) -> Result<(), TargetError> {
        let target = self.target;
        let stable = target.need_workload().await?;
        stable.admit(&self.fence)?;
        let beside = target.beside().await?;
        let is_canary = beside.as_ref().is_some_and(|beside| beside.arm == ArmName::Canary && beside.release.as_ref() == Some(release));
        let half_way = release_of(&stable).as_ref() == Some(release);
        if !is_canary && !half_way {
            let there = beside.and_then(|beside| beside.release).map_or("nothing".to_owned(), |release| release.short().to_owned());
            return Err(impossible(format!("{} is not the canary: {there} is", release.short())));
        }
        if !half_way {
            self.rehearse(&stable, release, self.say).await?;
            self.keep_template(&stable).await?;
        }
        if is_canary && target.router().is_some() {
            if self.all_to_arm(&stable).await? == Quiet::Doubtful {
                warn_of_lost_requests(&stable, self.say);
            }
            reach(CrashPoint::TrafficBeside).await;
        } else {
            warn_of_lost_requests(&stable, self.say);
        }
        let written = self.roll_stable(release).await?;
        reach(CrashPoint::StableWritten).await;
        target.await_rollout(&target.workloads(), target.place.workload.kind(), &written, GROWTH, self).await?;
        self.keep_template(&target.need_workload().await?).await?;
        reach(CrashPoint::StableRolled).await;
        self.all_to_stable().await
    }

    /// Keeps how the workload runs now, under the release that it is, before it is changed.
    pub(super) async fn keep_template(&self, stable: &Object) -> Result<(), TargetError> {
        self.target.records.keep(self.environment, &runs(stable), &self.target.kept_of(stable)).await
    }

    /// Gives the arm all traffic, once it can carry it, and waits until stable gets none.
    pub(super) async fn all_to_arm(&self, stable: &Object) -> Result<Quiet, TargetError> {
        let Some(router) = self.target.router() else { return Ok(Quiet::Doubtful) };
        self.carry(Weight::FULL).await?;
        if router.read().await?.weight != Weight::FULL {
            // Without traffic stable is idle, and whoever scales by load takes its pods: this many carried it.
            let had = replicas(&self.target.need_workload().await?).to_string();
            let name = names::arm_object(self.target.place.workload.name());
            let edit = |_: &Object| Ok(Edit::default().annotate(names::STABLE_PODS, &had));
            self.target.arms().change(&name, names::MANAGER, &self.fence, edit).await?;
        }
        router.set(Weight::FULL, &self.fence).await?;
        (self.say)(format!("{} accepted, all traffic is beside {}", router.name(), self.target.place.workload));
        self.quiet(&self.target.place.workload.to_string(), &pods_of_stable(stable)).await
    }

    /// Gives stable all traffic, once the gateway knows its pods, and takes the arm away.
    pub(super) async fn all_to_stable(&self) -> Result<(), TargetError> {
        if let (Some(router), Some(traffic)) = (self.target.router(), &self.target.place.traffic) {
            self.learned(&traffic.stable, self.refilled().await?).await?;
            router.set(Weight::ZERO, &self.fence).await?;
            (self.say)(format!("{} accepted, all traffic is at {}", router.name(), self.target.place.workload));
            self.mark_stable().await?;
            reach(CrashPoint::TrafficBack).await;
        }
        self.clear_beside().await
    }

    /// The share of stable while it is being changed, for people: none where the arm has the traffic.
    pub(super) fn share_while_changed(&self) -> &'static str {
        if self.target.router().is_some() && self.target.is_deployment() { "0" } else { "100" }
    }

    /// Says at stable that it has everything again.
    async fn mark_stable(&self) -> Result<(), TargetError> {
        let edit = |_: &Object| Ok(Edit::default().annotate(names::TRAFFIC, "100").annotate(names::APPLIED, "100"));
        self.target.workloads().change(self.target.place.workload.name(), names::MANAGER, &self.fence, edit).await?;
        Ok(())
    }

    /// Stable with at least the pods that it had before the arm took its traffic, however few are left of them. Gives how many.
    async fn refilled(&self) -> Result<u32, TargetError> {
        let target = self.target;
        let (stable, beside) = (target.need_workload().await?, target.beside().await?);
        let (now, had) = (replicas(&stable), beside.and_then(|beside| beside.object.annotation(names::STABLE_PODS)?.parse().ok()));
        let Some(had) = had.filter(|had| now < *had) else { return Ok(now) };
        (self.say)(format!(
            "{} was scaled from {had} to {now} pods while it had no traffic: it gets {had} before it has any (an autoscaler goes on from there)",
            target.place.workload
        ));
        let edit = |_: &Object| Ok(Edit::default().put("/spec/replicas", Value::from(had)));
        let written = target.workloads().change(target.place.workload.name(), names::MANAGER, &self.fence, edit).await?;
        target.await_rollout(&target.workloads(), target.place.workload.kind(), &written, GROWTH, self).await?;
        Ok(had)
    }

    /// Takes the arm away, which has no weight, once it gets nothing.
    pub(super) async fn clear_beside(&self) -> Result<(), TargetError> {
        let Some(beside) = self.target.beside().await? else { return Ok(()) };
        self.quiet(&format!("deployment {}", beside.object.name()), &pods_beside(&beside)).await?;
        self.target.remove_beside(&self.fence).await
    }

    /// What is refused is refused while everybody is still served as before: the promotion's own write, tried by the API server.
    pub(super) async fn rehearse(
        &self,
        stable: &Object,
        release: &Digest,
        say: &(dyn Fn(String) + Send + Sync),
    ) -> Result<(), TargetError> {
        let target = self.target;
        if stable.at("/spec/paused").and_then(Value::as_bool) == Some(true) {
            let (workload, name) = (&target.place.workload, stable.name());
            return Err(impossible(format!(
                "{workload} is paused, and would never become another (hint: kubectl rollout resume deployment/{name})"
            )));
        }
        let record = self.need_record(release).await?;
        let fields = applied_fields(&target.place, &template(stable), &record.images, release, &BTreeMap::new())?;
        match target.dry_run(stable, &fields, say).await {
            // Somebody else writes it at this moment: the write itself asks again.
            Ok(_) | Err(Trouble::Conflict { .. }) => Ok(()),
            Err(trouble) => Err(trouble.into()),
        }
    }

    async fn need_record(&self, release: &Digest) -> Result<ReleaseRecord, TargetError> {
        let target = self.target;
        target.records.release(release).await?.ok_or_else(|| TargetError::ReleaseMissing {
            release: release.clone(),
            why: format!("{} has no record of it", target.access.name()),
        })
    }

    async fn roll_stable(&self, release: &Digest) -> Result<Object, TargetError> {
        let target = self.target;
        let record = self.need_record(release).await?;
        let mut annotations = BTreeMap::from([
            (names::RELEASE.to_owned(), release.to_string()),
            (self.fence.name.clone(), self.fence.number.to_string()),
            (names::TRAFFIC.to_owned(), self.share_while_changed().to_owned()),
            (names::REQUESTED.to_owned(), "100".to_owned()),
            (names::APPLIED.to_owned(), self.share_while_changed().to_owned()),
            (names::CHANGE_CAUSE.to_owned(), format!("hms: {} ({})", record.release.tag, release.short())),
        ]);
        if let Some(run) = &record.release.run {
            annotations.insert(names::RUN.to_owned(), run.to_string());
        }
        let fields = |object: &Object| applied_fields(&target.place, &template(object), &record.images, release, &annotations);
        target.apply_release(&self.fence, fields, self.say).await
    }
}

/// A rolling update takes pods out while the gateway still sends to them, unless they wait: about 2 % of requests were lost without.
pub(super) fn warn_of_lost_requests(stable: &Object, say: &(dyn Fn(String) + Send + Sync)) {
    let pod = template(stable);
    let containers = pod.pointer("/spec/containers").and_then(Value::as_array).into_iter().flatten();
    let hasty: Vec<&str> = containers
        .filter(|one| one.pointer("/ports").and_then(Value::as_array).is_some_and(|ports| !ports.is_empty()))
        .filter(|one| one.pointer("/lifecycle/preStop").is_none())
        .filter_map(|one| one.get("name")?.as_str())
        .collect();
    if !hasty.is_empty() {
        say(format!(
            "{} end at once when they are told to, and requests on their way are lost (hint: lifecycle: {{preStop: {{sleep: {{seconds: \
             5}}}}}} in the pod template)",
            hasty.join(", ")
        ));
    }
}

impl KubernetesTarget {
    /// Whether the workload can have an arm beside it.
    pub(super) fn is_deployment(&self) -> bool {
        self.place.workload.kind() == DEPLOYMENT
    }
}
