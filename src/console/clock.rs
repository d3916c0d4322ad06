//! The one place of the console that reads clocks.

use std::time::Instant;

use chrono::Utc;

use super::message::Moment;

/// Both clocks, counted from the console's start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { start: Instant::now() }
    }

    pub(crate) fn now(self) -> Moment {
        Moment { monotonic: self.start.elapsed(), wall: Utc::now() }
    }
}
