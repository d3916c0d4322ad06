//! The end of a freeze window, as it is written.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike as _, NaiveDateTime, SecondsFormat, Utc, Weekday};
use serde::{Deserialize, Serialize};

/// A moment as a window's end: once, or every week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Moment {
    /// `2026-12-24T00:00:00Z`: the same everywhere.
    Once(DateTime<Utc>),
    /// `2026-12-24 00:00`: on the clocks of the window's zone.
    Wall(NaiveDateTime),
    /// `Fri 16:00`.
    Weekly {
        /// The day.
        day: Weekday,
        /// Minutes since its midnight, 0 to 1439.
        minute: u32,
    },
}

/// A text that is no moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no moment: write `2026-12-24 00:00`, 2026-12-24T00:00:00Z, or a weekday and a time as `Fri 16:00`")]
pub struct BadMoment(String);

impl FromStr for Moment {
    type Err = BadMoment;
    fn from_str(text: &str) -> Result<Self, BadMoment> {
        let bad = || BadMoment(text.chars().take(60).collect());
        if let Ok(once) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self::Once(once.to_utc()));
        }
        for format in ["%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"] {
            let read = NaiveDateTime::parse_from_str(text, format).ok();
            if let Some(wall) = read.filter(|wall| (1970..=9000).contains(&wall.year())) {
                return Ok(Self::Wall(wall));
            }
        }
        let (day, time) = text.split_once(' ').ok_or_else(bad)?;
        let (hour, minute) = time.split_once(':').ok_or_else(bad)?;
        let number = |text: &str, below: u32| {
            let two = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<u32>().ok().filter(|number| two && *number < below)
        };
        let minute = number(hour, 24).zip(number(minute, 60)).map(|(hour, minute)| hour * 60 + minute);
        Ok(Self::Weekly { day: day.parse().map_err(|_| bad())?, minute: minute.ok_or_else(bad)? })
    }
}

impl TryFrom<String> for Moment {
    type Error = BadMoment;
    fn try_from(text: String) -> Result<Self, BadMoment> {
        text.parse()
    }
}

impl From<Moment> for String {
    fn from(moment: Moment) -> Self {
        moment.to_string()
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Once(at) => f.write_str(&at.to_rfc3339_opts(SecondsFormat::Secs, true)),
            Self::Wall(wall) => write!(f, "{}", wall.format("%Y-%m-%d %H:%M")),
            Self::Weekly { day, minute } => write!(f, "{day} {:02}:{:02}", minute / 60, minute % 60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_and_written_alike() {
        for text in ["Fri 16:00", "Sun 00:00", "2026-12-24T00:00:00Z", "2026-12-24 00:00"] {
            assert_eq!(text.parse::<Moment>().unwrap().to_string(), text);
        }
        for bad in ["", "Fri", "Fri 24:00", "Fri 1:00", "Foo 10:00", "2026-12-24", "16:00", "2026-02-30 10:00"] {
            assert!(bad.parse::<Moment>().is_err(), "{bad}");
        }
    }
}
