//! What there is to scan: every regular file below the given paths, hidden and ignored ones too.
//!
//! No symbolic link is followed: what a link inside the paths leads to is met by itself, and what lies outside is not of the
//! paths. Pipes, sockets and devices are never opened. Whatever is passed over is said.

use std::collections::BTreeSet;
use std::fs::{File, FileType};
use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use walkdir::{DirEntry, WalkDir};

use super::escape::path_text;
use super::report::{Failure, Skipped};

/// A regular file to be read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Found {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Its name in the report: below the checkout if it is there, else absolute.
    pub(crate) name: String,
}

/// What a walk brought.
#[derive(Debug, Default)]
pub(crate) struct Walked {
    /// The files, in order, each once.
    pub(crate) files: BTreeSet<Found>,
    /// What was passed over.
    pub(crate) skipped: Vec<Skipped>,
    /// What could not be looked at.
    pub(crate) failures: Vec<Failure>,
}

/// Walks the given paths. `checkout` is absolute and free of links; the paths are as given, from the working folder.
pub(crate) fn paths(given: &[PathBuf], checkout: &Path) -> Walked {
    let mut walked = Walked::default();
    for path in given {
        match root(path, checkout) {
            Ok(root) => walk(&root, checkout, &mut walked, |entry| entry.path() == checkout.join(".git")),
            Err(why) => walked.failures.push(Failure { path: path_text(path.as_os_str()), why }),
        }
    }
    walked
}

/// Walks the checkout for the files that `wanted` names, passing over every `.git` and `node_modules`.
/// What is passed over here is not said: only lockfiles are looked for.
pub(crate) fn checkout(checkout: &Path, wanted: impl Fn(&Path) -> bool) -> Walked {
    let mut walked = Walked::default();
    walk(checkout, checkout, &mut walked, |entry| {
        entry.file_type().is_dir() && (entry.file_name() == ".git" || entry.file_name() == "node_modules")
    });
    walked.files.retain(|file| wanted(&file.path));
    walked.skipped.clear();
    walked
}

/// Opens a file that was regular when it was met, without following a link and without waiting should it have become a pipe.
///
/// # Errors
/// When it cannot be opened, or is no regular file any more.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("is no regular file any more"));
    }
    Ok(file)
}

/// Where a given path really is. One that looks to be in the checkout and leads out of it is refused.
fn root(path: &Path, checkout: &Path) -> Result<PathBuf, String> {
    let real = path.canonicalize().map_err(|error| error.to_string())?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let is_link = path.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink());
    let inside = parent.canonicalize().is_ok_and(|parent| parent.starts_with(checkout));
    if is_link && inside && !real.starts_with(checkout) {
        return Err("is a symbolic link that leads out of the checkout".to_owned());
    }
    Ok(real)
}

fn walk(root: &Path, checkout: &Path, walked: &mut Walked, is_left_out: impl Fn(&DirEntry) -> bool) {
    let mut entries = WalkDir::new(root).follow_links(false).follow_root_links(false).sort_by_file_name().into_iter();
    while let Some(entry) = entries.next() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                let path = error.path().map(|path| name(path, checkout)).unwrap_or_default();
                let why = error.io_error().map_or_else(|| error.to_string(), ToString::to_string);
                walked.failures.push(Failure { path, why });
                continue;
            }
        };
        let kind = entry.file_type();
        let skip = |reason: &str| Skipped { path: name(entry.path(), checkout), reason: reason.to_owned() };
        if entry.depth() > 0 && is_left_out(&entry) {
            walked.skipped.push(skip("the repository itself, never part of a release"));
            if kind.is_dir() {
                entries.skip_current_dir();
            }
        } else if kind.is_file() {
            walked.files.insert(Found { name: name(entry.path(), checkout), path: entry.into_path() });
        } else if let Some(reason) = unopened(kind) {
            walked.skipped.push(skip(reason));
        }
    }
}

/// Why something that is neither a file nor a folder is not opened.
fn unopened(kind: FileType) -> Option<&'static str> {
    if kind.is_symlink() {
        Some("symbolic link, not followed")
    } else if kind.is_fifo() {
        Some("pipe, never opened")
    } else if kind.is_socket() {
        Some("socket, never opened")
    } else if kind.is_block_device() || kind.is_char_device() {
        Some("device, never opened")
    } else {
        None
    }
}

fn name(path: &Path, checkout: &Path) -> String {
    path_text(path.strip_prefix(checkout).unwrap_or(path).as_os_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stopped_being_a_file_is_neither_waited_for_nor_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link, pipe) = (folder.path().join("file"), folder.path().join("link"), folder.path().join("pipe"));
        std::fs::write(&file, "x").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        assert!(open(&file).is_ok());
        for path in [&link, &pipe, &folder.path().to_owned(), &folder.path().join("absent")] {
            assert!(open(path).is_err(), "{}", path.display());
        }
    }
}
