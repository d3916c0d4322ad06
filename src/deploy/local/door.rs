//! The hidden subcommands of this room: what the local target starts of its own program.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::demo_service::demo_service_main;
use super::static_files::serve_static_main;
use super::supervisor::{complain, supervise_main};
use crate::event::AppName;
use crate::store::Places;

/// Runs a hidden subcommand, if these arguments (without the program's name) are one: `supervise APP`, `serve-static DIR`,
/// `demo-service FILE`. Gives the exit code.
#[must_use]
pub fn hidden_main(arguments: &[OsString]) -> Option<u8> {
    let [verb, given] = arguments else { return None };
    match verb.to_str()? {
        "supervise" => Some(supervise(given.to_str()?)),
        "serve-static" => Some(serve_static_main(Path::new(given), &variable)),
        "demo-service" => Some(demo_service_main(Path::new(given), &variable)),
        _ => None,
    }
}

fn supervise(app: &str) -> u8 {
    let app = match app.parse::<AppName>() {
        Ok(app) => app,
        Err(error) => {
            complain(&error.to_string());
            return 2;
        }
    };
    match Places::find(|name| std::env::var_os(name).map(PathBuf::from)) {
        Ok(places) => supervise_main(&app, &places),
        Err(error) => {
            complain(&error.to_string());
            3
        }
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
