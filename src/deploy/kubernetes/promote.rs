//! The canary becomes stable. All traffic goes to the arm first, so that stable's pods are changed while they have none.

use std::collections::BTreeMap;

use serde_json::Value;

use super::KubernetesTarget;
use super::effects::{GROWTH, Hands, impossible};
use super::in_force::{Quiet, pods_beside, pods_of_stable};
use super::names;
use super::object::{DEPLOYMENT, Object};
use super::workload::{applied_fields, release_of, replicas, runs, template};
use crate::deploy::{ArmName, TargetError};
use crate::event::{Digest, Weight};
use crate::store::{CrashPoint, reach};

impl Hands<'_> {
    pub(super) async fn promote(&self, release: &Digest) -> Result<(), TargetError> {
        let target = self.target;
        let stable = target.need_workload().await?;
        stable.admit(self.fence)?;
        let beside = target.beside().await?;
        let is_canary = beside.as_ref().is_some_and(|beside| beside.arm == ArmName::Canary && beside.release.as_ref() == Some(release));
        let half_way = release_of(&stable).as_ref() == Some(release);
        if !is_canary && !half_way {
            let there = beside.and_then(|beside| beside.release).map_or("nothing".to_owned(), |release| release.short().to_owned());
            return Err(impossible(format!("{} is not the canary: {there} is", release.short())));
        }
        if !half_way {
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

    /// Keeps the template that runs now, under the release that it is, before it is changed.
    pub(super) async fn keep_template(&self, stable: &Object) -> Result<(), TargetError> {
        let release = runs(stable);
        let templates = BTreeMap::from([(self.target.place.workload.to_string(), template(stable))]);
        self.target.records.put_templates(self.environment, &release, &templates).await
    }

    /// Gives the arm all traffic, once it can carry it, and waits until stable gets none.
    pub(super) async fn all_to_arm(&self, stable: &Object) -> Result<Quiet, TargetError> {
        let Some(router) = self.target.router() else { return Ok(Quiet::Doubtful) };
        self.carry(Weight::FULL).await?;
        router.set(Weight::FULL, self.fence).await?;
        (self.say)(format!("{} accepted, all traffic is beside {}", router.name(), self.target.place.workload));
        self.quiet(&self.target.place.workload.to_string(), &pods_of_stable(stable)).await
    }

    /// Gives stable all traffic, once the gateway knows its pods, and takes the arm away.
    pub(super) async fn all_to_stable(&self) -> Result<(), TargetError> {
        if let (Some(router), Some(traffic)) = (self.target.router(), &self.target.place.traffic) {
            self.learned(&traffic.stable, replicas(&self.target.need_workload().await?)).await?;
            router.set(Weight::ZERO, self.fence).await?;
            (self.say)(format!("{} accepted, all traffic is at {}", router.name(), self.target.place.workload));
            reach(CrashPoint::TrafficBack).await;
        }
        self.clear_beside().await
    }

    /// Takes the arm away, which has no weight, once it gets nothing.
    pub(super) async fn clear_beside(&self) -> Result<(), TargetError> {
        let Some(beside) = self.target.beside().await? else { return Ok(()) };
        self.quiet(&format!("deployment {}", beside.object.name()), &pods_beside(&beside)).await?;
        self.target.remove_beside(self.fence).await
    }

    async fn roll_stable(&self, release: &Digest) -> Result<Object, TargetError> {
        let target = self.target;
        let record = target.records.release(release).await?.ok_or_else(|| TargetError::ReleaseMissing {
            release: release.clone(),
            why: format!("{} has no record of it", target.access.name()),
        })?;
        let mut annotations = BTreeMap::from([
            (names::RELEASE.to_owned(), release.to_string()),
            (names::FENCE.to_owned(), self.fence.to_string()),
            (names::TRAFFIC.to_owned(), "100".to_owned()),
            (names::REQUESTED.to_owned(), "100".to_owned()),
            (names::APPLIED.to_owned(), "100".to_owned()),
            (names::CHANGE_CAUSE.to_owned(), format!("hms: {} ({})", record.release.tag, release.short())),
        ]);
        if let Some(run) = &record.release.run {
            annotations.insert(names::RUN.to_owned(), run.to_string());
        }
        let fields = |object: &Object| applied_fields(&target.place, &template(object), &record.images, release, &annotations);
        target.apply_release(self.fence, fields, self.say).await
    }
}

/// A rolling update takes pods out while the gateway still sends to them, unless they wait: about 2 % of requests were lost without.
fn warn_of_lost_requests(stable: &Object, say: &(dyn Fn(String) + Send + Sync)) {
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
