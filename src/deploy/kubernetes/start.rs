//! A release comes up beside stable, at every workload that it is for, without traffic.

use std::time::Duration;

use serde_json::Value;

use super::KubernetesTarget;
use super::arm::arm_word;
use super::beside::Beside;
use super::diagnosis::Hope;
use super::effects::{Hands, impossible};
use super::names;
use super::object::{DEPLOYMENT, Edit, Object};
use super::set::{Member, Role, all, whole};
use super::workload::{release_of, replicas, runs};
use crate::deploy::{ArmName, TargetError};
use crate::event::{Digest, Weight};
use crate::store::{CrashPoint, reach};

/// An arm that was written, and not waited for.
struct Written {
    member: KubernetesTarget,
    object: Object,
    pods: u32,
}

impl Hands<'_> {
    pub(super) async fn start(&self, release: &Digest, arm: ArmName, patience: Duration) -> Result<(), TargetError> {
        let target = self.target;
        let record = self.need_record(release).await?;
        if arm == ArmName::Canary {
            target.is_for_all(&record)?;
        }
        let members = self.read(target.parts(self.environment, release).await?).await?;
        let [stable, ..] = members.as_slice() else { return Ok(()) };
        if stable.object.annotation(names::ARM) == Some("canary") || !target.is_deployment() {
            for member in &members {
                self.at(&member.target).start_in_place(&member.object, release, arm).await?;
            }
            return Ok(());
        }
        match arm {
            ArmName::Stable => return Err(impossible("a release becomes stable by promotion or return, not by a start")),
            ArmName::Canary if runs(&stable.object) == *release => {
                return Err(impossible(format!("{} is stable already", release.short())));
            }
            ArmName::Standby if self.all_at(&members, release).await? => return Ok(()),
            ArmName::Canary | ArmName::Standby => {}
        }
        let there = target.all_beside().await?;
        self.bars_another(&there, release).await?;
        if arm == ArmName::Canary {
            for member in &members {
                self.at(&member.target).rehearse(&member.object, release, &|_| ()).await?;
            }
        }
        if arm == ArmName::Canary {
            self.migrate(&stable.object, &record).await?;
        }
        let with_arm: Vec<&Member> = members.iter().filter(|member| member.target.gets_arm(arm)).collect();
        let mut written = Vec::new();
        for member in &with_arm {
            let beside = there.iter().find(|(one, _)| one.place.workload == member.target.place.workload).map(|(_, beside)| beside);
            written.push(self.at(&member.target).write_arm(member, beside, release, arm).await?);
        }
        reach(CrashPoint::ArmWritten).await;
        let hands: Vec<Hands<'_>> = written.iter().map(|one| self.at(&one.member)).collect();
        let waits = hands.iter().zip(&written).map(|(hands, one)| hands.up(one, patience)).collect();
        let outcomes = all(waits).await;
        match whole(written.iter().map(|one| one.member.clone()).zip(outcomes).collect()) {
            Ok(_) => Ok(()),
            Err(error) if arm == ArmName::Standby && self.lacks_room(&written, &error).await? => {
                (self.say)(format!(
                    "{} cannot come up beside {} ({error}): it comes back in place, by the workload's own strategy",
                    release.short(),
                    target.place.workload
                ));
                for one in &written {
                    let edit = |_: &Object| Ok(Edit::default().annotate(names::IN_PLACE, "true").put("/spec/replicas", Value::from(0)));
                    target.arms().change(&one.object.name(), names::MANAGER, &self.fence, edit).await?;
                }
                // A quota counts those that are ending, too: the room is there when they are gone.
                for one in &written {
                    target.until_gone(&one.pods()).await?;
                }
                Ok(())
            }
            Err(error) => {
                // What never came up takes no place. One that was up before stays for whoever looks.
                if there.is_empty() && matches!(error, TargetError::StartFailed { .. }) {
                    for one in &written {
                        one.member.remove_beside(&self.fence).await?;
                    }
                }
                Err(error)
            }
        }
    }

    /// Whether each of these workloads is that release, as it was left.
    pub(super) async fn all_at(&self, members: &[Member], release: &Digest) -> Result<bool, TargetError> {
        for member in members {
            if !member.target.is_at(self.environment, release, &member.object).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Another release beside stable keeps its place as long as it has traffic.
    async fn bars_another(&self, there: &[(KubernetesTarget, Beside)], release: &Digest) -> Result<(), TargetError> {
        let Some((_, other)) = there.iter().find(|(_, beside)| beside.release.as_ref() != Some(release)) else { return Ok(()) };
        if self.target.route().await?.is_none_or(|route| route.weight == Weight::ZERO) {
            return Ok(());
        }
        let other = other.release.as_ref().map_or("another release", Digest::short);
        Err(impossible(format!("{other} is beside stable and has traffic")))
    }

    /// Writes the arm of one workload.
    async fn write_arm(&self, stable: &Member, there: Option<&Beside>, release: &Digest, arm: ArmName) -> Result<Written, TargetError> {
        let (target, stable) = (self.target, &stable.object);
        let pod = match arm {
            ArmName::Standby => target.template_for(self, stable, release).await?,
            ArmName::Canary | ArmName::Stable => target.new_template(stable, release).await?,
        };
        let pods = match arm {
            ArmName::Standby => KubernetesTarget::full_size(stable),
            ArmName::Canary | ArmName::Stable => there.map_or(1, |there| replicas(&there.object).max(1)),
        };
        if stable.at("/spec/strategy/type").and_then(Value::as_str) == Some("Recreate") {
            let workload = &target.place.workload;
            (self.say)(format!(
                "the strategy of {workload} is Recreate, for which no two versions run at once: {} and it do now",
                release.short()
            ));
        }
        (self.say)(format!("starting {} beside {} as {}", release.short(), target.place.workload, arm_word(arm)));
        let object = target.put_beside(self, stable, arm, release, &pod, pods).await?;
        Ok(Written { member: target.clone(), object, pods })
    }

    /// Waits until an arm is up, and until the gateway knows it.
    async fn up(&self, written: &Written, patience: Duration) -> Result<(), TargetError> {
        let target = self.target;
        target.await_rollout(&target.arms(), DEPLOYMENT, &written.object, patience, self).await?;
        // Available to the cluster is not known to the gateway.
        match &target.place.traffic {
            Some(traffic) => self.learned(&traffic.canary, written.pods).await,
            None => Ok(()),
        }
    }

    /// Whether a release did not come up for want of room (quota, nodes, time), and not by its own fault: then it can take the place of the pods
    /// that are there, one after another. Not while the arm has traffic, whose pods would go for it.
    async fn lacks_room(&self, written: &[Written], error: &TargetError) -> Result<bool, TargetError> {
        let target = self.target;
        if !matches!(error, TargetError::StartFailed { .. }) || target.route().await?.is_some_and(|route| route.weight > Weight::ZERO) {
            return Ok(false);
        }
        for one in written {
            if matches!(target.why_not_up(&one.pods()).await, Some((finding, _)) if finding.hope == Hope::None) {
                return Ok(false);
            }
        }
        Ok(true)
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
}

impl Written {
    fn pods(&self) -> String {
        names::selector(&super::arm::labels_at(self.object.at("/spec/selector/matchLabels")))
    }
}

impl KubernetesTarget {
    /// Whether this workload has something beside it in that arm. One that follows and that no router leads to is gone back to in place:
    /// nobody could be led to what is beside it.
    fn gets_arm(&self, arm: ArmName) -> bool {
        self.is_deployment() && (self.role == Role::Leads || self.is_routed() || arm == ArmName::Canary)
    }
}
