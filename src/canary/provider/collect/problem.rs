//! Why a page of metrics is not used: each a way in which errors could go unseen.

use super::super::exposition::LineError;
use super::SERIES_LIMIT;

/// Metrics that cannot be used. Each is a way in which errors could go unseen.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CollectError {
    /// A line is not of the format.
    #[error("the metrics are malformed")]
    Malformed(#[source] LineError),
    /// More series than one release can have.
    #[error("the metrics have more than {SERIES_LIMIT} series for these selectors: narrow them")]
    TooManySeries,
    /// Series are there, and none says its version.
    #[error("no series of {metric:?} has the label `{label}`, which should tell the version")]
    NoVersion {
        /// The metric.
        metric: String,
        /// The label.
        label: String,
    },
    /// A request counter without a status: every request would look good.
    #[error("line {line}: {metric:?} has none of the labels {labels}: errors cannot be told")]
    NoStatus {
        /// The line, from 1.
        line: usize,
        /// The metric.
        metric: String,
        /// The labels looked for.
        labels: String,
    },
    /// A status that is none.
    #[error("line {line}: {value:?} is no HTTP status")]
    BadStatus {
        /// The line, from 1.
        line: usize,
        /// What stands there.
        value: String,
    },
    /// A class where one status is asked for.
    #[error("line {line}: the status {value:?} does not tell whether it is the one of `{name}`")]
    CoarseStatus {
        /// The line, from 1.
        line: usize,
        /// What stands there.
        value: String,
        /// The user's metric.
        name: String,
    },
    /// A count that is none.
    #[error("line {line}: {value} is no count")]
    BadCount {
        /// The line, from 1.
        line: usize,
        /// What stands there.
        value: f64,
    },
    /// The same labels twice.
    #[error("line {line}: this series is there twice")]
    Twice {
        /// The line, from 1.
        line: usize,
    },
    /// A bucket's bound is no number.
    #[error("line {line}: `le` is missing or no bound")]
    BadBound {
        /// The line, from 1.
        line: usize,
    },
    /// A histogram without its last bucket has no total.
    #[error("the histogram {metric}{{{key}}} has no +Inf bucket")]
    NoInfinity {
        /// The metric.
        metric: String,
        /// Its labels.
        key: String,
    },
    /// A native histogram whose buckets cross the bounds that all of them share.
    #[error("series {line}: {metric:?} is a native histogram with buckets wider than a doubling, or of its own bounds: use a classic one")]
    OddNative {
        /// The series, from 1.
        line: usize,
        /// The metric.
        metric: String,
    },
    /// A time outside the calendar.
    #[error("line {line}: the timestamp is outside the calendar")]
    BadTime {
        /// The line, from 1.
        line: usize,
    },
}
