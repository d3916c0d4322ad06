//! The packages a project is locked to: one file for each kind of lockfile.
//!
//! The contract of a member: `packages(bytes)` reads a whole lockfile and gives its packages, third parties' only: the
//! project's own members (workspaces, path dependencies with no registry behind them) are not dependencies. A file that cannot
//! be understood is an error and never an empty list. The smallest example is `composer.rs`.

mod cargo;
mod composer;
mod gemfile;
mod go_mod;
mod go_sum;
mod package_lock;
mod pipfile;
mod pnpm;
mod poetry;
mod requirements;
mod text;
mod uv;
mod yarn;

use std::path::Path;

use serde::{Deserialize, Serialize};

/// Where packages of a kind come from, spelt as advisories spell it (OSV schema, "Defined Ecosystems").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Ecosystem {
    /// Rust.
    #[serde(rename = "crates.io")]
    CratesIo,
    /// Go.
    Go,
    /// JavaScript.
    #[serde(rename = "npm")]
    Npm,
    /// PHP.
    Packagist,
    /// Python.
    #[serde(rename = "PyPI")]
    PyPi,
    /// Ruby.
    RubyGems,
}

/// A package that a lockfile names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Package {
    /// Where it comes from.
    pub ecosystem: Ecosystem,
    /// Its name there.
    pub name: String,
    /// Its exact version; absent where the lockfile holds none (a git commit, a URL, a range).
    pub version: Option<String>,
}

impl Package {
    fn new(ecosystem: Ecosystem, name: impl Into<String>, version: Option<&str>) -> Self {
        Self { ecosystem, name: name.into(), version: version.filter(|version| !version.is_empty()).map(str::to_owned) }
    }
}

/// A lockfile that cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum LockfileError {
    /// It is no UTF-8.
    #[error("not UTF-8 from byte {0} on")]
    NotUtf8(usize),
    /// It is no JSON, or not of the shape that its kind has.
    #[error("not readable as JSON of its kind: {0}")]
    Json(#[from] serde_json::Error),
    /// It is no TOML, or not of the shape that its kind has.
    #[error("not readable as TOML of its kind: {0}")]
    Toml(String),
    /// A line is not what its kind has there.
    #[error("line {line}: {what}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// Its format is newer than this program, or not told.
    #[error("format version {0} is not understood")]
    Version(String),
}

/// A kind of lockfile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// `Cargo.lock`.
    Cargo,
    /// `composer.lock`.
    Composer,
    /// `Gemfile.lock`, `gems.locked`.
    Gemfile,
    /// `go.mod`.
    GoMod,
    /// `go.sum`.
    GoSum,
    /// `package-lock.json`, `npm-shrinkwrap.json`.
    PackageLock,
    /// `Pipfile.lock`.
    Pipfile,
    /// `pnpm-lock.yaml`.
    Pnpm,
    /// `poetry.lock`.
    Poetry,
    /// `requirements.txt` and its sisters.
    Requirements,
    /// `uv.lock`.
    Uv,
    /// `yarn.lock`.
    Yarn,
    /// A lockfile of a kind that this program cannot read yet: its packages are known to be unchecked, their number is not.
    Unread,
}

impl Kind {
    /// The kind of a file by its name, if it is a lockfile.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let kind = match name {
            "Cargo.lock" => Self::Cargo,
            "composer.lock" => Self::Composer,
            "Gemfile.lock" | "gems.locked" => Self::Gemfile,
            "go.mod" => Self::GoMod,
            "go.sum" => Self::GoSum,
            "package-lock.json" | "npm-shrinkwrap.json" => Self::PackageLock,
            "Pipfile.lock" => Self::Pipfile,
            "pnpm-lock.yaml" => Self::Pnpm,
            "poetry.lock" => Self::Poetry,
            "uv.lock" => Self::Uv,
            "yarn.lock" => Self::Yarn,
            "bun.lock" | "bun.lockb" | "conan.lock" | "deno.lock" | "gradle.lockfile" | "mix.lock" | "packages.lock.json"
            | "Package.resolved" | "pdm.lock" | "Podfile.lock" | "pubspec.lock" | "pylock.toml" => Self::Unread,
            _ => {
                let stem = name.strip_suffix(".txt")?.strip_prefix("requirements")?;
                if !stem.is_empty() && !stem.starts_with(['-', '_', '.']) {
                    return None;
                }
                Self::Requirements
            }
        };
        Some(kind)
    }

    /// The packages of a lockfile of this kind; `None` if the kind cannot be read yet.
    ///
    /// # Errors
    /// When the bytes are no lockfile of this kind, or of a format that is not understood.
    pub fn packages(self, bytes: &[u8]) -> Result<Option<Vec<Package>>, LockfileError> {
        let packages = match self {
            Self::Cargo => cargo::packages(bytes),
            Self::Composer => composer::packages(bytes),
            Self::Gemfile => gemfile::packages(bytes),
            Self::GoMod => go_mod::packages(bytes),
            Self::GoSum => go_sum::packages(bytes),
            Self::PackageLock => package_lock::packages(bytes),
            Self::Pipfile => pipfile::packages(bytes),
            Self::Pnpm => pnpm::packages(bytes),
            Self::Poetry => poetry::packages(bytes),
            Self::Requirements => requirements::packages(bytes),
            Self::Uv => uv::packages(bytes),
            Self::Yarn => yarn::packages(bytes),
            Self::Unread => return Ok(None),
        };
        packages.map(Some)
    }
}

#[cfg(test)]
mod tests;
