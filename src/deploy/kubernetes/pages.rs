//! Pods' own pages of metrics, through the API server: it takes access to that alone, and no server that has scraped them before.

use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::StatusCode;
use k8s_openapi::api::core::v1::{Pod, PodSpec};
use kube::ResourceExt;
use tokio::task::JoinSet;

use super::KubernetesTarget;
use super::access::{Access, Trouble};
use super::adopt::tag_of;
use super::arm::labels_at;
use super::names;
use crate::deploy::{MetricsPage, TargetError};

/// How long one pod may take to answer.
const PAGE: Duration = Duration::from_secs(3);
/// A page of metrics is some hundred KiB.
const LIMIT_BYTES: usize = 4 << 20;
/// So many pods are read at most: more are a selector that chooses too much, and a load for the API server.
const MOST_PODS: usize = 100;
/// So many at a time.
const AT_ONCE: usize = 16;
/// So much of what a pod says of its error is repeated.
const EXCERPT_CHARS: usize = 120;
/// Ports that are looked for by name when no annotation says where the page is.
const PORT_NAMES: [&str; 3] = ["metrics", "http-metrics", "prometheus"];

/// Whether a page that cannot be read is a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Duty {
    /// The pod serves users: without it an arm is half measured.
    Serves,
    /// It comes, or goes: what it counted is taken if it can be had.
    Passes,
}

impl KubernetesTarget {
    /// The pages of all pods with these labels, and of the arm beside stable, that run. One that serves and cannot be read fails all of them.
    pub(super) async fn pages_of(&self, labels: &str) -> Result<Vec<MetricsPage>, TargetError> {
        let list = async |labels: &str| self.access.list::<Pod>(labels).await.map_err(|trouble| forbidden(trouble, &self.access));
        let mut pods = list(labels).await?;
        // hms gives the arm's pods another value of a label where stable's service would find them: they belong to what is meant all the same.
        if let Some(beside) = self.beside().await? {
            let own = list(&names::selector(&labels_at(beside.object.at("/spec/selector/matchLabels")))).await?;
            let others: Vec<Pod> = own.into_iter().filter(|pod| !pods.iter().any(|known| known.uid() == pod.uid())).collect();
            pods.extend(others);
        }
        let running: Vec<Pod> = pods.into_iter().filter(runs).collect();
        if running.len() > MOST_PODS {
            let reason =
                format!("{} pods run with the labels `{labels}`, and at most {MOST_PODS} are read: narrow `metrics.pods`", running.len());
            return Err(TargetError::NotPossible { reason });
        }
        let mut pages = Vec::with_capacity(running.len());
        for some in running.chunks(AT_ONCE) {
            let mut reading = JoinSet::new();
            for pod in some {
                let (access, pod, label) = (self.access.clone(), pod.clone(), self.place.version_label.clone());
                reading.spawn(async move { read(&access, &pod, &label).await });
            }
            while let Some(done) = reading.join_next().await {
                let page = done.map_err(|error| TargetError::Unreachable { reason: error.to_string() })?;
                pages.extend(page.map_err(|reason| TargetError::Unreachable { reason })?);
            }
        }
        Ok(pages)
    }
}

async fn read(access: &Access, pod: &Pod, version_label: &str) -> Result<Option<MetricsPage>, String> {
    let duty = duty(pod);
    let place = pod.spec.as_ref().and_then(|spec| page_of(pod, spec));
    let text = match place {
        Some(place) => page(access, &place).await,
        None => Err(format!("pod {} names no port", pod.name_any())),
    };
    match (text, duty) {
        (Ok(text), _) => {
            // Another pod of the same name is another process.
            let instance = format!("{}/{}", pod.name_any(), pod.uid().unwrap_or_default());
            // As the arm itself is called: what ran before hms came goes by its image's tag.
            let tag = || serde_json::to_value(pod).ok().map(|pod| tag_of(&pod));
            Ok(Some(MetricsPage { instance, version: pod.labels().get(version_label).cloned().or_else(tag), text }))
        }
        (Err(_), Duty::Passes) => Ok(None),
        (Err(why), Duty::Serves) => Err(why),
    }
}

fn runs(pod: &Pod) -> bool {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running")
}

fn duty(pod: &Pod) -> Duty {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let ready = conditions.into_iter().any(|one| one.type_ == "Ready" && one.status == "True");
    if ready && pod.metadata.deletion_timestamp.is_none() { Duty::Serves } else { Duty::Passes }
}

/// A page by its path in the API server: bounded in time and size, and told what is missing where the server says no.
pub(super) async fn page(access: &Access, place: &str) -> Result<String, String> {
    let what = format!("{place} through the API server");
    match tokio::time::timeout(PAGE, fetched(access, place)).await {
        Ok(Ok(page)) => Ok(page),
        Ok(Err(why)) => Err(format!("{what}: {why}")),
        Err(_) => Err(format!("{what}: no answer within {} s", PAGE.as_secs())),
    }
}

async fn fetched(access: &Access, place: &str) -> Result<String, String> {
    let request = hyper::Request::get(place).body(kube::client::Body::empty()).map_err(|error| error.to_string())?;
    let response = access.client().send(request).await.map_err(|error| crate::store::chain(&error))?;
    let status = response.status();
    let limited = Limited::new(response.into_body(), LIMIT_BYTES).collect().await;
    if status == StatusCode::FORBIDDEN || status == StatusCode::UNAUTHORIZED {
        return Err(needs_right(status.as_u16(), "get", "pods/proxy", access));
    }
    let bytes = limited.map_err(|error| format!("{error} ({} MiB at most)", LIMIT_BYTES >> 20))?.to_bytes();
    let text = String::from_utf8(bytes.to_vec()).map_err(|_| "what it sends is not UTF-8".to_owned());
    if status == StatusCode::OK { text } else { Err(format!("answered {status}: {}", said(&text.unwrap_or_default()))) }
}

/// What an answer says of its error: the API server's own words, else the beginning of a page.
fn said(text: &str) -> String {
    let told = serde_json::from_str::<serde_json::Value>(text).ok().and_then(|value| Some(value.get("message")?.as_str()?.to_owned()));
    told.unwrap_or_else(|| text.to_owned()).chars().filter(|letter| !letter.is_control()).take(EXCERPT_CHARS).collect()
}

fn needs_right(code: u16, verb: &str, resource: &str, access: &Access) -> String {
    format!(
        "{code}: this credential may not {verb} {resource} in {} (hint: hms doctor --rbac USER prints the rule: apiGroups [\"\"], \
         resources [{resource}], verbs [{verb}])",
        access.name()
    )
}

fn forbidden(trouble: Trouble, access: &Access) -> TargetError {
    match trouble {
        Trouble::Refused { code: 403, .. } => TargetError::NotPossible { reason: needs_right(403, "list", "pods", access) },
        Trouble::Conflict { .. } | Trouble::Owned { .. } | Trouble::Gone { .. } | Trouble::Refused { .. } | Trouble::Silent { .. } => {
            trouble.into()
        }
    }
}

/// The path of a pod's page in the API server: by the annotations that Prometheus's own examples read, else by a port's name, else the
/// first port.
pub(super) fn page_of(pod: &Pod, spec: &PodSpec) -> Option<String> {
    let noted = |name: &str| pod.annotations().get(name).map(String::as_str);
    let mut ports = spec.containers.iter().flat_map(|container| container.ports.iter().flatten());
    let named = ports.clone().find(|port| port.name.as_deref().is_some_and(|name| PORT_NAMES.contains(&name)));
    let port = match noted("prometheus.io/port") {
        Some(port) => port.to_owned(),
        None => named.or_else(|| ports.next())?.container_port.to_string(),
    };
    let scheme = noted("prometheus.io/scheme").filter(|scheme| *scheme == "https").map_or("", |_| "https:");
    let path = noted("prometheus.io/path").unwrap_or("/metrics").trim_start_matches('/');
    Some(format!("/api/v1/namespaces/{}/pods/{scheme}{}:{port}/proxy/{path}", pod.namespace()?, pod.name_any()))
}
