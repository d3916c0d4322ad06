//! What is on the cluster otherwise than hms left it: which field of which object, by whom, since when (`docs/decisions.md` 20.13).
//!
//! Which release runs is compared for every target alike (`deploy::differences`); here is what only a cluster can tell. Pure but for
//! [`KubernetesTarget::drifted`], which reads.

use serde_json::Value;

use super::KubernetesTarget;
use super::adopt::RESTARTED;
use super::beside::Beside;
use super::object::Object;
use super::records::Kept;
use super::router::RouteView;
use super::set::Role;
use super::workload::{Change, changes, release_of, replicas, template, told, veiled};
use super::written::{Part, Writer, keys, stranger, writer};
use crate::deploy::TargetError;
use crate::event::{Digest, Drift, EnvironmentName, EnvironmentRecord, Weight};

/// How many fields of a template are named; the rest are counted.
const FIELDS: usize = 5;

impl KubernetesTarget {
    /// The pod template that is kept for a release.
    pub(super) async fn kept_template(&self, environment: &EnvironmentName, release: &Digest) -> Result<Option<Value>, TargetError> {
        let kept = self.records.kept(environment, release).await?;
        Ok(kept.and_then(|mut kept| kept.templates.remove(&self.place.workload.to_string())))
    }

    /// Adds to what was found by the record and the observation what the objects themselves tell. What a person adopted is left out.
    pub(super) async fn drifted(&self, record: &EnvironmentRecord, found: Vec<Drift>) -> Result<Vec<Drift>, TargetError> {
        let Some(current) = record.current.as_ref().map(|release| &release.digest) else { return Ok(found) };
        let route = self.route().await?;
        let kept = self.records.kept(&record.environment, current).await?.unwrap_or_default();
        let mut all = Vec::new();
        let mut changed = |release: &Digest, what: String| all.push(Drift::Changed { release: release.clone(), what });
        for member in self.parts(&record.environment, current).await? {
            let name = member.place.workload.to_string();
            if let Some(object) = &member.workload().await? {
                let is_recorded = member.is_of(current, object, kept.templates.contains_key(&name));
                let takes = |writer: &Option<Writer>| writer.as_ref().is_some_and(|writer| self.place.take_over.contains(&writer.manager));
                if let Some(other) = release_of(object).filter(|other| member.role == Role::Follows && other != current)
                    && record.slot.is_none()
                {
                    changed(current, format!("{name} is {}, and not {} like {}", other.short(), current.short(), self.place.workload));
                }
                for (what, by) in of_stable(&name, object, &kept, is_recorded).into_iter().filter(|(_, by)| !takes(by)) {
                    changed(current, by_whom(what, by.as_ref()));
                }
            }
        }
        let mut found = found;
        if let Some(route) = &route {
            let router = self.router().map(|router| router.name()).unwrap_or_default();
            if let Some(what) = of_route(&router, route, record) {
                let about = record.slot.as_ref().map_or(current, |slot| &slot.release.digest);
                changed(about, by_whom(what, route.writer.as_ref()));
                // Said once, with the name of who did it.
                found.retain(|drift| !matches!(drift, Drift::Canary { found: None, .. }));
            }
        }
        if let Some(slot) = &record.slot {
            for member in self.members().iter().filter(|member| member.is_deployment()) {
                for (what, by) in of_arm(&member.place.workload.to_string(), member.beside().await?.as_ref(), record) {
                    changed(&slot.release.digest, by_whom(what, by.as_ref()));
                }
            }
        }
        found.extend(all);
        found.retain(|drift| !record.adopted.contains(drift));
        Ok(found)
    }
}

/// Whether a workload goes on as it was kept; without a template that was kept there is nothing to compare.
pub(super) fn is_as_kept(object: &Object, kept: Option<&Value>) -> bool {
    let is_paused = object.at("/spec/paused").and_then(Value::as_bool) == Some(true);
    !is_paused && kept.is_none_or(|kept| foreign(kept, &template(object)).is_empty())
}

/// One finding, and who did it.
type Finding = (String, Option<Writer>);

fn by_whom(what: String, writer: Option<&Writer>) -> String {
    match writer {
        None => what,
        Some(Writer { manager, at: None }) => format!("{what}, by {manager}"),
        Some(Writer { manager, at: Some(at) }) => format!("{what}, by {manager} at {}", at.format("%Y-%m-%d %H:%M:%S UTC")),
    }
}

/// The fields of a template that are not as they were kept; a restart's mark is none.
fn foreign(kept: &Value, there: &Value) -> Vec<Change> {
    // Values of environment variables may be secrets.
    let (kept, there) = veiled(kept, there);
    let mut found = changes(&kept, &there);
    found.retain(|change| {
        let is_mark = change.path.last() == Some(&Part::Key(RESTARTED.to_owned()));
        let only_mark = change.after.as_ref().and_then(Value::as_object).is_some_and(|notes| notes.keys().eq([RESTARTED]));
        !is_mark && !only_mark
    });
    found
}

fn of_stable(name: &str, object: &Object, kept: &Kept, is_recorded: bool) -> Vec<Finding> {
    let mut found = Vec::new();
    let pods = keys(&["spec", "template"]);
    if is_recorded {
        let fields = kept.templates.get(name).map(|kept| foreign(kept, &template(object))).unwrap_or_default();
        for change in fields.iter().take(FIELDS) {
            let path = [pods.as_slice(), &change.path].concat();
            found.push((written_out(name, change), writer(object, &path)));
        }
        if let Some(rest) = fields.len().checked_sub(FIELDS).filter(|rest| *rest > 0) {
            found.push((format!("{name}: {rest} more fields of its pod template"), writer(object, &pods)));
        }
        let (was, is) = (kept.replicas.get(name), replicas(object));
        let by = writer(object, &keys(&["spec", "replicas"]));
        // An autoscaler is the cluster's own.
        if let (Some(was), Some(by)) = (was.filter(|was| **was != is), by) {
            found.push((format!("{name} is to have {is} pods, and had {was}"), Some(by)));
        }
    } else if let Some(by) = writer(object, &pods) {
        found.push((format!("the pod template of {name} is another release's"), Some(by)));
    }
    if object.at("/spec/paused").and_then(Value::as_bool) == Some(true) {
        found.push((format!("{name} is paused"), writer(object, &keys(&["spec", "paused"]))));
    }
    found
}

/// What is there, and what was left there.
fn written_out(name: &str, change: &Change) -> String {
    let place = change.place();
    match (&change.before, &change.after) {
        (Some(before), Some(after)) => format!("{name} {place} is {}, and was {}", told(after), told(before)),
        (None, Some(after)) => format!("{name} {place} is {}, and was not there", told(after)),
        (_, None) => format!("{name} {place} is gone"),
    }
}

/// A weight that hms did not write last and did not give.
fn of_route(router: &str, route: &RouteView, record: &EnvironmentRecord) -> Option<String> {
    let given = record.slot.as_ref().and(record.weights).map_or(Weight::ZERO, |weights| weights.applied);
    if route.is_ours || route.weight == given {
        return None;
    }
    Some(format!("{router} gives the canary {}, and hms gave it {given}", route.weight))
}

/// The arm of a canary that has weight by the record.
fn of_arm(workload: &str, beside: Option<&Beside>, record: &EnvironmentRecord) -> Vec<Finding> {
    // What is asked for is 0 while it is taken away, and what is applied is 0 until it is there.
    let has_weight = record.weights.is_some_and(|weights| weights.applied > Weight::ZERO && weights.requested > Weight::ZERO);
    match beside {
        None if has_weight => vec![(format!("the canary beside {workload} is not there any more"), None)],
        None => Vec::new(),
        Some(beside) => {
            let by = stranger(&beside.object, &keys(&["spec"]));
            by.map(|by| (format!("deployment {} is hms's own, and was changed", beside.object.name()), Some(by))).into_iter().collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment(template: &Value, replicas: u32, managed: &Value) -> Object {
        Object::from_value(json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "shop", "managedFields": managed},
            "spec": {"replicas": replicas, "template": template},
        }))
    }

    fn by(manager: &str, fields: &Value) -> Value {
        json!([{"manager": manager, "operation": "Update", "time": "2026-11-03T10:00:00Z", "fieldsV1": fields}])
    }

    fn kept(template: &Value) -> Kept {
        Kept { templates: [("deployment/shop".to_owned(), template.clone())].into(), replicas: [("deployment/shop".to_owned(), 2)].into() }
    }

    fn told_of(object: &Object, kept: &Kept) -> Vec<String> {
        of_stable("deployment/shop", object, kept, true).into_iter().map(|(what, by)| by_whom(what, by.as_ref())).collect()
    }

    #[test]
    fn a_field_that_somebody_changed_is_told_with_who_and_when() {
        let pod =
            |image: &str| json!({"metadata": {"labels": {"app": "shop"}}, "spec": {"containers": [{"name": "shop", "image": image}]}});
        let image = json!({"f:spec": {"f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"shop\"}": {"f:image": {}}}}}}});
        let left = kept(&pod("shop:1"));
        assert_eq!(told_of(&deployment(&pod("shop:1"), 2, &json!([])), &left), Vec::<String>::new());
        assert_eq!(
            told_of(&deployment(&pod("shop:2"), 2, &by("kubectl-set", &image)), &left),
            ["deployment/shop .spec.containers[shop].image is shop:2, and was shop:1, by kubectl-set at 2026-11-03 10:00:00 UTC"]
        );
        let scaled = json!({"f:spec": {"f:replicas": {}}});
        assert_eq!(
            told_of(&deployment(&pod("shop:1"), 5, &by("kubectl", &scaled)), &left),
            ["deployment/shop is to have 5 pods, and had 2, by kubectl at 2026-11-03 10:00:00 UTC"]
        );
        let autoscaled = deployment(&pod("shop:1"), 5, &by("kube-controller-manager", &scaled));
        assert_eq!(told_of(&autoscaled, &left), Vec::<String>::new(), "an autoscaler does what it is there for");
    }

    #[test]
    fn a_restart_is_none() {
        let pod = json!({"metadata": {"labels": {"app": "shop"}}, "spec": {}});
        let mut restarted = pod.clone();
        restarted["metadata"]["annotations"] = json!({RESTARTED: "2026-11-03T10:00:00Z"});
        assert_eq!(told_of(&deployment(&restarted, 2, &json!([])), &kept(&pod)), Vec::<String>::new());
        let mut both = restarted.clone();
        both["metadata"]["annotations"]["a"] = json!("b");
        assert_eq!(told_of(&deployment(&both, 2, &json!([])), &kept(&restarted)).len(), 1);
    }
}
