//! The door of `hms-scan`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(hms::cli::scan_main(std::env::args_os().collect()))
}
