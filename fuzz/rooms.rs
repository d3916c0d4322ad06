//! The rooms that take anything and are pure, compiled without the rest of hms: a fuzzer's build is then some seconds and not minutes,
//! and only what is looked at is instrumented. It fails to build when one of them begins to name another room.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "a part of hms, which is linted as a whole where it is built")]

#[path = "../src/document/mod.rs"]
pub mod document;
#[path = "../src/event/mod.rs"]
pub mod event;
#[path = "../src/pipeline/mod.rs"]
pub mod pipeline;

#[path = "../src/executor/dotenv.rs"]
mod dotenv;
#[path = "../src/executor/artifacts/pattern.rs"]
mod pattern;
#[path = "../src/executor/variable_name.rs"]
mod variable_name;

/// What of the executor reads what a job or a file wrote.
pub mod executor {
    pub use crate::dotenv::{DOTENV_BYTES, read_dotenv};
    pub use crate::variable_name::is_variable_name;

    /// As `hms::executor::artifact_glob_names`.
    ///
    /// # Errors
    /// As that.
    pub fn artifact_glob_names(glob: &str, checkout: &std::path::Path, path: &std::path::Path) -> Result<bool, String> {
        Ok(crate::pattern::Pattern::read(glob, checkout)?.matches(path))
    }
}
