//! Walks a tree without following a link and without recursion; `.git` at its top is no part of it.

use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use super::{ArtifactError, GoOn};

/// Something met on the way.
pub(super) struct Met {
    /// Its path below the root.
    pub(super) path: PathBuf,
    /// What it is; of a link, the link itself.
    pub(super) metadata: Metadata,
}

/// What to do after something was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// If it is a folder, go into it.
    Enter,
    /// Leave it.
    Pass,
}

/// Visits `start` (a path below `root`) and all that `visit` enters below it. Nothing is there: nothing is visited.
///
/// # Errors
/// When something that is there cannot be looked at, or `go_on` says no.
pub(super) fn walk(
    root: &Path,
    start: &Path,
    go_on: GoOn<'_>,
    mut visit: impl FnMut(Met) -> Result<Then, ArtifactError>,
) -> Result<(), ArtifactError> {
    let mut waiting = vec![start.to_owned()];
    while let Some(path) = waiting.pop() {
        if !go_on() {
            return Err(ArtifactError::Stopped);
        }
        if path.starts_with(".git") {
            continue;
        }
        let whole = root.join(&path);
        let metadata = match fs::symlink_metadata(&whole) {
            Ok(metadata) => metadata,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => continue,
            Err(error) => return Err(ArtifactError::of("look at", &path)(error)),
        };
        let is_folder = metadata.is_dir();
        if visit(Met { path: path.clone(), metadata })? == Then::Pass || !is_folder {
            continue;
        }
        let entries = fs::read_dir(&whole).map_err(ArtifactError::of("read the folder", &path))?;
        for entry in entries {
            waiting.push(path.join(entry.map_err(ArtifactError::of("read the folder", &path))?.file_name()));
        }
    }
    Ok(())
}

/// Every path below a root that is no folder.
///
/// # Errors
/// When something cannot be looked at.
pub(in crate::executor) fn snapshot(root: &Path) -> Result<HashSet<PathBuf>, ArtifactError> {
    let mut paths = HashSet::new();
    walk(root, Path::new(""), &mut || true, |met| {
        if !met.metadata.is_dir() {
            paths.insert(met.path);
        }
        Ok(Then::Enter)
    })?;
    Ok(paths)
}
