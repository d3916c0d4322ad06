//! Drift: what runs in an environment although its record says something else, and no rollout under way explains it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Digest, Weight};

/// One difference between the record and what is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "drift", rename_all = "snake_case")]
pub enum Drift {
    /// Another release than the recorded one has the traffic, or none has.
    Stable {
        /// What the record says.
        recorded: Digest,
        /// What is there.
        found: Option<Digest>,
    },
    /// A canary has traffic, or runs, though no rollout holds the environment.
    Canary {
        /// What runs; none when there is a weight alone.
        found: Option<Digest>,
        /// Its weight.
        weight: Weight,
    },
    /// The recorded release, but not as it was brought here.
    Changed {
        /// Which release.
        release: Digest,
        /// What is different, in one sentence that is the same at each look as long as the difference is.
        what: String,
    },
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stable { recorded, found: Some(found) } => {
                write!(f, "{} has the traffic, and the record says {}", found.short(), recorded.short())
            }
            Self::Stable { recorded, found: None } => write!(f, "nothing has the traffic, and the record says {}", recorded.short()),
            Self::Canary { found: Some(found), weight } => {
                write!(f, "{} runs as the canary with {weight}, and no rollout holds the environment", found.short())
            }
            Self::Canary { found: None, weight } => write!(f, "a canary has {weight}, and no rollout holds the environment"),
            Self::Changed { release, what } => write!(f, "{} is not as it was released: {what}", release.short()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_told_in_one_line() {
        let digest = Digest::of(b"v1");
        let changed = Drift::Changed { release: digest.clone(), what: "its files were changed".to_owned() };
        assert_eq!(changed.to_string(), format!("{} is not as it was released: its files were changed", digest.short()));
        let json = serde_json::to_value(Drift::Stable { recorded: digest.clone(), found: None }).unwrap();
        assert_eq!(json, serde_json::json!({"drift": "stable", "recorded": digest, "found": null}));
    }
}
