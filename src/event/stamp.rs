//! An event with its place in a journal.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The format of journals that this program writes.
pub const FORMAT: u32 = 1;

/// A line of a journal: `{"format":1,"seq":N,"time":…,"type":…,…}` (`docs/decisions.md` 3.1).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stamped<E> {
    /// The journal's format.
    pub format: u32,
    /// From 1, without gaps.
    pub seq: u64,
    /// Wall time, UTC, to the millisecond.
    #[serde(with = "milliseconds")]
    pub time: DateTime<Utc>,
    /// What happened.
    #[serde(flatten)]
    pub event: E,
}

mod milliseconds {
    use chrono::{DateTime, SecondsFormat, Utc};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&time.to_rfc3339_opts(SecondsFormat::Millis, true))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
        let text = String::deserialize(deserializer)?;
        DateTime::parse_from_rfc3339(&text).map(|time| time.to_utc()).map_err(D::Error::custom)
    }
}
