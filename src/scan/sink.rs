//! Where a scan's report goes when the scan is part of a run.

use std::path::PathBuf;

use super::report::{Advisories, Report};

/// What is in force for the run that a report was handed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Policy `scan.advisories`.
    pub advisories: Advisories,
}

/// Takes a scan's report, once, before the scan says how it ended.
pub trait ReportSink {
    /// The checkout of the run that this scan is part of, if it is of one. Names and lockfiles are then of this folder, whatever
    /// the working folder is: a script that named another would hide its lockfiles.
    fn checkout(&self) -> Option<PathBuf> {
        None
    }

    /// Hands the report in and returns what is in force there; `None` when this scan is part of no run.
    ///
    /// # Errors
    /// When there is a run and the report could not be handed in: a fragment for people. The scan then counts as not carried out.
    fn hand_in(&mut self, report: &Report) -> Result<Option<Terms>, String>;
}

/// The sink of a scan that is part of no run.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoRun;

impl ReportSink for NoRun {
    fn hand_in(&mut self, _report: &Report) -> Result<Option<Terms>, String> {
        Ok(None)
    }
}
