//! What a release is, and where it goes: the target's contract and the targets.
//!
//! A target is a folder or file here that implements [`Target`]; the smallest example is `local`. Targets know nothing of
//! runs, ledgers, approvals or verdicts: they hold records, carry out effects, and say what is.

mod any;
mod contract;
mod drift;
pub mod kubernetes;
pub mod local;
pub mod registry;
pub mod release;
pub mod tar;

pub use any::AnyTarget;
pub use contract::{
    Applied, ArmName, ArmView, Effect, Health, Held, ImageSource, MetricsPage, Observation, ReleaseImage, ReleaseRecord, Target,
    TargetError,
};
pub use drift::differences;
