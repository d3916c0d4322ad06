//! What is written for people without a screen and for programs: headless lines, and JSON that keeps its shape.
//!
//! It reads projections and nothing else, and it writes nothing but what it is asked to print. Everything that came from outside
//! goes through [`text`](crate::text) first.

mod headless;
mod json;
mod run_status;

pub use headless::{Headless, Line, Stream, engine_gone};
pub use json::json_text;
pub use run_status::{AttemptStatus, JobReport, ReleaseReport, RolloutReport, RunReport, Waiting, WeightReport, run_report};
