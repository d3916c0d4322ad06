//! The console on real journals: a source that folds what it reads and says what the person asks for.
//!
//! `watcher` waits for files to change and tells the console; `observer` asks the target; `asks` carries requests out, each on a
//! thread of its own. Nothing here wakes while nothing changes.

mod asks;
mod gather;
mod observer;
mod opening;
mod rollback;
mod runs;
mod source;
mod verbs;
mod watcher;

pub(crate) use verbs::{attach, console, replay, watch_headless};
