//! What is written for people without a screen and for programs: headless lines, JSON that keeps its shape, a page of HTML.
//!
//! It reads projections and nothing else, and it writes nothing but what it is asked to print. Everything that came from outside
//! goes through [`text`](crate::text) first.

mod canary;
mod curves;
mod headless;
mod html;
mod json;
mod run_status;

pub use canary::{
    CanaryFacts, Happened, canary_json, canary_line, canary_text, e_value, explain_text, happened, metric_key, metric_text, metrics_json,
};
pub use curves::{CurvePoint, Curves, curves_csv, curves_json, curves_table};
pub use headless::{Headless, Line, Stream, engine_gone};
pub use html::{CanaryPage, Page, page};
pub use json::json_text;
pub use run_status::{AttemptStatus, JobReport, ReleaseReport, RolloutReport, RunReport, Waiting, WeightReport, run_report};
