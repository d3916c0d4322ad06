//! The door of `hms`.

use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|verb| verb == "keeper") {
        return ExitCode::from(hms::executor::keeper_main());
    }
    ExitCode::SUCCESS
}
