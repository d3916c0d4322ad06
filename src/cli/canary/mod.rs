//! `hms canary`: how a canary stands and why, what a person does to it, recorded samples judged again, and plans of what it can know when.

mod curves;
mod export;
mod judge;
mod plan;
mod standing;
mod steer;
mod which;

use std::path::Path;

pub(crate) use curves::{curves, points_of};

use super::arguments::{CanaryVerb, Output};
use super::failure::Failure;
use crate::rollout::SteerWish;

/// Carries out a verb of the canary.
pub(crate) fn canary(verb: &CanaryVerb, at: Option<&Path>, output: Output) -> Result<u8, Failure> {
    match verb {
        CanaryVerb::Status(which) => standing::status(which, at, output),
        CanaryVerb::Watch(which) => standing::watch(which, at, output),
        CanaryVerb::Explain(which) => standing::explain(which, at, output),
        CanaryVerb::Pause(arguments) => steer::simple(SteerWish::Pause, arguments, at, output),
        CanaryVerb::Resume(arguments) => steer::simple(SteerWish::Resume, arguments, at, output),
        CanaryVerb::Skip(arguments) => steer::simple(SteerWish::Skip, arguments, at, output),
        CanaryVerb::Extend(arguments) => steer::extend(arguments, at, output),
        CanaryVerb::Export(arguments) => export::export(arguments, at, output),
        CanaryVerb::Judge(arguments) => judge::judge(arguments, output),
        CanaryVerb::Plan(arguments) => plan::plan(arguments, output),
    }
}
