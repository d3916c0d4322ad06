//! Samples → evidence → verdict, and the providers that bring samples.
//!
//! The judge is pure: no clock, no I/O; `now` is an argument, and a verdict is a function of (settings, samples so far, now)
//! (`docs/decisions.md` 9.3). Data flows down this list:
//!
//! | file | what it does |
//! |---|---|
//! | [`provider`] | brings a [`Sample`](crate::event::Sample); one file each, the only code here that does I/O |
//! | `interval` | two samples → what happened between them, per version |
//! | `mixed` | two versions that report as one |
//! | `buckets` | histograms: exact shares, quantiles for display |
//! | `mixture` | e-values: the three tests' arithmetic |
//! | `metric` | one metric: HARM, SAFE and ABS, its counts, whether it passed or harmed |
//! | `split` | is the share the one asked for |
//! | `evidence` | intervals → what is known of all metrics |
//! | `judge` | evidence and circumstances → PASS, HOLD or ROLLBACK |
//! | `confidence`, `ratio` | intervals around rates and ratios, for people |
//! | `forecast`, `sentence` | when it can be known, and all of it in words |
//! | [`replay`] | recorded samples, judged again with other settings |
//! | [`plan`] | what can be known when, before a canary starts |
//! | [`kayenta`] | another judge's score, for those who must match it |
//! | `graph`, `threshold` | points for the screen; the latency threshold, fixed once |
//!
//! This room names `event` alone.

mod buckets;
mod confidence;
mod evidence;
mod forecast;
mod graph;
mod interval;
mod judge;
pub mod kayenta;
mod metric;
mod mixed;
mod mixture;
pub mod plan;
pub mod provider;
mod ratio;
pub mod replay;
mod sentence;
mod settings;
mod split;
mod threshold;
mod whole;

pub use buckets::{Buckets, Quantile, quantile};
pub use evidence::{Evidence, Observed, Reading};
pub use graph::{GraphPoint, series_for_graph};
pub use interval::{Differ, Interval, OwnDelta, VersionDelta, deltas, own_totals};
pub use judge::{Guard, Judge, Kind, SourceState, assess};
pub use metric::{Counts, MetricState};
pub use mixture::Trials;
pub use settings::{BadSettings, JudgeSettings, LatencySettings, PassOn, Subject};
pub use threshold::choose_threshold;
