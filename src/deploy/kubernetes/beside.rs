//! The arm beside stable on the cluster: its Deployment and, where nobody made one, its service.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::access::Trouble;
use super::arm::{self, ArmLabels, Labels};
use super::diagnosis::Hope;
use super::names;
use super::object::{Edit, Fence, Kind, Object, Objects};
use super::status::{Rollout, lacks_pods, rollout};
use super::workload::{self, replicas, template};
use super::{KubernetesTarget, effects::Hands};
use crate::deploy::{ArmName, TargetError};
use crate::event::Digest;

/// Between two looks at a rollout.
const LOOK: Duration = Duration::from_millis(200);
/// How long a finding that waiting does not mend must stand before it ends the wait: a pod that is replaced may show it once.
const STANDS: Duration = Duration::from_secs(3);
/// The part of the patience for which pods may be refused (quota, admission): 10 s of a start's minute, 50 s of five.
const LACKING: u32 = 6;
/// How long a finding that may still mend itself must stand before it is told.
const DOUBT: Duration = Duration::from_secs(5);
/// How long pods that end may take.
const GONE: Duration = Duration::from_mins(1);
/// How long a pod of the arm goes on serving after it was told to end: the gateway learns of it only then.
const LINGER_SECONDS: u64 = 10;
/// The label that tells the arm's pods from all others.
pub(super) const BESIDE: &str = "hms/beside";

/// The arm as it was found.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Beside {
    pub(super) object: Object,
    pub(super) arm: ArmName,
    pub(super) release: Option<Digest>,
}

impl KubernetesTarget {
    /// Labels that the objects and pods of the arm have, and no others.
    fn own_labels(&self, hands: &Hands<'_>) -> Labels {
        let mut own = names::labels(&self.app, Some(hands.environment));
        own.insert(BESIDE.to_owned(), self.place.workload.name().to_owned());
        own
    }

    /// The arm's Deployment; none when there is none, or it is on its way out.
    pub(super) async fn beside(&self) -> Result<Option<Beside>, TargetError> {
        let name = names::arm_object(self.place.workload.name());
        let Some(object) = self.arms().get(&name).await? else { return Ok(None) };
        if object.is_leaving() {
            return Ok(None);
        }
        let arm = match object.annotation(names::ARM) {
            Some("canary") => ArmName::Canary,
            Some("standby") => ArmName::Standby,
            _ => {
                let reason = format!(
                    "deployment {name} in {} is not hms's: it has no annotation {} (hint: rename it or delete it; hms makes its own)",
                    self.access.name(),
                    names::ARM
                );
                return Err(TargetError::NotPossible { reason });
            }
        };
        let release = object.annotation(names::RELEASE).and_then(|text| text.parse().ok());
        Ok(Some(Beside { object, arm, release }))
    }

    /// The arm with this template, made or made over; not waited for. Gives the object as written.
    pub(super) async fn put_beside(
        &self,
        hands: &Hands<'_>,
        stable: &Object,
        arm: ArmName,
        release: &Digest,
        pod: &Value,
        pods: u32,
    ) -> Result<Object, TargetError> {
        let name = names::arm_object(self.place.workload.name());
        let own = self.own_labels(hands);
        let mut labels = self.arm_labels(stable, &own).await?;
        labels.pods.insert(self.place.version_label.clone(), release.short().to_owned());
        let marks =
            BTreeMap::from([(names::RELEASE.to_owned(), release.to_string()), (hands.fence.name.clone(), hands.fence.number.to_string())]);
        let mut body = arm::deployment(&lingering(pod), &labels, &own, pods, arm, &marks);
        // When a pod counts, and how long it may take, is stable's to say.
        let timing = ["/spec/minReadySeconds", "/spec/progressDeadlineSeconds"];
        for (pointer, value) in timing.into_iter().filter_map(|pointer| Some((pointer, stable.at(pointer)?))) {
            body["spec"][pointer.trim_start_matches("/spec/")] = value.clone();
        }
        match self.arms().get(&name).await? {
            Some(there) if there.is_leaving() => {
                self.gone(&there).await?;
                Ok(self.arms().create(&name, body).await?)
            }
            Some(there) => {
                there.admit(&hands.fence)?;
                let same = there.annotation(names::RELEASE) == Some(release.to_string().as_str());
                if !same && labels_differ(&there, &labels) {
                    // A selector cannot be changed: the Deployment is made anew.
                    self.arms().delete(&there).await?;
                    self.gone(&there).await?;
                    return Ok(self.arms().create(&name, body).await?);
                }
                let edit = |_: &Object| {
                    let timed = timing.into_iter().filter_map(|pointer| Some((pointer, body.pointer(pointer)?.clone())));
                    let edit = timed.fold(Edit::default(), |edit, (pointer, value)| edit.put(pointer, value));
                    Ok(edit
                        .annotate(names::RELEASE, &release.to_string())
                        .annotate(names::ARM, arm::arm_word(arm))
                        .forget(names::STABLE_PODS)
                        .forget(names::IN_PLACE)
                        .put("/spec/replicas", json!(pods))
                        .put("/spec/template", body.pointer("/spec/template").cloned().unwrap_or(Value::Null)))
                };
                self.arms().change(&name, names::MANAGER, &hands.fence, edit).await
            }
            None => match self.arms().create(&name, body).await {
                // Another process of this rollout, or its own call whose answer was lost.
                Err(Trouble::Conflict { .. } | Trouble::Silent { .. }) => Ok(self.arms().need(&name).await?),
                other => Ok(other?),
            },
        }
    }

    /// Waits until an object that was deleted is gone.
    async fn gone(&self, object: &Object) -> Result<(), TargetError> {
        let deadline = Instant::now() + Duration::from_secs(30);
        while Instant::now() < deadline {
            match self.arms().get(&object.name()).await? {
                Some(there) if there.is_leaving() || there == *object => tokio::time::sleep(LOOK).await,
                Some(_) | None => return Ok(()),
            }
        }
        Err(TargetError::Unreachable { reason: format!("deployment {} does not end", object.name()) })
    }

    /// Waits until no pod has these labels, also none that is ending; not for ever.
    pub(super) async fn until_gone(&self, labels: &str) -> Result<(), TargetError> {
        let deadline = Instant::now() + GONE;
        while Instant::now() < deadline && !self.access.list::<Pod>(labels).await?.is_empty() {
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// The labels of the arm's pods; makes the canary's service where there is none.
    async fn arm_labels(&self, stable: &Object, own: &Labels) -> Result<ArmLabels, TargetError> {
        let impossible = |reason: String| TargetError::NotPossible { reason };
        let pods = Self::pod_labels(stable);
        let apart: Labels =
            own.iter().filter(|(key, _)| key.starts_with("hms/")).map(|(key, value)| (key.clone(), value.clone())).collect();
        let Some(traffic) = &self.place.traffic else {
            // In the dark: no service of the user's finds them.
            return Ok(ArmLabels { pods: apart.clone(), service: apart });
        };
        let services = self.services();
        let wanted = services.get(&traffic.stable).await?.ok_or_else(|| {
            impossible(format!("the service {} is not in {} (hint: `traffic.stable` in .hms names it)", traffic.stable, self.access.name()))
        })?;
        let selector = arm::labels_at(wanted.at("/spec/selector"));
        let there = services.get(&traffic.canary).await?;
        let canary = there.as_ref().map(|service| arm::labels_at(service.at("/spec/selector")));
        let labels = arm::labels(&pods, &selector, canary.as_ref(), &apart).map_err(impossible)?;
        if there.is_none() {
            let ports = wanted.at("/spec/ports").and_then(Value::as_array).cloned().unwrap_or_default();
            let ports: Vec<Value> = ports
                .into_iter()
                .map(|mut port| {
                    if let Some(port) = port.as_object_mut() {
                        port.remove("nodePort");
                    }
                    port
                })
                .collect();
            let body = twin_of(&wanted, own, &labels.service, &ports);
            match services.create(&traffic.canary, body).await {
                Ok(_) | Err(Trouble::Conflict { .. }) => {}
                Err(trouble) => return Err(trouble.into()),
            }
        }
        Ok(labels)
    }

    /// Takes the arm away. Its pods go on serving for a while: the cluster lets them, nobody waits here.
    pub(super) async fn remove_beside(&self, fence: &Fence) -> Result<(), TargetError> {
        let name = names::arm_object(self.place.workload.name());
        let Some(there) = self.arms().get(&name).await? else { return Ok(()) };
        there.admit(fence)?;
        Ok(self.arms().delete(&there).await?)
    }

    /// Gives the arm so many pods, and waits until they are available.
    pub(super) async fn resize_beside(&self, hands: &Hands<'_>, pods: u32, patience: Duration) -> Result<(), TargetError> {
        let name = names::arm_object(self.place.workload.name());
        let edit = |_: &Object| Ok(Edit::default().put("/spec/replicas", json!(pods)));
        let written = self.arms().change(&name, names::MANAGER, &hands.fence, edit).await?;
        self.await_rollout(&self.arms(), super::object::DEPLOYMENT, &written, patience, hands).await?;
        Ok(())
    }

    /// Waits until a workload's rollout is complete, for as long as it gets further within `patience`; tells how far it is, and why it is not
    /// complete when it will not be.
    pub(super) async fn await_rollout(
        &self,
        objects: &Objects,
        kind: Kind,
        written: &Object,
        patience: Duration,
        hands: &Hands<'_>,
    ) -> Result<Object, TargetError> {
        let (name, generation) = (written.name(), written.generation());
        let mut deadline = Instant::now() + patience;
        let mut passed = std::collections::BTreeSet::new();
        let mut told: Option<String> = None;
        let mut newest: Option<String> = None;
        let mut hopeless: Option<(String, Instant)> = None;
        let mut doubtful: Option<(String, Instant)> = None;
        let mut lacking: Option<Instant> = None;
        let mut tell = |text: String| {
            if told.as_ref() != Some(&text) {
                (hands.say)(format!("{} {name}: {text}", kind.word()));
                told = Some(text);
            }
        };
        loop {
            let Some(object) = objects.get(&name).await? else {
                // Whoever took it away may have been the next in line.
                hands.admit().await?;
                let reason = format!("{} {name} was deleted while it was rolled out", kind.word());
                return Err(TargetError::NotPossible { reason });
            };
            object.admit(&hands.fence)?;
            if newest.is_none() {
                newest = self.newest_pods(kind, &object, generation).await;
            }
            if !lacks_pods(&object) {
                lacking = None;
            }
            let all = || names::selector(&arm::labels_at(object.at("/spec/selector/matchLabels")));
            let pods = newest.clone().unwrap_or_else(all);
            let stage = rollout(kind, &object, generation);
            let finding = match &stage {
                Rollout::Done { .. } => None,
                Rollout::Waiting(_) | Rollout::Stuck(_) => self.why_not_up(&pods).await,
            };
            // Pods that are there and do not come up are looked at until it is known why: it may not be for want of others.
            let in_doubt = finding.as_ref().is_some_and(|(finding, _)| finding.container.is_some());
            let patience_for_room = if in_doubt { patience } else { patience / LACKING };
            match stage {
                Rollout::Done { pods } => {
                    tell(format!("complete, {pods} available"));
                    return Ok(object);
                }
                // The controller goes on trying, and pods that are ending count until they are gone.
                Rollout::Stuck(why) if lacks_pods(&object) && lacking.is_none_or(|since| since.elapsed() < patience_for_room) => {
                    if lacking.is_none() {
                        tell(why);
                        lacking = Some(Instant::now());
                    }
                }
                Rollout::Stuck(why) => return Err(self.not_up(why, &pods).await),
                // Where it never was before is progress; to and fro between two places is none.
                Rollout::Waiting(why) if passed.insert(why.clone()) => {
                    deadline = Instant::now() + patience;
                    tell(why);
                }
                Rollout::Waiting(why) if Instant::now() > deadline => {
                    return Err(self
                        .not_up(format!("it was not healthy in time: {why}, and no more for {} s", patience.as_secs()), &pods)
                        .await);
                }
                Rollout::Waiting(why) => tell(why),
            }
            match finding {
                // Before the newest pods are known it may be what the change is to end.
                Some((finding, lines)) if finding.hope == Hope::None && newest.is_some() => {
                    let text = finding.to_string();
                    match &hopeless {
                        Some((known, since)) if *known == text => {
                            if since.elapsed() >= STANDS {
                                return Err(TargetError::StartFailed { reason: text, last_lines: lines });
                            }
                        }
                        _ => {
                            (hands.say)(text.clone());
                            hopeless = Some((text, Instant::now()));
                        }
                    }
                }
                Some((finding, _)) => {
                    // A container that was only just started is not ready either: said when it stays so.
                    let text = finding.to_string();
                    match &doubtful {
                        Some((known, since)) if *known == text => {
                            if since.elapsed() >= DOUBT {
                                tell(text);
                            }
                        }
                        _ => doubtful = Some((text, Instant::now())),
                    }
                }
                None => {}
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn not_up(&self, why: String, pods: &str) -> TargetError {
        match self.why_not_up(pods).await {
            Some((finding, last_lines)) => TargetError::StartFailed { reason: format!("{why}: {finding}"), last_lines },
            None => TargetError::StartFailed { reason: why, last_lines: Vec::new() },
        }
    }

    /// The template that a release has here: as it ran last, else the workload's with its images.
    pub(super) async fn template_for(&self, hands: &Hands<'_>, stable: &Object, release: &Digest) -> Result<Value, TargetError> {
        match self.kept_template(hands.environment, release).await? {
            Some(template) => Ok(template),
            None => self.new_template(stable, release).await,
        }
    }

    /// The workload's template with a release's images.
    pub(super) async fn new_template(&self, stable: &Object, release: &Digest) -> Result<Value, TargetError> {
        let record = self.records.release(release).await?.ok_or_else(|| TargetError::ReleaseMissing {
            release: release.clone(),
            why: format!("{} has no record of it", self.access.name()),
        })?;
        workload::next_template(&self.place, &template(stable), &self.images_for(&record), release)
    }

    /// How many pods the arm needs to carry everything.
    pub(super) fn full_size(stable: &Object) -> u32 {
        replicas(stable).max(1)
    }
}

/// The canary's service: what stable's is to a gateway (protocol, affinity, addresses), with another selector.
fn twin_of(stable: &Object, own: &Labels, selector: &Labels, ports: &[Value]) -> Value {
    let mut body = json!({"metadata": {"labels": own}, "spec": {"selector": selector, "ports": ports}});
    for field in ["sessionAffinity", "sessionAffinityConfig", "publishNotReadyAddresses", "ipFamilyPolicy", "ipFamilies"] {
        if let Some(value) = stable.at(&format!("/spec/{field}")) {
            body["spec"][field] = value.clone();
        }
    }
    let foreign =
        |name: &str| name.starts_with("kubectl.kubernetes.io/") || name.starts_with("hms/") || name == "cloud.google.com/neg-status";
    let notes: Labels = stable.annotations().filter(|(name, _)| !foreign(name)).map(|(name, text)| (name.clone(), text.clone())).collect();
    if !notes.is_empty() {
        body["metadata"]["annotations"] = json!(notes);
    }
    body
}

fn labels_differ(there: &Object, wanted: &ArmLabels) -> bool {
    let selector = arm::labels_at(there.at("/spec/selector/matchLabels"));
    !arm::selects(&selector, &wanted.pods)
}

/// A template whose containers go on serving for some seconds after they are told to end. One that waits by itself is left as it is.
fn lingering(pod: &Value) -> Value {
    let mut pod = pod.clone();
    let mut longer = false;
    for container in pod.pointer_mut("/spec/containers").and_then(Value::as_array_mut).into_iter().flatten() {
        let has = container.pointer("/lifecycle/preStop").is_some();
        let serves = container.pointer("/ports").and_then(Value::as_array).is_some_and(|ports| !ports.is_empty());
        if serves && !has {
            container["lifecycle"]["preStop"] = json!({"sleep": {"seconds": LINGER_SECONDS}});
            longer = true;
        }
    }
    if longer {
        let grace = pod.pointer("/spec/terminationGracePeriodSeconds").and_then(Value::as_u64).unwrap_or(30);
        pod["spec"]["terminationGracePeriodSeconds"] = json!(grace + LINGER_SECONDS);
    }
    pod
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_canarys_service_is_to_a_gateway_what_stables_is() {
        let stable = Object::from_value(json!({"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "shop", "annotations": {"traefik.ingress.kubernetes.io/service.serversscheme": "h2c", "kubectl.kubernetes.io/last-applied-configuration": "{}"}},
            "spec": {"clusterIP": "10.0.0.9", "sessionAffinity": "ClientIP", "selector": {"app": "shop"}}}));
        let labels =
            |entries: &[(&str, &str)]| entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect::<Labels>();
        let ports = [json!({"port": 80, "appProtocol": "kubernetes.io/h2c"})];
        let body = twin_of(&stable, &labels(&[("hms/app", "shop")]), &labels(&[("hms/beside", "shop")]), &ports);
        assert_eq!(
            body,
            json!({"metadata": {"labels": {"hms/app": "shop"}, "annotations": {"traefik.ingress.kubernetes.io/service.serversscheme": "h2c"}},
                "spec": {"selector": {"hms/beside": "shop"}, "ports": ports, "sessionAffinity": "ClientIP"}})
        );
    }

    #[test]
    fn pods_of_the_arm_serve_on_for_a_while_unless_they_know_better() {
        let pod = json!({"spec": {"containers": [
            {"name": "app", "ports": [{"containerPort": 80}]},
            {"name": "own", "ports": [{"containerPort": 81}], "lifecycle": {"preStop": {"exec": {}}}},
            {"name": "quiet"}]}});
        let changed = lingering(&pod);
        assert_eq!(changed["spec"]["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"], LINGER_SECONDS);
        assert_eq!(changed["spec"]["containers"][1], pod["spec"]["containers"][1]);
        assert_eq!(changed["spec"]["containers"][2], pod["spec"]["containers"][2]);
        assert_eq!(changed["spec"]["terminationGracePeriodSeconds"], 30 + LINGER_SECONDS);
    }
}
