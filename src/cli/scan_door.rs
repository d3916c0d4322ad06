//! The door of `hms-scan` (`scan` on a job's PATH): inside a run the report goes to the engine.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::scan::{Advisories, Report, ReportSink, Terms, main_scan};

use super::deploy::client::Attempt;
use super::environment::variable;

/// Runs `hms-scan` and gives its exit code.
#[must_use]
pub fn scan_main(arguments: Vec<OsString>) -> u8 {
    main_scan(arguments.into_iter(), &mut std::io::stdout(), &mut std::io::stderr(), &mut RunSink)
}

struct RunSink;

impl ReportSink for RunSink {
    fn checkout(&self) -> Option<PathBuf> {
        Attempt::find()?;
        variable("CI_PROJECT_DIR").map(PathBuf::from)
    }

    fn hand_in(&mut self, report: &Report) -> Result<Option<Terms>, String> {
        let Some(attempt) = Attempt::find() else { return Ok(None) };
        let summary = report.summary().map_err(|error| error.to_string())?;
        let report = serde_json::to_value(report).map_err(|error| error.to_string())?;
        let advisories = match attempt.hand_in(report, summary)?.as_str() {
            "optional" => Advisories::Optional,
            _ => Advisories::Required,
        };
        Ok(Some(Terms { advisories }))
    }
}
