//! Whole files that are either old or new, and folders that are nobody else's.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Something on disk could not be done.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The system said no.
    #[error("cannot {action} {path}")]
    System {
        /// What was tried.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A folder that must be private is somebody else's, or open to others.
    #[error("{path} is not private: {why}")]
    NotPrivate {
        /// Which folder.
        path: PathBuf,
        /// What is wrong, and the way out.
        why: String,
    },
}

impl DiskError {
    /// Wraps what the system said of `action` on `path`.
    pub fn of(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::System { action, path, source }
    }

    /// Whether the disk is full or a quota is used up.
    #[must_use]
    pub fn is_full(&self) -> bool {
        match self {
            Self::System { source, .. } => matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded),
            Self::NotPrivate { .. } => false,
        }
    }
}

/// Makes a folder (and those above it) with mode 0700, or checks that the one there is this user's alone.
///
/// # Errors
/// When it cannot be made, is a link, is another user's, or can be written by others.
pub fn make_private_folder(path: &Path) -> Result<(), DiskError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(DiskError::of("make the folder", path))?;
    let found = fs::symlink_metadata(path).map_err(DiskError::of("look at", path))?;
    let bad = |why: String| DiskError::NotPrivate { path: path.to_owned(), why };
    if !found.is_dir() {
        return Err(bad("it is no folder".to_owned()));
    }
    let uid = rustix::process::geteuid().as_raw();
    if found.uid() != uid {
        return Err(bad(format!("it belongs to uid {}, not to {uid}; remove it or name another place", found.uid())));
    }
    if found.mode() & 0o022 != 0 {
        return Err(bad(format!("others may write to it; run: chmod 700 {}", path.display())));
    }
    Ok(())
}

/// Puts `bytes` in place of a file: temporary file beside it, sync, rename, sync of the folder. Mode 0600.
///
/// # Errors
/// When any of that fails; the old file is then still whole.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    Prepared::write(path, bytes)?.take_place()?;
    sync_folder(path.parent().unwrap_or(Path::new(".")))
}

/// A file's next content, written and synced beside it: what is left to do needs no room on the disk. Dropped, it is removed.
#[derive(Debug)]
pub struct Prepared {
    temporary: PathBuf,
    path: PathBuf,
}

impl Prepared {
    /// Writes and syncs it. Mode 0600.
    ///
    /// # Errors
    /// When any of that fails; nothing is left then.
    pub fn write(path: &Path, bytes: &[u8]) -> Result<Self, DiskError> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.new", std::process::id()));
        let prepared = Self { temporary: folder.join(name), path: path.to_owned() };
        write_new(&prepared.temporary, bytes)?;
        Ok(prepared)
    }

    /// Puts it in the file's place. Whoever wants the name to survive a power cut syncs the folder then.
    ///
    /// # Errors
    /// When it cannot be renamed; the old file is then still whole.
    pub fn take_place(self) -> Result<(), DiskError> {
        fs::rename(&self.temporary, &self.path).map_err(DiskError::of("replace", &self.path))
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        // Gone, when it has taken its place.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// Writes a file and syncs its bytes, not its name: whoever makes several files in one folder syncs that once, after the last.
/// Mode 0600.
///
/// # Errors
/// When any of that fails.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).map_err(DiskError::of("write", path))?;
    file.write_all(bytes).map_err(DiskError::of("write", path))?;
    file.sync_data().map_err(DiskError::of("sync", path))
}

/// Syncs a folder, so that the names in it survive a power cut.
///
/// # Errors
/// When the folder cannot be opened or synced.
pub fn sync_folder(path: &Path) -> Result<(), DiskError> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(DiskError::of("sync the folder", path))
}

/// The bytes of a file, or none when there is no such file.
///
/// # Errors
/// When it is there and cannot be read.
pub fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, DiskError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(DiskError::of("read", path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_file_is_old_or_new_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("head");
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(read_if_there(&path).unwrap().as_deref(), Some(b"two".as_slice()));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(read_if_there(&folder.path().join("none")).unwrap().is_none());
    }

    #[test]
    fn a_folder_that_others_may_write_to_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("open");
        make_private_folder(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(make_private_folder(&path).unwrap_err().to_string().contains("not private"));
    }
}
