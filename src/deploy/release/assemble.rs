//! Puts a release together: the commit's tree, overlaid with artifacts, later over earlier (`docs/decisions.md` 5.2).
//!
//! The whole plan is made in memory first, from paths and not from what the paths lead to, so that no overlay can write
//! through a link of an earlier one.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::ReleaseError;
use super::digest::{Listing, copy};
use super::tree::{self, Kind, link_text};
use crate::event::Digest;
use crate::store::{DiskError, sync_folder};

/// As many links as the system follows in one path (`path_resolution(7)`).
const LINKS_FOLLOWED: u32 = 40;

/// A tree that was put together and synced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assembled {
    /// The digest of exactly the bytes that were written.
    pub digest: Digest,
    /// How many files and links.
    pub files: u64,
    /// How many bytes the files have.
    pub bytes: u64,
}

/// When a copy must have reached the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sync {
    /// Before the call returns.
    Now,
    /// Whenever: it can be made again.
    Never,
}

/// Writes the tree at `base`, overlaid with `overlays` in their order, to the new or empty folder `into`, and syncs it.
///
/// Files get mode 644 or 755. `.git` is left out at any depth. Links are copied, never followed.
///
/// # Errors
/// When a link leads outside the tree, something is neither file nor link, a name is not UTF-8 or has a line break, `into` is
/// not empty, or the disk says no. What was written so far is left for the caller to remove.
pub fn assemble(base: &Path, overlays: &[PathBuf], into: &Path) -> Result<Assembled, ReleaseError> {
    write_out(&plan(base, overlays)?, into, Sync::Now)
}

/// Copies a tree as [`assemble`] does.
pub(crate) fn copy_tree(tree: &Path, into: &Path, sync: Sync) -> Result<Assembled, ReleaseError> {
    write_out(&plan(tree, &[])?, into, sync)
}

/// Where each path of the result comes from.
type Plan<'a> = BTreeMap<String, (&'a Path, Kind)>;

fn plan<'a>(base: &'a Path, overlays: &'a [PathBuf]) -> Result<Plan<'a>, ReleaseError> {
    let mut plan = Plan::new();
    for root in std::iter::once(base).chain(overlays.iter().map(PathBuf::as_path)) {
        let entries = tree::walk(root)?;
        let folders: HashSet<&str> = entries.iter().flat_map(|(path, _)| above(path)).collect();
        plan.retain(|path, _| !folders.contains(path.as_str()));
        for (path, kind) in entries {
            remove_below(&mut plan, &path);
            plan.insert(path, (root, kind));
        }
    }
    refuse_links_outside(&plan)?;
    Ok(plan)
}

/// The folders that a path lies in, without the tree itself.
fn above(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').filter_map(|(at, _)| path.get(..at))
}

/// A file or link takes the place of a folder and all that was in it.
fn remove_below(plan: &mut Plan<'_>, path: &str) {
    let prefix = format!("{path}/");
    let below: Vec<String> =
        plan.range(prefix.clone()..).map(|(path, _)| path).take_while(|path| path.starts_with(&prefix)).cloned().collect();
    for path in below {
        plan.remove(&path);
    }
}

fn refuse_links_outside(plan: &Plan<'_>) -> Result<(), ReleaseError> {
    for (path, (_, kind)) in plan {
        if let Kind::Link { text } = kind
            && !stays_inside(plan, path)
        {
            return Err(ReleaseError::LinkOutside { path: path.into(), to: link_text(text).to_owned() });
        }
    }
    Ok(())
}

/// Walks a link part by part as the system would, with the links on its way, and says whether it ever leaves the tree. Looking at
/// the text alone is not enough: `up -> ../../..` may be inside, and `up/..` then outside. A dangling or endless link leads nowhere.
fn stays_inside(plan: &Plan<'_>, link: &str) -> bool {
    let mut place: Vec<&str> = Vec::new();
    let mut ahead: VecDeque<&str> = link.split('/').collect();
    let mut followed = 0;
    while let Some(part) = ahead.pop_front() {
        match part {
            "" | "." => continue,
            ".." => match place.pop() {
                Some(_) => continue,
                None => return false,
            },
            name => place.push(name),
        }
        let Some((_, Kind::Link { text })) = plan.get(&place.join("/")) else { continue };
        followed += 1;
        if followed > LINKS_FOLLOWED {
            return true;
        }
        let Ok(text) = std::str::from_utf8(text) else { return false };
        if text.starts_with('/') {
            return false;
        }
        place.pop();
        for part in text.rsplit('/') {
            ahead.push_front(part);
        }
    }
    true
}

fn write_out(plan: &Plan<'_>, into: &Path, sync: Sync) -> Result<Assembled, ReleaseError> {
    fs::create_dir_all(into).map_err(DiskError::of("make the folder", into))?;
    if fs::read_dir(into).map_err(DiskError::of("read the folder", into))?.next().is_some() {
        return Err(ReleaseError::Unfit { path: into.to_owned(), why: "the folder to write to is not empty" });
    }
    let mut listing = Listing::default();
    let mut made: HashSet<&str> = HashSet::new();
    for (path, (root, kind)) in plan {
        for folder in above(path) {
            if made.insert(folder) {
                let folder = into.join(folder);
                fs::create_dir(&folder).map_err(DiskError::of("make the folder", &folder))?;
            }
        }
        let place = into.join(path);
        match kind {
            Kind::Link { text } => {
                symlink(link_text(text), &place).map_err(DiskError::of("make the link", &place))?;
                listing.link(path.clone(), text);
            }
            Kind::File { executable } => {
                let (digest, bytes) = copy_file(&root.join(path), &place, *executable)?;
                listing.file(path.clone(), *executable, &digest, bytes);
            }
        }
    }
    if sync == Sync::Now {
        // One call for the whole file system: a sync for each of ten thousand files takes minutes on a slow disk.
        let folder = File::open(into).map_err(DiskError::of("open", into))?;
        rustix::fs::syncfs(&folder).map_err(|error| DiskError::of("sync", into)(error.into()))?;
        sync_folder(into)?;
    }
    let (digest, files, bytes) = listing.finish();
    Ok(Assembled { digest, files, bytes })
}

fn copy_file(from: &Path, to: &Path, executable: bool) -> Result<(Digest, u64), DiskError> {
    let mut source = tree::open(from)?;
    let mut target = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to).map_err(DiskError::of("write", to))?;
    let copied = copy(&mut source, &mut target).map_err(DiskError::of("write", to))?;
    let mode = if executable { 0o755 } else { 0o644 };
    target.set_permissions(fs::Permissions::from_mode(mode)).map_err(DiskError::of("set the mode of", to))?;
    Ok(copied)
}
