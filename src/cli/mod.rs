//! Arguments, environment and files → settings; wiring; exit codes; error reports with hints.
//!
//! The only room that names all others: concrete types meet here.

pub mod arguments;
