//! Objects of any kind as JSON, and the one way to change them: a patch that holds only for what was read (`docs/decisions.md` 20.6).

use std::collections::BTreeMap;

use kube::api::{ApiResource, DynamicObject, Patch};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::access::{self, Access, Trouble};
use super::names;
use crate::deploy::TargetError;
use crate::event::{AppName, EnvironmentName};

/// How often a change is tried on what is there by then.
const TRIES: u32 = 8;

/// A kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) group: &'static str,
    pub(super) version: &'static str,
    pub(super) name: &'static str,
    pub(super) plural: &'static str,
}

pub(super) const DEPLOYMENT: Kind = Kind { group: "apps", version: "v1", name: "Deployment", plural: "deployments" };
pub(super) const STATEFUL_SET: Kind = Kind { group: "apps", version: "v1", name: "StatefulSet", plural: "statefulsets" };
pub(super) const DAEMON_SET: Kind = Kind { group: "apps", version: "v1", name: "DaemonSet", plural: "daemonsets" };
pub(super) const SERVICE: Kind = Kind { group: "", version: "v1", name: "Service", plural: "services" };

impl Kind {
    fn resource(&self) -> ApiResource {
        let api_version = if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) };
        ApiResource {
            group: self.group.to_owned(),
            version: self.version.to_owned(),
            api_version,
            kind: self.name.to_owned(),
            plural: self.plural.to_owned(),
        }
    }

    /// `deployment`.
    pub(super) fn word(&self) -> String {
        self.name.to_lowercase()
    }
}

/// Objects of one kind in the namespace of an access.
#[derive(Debug, Clone)]
pub(super) struct Objects {
    api: Api<DynamicObject>,
    kind: Kind,
    place: String,
}

/// An object as it was read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Object(DynamicObject);

impl Objects {
    pub(super) fn of(access: &Access, kind: Kind) -> Self {
        let api = Api::namespaced_with(access.client().clone(), access.namespace(), &kind.resource());
        Self { api, kind, place: access.name() }
    }

    fn what(&self, verb: &str, name: &str) -> String {
        format!("{verb} {} {name} in {}", self.kind.word(), self.place)
    }

    /// The object; none when it is not there, or the cluster does not know its kind.
    pub(super) async fn get(&self, name: &str) -> Result<Option<Object>, Trouble> {
        Ok(access::get(&self.api, name, &self.what("read", name)).await?.map(Object))
    }

    /// The object, which must be there.
    pub(super) async fn need(&self, name: &str) -> Result<Object, Trouble> {
        self.get(name).await?.ok_or_else(|| Trouble::Gone { what: self.what("read", name) })
    }

    /// Server-side apply of the fields in `fields`, only if the object is still the one with that resourceVersion.
    pub(super) async fn apply(&self, name: &str, fields: &Value, how: &Apply) -> Result<Object, Trouble> {
        let resource = self.kind.resource();
        let mut body = fields.clone();
        body["apiVersion"] = json!(resource.api_version);
        body["kind"] = json!(resource.kind);
        body["metadata"]["name"] = json!(name);
        if let Some(version) = &how.resource_version {
            body["metadata"]["resourceVersion"] = json!(version);
        }
        let parameters = kube::api::PatchParams {
            dry_run: how.run == Run::Dry,
            force: how.conflicts == Conflicts::Take,
            field_manager: Some(names::MANAGER.to_owned()),
            field_validation: Some(kube::api::ValidationDirective::Strict),
        };
        let what = self.what(if how.run == Run::Dry { "dry run of" } else { "apply" }, name);
        Ok(Object(access::bounded(&what, self.api.patch(name, &parameters, &Patch::Apply(body))).await?))
    }

    /// Makes an object that is not there yet.
    pub(super) async fn create(&self, name: &str, body: Value) -> Result<Object, Trouble> {
        let resource = self.kind.resource();
        let what = self.what("create", name);
        let mut object = DynamicObject::new(name, &resource).data(body);
        // Labels and annotations come with the body; serde keeps `metadata` apart.
        if let Some(metadata) = object.data.as_object_mut().and_then(|body| body.remove("metadata")) {
            let given: kube::api::ObjectMeta = serde_json::from_value(metadata)
                .map_err(|error| Trouble::Silent { what: what.clone(), message: format!("its metadata is none: {error}") })?;
            object.metadata = kube::api::ObjectMeta { name: Some(name.to_owned()), ..given };
        }
        let parameters = kube::api::PostParams { field_manager: Some(names::MANAGER.to_owned()), ..kube::api::PostParams::default() };
        Ok(Object(access::bounded(&what, self.api.create(&parameters, &object)).await?))
    }

    /// Takes an object away that is the one that was read, with what it owns. One that is not there is no trouble.
    pub(super) async fn delete(&self, object: &Object) -> Result<(), Trouble> {
        let name = object.name();
        let preconditions = kube::api::Preconditions { uid: object.0.metadata.uid.clone(), resource_version: None };
        let parameters = kube::api::DeleteParams { preconditions: Some(preconditions), ..kube::api::DeleteParams::background() };
        match access::bounded(&self.what("delete", &name), self.api.delete(&name, &parameters)).await {
            Ok(_) | Err(Trouble::Gone { .. }) => Ok(()),
            Err(trouble) => Err(trouble),
        }
    }

    /// Changes an object under a fence: reads it, refuses when a higher fence wrote it, patches exactly what was read, and begins anew
    /// when somebody else wrote meanwhile. The fence is stamped also when `change` changes nothing, so that a process that was asleep
    /// finds it.
    pub(super) async fn change(
        &self,
        name: &str,
        manager: &str,
        fence: &Fence,
        change: impl Fn(&Object) -> Result<Edit, TargetError>,
    ) -> Result<Object, TargetError> {
        let mut last = None;
        for _ in 0..TRIES {
            let object = self.need(name).await?;
            object.admit(fence)?;
            let edit = change(&object)?.annotate(&fence.name, &fence.number.to_string());
            if edit.is_idle(&object) {
                return Ok(object);
            }
            let what = self.what("change", name);
            match access::patch(&self.api, name, manager, &Patch::<()>::Json(edit.patch(&object)), &what).await {
                Ok(written) => return Ok(Object(written)),
                Err(trouble @ (Trouble::Conflict { .. } | Trouble::Silent { .. })) => last = Some(trouble),
                Err(trouble) => return Err(trouble.into()),
            }
        }
        Err(last.map_or_else(|| TargetError::Unreachable { reason: self.what("change", name) }, TargetError::from))
    }
}

/// A number of an environment, and the annotation that it stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fence {
    pub(super) number: u64,
    pub(super) name: String,
}

impl Fence {
    pub(super) fn new(app: &AppName, environment: &EnvironmentName, number: u64) -> Self {
        Self { number, name: names::fence(app, environment) }
    }
}

/// Fences by their annotations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fences(BTreeMap<String, u64>);

impl Fences {
    /// The number in that annotation; 0 when there is none.
    pub(super) fn of(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }
}

/// How fields are applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Apply {
    pub(super) resource_version: Option<String>,
    pub(super) run: Run,
    pub(super) conflicts: Conflicts,
}

/// Whether anything is to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Run {
    Dry,
    Real,
}

/// What is done about fields of other managers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Conflicts {
    /// They are an error.
    Show,
    /// They become hms's.
    Take,
}

impl Object {
    #[cfg(test)]
    pub(super) fn from_value(value: Value) -> Self {
        Self(serde_json::from_value(value).unwrap())
    }

    pub(super) fn name(&self) -> String {
        self.0.name_any()
    }

    pub(super) fn resource_version(&self) -> Option<String> {
        self.0.metadata.resource_version.clone()
    }

    pub(super) fn namespace(&self) -> String {
        self.0.metadata.namespace.clone().unwrap_or_default()
    }

    pub(super) fn uid(&self) -> Option<&str> {
        self.0.metadata.uid.as_deref()
    }

    pub(super) fn generation(&self) -> i64 {
        self.0.metadata.generation.unwrap_or_default()
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.0.metadata.deletion_timestamp.is_some()
    }

    pub(super) fn created_at(&self) -> Option<chrono::DateTime<chrono::Utc>> {
        let stamp = self.0.metadata.creation_timestamp.as_ref()?;
        chrono::DateTime::from_timestamp(stamp.0.as_second(), 0)
    }

    pub(super) fn annotations(&self) -> impl Iterator<Item = (&String, &String)> {
        self.0.metadata.annotations.iter().flatten()
    }

    /// Every manager that wrote fields of it, its status left out.
    pub(super) fn writers(&self) -> impl Iterator<Item = Wrote<'_>> {
        let entries = self.0.metadata.managed_fields.iter().flatten().filter(|entry| entry.subresource.as_deref() != Some("status"));
        entries.filter_map(|entry| {
            Some(Wrote {
                manager: entry.manager.clone()?,
                at: entry.time.as_ref().and_then(|time| chrono::DateTime::from_timestamp(time.0.as_second(), 0)),
                fields: &entry.fields_v1.as_ref()?.0,
            })
        })
    }

    pub(super) fn annotation(&self, name: &str) -> Option<&str> {
        self.0.metadata.annotations.as_ref()?.get(name).map(String::as_str)
    }

    /// What lies at a JSON pointer, metadata left out.
    pub(super) fn at(&self, pointer: &str) -> Option<&Value> {
        self.0.data.pointer(pointer)
    }

    pub(super) fn number(&self, pointer: &str) -> Option<i64> {
        self.at(pointer)?.as_i64()
    }

    /// The highest fence of each environment that wrote it.
    pub(super) fn fences(&self) -> Fences {
        let all = self.0.metadata.annotations.iter().flatten().filter(|(name, _)| name.starts_with(names::FENCES));
        Fences(all.filter_map(|(name, text)| Some((name.clone(), text.parse().ok()?))).collect())
    }

    /// Lets a fence write that is no lower than the one of its environment that wrote last. Those of others are no matter of its.
    pub(super) fn admit(&self, fence: &Fence) -> Result<(), TargetError> {
        let seen = self.fences().of(&fence.name);
        if fence.number < seen { Err(TargetError::Superseded { by: None, fence: seen }) } else { Ok(()) }
    }
}

/// What one manager wrote of an object.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wrote<'a> {
    pub(super) manager: String,
    pub(super) at: Option<chrono::DateTime<chrono::Utc>>,
    /// Its fields, as `FieldsV1`.
    pub(super) fields: &'a Value,
}

/// Changes of one object.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Edit {
    annotations: Vec<(String, Option<String>)>,
    fields: Vec<(String, Value)>,
}

impl Edit {
    /// Gives an annotation this value.
    pub(super) fn annotate(mut self, name: &str, value: &str) -> Self {
        self.annotations.push((name.to_owned(), Some(value.to_owned())));
        self
    }

    /// Takes an annotation away.
    pub(super) fn forget(mut self, name: &str) -> Self {
        self.annotations.push((name.to_owned(), None));
        self
    }

    /// Puts a value at a JSON pointer below the object; a pointer ending in a name that is not there yet adds it.
    pub(super) fn put(mut self, pointer: impl Into<String>, value: Value) -> Self {
        self.fields.push((pointer.into(), value));
        self
    }

    fn is_idle(&self, object: &Object) -> bool {
        let noted = self.annotations.iter().all(|(name, value)| object.annotation(name) == value.as_deref());
        noted && self.fields.iter().all(|(pointer, value)| object.at(pointer) == Some(value))
    }

    /// The patch: it begins with a test of the resourceVersion that was read.
    fn patch(&self, object: &Object) -> json_patch::Patch {
        let mut operations = Vec::new();
        if let Some(version) = object.resource_version() {
            operations.push(json!({"op": "test", "path": "/metadata/resourceVersion", "value": version}));
        }
        if object.0.metadata.annotations.is_none() && self.annotations.iter().any(|(_, value)| value.is_some()) {
            operations.push(json!({"op": "add", "path": "/metadata/annotations", "value": {}}));
        }
        for (name, value) in &self.annotations {
            let path = format!("/metadata/annotations/{}", escape(name));
            match value {
                Some(value) => operations.push(json!({"op": "add", "path": path, "value": value})),
                None if object.annotation(name).is_some() => operations.push(json!({"op": "remove", "path": path})),
                None => {}
            }
        }
        for (pointer, value) in &self.fields {
            operations.push(json!({"op": "add", "path": pointer, "value": value}));
        }
        serde_json::from_value(Value::Array(operations)).unwrap_or_default()
    }
}

/// A name as one part of a JSON pointer (RFC 6901).
pub(super) fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
