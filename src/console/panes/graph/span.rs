//! Which time the graphs show, and where the cursor is.

use chrono::{DateTime, TimeDelta, Utc};

use crate::console::source::Graph;
use crate::console::ui::GraphView;

/// The times that may be shown, in seconds.
pub(crate) const LENGTHS: [i64; 7] = [30, 120, 300, 900, 3600, 14_400, 86_400];
/// The longest that is taken by itself: a person asks for more.
const LONGEST_BY_ITSELF: usize = 4;

/// The time that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    /// Its right edge.
    pub(crate) end: DateTime<Utc>,
    /// How long it is.
    pub(crate) length: TimeDelta,
}

impl Span {
    /// The time that is shown; none when there is nothing to show.
    pub(crate) fn of(graph: &Graph, looked: &GraphView) -> Option<Self> {
        let end = looked.end.or_else(|| last(graph))?;
        Some(Self { end, length: TimeDelta::seconds(LENGTHS.get(length(graph, looked)).copied().unwrap_or(3600)) })
    }

    /// Whether a moment is in it.
    pub(crate) fn holds(self, at: DateTime<Utc>) -> bool {
        at <= self.end && self.end - at <= self.length
    }

    /// The column of a moment in a plot so many columns wide.
    pub(super) fn column(self, at: DateTime<Utc>, width: u16) -> Option<u16> {
        if !self.holds(at) || width == 0 {
            return None;
        }
        let from_left = self.length - (self.end - at);
        let column = i64::from(width - 1) * from_left.num_milliseconds() / self.length.num_milliseconds().max(1);
        u16::try_from(column).ok()
    }
}

/// The place in [`LENGTHS`]: the one asked for, else the least that holds everything.
pub(crate) fn length(graph: &Graph, looked: &GraphView) -> usize {
    looked.length.unwrap_or_else(|| {
        let all = first(graph).zip(last(graph)).map_or(TimeDelta::zero(), |(first, last)| last - first);
        LENGTHS.iter().take(LONGEST_BY_ITSELF).position(|seconds| all <= TimeDelta::seconds(*seconds)).unwrap_or(LONGEST_BY_ITSELF)
    })
}

/// The oldest moment that anything is known of.
pub(crate) fn first(graph: &Graph) -> Option<DateTime<Utc>> {
    graph.canary.first().into_iter().chain(graph.stable.first()).map(|point| point.at).min()
}

/// The newest.
pub(crate) fn last(graph: &Graph) -> Option<DateTime<Utc>> {
    graph.canary.last().into_iter().chain(graph.stable.last()).map(|point| point.at).max()
}

pub(super) fn seconds(delta: TimeDelta) -> f64 {
    i32::try_from(delta.num_milliseconds()).map_or(f64::from(i32::MAX), f64::from) / 1000.0
}
