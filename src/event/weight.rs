//! A share of traffic, exact: whole thousandths, never a float on its way to a router.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A share of an environment's traffic in thousandths, 0 to 1000. In JSON a fraction from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Weight(u16);

/// A text or number that is no share of traffic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no share of traffic: write 0% to 100%, in steps of 0.1%")]
pub struct BadWeight(String);

impl Weight {
    /// No traffic.
    pub const ZERO: Self = Self(0);
    /// All traffic.
    pub const FULL: Self = Self(1000);

    /// Makes a weight of so many thousandths.
    ///
    /// # Errors
    /// When there are more than 1000.
    pub fn from_thousandths(thousandths: u16) -> Result<Self, BadWeight> {
        if thousandths <= 1000 { Ok(Self(thousandths)) } else { Err(BadWeight(format!("{thousandths}/1000"))) }
    }

    /// How many thousandths of the traffic.
    #[must_use]
    pub fn thousandths(self) -> u16 {
        self.0
    }

    /// The share as a fraction from 0 to 1.
    #[must_use]
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / 1000.0
    }
}

impl TryFrom<f64> for Weight {
    type Error = BadWeight;
    fn try_from(fraction: f64) -> Result<Self, BadWeight> {
        (0..=1000u16)
            .find(|thousandths| (f64::from(*thousandths) / 1000.0 - fraction).abs() < 1e-6)
            .map(Self)
            .ok_or_else(|| BadWeight(fraction.to_string()))
    }
}

impl From<Weight> for f64 {
    fn from(weight: Weight) -> Self {
        weight.fraction()
    }
}

impl FromStr for Weight {
    type Err = BadWeight;

    /// Reads `1%`, `0.5%`, `25 %`; the sign may be missing.
    fn from_str(text: &str) -> Result<Self, BadWeight> {
        let bad = || BadWeight(text.to_owned());
        let number = text.trim().trim_end_matches('%').trim_end();
        let (whole, tenth) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |part: &str| !part.is_empty() && part.len() <= 3 && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || tenth.len() != 1 || !digits(tenth) {
            return Err(bad());
        }
        let whole: u16 = whole.parse().map_err(|_| bad())?;
        let tenth: u16 = tenth.parse().map_err(|_| bad())?;
        Self::from_thousandths(whole * 10 + tenth).map_err(|_| bad())
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 % 10 {
            0 => write!(f, "{}%", self.0 / 10),
            tenth => write!(f, "{}.{tenth}%", self.0 / 10),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_weight_survives_text_and_json() {
        for thousandths in 0..=1000 {
            let weight = Weight::from_thousandths(thousandths).unwrap();
            assert_eq!(weight.to_string().parse::<Weight>(), Ok(weight));
            let json = serde_json::to_string(&weight).unwrap();
            assert_eq!(serde_json::from_str::<Weight>(&json).unwrap(), weight);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in ["", "%", "101%", "-1%", "0.05%", "1.%", "ten", "1e2", "NaN"] {
            assert!(bad.parse::<Weight>().is_err(), "{bad}");
        }
    }
}
