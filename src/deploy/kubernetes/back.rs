//! Back to a release with all traffic: its pods come up beside stable, get the traffic, and only then is stable changed.

use serde_json::Value;

use super::beside::Beside;
use super::effects::Hands;
use super::names::{self, ROLLBACK_MANAGER};
use super::object::{Edit, Object};
use super::promote::warn_of_lost_requests;
use super::set::Member;
use super::workload::release_of;
use crate::deploy::TargetError;
use crate::event::{Digest, Weight};
use crate::store::{CrashPoint, reach};

impl Hands<'_> {
    pub(super) async fn go_back(&self, release: &Digest) -> Result<(), TargetError> {
        let target = self.target;
        let parts = target.parts(self.environment, release).await?;
        for left in target.members().iter().filter(|one| !parts.iter().any(|part| part.place.workload == one.place.workload)) {
            (self.say)(format!("{} stays as it is: {} was not released with it", left.place.workload, release.short()));
        }
        let members = self.read(parts).await?;
        let beside = target.beside().await?;
        if !self.all_at(&members, release).await? && target.router().is_some() && target.is_deployment() {
            match &beside {
                Some(beside) if beside.release.as_ref() == Some(release) && beside.object.annotation(names::IN_PLACE).is_some() => {
                    for member in &members {
                        warn_of_lost_requests(&member.object, self.say);
                    }
                }
                Some(beside) if beside.release.as_ref() == Some(release) => {
                    self.all_to_arm(&members).await?;
                    reach(CrashPoint::TrafficBeside).await;
                }
                Some(beside) if target.route().await?.is_some_and(|route| route.weight == Weight::FULL) => self.hold_beside(beside).await?,
                Some(_) | None => {
                    return Err(super::effects::impossible(format!("{} does not run beside {}", release.short(), target.place.workload)));
                }
            }
        }
        let mut written = Vec::new();
        for member in &members {
            // One that has the template already may be in the middle of rolling it out.
            let is_there = member.target.is_at(self.environment, release, &member.object).await?;
            written.push(if is_there { member.object.clone() } else { self.at(&member.target).put_back(member, release).await? });
        }
        reach(CrashPoint::StableWritten).await;
        self.all_rolled_out(&members, &written).await?;
        reach(CrashPoint::StableRolled).await;
        self.keep_templates(&self.read(members.into_iter().map(|member| member.target).collect()).await?).await?;
        self.all_to_stable().await
    }

    /// The template that one workload had, and as many pods where it has none.
    async fn put_back(&self, member: &Member, release: &Digest) -> Result<Object, TargetError> {
        let target = self.target;
        let pod = target.template_for(self, &member.object, release).await?;
        let kept = target.records.kept(self.environment, release).await?;
        let had = kept.and_then(|kept| kept.replicas.get(&target.place.workload.to_string()).copied());
        self.restore(release, &pod, had).await
    }

    /// The arms are another release and have everything: a promotion ended half-way. They keep it, written under this fence, while stable's
    /// pods are changed, which have none; unless nothing of one of them is ready and stable has pods that are.
    async fn hold_beside(&self, beside: &Beside) -> Result<(), TargetError> {
        let Some(router) = self.target.router() else { return Ok(()) };
        let serves = async |service: &str| self.target.ready_endpoints(service).await.is_ok_and(|ready| ready > 0);
        let (mut arms_serve, mut stable_serves) = (true, true);
        for traffic in self.target.members().iter().filter_map(|member| member.place.traffic.as_ref()) {
            arms_serve &= serves(&traffic.canary).await;
            stable_serves &= serves(&traffic.stable).await;
        }
        let weight = if !arms_serve && stable_serves { Weight::ZERO } else { Weight::FULL };
        let seen = router.set(weight, &self.fence).await?;
        self.warn(&router, &seen);
        let who = beside.release.as_ref().map_or("what is beside it", Digest::short);
        let stable = &self.target.place.workload;
        (self.say)(if weight == Weight::FULL {
            format!("{who} keeps all traffic until {stable} is back: it was being changed")
        } else {
            format!("nothing of {who} is ready: {stable} has all traffic, and is being changed back")
        });
        Ok(())
    }

    /// The whole pod template as it was, by a patch that asks no other manager: a rollback is refused to nobody's benefit. Where somebody
    /// paused the workload or left it without pods, it goes on, with as many as it `had`.
    async fn restore(&self, release: &Digest, pod: &Value, had: Option<u32>) -> Result<Object, TargetError> {
        let target = self.target;
        let record = target.records.release(release).await?;
        let tag = record.map_or_else(|| release.short().to_owned(), |record| record.release.tag);
        let edit = |object: &Object| {
            let noted = release_of(object).is_some()
                || pod.pointer("/metadata/annotations").is_some_and(|notes| notes.get(names::RELEASE).is_some());
            let edit = Edit::default()
                .annotate(names::CHANGE_CAUSE, &format!("hms: back to {tag} ({})", release.short()))
                .annotate(names::TRAFFIC, self.share_while_changed())
                .put("/spec/template", pod.clone());
            let is_paused = object.at("/spec/paused").and_then(Value::as_bool) == Some(true);
            let edit = if is_paused { edit.put("/spec/paused", Value::Bool(false)) } else { edit };
            let edit = match had.filter(|had| *had > 0 && object.number("/spec/replicas") == Some(0)) {
                Some(had) => edit.put("/spec/replicas", Value::from(had)),
                None => edit,
            };
            // A template of before hms has no mark, and the object gets none: it is told by what it is.
            let marked = pod.pointer(&format!("/metadata/annotations/{}", super::object::escape(names::RELEASE))).is_some();
            Ok(if marked && noted { edit.annotate(names::RELEASE, &release.to_string()) } else { edit.forget(names::RELEASE) })
        };
        target.workloads().change(target.place.workload.name(), ROLLBACK_MANAGER, &self.fence, edit).await
    }
}
