//! What may not leave the house: secrets in files, and dependencies that nobody has looked up.
//!
//! A scan walks the given paths, reads every file once (hashing and searching the same bytes), looks for lockfiles there and
//! in the checkout, and makes a [`Report`]. It is honest before it is green: what could not be read, what was not checked and
//! a scan of nothing each have their own words and exit code 3. Advisories are not looked up yet, and every report says so.
//!
//! Not seen by it: secrets inside archives and compressed files (said for each), in UTF-16 text, or encoded a second time.
//! The room names `event` only. It prints nothing but through the writers that [`main_scan`] is given.

mod arguments;
mod detector;
mod door;
mod escape;
mod examine;
pub mod lockfile;
mod mask;
mod place;
mod printed;
mod report;
mod search;
mod severity;
mod sink;
mod stream;
mod walk;

pub use door::main_scan;
pub use examine::{Request, examine};
pub use report::{Advisories, FORMAT, Failure, Finding, LockfileSeen, Lookup, Outcome, Report, Skipped};
pub use search::SearchError;
pub use severity::{Level, Severity};
pub use sink::{NoRun, ReportSink, Terms};

/// A scan that could not begin or be reported.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// The folder that names are relative to is not there.
    #[error("checkout {path} cannot be found")]
    Checkout {
        /// The folder as it was given.
        path: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The program's own rules are not usable.
    #[error("the rules are not usable")]
    Rules(#[from] SearchError),
    /// The report cannot be written.
    #[error("the report cannot be written as JSON")]
    Report(#[source] serde_json::Error),
}
