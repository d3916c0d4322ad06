//! Metrics that are usual, found by looking at what is there, and what each still lacks.

use std::collections::{BTreeMap, BTreeSet};

use super::exposition::Labels;

/// Metrics that a family of programs exports.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Preset {
    /// Whose they are.
    pub name: &'static str,
    /// The counter of requests.
    pub requests: &'static str,
    /// The label of its status.
    pub status: &'static [&'static str],
    /// The histogram of durations, without `_bucket`.
    pub latency: &'static str,
    /// Its unit in seconds.
    pub unit_seconds: f64,
    /// Labels that may tell the version, the best first.
    pub version: &'static [&'static str],
}

/// The families, the most telling first: a proxy's own numbers before those of the program behind it.
pub const PRESETS: [Preset; 9] = [
    Preset {
        name: "hms's local proxy",
        requests: "hms_requests_total",
        status: &["code"],
        latency: "hms_request_duration_seconds",
        unit_seconds: 1.0,
        version: &["version"],
    },
    Preset {
        name: "Istio",
        requests: "istio_requests_total",
        status: &["response_code"],
        latency: "istio_request_duration_milliseconds",
        unit_seconds: 1e-3,
        version: &["destination_version", "destination_workload"],
    },
    Preset {
        name: "nginx-ingress",
        requests: "nginx_ingress_controller_requests",
        status: &["status"],
        latency: "nginx_ingress_controller_request_duration_seconds",
        unit_seconds: 1.0,
        version: &["service", "ingress", "canary"],
    },
    Preset {
        name: "Traefik",
        requests: "traefik_service_requests_total",
        status: &["code"],
        latency: "traefik_service_request_duration_seconds",
        unit_seconds: 1.0,
        version: &["service"],
    },
    Preset {
        name: "Envoy (Gateway API)",
        requests: "envoy_cluster_upstream_rq",
        status: &["envoy_response_code"],
        latency: "envoy_cluster_upstream_rq_time",
        unit_seconds: 1e-3,
        version: &["envoy_cluster_name"],
    },
    Preset {
        name: "Linkerd",
        requests: "response_total",
        status: &["status_code"],
        latency: "response_latency_ms",
        unit_seconds: 1e-3,
        version: &["version", "deployment", "dst_deployment"],
    },
    Preset {
        name: "OpenTelemetry, HTTP server",
        requests: "http_server_request_duration_seconds_count",
        status: &["http_response_status_code"],
        latency: "http_server_request_duration_seconds",
        unit_seconds: 1.0,
        version: &["service_version", "version"],
    },
    Preset {
        name: "client libraries",
        requests: "http_requests_total",
        status: &["code", "status", "status_code"],
        latency: "http_request_duration_seconds",
        unit_seconds: 1.0,
        version: &["version", "app_kubernetes_io_version", "rollouts_pod_template_hash"],
    },
    Preset {
        name: "client libraries, durations alone",
        requests: "http_request_duration_seconds_count",
        status: &["code", "status", "status_code"],
        latency: "http_request_duration_seconds",
        unit_seconds: 1.0,
        version: &["version", "app_kubernetes_io_version", "rollouts_pod_template_hash"],
    },
];

/// A family that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Which.
    pub preset: Preset,
    /// How many series its counter has.
    pub series: usize,
    /// The label that tells the status; none when none does.
    pub status: Option<&'static str>,
    /// The label that tells the version, with its values.
    pub version: Option<(String, Vec<String>)>,
    /// Other labels of the counter with more than one value: one of them may tell the version.
    pub candidates: Vec<String>,
    /// Its durations are there.
    pub latency: bool,
}

impl Found {
    /// What it lacks, a sentence each; empty when it can be judged.
    #[must_use]
    pub fn lacks(&self) -> Vec<String> {
        let mut lacks = Vec::new();
        if self.status.is_none() {
            lacks.push(format!("{} has no status ({}): errors cannot be told", self.preset.requests, self.preset.status.join(", ")));
        }
        if self.version.is_none() {
            let others =
                if self.candidates.is_empty() { "no label does".into() } else { format!("one of {} may", self.candidates.join(", ")) };
            lacks.push(format!("no label tells the version ({}); {others}: set version_label", self.preset.version.join(", ")));
        }
        if !self.latency {
            lacks.push(format!("{} is not there: latency is not judged", self.preset.latency));
        }
        lacks
    }

    /// It can be judged, with or without latency.
    #[must_use]
    pub fn usable(&self) -> bool {
        self.status.is_some() && self.version.is_some()
    }
}

/// Looks for the families among series. `version_label` is what a person says tells the version.
#[must_use]
pub fn look(series: &[(String, Labels)], version_label: Option<&str>) -> Vec<Found> {
    let names: BTreeSet<&str> = series.iter().map(|(name, _)| name.as_str()).collect();
    let mut found: Vec<Found> = Vec::new();
    for preset in PRESETS.into_iter().filter(|preset| names.contains(preset.requests)) {
        // The counter beside the histogram tells more than the histogram's own count.
        if found.iter().any(|known| known.preset.latency == preset.latency) {
            continue;
        }
        let own: Vec<&Labels> = series.iter().filter(|(name, _)| name == preset.requests).map(|(_, labels)| labels).collect();
        let mut values: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (label, value) in own.iter().flat_map(|labels| labels.iter()) {
            values.entry(label).or_default().insert(value);
        }
        let has = |label: &&str| values.contains_key(*label);
        let version = match version_label {
            Some(label) => Some(label).filter(has),
            None => preset.version.iter().copied().find(has),
        };
        let status = preset.status.iter().copied().find(has);
        let candidates =
            values.iter().filter(|(label, values)| values.len() > 1 && Some(**label) != status).map(|(label, _)| (*label).to_owned());
        found.push(Found {
            preset,
            series: own.len(),
            status,
            version: version.map(|label| (label.to_owned(), values[label].iter().map(|value| (*value).to_owned()).collect())),
            candidates: candidates.collect(),
            latency: names.contains(format!("{}_bucket", preset.latency).as_str()) || names.contains(preset.latency),
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(all: &[(&str, &[(&str, &str)])]) -> Vec<(String, Labels)> {
        let labels = |pairs: &[(&str, &str)]| pairs.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned())).collect();
        all.iter().map(|(name, pairs)| ((*name).to_owned(), labels(pairs))).collect()
    }

    #[test]
    fn what_is_there_is_found_with_what_it_lacks() {
        let there = series(&[
            ("http_requests_total", &[("code", "200"), ("pod", "a")]),
            ("http_requests_total", &[("code", "500"), ("pod", "b")]),
            ("http_request_duration_seconds_count", &[("pod", "b")]),
            ("http_request_duration_seconds_bucket", &[("pod", "b"), ("le", "1")]),
            ("istio_requests_total", &[("response_code", "200"), ("destination_version", "v1")]),
            ("up", &[]),
        ]);
        let found = look(&there, None);
        assert_eq!(found.iter().map(|found| found.preset.name).collect::<Vec<_>>(), ["Istio", "client libraries"]);
        assert!(found[0].usable() && found[0].lacks() == ["istio_request_duration_milliseconds is not there: latency is not judged"]);
        assert!(!found[1].usable());
        assert!(found[1].lacks()[0].contains("one of pod may: set version_label"), "{:?}", found[1].lacks());
        let told = look(&there, Some("pod"));
        assert_eq!(told[1].version, Some(("pod".to_owned(), vec!["a".to_owned(), "b".to_owned()])));
        assert!(told[1].usable() && told[1].lacks().is_empty());
        assert!(look(&series(&[("up", &[])]), None).is_empty());
    }
}
