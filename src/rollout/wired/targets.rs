//! Where an app's environments live, and where its policy is kept: its *home* (`docs/decisions.md` 20.2).
//!
//! A home is remembered in `STATE/homes/<app>.json` when a policy comes into force. Without that file a local record with a policy is the
//! home, else what the commit names, else this machine.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::InForce;
use crate::canary::provider::{Selector, requests_on};
use crate::deploy::kubernetes::{
    ClusterPlace, ClusterSet, DEFAULT_SETTLE, KubernetesTarget, Migration, RequestCount, RouterName, TrafficPlace, Work, WorkloadName,
};
use crate::deploy::local::LocalTarget;
use crate::deploy::registry::{Credentials, Registry, RegistrySettings};
use crate::deploy::{AnyTarget, Target, TargetError};
use crate::event::{AppName, EnvironmentName};
use crate::policy::{Environment, Placed, Policy, Target as Kind, Together, resolve_environment};
use crate::store::{Places, make_private_folder, read_if_there, replace};

/// A cluster by context and namespace, as a person writes it: `CONTEXT/NAMESPACE`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterName {
    /// The kubeconfig's context.
    pub context: String,
    /// The namespace.
    pub namespace: String,
}

impl FromStr for ClusterName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // A context may have slashes of its own; a namespace has none.
        match text.rsplit_once('/') {
            Some((context, namespace)) if !context.is_empty() && !namespace.is_empty() => {
                Ok(Self { context: context.to_owned(), namespace: namespace.to_owned() })
            }
            _ => Err(format!("`{text}` is no cluster's place: write CONTEXT/NAMESPACE")),
        }
    }
}

/// Where an app's policy is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Home {
    /// On this machine.
    Local,
    /// On a cluster.
    Kubernetes(ClusterName),
}

/// The targets of one app.
#[derive(Debug, Clone)]
pub struct Targets {
    places: Places,
    program: PathBuf,
    app: AppName,
    named: Option<ClusterName>,
    variable: Variable,
}

/// Reads a variable of this process's environment: whoever owns the environment gives it.
pub type Variable = fn(&str) -> Option<std::ffi::OsString>;

impl Targets {
    /// Those of an app, as this user of this machine sees them. `program` is the hms to start a supervisor with.
    #[must_use]
    pub fn of_app(places: &Places, program: &Path, app: &AppName, variable: Variable) -> Self {
        Self { places: places.clone(), program: program.to_owned(), app: app.clone(), named: None, variable }
    }

    /// The same, with a home that a person named.
    #[must_use]
    pub fn at(self, named: Option<ClusterName>) -> Self {
        Self { named, ..self }
    }

    fn local(&self) -> LocalTarget {
        LocalTarget::open(&self.places, &self.app, &self.program)
    }

    fn file(&self) -> PathBuf {
        self.places.state.join("homes").join(format!("{}.json", self.app))
    }

    /// Which home is known here; `commits` is asked only where none is.
    ///
    /// # Errors
    /// When the local store or the remembered home cannot be read.
    pub async fn known_home(&self, commits: Option<&Policy>) -> Result<Home, TargetError> {
        if let Some(named) = &self.named {
            return Ok(Home::Kubernetes(named.clone()));
        }
        let unreadable = |reason: String| TargetError::Unreachable { reason };
        if let Some(text) = read_if_there(&self.file()).map_err(|error| unreadable(error.to_string()))? {
            return serde_json::from_slice(&text)
                .map_err(|error| unreadable(format!("{} cannot be read: {error} (hint: remove it)", self.file().display())));
        }
        // Asking a local target that nothing was ever deployed to starts nothing.
        let has_policy =
            self.places.state.join("local").join(self.app.as_str()).exists() && self.local().app_record().await?.policy.is_some();
        Ok(if has_policy { Home::Local } else { commits.map_or(Home::Local, home_of) })
    }

    /// The target that keeps the app's policy.
    ///
    /// # Errors
    /// When it is not known where that is, or the kubeconfig does not lead there.
    pub async fn home(&self, commits: Option<&Policy>) -> Result<AnyTarget, TargetError> {
        match self.known_home(commits).await? {
            Home::Local => Ok(self.local().into()),
            Home::Kubernetes(name) => {
                let place = self.bare(&name);
                Ok(self.cluster(place).await?.into())
            }
        }
    }

    /// The target of an environment, under the policy in force.
    ///
    /// # Errors
    /// When the kubeconfig does not lead there.
    pub async fn of(&self, policy: &Policy, placed: &Placed) -> Result<AnyTarget, TargetError> {
        match cluster_set(&self.app, policy, &placed.settings) {
            None => Ok(self.local().listening_at(policy.local.listen).into()),
            Some(set) => self.of_set(set, policy).await,
        }
    }

    /// The target of `prod` under a policy, at the place that a person named.
    ///
    /// # Errors
    /// When the kubeconfig does not lead there.
    pub async fn of_named(&self, policy: &Policy, named: &ClusterName) -> Result<AnyTarget, TargetError> {
        let settings = resolve_environment(policy, &EnvironmentName::prod()).settings;
        let at = |place: ClusterPlace| ClusterPlace { context: Some(named.context.clone()), namespace: named.namespace.clone(), ..place };
        let set = cluster_set(&self.app, policy, &settings).unwrap_or_else(|| {
            let leading = self.bare(named);
            ClusterSet { leading, others: Vec::new(), migration: None }
        });
        let set = ClusterSet { leading: at(set.leading), others: set.others.into_iter().map(at).collect(), migration: set.migration };
        self.of_set(set, policy).await
    }

    async fn of_set(&self, set: ClusterSet, policy: &Policy) -> Result<AnyTarget, TargetError> {
        let target = self.cluster(set.leading).await?;
        Ok(counting(target, policy).together(set.others).migrating(set.migration).into())
    }

    async fn cluster(&self, place: ClusterPlace) -> Result<KubernetesTarget, TargetError> {
        let failed = |reason: String| TargetError::Unreachable { reason };
        let credentials = Credentials::of_docker(self.variable).map_err(|error| failed(error.to_string()))?;
        let registry = Registry::new(credentials, RegistrySettings::default()).map_err(|problem| failed(problem.to_string()))?;
        KubernetesTarget::open(place, &self.app, registry).await
    }

    /// Remembers the home of a policy that is in force, when it is not this machine: here it is found without a note.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn settle(&self, home: &AnyTarget, force: &InForce) -> Result<(), TargetError> {
        match (home, home_of(&force.policy)) {
            (AnyTarget::Kubernetes(_), there @ Home::Kubernetes(_)) => self.remember(&there),
            (AnyTarget::Local(_) | AnyTarget::Kubernetes(_), _) => Ok(()),
        }
    }

    /// Remembers where a policy that came into force is kept.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn remember(&self, home: &Home) -> Result<(), TargetError> {
        let failed = |reason: String| TargetError::Unreachable { reason };
        make_private_folder(&self.places.state.join("homes")).map_err(|error| failed(error.to_string()))?;
        let text = serde_json::to_vec(home).map_err(|error| failed(error.to_string()))?;
        replace(&self.file(), &text).map_err(|error| failed(error.to_string()))
    }

    /// A place for the app's records alone.
    fn bare(&self, name: &ClusterName) -> ClusterPlace {
        ClusterPlace {
            context: Some(name.context.clone()),
            namespace: name.namespace.clone(),
            workload: WorkloadName::Deployment(self.app.to_string()),
            containers: Vec::new(),
            image: None,
            traffic: None,
            version_label: Policy::default().metrics.version_label,
            take_over: Vec::new(),
        }
    }
}

/// A target that reads from its pods' own pages what policy calls a request.
fn counting(target: KubernetesTarget, policy: &Policy) -> KubernetesTarget {
    let Ok(requests) = policy.metrics.requests.parse::<Selector>() else { return target };
    target.counting(RequestCount::new(move |page| requests_on(page, &requests).map_err(|error| crate::store::chain(&error))))
}

/// Where a policy would be kept: at the target of `prod`.
#[must_use]
pub fn home_of(policy: &Policy) -> Home {
    match resolve_environment(policy, &EnvironmentName::prod()).settings {
        Environment::Place { target: Kind::Kubernetes, context: Some(context), namespace: Some(namespace), .. } => {
            Home::Kubernetes(ClusterName { context, namespace })
        }
        Environment::Place { .. } | Environment::Arm { .. } => Home::Local,
    }
}

/// The place of an environment's leading workload.
fn cluster_place(app: &AppName, policy: &Policy, settings: &Environment) -> Option<ClusterPlace> {
    let Environment::Place { target: Kind::Kubernetes, context, namespace, workload, containers, take_over, traffic, .. } = settings else {
        return None;
    };
    let traffic = traffic.as_deref().or(policy.traffic.as_ref()).and_then(|traffic| {
        let router = [
            traffic.httproute.clone().map(RouterName::HttpRoute),
            traffic.ingress.clone().map(RouterName::Ingress),
            traffic.virtualservice.clone().map(RouterName::VirtualService),
            traffic.traefikservice.clone().map(RouterName::TraefikService),
        ];
        let router = router.into_iter().flatten().next()?;
        Some(TrafficPlace { router, stable: traffic.stable.clone(), canary: traffic.canary.clone(), settle: DEFAULT_SETTLE })
    });
    Some(ClusterPlace {
        context: context.clone(),
        namespace: namespace.clone().unwrap_or_else(|| "default".to_owned()),
        workload: workload_name(workload.as_deref(), app),
        containers: containers.clone(),
        image: policy.registry.as_ref().map(|registry| registry.image.clone()),
        traffic,
        version_label: policy.metrics.version_label.clone(),
        take_over: take_over.clone(),
    })
}

/// The places on a cluster that an environment's settings name, with what is run before a release; none for this machine.
#[must_use]
pub fn cluster_set(app: &AppName, policy: &Policy, settings: &Environment) -> Option<ClusterSet> {
    let leading = cluster_place(app, policy, settings)?;
    let others = places_together(&leading, settings);
    let Environment::Place { migrate, .. } = settings else { return None };
    let migration = migrate.as_ref().map(|migrate| Migration {
        work: migrate.cronjob.clone().map_or_else(|| Work::Command(migrate.command.clone()), Work::CronJob),
        timeout: migrate.timeout.duration(),
    });
    Some(ClusterSet { leading, others, migration })
}

/// The places of the workloads that an environment's releases go to beside the one at `leading`.
fn places_together(leading: &ClusterPlace, settings: &Environment) -> Vec<ClusterPlace> {
    let Environment::Place { together, .. } = settings else { return Vec::new() };
    let of = |one: &Together| {
        let services = one.stable.clone().zip(one.canary.clone());
        let traffic = leading.traffic.as_ref().zip(services);
        ClusterPlace {
            workload: named_workload(&one.workload),
            containers: one.containers.clone(),
            image: one.image.clone(),
            traffic: traffic.map(|(traffic, (stable, canary))| TrafficPlace { stable, canary, ..traffic.clone() }),
            ..leading.clone()
        }
    };
    together.iter().map(of).collect()
}

fn workload_name(written: Option<&str>, app: &AppName) -> WorkloadName {
    written.map_or_else(|| WorkloadName::Deployment(app.to_string()), named_workload)
}

fn named_workload(written: &str) -> WorkloadName {
    match written.split_once('/') {
        Some(("statefulset", name)) => WorkloadName::StatefulSet(name.to_owned()),
        Some(("daemonset", name)) => WorkloadName::DaemonSet(name.to_owned()),
        Some((_, name)) => WorkloadName::Deployment(name.to_owned()),
        None => WorkloadName::Deployment(written.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(text: &str) -> Policy {
        Policy::from_text(text).unwrap().policy
    }

    #[test]
    fn a_place_on_a_cluster_is_named_by_its_last_part() {
        let name: ClusterName = "arn:aws:eks:eu/east/irs".parse().unwrap();
        assert_eq!((name.context.as_str(), name.namespace.as_str()), ("arn:aws:eks:eu/east", "irs"));
        assert!("irs".parse::<ClusterName>().is_err());
    }

    #[test]
    fn policy_is_kept_where_prod_is() {
        assert_eq!(home_of(&Policy::default()), Home::Local);
        let text =
            r#"{"policy_format":1,"environments":{"prod":{"target":"kubernetes","context":"east","namespace":"irs","protected":true}}}"#;
        let cluster = ClusterName { context: "east".to_owned(), namespace: "irs".to_owned() };
        assert_eq!(home_of(&policy(text)), Home::Kubernetes(cluster));
    }

    #[test]
    fn workloads_that_are_released_together_share_the_router_and_nothing_else_that_is_named() {
        let app: AppName = "shop".parse().unwrap();
        let text = r#"{"policy_format":1,"environments":{"prod":{"target":"kubernetes","context":"east","namespace":"irs","protected":true,
            "containers":["web"],"together":[{"workload":"deployment/cart","image":"r/cart","stable":"cart","canary":"cart-canary"},
            {"workload":"statefulset/worker","containers":["jobs"]}]}},
            "registry":{"image":"r/shop","keep":5},"traffic":{"httproute":"shop","stable":"shop","canary":"shop-canary"}}"#;
        let policy = policy(text);
        let settings = resolve_environment(&policy, &EnvironmentName::prod()).settings;
        let leading = cluster_place(&app, &policy, &settings).unwrap();
        let others = places_together(&leading, &settings);
        let cart = others[0].traffic.as_ref().map(|traffic| (traffic.router.clone(), traffic.canary.as_str()));
        assert_eq!(cart, Some((RouterName::HttpRoute("shop".to_owned()), "cart-canary")));
        assert_eq!((others[0].image.as_deref(), others[0].containers.len()), (Some("r/cart"), 0));
        assert_eq!(others[1].workload, WorkloadName::StatefulSet("worker".to_owned()));
        assert_eq!((&others[1].traffic, &others[1].image, &others[1].containers[..]), (&None, &None, &["jobs".to_owned()][..]));
    }

    #[test]
    fn a_cluster_place_has_what_policy_names_and_the_apps_deployment_otherwise() {
        let app: AppName = "irs-api".parse().unwrap();
        let text = r#"{"policy_format":1,"environments":{"prod":{"target":"kubernetes","context":"east","namespace":"irs","protected":true}},
            "registry":{"image":"r/irs-api","keep":5},"traffic":{"httproute":"irs-api","stable":"irs-api","canary":"irs-api-canary"}}"#;
        let policy = policy(text);
        let own = r#"{"target":"kubernetes","context":"east","namespace":"irs","workload":"deployment/irs-staging","protected":false,
            "traffic":{"ingress":"irs-staging","stable":"irs-staging","canary":"irs-staging-canary"}}"#;
        let staging = cluster_place(&app, &policy, &serde_json::from_str(own).unwrap()).unwrap();
        assert_eq!(
            staging.traffic.map(|traffic| (traffic.router, traffic.stable)),
            Some((RouterName::Ingress("irs-staging".to_owned()), "irs-staging".to_owned()))
        );
        let placed = resolve_environment(&policy, &"canary".parse().unwrap());
        let place = cluster_place(&app, &policy, &placed.settings).unwrap();
        assert_eq!(place.workload, WorkloadName::Deployment("irs-api".to_owned()));
        assert_eq!(place.traffic.unwrap().router, RouterName::HttpRoute("irs-api".to_owned()));
        assert_eq!(place.image.as_deref(), Some("r/irs-api"));
        assert_eq!(cluster_place(&app, &Policy::default(), &Environment::unnamed(&"prod".parse().unwrap())), None);
        assert_eq!(workload_name(Some("statefulset/db"), &app), WorkloadName::StatefulSet("db".to_owned()));
    }
}
