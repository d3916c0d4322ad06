//! The door of `hms`.

use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    hms::deploy::local::hidden_main(&arguments).map_or(ExitCode::SUCCESS, ExitCode::from)
}
