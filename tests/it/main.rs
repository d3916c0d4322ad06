//! The one integration binary; a module for each room and for each story.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that meets the unexpected should stop there and say so"
)]

mod canary;
mod console;
mod deploy;
mod executor;
mod fuzzed;
mod ledger;
mod pipeline;
mod policy;
mod prometheus;
mod repo;
mod report;
mod rollout;
mod rooms;
mod run;
mod scan;
mod settings_page;
mod store;
mod stories;

/// A folder of the shared test data, which is not part of the project; none, said, when it is absent.
fn shared_data(name: &str) -> Option<std::path::PathBuf> {
    let beside = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let root = std::env::var_os("HMS_TEST_DATA").map_or(beside, std::path::PathBuf::from);
    let path = root.join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: {} is not there", path.display());
    None
}
