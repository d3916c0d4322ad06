//! A run: its folder, its engine (the only writer of its events), the control socket, and the readers that views use.
//!
//! The engine is whichever process holds the run's lock. There is one way to start one: take the lock, fold the journal, look
//! at the world, go on; first start, approve, retry and resume are the same code (`docs/decisions.md` 1.1).

pub mod control;
pub mod engine;
mod environments;
mod expiry;
mod folder;
pub(crate) mod lost;
pub mod reader;
mod registry;

pub use environments::{Deployment, EnvironmentStanding, KnownEnvironment, Mark, StopJob, StopJobStanding, delivered, environments, mark};
pub use expiry::{Expired, KeepError, expired, keep_artifacts, remove_expired};
pub use folder::{RepositoryFolder, RunFolder};
pub use registry::{NewRun, RegisterError, Registered, next_number, register};
