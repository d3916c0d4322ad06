//! The store: what of the world survives a supervisor, as `store.json`, replaced whole and synced.
//!
//! ```text
//! {"format":1,"app_record":{…}|null,"environments":{"prod":{"record":{…}|null,"fence":3,"weight":0.01,
//!   "stable":{"release":"sha256:…","instance":"<ulid>","process":{…}|null,"port":20123,"restarts":0,"log_from":0}|null,
//!   "canary":…,"standby":[…],"leaving":[…],"address":"127.0.0.1:8080"|null}},
//!  "metrics":"127.0.0.1:20001"|null,"stopped":false,"happenings":[{"at":…,"text":…}]}
//! ```
//! Fields are added, never renamed. A start under way is not in it: its process is found by its mark and ended.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::instance::Instance;
use super::split::Split;
use super::status::Happening;
use super::world::{Arms, Environment, World};
use crate::event::{AppName, AppRecord, Digest, EnvironmentName, EnvironmentRecord, ProcessName, Weight};
use crate::store::{self, DiskError};

/// The format that this program writes.
const FORMAT: u32 = 1;

/// The file's content.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Stored {
    format: u32,
    #[serde(default)]
    pub(super) app_record: Option<AppRecord>,
    #[serde(default)]
    pub(super) environments: BTreeMap<EnvironmentName, StoredEnvironment>,
    #[serde(default)]
    pub(super) metrics: Option<SocketAddr>,
    #[serde(default)]
    pub(super) stopped: bool,
    #[serde(default)]
    pub(super) happenings: Vec<Happening>,
}

/// An environment in the store.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct StoredEnvironment {
    #[serde(default)]
    pub(super) record: Option<EnvironmentRecord>,
    pub(super) fence: u64,
    pub(super) weight: Weight,
    #[serde(default)]
    pub(super) stable: Option<StoredArm>,
    #[serde(default)]
    pub(super) canary: Option<StoredArm>,
    #[serde(default)]
    pub(super) standby: Vec<StoredArm>,
    #[serde(default)]
    pub(super) leaving: Vec<StoredArm>,
    #[serde(default)]
    pub(super) address: Option<SocketAddr>,
}

/// An instance in the store.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct StoredArm {
    pub(super) release: Digest,
    pub(super) instance: String,
    #[serde(default)]
    pub(super) process: Option<ProcessName>,
    pub(super) port: u16,
    #[serde(default)]
    pub(super) restarts: u32,
    #[serde(default)]
    pub(super) log_from: u64,
}

/// A store that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoredError {
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error("{path} cannot be understood: {why}; put it aside to begin anew")]
    Damaged { path: std::path::PathBuf, why: String },
    #[error("{path} has format {format}, and this program reads up to {FORMAT}; use the hms that wrote it")]
    TooNew { path: std::path::PathBuf, format: u32 },
}

/// Reads the store; none when there is none.
pub(super) fn load(path: &Path) -> Result<Option<Stored>, StoredError> {
    #[derive(Deserialize)]
    struct Head {
        format: u32,
    }
    let Some(bytes) = store::read_if_there(path)? else { return Ok(None) };
    let damaged = |error: serde_json::Error| StoredError::Damaged { path: path.to_owned(), why: error.to_string() };
    let head: Head = serde_json::from_slice(&bytes).map_err(damaged)?;
    if head.format > FORMAT {
        return Err(StoredError::TooNew { path: path.to_owned(), format: head.format });
    }
    serde_json::from_slice(&bytes).map(Some).map_err(damaged)
}

impl Stored {
    /// What the world is now.
    pub(super) fn of(world: &World) -> Self {
        Self {
            format: FORMAT,
            app_record: world.app_record.clone(),
            environments: world.environments.iter().map(|(name, found)| (name.clone(), StoredEnvironment::of(found))).collect(),
            metrics: world.metrics,
            stopped: world.stopped,
            happenings: world.happenings.iter().cloned().collect(),
        }
    }

    /// The world as it was written down. Nothing of it runs yet.
    pub(super) fn into_world(self, app: AppName) -> World {
        let environments = self.environments.into_iter().map(|(name, stored)| {
            let environment = stored.into_environment(&name);
            (name, environment)
        });
        World {
            app,
            app_record: self.app_record,
            environments: environments.collect(),
            metrics: self.metrics,
            stopped: self.stopped,
            happenings: self.happenings.into(),
        }
    }

    /// A store that holds nothing.
    pub(super) fn empty() -> Self {
        Self { format: FORMAT, app_record: None, environments: BTreeMap::new(), metrics: None, stopped: false, happenings: Vec::new() }
    }
}

impl StoredEnvironment {
    fn of(environment: &Environment) -> Self {
        let one = |instance: &Arc<Instance>| StoredArm::of(instance);
        Self {
            record: environment.record.clone(),
            fence: environment.fence,
            weight: environment.arms.weight,
            stable: environment.arms.stable.as_ref().map(one),
            canary: environment.arms.canary.as_ref().map(one),
            standby: environment.arms.standby.iter().map(one).collect(),
            leaving: environment.leaving.iter().map(one).collect(),
            address: environment.address,
        }
    }

    fn into_environment(self, name: &EnvironmentName) -> Environment {
        let one = |stored: &StoredArm| Instance::known(name, stored);
        Environment {
            record: self.record,
            fence: self.fence,
            arms: Arms {
                stable: self.stable.as_ref().map(one),
                canary: self.canary.as_ref().map(one),
                standby: self.standby.iter().map(one).collect(),
                weight: self.weight,
            },
            split: Split::new(self.weight),
            starting: Vec::new(),
            leaving: self.leaving.iter().map(one).collect(),
            address: self.address,
            listening: false,
        }
    }
}

impl StoredArm {
    fn of(instance: &Arc<Instance>) -> Self {
        let now = instance.now();
        Self {
            release: instance.release.clone(),
            instance: instance.id.clone(),
            process: now.process,
            port: now.port,
            restarts: now.restarts,
            log_from: now.log_from,
        }
    }
}
