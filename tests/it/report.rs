//! What is said of a run, to people and to programs, for each way a run can stand.

mod lines;
mod schema;
mod world;
