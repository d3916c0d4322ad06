//! Wall time in a named zone: the one place where a time on a clock's face becomes a moment.
//!
//! The zones are those of the IANA database that is built into the program, so that one policy means one thing on every host.

use chrono::offset::LocalResult;
use chrono::{DateTime, Datelike as _, NaiveDateTime, TimeDelta, TimeZone as _, Utc};
use serde::{Deserialize, Serialize};

/// A time that no clock shows is looked for so far back, in hours: a zone that changed its side of the date line left out a day.
const GAP_HOURS: i64 = 26;

/// A time zone by its IANA name, as `Europe/Berlin`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Zone(chrono_tz::Tz);

/// A text that names no zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no time zone: write its IANA name, as Europe/Berlin, America/New_York or UTC")]
pub struct BadZone(String);

/// Which of two moments is meant when the clocks are set back and a time comes twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Twice {
    First,
    Second,
}

impl Zone {
    /// Coordinated universal time.
    pub const UTC: Self = Self(chrono_tz::UTC);

    /// The moment of a wall time. One that the clocks jump over is read with the offset before the jump (RFC 5545 3.3.5).
    pub(super) fn moment(self, wall: NaiveDateTime, twice: Twice) -> DateTime<Utc> {
        match self.0.from_local_datetime(&wall) {
            LocalResult::Single(at) => at.to_utc(),
            LocalResult::Ambiguous(first, second) => match twice {
                Twice::First => first.to_utc(),
                Twice::Second => second.to_utc(),
            },
            LocalResult::None => {
                let before = (1..=GAP_HOURS).find_map(|hours| {
                    let back = TimeDelta::hours(hours);
                    let earlier = self.0.from_local_datetime(&wall.checked_sub_signed(back)?).latest()?;
                    earlier.to_utc().checked_add_signed(back)
                });
                before.unwrap_or_else(|| wall.and_utc())
            }
        }
    }

    /// What the clocks show there.
    pub(super) fn wall(self, at: DateTime<Utc>) -> NaiveDateTime {
        at.with_timezone(&self.0).naive_local()
    }

    /// A moment for people there: `Mon 30 Nov 08:00 CET`, with the year where it is not that of `now`.
    #[must_use]
    pub fn shown(self, at: DateTime<Utc>, now: DateTime<Utc>) -> String {
        let (there, now) = (at.with_timezone(&self.0), now.with_timezone(&self.0));
        let format = if there.year() == now.year() { "%a %-d %b %H:%M %Z" } else { "%a %-d %b %Y %H:%M %Z" };
        there.format(format).to_string()
    }

    /// Its IANA name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.name()
    }
}

impl std::fmt::Display for Zone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Zone {
    type Err = BadZone;
    fn from_str(text: &str) -> Result<Self, BadZone> {
        text.parse().map(Self).map_err(|_| BadZone(text.chars().take(60).collect()))
    }
}

impl TryFrom<String> for Zone {
    type Error = BadZone;
    fn try_from(text: String) -> Result<Self, BadZone> {
        text.parse()
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> Self {
        zone.name().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(zone: &str, wall: &str, twice: Twice) -> String {
        let wall = NaiveDateTime::parse_from_str(wall, "%Y-%m-%d %H:%M").unwrap();
        zone.parse::<Zone>().unwrap().moment(wall, twice).format("%Y-%m-%d %H:%MZ").to_string()
    }

    #[test]
    fn a_wall_time_is_one_moment_also_when_the_clocks_change() {
        let table = [
            ("Europe/Berlin", "2026-07-01 08:00", "2026-07-01 06:00Z", "2026-07-01 06:00Z"),
            ("Europe/Berlin", "2026-12-01 08:00", "2026-12-01 07:00Z", "2026-12-01 07:00Z"),
            // Spring: 02:00 to 03:00 is never shown. The offset before makes 02:30 the same as 03:30.
            ("Europe/Berlin", "2026-03-29 02:30", "2026-03-29 01:30Z", "2026-03-29 01:30Z"),
            ("America/New_York", "2007-03-11 02:30", "2007-03-11 07:30Z", "2007-03-11 07:30Z"),
            // Autumn: 02:30 comes twice.
            ("Europe/Berlin", "2026-10-25 02:30", "2026-10-25 00:30Z", "2026-10-25 01:30Z"),
            ("America/New_York", "2007-11-04 01:30", "2007-11-04 05:30Z", "2007-11-04 06:30Z"),
            // Half an hour, and a whole day that was left out.
            ("Australia/Lord_Howe", "2026-10-04 02:15", "2026-10-03 15:45Z", "2026-10-03 15:45Z"),
            ("Pacific/Apia", "2011-12-30 12:00", "2011-12-30 22:00Z", "2011-12-30 22:00Z"),
        ];
        for (zone, wall, first, second) in table {
            assert_eq!(
                (moment(zone, wall, Twice::First), moment(zone, wall, Twice::Second)),
                (first.to_owned(), second.to_owned()),
                "{wall}"
            );
        }
    }

    #[test]
    fn zones_have_names_and_moments_are_shown_in_them() {
        let zone: Zone = serde_json::from_str("\"Europe/Berlin\"").unwrap();
        assert_eq!(serde_json::to_string(&zone).unwrap(), "\"Europe/Berlin\"");
        let (at, now) = ("2026-11-30T07:00:00Z".parse().unwrap(), "2026-11-28T10:00:00Z".parse().unwrap());
        assert_eq!(zone.shown(at, now), "Mon 30 Nov 08:00 CET");
        assert_eq!(zone.shown("2027-07-01T00:00:00Z".parse().unwrap(), now), "Thu 1 Jul 2027 02:00 CEST");
        for bad in ["", "Berlin", "CET+1", "Europe/Nowhere"] {
            assert!(bad.parse::<Zone>().is_err(), "{bad}");
        }
    }
}
