//! The rights that hms needs in a namespace, and no more: for a person to read and apply (`hms doctor --rbac`).

use super::{ClusterPlace, RouterName, WorkloadName};

/// A right: API group, resources, objects by name where only these are meant, verbs.
struct Rule {
    group: &'static str,
    resources: &'static [&'static str],
    names: Vec<String>,
    verbs: &'static [&'static str],
}

/// A `Role`, a `ClusterRole` for the cluster's identity, and their bindings to `user`, as YAML.
#[must_use]
pub fn rbac(place: &ClusterPlace, user: &str) -> String {
    let rules: String = rules(place).iter().map(written).collect();
    let namespace = &place.namespace;
    let subject = format!("- {{apiGroup: rbac.authorization.k8s.io, kind: User, name: {}}}\n", quoted(user));
    format!(
        "# What hms does for {workload} in {namespace}, and nothing else.\n\
         apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{name: hms, namespace: {namespace}}}\nrules:\n{rules}\
         ---\napiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {{name: hms, namespace: {namespace}}}\n\
         roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: hms}}\nsubjects:\n{subject}\
         ---\n# The uid of kube-system names the cluster, so that a context bent elsewhere is noticed.\n\
         apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {{name: hms-identity}}\nrules:\n\
         - {{apiGroups: [\"\"], resources: [namespaces], resourceNames: [kube-system], verbs: [get]}}\n\
         ---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {{name: hms-identity-{namespace}}}\n\
         roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: hms-identity}}\nsubjects:\n{subject}",
        workload = place.workload,
    )
}

fn rules(place: &ClusterPlace) -> Vec<Rule> {
    let rule = |group, resources, verbs| Rule { group, resources, names: Vec::new(), verbs };
    let named = |group, resources, names: &[&str], verbs| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Rule { group, resources, names, verbs }
    };
    let name = place.workload.name();
    let beside = super::names::arm_object(name);
    let mut rules = vec![
        // Records: their names are made of app and environment, and a list cannot be narrowed by name.
        rule("", &["configmaps"], &["get", "list", "create", "update", "delete"]),
        rule("", &["pods", "events"], &["get", "list"]),
        rule("", &["pods/log"], &["get"]),
    ];
    match &place.workload {
        WorkloadName::Deployment(_) => {
            rules.push(rule("apps", &["deployments"], &["create"]));
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
