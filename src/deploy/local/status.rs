//! What the local target says of itself to people.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::deploy::ArmView;
use crate::event::{AppName, EnvironmentName, ProcessName, Weight};

/// The local target of one app, as it is now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LocalStatus {
    /// 1.
    pub format: u32,
    /// Whose.
    pub app: AppName,
    /// The supervisor; none when none runs.
    pub supervisor: Option<ProcessName>,
    /// Whether a person stopped it, so that nothing but a deploy starts it again.
    pub stopped: bool,
    /// Where `/metrics` can be scraped.
    pub metrics: Option<String>,
    /// Its environments, by name.
    pub environments: Vec<LocalEnvironment>,
    /// Why the store could not be written last, while that is so: what is in force is then in memory only.
    pub unpersisted: Option<String>,
    /// What happened lately, oldest first; at most 100.
    pub happenings: Vec<Happening>,
}

/// An environment on this machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LocalEnvironment {
    /// Which.
    pub environment: EnvironmentName,
    /// Where users reach it; chosen once.
    pub address: Option<String>,
    /// Whether it listens there at this moment.
    pub listening: bool,
    /// The canary's weight in force.
    pub weight: Weight,
    /// The highest fence seen.
    pub fence: u64,
    /// Requests that went to the canary and to stable since the weight was set.
    pub served: (u64, u64),
    /// What runs.
    pub arms: Vec<LocalArm>,
    /// What is being drained and stopped.
    pub leaving: Vec<LocalArm>,
}

/// A release that runs on this machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LocalArm {
    /// As the target's contract has it.
    #[serde(flatten)]
    pub view: ArmView,
    /// Its process; none while it is down.
    pub process: Option<ProcessName>,
    /// The loopback port that it listens on.
    pub port: u16,
    /// Requests that it has not finished answering.
    pub in_flight: usize,
}

/// Something that happened at the target, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happening {
    /// When.
    pub at: DateTime<Utc>,
    /// What.
    pub text: String,
}
