//! How bad a finding is, and the level from which findings fail a scan.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// How bad a finding is. `Unknown` is its own and never counts as harmless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// A live credential of wide reach.
    Critical,
    /// A credential.
    High,
    /// A credential of limited reach, of limited life, or locked by a passphrase.
    Medium,
    /// Half of a credential.
    Low,
    /// Nobody has said.
    Unknown,
}

impl Severity {
    /// All of them, worst first, in the order they are shown.
    pub const ALL: [Self; 5] = [Self::Critical, Self::High, Self::Medium, Self::Low, Self::Unknown];

    /// The word for it, as reports spell it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
            Self::Unknown => "unknown",
        }
    }
}

/// The level from which findings fail a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Only critical findings fail.
    Critical,
    /// High and critical findings fail.
    High,
    /// Medium and worse fail.
    Medium,
    /// Every finding fails.
    Low,
}

impl Level {
    /// Whether a finding of this severity fails a scan at this level.
    /// An unknown severity fails at every level: a gate that lets through what nobody has rated is open.
    #[must_use]
    pub fn is_reached_by(self, severity: Severity) -> bool {
        match severity {
            Severity::Critical | Severity::Unknown => true,
            Severity::High => self != Self::Critical,
            Severity::Medium => matches!(self, Self::Medium | Self::Low),
            Severity::Low => self == Self::Low,
        }
    }

    /// The word for it, as the command line spells it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_reached_by_itself_and_by_what_is_worse() {
        let table = [
            (Level::Critical, [true, false, false, false, true]),
            (Level::High, [true, true, false, false, true]),
            (Level::Medium, [true, true, true, false, true]),
            (Level::Low, [true, true, true, true, true]),
        ];
        for (level, wanted) in table {
            assert_eq!(Severity::ALL.map(|severity| level.is_reached_by(severity)), wanted, "{level:?}");
        }
    }
}
