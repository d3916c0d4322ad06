//! The command line of `hms-scan`.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use super::report::Advisories;
use super::severity::Level;

/// Looks for secrets in files, and for dependency lockfiles beside them.
#[derive(Debug, Parser)]
#[command(
    name = "hms-scan",
    version,
    color = clap::ColorChoice::Never,
    after_help = "Examples:\n  hms-scan dist/ --fail-on high\n  hms-scan . --fail-on medium --output sarif > scan.sarif\n\n\
        Exit codes: 0 clean, 1 findings at or above the level, 2 usage,\n\
        3 not carried out: something could not be read, packages were not checked, or nothing was scanned"
)]
pub(crate) struct Arguments {
    /// Files and folders to scan; every file in them, ignored ones too
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// The level from which findings fail the scan
    #[arg(long, value_name = "LEVEL", default_value = "high")]
    pub(crate) fail_on: Level,
    /// How to print the result
    #[arg(long, default_value = "text")]
    pub(crate) output: Output,
    /// Whether packages of lockfiles must have been looked up in advisories; inside a run the stricter of this and policy
    /// holds [default: policy's inside a run, else required]
    #[arg(long)]
    pub(crate) advisories: Option<Advisories>,
    /// The folder that is searched for lockfiles, and that names are relative to
    /// [default: the run's checkout inside a run, else the working folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) checkout: Option<PathBuf>,
}

/// How to print the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Lines for people.
    Text,
    /// The report.
    Json,
    /// SARIF 2.1.0.
    Sarif,
}
