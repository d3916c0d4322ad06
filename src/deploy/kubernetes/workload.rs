//! The user's workload: which release its pod template is, and what becomes of it when it gets another one.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::access::Trouble;
use super::arm::{labels_at, with_images};
use super::names;
use super::object::{Apply, Conflicts, Fence, Object, Run};
use super::written::Part;
use super::{ClusterPlace, KubernetesTarget};
use crate::deploy::{ReleaseImage, TargetError};
use crate::event::Digest;

/// Managers that are a person's kubectl: their fields are taken over, and that is said (`docs/decisions.md` 20.5).
const BY_HAND: [&str; 2] = ["kubectl", "before-first-apply"];

/// An object's pod template.
pub(super) fn template(object: &Object) -> Value {
    object.at("/spec/template").cloned().unwrap_or(Value::Null)
}

/// How many pods it is to have.
pub(super) fn replicas(object: &Object) -> u32 {
    object.number("/spec/replicas").map_or(1, |count| u32::try_from(count).unwrap_or(0))
}

/// The release whose images the template has, by the annotation that hms wrote and the images themselves: an annotation travels back
/// in time with `kubectl rollout undo`, and forward with nothing.
pub(super) fn release_of(object: &Object) -> Option<Digest> {
    let noted: Digest = object.annotation(names::RELEASE)?.parse().ok()?;
    let marked = template(object).pointer(&format!("/metadata/annotations/{}", super::object::escape(names::RELEASE))).cloned();
    (marked.as_ref().and_then(Value::as_str) == Some(noted.to_string().as_str())).then_some(noted)
}

/// The release that a workload runs: by hms's marks, else the one that is adopted for exactly this template.
pub(super) fn runs(object: &Object) -> Digest {
    release_of(object).unwrap_or_else(|| super::adopt::digest_of_template(object))
}

/// Which container gets which image reference.
///
/// # Errors
/// One sentence, when it cannot be told.
pub(super) fn images_by_container(
    place: &ClusterPlace,
    template: &Value,
    images: &[ReleaseImage],
) -> Result<BTreeMap<String, String>, TargetError> {
    let impossible = |reason: String| TargetError::NotPossible { reason };
    let containers = containers(template);
    let mut found = BTreeMap::new();
    for image in images {
        let wanted: Vec<&str> = if let Some(container) = &image.container {
            vec![container.as_str()]
        } else if !place.containers.is_empty() {
            place.containers.iter().map(String::as_str).collect()
        } else {
            let same: Vec<&str> = containers
                .iter()
                .filter(|(_, has)| repository(has) == repository(&image.reference))
                .map(|(name, _)| name.as_str())
                .collect();
            match (same.as_slice(), containers.as_slice()) {
                ([], [(only, _)]) => vec![only.as_str()],
                ([], _) => {
                    let names: Vec<&str> = containers.iter().map(|(name, _)| name.as_str()).collect();
                    return Err(impossible(format!(
                        "which container of {} gets {}? It has {} (hint: `containers: [NAME]` for this environment in .hms)",
                        place.workload,
                        image.reference,
                        names.join(", ")
                    )));
                }
                (same, _) => same.to_vec(),
            }
        };
        for container in wanted {
            if !containers.iter().any(|(name, _)| name == container) {
                return Err(impossible(format!("{} has no container {container}", place.workload)));
            }
            found.insert(container.to_owned(), image.reference.clone());
        }
    }
    Ok(found)
}

/// All containers of a template with their images; those that run before the others too.
fn containers(template: &Value) -> Vec<(String, String)> {
    let all = ["/spec/containers", "/spec/initContainers"].into_iter().filter_map(|list| template.pointer(list)?.as_array()).flatten();
    all.filter_map(|one| Some((one.get("name")?.as_str()?.to_owned(), one.get("image")?.as_str()?.to_owned()))).collect()
}

/// An image's name without tag and digest.
fn repository(image: &str) -> &str {
    let name = image.split('@').next().unwrap_or(image);
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        Some(_) | None => name,
    }
}

/// A release's template, from the one that is there: its images, its version label, its mark.
pub(super) fn next_template(
    place: &ClusterPlace,
    current: &Value,
    images: &[ReleaseImage],
    release: &Digest,
) -> Result<Value, TargetError> {
    let by_container = images_by_container(place, current, images)?;
    let mut next = with_images(current, &by_container).map_err(|reason| TargetError::NotPossible { reason })?;
    next["metadata"]["annotations"][names::RELEASE] = json!(release.to_string());
    next["metadata"]["labels"][place.version_label.as_str()] = json!(release.short());
    Ok(next)
}

/// What server-side apply is given for a release: those fields of the template and no other.
pub(super) fn applied_fields(
    place: &ClusterPlace,
    current: &Value,
    images: &[ReleaseImage],
    release: &Digest,
    annotations: &BTreeMap<String, String>,
) -> Result<Value, TargetError> {
    let by_container = images_by_container(place, current, images)?;
    let listed = |list: &str| -> Vec<Value> {
        let all = current.pointer(list).and_then(Value::as_array).into_iter().flatten();
        let names = all.filter_map(|one| one.get("name")?.as_str());
        names.filter_map(|name| Some(json!({"name": name, "image": by_container.get(name)?}))).collect()
    };
    let mut pod = json!({});
    for (key, list) in [("containers", "/spec/containers"), ("initContainers", "/spec/initContainers")] {
        let entries = listed(list);
        if !entries.is_empty() {
            pod[key] = json!(entries);
        }
    }
    Ok(json!({
        "metadata": {"annotations": annotations},
        "spec": {"template": {
            "metadata": {
                "annotations": {names::RELEASE: release.to_string()},
                "labels": {place.version_label.as_str(): release.short()},
            },
            "spec": pod,
        }},
    }))
}

/// Both templates without the values of environment variables, which may be secrets: that one is another is told, and not what it is.
pub(super) fn veiled(before: &Value, after: &Value) -> (Value, Value) {
    const LISTS: [&str; 2] = ["/spec/containers", "/spec/initContainers"];
    fn each(template: &mut Value, mut veil: impl FnMut(&str, &mut Value)) {
        for list in LISTS {
            for container in template.pointer_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                let of = container.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
                for one in container.pointer_mut("/env").and_then(Value::as_array_mut).into_iter().flatten() {
                    let name = format!("{list}/{of}/{}", one.get("name").and_then(Value::as_str).unwrap_or_default());
                    if let Some(value) = one.get_mut("value") {
                        veil(&name, value);
                    }
                }
            }
        }
    }
    let (mut before, mut after) = (before.clone(), after.clone());
    let mut known = BTreeMap::new();
    each(&mut before, |name, value| drop(known.insert(name.to_owned(), std::mem::replace(value, json!("(not shown)")))));
    each(&mut after, |name, value| {
        let is_same = known.get(name).is_none_or(|known| known == value);
        *value = json!(if is_same { "(not shown)" } else { "(another, not shown)" });
    });
    (before, after)
}

/// What would change, in lines for people: a path, what is there, what comes. Values of environment variables are not shown.
pub(super) fn difference(before: &Value, after: &Value) -> Vec<String> {
    let (before, after) = &veiled(before, after);
    changes(before, after).iter().map(ToString::to_string).collect()
}

/// One field that is another.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Change {
    pub(super) path: Vec<Part>,
    /// None where it was not there.
    pub(super) before: Option<Value>,
    /// None where it is gone.
    pub(super) after: Option<Value>,
}

impl Change {
    /// The path as people write it.
    pub(super) fn place(&self) -> String {
        let part = |part: &Part| match part {
            Part::Key(key) => format!(".{key}"),
            Part::Item(item) => format!("[{item}]"),
        };
        self.path.iter().map(part).collect()
    }
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let place = self.place();
        match (&self.before, &self.after) {
            (_, None) => write!(f, "- {place}"),
            (None, Some(after)) => write!(f, "+ {place}: {}", told(after)),
            (Some(before), Some(after)) => write!(f, "~ {place}: {} → {}", told(before), told(after)),
        }
    }
}

/// A value as it is shown: texts without quotes.
pub(super) fn told(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Every field that is another, the deepest that differ.
pub(super) fn changes(before: &Value, after: &Value) -> Vec<Change> {
    let mut found = Vec::new();
    walk(&[], before, after, &mut found);
    found
}

fn walk(path: &[Part], before: &Value, after: &Value, found: &mut Vec<Change>) {
    let below = |part: Part| [path, &[part]].concat();
    match (before, after) {
        (Value::Object(one), Value::Object(other)) => {
            for (key, value) in other {
                walk(&below(Part::Key(key.clone())), one.get(key).unwrap_or(&Value::Null), value, found);
            }
            for (key, value) in one.iter().filter(|(key, _)| !other.contains_key(*key)) {
                found.push(Change { path: below(Part::Key(key.clone())), before: Some(value.clone()), after: None });
            }
        }
        (Value::Array(one), Value::Array(other)) => {
            let name = |value: &Value| value.get("name").and_then(Value::as_str).map(str::to_owned);
            for (index, value) in other.iter().enumerate() {
                let named = name(value);
                let there = match &named {
                    Some(named) => one.iter().find(|one| name(one).as_ref() == Some(named)),
                    None => one.get(index),
                };
                walk(&below(Part::Item(named.unwrap_or_else(|| index.to_string()))), there.unwrap_or(&Value::Null), value, found);
            }
            for (index, value) in one.iter().enumerate() {
                let gone = match name(value) {
                    Some(named) => !other.iter().any(|other| name(other).as_ref() == Some(&named)),
                    None => index >= other.len(),
                };
                if gone {
                    let item = name(value).unwrap_or_else(|| index.to_string());
                    found.push(Change { path: below(Part::Item(item)), before: Some(value.clone()), after: None });
                }
            }
        }
        (before, after) if before == after => {}
        (Value::Null, after) => found.push(Change { path: path.to_vec(), before: None, after: Some(after.clone()) }),
        (before, after) => found.push(Change { path: path.to_vec(), before: Some(before.clone()), after: Some(after.clone()) }),
    }
}

impl KubernetesTarget {
    /// The workload; none when it is not there.
    pub(super) async fn workload(&self) -> Result<Option<Object>, TargetError> {
        Ok(self.workloads().get(self.place.workload.name()).await?)
    }

    /// The workload, which must be there.
    pub(super) async fn need_workload(&self) -> Result<Object, TargetError> {
        self.workload().await?.ok_or_else(|| TargetError::NotPossible {
            reason: format!(
                "{} is not in {} (hint: apply it once, or name it: `workload: deployment/NAME` for this environment in .hms)",
                self.place.workload,
                self.access.name()
            ),
        })
    }

    /// Gives the workload a release: dry run, what changes, then the apply itself, under the version that was read. Gives the generation
    /// that it wrote.
    pub(super) async fn apply_release(
        &self,
        fence: &Fence,
        fields: impl Fn(&Object) -> Result<Value, TargetError>,
        say: &(dyn Fn(String) + Send + Sync),
    ) -> Result<Object, TargetError> {
        let (objects, name) = (self.workloads(), self.place.workload.name());
        let mut last = None;
        for _ in 0..8 {
            let object = self.need_workload().await?;
            object.admit(fence)?;
            let fields = fields(&object)?;
            let (dry, conflicts) = match self.dry_run(&object, &fields, say).await {
                Ok(found) => found,
                Err(trouble @ Trouble::Conflict { .. }) => {
                    last = Some(trouble);
                    continue;
                }
                Err(trouble) => return Err(trouble.into()),
            };
            for line in difference(&template(&object), &template(&dry)) {
                say(format!("{}{line}", self.place.workload));
            }
            let how = Apply { resource_version: object.resource_version(), run: Run::Real, conflicts };
            match objects.apply(name, &fields, &how).await {
                Ok(written) => return Ok(written),
                // No answer: what is there tells; another round finds it done.
                Err(trouble @ (Trouble::Conflict { .. } | Trouble::Silent { .. })) => last = Some(trouble),
                Err(trouble) => return Err(trouble.into()),
            }
        }
        Err(last.map_or_else(
            || TargetError::Unreachable { reason: format!("{} could not be changed", self.place.workload) },
            TargetError::from,
        ))
    }

    /// What the API server would make of the workload with these fields, and whether other managers' are taken for it.
    pub(super) async fn dry_run(
        &self,
        object: &Object,
        fields: &Value,
        say: &(dyn Fn(String) + Send + Sync),
    ) -> Result<(Object, Conflicts), Trouble> {
        let how = |conflicts| Apply { resource_version: object.resource_version(), run: Run::Dry, conflicts };
        let (objects, name) = (self.workloads(), self.place.workload.name());
        match objects.apply(name, fields, &how(Conflicts::Show)).await {
            Err(Trouble::Owned { fields: owned, .. }) if self.may_take(&owned) => {
                for (manager, field) in &owned {
                    if !manager.starts_with(names::MANAGER) {
                        say(format!("{field} was written by {manager}; it is hms's from here on"));
                    }
                }
                Ok((objects.apply(name, fields, &how(Conflicts::Take)).await?, Conflicts::Take))
            }
            other => Ok((other?, Conflicts::Show)),
        }
    }

    fn may_take(&self, owned: &[(String, String)]) -> bool {
        owned.iter().all(|(manager, _)| {
            manager == names::MANAGER
                || manager == names::ROLLBACK_MANAGER
                || BY_HAND.iter().any(|by_hand| manager.starts_with(by_hand))
                || self.place.take_over.contains(manager)
        })
    }

    /// Labels of the workload's pods.
    pub(super) fn pod_labels(object: &Object) -> super::arm::Labels {
        labels_at(object.at("/spec/template/metadata/labels"))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::WorkloadName;
    use super::*;

    pub(in crate::deploy::kubernetes) fn place(containers: &[&str]) -> ClusterPlace {
        ClusterPlace {
            context: None,
            namespace: "shop".to_owned(),
            workload: WorkloadName::Deployment("shop".to_owned()),
            containers: containers.iter().map(|name| (*name).to_owned()).collect(),
            image: None,
            traffic: None,
            version_label: "version".to_owned(),
            take_over: Vec::new(),
        }
    }

    fn image(reference: &str) -> Vec<ReleaseImage> {
        vec![ReleaseImage { workload: None, container: None, reference: reference.to_owned(), tag: None }]
    }

    fn two() -> Value {
        json!({"metadata": {"labels": {"app": "shop"}}, "spec": {"containers": [
            {"name": "app", "image": "r:5000/shop:v1"}, {"name": "proxy", "image": "r:5000/proxy:2"}]}})
    }

    #[test]
    fn an_image_goes_to_the_container_that_has_it_or_that_is_named_or_that_is_alone() {
        let new = "r:5000/shop@sha256:aa";
        let found = images_by_container(&place(&[]), &two(), &image(new)).unwrap();
        assert_eq!(found, BTreeMap::from([("app".to_owned(), new.to_owned())]));
        let found = images_by_container(&place(&["proxy"]), &two(), &image(new)).unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["proxy"]);
        let error = images_by_container(&place(&[]), &two(), &image("r:5000/other@sha256:aa")).unwrap_err().to_string();
        assert!(error.contains("app, proxy") && error.contains("containers: [NAME]"), "{error}");
        let alone = json!({"spec": {"containers": [{"name": "app", "image": "elsewhere/x:1"}]}});
        assert_eq!(images_by_container(&place(&[]), &alone, &image(new)).unwrap().len(), 1);
        assert!(images_by_container(&place(&["nope"]), &alone, &image(new)).is_err());
    }

    #[test]
    fn a_release_is_told_by_the_template_and_not_by_an_annotation_that_travelled() {
        let digest = Digest::of(b"one");
        let object = |marked: &Digest| {
            Object::from_value(json!({
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": "shop", "annotations": {names::RELEASE: digest.to_string()}},
                "spec": {"template": {"metadata": {"annotations": {names::RELEASE: marked.to_string()}}}},
            }))
        };
        assert_eq!(release_of(&object(&digest)), Some(digest.clone()));
        assert_eq!(release_of(&object(&Digest::of(b"two"))), None);
    }

    #[test]
    fn no_difference_shows_the_value_of_a_variable() {
        let pod = |url: &str, more: Value| {
            let mut env = vec![json!({"name": "URL", "value": url}), json!({"name": "KEEP", "value": "s3cret"})];
            env.extend(more.as_array().cloned().unwrap_or_default());
            json!({"spec": {"containers": [{"name": "app", "env": env}]}})
        };
        let lines = difference(&pod("old-s3cret", json!([])), &pod("new-s3cret", json!([{"name": "NEW", "value": "other-s3cret"}])));
        let told = lines.join("\n");
        assert!(!told.contains("s3cret"), "{told}");
        assert!(told.contains("~ .spec.containers[app].env[URL].value: (not shown) → (another, not shown)"), "{told}");
        assert!(told.contains(".env[NEW]") && !told.contains("KEEP"), "{told}");
    }

    #[test]
    fn a_difference_names_what_changes_and_nothing_else() {
        let digest = Digest::of(b"one");
        let after = next_template(&place(&[]), &two(), &image("r:5000/shop@sha256:aa"), &digest).unwrap();
        let lines = difference(&two(), &after);
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines.contains(&"~ .spec.containers[app].image: r:5000/shop:v1 → r:5000/shop@sha256:aa".to_owned()), "{lines:?}");
        assert_eq!(difference(&after, &after), Vec::<String>::new());
        let mut less = two();
        less["spec"]["containers"].as_array_mut().unwrap().remove(1);
        assert_eq!(difference(&two(), &less), ["- .spec.containers[proxy]"], "what is gone is a difference too");
    }
}
