//! Releases' bytes, and the targets against the real thing.

pub(crate) mod cluster;
mod contract;
mod local;
mod prometheus;
mod proxy;
mod registry;
mod release;
mod world;
