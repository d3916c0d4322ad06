//! Test counts: from `JUnit` reports, and from what `node --test` says at its end.

mod junit;
mod node;

pub(super) use junit::count_report;
pub(super) use node::NodeSummaries;

use crate::event::TestCounts;

/// The sum of two counts; at the edge it stays at the greatest number.
fn sum(a: TestCounts, b: TestCounts) -> TestCounts {
    TestCounts {
        passed: a.passed.saturating_add(b.passed),
        failed: a.failed.saturating_add(b.failed),
        skipped: a.skipped.saturating_add(b.skipped),
    }
}

/// The sum of counts that may not be there.
pub(super) fn sum_of(a: Option<TestCounts>, b: Option<TestCounts>) -> Option<TestCounts> {
    match (a, b) {
        (Some(a), Some(b)) => Some(sum(a, b)),
        (one, None) | (None, one) => one,
    }
}
