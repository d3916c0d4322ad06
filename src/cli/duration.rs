//! Durations on the command line: `90s`, `10m`, `1h30m`.

use std::time::Duration;

use crate::policy::Period;

use super::failure::{Exit, Failure};

/// Reads one.
pub(crate) fn parse(text: &str) -> Result<Duration, Failure> {
    let period: Period =
        text.parse().map_err(|error| Failure::new(Exit::Usage, format!("`{text}`: {error}")).hint("write 90s, 10m or 1h"))?;
    Ok(period.duration())
}

/// Reads one, or none from nothing.
pub(crate) fn parse_optional(text: &str) -> Result<Option<Duration>, Failure> {
    if text.is_empty() { Ok(None) } else { parse(text).map(Some) }
}
