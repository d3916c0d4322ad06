//! Which files a commit has, and which it changed.

use std::collections::BTreeSet;

use git2::{DiffFindOptions, DiffOptions, ObjectType, TreeWalkMode, TreeWalkResult};

use super::{Error, Repository};
use crate::event::Revision;

impl Repository {
    /// The paths of all files of a commit, links among them, in the order of their bytes. What is no UTF-8 has U+FFFD in it.
    ///
    /// # Errors
    /// When the commit is not here.
    pub fn paths_at(&self, revision: &Revision) -> Result<Vec<String>, Error> {
        let what = || format!("the files of {}", revision.short());
        let failed = |error| self.failed_at(&what(), Some(revision), error);
        let tree = self.commit(revision)?.tree().map_err(failed)?;
        let mut paths = Vec::new();
        tree.walk(TreeWalkMode::PreOrder, |folder, entry| {
            if entry.kind() == Some(ObjectType::Blob) {
                paths.push(format!("{folder}{}", String::from_utf8_lossy(entry.name_bytes())));
            }
            TreeWalkResult::Ok
        })
        .map_err(failed)?;
        paths.sort_unstable();
        Ok(paths)
    }

    /// The paths that differ between two commits: added, changed, deleted, and both names of what moved.
    ///
    /// # Errors
    /// When one of them is not here.
    pub fn changed_paths(&self, from: &Revision, to: &Revision) -> Result<Vec<String>, Error> {
        let what = || format!("the changes from {} to {}", from.short(), to.short());
        let failed = |error| self.failed(&what(), error);
        let tree = |revision: &Revision| self.commit(revision)?.tree().map_err(failed);
        let (from, to) = (tree(from)?, tree(to)?);
        let mut options = DiffOptions::new();
        let mut diff = self.git.diff_tree_to_tree(Some(&from), Some(&to), Some(&mut options)).map_err(failed)?;
        diff.find_similar(Some(DiffFindOptions::new().renames(true).rename_limit(1_000))).map_err(failed)?;
        let files = diff.deltas().flat_map(|delta| {
            let bytes = [delta.old_file().path_bytes(), delta.new_file().path_bytes()];
            bytes.into_iter().flatten().map(|path| String::from_utf8_lossy(path).into_owned()).collect::<Vec<_>>()
        });
        Ok(files.collect::<BTreeSet<String>>().into_iter().collect())
    }

    /// The commit where the histories of two part; none when they have nothing in common.
    ///
    /// # Errors
    /// When one of them is not here, or in a shallow clone whose history ends before the answer.
    pub fn merge_base(&self, left: &Revision, right: &Revision) -> Result<Option<Revision>, Error> {
        let (one, other) = (self.commit(left)?.id(), self.commit(right)?.id());
        let asked = || format!("where {} and {} part", left.short(), right.short());
        match self.git.merge_base(one, other) {
            Ok(base) => Ok(Some(self.revision(base)?)),
            Err(error) if error.code() == git2::ErrorCode::NotFound && self.git.is_shallow() => {
                Err(Error::Shallow { place: self.place(), asked: asked() })
            }
            Err(error) if error.code() == git2::ErrorCode::NotFound => Ok(None),
            Err(error) => Err(self.failed(&asked(), error)),
        }
    }
}

/// Where a repository came from: a host, and its path there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The host, for instance `gitlab.example.org`.
    pub host: String,
    /// The project's path, for instance `group/project`.
    pub path: String,
}

impl Origin {
    /// Reads the address of a remote: `https://host/path.git`, `ssh://git@host:22/path.git`, `git@host:path.git`. None for a folder.
    #[must_use]
    pub fn parse(address: &str) -> Option<Self> {
        let (host, path) = match address.split_once("://") {
            Some(("file", _)) => return None,
            Some((_, rest)) => {
                let (authority, path) = rest.split_once('/')?;
                let host = authority.rsplit('@').next()?;
                (host.rsplit_once(':').map_or(host, |(host, _)| host), path)
            }
            None => {
                let (authority, path) = address.split_once(':')?;
                (authority.rsplit('@').next()?, path)
            }
        };
        let path = path.trim_matches('/');
        let path = path.strip_suffix(".git").unwrap_or(path);
        let named = !host.is_empty() && !host.contains('/') && path.contains('/');
        named.then(|| Self { host: host.to_owned(), path: path.to_owned() })
    }
}

impl Repository {
    /// Where `origin` is; none when there is no such remote, or it is a folder.
    #[must_use]
    pub fn origin(&self) -> Option<Origin> {
        let remote = self.git.find_remote("origin").ok()?;
        Origin::parse(remote.url().ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::Origin;

    #[test]
    fn addresses_of_remotes() {
        let table = [
            ("https://gitlab.example.org/group/sub/project.git", Some(("gitlab.example.org", "group/sub/project"))),
            ("https://user:secret@gitlab.example.org:8443/group/project", Some(("gitlab.example.org", "group/project"))),
            ("ssh://git@gitlab.example.org:22/group/project.git", Some(("gitlab.example.org", "group/project"))),
            ("git@gitlab.example.org:group/project.git", Some(("gitlab.example.org", "group/project"))),
            ("/srv/git/project.git", None),
            ("file:///srv/git/group/project", None),
            ("../group/project", None),
        ];
        for (address, expected) in table {
            let found = Origin::parse(address);
            assert_eq!(found.as_ref().map(|origin| (origin.host.as_str(), origin.path.as_str())), expected, "{address}");
        }
    }
}
