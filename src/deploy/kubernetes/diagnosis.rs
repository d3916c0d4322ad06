//! Why pods do not come up, in one sentence with the fix: what `kubectl describe` makes a person look for.
//!
//! Pure over pods and events as JSON; [`KubernetesTarget::why_not_up`] fetches them, and the last lines of a container that ended.
//! Reasons are the kubelet's (`pkg/kubelet/container/sync_result.go`, `pkg/kubelet/images/types.go` of kubernetes 1.36).

use k8s_openapi::api::core::v1::{Event, Pod};
use kube::ResourceExt;
use kube::api::LogParams;
use serde_json::Value;

use super::KubernetesTarget;
use super::access::bounded;

/// How many lines of a container are shown.
const LINES: i64 = 10;

/// What is wrong with a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// Which pod.
    pub(super) pod: String,
    /// Which container, when it is one's.
    pub(super) container: Option<String>,
    /// What, in one sentence, with the cluster's words.
    pub(super) what: String,
    /// What to do.
    pub(super) fix: String,
    /// Whether it can still get better by itself.
    pub(super) hope: Hope,
    /// Whether the container wrote something before it ended.
    pub(super) log: Log,
}

/// Whether waiting can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Hope {
    /// Somebody has to change something.
    None,
    /// It may come.
    Some,
}

/// Which log tells more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Log {
    /// None.
    None,
    /// That of the container that runs.
    Current,
    /// That of the container that ended before.
    Previous,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "pod {}: {} (hint: {})", self.pod, self.what, self.fix)
    }
}

/// The gravest finding about these pods; none while they only come up.
pub(super) fn diagnose(pods: &[Value], events: &[Value]) -> Option<Finding> {
    let mut found: Vec<Finding> = pods.iter().filter_map(|pod| of_pod(pod, events)).collect();
    found.sort_by_key(|finding| finding.hope);
    found.into_iter().next()
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn of_pod(pod: &Value, events: &[Value]) -> Option<Finding> {
    if pod.pointer("/metadata/deletionTimestamp").is_some() {
        return None;
    }
    let name = text(pod, "/metadata/name").to_owned();
    if let Some(finding) = unscheduled(pod, &name) {
        return Some(finding);
    }
    let statuses = |list: &str| pod.pointer(list).and_then(Value::as_array).into_iter().flatten().collect::<Vec<_>>();
    let all = [statuses("/status/initContainerStatuses"), statuses("/status/containerStatuses")].concat();
    let of_containers = all.iter().find_map(|status| of_container(pod, &name, status));
    of_containers.or_else(|| failing_probe(pod, &name, &statuses("/status/containerStatuses"), events))
}

fn unscheduled(pod: &Value, name: &str) -> Option<Finding> {
    let conditions = pod.pointer("/status/conditions")?.as_array()?;
    let scheduled = conditions.iter().find(|one| text(one, "/type") == "PodScheduled" && text(one, "/status") == "False")?;
    let message = text(scheduled, "/message");
    Some(Finding {
        pod: name.to_owned(),
        container: None,
        what: format!("no node takes it: {message}"),
        fix: "fewer or smaller pods, or more nodes: `kubectl get nodes`, and the requests of the pod template".to_owned(),
        hope: Hope::Some,
        log: Log::None,
    })
}

fn of_container(pod: &Value, name: &str, status: &Value) -> Option<Finding> {
    let container = text(status, "/name").to_owned();
    let finding = |what: String, fix: String, hope, log| {
        Some(Finding { pod: name.to_owned(), container: Some(container.clone()), what, fix, hope, log })
    };
    let (reason, message) = (text(status, "/state/waiting/reason"), text(status, "/state/waiting/message"));
    let image = text(status, "/image");
    match reason {
        "ErrImagePull" | "ImagePullBackOff" | "ErrImageNeverPull" | "RegistryUnavailable" => {
            let asked = image_in_spec(pod, &container).unwrap_or(image).to_owned();
            let gone = ["not found", "manifest unknown", "NotFound", "does not exist"].iter().any(|word| message.contains(word));
            let denied = ["unauthorized", "denied", "authentication required", "403", "401"].iter().any(|word| message.contains(word));
            if gone {
                let fix = "push the image, or deploy a release whose image is kept: `hms-deploy history`".to_owned();
                return finding(format!("the image {asked} is not in its registry ({reason})"), fix, Hope::None, Log::None);
            }
            if denied {
                let fix = "the namespace needs an imagePullSecret for that registry".to_owned();
                return finding(format!("the registry does not let this cluster pull {asked} ({reason})"), fix, Hope::None, Log::None);
            }
            finding(
                format!("the image {asked} cannot be pulled ({reason}): {message}"),
                "look at the registry from the node".to_owned(),
                Hope::Some,
                Log::None,
            )
        }
        "InvalidImageName" => {
            finding(format!("{image} is no image's name"), "correct the image in the pod template".to_owned(), Hope::None, Log::None)
        }
        "CreateContainerConfigError" => {
            let (what, fix) = config_error(message);
            finding(what, fix, Hope::None, Log::None)
        }
        "CreateContainerError" | "RunContainerError" => finding(
            format!("container {container} cannot be made: {message}"),
            "command, mounts and security context of the pod template".to_owned(),
            Hope::None,
            Log::None,
        ),
        "CrashLoopBackOff" => {
            let how = ended(status.pointer("/lastState/terminated"));
            finding(
                format!("container {container} ends again and again: {how}, {} restarts", count(status)),
                "its last lines say why; the release before runs on".to_owned(),
                Hope::None,
                Log::Previous,
            )
        }
        _ => ended_for_good(status, &container, finding),
    }
}

fn ended_for_good(status: &Value, container: &str, finding: impl Fn(String, String, Hope, Log) -> Option<Finding>) -> Option<Finding> {
    let terminated = status.pointer("/state/terminated")?;
    let code = terminated.pointer("/exitCode").and_then(Value::as_i64).unwrap_or(0);
    if code == 0 && text(terminated, "/reason") != "OOMKilled" {
        return None;
    }
    // With the kubelet's defaults the back-off is often over before its reason is written: a container that ended more than once is in a loop.
    if count(status) > 1 {
        let what = format!("container {container} ends again and again: {}, {} restarts", ended(Some(terminated)), count(status));
        return finding(what, "its last lines say why; the release before runs on".to_owned(), Hope::None, Log::Current);
    }
    finding(
        format!("container {container} ended: {}", ended(Some(terminated))),
        "its last lines say why".to_owned(),
        // It is started again, and may get further then.
        Hope::Some,
        Log::Current,
    )
}

fn count(status: &Value) -> i64 {
    status.pointer("/restartCount").and_then(Value::as_i64).unwrap_or(0)
}

fn ended(terminated: Option<&Value>) -> String {
    let Some(terminated) = terminated else { return "it ended".to_owned() };
    let code = terminated.pointer("/exitCode").and_then(Value::as_i64).unwrap_or(0);
    let signal = terminated.pointer("/signal").and_then(Value::as_i64).filter(|signal| *signal > 0);
    match (text(terminated, "/reason"), signal) {
        ("OOMKilled", _) => "it took more memory than its limit allows (OOMKilled)".to_owned(),
        (_, Some(signal)) => format!("killed by signal {signal}"),
        _ if code > 128 => format!("exit code {code} (signal {})", code - 128),
        _ => format!("exit code {code}"),
    }
}

/// The kubelet's own words name the Secret, the ConfigMap, the key.
fn config_error(message: &str) -> (String, String) {
    let quoted = |text: &str| text.split('"').nth(1).map(str::to_owned);
    if let Some(rest) = message.strip_prefix("couldn't find key ") {
        let key = rest.split(' ').next().unwrap_or_default();
        let object = rest.rsplit(' ').next().unwrap_or_default();
        let kind = if rest.contains("Secret") { "secret" } else { "configmap" };
        let name = object.rsplit('/').next().unwrap_or(object);
        return (
            format!("the {kind} {name} has no key {key} ({message})"),
            format!("add {key} to it, or correct `valueFrom` in the pod template: kubectl get {kind} {name} -o yaml"),
        );
    }
    for kind in ["secret", "configmap"] {
        if message.starts_with(kind) && message.contains("not found") {
            let name = quoted(message).unwrap_or_default();
            return (format!("the {kind} {name} is not there"), format!("create it in this namespace: kubectl create {kind} …"));
        }
    }
    (format!("its configuration cannot be made: {message}"), "the environment and mounts of the pod template".to_owned())
}

fn image_in_spec<'a>(pod: &'a Value, container: &str) -> Option<&'a str> {
    let all = ["/spec/containers", "/spec/initContainers"].into_iter().filter_map(|list| pod.pointer(list)?.as_array()).flatten();
    all.filter(|one| text(one, "/name") == container).map(|one| text(one, "/image")).next()
}

/// A container that runs and is not ready: its probe's words are in an event.
fn failing_probe(pod: &Value, name: &str, statuses: &[&Value], events: &[Value]) -> Option<Finding> {
    let waiting = statuses
        .iter()
        .find(|status| status.pointer("/state/running").is_some() && status.pointer("/ready").and_then(Value::as_bool) == Some(false))?;
    let container = text(waiting, "/name").to_owned();
    let uid = text(pod, "/metadata/uid");
    let newest = events
        .iter()
        .filter(|event| text(event, "/involvedObject/uid") == uid && text(event, "/reason") == "Unhealthy")
        .max_by_key(|event| text(event, "/lastTimestamp").to_owned())?;
    let message = text(newest, "/message").lines().next().unwrap_or_default().to_owned();
    Some(Finding {
        pod: name.to_owned(),
        container: Some(container.clone()),
        what: format!("container {container} runs and is not ready: {message}"),
        fix: "the probe's path and port, or what the release needs to become ready".to_owned(),
        hope: Hope::Some,
        log: Log::Current,
    })
}

impl KubernetesTarget {
    /// The gravest finding about the pods with these labels, with the last lines of its container. None when nothing is wrong, or nothing
    /// can be said.
    pub(super) async fn why_not_up(&self, labels: &str) -> Option<(Finding, Vec<String>)> {
        let pods: Vec<Pod> = self.access.list(labels).await.ok()?;
        let events: Vec<Event> = self.access.list("").await.unwrap_or_default();
        let pods: Vec<Value> = pods.iter().filter_map(|pod| serde_json::to_value(pod).ok()).collect();
        let events: Vec<Value> = events.iter().filter_map(|event| serde_json::to_value(event).ok()).collect();
        let finding = diagnose(&pods, &events)?;
        let lines = self.last_lines(&finding).await;
        Some((finding, lines))
    }

    async fn last_lines(&self, finding: &Finding) -> Vec<String> {
        if finding.log == Log::None {
            return Vec::new();
        }
        let parameters = LogParams {
            container: finding.container.clone(),
            previous: finding.log == Log::Previous,
            tail_lines: Some(LINES),
            ..LogParams::default()
        };
        let logs = self.access.api::<Pod>();
        let read = bounded("read a pod's log", logs.logs(&finding.pod, &parameters)).await;
        read.unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// How often the containers of the pods with these labels were started again, and how many pods are ready.
    pub(super) async fn pods(&self, labels: &str) -> Result<PodCount, crate::deploy::TargetError> {
        let pods: Vec<Pod> = self.access.list(labels).await?;
        let mut count = PodCount::default();
        for pod in pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()) {
            let Some(status) = &pod.status else { continue };
            let ready = status.conditions.iter().flatten().any(|one| one.type_ == "Ready" && one.status == "True");
            count.ready += u32::from(ready);
            let restarts = status.container_statuses.iter().flatten().map(|one| u32::try_from(one.restart_count).unwrap_or(0));
            count.restarts += restarts.sum::<u32>();
            count.names.push(pod.name_any());
        }
        Ok(count)
    }
}

/// Pods that are not on their way out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct PodCount {
    /// Ready ones.
    pub(super) ready: u32,
    /// Restarts over all of them.
    pub(super) restarts: u32,
    /// Their names.
    pub(super) names: Vec<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "what is put into the macro is made for it")]
    fn pod(status: Value) -> Value {
        json!({"metadata": {"name": "shop-1", "uid": "u1"}, "spec": {"containers": [{"name": "app", "image": "r/shop:v9"}]},
            "status": {"containerStatuses": [status]}})
    }

    fn waiting(reason: &str, message: &str) -> Value {
        pod(json!({"name": "app", "image": "", "restartCount": 4, "state": {"waiting": {"reason": reason, "message": message}},
            "lastState": {"terminated": {"exitCode": 3, "reason": "Error"}}}))
    }

    #[test]
    fn each_of_the_kubelets_reasons_is_a_sentence_with_its_fix() {
        let rows = [
            (
                waiting("ImagePullBackOff", "Back-off pulling image: r/shop:v9: not found"),
                "the image r/shop:v9 is not in its registry",
                Hope::None,
            ),
            (waiting("ErrImagePull", "pull access denied, 401 Unauthorized"), "does not let this cluster pull r/shop:v9", Hope::None),
            (waiting("ErrImagePull", "i/o timeout"), "cannot be pulled (ErrImagePull): i/o timeout", Hope::Some),
            (waiting("CreateContainerConfigError", "secret \"db\" not found"), "the secret db is not there", Hope::None),
            (waiting("CreateContainerConfigError", "configmap \"flags\" not found"), "the configmap flags is not there", Hope::None),
            (waiting("CreateContainerConfigError", "couldn't find key URL in Secret shop/db"), "the secret db has no key URL", Hope::None),
            (waiting("CrashLoopBackOff", "back-off 10s"), "ends again and again: exit code 3, 4 restarts", Hope::None),
            (
                pod(json!({"name": "app", "restartCount": 0, "state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}})),
                "more memory than its limit",
                Hope::Some,
            ),
        ];
        for (pod, expected, hope) in rows {
            let found = diagnose(&[pod], &[]).unwrap();
            assert!(found.what.contains(expected), "{}: {expected}", found.what);
            assert_eq!(found.hope, hope, "{}", found.what);
            assert!(!found.fix.is_empty());
        }
        let coming = pod(json!({"name": "app", "state": {"waiting": {"reason": "ContainerCreating"}}}));
        assert_eq!(diagnose(&[coming], &[]), None);
    }

    #[test]
    fn a_probe_that_fails_is_told_by_its_event_and_the_gravest_finding_comes_first() {
        let unready = pod(json!({"name": "app", "ready": false, "restartCount": 0, "state": {"running": {}}}));
        assert_eq!(diagnose(std::slice::from_ref(&unready), &[]), None);
        let event = |uid: &str| {
            json!({"reason": "Unhealthy", "involvedObject": {"uid": uid}, "lastTimestamp": "2026-01-01T00:00:00Z",
                "message": "Readiness probe failed: HTTP probe failed with statuscode: 503"})
        };
        assert_eq!(diagnose(std::slice::from_ref(&unready), &[event("other")]), None);
        let found = diagnose(std::slice::from_ref(&unready), &[event("u1")]).unwrap();
        assert!(found.what.contains("statuscode: 503"), "{}", found.what);
        let both = diagnose(&[unready, waiting("CrashLoopBackOff", "")], &[event("u1")]).unwrap();
        assert_eq!(both.log, Log::Previous);
    }

    #[test]
    fn a_pod_that_no_node_takes_says_so_and_one_on_its_way_out_says_nothing() {
        let mut unscheduled = pod(json!({"name": "app"}));
        unscheduled["status"]["conditions"] = json!([{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available: 1 Insufficient cpu."}]);
        assert!(diagnose(std::slice::from_ref(&unscheduled), &[]).unwrap().what.contains("Insufficient cpu"));
        unscheduled["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert_eq!(diagnose(&[unscheduled], &[]), None);
    }
}
