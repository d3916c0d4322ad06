//! Who wrote which field of an object, and when: the API server's `managedFields`
//! (<https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management>). Pure.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::names;
use super::object::Object;

/// A step on the way to a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// A field, or an entry of a mapping.
    Key(String),
    /// The entry of a list that has this name, or this place where entries have none.
    Item(String),
}

/// A field manager that is not hms's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Writer {
    pub(super) manager: String,
    pub(super) at: Option<DateTime<Utc>>,
}

impl Part {
    /// As `managedFields` writes it.
    fn written(&self) -> String {
        match self {
            Self::Key(key) => format!("f:{key}"),
            Self::Item(name) => format!("k:{}", serde_json::json!({"name": name})),
        }
    }
}

/// A field by its keys.
pub(super) fn keys(path: &[&str]) -> Vec<Part> {
    path.iter().map(|key| Part::Key((*key).to_owned())).collect()
}

/// Whether a manager is one of hms's own.
pub(super) fn is_ours(manager: &str) -> bool {
    [names::MANAGER, names::ROLLBACK_MANAGER, names::TRAFFIC_MANAGER].contains(&manager)
}

/// The manager whose fields lead nearest to `path`, the latest of equals; none when nobody but hms's own and the cluster's controllers wrote
/// there. A field that was taken away has no writer, and then it is whoever wrote around it.
pub(super) fn writer(object: &Object, path: &[Part]) -> Option<Writer> {
    let others = object.writers().filter(|one| !is_ours(&one.manager) && one.manager != "kube-controller-manager");
    let found = others.map(|one| (depth(one.fields, path), one.at, one.manager)).filter(|(depth, ..)| *depth > 0);
    let (_, at, manager) = found.max_by(|one, other| (one.0, one.1).cmp(&(other.0, other.1)))?;
    Some(Writer { manager, at })
}

/// Whether the field itself was written last by one of hms's managers.
pub(super) fn is_by_hms(object: &Object, path: &[Part]) -> bool {
    let nearest = object.writers().map(|one| (depth(one.fields, path), one.at, one.manager));
    nearest.max_by(|one, other| (one.0, one.1).cmp(&(other.0, other.1))).is_some_and(|(depth, _, manager)| depth > 0 && is_ours(&manager))
}

/// Whether anybody but hms and the cluster's controllers wrote below `path`.
pub(super) fn stranger(object: &Object, path: &[Part]) -> Option<Writer> {
    let others = object.writers().filter(|one| !is_ours(&one.manager) && one.manager != "kube-controller-manager");
    let there = others.filter(|one| depth(one.fields, path) == path.len()).max_by_key(|one| one.at)?;
    Some(Writer { manager: there.manager, at: there.at })
}

/// How many parts of the path a manager's fields have.
fn depth(fields: &Value, path: &[Part]) -> usize {
    let mut there = fields;
    for (depth, part) in path.iter().enumerate() {
        match there.get(part.written()) {
            Some(next) => there = next,
            None => return depth,
        }
    }
    path.len()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object() -> Object {
        let entry = |manager: &str, time: &str, subresource: &str, fields: Value| {
            json!({"manager": manager, "operation": "Update", "apiVersion": "apps/v1", "time": time, "subresource": subresource,
                "fieldsType": "FieldsV1", "fieldsV1": fields})
        };
        let image = |name: &str| json!({"f:spec": {"f:template": {"f:spec": {"f:containers": {format!("k:{{\"name\":\"{name}\"}}"): {"f:image": {}}}}}}});
        Object::from_value(json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "shop", "managedFields": [
                entry("kubectl-create", "2026-11-01T10:00:00Z", "", image("shop")),
                entry("hms", "2026-11-02T10:00:00Z", "", image("shop")),
                entry("kubectl-set", "2026-11-03T10:00:00Z", "", image("shop")),
                entry("kubectl", "2026-11-04T10:00:00Z", "scale", json!({"f:spec": {"f:replicas": {}}})),
                entry("kube-controller-manager", "2026-11-05T10:00:00Z", "status", json!({"f:status": {}})),
            ]},
        }))
    }

    fn image_of(container: &str) -> Vec<Part> {
        let mut path = keys(&["spec", "template", "spec", "containers"]);
        path.extend([Part::Item(container.to_owned()), Part::Key("image".to_owned())]);
        path
    }

    #[test]
    fn the_nearest_and_latest_stranger_wrote_it() {
        let by = |path: &[Part]| writer(&object(), path).map(|writer| (writer.manager, writer.at.map(|at| at.to_rfc3339())));
        let told = |manager: &str, at: &str| Some((manager.to_owned(), Some(at.to_owned())));
        assert_eq!(by(&image_of("shop")), told("kubectl-set", "2026-11-03T10:00:00+00:00"));
        assert_eq!(by(&keys(&["spec", "replicas"])), told("kubectl", "2026-11-04T10:00:00+00:00"));
        assert_eq!(by(&keys(&["status", "replicas"])), None, "the cluster's own controllers are nobody");
        assert!(!is_by_hms(&object(), &image_of("shop")));
        assert_eq!(stranger(&object(), &keys(&["spec", "template"])).map(|writer| writer.manager), Some("kubectl-set".to_owned()));
        assert_eq!(stranger(&object(), &keys(&["spec", "strategy"])), None);
    }
}
