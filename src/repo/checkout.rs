//! An isolated checkout: a commit's tree, written below a new folder by a walk of our own.
//!
//! No filter, no attribute, no hook, no end-of-line conversion: blobs as they are. The walk holds each folder open and makes every entry
//! relative to it, new and without following links, so that a tree with a link and a folder of one name cannot lead it out
//! (CVE-2024-32002, CVE-2025-48384). A checkout with Git LFS pointers or submodules says so: what they stand for is not fetched
//! (`submodule` fills folders from what is here).

use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use git2::{IndexEntry, IndexTime, Oid};
use rustix::fs::{AtFlags, Mode, OFlags, Stat};

use super::{Error, Repository, skeleton};
use crate::event::Revision;

/// The most entries that a commit may have; more is a tree built to fill disks.
const MAX_ENTRIES: u64 = 2_000_000;
/// The deepest folder.
const MAX_DEPTH: usize = 256;
/// How every Git LFS pointer begins (the specification of git-lfs, `docs/spec.md`).
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/v1\n";

/// What a checkout wrote.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checkout {
    /// How many files, links among them.
    pub files: u64,
    /// How many bytes they hold.
    pub bytes: u64,
    /// Paths and commits of submodules, whose folders are left empty.
    pub submodules: Vec<(String, Oid)>,
    /// How many files are Git LFS pointers in place of what they stand for.
    pub lfs_pointers: u64,
}

impl Checkout {
    /// What people must know about this checkout, a sentence each.
    #[must_use]
    pub fn notices(&self) -> Vec<String> {
        let mut notices = Vec::new();
        for (path, _) in &self.submodules {
            notices.push(format!("`{path}` is a submodule: its folder is empty in jobs without `GIT_SUBMODULE_STRATEGY: recursive`"));
        }
        if self.lfs_pointers > 0 {
            notices.push(format!("{} files are Git LFS pointers: jobs get the pointers, not the contents", self.lfs_pointers));
        }
        notices
    }
}

impl Repository {
    /// Writes the tree of `revision` below `folder`, which must be empty or not there yet, and a small `.git` beside it, in which HEAD is detached
    /// at the commit, the tags and the branches (as `origin/…`) are known and `git status` is clean.
    ///
    /// The `.git` is made by hms from nothing: no configuration, hook or remote of the repository is taken over; objects come through
    /// `objects/info/alternates`. It is there because builds ask git for their version, and because without it git would find the
    /// engineer's own repository in a folder above, and write to it.
    ///
    /// # Errors
    /// When an object is missing, an entry's name cannot be written, or the disk refuses. What was written until then stays.
    pub fn checkout(&self, revision: &Revision, folder: &Path) -> Result<Checkout, Error> {
        let commit = self.commit(revision)?;
        let tree = commit.tree_id();
        let root = new_folder(folder).map_err(|source| Error::Write { path: folder.to_owned(), source })?;
        let objects = self.git.odb().map_err(|error| self.failed("the objects", error))?;
        let mut walk = Walk { repository: self, objects, revision, folder, entries: 0, done: Checkout::default(), index: Vec::new() };
        walk.tree(tree, &root, &mut Vec::new(), 0)?;
        let Walk { done, index, .. } = walk;
        skeleton::write(self, revision, folder, &index)?;
        Ok(done)
    }
}

struct Walk<'a> {
    repository: &'a Repository,
    objects: git2::Odb<'a>,
    revision: &'a Revision,
    folder: &'a Path,
    entries: u64,
    done: Checkout,
    index: Vec<IndexEntry>,
}

impl Walk<'_> {
    /// Writes one tree into `at`; `path` is where that is below the root, with a `/` at its end unless it is the root.
    fn tree(&mut self, id: Oid, at: &OwnedFd, path: &mut Vec<u8>, depth: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(self.bad(path, "it is nested too deeply"));
        }
        let repository = self.repository;
        let tree = repository.git.find_tree(id).map_err(|error| self.missing(id, error))?;
        for entry in &tree {
            self.entries += 1;
            if self.entries > MAX_ENTRIES {
                return Err(self.bad(path, "the commit has more than two million entries"));
            }
            let before = path.len();
            path.extend_from_slice(entry.name_bytes());
            if let Some(why) = unwritable(entry.name_bytes()) {
                return Err(self.bad(path, why));
            }
            match entry.filemode_raw() {
                0o040_000 => {
                    let below = make_folder(at, entry.name_bytes()).map_err(|source| self.unwritten(path, source))?;
                    path.push(b'/');
                    self.tree(entry.id(), &below, path, depth + 1)?;
                }
                0o160_000 => {
                    make_folder(at, entry.name_bytes()).map_err(|source| self.unwritten(path, source))?;
                    let stat = rustix::fs::statat(at, entry.name_bytes(), AtFlags::SYMLINK_NOFOLLOW)
                        .map_err(|errno| self.unwritten(path, errno.into()))?;
                    self.done.submodules.push((String::from_utf8_lossy(path).into_owned(), entry.id()));
                    self.index.push(indexed(path, 0o160_000, entry.id(), &stat));
                }
                0o120_000 => self.link(entry.id(), at, entry.name_bytes(), path)?,
                mode if mode & 0o170_000 == 0o100_000 => {
                    let mode = if mode & 0o100 == 0 { 0o100_644 } else { 0o100_755 };
                    self.file(entry.id(), mode, at, entry.name_bytes(), path)?;
                }
                _ => return Err(self.bad(path, "its mode is unknown")),
            }
            path.truncate(before);
        }
        Ok(())
    }

    fn file(&mut self, id: Oid, mode: u32, at: &OwnedFd, name: &[u8], path: &[u8]) -> Result<(), Error> {
        let blob = self.objects.read(id).map_err(|error| self.missing(id, error))?;
        let bytes = blob.data();
        let stat = write_file(at, name, mode, bytes).map_err(|source| self.unwritten(path, source))?;
        self.done.files += 1;
        self.done.bytes += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.done.lfs_pointers += u64::from(bytes.starts_with(LFS_POINTER));
        self.index.push(indexed(path, mode, id, &stat));
        Ok(())
    }

    fn link(&mut self, id: Oid, at: &OwnedFd, name: &[u8], path: &[u8]) -> Result<(), Error> {
        let blob = self.objects.read(id).map_err(|error| self.missing(id, error))?;
        let stat = rustix::fs::symlinkat(blob.data(), at, name)
            .and_then(|()| rustix::fs::statat(at, name, AtFlags::SYMLINK_NOFOLLOW))
            .map_err(|errno| self.unwritten(path, errno.into()))?;
        self.done.files += 1;
        self.index.push(indexed(path, 0o120_000, id, &stat));
        Ok(())
    }

    fn bad(&self, path: &[u8], why: &'static str) -> Error {
        Error::BadEntry { path: String::from_utf8_lossy(path).into_owned(), revision: self.revision.clone(), why }
    }

    fn unwritten(&self, path: &[u8], source: std::io::Error) -> Error {
        if source.kind() == std::io::ErrorKind::AlreadyExists {
            return self.bad(path, "two entries have this name");
        }
        Error::Write { path: self.folder.join(String::from_utf8_lossy(path).as_ref()), source }
    }

    fn missing(&self, id: Oid, error: git2::Error) -> Error {
        self.repository.failed_at(&id.to_string(), Some(self.revision), error)
    }
}

/// Why an entry of this name is not written; none when it can be.
fn unwritable(name: &[u8]) -> Option<&'static str> {
    match name {
        b"" | b"." | b".." => Some("it is no name"),
        _ if name.eq_ignore_ascii_case(b".git") => Some("no commit may bring a `.git`"),
        _ if name.contains(&b'/') || name.contains(&0) => Some("its name has a separator in it"),
        _ => None,
    }
}

/// Makes the checkout's root, or takes it when it is there and empty.
fn new_folder(folder: &Path) -> std::io::Result<OwnedFd> {
    match rustix::fs::mkdir(folder, Mode::from_raw_mode(0o700)) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(errno) => return Err(errno.into()),
    }
    let open = rustix::fs::open(folder, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    if std::fs::read_dir(folder)?.next().is_some() {
        return Err(std::io::Error::new(std::io::ErrorKind::DirectoryNotEmpty, "the folder is not empty"));
    }
    Ok(open)
}

fn make_folder(at: &OwnedFd, name: &[u8]) -> std::io::Result<OwnedFd> {
    rustix::fs::mkdirat(at, name, Mode::from_raw_mode(0o755))?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(at, name, flags, Mode::empty())?)
}

fn write_file(at: &OwnedFd, name: &[u8], mode: u32, bytes: &[u8]) -> std::io::Result<Stat> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::openat(at, name, flags, Mode::from_raw_mode(mode & 0o777))?);
    file.write_all(bytes)?;
    Ok(rustix::fs::fstat(&file)?)
}

/// An index entry whose numbers are those of the file, so that git need not read it to call it unchanged (git's `index-format`).
fn indexed(path: &[u8], mode: u32, id: Oid, stat: &Stat) -> IndexEntry {
    let time = |seconds: i64, nanoseconds: u64| IndexTime::new(i32::try_from(seconds).unwrap_or(0), low(nanoseconds));
    IndexEntry {
        ctime: time(stat.st_ctime, stat.st_ctime_nsec),
        mtime: time(stat.st_mtime, stat.st_mtime_nsec),
        dev: low(stat.st_dev),
        ino: low(stat.st_ino),
        mode,
        uid: stat.st_uid,
        gid: stat.st_gid,
        file_size: low(u64::try_from(stat.st_size).unwrap_or(0)),
        id,
        flags: 0,
        flags_extended: 0,
        path: path.to_vec(),
    }
}

/// The low 32 bits, which is all that an index keeps of a number.
fn low(number: u64) -> u32 {
    u32::try_from(number & 0xffff_ffff).unwrap_or(0)
}

/// Where the pieces of the `.git` of a checkout go.
pub(super) fn git_folder(folder: &Path) -> PathBuf {
    folder.join(".git")
}
