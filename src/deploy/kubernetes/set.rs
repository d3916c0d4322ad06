//! The workloads that one release goes to: the leading one, and those that are released together with it (`docs/decisions.md` 20.16).
//!
//! Each is a target of its own here, read and changed by the code for one; what they are together is said in this file. The leading
//! workload's marks say which release runs.

use std::future::{Future, poll_fn};
use std::task::Poll;

use super::KubernetesTarget;
use super::beside::Beside;
use super::effects::{Hands, impossible};
use super::object::Object;
use super::place::ClusterPlace;
use super::records::Kept;
use super::workload::{release_of, replicas, runs, template};
use crate::deploy::{ReleaseImage, ReleaseRecord, TargetError};
use crate::event::{Digest, EnvironmentName};

/// What a workload is among those of its environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Its marks say which release runs.
    Leads,
    /// It is released together with the one that leads.
    Follows,
}

/// A workload as it was read.
#[derive(Debug, Clone)]
pub(super) struct Member {
    /// Where it alone is.
    pub(super) target: KubernetesTarget,
    pub(super) object: Object,
}

/// What became of a step at one workload.
pub(super) type Outcome<T> = (KubernetesTarget, Result<T, TargetError>);

impl KubernetesTarget {
    /// The same, with workloads that every release goes to as well. They are in the same namespace; what leads to them is the same router,
    /// with services of their own.
    #[must_use]
    pub fn together(self, others: Vec<ClusterPlace>) -> Self {
        Self { others, ..self }
    }

    /// Each workload as a target of its own, the leading one first.
    pub(super) fn members(&self) -> Vec<Self> {
        let alone = |place: &ClusterPlace, role| Self { place: place.clone(), others: Vec::new(), role, ..self.clone() };
        let others = self.others.iter().map(|place| alone(place, Role::Follows));
        std::iter::once(alone(&self.place, self.role)).chain(others).collect()
    }

    /// Whether an image of a release is meant for this workload: one that names none is for all that have no image of their own.
    fn takes(&self, image: &ReleaseImage) -> bool {
        match &image.workload {
            Some(workload) => *workload == self.place.workload.to_string(),
            None => self.role == Role::Leads || self.place.image.is_none(),
        }
    }

    /// The images of a release that are for this workload.
    pub(super) fn images_for(&self, record: &ReleaseRecord) -> Vec<ReleaseImage> {
        record.images.iter().filter(|image| self.takes(image)).cloned().collect()
    }

    /// The workloads that a release has something for: a template that was kept, or an image. One that came to the others later is not in
    /// an older release.
    pub(super) async fn parts(&self, environment: &EnvironmentName, release: &Digest) -> Result<Vec<Self>, TargetError> {
        let members = self.members();
        if members.len() == 1 {
            return Ok(members);
        }
        let kept = self.records.kept(environment, release).await?.unwrap_or_default();
        let record = self.records.release(release).await?;
        let is_kept = |member: &Self| kept.templates.contains_key(&member.place.workload.to_string());
        Ok(members.into_iter().filter(|member| is_kept(member) || member.is_in(record.as_ref())).collect())
    }

    /// Whether a release has an image for this workload; the leading one is in every release.
    fn is_in(&self, record: Option<&ReleaseRecord>) -> bool {
        self.role == Role::Leads || record.is_some_and(|record| record.images.iter().any(|image| self.takes(image)))
    }

    /// Refuses a release that has no image for one of the workloads: it would stay as it is, unseen.
    pub(super) fn is_for_all(&self, record: &ReleaseRecord) -> Result<(), TargetError> {
        match self.members().iter().find(|member| !member.is_in(Some(record))) {
            None => Ok(()),
            Some(member) => Err(impossible(format!(
                "{} has no image for {} (hint: it was made before that was released with it: run the pipeline again)",
                record.release.digest.short(),
                member.place.workload
            ))),
        }
    }

    /// Whether this workload alone is that release, with the template that is kept for it.
    pub(super) async fn is_at(&self, environment: &EnvironmentName, release: &Digest, object: &Object) -> Result<bool, TargetError> {
        let kept = self.kept_template(environment, release).await?;
        Ok(self.is_of(release, object, kept.is_some()) && super::drift::is_as_kept(object, kept.as_ref()))
    }

    /// Whether this workload has that release by its marks. One that follows and that hms never wrote is of a release that kept its template.
    pub(super) fn is_of(&self, release: &Digest, object: &Object, is_kept: bool) -> bool {
        if self.role == Role::Leads {
            return runs(object) == *release;
        }
        release_of(object).map_or(is_kept, |marked| marked == *release)
    }

    /// What is beside each workload that has something beside it.
    pub(super) async fn all_beside(&self) -> Result<Vec<(Self, Beside)>, TargetError> {
        let mut found = Vec::new();
        for member in self.members() {
            if let Some(beside) = member.beside().await? {
                found.push((member, beside));
            }
        }
        Ok(found)
    }

    /// Whether a router leads to this workload.
    pub(super) fn is_routed(&self) -> bool {
        self.place.traffic.is_some()
    }
}

/// How these workloads run, to be kept under their release.
pub(super) fn kept_of(members: &[Member]) -> Kept {
    let name = |member: &Member| member.target.place.workload.to_string();
    Kept {
        templates: members.iter().map(|member| (name(member), template(&member.object))).collect(),
        replicas: members.iter().map(|member| (name(member), replicas(&member.object))).collect(),
    }
}

impl Hands<'_> {
    /// The same effect at one workload.
    pub(super) fn at<'b>(&'b self, member: &'b KubernetesTarget) -> Hands<'b> {
        Hands { target: member, environment: self.environment, fence: self.fence.clone(), say: self.say }
    }

    /// Reads workloads, which must be there and written by nobody later.
    pub(super) async fn read(&self, targets: Vec<KubernetesTarget>) -> Result<Vec<Member>, TargetError> {
        let mut members = Vec::new();
        for target in targets {
            let object = target.need_workload().await?;
            object.admit(&self.fence)?;
            members.push(Member { target, object });
        }
        Ok(members)
    }
}

/// Waits for all of these at once.
pub(super) async fn all<T>(futures: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut running: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    poll_fn(|context| {
        let mut is_over = true;
        for (future, answer) in running.iter_mut().filter(|(_, answer)| answer.is_none()) {
            match future.as_mut().poll(context) {
                Poll::Ready(value) => *answer = Some(value),
                Poll::Pending => is_over = false,
            }
        }
        if is_over { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    running.into_iter().filter_map(|(_, answer)| answer).collect()
}

/// What a step gave at every workload; where it failed at one, that failure, with how it went at the others.
pub(super) fn whole<T>(outcomes: Vec<Outcome<T>>) -> Result<Vec<T>, TargetError> {
    let said: Vec<String> = outcomes
        .iter()
        .map(|(target, outcome)| match outcome {
            Ok(_) => format!("{} did", target.place.workload),
            Err(error) => format!("{} did not: {error}", target.place.workload),
        })
        .collect();
    let is_alone = outcomes.len() == 1;
    let (mut given, mut failed) = (Vec::new(), None);
    for (index, (_, outcome)) in outcomes.into_iter().enumerate() {
        match outcome {
            Ok(value) => given.push(value),
            // Being superseded is about all of them.
            Err(error @ TargetError::Superseded { .. }) => return Err(error),
            Err(error) => failed = failed.or(Some((index, error))),
        }
    }
    let Some((index, error)) = failed else { return Ok(given) };
    if is_alone {
        return Err(error);
    }
    let others: Vec<&str> = said.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, line)| line.as_str()).collect();
    let who = said.get(index).and_then(|line| line.split(" did not: ").next()).unwrap_or_default();
    let tell = |reason: String| format!("{who}: {reason}; {}", others.join("; "));
    Err(match error {
        TargetError::StartFailed { reason, last_lines } => TargetError::StartFailed { reason: tell(reason), last_lines },
        TargetError::NotPossible { reason } => TargetError::NotPossible { reason: tell(reason) },
        TargetError::Unreachable { reason } => TargetError::Unreachable { reason: tell(reason) },
        other @ (TargetError::Conflict { .. } | TargetError::Superseded { .. } | TargetError::ReleaseMissing { .. }) => other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_are_waited_for_at_once_and_answer_in_their_order() {
        let (send, receive) = tokio::sync::oneshot::channel();
        let futures: Vec<std::pin::Pin<Box<dyn Future<Output = u8>>>> = vec![
            Box::pin(async { receive.await.unwrap() }),
            Box::pin(async {
                send.send(1).unwrap();
                2
            }),
        ];
        assert_eq!(all(futures).await, [1, 2], "the first one waits for the second");
    }
}
