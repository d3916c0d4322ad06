//! The driver against fakes: a target that is honest about fences and versions, and ports that do as they are told.

#![allow(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::duration_suboptimal_units,
    clippy::float_cmp,
    clippy::unused_self,
    clippy::wildcard_enum_match_arm,
    reason = "a test that meets the unexpected should stop there and say so"
)]

mod choice;
mod crash;
mod drill;
mod driver;
mod faults;
mod production;
mod race;
mod rollback;
mod steer;
mod target;
mod world;
