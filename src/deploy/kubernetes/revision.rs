//! Which pods are of a workload's newest template. Those of the one before may be the trouble that the change is to end.

use serde_json::Value;

use super::KubernetesTarget;
use super::arm::labels_at;
use super::names;
use super::object::{Kind, Object};

/// The Deployment's count of its templates, at itself and at each `ReplicaSet` that it made of one.
const REVISION: &str = "deployment.kubernetes.io/revision";

impl KubernetesTarget {
    /// A selector for the pods of the newest template; for all of them where they cannot be told apart. None while the controller has not
    /// looked at `generation` yet.
    pub(super) async fn newest_pods(&self, kind: Kind, object: &Object, generation: i64) -> Option<String> {
        if object.number("/status/observedGeneration").unwrap_or(0) < generation.max(object.generation()) {
            return None;
        }
        let all = names::selector(&labels_at(object.at("/spec/selector/matchLabels")));
        let label = match kind.name {
            "Deployment" => {
                // A role of before this right, or a server that is busy: then all of them.
                let Ok(sets) = self.access.list::<k8s_openapi::api::apps::v1::ReplicaSet>(&all).await else { return Some(all) };
                let sets: Vec<Value> = sets.iter().filter_map(|set| serde_json::to_value(set).ok()).collect();
                format!("pod-template-hash={}", newest(object, &sets)?)
            }
            "StatefulSet" => format!("controller-revision-hash={}", object.at("/status/updateRevision")?.as_str()?),
            _ => return Some(all),
        };
        Some(format!("{all},{label}"))
    }
}

/// The hash of the `ReplicaSet` that a Deployment's controller made of its newest template.
fn newest<'a>(deployment: &Object, sets: &'a [Value]) -> Option<&'a str> {
    let revision = deployment.annotation(REVISION)?;
    let owner = deployment.uid()?;
    let text = |set: &'a Value, pointer: &str| set.pointer(pointer).and_then(Value::as_str);
    let is_owned = |set: &Value| {
        let mut owners = set.pointer("/metadata/ownerReferences").and_then(Value::as_array).into_iter().flatten();
        owners.any(|one| one.get("uid").and_then(Value::as_str) == Some(owner))
    };
    let found =
        sets.iter().find(|set| is_owned(set) && text(set, "/metadata/annotations/deployment.kubernetes.io~1revision") == Some(revision))?;
    text(found, "/metadata/labels/pod-template-hash")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_newest_set_is_the_deployments_own_of_its_revision() {
        let deployment = Object::from_value(json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "shop", "uid": "d1", "annotations": {REVISION: "3"}}}));
        let set = |owner: &str, revision: &str, hash: &str| {
            json!({"metadata": {"name": hash, "annotations": {REVISION: revision}, "labels": {"pod-template-hash": hash},
                "ownerReferences": [{"uid": owner, "kind": "Deployment"}]}})
        };
        let sets = [set("d1", "2", "old"), set("d2", "3", "other"), set("d1", "3", "new")];
        assert_eq!(newest(&deployment, &sets), Some("new"));
        assert_eq!(newest(&deployment, &sets[..2]), None, "it is not made yet");
    }
}
