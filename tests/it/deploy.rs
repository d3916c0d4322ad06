//! Releases' bytes, and the targets against the real thing.

pub(crate) mod cluster;
mod contract;
mod local;
mod proxy;
mod registry;
mod release;
mod world;
