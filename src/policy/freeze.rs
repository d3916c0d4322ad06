//! Times when nothing is promoted. A rollback is never frozen.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike as _, SecondsFormat, Timelike as _, Utc, Weekday};
use serde::{Deserialize, Serialize};

use crate::event::{Refusal, RefusalKind};

/// From one moment up to another, which is no longer part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FreezeWindow {
    /// When it begins.
    pub from: Moment,
    /// When it ends, written the same way.
    pub to: Moment,
    /// Why, in words for people.
    pub reason: String,
}

/// A moment: once, or every week. In UTC when it comes weekly, so that no change of clocks moves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Moment {
    /// `2026-12-24T00:00:00Z`.
    Once(DateTime<Utc>),
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
#[error("`{0}` is no moment: write 2026-12-24T00:00:00Z, or a weekday and a time of UTC as `Fri 16:00`")]
pub struct BadMoment(String);

/// Refuses a promotion inside a freeze window, and says until when.
///
/// # Errors
/// When `now` lies in one of them.
pub fn frozen(now: DateTime<Utc>, windows: &[FreezeWindow]) -> Result<(), Refusal> {
    match windows.iter().find(|window| window.covers(now)) {
        None => Ok(()),
        Some(window) => {
            let message = format!("frozen until {} ({})", window.to, window.reason);
            Err(Refusal::new(RefusalKind::Frozen, message).hint("a rollback is never frozen: hms rollback --env prod"))
        }
    }
}

impl FreezeWindow {
    /// Whether `now` lies in it. A window whose ends are not of one kind covers everything: closed when in doubt.
    #[must_use]
    pub fn covers(&self, now: DateTime<Utc>) -> bool {
        match (self.from, self.to) {
            (Moment::Once(from), Moment::Once(to)) => from <= now && now < to,
            (Moment::Weekly { .. }, Moment::Weekly { .. }) => {
                let at = now.weekday().num_days_from_monday() * 1440 + now.hour() * 60 + now.minute();
                let (from, to) = (self.from.minute_of_week(), self.to.minute_of_week());
                if from <= to { from <= at && at < to } else { at >= from || at < to }
            }
            (Moment::Once(_), Moment::Weekly { .. }) | (Moment::Weekly { .. }, Moment::Once(_)) => true,
        }
    }

    /// Whether it has a beginning and a later end of one kind.
    pub(super) fn is_sound(&self) -> bool {
        match (self.from, self.to) {
            (Moment::Once(from), Moment::Once(to)) => from < to,
            (Moment::Weekly { .. }, Moment::Weekly { .. }) => self.from != self.to,
            (Moment::Once(_), Moment::Weekly { .. }) | (Moment::Weekly { .. }, Moment::Once(_)) => false,
        }
    }
}

impl Moment {
    fn minute_of_week(self) -> u32 {
        match self {
            Self::Once(_) => 0,
            Self::Weekly { day, minute } => day.num_days_from_monday() * 1440 + minute,
        }
    }
}

impl FromStr for Moment {
    type Err = BadMoment;
    fn from_str(text: &str) -> Result<Self, BadMoment> {
        let bad = || BadMoment(text.chars().take(60).collect());
        if let Ok(once) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self::Once(once.to_utc()));
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
            Self::Weekly { day, minute } => write!(f, "{day} {:02}:{:02}", minute / 60, minute % 60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(from: &str, to: &str) -> FreezeWindow {
        FreezeWindow { from: from.parse().unwrap(), to: to.parse().unwrap(), reason: "weekend".to_owned() }
    }

    #[test]
    fn a_window_holds_its_first_moment_and_not_its_last() {
        let weekend = window("Fri 16:00", "Mon 08:00");
        let holidays = window("2026-12-24T00:00:00Z", "2027-01-02T00:00:00+01:00");
        let table = [
            (&weekend, "2026-11-27T15:59:59Z", false),
            (&weekend, "2026-11-27T16:00:00Z", true),
            (&weekend, "2026-11-29T12:00:00Z", true),
            (&weekend, "2026-11-30T07:59:59Z", true),
            (&weekend, "2026-11-30T08:00:00Z", false),
            (&holidays, "2026-12-23T23:59:59Z", false),
            (&holidays, "2026-12-24T00:00:00Z", true),
            (&holidays, "2027-01-01T23:00:00Z", false),
        ];
        for (window, now, wanted) in table {
            assert_eq!(window.covers(now.parse().unwrap()), wanted, "{now}");
        }
        let refusal = frozen("2026-11-28T00:00:00Z".parse().unwrap(), &[weekend]).unwrap_err();
        assert_eq!((refusal.kind, refusal.message.as_str()), (RefusalKind::Frozen, "frozen until Mon 08:00 (weekend)"));
    }

    #[test]
    fn moments_are_read_and_written_alike() {
        for text in ["Fri 16:00", "Sun 00:00", "2026-12-24T00:00:00Z"] {
            assert_eq!(text.parse::<Moment>().unwrap().to_string(), text);
        }
        for bad in ["", "Fri", "Fri 24:00", "Fri 1:00", "Foo 10:00", "2026-12-24", "16:00"] {
            assert!(bad.parse::<Moment>().is_err(), "{bad}");
        }
    }
}
