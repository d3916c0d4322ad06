//! `hms-deploy`: inside a run a client of the run's engine, alone a driver of its own.

mod alone;
mod arguments;
mod candidate;
pub(crate) mod client;
mod consent;
mod history;
pub(crate) mod standing;

use std::ffi::OsString;

use clap::Parser;

use super::arguments::Output;
use super::doors::usage;
use super::failure::Failure;
use super::rollback;
use arguments::{HmsDeploy, Verb};
pub(crate) use candidate::moved;
use client::Attempt;

/// Runs `hms-deploy` and gives its exit code.
#[must_use]
pub fn deploy_main(arguments: &[OsString]) -> u8 {
    let deploy = match HmsDeploy::try_parse_from(arguments) {
        Ok(deploy) => deploy,
        Err(error) => return usage(&error, Output::asked(arguments)),
    };
    let output = deploy.output;
    match dispatch(deploy) {
        Ok(code) => code,
        Err(failure) => {
            failure.say(output, &mut std::io::stdout(), &mut std::io::stderr());
            failure.exit.code()
        }
    }
}

fn dispatch(deploy: HmsDeploy) -> Result<u8, Failure> {
    let attempt = Attempt::find();
    match (deploy.verb, attempt) {
        (None, Some(attempt)) => attempt.deploy(&deploy.deploy, deploy.output),
        (Some(Verb::Rollback(rollback)), Some(attempt)) => attempt.rollback(&rollback, deploy.output),
        (None, None) => alone::deploy(&deploy.deploy, deploy.output),
        (Some(Verb::Rollback(rollback)), None) => rollback::rollback(&rollback, None, deploy.output, "hms-deploy rollback"),
        (Some(Verb::Status(place)), _) => {
            standing::status(place.env.as_ref(), place.app.as_ref(), place.target.as_ref(), None, deploy.output)
        }
        (Some(Verb::History(place)), _) => history::history(&place, deploy.output),
    }
}
