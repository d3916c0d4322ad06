//! How many requests pods answered, by their own count: each pod's page of metrics, read through the API server. It takes access to that
//! alone, and is never older than the question, as what a Prometheus knows is.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod, PodSpec, Probe};
use kube::ResourceExt;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::KubernetesTarget;
use super::pages::{page, page_of};

/// What is on a page: how many requests it counts; none when it has no such counter, else why it cannot be read.
pub type Page = Result<Option<f64>, String>;

/// Reads a pod's page of metrics.
#[derive(Clone)]
pub struct RequestCount(Arc<dyn Fn(&str) -> Page + Send + Sync>);

impl RequestCount {
    /// Reads pages so.
    #[must_use]
    pub fn new(read: impl Fn(&str) -> Page + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }
}

impl Debug for RequestCount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RequestCount")
    }
}

/// What pods counted at one moment.
#[derive(Debug, Clone)]
pub(super) struct Counts {
    at: Instant,
    pods: BTreeMap<String, Counted>,
    /// Whether any of them shows the counter: one that answered nobody yet may show none.
    pub(super) is_counted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Counted {
    requests: f64,
    checks_per_second: f64,
}

impl Counts {
    /// Requests since an earlier look. One of a pod that was not there then counts from its beginning; those of a pod that is gone are lost.
    pub(super) fn since(&self, earlier: &Self) -> f64 {
        let more = |(pod, now): (&String, &Counted)| {
            let before = earlier.pods.get(pod).map_or(0.0, |before| before.requests);
            // A counter that was set back began anew.
            if now.requests < before { now.requests } else { now.requests - before }
        };
        self.pods.iter().map(more).sum()
    }

    /// These pods and those.
    pub(super) fn and(mut self, more: Self) -> Self {
        self.pods.extend(more.pods);
        Self { is_counted: self.is_counted || more.is_counted, ..self }
    }

    /// How many of them may be health checks and the two looks: not every page tells those apart.
    pub(super) fn checks_since(&self, earlier: &Self) -> f64 {
        let seconds = self.at.duration_since(earlier.at).as_secs_f64();
        self.pods.values().map(|pod| if pod.checks_per_second > 0.0 { pod.checks_per_second * seconds + 1.0 } else { 0.0 } + 2.0).sum()
    }
}

impl KubernetesTarget {
    /// What the pods with these labels count now.
    ///
    /// # Errors
    /// Why it cannot be known, in one line.
    pub(super) async fn counts(&self, labels: &str) -> Result<Counts, String> {
        let Some(count) = &self.count else { return Err("no counter of requests is known".to_owned()) };
        let pods: Vec<Pod> = self.access.list(labels).await.map_err(|trouble| trouble.to_string())?;
        let at = Instant::now();
        let mut reading = JoinSet::new();
        for pod in pods {
            let is_running = pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running");
            let Some(spec) = pod.spec.as_ref().filter(|_| is_running) else { continue };
            let Some(place) = page_of(&pod, spec) else { return Err(format!("pod {} names no port", pod.name_any())) };
            let checks_per_second = checks_per_second(spec);
            let (access, count) = (self.access.clone(), count.clone());
            reading.spawn(async move {
                let page = page(&access, &place).await?;
                let requests = (count.0)(&page).map_err(|why| format!("the metrics of pod {}: {why}", pod.name_any()))?;
                Ok::<_, String>((pod.uid().unwrap_or_else(|| pod.name_any()), requests, checks_per_second))
            });
        }
        let (mut pods, mut is_counted) = (BTreeMap::new(), false);
        while let Some(read) = reading.join_next().await {
            let (pod, requests, checks_per_second) = read.map_err(|error| error.to_string())??;
            is_counted |= requests.is_some();
            pods.insert(pod, Counted { requests: requests.unwrap_or(0.0), checks_per_second });
        }
        Ok(Counts { at, pods, is_counted })
    }
}

/// How often the kubelet asks a pod by HTTP how it is.
fn checks_per_second(spec: &PodSpec) -> f64 {
    let probes = spec.containers.iter().flat_map(|container| [&container.readiness_probe, &container.liveness_probe]).flatten();
    let by_http = probes.filter(|probe| probe.http_get.is_some());
    by_http.map(|probe: &Probe| 1.0 / f64::from(probe.period_seconds.unwrap_or(10).max(1))).sum()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;

    fn counts(at: Instant, pods: &[(&str, f64)]) -> Counts {
        let counted = |requests: f64| Counted { requests, checks_per_second: 1.0 };
        Counts { at, pods: pods.iter().map(|(name, requests)| ((*name).to_owned(), counted(*requests))).collect(), is_counted: true }
    }

    #[test]
    fn requests_are_counted_by_pod_so_that_one_that_went_takes_nothing_away() {
        let began = Instant::now();
        let earlier = counts(began, &[("a", 100.0), ("b", 50.0), ("c", 70.0)]);
        let later = counts(began + Duration::from_secs(2), &[("a", 103.0), ("c", 2.0), ("d", 4.0)]);
        assert!((later.since(&earlier) - 9.0).abs() < f64::EPSILON, "3 of a, 2 of c that began anew, 4 of d");
        assert!((later.checks_since(&earlier) - 15.0).abs() < 1e-9, "each of three: two checks, one at the edge, two looks");
    }

    #[expect(clippy::needless_pass_by_value, reason = "what is put into the macro is made for it")]
    fn pod(annotations: Value, ports: Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "shop-1", "namespace": "irs", "annotations": annotations},
            "spec": {"containers": [{"name": "side"}, {"name": "shop", "ports": ports,
                "readinessProbe": {"httpGet": {"port": 80}, "periodSeconds": 2}, "livenessProbe": {"tcpSocket": {"port": 80}}}]},
        }))
        .unwrap()
    }

    #[test]
    fn a_page_is_where_the_annotations_or_the_ports_say() {
        let ports = || json!([{"containerPort": 80}, {"containerPort": 9100, "name": "metrics"}]);
        let place = |annotations: Value, ports: Value| {
            let pod = pod(annotations, ports);
            page_of(&pod, pod.spec.as_ref().unwrap())
        };
        assert_eq!(place(json!({}), ports()).unwrap(), "/api/v1/namespaces/irs/pods/shop-1:9100/proxy/metrics");
        assert_eq!(place(json!({}), json!([{"containerPort": 80}])).unwrap(), "/api/v1/namespaces/irs/pods/shop-1:80/proxy/metrics");
        let noted = json!({"prometheus.io/port": "8443", "prometheus.io/path": "/own", "prometheus.io/scheme": "https"});
        assert_eq!(place(noted, ports()).unwrap(), "/api/v1/namespaces/irs/pods/https:shop-1:8443/proxy/own");
        assert_eq!(place(json!({}), json!([])), None);
        assert!((checks_per_second(pod(json!({}), ports()).spec.as_ref().unwrap()) - 0.5).abs() < f64::EPSILON);
    }
}
