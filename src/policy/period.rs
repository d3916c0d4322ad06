//! A length of time as people write it: `250ms`, `30s`, `10m`, `1h`, `2d`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The longest that a setting can say: a year.
const LONGEST_MS: u64 = 366 * 86_400_000;

/// A length of time, whole milliseconds, at most a year. In JSON as it is written, in the largest unit that is exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Period(u64);

/// A text that is no length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no duration: write a whole number and a unit, as 250ms, 30s, 10m, 1h or 2d")]
pub struct BadPeriod(String);

impl Period {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// So many milliseconds, a year at most.
    #[must_use]
    pub const fn from_milliseconds(milliseconds: u64) -> Self {
        Self(if milliseconds > LONGEST_MS { LONGEST_MS } else { milliseconds })
    }

    /// So many seconds, a year at most.
    #[must_use]
    pub const fn from_seconds(seconds: u64) -> Self {
        Self::from_milliseconds(seconds.saturating_mul(1000))
    }

    /// How many milliseconds.
    #[must_use]
    pub const fn milliseconds(self) -> u64 {
        self.0
    }

    /// The same as the standard library has it.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

impl FromStr for Period {
    type Err = BadPeriod;

    /// Reads a number with its unit; parts may follow one another (`1h30m`). A bare `0` is no time.
    fn from_str(text: &str) -> Result<Self, BadPeriod> {
        let bad = || BadPeriod(text.chars().take(40).collect());
        let mut rest = text.trim();
        if rest == "0" {
            return Ok(Self::ZERO);
        }
        if rest.is_empty() {
            return Err(bad());
        }
        let (mut sum, mut largest_left) = (0u64, u64::MAX);
        while !rest.is_empty() {
            let digits = rest.find(|one: char| !one.is_ascii_digit()).ok_or_else(bad)?;
            let (number, after) = rest.split_at(digits);
            let letters = after.find(|one: char| !one.is_ascii_alphabetic()).unwrap_or(after.len());
            let (unit, after) = after.split_at(letters);
            let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(bad)?;
            if *factor >= largest_left {
                return Err(bad());
            }
            let part = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*factor)).ok_or_else(bad)?;
            sum = sum.checked_add(part).filter(|sum| *sum <= LONGEST_MS).ok_or_else(bad)?;
            (rest, largest_left) = (after, *factor);
        }
        Ok(Self(sum))
    }
}

impl TryFrom<String> for Period {
    type Error = BadPeriod;
    fn try_from(text: String) -> Result<Self, BadPeriod> {
        text.parse()
    }
}

impl From<Period> for String {
    fn from(period: Period) -> Self {
        period.to_string()
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let exact = UNITS.iter().rev().find(|(_, factor)| self.0.is_multiple_of(*factor));
        let (unit, factor) = exact.copied().unwrap_or(("ms", 1));
        write!(f, "{}{unit}", self.0 / factor)
    }
}

/// Reads a share, `1%` or `0.05%`, as a fraction from 0 to 1.
pub(super) fn share(text: &str) -> Result<f64, String> {
    let bad = || format!("`{text}` is no share: write a number of percent, as 1% or 0.05%");
    let number = text.trim().strip_suffix('%').ok_or_else(bad)?.trim_end();
    let plain = !number.is_empty() && number.len() <= 12 && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let percent: f64 = number.parse().ok().filter(|_| plain).ok_or_else(bad)?;
    if percent <= 100.0 { Ok(percent / 100.0) } else { Err(bad()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn periods_are_read_as_people_write_them() {
        let table = [
            ("250ms", 250),
            ("30s", 30_000),
            ("10m", 600_000),
            ("1h", 3_600_000),
            ("1h30m", 5_400_000),
            ("0", 0),
            ("0s", 0),
            ("7d", 604_800_000),
        ];
        for (text, wanted) in table {
            assert_eq!(text.parse::<Period>().unwrap().milliseconds(), wanted, "{text}");
        }
        for bad in ["", "10", "m", "1.5h", "-1s", "10 m", "10M", "1m1h", "1s1s", "99999999999d", "400d", "１s"] {
            assert!(bad.parse::<Period>().is_err(), "{bad}");
        }
    }

    #[test]
    fn shares_are_percent() {
        for (text, wanted) in [("1%", 0.01), ("0.05%", 0.0005), ("100%", 1.0), ("0 %", 0.0)] {
            assert!((share(text).unwrap() - wanted).abs() < 1e-12, "{text}");
        }
        for bad in ["1", "", "%", "101%", "-1%", "NaN%", "1e1%", "inf%"] {
            assert!(share(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(milliseconds in 0..LONGEST_MS) {
            let period = Period::from_milliseconds(milliseconds);
            prop_assert_eq!(period.to_string().parse::<Period>().unwrap(), period);
        }
    }
}
