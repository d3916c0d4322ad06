//! The `.git` of a checkout: a bare minimum, written from nothing.
//!
//! ```text
//! .git/HEAD                       the commit, detached
//!     /config                     ours: no remote, no hook, no filter, no file monitor, no gc in the background
//!     /index                      one entry a file, with the file's own numbers
//!     /packed-refs                the tags, for `git describe`, and the branches as `origin/…`
//!     /shallow                    where history ends, in a shallow clone
//!     /objects/info/alternates    the repository's objects, read only
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use git2::{IndexEntry, Oid};

use super::checkout::git_folder;
use super::{Error, Repository};
use crate::event::Revision;

const CONFIG: &str = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n\tlogallrefupdates = false\n\
    \tfsmonitor = false\n\tuntrackedCache = false\n[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n";

/// Writes the `.git` of a checkout of `revision` in `folder`.
pub(super) fn write(repository: &Repository, revision: &Revision, folder: &Path, entries: &[IndexEntry]) -> Result<(), Error> {
    let git = git_folder(folder);
    for name in ["", "objects/info", "objects/pack", "refs/heads", "refs/tags"] {
        let path = git.join(name);
        fs::create_dir_all(&path).map_err(|source| Error::Write { path, source })?;
    }
    let put = |name: &str, bytes: &[u8]| {
        let path = git.join(name);
        fs::write(&path, bytes).map_err(|source| Error::Write { path, source })
    };
    put("config", CONFIG.as_bytes())?;
    put("objects/info/alternates", &alternate(&repository.common_dir().join("objects")))?;
    put("packed-refs", packed_refs(repository)?.as_bytes())?;
    if let Some(ends) = shallow_ends(repository)? {
        put("shallow", ends.as_bytes())?;
    }
    write_index(repository, &git.join("index"), entries)?;
    // Last, for a folder without a HEAD is no repository yet.
    put("HEAD", format!("{revision}\n").as_bytes())
}

fn write_index(repository: &Repository, path: &Path, entries: &[IndexEntry]) -> Result<(), Error> {
    let failed = |error| repository.failed("the index of a checkout", error);
    let mut index = git2::Index::open(path).map_err(failed)?;
    for entry in entries {
        index.add(entry).map_err(failed)?;
    }
    index.write().map_err(failed)
}

/// A line of `objects/info/alternates`. git reads a path that begins with `"` as a quoted one.
fn alternate(objects: &Path) -> Vec<u8> {
    let bytes = objects.as_os_str().as_bytes();
    let mut line = Vec::with_capacity(bytes.len() + 3);
    if bytes.iter().any(|byte| matches!(byte, b'\n' | b'"' | b'\\')) {
        line.push(b'"');
        for byte in bytes {
            match byte {
                b'\n' => line.extend_from_slice(b"\\n"),
                b'"' | b'\\' => line.extend_from_slice(&[b'\\', *byte]),
                _ => line.push(*byte),
            }
        }
        line.push(b'"');
    } else {
        line.extend_from_slice(bytes);
    }
    line.push(b'\n');
    line
}

/// The branches and tags in the order of their names, as a file of packed refs has them.
fn packed_refs(repository: &Repository) -> Result<String, Error> {
    let mut tags = repository.tags()?;
    tags.sort_by(|one, other| one.name.cmp(&other.name));
    let mut text = "# pack-refs with: peeled fully-peeled sorted \n".to_owned();
    for (branch, id) in branches(repository)? {
        let _ = writeln!(text, "{id} refs/remotes/origin/{branch}");
    }
    for tag in tags {
        let _ = writeln!(text, "{} refs/tags/{}", tag.object, tag.name);
        if tag.object != tag.commit {
            let _ = writeln!(text, "^{}", tag.commit);
        }
    }
    Ok(text)
}

/// What a job finds as `origin/…`: what the clone last fetched from its origin, and its own branches that origin does not have. A
/// script that compares with `origin/main` then sees what is not pushed yet, and in a repository without an origin what is not merged.
fn branches(repository: &Repository) -> Result<BTreeMap<String, Oid>, Error> {
    let failed = |error| repository.failed("the branches", error);
    let (mut own, mut fetched) = (BTreeMap::new(), BTreeMap::new());
    for reference in repository.git.references().map_err(failed)? {
        let reference = reference.map_err(failed)?;
        let (Ok(name), Some(id)) = (reference.name(), reference.target()) else { continue };
        if let Some(branch) = name.strip_prefix("refs/remotes/origin/") {
            fetched.insert(branch.to_owned(), id);
        } else if let Some(branch) = name.strip_prefix("refs/heads/") {
            own.insert(branch.to_owned(), id);
        }
    }
    own.extend(fetched);
    Ok(own)
}

/// The commits whose parents are not here, of which only whole ids are taken over.
fn shallow_ends(repository: &Repository) -> Result<Option<String>, Error> {
    if !repository.git.is_shallow() {
        return Ok(None);
    }
    let path = repository.common_dir().join("shallow");
    let text = fs::read_to_string(&path).map_err(|source| Error::Read { path, source })?;
    Ok(Some(text.lines().filter(|line| line.parse::<Revision>().is_ok()).fold(String::new(), |all, line| all + line + "\n")))
}
