//! The door of `hms-scan`.

use std::io;
use std::process::ExitCode;

use hms::scan;

fn main() -> ExitCode {
    ExitCode::from(scan::main_scan(std::env::args_os(), &mut io::stdout().lock(), &mut io::stderr().lock(), &mut scan::NoRun))
}
