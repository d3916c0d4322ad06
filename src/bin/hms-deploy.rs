//! The door of `hms-deploy`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(hms::cli::deploy_main(&std::env::args_os().collect::<Vec<_>>()))
}
