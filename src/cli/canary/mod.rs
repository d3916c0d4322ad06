//! `hms canary`: judge recorded samples again, and plan what a canary can know when.

mod judge;
mod plan;

use super::arguments::{CanaryVerb, Output};
use super::failure::Failure;

/// Carries out a verb of the canary.
pub(crate) fn canary(verb: &CanaryVerb, output: Output) -> Result<u8, Failure> {
    match verb {
        CanaryVerb::Judge(arguments) => judge::judge(arguments, output),
        CanaryVerb::Plan(arguments) => plan::plan(arguments, output),
    }
}
