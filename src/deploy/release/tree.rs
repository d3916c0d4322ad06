//! What lies in a tree: files and links by their paths. Links are read, never followed; `.git` is passed over at any depth.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use walkdir::WalkDir;

use super::ReleaseError;
use crate::store::DiskError;

/// A file or a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::deploy) enum Kind {
    File { executable: bool },
    Link { text: Vec<u8> },
}

/// An entry: its path relative to the tree, with `/` between the parts, and what it is.
pub(in crate::deploy) type Entry = (String, Kind);

/// Every file and link below `root`, in no particular order. Empty folders do not count.
pub(in crate::deploy) fn walk(root: &Path) -> Result<Vec<Entry>, ReleaseError> {
    let mut found = Vec::new();
    let all = WalkDir::new(root).follow_links(false).follow_root_links(false).min_depth(1);
    for entry in all.into_iter().filter_entry(|entry| entry.file_name() != ".git") {
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(root).to_owned();
            DiskError::of("look at", &path)(error.into())
        })?;
        let kind = entry.file_type();
        if kind.is_dir() {
            continue;
        }
        let relative = entry.path().strip_prefix(root).unwrap_or(entry.path());
        let unfit = |why| ReleaseError::Unfit { path: relative.to_owned(), why };
        let path = relative.to_str().ok_or_else(|| unfit("its name is not UTF-8"))?.to_owned();
        if path.contains('\n') {
            return Err(unfit("its name has a line break"));
        }
        if kind.is_symlink() {
            let text = std::fs::read_link(entry.path()).map_err(DiskError::of("read the link", entry.path()))?;
            found.push((path, Kind::Link { text: text.into_os_string().into_vec() }));
        } else if kind.is_file() {
            let metadata = entry.metadata().map_err(|error| DiskError::of("look at", entry.path())(error.into()))?;
            found.push((path, Kind::File { executable: metadata.permissions().mode() & 0o100 != 0 }));
        } else {
            return Err(unfit(special(kind)));
        }
    }
    if found.is_empty() && !root.is_dir() {
        return Err(DiskError::of("read the folder", root)(io::ErrorKind::NotADirectory.into()).into());
    }
    Ok(found)
}

/// Opens a file of a tree to read; a link, or a pipe put there meanwhile, is refused and never waited for.
pub(in crate::deploy) fn open(path: &Path) -> Result<File, DiskError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = rustix::fs::open(path, flags, Mode::empty()).map(File::from).map_err(io::Error::from);
    let regular = opened.and_then(|file| if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) });
    regular.map_err(DiskError::of("read", path))
}

/// The path that an entry's text names, for the system.
pub(in crate::deploy) fn link_text(text: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(text))
}

fn special(kind: std::fs::FileType) -> &'static str {
    if kind.is_fifo() {
        "it is a named pipe"
    } else if kind.is_socket() {
        "it is a socket"
    } else if kind.is_block_device() || kind.is_char_device() {
        "it is a device"
    } else {
        "it is neither a file nor a link"
    }
}
