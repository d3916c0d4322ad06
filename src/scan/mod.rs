//! What may not leave the house: secrets in files, and dependencies that nobody has looked up.

pub mod lockfile;
