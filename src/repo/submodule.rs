//! Submodules of a checkout, from what the clone has of them.
//!
//! Nothing is fetched. The commit of a submodule is looked for by its id in the repositories that `git submodule update` made in this
//! clone: whatever has an object of that id has the right one, so neither `.gitmodules` nor an address in it is heeded.

use std::fs;
use std::path::{Path, PathBuf};

use git2::Oid;

use super::{Checkout, Error, Repository};
use crate::event::Revision;

/// The most submodules of a checkout, those of submodules among them; more is a commit built to fill disks.
const MAX_SUBMODULES: usize = 1_000;
/// The most folders below `modules` that are looked into.
const MAX_FOLDERS: usize = 10_000;
/// The deepest folder below `modules` that is looked into: a submodule's name may have slashes.
const MAX_DEPTH: usize = 16;

/// How far down a checkout has its submodules: GitLab's `GIT_SUBMODULE_STRATEGY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Submodules {
    /// Their folders are empty.
    None,
    /// Those of the commit.
    Normal,
    /// Those of the submodules too.
    Recursive,
}

impl Repository {
    /// As [`Repository::checkout`], with the submodules.
    ///
    /// # Errors
    /// When no repository here has a submodule's commit, and as without submodules.
    pub fn checkout_with(&self, revision: &Revision, folder: &Path, submodules: Submodules) -> Result<Checkout, Error> {
        self.fill(revision, folder, submodules, &mut 0)
    }

    fn fill(&self, revision: &Revision, folder: &Path, submodules: Submodules, filled: &mut usize) -> Result<Checkout, Error> {
        let mut done = self.checkout(revision, folder)?;
        let below = match submodules {
            Submodules::None => return Ok(done),
            Submodules::Normal => Submodules::None,
            Submodules::Recursive => Submodules::Recursive,
        };
        if done.submodules.is_empty() {
            return Ok(done);
        }
        let fetched = repositories(&self.common_dir().join("modules"));
        for (path, id) in std::mem::take(&mut done.submodules) {
            *filled += 1;
            if *filled > MAX_SUBMODULES {
                return Err(Error::BadEntry { path, revision: revision.clone(), why: "there are more than a thousand submodules" });
            }
            let wanted = self.revision(id)?;
            let missing = || Error::Submodule { path: path.clone(), revision: wanted.clone(), place: self.place() };
            let repository = self.submodule(&path, id, &fetched).ok_or_else(missing)?;
            // The folder was made by this checkout, through folders held open, and no job runs in it yet.
            let inner = repository.fill(&wanted, &folder.join(&path), below, filled)?;
            done.files += inner.files;
            done.bytes += inner.bytes;
            done.lfs_pointers += inner.lfs_pointers;
            done.submodules.extend(inner.submodules.into_iter().map(|(deeper, id)| (format!("{path}/{deeper}"), id)));
        }
        Ok(done)
    }

    /// A repository of this clone that has the commit: the one in the working tree, or one of those that were fetched.
    fn submodule(&self, path: &str, id: Oid, fetched: &[PathBuf]) -> Option<Self> {
        let in_tree = self.work_dir().map(|top| top.join(path).join(".git")).filter(|git| git.is_dir());
        let candidates = in_tree.into_iter().chain(fetched.iter().cloned());
        candidates.filter_map(|git| git2::Repository::open_bare(git).ok()).find(|git| git.find_commit(id).is_ok()).map(|git| Self { git })
    }
}

/// The repositories below a folder `modules`, those of submodules' submodules among them.
fn repositories(modules: &Path) -> Vec<PathBuf> {
    let (mut found, mut open) = (Vec::new(), vec![(modules.to_owned(), 0)]);
    let mut looked = 0;
    while let Some((folder, depth)) = open.pop() {
        looked += 1;
        if looked > MAX_FOLDERS {
            break;
        }
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path());
        for path in folders.take(MAX_FOLDERS) {
            if path.join("HEAD").is_file() && path.join("objects").is_dir() {
                open.push((path.join("modules"), 0));
                found.push(path);
            } else if depth < MAX_DEPTH {
                open.push((path, depth + 1));
            }
        }
    }
    found
}
