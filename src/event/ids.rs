//! Names of things: newtypes, so that a run is never taken for a rollout.
//! Those that become a path component or a label are checked when made.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A name that cannot be what it was meant to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} `{given}`: {why}")]
pub struct BadName {
    /// What was being named, in the words of the documentation.
    pub what: &'static str,
    /// The text as it was given.
    pub given: String,
    /// What is wrong with it.
    pub why: &'static str,
}

macro_rules! name {
    ($(#[$meta:meta])* $name:ident, $what:literal, $check:path) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text of the name.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadName;
            fn from_str(text: &str) -> Result<Self, BadName> {
                match $check(text) {
                    Ok(()) => Ok(Self(text.to_owned())),
                    Err(why) => Err(BadName { what: $what, given: text.to_owned(), why }),
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadName;
            fn try_from(text: String) -> Result<Self, BadName> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// A run: a ULID, made when the run is.
    RunId, "run id", check_ulid
);
name!(
    /// A rollout: a ULID.
    RolloutId, "rollout id", check_ulid
);
name!(
    /// A ledger: a ULID, made with the ledger.
    LedgerId, "ledger id", check_ulid
);
name!(
    /// One execution of a job: `<run id>.<job slug>.<n>`, n from 1.
    AttemptId, "attempt id", check_text
);
name!(
    /// A job's full name as GitLab spells it, for instance `test 1/4`.
    JobName, "job name", check_text
);
name!(
    /// An application: one line of releases at a target. Lower case letters, digits, `-`, `_` and `.`, at most 63.
    AppName, "app name", check_label
);
name!(
    /// An environment that a release can be in, for instance `prod`. Spelt as an [`AppName`].
    EnvironmentName, "environment name", check_label
);
name!(
    /// A git commit: 40 (SHA-1) or 64 (SHA-256) lower case hex digits.
    Revision, "revision", check_revision
);
name!(
    /// A SHA-256 in the form `sha256:<64 hex digits>`: a release's, a policy's, a report's.
    Digest, "digest", check_digest
);

impl RunId {
    /// Makes an id from a fresh ULID.
    #[must_use]
    pub fn from_ulid(ulid: ulid::Ulid) -> Self {
        Self(ulid.to_string())
    }
}

impl EnvironmentName {
    /// `prod`: the environment that is there whatever policy names.
    #[must_use]
    pub fn prod() -> Self {
        Self("prod".to_owned())
    }
}

impl RolloutId {
    /// Makes an id from a fresh ULID.
    #[must_use]
    pub fn from_ulid(ulid: ulid::Ulid) -> Self {
        Self(ulid.to_string())
    }
}

impl LedgerId {
    /// Makes an id from a fresh ULID.
    #[must_use]
    pub fn from_ulid(ulid: ulid::Ulid) -> Self {
        Self(ulid.to_string())
    }
}

impl AttemptId {
    /// Names attempt `number` (from 1) of a job in a run.
    #[must_use]
    pub fn new(run: &RunId, job: &JobName, number: u32) -> Self {
        Self(format!("{run}.{}.{number}", job.slug()))
    }

    /// The environment variable that marks every process of the attempt: `HMS_ATTEMPT_` and 26 hex digits of the id's SHA-256.
    /// One variable an attempt, so that an hms inside a job hides nothing (`docs/decisions.md` 1.4).
    #[must_use]
    pub fn mark(&self) -> String {
        format!("HMS_ATTEMPT_{}", Digest::of(self.0.as_bytes()).hex().get(..26).unwrap_or_default().to_ascii_uppercase())
    }
}

impl JobName {
    /// The name as a path component: bytes outside `[A-Za-z0-9._-]` become `~XX`; over 120 bytes it ends in 16 digits of its
    /// SHA-256, so that no two names share one.
    #[must_use]
    pub fn slug(&self) -> String {
        let mut slug = String::with_capacity(self.0.len());
        for (index, byte) in self.0.bytes().enumerate() {
            let plain = byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-' || (byte == b'.' && index > 0);
            if plain {
                slug.push(char::from(byte));
            } else {
                let _ = write!(slug, "~{byte:02X}");
            }
        }
        if slug.len() > 120 {
            slug.truncate(100);
            slug.push_str("~~");
            slug.push_str(Digest::of(self.0.as_bytes()).hex().get(..16).unwrap_or_default());
        }
        slug
    }
}

impl Revision {
    /// The first eight digits, as `CI_COMMIT_SHORT_SHA` has them.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(..8).unwrap_or(&self.0)
    }
}

impl Digest {
    /// The SHA-256 of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self::from_sha256(&sha2::Sha256::digest(bytes).into())
    }

    /// Writes a finished SHA-256 as a digest.
    #[must_use]
    pub fn from_sha256(sum: &[u8; 32]) -> Self {
        let mut text = String::with_capacity(71);
        text.push_str("sha256:");
        for byte in sum {
            let _ = write!(text, "{byte:02x}");
        }
        Self(text)
    }

    /// The 64 hex digits without `sha256:`.
    #[must_use]
    pub fn hex(&self) -> &str {
        self.0.get(7..).unwrap_or_default()
    }

    /// The first twelve hex digits, for people.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(7..19).unwrap_or_default()
    }
}

fn check_ulid(text: &str) -> Result<(), &'static str> {
    ulid::Ulid::from_string(text).map(|_| ()).map_err(|_| "is not a ULID")
}

fn check_text(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("is empty");
    }
    if text.len() > 255 {
        return Err("is longer than 255 bytes");
    }
    if text.chars().any(char::is_control) {
        return Err("has a control character");
    }
    Ok(())
}

fn check_label(text: &str) -> Result<(), &'static str> {
    let first = text.bytes().next().ok_or("is empty")?;
    if text.len() > 63 {
        return Err("is longer than 63 characters");
    }
    if !first.is_ascii_lowercase() && !first.is_ascii_digit() {
        return Err("must start with a lower case letter or a digit");
    }
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.');
    if text.bytes().all(plain) { Ok(()) } else { Err("may hold lower case letters, digits, `-`, `_` and `.` only") }
}

fn check_revision(text: &str) -> Result<(), &'static str> {
    if text.len() != 40 && text.len() != 64 {
        return Err("is not 40 or 64 hex digits");
    }
    check_hex(text)
}

fn check_digest(text: &str) -> Result<(), &'static str> {
    let hex = text.strip_prefix("sha256:").ok_or("does not start with `sha256:`")?;
    if hex.len() != 64 {
        return Err("has not 64 hex digits");
    }
    check_hex(hex)
}

fn check_hex(text: &str) -> Result<(), &'static str> {
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.bytes().all(hex) { Ok(()) } else { Err("has something other than lower case hex digits") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_job_names_never_share_a_slug() {
        let slugs = ["test 1/4", "test~201~2F4", "test-1-4", "..", ".", "~2E."].map(|name| name.parse::<JobName>().unwrap().slug());
        for (index, slug) in slugs.iter().enumerate() {
            assert!(!slugs[..index].contains(slug), "{slug}");
            assert!(!slug.starts_with('.'), "{slug}");
        }
    }

    #[test]
    fn labels_are_path_components() {
        for bad in ["", "..", "a/b", "A", "-a", &"x".repeat(64)] {
            assert!(bad.parse::<AppName>().is_err(), "{bad}");
        }
        assert!("irs-api".parse::<AppName>().is_ok());
    }

    #[test]
    fn the_digest_of_nothing_is_the_known_one() {
        assert_eq!(Digest::of(b"").hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}
