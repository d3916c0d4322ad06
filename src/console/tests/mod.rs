//! Screens and keys, made from journals.

mod keys;
mod laws;
mod screens;
mod world;
