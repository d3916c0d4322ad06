//! What an environment is at this moment: workload, arm and router, read and put side by side.

use super::adopt::tag_of;
use super::arm::labels_at;
use super::names;
use super::object::Object;
use super::set::Role;
use super::status::{Rollout, rollout};
use super::workload::{release_of, runs, template};
use super::{KubernetesTarget, router::RouteView};
use crate::deploy::{ArmName, ArmView, Health, Observation, TargetError};
use crate::event::{Digest, EnvironmentName, Weight};
use crate::store::now;

impl KubernetesTarget {
    /// What is there. What cannot be read is an error, never an empty place.
    pub(super) async fn seen(&self, environment: &EnvironmentName) -> Result<Observation, TargetError> {
        let (members, route) = (self.members(), self.route().await?);
        let mut arms: Vec<ArmView> = Vec::new();
        let name = names::fence(&self.app, environment);
        let mut fence = route.as_ref().map_or(0, |route| route.fences.of(&name));
        let (mut stable, mut is_beside) = (None, false);
        for member in &members {
            let (object, beside) = (member.workload().await?, member.beside().await?);
            if let Some(object) = &object {
                fence = fence.max(object.fences().of(&name));
                let arm = if object.annotation(names::ARM) == Some("canary") { ArmName::Canary } else { ArmName::Stable };
                joined(&mut arms, member.view(arm, runs(object), object, member.place.workload.kind()).await?, member);
            }
            if let Some(beside) = &beside {
                fence = fence.max(beside.object.fences().of(&name));
                if let Some(release) = beside.release.clone() {
                    joined(&mut arms, member.view(beside.arm, release, &beside.object, super::object::DEPLOYMENT).await?, member);
                }
            }
            is_beside |= beside.is_some();
            if member.role == Role::Leads {
                stable = object;
            }
        }
        let alone = arms.iter().any(|view| view.arm == ArmName::Canary) && !is_beside;
        let weight = match &route {
            // With nothing behind it the first release has whatever traffic there is.
            _ if alone => first_weight(stable.as_ref()),
            // Also with nothing behind it: then users get errors for it, and that is no 0.
            Some(route) => route.weight,
            None => Weight::ZERO,
        };
        Ok(Observation { at: now(), arms, weight, fence, address: None, metrics: None, served: None })
    }

    /// What the router says; none when policy names none.
    pub(super) async fn route(&self) -> Result<Option<RouteView>, TargetError> {
        match self.router() {
            Some(router) => router.read().await.map(Some),
            None => Ok(None),
        }
    }

    /// What requests of these pods are called in metrics: the pods' version label, which hms writes for its own releases; for what ran
    /// before, else the image's tag.
    fn version_of(&self, object: &Object, release: &Digest) -> String {
        let label = Self::pod_labels(object).remove(&self.place.version_label);
        label.unwrap_or_else(|| if release_of(object).is_some() { release.short().to_owned() } else { tag_of(&template(object)) })
    }

    async fn view(&self, arm: ArmName, release: Digest, object: &Object, kind: super::object::Kind) -> Result<ArmView, TargetError> {
        let pods = names::selector(&labels_at(object.at("/spec/selector/matchLabels")));
        let count = self.pods(&pods).await?;
        let health = match rollout(kind, object, 0) {
            // It has no pods, and none is awaited.
            _ if object.annotation(names::IN_PLACE).is_some() => Health::Starting,
            Rollout::Done { .. } => Health::Healthy,
            Rollout::Waiting(_) if count.ready > 0 && arm == ArmName::Stable => Health::Healthy,
            Rollout::Waiting(why) | Rollout::Stuck(why) => match self.why_not_up(&pods).await {
                Some((finding, last_lines)) => Health::Failing { reason: finding.to_string(), last_lines },
                None if count.ready > 0 => Health::Healthy,
                None if matches!(rollout(kind, object, 0), Rollout::Stuck(_)) => Health::Failing { reason: why, last_lines: Vec::new() },
                None => Health::Starting,
            },
        };
        Ok(ArmView { arm, version: self.version_of(object, &release), release, health, restarts: count.restarts })
    }
}

/// An arm of one workload beside that of those before it: as well as the worst of them. Which release it is, the first one says.
fn joined(arms: &mut Vec<ArmView>, view: ArmView, member: &KubernetesTarget) {
    let Some(there) = arms.iter_mut().find(|there| there.arm == view.arm) else {
        arms.push(view);
        return;
    };
    there.restarts += view.restarts;
    let is_worse = match (&there.health, &view.health) {
        (Health::Failing { .. }, _) | (_, Health::Healthy) | (Health::Starting, Health::Starting) => false,
        (Health::Healthy | Health::Starting, Health::Failing { .. }) | (Health::Healthy, Health::Starting) => true,
    };
    if is_worse {
        there.health = match view.health {
            Health::Failing { reason, last_lines } => {
                Health::Failing { reason: format!("{}: {reason}", member.place.workload), last_lines }
            }
            other @ (Health::Healthy | Health::Starting) => other,
        };
    }
}

/// The weight that the first release of all was given: it is written at the workload, there is nothing to split.
fn first_weight(stable: Option<&Object>) -> Weight {
    let noted = stable.and_then(|object| object.annotation(names::APPLIED)).and_then(|text| text.parse().ok());
    noted.unwrap_or(Weight::ZERO)
}
