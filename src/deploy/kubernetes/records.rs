//! Records in ConfigMaps, compared and swapped by their own version under the object's resourceVersion (`docs/decisions.md` 20.4, 20.6).
//!
//! ```text
//! ConfigMap hms.APP              data: record.json     the app's record
//! ConfigMap hms.APP.ENV          data: record.json     an environment's record
//! ConfigMap hms.APP.release.HEX  data: record.json     a release's record
//! ConfigMap hms.APP.ENV.template.HEX  data: templates.json   each workload's whole pod template, as it ran there
//!                                           replicas.json    each workload's number of pods then; not there in older ones
//! ```

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ObjectMeta;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::access::{Access, Trouble};
use super::names::{self, MANAGER};
use crate::deploy::{ReleaseRecord, TargetError};
use crate::event::{AppName, AppRecord, Digest, EnvironmentName, EnvironmentRecord};

const RECORD: &str = "record.json";
const TEMPLATES: &str = "templates.json";
const REPLICAS: &str = "replicas.json";
/// What a ConfigMap of hms is, beside whose.
const HOLDS: &str = "hms/holds";

/// The records of one app in one namespace.
#[derive(Debug, Clone)]
pub(super) struct Records {
    access: Access,
    app: AppName,
}

/// How a release ran in an environment, by workload.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Kept {
    /// Whole pod templates.
    pub(super) templates: BTreeMap<String, Value>,
    /// Numbers of pods.
    pub(super) replicas: BTreeMap<String, u32>,
}

/// A record that has a version of its own.
trait Versioned: Serialize + DeserializeOwned + Clone {
    fn version(&self) -> u64;
    fn set_version(&mut self, version: u64);
}

impl Versioned for AppRecord {
    fn version(&self) -> u64 {
        self.version
    }
    fn set_version(&mut self, version: u64) {
        self.version = version;
    }
}

impl Versioned for EnvironmentRecord {
    fn version(&self) -> u64 {
        self.version
    }
    fn set_version(&mut self, version: u64) {
        self.version = version;
    }
}

impl Records {
    pub(super) fn new(access: Access, app: AppName) -> Self {
        Self { access, app }
    }

    pub(super) async fn app(&self) -> Result<AppRecord, TargetError> {
        let found = self.get(&names::app_object(&self.app), RECORD).await?;
        Ok(found.map_or_else(|| AppRecord::empty(self.app.clone()), |(record, _)| record))
    }

    pub(super) async fn put_app(&self, record: AppRecord) -> Result<AppRecord, TargetError> {
        self.put(&names::app_object(&self.app), "app", None, record, &format!("app {}", self.app)).await
    }

    pub(super) async fn environment(&self, environment: &EnvironmentName) -> Result<EnvironmentRecord, TargetError> {
        let found = self.get(&names::environment_object(&self.app, environment), RECORD).await?;
        Ok(found.map_or_else(|| EnvironmentRecord::empty(self.app.clone(), environment.clone()), |(record, _)| record))
    }

    pub(super) async fn put_environment(&self, record: EnvironmentRecord) -> Result<EnvironmentRecord, TargetError> {
        let environment = record.environment.clone();
        let name = names::environment_object(&self.app, &environment);
        self.put(&name, "environment", Some(&environment), record, environment.as_str()).await
    }

    pub(super) async fn environments(&self) -> Result<Vec<EnvironmentName>, TargetError> {
        let mut found: Vec<EnvironmentName> = self
            .list("environment")
            .await?
            .iter()
            .filter_map(|map| map.metadata.labels.as_ref()?.get(names::ENVIRONMENT)?.parse().ok())
            .collect();
        found.sort();
        Ok(found)
    }

    pub(super) async fn release(&self, digest: &Digest) -> Result<Option<ReleaseRecord>, TargetError> {
        let found: Option<(ReleaseRecord, ConfigMap)> = self.get(&names::release_object(&self.app, digest), RECORD).await?;
        Ok(found.map(|(record, _)| record).filter(|record| record.release.digest == *digest))
    }

    /// Newest first. One that cannot be read, because a later hms wrote it or somebody edited it, is no reason that another cannot be gone back to.
    pub(super) async fn releases(&self) -> Result<Vec<ReleaseRecord>, TargetError> {
        let mut found = Vec::new();
        for map in self.list("release").await? {
            found.extend(read::<ReleaseRecord>(&map, RECORD));
        }
        found.sort_by(|one, other| other.created_at.cmp(&one.created_at).then_with(|| other.release.digest.cmp(&one.release.digest)));
        Ok(found)
    }

    /// One that is there stays as it is: a digest has one record.
    pub(super) async fn put_release(&self, record: &ReleaseRecord) -> Result<(), TargetError> {
        let name = names::release_object(&self.app, &record.release.digest);
        let map = self.map(&name, "release", None, RECORD, record)?;
        match self.access.create(&map, MANAGER).await {
            Ok(_) | Err(Trouble::Conflict { .. }) => Ok(()),
            Err(trouble) => Err(trouble.into()),
        }
    }

    pub(super) async fn remove_release(&self, digest: &Digest) -> Result<(), TargetError> {
        self.access.delete::<ConfigMap>(&names::release_object(&self.app, digest), None).await?;
        for environment in self.environments().await? {
            self.access.delete::<ConfigMap>(&names::template_object(&self.app, &environment, digest), None).await?;
        }
        Ok(())
    }

    /// How a release ran in an environment; none when that was not kept.
    pub(super) async fn kept(&self, environment: &EnvironmentName, release: &Digest) -> Result<Option<Kept>, TargetError> {
        let name = names::template_object(&self.app, environment, release);
        let Some((templates, map)) = self.get(&name, TEMPLATES).await? else { return Ok(None) };
        let is_counted = map.data.as_ref().is_some_and(|data| data.contains_key(REPLICAS));
        let replicas = if is_counted { read(&map, REPLICAS)? } else { BTreeMap::new() };
        Ok(Some(Kept { templates, replicas }))
    }

    pub(super) async fn keep(&self, environment: &EnvironmentName, release: &Digest, kept: &Kept) -> Result<(), TargetError> {
        let name = names::template_object(&self.app, environment, release);
        let mut map = self.map(&name, "template", Some(environment), TEMPLATES, &kept.templates)?;
        let replicas = serde_json::to_string(&kept.replicas).map_err(|error| TargetError::Unreachable { reason: error.to_string() })?;
        map.data.get_or_insert_default().insert(REPLICAS.to_owned(), replicas);
        match self.access.create(&map, MANAGER).await {
            Ok(_) => return Ok(()),
            Err(Trouble::Conflict { .. }) => {}
            Err(trouble) => return Err(trouble.into()),
        }
        // The same release ran there before; what ran last is what is gone back to.
        let stored: Option<ConfigMap> = self.access.get(&name).await?;
        map.metadata.resource_version = stored.and_then(|stored| stored.metadata.resource_version);
        self.access.replace(&map, MANAGER).await?;
        Ok(())
    }

    async fn get<T: DeserializeOwned>(&self, name: &str, key: &str) -> Result<Option<(T, ConfigMap)>, TargetError> {
        let Some(map) = self.access.get::<ConfigMap>(name).await? else { return Ok(None) };
        let whose = map.metadata.labels.as_ref().and_then(|labels| labels.get(names::APP));
        if whose.map(String::as_str) != Some(self.app.as_str()) {
            let reason = format!(
                "the configmap {name} in {} is not hms's record of {}: its label {} is {}",
                self.access.name(),
                self.app,
                names::APP,
                whose.map_or("missing", String::as_str)
            );
            return Err(TargetError::NotPossible { reason });
        }
        Ok(Some((read(&map, key)?, map)))
    }

    async fn put<T: Versioned>(
        &self,
        name: &str,
        holds: &str,
        environment: Option<&EnvironmentName>,
        mut record: T,
        what: &str,
    ) -> Result<T, TargetError> {
        let stored: Option<(T, ConfigMap)> = self.get(name, RECORD).await?;
        let found = stored.as_ref().map_or(0, |(stored, _)| stored.version());
        let conflict = |found| TargetError::Conflict { what: what.to_owned(), found };
        if found != record.version() {
            return Err(conflict(found));
        }
        record.set_version(found + 1);
        let mut map = self.map(name, holds, environment, RECORD, &record)?;
        let written = match stored {
            None => self.access.create(&map, MANAGER).await,
            Some((_, stored)) => {
                map.metadata.resource_version = stored.metadata.resource_version;
                self.access.replace(&map, MANAGER).await
            }
        };
        match written {
            Ok(_) => Ok(record),
            Err(Trouble::Conflict { .. }) => Err(conflict(self.version_of::<T>(name).await)),
            // No answer: the write may have been done. What is stored tells; a version is written by one writer only.
            Err(Trouble::Silent { what, message }) => match self.get::<T>(name, RECORD).await {
                Ok(Some((now, _))) if now.version() == record.version() && same(&now, &record) => Ok(record),
                _ => Err(Trouble::Silent { what, message }.into()),
            },
            Err(trouble) => Err(trouble.into()),
        }
    }

    async fn version_of<T: Versioned>(&self, name: &str) -> u64 {
        self.get::<T>(name, RECORD).await.ok().flatten().map_or(0, |(stored, _)| stored.version())
    }

    async fn list(&self, holds: &str) -> Result<Vec<ConfigMap>, TargetError> {
        let mut labels = names::labels(&self.app, None);
        labels.insert(HOLDS.to_owned(), holds.to_owned());
        Ok(self.access.list(&names::selector(&labels)).await?)
    }

    fn map<T: Serialize>(
        &self,
        name: &str,
        holds: &str,
        environment: Option<&EnvironmentName>,
        key: &str,
        value: &T,
    ) -> Result<ConfigMap, TargetError> {
        let mut labels = names::labels(&self.app, environment);
        labels.insert(HOLDS.to_owned(), holds.to_owned());
        let text = serde_json::to_string(value).map_err(|error| TargetError::Unreachable { reason: error.to_string() })?;
        Ok(ConfigMap {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                namespace: Some(self.access.namespace().to_owned()),
                labels: Some(labels),
                ..ObjectMeta::default()
            },
            data: Some(BTreeMap::from([(key.to_owned(), text)])),
            ..ConfigMap::default()
        })
    }
}

fn same<T: Serialize>(one: &T, other: &T) -> bool {
    serde_json::to_value(one).ok() == serde_json::to_value(other).ok()
}

fn read<T: DeserializeOwned>(map: &ConfigMap, key: &str) -> Result<T, TargetError> {
    let name = map.metadata.name.as_deref().unwrap_or_default();
    let text = map.data.as_ref().and_then(|data| data.get(key)).map_or("", String::as_str);
    serde_json::from_str(text).map_err(|error| TargetError::NotPossible {
        reason: format!("configmap {name}: {key} cannot be read: {error} (hint: kubectl get configmap {name} -o yaml shows it; a newer hms may have written it)"),
    })
}
