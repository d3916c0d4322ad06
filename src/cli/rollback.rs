//! temporary
use super::{
    environment::Environment,
    failure::{Exit, Failure},
};
use crate::event::{AppName, Arm, Digest, EnvironmentName, RolloutId};
pub(crate) enum Countdown {
    Now,
    Cancel,
}
pub(crate) fn from_console(
    _: &Environment,
    _: &AppName,
    _: &EnvironmentName,
    _: Arm,
    _: Option<Digest>,
    _: Option<Digest>,
) -> Result<String, Failure> {
    Err(Failure::new(Exit::Usage, "no"))
}
pub(crate) fn countdown(_: &Environment, _: &AppName, _: &RolloutId, _: Countdown) -> Result<String, Failure> {
    Err(Failure::new(Exit::Usage, "no"))
}
