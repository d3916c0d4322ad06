//! Releases' bytes, and the targets against the real thing.

mod contract;
mod local;
mod proxy;
mod release;
mod world;
