//! The canary becomes stable. All traffic goes to the arm first, so that stable's pods are changed while they have none.

use std::collections::BTreeMap;

use serde_json::Value;

use super::KubernetesTarget;
use super::access::Trouble;
use super::effects::{GROWTH, Hands, impossible};
use super::in_force::{Quiet, pods_beside, pods_of_stable};
use super::names;
use super::object::{DEPLOYMENT, Edit, Object};
use super::set::{Member, all, kept_of, whole};
use super::workload::{applied_fields, release_of, replicas, runs, template};
use crate::deploy::{ArmName, ReleaseRecord, TargetError};
use crate::event::{Digest, Weight};
use crate::store::{CrashPoint, reach};

impl Hands<'_> {
    pub(super) async fn promote(&self, release: &Digest) -> Result<(), TargetError> {
        let target = self.target;
        let members = self.read(target.members()).await?;
        let beside = target.beside().await?;
        let is_canary = beside.as_ref().is_some_and(|beside| beside.arm == ArmName::Canary && beside.release.as_ref() == Some(release));
        let half_way = members.iter().any(|member| release_of(&member.object).as_ref() == Some(release));
        if !is_canary && !half_way {
            let there = beside.and_then(|beside| beside.release).map_or("nothing".to_owned(), |release| release.short().to_owned());
            return Err(impossible(format!("{} is not the canary: {there} is", release.short())));
        }
        target.is_for_all(&self.need_record(release).await?)?;
        if !half_way {
            for member in &members {
                self.at(&member.target).rehearse(&member.object, release, self.say).await?;
            }
            self.keep_templates(&members).await?;
        }
        let warn = |member: &Member| warn_of_lost_requests(&member.object, self.say);
        if is_canary && target.router().is_some() {
            if self.all_to_arm(&members).await? == Quiet::Doubtful {
                members.iter().for_each(warn);
            } else {
                members.iter().filter(|member| !member.target.is_routed()).for_each(warn);
            }
            reach(CrashPoint::TrafficBeside).await;
        } else {
            members.iter().for_each(warn);
        }
        let mut outcomes = Vec::new();
        for member in &members {
            let outcome = self.at(&member.target).roll_stable(release).await;
            let is_bad = outcome.is_err();
            outcomes.push((member.target.clone(), outcome));
            if is_bad {
                break;
            }
        }
        let written = whole(outcomes)?;
        reach(CrashPoint::StableWritten).await;
        self.all_rolled_out(&members, &written).await?;
        self.keep_templates(&self.read(target.members()).await?).await?;
        reach(CrashPoint::StableRolled).await;
        self.all_to_stable().await
    }

    /// Keeps how the workloads run now, under the release that they are, before they are changed.
    pub(super) async fn keep_templates(&self, members: &[Member]) -> Result<(), TargetError> {
        let Some(stable) = members.first() else { return Ok(()) };
        self.target.records.keep(self.environment, &runs(&stable.object), &kept_of(members)).await
    }

    /// Waits until each of these workloads is rolled out as it was `written`.
    pub(super) async fn all_rolled_out(&self, members: &[Member], written: &[Object]) -> Result<(), TargetError> {
        let hands: Vec<Hands<'_>> = members.iter().map(|member| self.at(&member.target)).collect();
        let waits = hands.iter().zip(written).map(|(hands, written)| {
            let target = hands.target;
            async move { target.await_rollout(&target.workloads(), target.place.workload.kind(), written, GROWTH, hands).await }
        });
        let outcomes = all(waits.collect()).await;
        whole(members.iter().map(|member| member.target.clone()).zip(outcomes).collect()).map(drop)
    }

    /// Gives the arms all traffic, once they can carry it, and waits until stable gets none.
    pub(super) async fn all_to_arm(&self, members: &[Member]) -> Result<Quiet, TargetError> {
        let targets: Vec<KubernetesTarget> = members.iter().map(|member| member.target.clone()).collect();
        let Some(router) = self.target.router_of(&targets) else { return Ok(Quiet::Doubtful) };
        let led: Vec<&Member> = members.iter().filter(|member| member.target.is_routed()).collect();
        for member in &led {
            self.at(&member.target).carry(Weight::FULL).await?;
        }
        if router.read().await?.weight != Weight::FULL {
            for member in &led {
                // Without traffic stable is idle, and whoever scales by load takes its pods: this many carried it.
                let had = replicas(&member.target.need_workload().await?).to_string();
                let name = names::arm_object(member.target.place.workload.name());
                let edit = |_: &Object| Ok(Edit::default().annotate(names::STABLE_PODS, &had));
                self.target.arms().change(&name, names::MANAGER, &self.fence, edit).await?;
            }
        }
        let seen = router.set(Weight::FULL, &self.fence).await?;
        self.warn(&router, &seen);
        let who: Vec<String> = led.iter().map(|member| member.target.place.workload.to_string()).collect();
        (self.say)(format!("{} accepted, all traffic is beside {}", router.name(), who.join(", ")));
        let mut quiet = Quiet::Yes;
        for member in &led {
            if self.quiet(&member.target.place.workload.to_string(), &pods_of_stable(&member.object)).await? == Quiet::Doubtful {
                quiet = Quiet::Doubtful;
            }
        }
        Ok(quiet)
    }

    /// Gives stable all traffic, once the gateway knows its pods, and takes the arms away.
    pub(super) async fn all_to_stable(&self) -> Result<(), TargetError> {
        if let Some(router) = self.target.router() {
            let members = self.target.members();
            let led = || members.iter().filter_map(|member| Some((member, member.place.traffic.as_ref()?)));
            for (member, traffic) in led() {
                let hands = self.at(member);
                hands.learned(&traffic.stable, hands.refilled().await?).await?;
            }
            let seen = router.set(Weight::ZERO, &self.fence).await?;
            self.warn(&router, &seen);
            let who: Vec<String> = led().map(|(member, _)| member.place.workload.to_string()).collect();
            (self.say)(format!("{} accepted, all traffic is at {}", router.name(), who.join(", ")));
            for (member, _) in led() {
                self.at(member).mark_stable().await?;
            }
            reach(CrashPoint::TrafficBack).await;
        }
        self.clear_all_beside().await
    }

    /// The share of stable while it is being changed, for people: none where the arm has the traffic.
    pub(super) fn share_while_changed(&self) -> &'static str {
        if self.target.is_routed() && self.target.is_deployment() { "0" } else { "100" }
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

    /// Takes the arms away, which have no weight, once they get nothing.
    pub(super) async fn clear_all_beside(&self) -> Result<(), TargetError> {
        for (member, beside) in self.target.all_beside().await? {
            if member.is_routed() {
                self.quiet(&format!("deployment {}", beside.object.name()), &pods_beside(&beside)).await?;
            }
            member.remove_beside(&self.fence).await?;
        }
        Ok(())
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
        let fields = applied_fields(&target.place, &template(stable), &target.images_for(&record), release, &BTreeMap::new())?;
        match target.dry_run(stable, &fields, say).await {
            // Somebody else writes it at this moment: the write itself asks again.
            Ok(_) | Err(Trouble::Conflict { .. }) => Ok(()),
            Err(trouble) => Err(trouble.into()),
        }
    }

    pub(super) async fn need_record(&self, release: &Digest) -> Result<ReleaseRecord, TargetError> {
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
        let images = target.images_for(&record);
        let fields = |object: &Object| applied_fields(&target.place, &template(object), &images, release, &annotations);
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
