//! How a report is printed: one file for each form. The contract of a member: a pure function from a report to text that
//! holds nothing that could drive a terminal. The smallest example is `json.rs`.

mod json;
mod sarif;
mod text;

pub(crate) use json::json;
pub(crate) use sarif::sarif;
pub(crate) use text::{findings, notices, summary};
