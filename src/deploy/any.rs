//! A target of whichever kind policy names: the one place where the kinds are told apart.

use std::path::Path;

use super::kubernetes::KubernetesTarget;
use super::local::LocalTarget;
use super::{Applied, ArmName, Effect, Held, ImageSource, MetricsPage, Observation, ReleaseRecord, Target, TargetError};
use crate::event::{AppRecord, Digest, Drift, EnvironmentName, EnvironmentRecord, ReleaseRef, TargetIdentity, Weight};

/// A target of some kind.
#[derive(Debug, Clone)]
pub enum AnyTarget {
    /// This machine.
    Local(LocalTarget),
    /// A cluster.
    Kubernetes(Box<KubernetesTarget>),
}

impl From<LocalTarget> for AnyTarget {
    fn from(target: LocalTarget) -> Self {
        Self::Local(target)
    }
}

impl From<KubernetesTarget> for AnyTarget {
    fn from(target: KubernetesTarget) -> Self {
        Self::Kubernetes(Box::new(target))
    }
}

impl AnyTarget {
    /// Whether a person stopped it; a cluster is stopped by nobody here.
    ///
    /// # Errors
    /// When the local store cannot be read.
    pub fn was_stopped(&self) -> Result<bool, TargetError> {
        match self {
            Self::Local(target) => target.was_stopped(),
            Self::Kubernetes(_) => Ok(false),
        }
    }

    /// Whether a release can be started beside production without touching what serves, as a rollback's rehearsal: on a cluster it would take
    /// room for all its pods from others, and a place that a canary needs.
    #[must_use]
    pub fn starts_beside(&self) -> bool {
        matches!(self, Self::Local(_))
    }

    /// Brings back what a person stopped, where it was.
    ///
    /// # Errors
    /// When the supervisor does not come up.
    pub async fn wake(&self) -> Result<(), TargetError> {
        match self {
            Self::Local(target) => target.wake().await,
            Self::Kubernetes(_) => Ok(()),
        }
    }
}

/// The same call on whichever it is.
macro_rules! of_either {
    ($any:expr, $target:ident => $call:expr) => {
        match $any {
            AnyTarget::Local($target) => $call.await,
            AnyTarget::Kubernetes($target) => $call.await,
        }
    };
}

impl Target for AnyTarget {
    async fn identity(&self) -> Result<TargetIdentity, TargetError> {
        of_either!(self, target => target.identity())
    }

    async fn app_record(&self) -> Result<AppRecord, TargetError> {
        of_either!(self, target => target.app_record())
    }

    async fn put_app_record(&self, record: AppRecord) -> Result<AppRecord, TargetError> {
        of_either!(self, target => target.put_app_record(record))
    }

    async fn record(&self, environment: &EnvironmentName) -> Result<EnvironmentRecord, TargetError> {
        of_either!(self, target => target.record(environment))
    }

    async fn put_record(&self, record: EnvironmentRecord) -> Result<EnvironmentRecord, TargetError> {
        of_either!(self, target => target.put_record(record))
    }

    async fn hold_record(&self, record: EnvironmentRecord) -> Result<Held, TargetError> {
        of_either!(self, target => target.hold_record(record))
    }

    async fn environments(&self) -> Result<Vec<EnvironmentName>, TargetError> {
        of_either!(self, target => target.environments())
    }

    async fn observe(&self, environment: &EnvironmentName) -> Result<Observation, TargetError> {
        of_either!(self, target => target.observe(environment))
    }

    async fn drift(&self, environment: &EnvironmentName) -> Result<Vec<Drift>, TargetError> {
        of_either!(self, target => target.drift(environment))
    }

    async fn pages(&self, labels: &str) -> Result<Vec<MetricsPage>, TargetError> {
        of_either!(self, target => target.pages(labels))
    }

    async fn prepare(&self, record: ReleaseRecord, tree: &Path, image: Option<&ImageSource>) -> Result<ReleaseRecord, TargetError> {
        of_either!(self, target => target.prepare(record, tree, image))
    }

    async fn adopt(&self, environment: &EnvironmentName) -> Result<Option<ReleaseRef>, TargetError> {
        of_either!(self, target => target.adopt(environment))
    }

    async fn place(&self, record: &ReleaseRecord, tree: &Path) -> Result<(), TargetError> {
        of_either!(self, target => target.place(record, tree))
    }

    async fn placed(&self, release: &Digest) -> Result<Option<ReleaseRecord>, TargetError> {
        of_either!(self, target => target.placed(release))
    }

    async fn releases(&self) -> Result<Vec<ReleaseRecord>, TargetError> {
        of_either!(self, target => target.releases())
    }

    async fn remove(&self, release: &Digest) -> Result<(), TargetError> {
        of_either!(self, target => target.remove(release))
    }

    async fn preview(&self, release: &Digest, arm: ArmName, weight: Option<Weight>) -> Result<Vec<String>, TargetError> {
        of_either!(self, target => target.preview(release, arm, weight))
    }

    async fn apply(
        &self,
        environment: &EnvironmentName,
        fence: u64,
        effect: &Effect,
        progress: &(dyn Fn(String) + Send + Sync),
    ) -> Result<Applied, TargetError> {
        of_either!(self, target => target.apply(environment, fence, effect, progress))
    }
}
