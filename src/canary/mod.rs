//! Samples → evidence → verdict, and the providers that bring samples.
//!
//! The judge is pure: no clock, no I/O; `now` is an argument, and a verdict is a function of (settings, samples so far, now)
//! (`docs/decisions.md` 9.3). Data flows down this list:
//!
//! | file | what it does |
//! |---|---|
//! | [`provider`] | brings a [`Sample`](crate::event::Sample); one file each, the only code here that does I/O |
//! | `interval` | two samples → what happened between them, per version |
//! | `buckets` | histograms: exact shares, quantiles for display |
//! | `mixture` | e-values: the two tests and their arithmetic |
//! | `evidence` | intervals → what is known of each metric |
//! | `judge` | evidence and circumstances → PASS, HOLD or ROLLBACK |
//! | `forecast`, `sentence` | when it can be known, and all of it in words |
//! | `graph`, `threshold` | points for the screen; the latency threshold, fixed once |
//!
//! This room names `event` alone.

mod buckets;
mod evidence;
mod forecast;
mod graph;
mod interval;
mod judge;
mod mixture;
pub mod provider;
mod sentence;
mod settings;
mod threshold;
mod whole;

pub use buckets::{Buckets, Quantile, quantile};
pub use evidence::{Counts, Evidence, MetricState};
pub use graph::{GraphPoint, series_for_graph};
pub use interval::{Differ, Interval, VersionDelta, deltas};
pub use judge::{Judge, Kind, SourceState, assess};
pub use settings::{BadSettings, JudgeSettings, LatencySettings};
pub use threshold::choose_threshold;
