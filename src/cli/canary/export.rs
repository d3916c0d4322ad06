//! `hms canary export`: a canary's numbers, interval by interval.

use std::io::Write;
use std::path::Path;

use super::curves::curves;
use super::which::Canary;
use crate::cli::arguments::{CanaryExportArguments, Output, TableFormat};
use crate::cli::environment::Environment;
use crate::cli::failure::{Exit, Failure};
use crate::report::{curves_csv, curves_json, curves_table, json_text};

pub(super) fn export(arguments: &CanaryExportArguments, at: Option<&Path>, output: Output) -> Result<u8, Failure> {
    let canary = Canary::find(&Environment::find()?, &arguments.which, at)?;
    let curves = curves(canary.state(), &canary.folder);
    let course = &canary.state().course;
    let text = match (arguments.format, output) {
        (TableFormat::Csv, _) => curves_csv(&curves, course),
        (TableFormat::Json, _) | (TableFormat::Table, Output::Json) => {
            format!("{}\n", json_text(&curves_json(&curves, course)).map_err(unwritable)?)
        }
        (TableFormat::Table, Output::Text) => curves_table(&curves, course),
    };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(0)
}

#[expect(clippy::needless_pass_by_value, reason = "map_err gives it")]
fn unwritable(error: serde_json::Error) -> Failure {
    Failure::of(Exit::NotCarriedOut, &error)
}
