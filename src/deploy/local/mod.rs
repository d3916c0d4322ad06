//! The local target: releases run on this machine, behind a weighted reverse proxy that really splits the traffic.
//!
//! ```text
//!  LocalTarget (any hms) ──socket──► supervisor (one per user and app) ──► instances: processes, ports, logs
//!                                        │ World: records, arms, weights           ▲
//!  users ───────────────────────────► proxy: split, pool, drain ──────────────────┘     /metrics on a port of its own
//! ```
//!
//! * `client` speaks to the supervisor and starts it when it is dead; `placed` keeps the bytes, without it.
//! * `supervisor` owns the [`World`](world::World); `effects` changes it, `stored` writes it down, `keeping` keeps instances alive.
//! * `proxy` is handed an instance by the world and holds a ticket of it until the last byte: an instance is stopped when it has
//!   no tickets left. Nothing here knows runs, ledgers or verdicts.
//!
//! ```text
//! STATE/local/<app>/  store.json  lock  supervisor.log
//!   releases/<digest hex>/{record.json,tree/}     bytes as placed; never written again
//!   work/<instance>/                              where an instance runs, a copy it may write to
//!   logs/<version>.log, .log.1                    what instances print
//! ```

mod child_server;
mod client;
mod demo_service;
mod door;
mod effects;
mod health;
mod instance;
mod keeping;
mod listening;
mod load;
mod metrics;
mod output;
mod placed;
mod pool;
mod ports;
mod process;
mod protocol;
mod proxy;
mod random;
mod recipe;
mod server;
mod split;
mod starting;
mod static_files;
mod status;
mod stored;
mod supervisor;
mod world;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use client::LocalTarget;
pub use demo_service::demo_service_main;
pub use door::hidden_main;
pub use load::{LoadError, LoadProgress, LoadReport, load};
pub use static_files::serve_static_main;
pub use status::{Happening, LocalArm, LocalEnvironment, LocalStatus};
pub use supervisor::supervise_main;

/// A mutex's value, also after a panic elsewhere: every holder here leaves its value whole at each step.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
