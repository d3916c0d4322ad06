//! From a checkout to a tree of artifacts.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::manifest::{Entry, Manifest};
use super::pattern::Pattern;
use super::place::{Tree, open_below, stays_inside};
use super::walk::{Met, Then, walk};
use super::{ArtifactError, GoOn};
use crate::event::TestCounts;
use crate::executor::counts::{count_report, sum_of};
use crate::executor::mask::{Masker, Secrets};
use crate::executor::record::ArtifactCounts;
use crate::executor::spec::ArtifactSpec;
use crate::store;

/// The mode of a folder that is made for what is in it.
const FOLDER_MODE: u32 = 0o755;

/// Bytes of a report read at once.
const CHUNK: usize = 64 * 1024;

/// What came of collecting.
#[derive(Debug, Default)]
pub(in crate::executor) struct Collected {
    /// In numbers.
    pub(in crate::executor) counts: ArtifactCounts,
    /// Test counts of the reports.
    pub(in crate::executor) tests: Option<TestCounts>,
    /// What a person should know.
    pub(in crate::executor) warnings: Vec<String>,
}

/// Copies what the patterns name into `tree_folder` and writes the manifest. `tracked` is what the commit brought, for `untracked`.
///
/// # Errors
/// When something that was named cannot be copied: a job whose artifacts are not whole has not succeeded.
pub(in crate::executor) fn collect(
    spec: &ArtifactSpec,
    checkout: &Path,
    tracked: Option<&HashSet<PathBuf>>,
    tree_folder: &Path,
    manifest: &Path,
    secrets: &Secrets,
    go_on: GoOn<'_>,
) -> Result<Collected, ArtifactError> {
    let mut collected = Collected::default();
    let found = find(spec, checkout, tracked, &mut collected, &mut *go_on)?;
    let root = File::open(checkout).map_err(ArtifactError::of("open", checkout))?;
    store::make_private_folder(tree_folder)
        .map_err(|error| ArtifactError::of("make the folder", tree_folder)(std::io::Error::other(error.to_string())))?;
    let mut tree = Tree::at(tree_folder);
    let mut entries = Vec::new();
    for (path, metadata) in &found {
        if !go_on() {
            return Err(ArtifactError::Stopped);
        }
        if let Some(entry) = keep(path, metadata, checkout, &root, &mut tree, &mut collected)? {
            entries.push(Entry { path: secrets.mask(&entry.path), link: entry.link.map(|link| secrets.mask(&link)), ..entry });
        }
    }
    let name = spec.name.as_deref().map(|name| secrets.mask(name));
    let text = serde_json::to_vec(&Manifest { format: 1, name, counts: collected.counts, entries })
        .map_err(|error| ArtifactError::of("write", manifest)(error.into()))?;
    store::replace(manifest, &text).map_err(|error| ArtifactError::of("write", manifest)(std::io::Error::other(error.to_string())))?;
    Ok(collected)
}

/// Copies `JUnit` reports into `folder`, masked and numbered, and counts their tests.
///
/// # Errors
/// When a report cannot be copied. One that cannot be understood is a warning.
pub(in crate::executor) fn copy_reports(
    patterns: &[String],
    checkout: &Path,
    folder: &Path,
    secrets: &Rc<Secrets>,
    go_on: GoOn<'_>,
) -> Result<Collected, ArtifactError> {
    let mut collected = Collected::default();
    let spec = ArtifactSpec { paths: patterns.to_vec(), ..ArtifactSpec::default() };
    let found = find(&spec, checkout, None, &mut collected, &mut *go_on)?;
    let root = File::open(checkout).map_err(ArtifactError::of("open", checkout))?;
    for (path, metadata) in &found {
        if !metadata.is_file() {
            continue;
        }
        if !go_on() {
            return Err(ArtifactError::Stopped);
        }
        fs::create_dir_all(folder).map_err(ArtifactError::of("make the folder", folder))?;
        collected.counts.reports += 1;
        let copy = folder.join(format!("{}.xml", collected.counts.reports));
        let source = open_below(&root, path).map_err(ArtifactError::of("open", path))?;
        masked_copy(source, &copy, secrets).map_err(ArtifactError::of("copy", path))?;
        match count_report(File::open(&copy).map_err(ArtifactError::of("open", &copy))?) {
            Ok(counts) => collected.tests = sum_of(collected.tests, counts),
            Err(why) => collected.warnings.push(format!("the report {} cannot be read: {why}", path.display())),
        }
    }
    Ok(collected)
}

/// Copies reports of a kind that nobody here reads into `folder`, masked and numbered under their own names. Gives the copies' names.
///
/// # Errors
/// When a report cannot be copied.
pub(in crate::executor) fn keep_reports(
    patterns: &[String],
    checkout: &Path,
    folder: &Path,
    secrets: &Rc<Secrets>,
    go_on: GoOn<'_>,
) -> Result<(Vec<PathBuf>, Collected), ArtifactError> {
    let mut collected = Collected::default();
    let spec = ArtifactSpec { paths: patterns.to_vec(), ..ArtifactSpec::default() };
    let found = find(&spec, checkout, None, &mut collected, &mut *go_on)?;
    let root = File::open(checkout).map_err(ArtifactError::of("open", checkout))?;
    let mut names = Vec::new();
    for (path, _) in found.iter().filter(|(_, metadata)| metadata.is_file()) {
        if !go_on() {
            return Err(ArtifactError::Stopped);
        }
        fs::create_dir_all(folder).map_err(ArtifactError::of("make the folder", folder))?;
        collected.counts.reports += 1;
        let own = path.file_name().map(|name| secrets.mask(&name.to_string_lossy())).unwrap_or_default();
        let name = PathBuf::from(format!("{}-{own}", collected.counts.reports));
        let source = open_below(&root, path).map_err(ArtifactError::of("open", path))?;
        masked_copy(source, &folder.join(&name), secrets).map_err(ArtifactError::of("copy", path))?;
        names.push(name);
    }
    Ok((names, collected))
}

/// A report that is read whole: its path below the checkout, and its bytes.
pub(in crate::executor) type Report = (PathBuf, Vec<u8>);

/// Reads small reports, of each no more bytes than `most`.
///
/// # Errors
/// When a report cannot be read.
pub(in crate::executor) fn read_reports(
    patterns: &[String],
    checkout: &Path,
    most: usize,
    go_on: GoOn<'_>,
) -> Result<(Vec<Report>, Collected), ArtifactError> {
    let mut collected = Collected::default();
    let spec = ArtifactSpec { paths: patterns.to_vec(), ..ArtifactSpec::default() };
    let found = find(&spec, checkout, None, &mut collected, &mut *go_on)?;
    let root = File::open(checkout).map_err(ArtifactError::of("open", checkout))?;
    let mut reports = Vec::new();
    for (path, _) in found.into_iter().filter(|(_, metadata)| metadata.is_file()) {
        if !go_on() {
            return Err(ArtifactError::Stopped);
        }
        let source = open_below(&root, &path).map_err(ArtifactError::of("open", &path))?;
        let mut bytes = Vec::new();
        source.take(u64::try_from(most).unwrap_or(u64::MAX)).read_to_end(&mut bytes).map_err(ArtifactError::of("read", &path))?;
        collected.counts.reports += 1;
        reports.push((path, bytes));
    }
    Ok((reports, collected))
}

fn masked_copy(mut source: File, copy: &Path, secrets: &Rc<Secrets>) -> io::Result<()> {
    let mut copy = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(copy)?;
    let (mut masker, mut buffer, mut shown) = (Masker::new(Rc::clone(secrets)), vec![0; CHUNK], Vec::new());
    loop {
        let count = source.read(&mut buffer)?;
        shown.clear();
        if count == 0 {
            masker.finish(&mut shown);
            return copy.write_all(&shown);
        }
        masker.push(buffer.get(..count).unwrap_or_default(), &mut shown);
        copy.write_all(&shown)?;
    }
}

type Found = BTreeMap<PathBuf, Metadata>;

fn find(
    spec: &ArtifactSpec,
    checkout: &Path,
    tracked: Option<&HashSet<PathBuf>>,
    collected: &mut Collected,
    go_on: GoOn<'_>,
) -> Result<Found, ArtifactError> {
    let mut read = |texts: &[String]| -> Vec<Pattern> {
        let mut patterns = Vec::new();
        for text in texts {
            match Pattern::read(text, checkout) {
                Ok(pattern) => patterns.push(pattern),
                Err(why) => {
                    collected.counts.refused += 1;
                    collected.warnings.push(format!("artifacts: `{text}` is refused: {why}"));
                }
            }
        }
        patterns
    };
    let patterns = read(&spec.paths);
    let excluded = read(&spec.exclude);
    let is_excluded = |path: &Path| excluded.iter().any(|pattern| pattern.matches(path));
    let mut found = Found::new();
    for pattern in &patterns {
        if let Some(link) = link_above(checkout, &pattern.base) {
            collected.counts.refused += 1;
            collected.warnings.push(format!("artifacts: `{}` is refused: {} is a link", pattern.text, link.display()));
            continue;
        }
        let mut matched = 0_u64;
        // A folder that matched means all below it; a walk goes deep first, so one such folder at a time is enough to know.
        let mut inside: Option<PathBuf> = None;
        walk(checkout, &pattern.base, &mut *go_on, |Met { path, metadata }| {
            let within = inside.as_ref().is_some_and(|folder| path.starts_with(folder));
            if !within && !pattern.matches(&path) {
                let deep_enough = pattern.depth.is_some_and(|depth| path.components().count() >= depth);
                return Ok(if deep_enough { Then::Pass } else { Then::Enter });
            }
            matched += 1;
            if !within && metadata.is_dir() {
                inside = Some(path.clone());
            }
            if !is_excluded(&path) {
                found.insert(path, metadata);
            }
            Ok(Then::Enter)
        })?;
        if matched == 0 {
            collected.warnings.push(format!("artifacts: `{}` matches nothing", pattern.text));
        }
    }
    if let Some(tracked) = tracked {
        walk(checkout, Path::new(""), go_on, |Met { path, metadata }| {
            if !metadata.is_dir() && !tracked.contains(&path) && !is_excluded(&path) {
                found.insert(path, metadata);
            }
            Ok(Then::Enter)
        })?;
    }
    Ok(found)
}

/// The first link among the folders above a path; none when there is none.
fn link_above(checkout: &Path, path: &Path) -> Option<PathBuf> {
    let mut above: Vec<&Path> = path.ancestors().skip(1).filter(|part| !part.as_os_str().is_empty()).collect();
    above.reverse();
    above.into_iter().find(|part| fs::symlink_metadata(checkout.join(part)).is_ok_and(|found| found.is_symlink())).map(Path::to_owned)
}

fn keep(
    path: &Path,
    metadata: &Metadata,
    checkout: &Path,
    root: &File,
    tree: &mut Tree,
    collected: &mut Collected,
) -> Result<Option<Entry>, ArtifactError> {
    let kind = metadata.file_type();
    let shown = path.to_string_lossy().into_owned();
    if kind.is_dir() {
        tree.folder(path, if path.as_os_str().is_empty() { FOLDER_MODE } else { metadata.mode() })?;
        return Ok(None);
    }
    if kind.is_file() {
        let source = open_below(root, path).map_err(ArtifactError::of("open", path))?;
        let bytes = tree.file(path, source)?;
        collected.counts.files += 1;
        collected.counts.bytes += bytes;
        return Ok(Some(Entry { path: shown, link: None, bytes: Some(bytes) }));
    }
    if kind.is_symlink() {
        let target = fs::read_link(checkout.join(path)).map_err(ArtifactError::of("read the link", path))?;
        if stays_inside(path, &target) {
            tree.link(path, &target)?;
            collected.counts.links += 1;
            return Ok(Some(Entry { path: shown, link: Some(target.to_string_lossy().into_owned()), bytes: None }));
        }
        collected
            .warnings
            .push(format!("artifacts: the link {shown} is refused: it leads to {}, outside the job's folder", target.display()));
    } else {
        let what = if kind.is_fifo() {
            "a FIFO"
        } else if kind.is_socket() {
            "a socket"
        } else {
            "a device"
        };
        collected.warnings.push(format!("artifacts: {shown} is left out: it is {what}"));
    }
    collected.counts.refused += 1;
    Ok(None)
}
