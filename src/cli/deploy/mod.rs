//! `hms-deploy`: inside a run a client of the run's engine, alone a driver of its own.

mod arguments;
pub(crate) mod client;

use std::ffi::OsString;
use std::io::Write;

use clap::Parser;

use super::failure::{Exit, Failure};
use arguments::{HmsDeploy, Verb};
use client::Attempt;

/// Runs `hms-deploy` and gives its exit code.
#[must_use]
pub fn deploy_main(arguments: &[OsString]) -> u8 {
    let deploy = match HmsDeploy::try_parse_from(arguments) {
        Ok(deploy) => deploy,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.code() } else { 0 };
        }
    };
    match dispatch(deploy) {
        Ok(code) => code,
        Err(failure) => {
            failure.report(&mut std::io::stderr());
            failure.exit.code()
        }
    }
}

fn dispatch(deploy: HmsDeploy) -> Result<u8, Failure> {
    let attempt = Attempt::find();
    match (deploy.verb, attempt) {
        (None, Some(attempt)) => attempt.deploy(&deploy.deploy),
        (Some(Verb::Rollback(rollback)), Some(attempt)) => attempt.rollback(&rollback),
        (_, _) => {
            let _ = std::io::stderr().flush();
            Err(Failure::new(Exit::Usage, "outside a run this needs a terminal"))
        }
    }
}
