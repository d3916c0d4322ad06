//! What a scan saw, found and could not do. A report holds no secret and no time: the same files give the same report.
//!
//! Format 1, JSON. Fields are added, never renamed. Its digest is SHA-256 over the canonical JSON (RFC 8785).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ScanError;
use super::lockfile::Kind;
use super::severity::{Level, Severity};
use crate::event::{Digest, ScanSummary};

/// The format of a report.
pub const FORMAT: u32 = 1;

/// The report of a scan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The format, [`FORMAT`].
    pub format: u32,
    /// The program that made it: `hms-scan`.
    pub tool: String,
    /// The program's version.
    pub version: String,
    /// The paths, as they were given.
    pub paths: Vec<String>,
    /// The level from which findings fail.
    pub fail_on: Level,
    /// How many files were read to their end.
    pub files: u64,
    /// How many bytes those have.
    pub bytes: u64,
    /// Those files: path below the checkout (absolute for others) → SHA-256 hex of the bytes that were searched.
    pub scanned: BTreeMap<String, String>,
    /// What was found, by path and place.
    pub findings: Vec<Finding>,
    /// The lockfiles that were met.
    pub lockfiles: Vec<LockfileSeen>,
    /// How many different packages those name together.
    pub packages: u64,
    /// What was done about advisories.
    pub advisories: Lookup,
    /// What was passed over on purpose.
    pub skipped: Vec<Skipped>,
    /// What should have been looked at and could not be.
    pub failures: Vec<Failure>,
    /// Limits that cut the scan short.
    pub limits: Vec<Failure>,
}

/// A secret in a file. The value is masked; the whole of it is nowhere in a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The rule that found it.
    pub rule: String,
    /// What it is, for people.
    pub title: String,
    /// How bad it is.
    pub severity: Severity,
    /// The file.
    pub path: String,
    /// The line, from 1.
    pub line: u64,
    /// The column in Unicode code points, from 1.
    pub column: u64,
    /// The value: first four characters, length, eight digits of its SHA-256.
    pub masked: String,
    /// The finding's name across scans: of rule, path and value, not of the line. 32 hex digits.
    pub fingerprint: String,
}

/// A lockfile that was met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockfileSeen {
    /// The file.
    pub path: String,
    /// Its kind.
    pub kind: Kind,
    /// How many packages it names; absent when that is not known: it, or its kind, could not be read.
    pub packages: Option<u64>,
}

/// What was done about advisories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lookup {
    /// No package was looked up.
    NotChecked,
}

/// Something passed over on purpose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// What.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// Something that should have been looked at and was not, or not whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What.
    pub path: String,
    /// Why not.
    pub why: String,
}

/// Whether packages must be looked up in advisories for a scan to pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Advisories {
    /// A scan with packages that were not looked up was not carried out.
    Required,
    /// Such packages are said and pass.
    Optional,
}

/// How a scan ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Something was scanned, all of it could be, and nothing at or above the level was found.
    Clean,
    /// Something at or above the level was found. This beats all else: more to find cannot make it better.
    Found,
    /// The scan could not be carried out whole, or scanned nothing.
    NotCarriedOut,
}

impl Outcome {
    /// The process's exit code.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Clean => 0,
            Self::Found => 1,
            Self::NotCarriedOut => 3,
        }
    }
}

impl Report {
    /// How the scan ended, under this rule about advisories.
    #[must_use]
    pub fn outcome(&self, advisories: Advisories) -> Outcome {
        if self.findings.iter().any(|finding| self.fail_on.is_reached_by(finding.severity)) {
            return Outcome::Found;
        }
        let unchecked = match advisories {
            Advisories::Required => self.has_unchecked_packages(),
            Advisories::Optional => false,
        };
        if unchecked || self.is_empty() || !self.failures.is_empty() || !self.limits.is_empty() {
            return Outcome::NotCarriedOut;
        }
        Outcome::Clean
    }

    /// Whether nothing was scanned: no file, or none with a byte in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files == 0 || self.bytes == 0
    }

    /// Whether there are packages that were not looked up, or a lockfile whose packages are not known.
    #[must_use]
    pub fn has_unchecked_packages(&self) -> bool {
        match self.advisories {
            Lookup::NotChecked => self.packages > 0 || self.lockfiles.iter().any(|lockfile| lockfile.packages.is_none()),
        }
    }

    /// How many findings there are of a severity.
    #[must_use]
    pub fn count(&self, severity: Severity) -> u64 {
        count(self.findings.iter().filter(|finding| finding.severity == severity).count())
    }

    /// The SHA-256 over the report's canonical JSON.
    ///
    /// # Errors
    /// When the report cannot be written as canonical JSON.
    pub fn digest(&self) -> Result<Digest, ScanError> {
        Ok(Digest::of(&serde_json_canonicalizer::to_vec(self).map_err(ScanError::Report)?))
    }

    /// The report in numbers, for a run's journal and a release's record. `clean` leaves packages aside: whether they had to be
    /// looked up is a matter of policy, and `packages` and `advisories_checked` say what there is to say.
    ///
    /// # Errors
    /// When the report cannot be written as canonical JSON.
    pub fn summary(&self) -> Result<ScanSummary, ScanError> {
        Ok(ScanSummary {
            fail_on: self.fail_on.word().to_owned(),
            clean: self.outcome(Advisories::Optional) == Outcome::Clean,
            findings: Severity::ALL.into_iter().map(|severity| (severity.word().to_owned(), self.count(severity))).collect(),
            secrets: count(self.findings.len()),
            files: self.files,
            packages: self.packages,
            advisories_checked: match self.advisories {
                Lookup::NotChecked => false,
            },
            report_sha256: self.digest()?,
            scanned: self.scanned.clone(),
        })
    }
}

/// A number of things in memory, as reports count.
pub(crate) fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
