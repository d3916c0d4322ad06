//! The driver: deploy, canary and ledger put together. Slot, steps, fencing, watch, promote, rollback, resume.
//!
//! A rollout is a folder, `STATE/rollouts/<app>/<rollout id>/`; whoever holds its lock drives it and alone writes its journal.
//! Every control effect goes the same way, in `steps`: ledger intent → fence by compare-and-swap → journal → the target's
//! *apply* → proof → ledger outcome → record. A rollback ([`roll_back`]) is a rollout of its own and stops for nothing.
//!
//! The rooms beside it are reached through [`ports`]; decisions (`choice`, `tale`) are pure. Views use [`reader`] alone.
//! It may not run jobs, parse policy, or judge.

mod abandoned;
mod choice;
mod countdown;
mod crash;
mod drift;
mod drill;
mod driver;
mod evidence;
mod forward;
mod hearing;
mod keep;
mod logbook;
pub mod ports;
mod production;
mod promote;
pub mod reader;
mod resume;
mod rollback;
mod steer;
mod steps;
mod tale;
mod watch;
pub mod wired;
mod withdraw;
mod worker;

#[cfg(test)]
mod tests;

pub use choice::Aim;
pub(crate) use choice::{next_back, reconcile};
pub use countdown::{CountdownAnswer, CountdownAsk, Inside, ask_countdown};
pub use crash::CrashPoint;
pub use drill::{DrillEnd, DrillRequest, DrillSetup, Rehearsal, drill};
pub use driver::{Answer, Authority, Bytes, Driver, ReleaseRequest, Setup, Standing, Walk};
pub use hearing::{Hearing, SteerAnswer, SteerAsk, SteerWish, steer};
pub use logbook::{DriveError, Hear, folder_of};
pub use rollback::{RollbackEnd, RollbackRequest, RollbackSetup, roll_back};
pub use steps::{Clock, Tell};
