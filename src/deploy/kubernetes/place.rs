//! Where on a cluster an environment is: names that policy gives, and nothing that was looked up.

use std::time::Duration;

use super::object::{DAEMON_SET, DEPLOYMENT, Kind, STATEFUL_SET};

/// An environment's place on a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterPlace {
    /// The kubeconfig's context; none for the service account of the pod that this runs in.
    pub context: Option<String>,
    /// The namespace.
    pub namespace: String,
    /// The user's workload.
    pub workload: WorkloadName,
    /// Containers that get the release's image; empty: the workload's only container, or those whose image has the same name.
    pub containers: Vec<String>,
    /// The image's name without a tag, where jobs push it; none when releases name theirs in full.
    pub image: Option<String>,
    /// Who splits traffic.
    pub traffic: Option<TrafficPlace>,
    /// The pod label that names a version in metrics.
    pub version_label: String,
    /// Field managers whose image field hms may take over, beside people's kubectl.
    pub take_over: Vec<String>,
}

/// All of an environment's places: where its releases go together, and what is run before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterSet {
    /// The workload that leads.
    pub leading: ClusterPlace,
    /// Those that are released together with it.
    pub others: Vec<ClusterPlace>,
    /// What is run once for a release before it comes up.
    pub migration: Option<Migration>,
}

/// What is run once for a release before it comes up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// What.
    pub work: Work,
    /// How long it may take.
    pub timeout: Duration,
}

/// What a migration runs, in the release's image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// A command, as the leading workload runs its own.
    Command(Vec<String>),
    /// The job of a `CronJob`.
    CronJob(String),
}

impl std::fmt::Display for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            // What follows may be a secret.
            Self::Command(command) => write!(f, "`{}`", command.first().map_or("", String::as_str)),
            Self::CronJob(name) => write!(f, "the job of cronjob/{name}"),
        }
    }
}

/// A workload by kind and name, for instance `deployment/shop`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkloadName {
    /// A Deployment; it alone can have a canary beside it.
    Deployment(String),
    /// A StatefulSet.
    StatefulSet(String),
    /// A DaemonSet.
    DaemonSet(String),
}

/// The objects that split traffic, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrafficPlace {
    /// Who splits.
    pub router: RouterName,
    /// The service of the stable arm.
    pub stable: String,
    /// The service of the canary; made when it is not there.
    pub canary: String,
    /// How long the gateway may go on as before after it accepted a change. Pods that had the traffic are left alone so long.
    pub settle: Duration,
}

/// A gateway whose configuration is reloaded at most every 2 s, which is Traefik's default, and some.
pub const DEFAULT_SETTLE: Duration = Duration::from_secs(3);

/// A router by kind and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouterName {
    /// Gateway API.
    HttpRoute(String),
    /// The user's Ingress, served by ingress-nginx.
    Ingress(String),
    /// Istio.
    VirtualService(String),
    /// Traefik's own.
    TraefikService(String),
}

impl WorkloadName {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Deployment(_) => DEPLOYMENT,
            Self::StatefulSet(_) => STATEFUL_SET,
            Self::DaemonSet(_) => DAEMON_SET,
        }
    }

    pub(super) fn name(&self) -> &str {
        match self {
            Self::Deployment(name) | Self::StatefulSet(name) | Self::DaemonSet(name) => name,
        }
    }
}

impl std::fmt::Display for WorkloadName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.kind().word(), self.name())
    }
}
