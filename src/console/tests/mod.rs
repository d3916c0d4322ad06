//! Screens and keys, made from journals.

mod graphs;
mod keys;
mod laws;
mod screens;
mod world;
