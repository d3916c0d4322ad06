//! A Kubernetes cluster as a target: objects of hms beside the user's own, changed in the order that loses no request
//! (`docs/decisions.md` 14).
//!
//! ```text
//! records  ─ ConfigMaps: app, environments, releases, templates         (records, names)
//! effects  ─ what each effect of the contract does, step by step        (effects, start, promote, back)
//! workload ─ the user's Deployment, StatefulSet or DaemonSet            (workload, status, revision, diagnosis)
//! set      ─ several workloads that are released together               (set)
//! migrate  ─ what is run once for a release before it comes up          (migrate)
//! arm      ─ the Deployment beside it, with labels of its own           (arm, beside)
//! router   ─ who splits traffic, one file each                          (router/)
//! counts   ─ who gets it, by the pods' own count                       (counts, in_force)
//! drift    ─ what is otherwise than hms left it                        (drift, written)
//! object   ─ JSON objects and conditional writes                        (object, access)
//! ```
//!
//! Each step looks whether it is done before it does it, so any of them may be the first one of another process.

mod access;
mod adopt;
mod arm;
mod back;
mod beside;
mod counts;
mod diagnosis;
mod drift;
mod effects;
mod images;
mod in_force;
mod making;
mod migrate;
mod names;
mod object;
mod observe;
mod pages;
mod place;
mod preview;
mod promote;
mod rbac;
mod records;
mod revision;
mod rights;
mod router;
mod set;
mod start;
mod status;
mod workload;
mod written;

use std::path::Path;

pub use counts::{Page, RequestCount};
pub use place::{ClusterPlace, ClusterSet, DEFAULT_SETTLE, Migration, RouterName, TrafficPlace, Work, WorkloadName};
pub use rbac::rbac;
pub use rights::Rights;

use crate::deploy::registry::Registry;
use crate::deploy::{Applied, ArmName, Effect, ImageSource, MetricsPage, Observation, ReleaseImage, ReleaseRecord, Target, TargetError};
use crate::event::{AppName, AppRecord, Digest, Drift, EnvironmentName, EnvironmentRecord, ReleaseRef, TargetIdentity, Weight};

use access::Access;
use images::Images;
use object::Objects;
use records::Records;
use router::Router;
use set::Role;

/// One app in one namespace of a cluster.
#[derive(Debug, Clone)]
pub struct KubernetesTarget {
    access: Access,
    app: AppName,
    records: Records,
    place: ClusterPlace,
    others: Vec<ClusterPlace>,
    migration: Option<Migration>,
    role: Role,
    registry: Registry,
    count: Option<RequestCount>,
}

impl KubernetesTarget {
    /// Connects by the kubeconfig. Nothing is asked of the cluster yet.
    ///
    /// # Errors
    /// When the kubeconfig has no such context, or its credentials cannot be used.
    pub async fn open(place: ClusterPlace, app: &AppName, registry: Registry) -> Result<Self, TargetError> {
        let access = Access::open(place.context.as_deref(), &place.namespace).await?;
        let records = Records::new(access.clone(), app.clone());
        Ok(Self { access, app: app.clone(), records, place, others: Vec::new(), migration: None, role: Role::Leads, registry, count: None })
    }

    /// The same, with the pods' counts of their requests: they say when a weight is in force and when pods get nothing any more.
    #[must_use]
    pub fn counting(self, count: RequestCount) -> Self {
        Self { count: Some(count), ..self }
    }

    /// The same, with what is run once for a release before it comes up.
    #[must_use]
    pub fn migrating(self, migration: Option<Migration>) -> Self {
        Self { migration, ..self }
    }

    /// The environment's workload, which must be there.
    fn workloads(&self) -> Objects {
        Objects::of(&self.access, self.place.workload.kind())
    }

    fn arms(&self) -> Objects {
        Objects::of(&self.access, object::DEPLOYMENT)
    }

    fn services(&self) -> Objects {
        Objects::of(&self.access, object::SERVICE)
    }

    /// Who splits its traffic; none when policy names nobody.
    fn router(&self) -> Option<Router> {
        self.router_of(&self.members())
    }

    /// Who splits the traffic of these workloads.
    fn router_of(&self, members: &[Self]) -> Option<Router> {
        let traffic = self.place.traffic.as_ref()?;
        let services = members.iter().filter_map(|member| member.place.traffic.as_ref());
        let pairs: Vec<_> =
            services.map(|traffic| router::Pair { stable: traffic.stable.clone(), canary: traffic.canary.clone() }).collect();
        Some(Router::of(&self.access, &traffic.router, &pairs))
    }
}

/// The digest that a release has by its images: that of the only one, else SHA-256 over all of them (`docs/decisions.md` 20.3). None when
/// one is not named by digest.
#[must_use]
pub fn release_digest(images: &[ReleaseImage]) -> Option<Digest> {
    let digest = |image: &ReleaseImage| image.reference.rsplit_once('@')?.1.parse::<Digest>().ok();
    if let [only] = images {
        return digest(only);
    }
    let mut lines = Vec::new();
    for image in images {
        let whose = [image.workload.as_deref(), image.container.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(":");
        lines.push(format!("{whose} {}\n", digest(image)?));
    }
    lines.sort();
    (!lines.is_empty()).then(|| Digest::of(format!("hms-images-1\n{}", lines.concat()).as_bytes()))
}

impl Target for KubernetesTarget {
    async fn identity(&self) -> Result<TargetIdentity, TargetError> {
        self.access.identity().await
    }

    async fn pages(&self, labels: &str) -> Result<Vec<MetricsPage>, TargetError> {
        self.pages_of(labels).await
    }

    async fn app_record(&self) -> Result<AppRecord, TargetError> {
        self.records.app().await
    }

    async fn put_app_record(&self, record: AppRecord) -> Result<AppRecord, TargetError> {
        self.records.put_app(record).await
    }

    async fn record(&self, environment: &EnvironmentName) -> Result<EnvironmentRecord, TargetError> {
        self.records.environment(environment).await
    }

    async fn put_record(&self, record: EnvironmentRecord) -> Result<EnvironmentRecord, TargetError> {
        self.records.put_environment(record).await
    }

    async fn environments(&self) -> Result<Vec<EnvironmentName>, TargetError> {
        self.records.environments().await
    }

    async fn observe(&self, environment: &EnvironmentName) -> Result<Observation, TargetError> {
        self.seen(environment).await
    }

    async fn prepare(&self, record: ReleaseRecord, tree: &Path, image: Option<&ImageSource>) -> Result<ReleaseRecord, TargetError> {
        if !record.images.is_empty() {
            return Ok(record);
        }
        let record = match image {
            Some(source) => self.made_image(record, tree, source).await?,
            None => self.with_image(record).await?,
        };
        self.with_others(record).await
    }

    async fn drift(&self, environment: &EnvironmentName) -> Result<Vec<Drift>, TargetError> {
        let (record, found) = self.compared(environment).await?;
        self.drifted(&record, found).await
    }

    async fn adopt(&self, environment: &EnvironmentName) -> Result<Option<ReleaseRef>, TargetError> {
        self.adopted(environment).await
    }

    async fn place(&self, record: &ReleaseRecord, _tree: &Path) -> Result<(), TargetError> {
        if record.images.is_empty() {
            let why = "it names no image (hint: `registry: {image: …}` in .hms, and a job that pushes one)".to_owned();
            return Err(TargetError::ReleaseMissing { release: record.release.digest.clone(), why });
        }
        let named = release_digest(&record.images);
        if named.as_ref() != Some(&record.release.digest) {
            let why = format!("its images are {}", named.map_or("not named by digest".to_owned(), |digest| digest.to_string()));
            return Err(TargetError::ReleaseMissing { release: record.release.digest.clone(), why });
        }
        self.tag_holds(record).await?;
        if let Images::Gone(reference) = self.images_of(record).await {
            let why = format!("{reference} is not in its registry (hint: push it again, or release another commit)");
            return Err(TargetError::ReleaseMissing { release: record.release.digest.clone(), why });
        }
        self.records.put_release(record).await
    }

    async fn placed(&self, release: &Digest) -> Result<Option<ReleaseRecord>, TargetError> {
        let Some(record) = self.records.release(release).await? else { return Ok(None) };
        // A registry that does not answer is no reason to take a release for gone: nodes may have its image.
        Ok(match self.images_of(&record).await {
            Images::Gone(_) => None,
            Images::There | Images::Unknown(_) => Some(record),
        })
    }

    async fn releases(&self) -> Result<Vec<ReleaseRecord>, TargetError> {
        self.records.releases().await
    }

    async fn remove(&self, release: &Digest) -> Result<(), TargetError> {
        for member in self.members() {
            let stable = member.workload().await?.map(|object| workload::runs(&object));
            let beside = member.beside().await?.and_then(|beside| beside.release);
            if stable.iter().chain(&beside).any(|running| running == release) {
                return Err(TargetError::NotPossible { reason: format!("release {} runs", release.short()) });
            }
        }
        self.forget_migration(release).await?;
        self.records.remove_release(release).await
    }

    async fn preview(&self, release: &Digest, arm: ArmName, weight: Option<Weight>) -> Result<Vec<String>, TargetError> {
        self.would_change(release, arm, weight).await
    }

    async fn apply(
        &self,
        environment: &EnvironmentName,
        fence: u64,
        effect: &Effect,
        progress: &(dyn Fn(String) + Send + Sync),
    ) -> Result<Applied, TargetError> {
        let fence = object::Fence::new(&self.app, environment, fence);
        effects::Hands { target: self, environment, fence, say: progress }.carry_out(effect).await
    }
}
