//! Tests of repo: repositories made by the real git, with nothing of the person's configuration.

#![expect(clippy::unwrap_used, reason = "helpers of tests: one that cannot go on must stop")]

mod checkout;
mod hostile;
mod names;
mod places;
mod tags;
mod world;
