//! What ran before hms came: recorded once, with its digest and its whole template, so that it can be gone back to
//! (`docs/decisions.md` 20.10).

use std::collections::BTreeMap;

use serde_json::Value;

use super::KubernetesTarget;
use super::object::Object;
use super::set::{Member, kept_of};
use super::workload::{release_of, template};
use crate::deploy::{ReleaseRecord, TargetError};
use crate::event::{Digest, EnvironmentName, ReleaseRef};
use crate::store::now;

/// What `kubectl rollout restart` writes into a template: the pods are others, what they run is the same.
pub(super) const RESTARTED: &str = "kubectl.kubernetes.io/restartedAt";

/// The name of a template that hms did not write: SHA-256 of its canonical JSON (RFC 8785), without the mark of a restart. An image's
/// digest would not do: the same image with another environment is something else to go back to.
pub(super) fn digest_of_template(object: &Object) -> Digest {
    let mut pod = template(object);
    let mut emptied = false;
    if let Some(notes) = pod.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        emptied = notes.remove(RESTARTED).is_some() && notes.is_empty();
    }
    if let Some(metadata) = pod.pointer_mut("/metadata").and_then(Value::as_object_mut).filter(|_| emptied) {
        metadata.remove("annotations");
    }
    Digest::of(&serde_json_canonicalizer::to_vec(&pod).unwrap_or_default())
}

impl KubernetesTarget {
    /// Records what the workload runs, for an environment whose record names nothing. None when nothing runs.
    pub(super) async fn adopted(&self, environment: &EnvironmentName) -> Result<Option<ReleaseRef>, TargetError> {
        let Some(object) = self.workload().await? else { return Ok(None) };
        let mut members = vec![Member { target: self.clone(), object: object.clone() }];
        for target in self.members().into_iter().skip(1) {
            if let Some(object) = target.workload().await? {
                members.push(Member { target, object });
            }
        }
        let pod = template(&object);
        // A mark that no record names is what is left of a record that is gone, or of another cluster's: it is what runs all the same.
        let marked = release_of(&object);
        let known = match &marked {
            Some(marked) => self.records.release(marked).await?,
            None => None,
        };
        if let Some(known) = known {
            return Ok(Some(known.release));
        }
        let digest = marked.unwrap_or_else(|| digest_of_template(&object));
        let release = ReleaseRef { digest: digest.clone(), revision: None, tag: tag_of(&pod), tag_object: None, run: None };
        let record = ReleaseRecord {
            format: 1,
            release: release.clone(),
            app: self.app.clone(),
            created_at: object.created_at().unwrap_or_else(now),
            files: 0,
            bytes: 0,
            start: None,
            scan: None,
            must_be_scanned: BTreeMap::new(),
            images: Vec::new(),
        };
        self.records.keep(environment, &digest, &kept_of(&members)).await?;
        self.records.put_release(&record).await?;
        Ok(Some(release))
    }
}

/// What people call it: the tag of its image, else `origin`.
pub(super) fn tag_of(template: &Value) -> String {
    let image = template.pointer("/spec/containers/0/image").and_then(Value::as_str).unwrap_or_default();
    let name = image.split('@').next().unwrap_or_default();
    match name.rsplit_once(':') {
        Some((_, tag)) if !tag.contains('/') && !tag.is_empty() => tag.to_owned(),
        Some(_) | None => "origin".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_restart_makes_no_other_template() {
        let object = |notes: Option<Value>| {
            let mut object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "shop"},
                "spec": {"template": {"metadata": {"labels": {"app": "shop"}}, "spec": {}}}});
            if let Some(notes) = notes {
                object["spec"]["template"]["metadata"]["annotations"] = notes;
            }
            digest_of_template(&Object::from_value(object))
        };
        assert_eq!(object(None), object(Some(json!({RESTARTED: "2026-11-01T10:00:00Z"}))));
        assert_eq!(object(Some(json!({"a": "b"}))), object(Some(json!({"a": "b", RESTARTED: "2026-11-01T10:00:00Z"}))));
        assert_ne!(object(None), object(Some(json!({"a": "b"}))));
    }

    #[test]
    fn an_origin_is_called_by_its_images_tag() {
        let tag = |image: &str| tag_of(&json!({"spec": {"containers": [{"image": image}]}}));
        assert_eq!(tag("r:5000/shop:v1"), "v1");
        assert_eq!(tag("r:5000/shop"), "origin");
        assert_eq!(tag("shop:v2@sha256:aa"), "v2");
    }
}
