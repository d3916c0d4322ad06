//! A scan from start to report: walk, read, look for lockfiles.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::ScanError;
use super::escape::path_text;
use super::lockfile::{Kind, Package};
use super::report::{FORMAT, Failure, Finding, LockfileSeen, Lookup, Report, Skipped, count};
use super::search::Searcher;
use super::severity::Level;
use super::stream::{self, Contents, SECRETS_PER_FILE};
use super::walk::{self, Found};

/// The largest lockfile that is read, in bytes.
const LARGEST_LOCKFILE: u64 = 64 << 20;
/// How many findings a report holds; more are a limit that was hit.
const FINDINGS: usize = 10_000;

/// What to scan.
#[derive(Debug, Clone)]
pub struct Request {
    /// Files and folders to look for secrets in, from the working folder.
    pub paths: Vec<PathBuf>,
    /// The folder that names in the report are relative to, and that lockfiles are looked for in.
    pub checkout: PathBuf,
    /// The level from which findings fail.
    pub fail_on: Level,
}

/// Carries out a scan. What cannot be read is in the report, not an error.
///
/// # Errors
/// When the checkout is not there, or the program's own rules are not usable.
pub fn examine(request: &Request) -> Result<Report, ScanError> {
    let checkout = request.checkout.canonicalize();
    let checkout = checkout.map_err(|source| ScanError::Checkout { path: path_text(request.checkout.as_os_str()), source })?;
    let searcher = Searcher::new()?;
    let walked = walk::paths(&request.paths, &checkout);
    let mut report = Report {
        format: FORMAT,
        tool: "hms-scan".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        paths: request.paths.iter().map(|path| path_text(path.as_os_str())).collect(),
        fail_on: request.fail_on,
        files: 0,
        bytes: 0,
        scanned: BTreeMap::new(),
        findings: Vec::new(),
        lockfiles: Vec::new(),
        packages: 0,
        advisories: Lookup::NotChecked,
        skipped: walked.skipped,
        failures: walked.failures,
        limits: Vec::new(),
    };
    for file in &walked.files {
        match read(file, &searcher) {
            Ok(contents) => take_in(&mut report, file, contents),
            Err(error) => report.failures.push(Failure { path: file.name.clone(), why: error.to_string() }),
        }
    }
    look_for_lockfiles(&mut report, walked.files, &checkout);
    Ok(report)
}

fn read(file: &Found, searcher: &Searcher) -> std::io::Result<Contents> {
    stream::read(&mut walk::open(&file.path)?, &file.name, searcher, stream::WINDOW)
}

fn take_in(report: &mut Report, file: &Found, contents: Contents) {
    let path = &file.name;
    if report.scanned.insert(path.clone(), contents.sha256.hex().to_owned()).is_some() {
        report.failures.push(Failure { path: path.clone(), why: "two files have this name once written as text".to_owned() });
    }
    report.files += 1;
    report.bytes = report.bytes.saturating_add(contents.bytes);
    if let Some(kind) = archive(&contents.head) {
        report.skipped.push(Skipped { path: path.clone(), reason: format!("{kind} archive: searched as it is, not unpacked") });
    }
    if contents.limit_hit {
        let why = format!("more than {SECRETS_PER_FILE} findings in one file: the rest is not reported");
        report.limits.push(Failure { path: path.clone(), why });
    }
    for secret in contents.secrets {
        if report.findings.len() == FINDINGS {
            let why = format!("more than {FINDINGS} findings: the rest, from here on, is not reported");
            if !report.limits.iter().any(|limit| limit.why == why) {
                report.limits.push(Failure { path: path.clone(), why });
            }
            return;
        }
        report.findings.push(Finding {
            rule: secret.rule.to_owned(),
            title: secret.title.to_owned(),
            severity: secret.severity,
            path: path.clone(),
            line: secret.place.line,
            column: secret.place.column,
            masked: secret.masked,
            fingerprint: secret.fingerprint,
        });
    }
}

/// Looks in the paths and in the whole checkout, but in no `node_modules`: the lockfiles there lock other projects.
fn look_for_lockfiles(report: &mut Report, files: BTreeSet<Found>, checkout: &Path) {
    let below = walk::checkout(checkout, |path| Kind::of(path).is_some());
    for failure in below.failures {
        if !report.failures.contains(&failure) {
            report.failures.push(failure);
        }
    }
    let is_other = |file: &Found| file.path.components().any(|part| part.as_os_str() == "node_modules");
    let files: BTreeSet<Found> = files.into_iter().filter(|file| !is_other(file)).chain(below.files).collect();
    let mut packages = BTreeSet::new();
    for file in files {
        let Some(kind) = Kind::of(&file.path) else { continue };
        let found = read_lockfile(&file, kind).unwrap_or_else(|why| {
            report.failures.push(Failure { path: file.name.clone(), why });
            None
        });
        report.lockfiles.push(LockfileSeen { path: file.name, kind, packages: found.as_ref().map(|found| count(found.len())) });
        packages.extend(found.unwrap_or_default());
    }
    report.packages = count(packages.len());
}

fn read_lockfile(file: &Found, kind: Kind) -> Result<Option<Vec<Package>>, String> {
    let mut bytes = Vec::new();
    let opened = walk::open(&file.path).map_err(|error| error.to_string())?;
    opened.take(LARGEST_LOCKFILE + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if count(bytes.len()) > LARGEST_LOCKFILE {
        return Err(format!("lockfile of more than {} MiB", LARGEST_LOCKFILE >> 20));
    }
    kind.packages(&bytes).map_err(|error| format!("lockfile: {error}"))
}

/// The kind of archive that starts like this (the formats' own magic numbers).
fn archive(head: &[u8]) -> Option<&'static str> {
    match head {
        [b'P', b'K', 3, 4, ..] => Some("zip"),
        [0x1f, 0x8b, ..] => Some("gzip"),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some("xz"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some("zstd"),
        [b'B', b'Z', b'h', ..] => Some("bzip2"),
        [b'7', b'z', 0xbc, 0xaf, 0x27, 0x1c, ..] => Some("7z"),
        _ => None,
    }
}
