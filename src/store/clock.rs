//! The one file that reads the clock. Everything else is handed the time.

use chrono::{DateTime, Utc};

/// Wall time, UTC.
#[must_use]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}

/// Milliseconds since boot, by a clock that nobody sets.
#[must_use]
pub fn monotonic_ms() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1000 + u64::try_from(time.tv_nsec).unwrap_or(0) / 1_000_000
}
