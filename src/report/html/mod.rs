//! A run as one page of HTML for the change ticket: verdict, graphs, pipeline, ledger entries. It loads nothing, runs nothing, and is
//! readable in light and in dark; everything in it that came from outside is escaped.

mod canary;
mod chart;
mod escape;
mod page;

pub use page::{CanaryPage, Page, page};
