//! The rights that hms needs in a namespace, and no more: for a person to read and apply (`hms doctor --rbac`).

use super::names::{app_object, arm_object};
use super::{ClusterPlace, ClusterSet, Migration, RouterName, Work, WorkloadName};
use crate::event::AppName;

/// A right: API group, resources, objects by name where only these are meant, verbs.
pub(super) struct Rule {
    pub(super) group: &'static str,
    pub(super) resources: &'static [&'static str],
    pub(super) names: Vec<String>,
    pub(super) verbs: &'static [&'static str],
}

/// What lets `user` do what hms does for an app at the places of one environment, as YAML: a `Role` and, for the cluster's identity, a `ClusterRole`, with their
/// bindings. A service account's name as a user is `system:serviceaccount:NAMESPACE:NAME`.
#[must_use]
pub fn rbac(set: &ClusterSet, app: &AppName, user: &str) -> String {
    let ClusterSet { leading: place, others, migration } = set;
    let mut rules: Vec<String> = Vec::new();
    for rule in all_rules(place, others, migration.as_ref()).iter().map(written) {
        if !rules.contains(&rule) {
            rules.push(rule);
        }
    }
    let (rules, workloads) = (rules.concat(), std::iter::once(place).chain(others).map(|place| place.workload.to_string()));
    let (namespace, name) = (&place.namespace, app_object(app));
    let of_all = format!("{name}.{namespace}");
    format!(
        "# What hms does for {workload} in {namespace}, and nothing else.\n{role}---\n{bound}\
         ---\n# The uid of kube-system names the cluster, so that a context bent to another one is noticed.\n{identity}---\n{named}",
        workload = workloads.collect::<Vec<_>>().join(", "),
        role = object("Role", &name, Some(namespace), &format!("rules:\n{rules}")),
        bound = object("RoleBinding", &name, Some(namespace), &binding("Role", &name, user)),
        identity = object(
            "ClusterRole",
            "hms.identity",
            None,
            "rules:\n- {apiGroups: [\"\"], resources: [namespaces], resourceNames: [kube-system], verbs: [get]}\n"
        ),
        named = object("ClusterRoleBinding", &of_all, None, &binding("ClusterRole", "hms.identity", user)),
    )
}

fn object(kind: &str, name: &str, namespace: Option<&str>, rest: &str) -> String {
    let namespace = namespace.map(|namespace| format!(", namespace: {}", quoted(namespace))).unwrap_or_default();
    format!("apiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}\nmetadata: {{name: {}{namespace}}}\n{rest}", quoted(name))
}

fn binding(kind: &str, name: &str, user: &str) -> String {
    let group = "apiGroup: rbac.authorization.k8s.io";
    format!("roleRef: {{{group}, kind: {kind}, name: {}}}\nsubjects:\n- {{{group}, kind: User, name: {}}}\n", quoted(name), quoted(user))
}

/// Everything that hms does for an environment, in its namespace; some of it may be there twice.
pub(super) fn all_rules(leading: &ClusterPlace, others: &[ClusterPlace], migration: Option<&Migration>) -> Vec<Rule> {
    let mut all: Vec<Rule> = std::iter::once(leading).chain(others).flat_map(rules).collect();
    if let Some(migration) = migration {
        // Its name is made of the release's.
        let verbs = &["get", "create", "delete"];
        all.push(Rule { group: "batch", resources: &["jobs"], names: Vec::new(), verbs });
        if let Work::CronJob(name) = &migration.work {
            all.push(Rule { group: "batch", resources: &["cronjobs"], names: vec![name.clone()], verbs: &["get"] });
        }
    }
    all
}

fn rules(place: &ClusterPlace) -> Vec<Rule> {
    let rule = |group, resources, verbs| Rule { group, resources, names: Vec::new(), verbs };
    let named = |group, resources, names: &[&str], verbs| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Rule { group, resources, names, verbs }
    };
    let name = place.workload.name();
    let beside = arm_object(name);
    let mut rules = vec![
        // Records: their names are made of app and environment, and a list cannot be narrowed by name.
        rule("", &["configmaps"], &["get", "list", "create", "update", "delete"]),
        rule("", &["pods", "events"], &["get", "list"]),
        rule("", &["pods/log"], &["get"]),
        // The pods' own metrics pages say when a weight is in force.
        rule("", &["pods/proxy"], &["get"]),
    ];
    match &place.workload {
        WorkloadName::Deployment(_) => {
            rules.push(rule("apps", &["deployments"], &["create"]));
            // Which pods are of the newest template.
            rules.push(rule("apps", &["replicasets"], &["list"]));
            rules.push(named("apps", &["deployments"], &[name], &["get", "patch"]));
            rules.push(named("apps", &["deployments"], &[&beside], &["get", "patch", "delete"]));
        }
        WorkloadName::StatefulSet(_) => {
            rules.push(named("apps", &["statefulsets"], &[name], &["get", "patch"]));
            rules.push(named("apps", &["deployments"], &[&beside], &["get"]));
        }
        WorkloadName::DaemonSet(_) => {
            rules.push(named("apps", &["daemonsets"], &[name], &["get", "patch"]));
            rules.push(named("apps", &["deployments"], &[&beside], &["get"]));
        }
    }
    if let Some(traffic) = &place.traffic {
        rules.push(rule("discovery.k8s.io", &["endpointslices"], &["list"]));
        rules.push(rule("", &["services"], &["create"]));
        rules.push(named("", &["services"], &[&traffic.stable, &traffic.canary], &["get"]));
        match &traffic.router {
            RouterName::HttpRoute(name) => rules.push(named("gateway.networking.k8s.io", &["httproutes"], &[name], &["get", "patch"])),
            RouterName::VirtualService(name) => rules.push(named("networking.istio.io", &["virtualservices"], &[name], &["get", "patch"])),
            RouterName::TraefikService(name) => rules.push(named("traefik.io", &["traefikservices"], &[name], &["get", "patch"])),
            RouterName::Ingress(name) => {
                let second = format!("{name}-canary");
                rules.push(rule("networking.k8s.io", &["ingresses"], &["create"]));
                rules.push(named("networking.k8s.io", &["ingresses"], &[name], &["get"]));
                rules.push(named("networking.k8s.io", &["ingresses"], &[&second], &["get", "patch"]));
            }
        }
    }
    rules
}

fn written(rule: &Rule) -> String {
    let names = if rule.names.is_empty() {
        String::new()
    } else {
        format!(", resourceNames: [{}]", rule.names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", "))
    };
    let group = quoted(rule.group);
    format!("- {{apiGroups: [{group}], resources: [{}]{names}, verbs: [{}]}}\n", rule.resources.join(", "), rule.verbs.join(", "))
}

/// A text in double quotes, as YAML and JSON both read it.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
