//! Back to a release with all traffic: its pods come up beside stable, get the traffic, and only then is stable changed.

use serde_json::Value;

use super::effects::{GROWTH, Hands};
use super::names::{self, ROLLBACK_MANAGER};
use super::object::{Edit, Object};
use super::workload::{release_of, runs};
use crate::deploy::{ArmName, TargetError};
use crate::event::Digest;

impl Hands<'_> {
    pub(super) async fn go_back(&self, release: &Digest) -> Result<(), TargetError> {
        let target = self.target;
        let stable = target.need_workload().await?;
        stable.admit(self.fence)?;
        let beside = target.beside().await?.filter(|beside| beside.release.as_ref() == Some(release));
        let runs = runs(&stable);
        if runs == *release && beside.is_none() {
            return self.all_to_stable().await;
        }
        let is_up = beside.as_ref().is_some_and(|beside| beside.arm != ArmName::Stable);
        if target.router().is_some() && target.is_deployment() {
            if !is_up && runs != *release {
                return Err(super::effects::impossible(format!("{} does not run beside {}", release.short(), target.place.workload)));
            }
            if is_up {
                self.all_to_arm(&stable).await?;
            }
        }
        let pod = target.template_for(self, &stable, release).await?;
        let written = self.restore(release, &pod).await?;
        target.await_rollout(&target.workloads(), target.place.workload.kind(), &written, GROWTH, self).await?;
        self.all_to_stable().await
    }

    /// The whole pod template as it was, by a patch that asks no other manager: a rollback is refused to nobody's benefit.
    async fn restore(&self, release: &Digest, pod: &Value) -> Result<Object, TargetError> {
        let target = self.target;
        let record = target.records.release(release).await?;
        let tag = record.map_or_else(|| release.short().to_owned(), |record| record.release.tag);
        let edit = |object: &Object| {
            let noted = release_of(object).is_some()
                || pod.pointer("/metadata/annotations").is_some_and(|notes| notes.get(names::RELEASE).is_some());
            let edit = Edit::default()
                .annotate(names::CHANGE_CAUSE, &format!("hms: back to {tag} ({})", release.short()))
                .annotate(names::TRAFFIC, "100")
                .put("/spec/template", pod.clone());
            // A template of before hms has no mark, and the object gets none: it is told by what it is.
            let marked = pod.pointer(&format!("/metadata/annotations/{}", super::object::escape(names::RELEASE))).is_some();
            Ok(if marked && noted { edit.annotate(names::RELEASE, &release.to_string()) } else { edit.forget(names::RELEASE) })
        };
        target.workloads().change(target.place.workload.name(), ROLLBACK_MANAGER, self.fence, edit).await
    }
}
