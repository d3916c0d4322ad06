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
    close_inherited();
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

/// Closes every descriptor but the first three. A shell's lock or a build's pipe that the starter had open would else stay so for as
/// long as the supervisor and its releases live. Nothing of this process is open yet.
fn close_inherited() {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else { return };
    let open: Vec<i32> = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for descriptor in open.into_iter().filter(|descriptor| *descriptor > 2) {
        // The one that listed the folder is closed already.
        let _ = nix::unistd::close(descriptor);
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
