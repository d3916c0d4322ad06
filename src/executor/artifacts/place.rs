//! Puts one file, link or folder at a path below a root, never through a link.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

use super::ArtifactError;

/// A tree being written. What is in the way of a path is replaced: a link or a file by a folder, a folder by a file.
pub(super) struct Tree {
    root: PathBuf,
    /// The folder that was checked last; the paths of a walk mostly share it.
    checked: Option<PathBuf>,
}

impl Tree {
    /// The tree at `root`, which must be there.
    pub(super) fn at(root: &Path) -> Self {
        Self { root: root.to_owned(), checked: None }
    }

    /// Makes a folder, and those above it.
    pub(super) fn folder(&mut self, path: &Path, mode: u32) -> Result<(), ArtifactError> {
        self.parents(path)?;
        let whole = self.root.join(path);
        if path.as_os_str().is_empty() {
            return Ok(());
        }
        make_folder(&whole).map_err(ArtifactError::of("make the folder", path))?;
        fs::set_permissions(&whole, Permissions::from_mode(mode & 0o777 | 0o700)).map_err(ArtifactError::of("make the folder", path))
    }

    /// Makes a link.
    pub(super) fn link(&mut self, path: &Path, target: &Path) -> Result<(), ArtifactError> {
        self.clear(path)?;
        std::os::unix::fs::symlink(target, self.root.join(path)).map_err(ArtifactError::of("make the link", path))
    }

    /// Copies an open file: bytes, mode (without set-id bits), time of change. Returns its length.
    pub(super) fn file(&mut self, path: &Path, mut source: File) -> Result<u64, ArtifactError> {
        self.clear(path)?;
        let copied = (|| {
            let metadata = source.metadata()?;
            let mut copy = OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.root.join(path))?;
            let length = io::copy(&mut source, &mut copy)?;
            copy.set_permissions(Permissions::from_mode(metadata.mode() & 0o777))?;
            copy.set_modified(metadata.modified()?)?;
            Ok(length)
        })();
        copied.map_err(ArtifactError::of("copy", path))
    }

    fn clear(&mut self, path: &Path) -> Result<(), ArtifactError> {
        self.parents(path)?;
        let whole = self.root.join(path);
        let cleared = match fs::symlink_metadata(&whole) {
            Ok(found) if found.is_dir() => {
                self.checked = None;
                fs::remove_dir_all(&whole)
            }
            Ok(_) => fs::remove_file(&whole),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        };
        cleared.map_err(ArtifactError::of("replace", path))
    }

    fn parents(&mut self, path: &Path) -> Result<(), ArtifactError> {
        let Some(parent) = path.parent() else { return Ok(()) };
        if self.checked.as_deref() == Some(parent) {
            return Ok(());
        }
        let mut whole = self.root.clone();
        for component in parent.components() {
            whole.push(component);
            make_folder(&whole).map_err(ArtifactError::of("make the folder", parent))?;
        }
        self.checked = Some(parent.to_owned());
        Ok(())
    }
}

fn make_folder(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => fs::remove_file(path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    DirBuilder::new().mode(0o755).create(path)
}

/// Opens a regular file below `root` for reading, with no link on the way; a FIFO or a device is not waited for.
///
/// # Errors
/// When it cannot be, or is something else.
pub(super) fn open_below(root: &File, path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match openat2(root.as_fd(), path, flags, Mode::empty(), ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS) {
        // An old kernel, or a filter that does not know the call; the walk has seen no link on this path.
        Err(Errno::NOSYS | Errno::PERM) => openat(root.as_fd(), path, flags, Mode::empty()),
        answer => answer,
    };
    let file = File::from(file?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no regular file")) }
}

/// Whether a link at `path` with this text stays inside its tree, wherever other links in the tree lead: it is relative, goes up
/// only at its beginning, and not above the root. `a/../b` is refused, for `a` may be a link itself.
pub(super) fn stays_inside(path: &Path, target: &Path) -> bool {
    let mut depth = path.components().count().saturating_sub(1);
    let mut went_down = false;
    for component in target.components() {
        match component {
            Component::CurDir => {}
            Component::Normal(_) => went_down = true,
            Component::ParentDir if went_down || depth == 0 => return false,
            Component::ParentDir => depth -= 1,
            Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    // A link to `.git` would hand on what is no part of the tree.
    depth > 0 || !target.components().any(|component| component == Component::Normal(".git".as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_stay_inside_or_are_refused() {
        let table = [
            ("a", "b", true),
            ("bin/a", "../lib/a", true),
            ("a", "../b", false),
            ("bin/a", "../../b", false),
            ("a", "/etc/passwd", false),
            ("d/e/a", "link/../..", false),
            ("a", "./b/c", true),
            ("a", ".git/config", false),
            ("d/a", "../.git/config", false),
        ];
        for (path, target, expected) in table {
            assert_eq!(stays_inside(Path::new(path), Path::new(target)), expected, "{path} -> {target}");
        }
    }
}
