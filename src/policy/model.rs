//! Policy: what decides about a release, with every default written out.
//!
//! The field names are those of `.hms`, so that a difference reads as the file does. Each type reads an older text, in which a field
//! is missing, with the default; whoever adds a field makes its default the behaviour from before.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{Canary, FreezeWindow, Period};
use crate::event::{AppName, EnvironmentName};

/// The format of policies that this program writes.
pub(super) const POLICY_FORMAT: u32 = 1;

/// All settings that a commit must not change by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// 1.
    pub policy_format: u32,
    /// The app's name; none when the folder's is taken.
    pub app: Option<AppName>,
    /// Where images go; none when releases are trees of files.
    pub registry: Option<Registry>,
    /// The environments that are named; `prod` and `canary` are there also when they are not (see [`super::resolve_environment`]).
    pub environments: BTreeMap<EnvironmentName, Environment>,
    /// Who splits traffic on a cluster, in environments that say nothing of it themselves.
    pub traffic: Option<Traffic>,
    /// Where measurements come from.
    pub metrics: Metrics,
    /// How a canary is walked and judged.
    pub canary: Canary,
    /// What a release's scan must have been.
    pub scan: Scan,
    /// How a rollback is armed.
    pub rollback: Rollback,
    /// What becomes of versions after a promotion.
    pub version: Version,
    /// When nothing is promoted.
    pub freeze: Vec<FreezeWindow>,
    /// The local target.
    pub local: Local,
    /// How long a release waits for an environment that another one holds. Default 30m; 0 is not at all.
    pub slot_timeout: Period,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            policy_format: POLICY_FORMAT,
            app: None,
            registry: None,
            environments: BTreeMap::new(),
            traffic: None,
            metrics: Metrics::default(),
            canary: Canary::default(),
            scan: Scan::default(),
            rollback: Rollback::default(),
            version: Version::default(),
            freeze: Vec::new(),
            local: Local::default(),
            slot_timeout: Period::from_seconds(30 * 60),
        }
    }
}

/// An image registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registry {
    /// The image's name without a tag.
    pub image: String,
    /// How many releases are kept, 1 or more. Default 5.
    pub keep: u32,
}

/// An environment: a place, or an arm of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Environment {
    /// The canary arm of a place.
    Arm {
        /// Which place.
        of: EnvironmentName,
    },
    /// A place of its own.
    Place {
        /// What kind of place. Default `local`.
        target: Target,
        /// On a cluster: the kubeconfig's context.
        #[serde(default)]
        context: Option<String>,
        /// On a cluster: the namespace.
        #[serde(default)]
        namespace: Option<String>,
        /// On a cluster: the workload, `KIND/NAME`; none for the Deployment named as the app.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        workload: Option<String>,
        /// On a cluster: the containers that get the release's image; empty where there is only one that can be meant.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        containers: Vec<String>,
        /// On a cluster: field managers whose image field may be taken over.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        take_over: Vec<String>,
        /// On a cluster: workloads that every release goes to as well.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        together: Vec<Together>,
        /// On a cluster: what is run once for a release before it comes up.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        migrate: Option<Box<Migrate>>,
        /// On a cluster: who splits its traffic, where that is not what the app's `traffic` says.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        traffic: Option<Box<Traffic>>,
        /// Whether it changes only with a promotion. Default true for `prod`, false for others.
        protected: bool,
        /// How many yeses beside the first one a release needs. Default 0.
        #[serde(default)]
        approvals: u32,
    },
}

impl Environment {
    /// A place that no setting names.
    #[must_use]
    pub fn unnamed(name: &EnvironmentName) -> Self {
        Self::Place {
            target: Target::Local,
            context: None,
            namespace: None,
            workload: None,
            containers: Vec::new(),
            take_over: Vec::new(),
            together: Vec::new(),
            migrate: None,
            traffic: None,
            protected: name.as_str() == "prod",
            approvals: 0,
        }
    }
}

/// What is run once for a release before it comes up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Migrate {
    /// What is run in the release's image, as its workload runs it; empty where a `CronJob` says it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// The `CronJob` whose job it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cronjob: Option<String>,
    /// How long it may take. Default 10m.
    pub timeout: Period,
}

/// A workload that is released together with the environment's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Together {
    /// `KIND/NAME`.
    pub workload: String,
    /// The containers that get the image; empty where there is only one that can be meant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<String>,
    /// An image of its own, by name without a tag; none when it gets the release's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The service of its stable arm; none when no router leads to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable: Option<String>,
    /// The service of its canary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<String>,
}

/// A kind of place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// This machine, behind hms's own proxy.
    Local,
    /// A cluster.
    Kubernetes,
}

/// The objects that split traffic on a cluster, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Gateway API: the `HTTPRoute` whose weights are set. One of the four kinds is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub httproute: Option<String>,
    /// ingress-nginx: the `Ingress` that gets a second one beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<String>,
    /// Istio: the `VirtualService` whose weights are set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virtualservice: Option<String>,
    /// Traefik: the weighted `TraefikService`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traefikservice: Option<String>,
    /// The service of the stable arm.
    pub stable: String,
    /// The service of the canary.
    pub canary: String,
}

impl Traffic {
    /// The router's kind and name, for people.
    pub(super) fn router(&self) -> String {
        let kinds = ["httproute", "ingress", "virtualservice", "traefikservice"];
        let names = [&self.httproute, &self.ingress, &self.virtualservice, &self.traefikservice];
        kinds.iter().zip(names).find_map(|(kind, name)| Some(format!("{kind} {}", name.as_ref()?))).unwrap_or_default()
    }
}

/// Where measurements come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Metrics {
    /// Which endpoint.
    pub source: MetricsSource,
    /// The selector of the request counter.
    pub requests: String,
    /// The selector of the latency histogram, without `_bucket`.
    pub latency: String,
    /// The label whose value names a version.
    pub version_label: String,
    /// Other servers with the same metrics, asked in order when the first does not answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fallbacks: Vec<String>,
    /// The user's own metrics, by name, judged beside errors and latency.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub own: BTreeMap<String, OwnMetric>,
}

/// One of the user's own metrics: what of it is bad, and how much of it may be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OwnMetric {
    /// Requests with a status, of all requests.
    Status {
        /// A class (`4xx`) or a code (`429`).
        status: String,
        /// The share that may be bad, above 0 and below 1.
        slo: f64,
    },
    /// What one counter counts, of what another does.
    Ratio {
        /// The selector of the bad ones.
        bad: String,
        /// The selector of all of them; none when they are the requests.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        all: Option<String>,
        /// The share that may be bad, above 0 and below 1.
        slo: f64,
    },
    /// Durations; what is slower is bad.
    Latency {
        /// The selector of a histogram, without `_bucket`.
        latency: String,
        /// Counted at the first bucket's bound that is as high or higher.
        slower_than: Period,
        /// The share that may be bad, above 0 and below 1.
        slo: f64,
    },
}

impl OwnMetric {
    /// The share that may be bad, above 0 and below 1.
    #[must_use]
    pub fn slo(&self) -> f64 {
        match self {
            Self::Status { slo, .. } | Self::Ratio { slo, .. } | Self::Latency { slo, .. } => *slo,
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            source: MetricsSource::Target,
            requests: "http_requests_total".to_owned(),
            latency: "http_request_duration_seconds".to_owned(),
            version_label: "version".to_owned(),
            fallbacks: Vec::new(),
            own: BTreeMap::new(),
        }
    }
}

/// An endpoint of measurements. Addresses hold no credentials: those are named in the operator's file alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricsSource {
    /// What the target itself exports.
    Target,
    /// The query API of a Prometheus at this address.
    Prometheus(String),
    /// A page in the Prometheus text format at this address.
    Scrape(String),
    /// The pages of a cluster's pods with these labels, through its API server.
    Pods(String),
}

/// What a release's scan must have been.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scan {
    /// A protected environment takes only a release that was scanned this strictly. Default high.
    pub gate: Level,
    /// Whether packages must have been looked up. Default required.
    pub advisories: Advisories,
}

impl Default for Scan {
    fn default() -> Self {
        Self { gate: Level::High, advisories: Advisories::Required }
    }
}

/// A level from which findings fail, the strictest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Low and above.
    Low,
    /// Medium and above.
    Medium,
    /// High and above.
    High,
    /// Critical alone.
    Critical,
    /// Nothing fails, and no scan is needed.
    None,
}

impl Level {
    /// The words for levels, as they are written.
    pub const WORDS: [(&'static str, Self); 5] =
        [("low", Self::Low), ("medium", Self::Medium), ("high", Self::High), ("critical", Self::Critical), ("none", Self::None)];

    /// The word for this level.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
            Self::None => "none",
        }
    }
}

/// Whether packages must have been looked up in advisories. The stricter first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Advisories {
    /// A package that was not looked up fails the scan.
    Required,
    /// It is said, and that is all.
    Optional,
}

/// How a rollback is armed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rollback {
    /// How long a rollback of a whole environment can be taken back before it fires, 0 to 10s. Default 3s.
    pub delay: Period,
}

impl Default for Rollback {
    fn default() -> Self {
        Self { delay: Period::from_seconds(3) }
    }
}

/// What becomes of versions after a promotion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Version {
    /// How the next one is found. Default none.
    pub bump: VersionBump,
}

impl Default for Version {
    fn default() -> Self {
        Self { bump: VersionBump::None }
    }
}

/// How the next version is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VersionBump {
    /// From what the commits since the last one say.
    Conventional,
    /// Always the next patch.
    Patch,
    /// No tag is made.
    None,
}

/// The local target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Local {
    /// Where the proxy listens, on loopback. Default 127.0.0.1:8080.
    pub listen: SocketAddr,
}

impl Default for Local {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 8080)) }
    }
}
