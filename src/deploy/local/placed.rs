//! Releases' bytes at the target: `releases/<digest hex>/{record.json,tree/}`, whole or not there at all.
//!
//! A release is written to a folder beside its own, synced, and renamed. Any number of programs may do so at once.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::deploy::release::{Sync, copy_tree, digest_of_tree};
use crate::deploy::{ReleaseRecord, TargetError};
use crate::event::Digest;
use crate::store::{self, DiskError, chain};

/// The releases of an app.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    folder: PathBuf,
}

impl Placed {
    /// The releases below an app's folder.
    pub(super) fn of(app_folder: &Path) -> Self {
        Self { folder: app_folder.join("releases") }
    }

    /// The tree of a release, whether it is there or not.
    pub(super) fn tree(&self, release: &Digest) -> PathBuf {
        self.folder.join(release.hex()).join("tree")
    }

    /// Copies a release here, synced, and checks that its bytes are what its digest says. One that is here already stays.
    pub(super) fn place(&self, record: &ReleaseRecord, tree: &Path) -> Result<(), TargetError> {
        let release = &record.release.digest;
        if matches!(self.checked(release), Ok(Some(_))) {
            return Ok(());
        }
        store::make_private_folder(&self.folder).map_err(unreachable)?;
        let new = self.folder.join(format!(".new-{}", ulid::Ulid::generate()));
        let placed = self.write(record, tree, &new);
        if placed.is_err() {
            let _ = fs::remove_dir_all(&new);
        }
        placed
    }

    fn write(&self, record: &ReleaseRecord, tree: &Path, new: &Path) -> Result<(), TargetError> {
        let release = &record.release.digest;
        store::make_private_folder(new).map_err(unreachable)?;
        let copied = copy_tree(tree, &new.join("tree"), Sync::Now)
            .map_err(|error| TargetError::Unreachable { reason: format!("the release could not be brought here: {}", chain(&error)) })?;
        if copied.digest != *release {
            return Err(TargetError::ReleaseMissing { release: release.clone(), why: format!("the tree given is {}", copied.digest) });
        }
        let text = serde_json::to_vec(record).map_err(|error| TargetError::Unreachable { reason: error.to_string() })?;
        store::replace(&new.join("record.json"), &text).map_err(unreachable)?;
        let place = self.folder.join(release.hex());
        // What lies there and was not found whole above is not this release: it makes way.
        if place.exists() && !matches!(self.checked(release), Ok(Some(_))) {
            let aside = self.folder.join(format!(".bad-{}", ulid::Ulid::generate()));
            fs::rename(&place, &aside).map_err(DiskError::of("put aside", &place)).map_err(unreachable)?;
            let _ = fs::remove_dir_all(&aside);
        }
        match fs::rename(new, &place) {
            Ok(()) => store::sync_folder(&self.folder).map_err(unreachable),
            // Another program was first; it checked the same digest.
            Err(error) if matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists) => {
                fs::remove_dir_all(new).map_err(DiskError::of("remove", new)).map_err(unreachable)
            }
            Err(error) => Err(unreachable(DiskError::of("rename", new)(error))),
        }
    }

    /// The record of a release whose bytes are what its digest says; none when it is not here.
    pub(super) fn checked(&self, release: &Digest) -> Result<Option<ReleaseRecord>, TargetError> {
        let Some(record) = self.record(release)? else { return Ok(None) };
        let missing = |why: String| TargetError::ReleaseMissing { release: release.clone(), why };
        let (found, _, _) = digest_of_tree(&self.tree(release)).map_err(|error| missing(chain(&error)))?;
        if found != *release {
            return Err(missing(format!("its bytes were changed: they are {found} now")));
        }
        Ok(Some(record))
    }

    /// The record of a release, with its bytes unchecked.
    pub(super) fn record(&self, release: &Digest) -> Result<Option<ReleaseRecord>, TargetError> {
        let path = self.folder.join(release.hex()).join("record.json");
        let missing = |why: String| TargetError::ReleaseMissing { release: release.clone(), why };
        let Some(bytes) = store::read_if_there(&path).map_err(unreachable)? else { return Ok(None) };
        let record: ReleaseRecord = serde_json::from_slice(&bytes).map_err(|error| missing(format!("its record is no JSON: {error}")))?;
        if record.release.digest == *release { Ok(Some(record)) } else { Err(missing("its record is another release's".to_owned())) }
    }

    /// Every release here, newest first.
    pub(super) fn all(&self) -> Result<Vec<ReleaseRecord>, TargetError> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(unreachable(DiskError::of("read the folder", &self.folder)(error))),
        };
        let mut all = Vec::new();
        for entry in entries.flatten() {
            let name = entry.file_name();
            let digest = name.to_str().and_then(|hex| format!("sha256:{hex}").parse::<Digest>().ok());
            if let Some(digest) = digest {
                all.extend(self.record(&digest)?);
            }
        }
        all.sort_by(|one, other| (other.created_at, &other.release.digest).cmp(&(one.created_at, &one.release.digest)));
        Ok(all)
    }

    /// Removes a release: out of sight in one step, then from the disk. One that is not here is removed.
    pub(super) fn remove(&self, release: &Digest) -> Result<(), TargetError> {
        let place = self.folder.join(release.hex());
        let aside = self.folder.join(format!(".old-{}", ulid::Ulid::generate()));
        match fs::rename(&place, &aside) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(unreachable(DiskError::of("remove", &place)(error))),
        }
        fs::remove_dir_all(&aside).map_err(DiskError::of("remove", &aside)).map_err(unreachable)
    }
}

/// An error of the disk, as the target's contract has it.
pub(super) fn unreachable(error: impl std::error::Error) -> TargetError {
    TargetError::Unreachable { reason: chain(&error) }
}
