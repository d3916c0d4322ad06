//! The door of `hms`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(hms::cli::hms_main(&std::env::args_os().collect::<Vec<_>>()))
}
