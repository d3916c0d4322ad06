//! The ports put on the real rooms: ledger, metrics, judge, policy. The engine, `hms-deploy` alone and `hms drive` use the same.

mod force;
mod gatekeeper;
pub mod ground;
mod judge;
mod lineage;
mod meter;
mod recorder;
mod same_place;
mod targets;

pub use force::{Asker, ForceError, InForce, accept, in_force};
pub use gatekeeper::PolicyGatekeeper;
pub use judge::CanaryJudge;
pub use lineage::Lineage;
pub use meter::{MetricsMeter, NoMeter, PodsMeter, TargetMeter};
pub use recorder::LedgerRecorder;
pub use same_place::{known_elsewhere, moved_from};
pub use targets::{ClusterName, Home, Targets, Variable, cluster_set, home_of};
