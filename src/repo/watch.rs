//! Where branches are, and a cheap answer to “could one have moved?”.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::{Error, Repository};
use crate::event::Revision;

/// The most files and folders of refs that are looked at for a fingerprint.
const MAX_ENTRIES: usize = 50_000;

/// Which of a branch's two refs is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefKind {
    /// `refs/heads/…`: the branch here.
    Local,
    /// `refs/remotes/origin/…`: where it was at the remote when last fetched or pushed.
    Tracking,
}

/// A number that changes when a ref may have: equal ones mean that no ref moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefFingerprint(u64);

impl Repository {
    /// Where these branches are, sorted by name: the full name of each ref and its commit. A branch may be a pattern (`release/*`).
    /// One that is not there is left out.
    ///
    /// # Errors
    /// When the refs cannot be read, or a name is none git allows.
    pub fn refs(&self, kind: RefKind, branches: &[String]) -> Result<Vec<(String, Revision)>, Error> {
        let folder = match kind {
            RefKind::Local => "refs/heads/",
            RefKind::Tracking => "refs/remotes/origin/",
        };
        let failed = |error| self.failed("the branches", error);
        let mut found = Vec::new();
        for branch in branches {
            super::resolve::check_spec(branch)?;
            for reference in self.git.references_glob(&format!("{folder}{branch}")).map_err(failed)? {
                let reference = reference.map_err(failed)?;
                if let (Ok(name), Ok(commit)) = (reference.name(), reference.peel_to_commit())
                    && !name.ends_with("/HEAD")
                {
                    found.push((name.to_owned(), self.revision(commit.id())?));
                }
            }
        }
        found.sort();
        found.dedup();
        Ok(found)
    }

    /// The files and folders below which every move of a ref shows.
    #[must_use]
    pub fn ref_paths(&self) -> Vec<PathBuf> {
        let common = self.common_dir();
        vec![self.git.path().join("HEAD"), common.join("packed-refs"), common.join("refs")]
    }

    /// Looks at the times, sizes and numbers of the files that hold refs, without reading one. Git replaces such a file
    /// whole, so its inode changes too and two moves within one tick of the clock are seen.
    #[must_use]
    pub fn ref_fingerprint(&self) -> RefFingerprint {
        let mut hasher = DefaultHasher::new();
        let mut left = MAX_ENTRIES;
        for path in self.ref_paths() {
            look(&path, &mut left, &mut hasher);
        }
        RefFingerprint(hasher.finish())
    }
}

fn look(path: &Path, left: &mut usize, hasher: &mut DefaultHasher) {
    let Ok(metadata) = path.symlink_metadata() else {
        path.hash(hasher);
        return;
    };
    let Some(fewer) = left.checked_sub(1) else { return };
    *left = fewer;
    (path, metadata.mtime(), metadata.mtime_nsec(), metadata.ino(), metadata.size()).hash(hasher);
    if !metadata.is_dir() {
        return;
    }
    let mut below: Vec<PathBuf> = std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    below.sort();
    for path in below {
        look(&path, left, hasher);
    }
}
