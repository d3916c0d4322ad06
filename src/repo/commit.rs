//! What a commit says, holds, and comes from.

use std::path::{Component, Path};

use chrono::{DateTime, FixedOffset};
use git2::{ErrorCode, ObjectType};

use super::{Error, Repository};
use crate::event::Revision;

/// The largest file that is read whole from a commit, in bytes.
const MAX_FILE_BYTES: usize = 16 << 20;

/// What a commit says of itself. All text is as its author wrote it: it goes through `text` before a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitFacts {
    /// The message's first line.
    pub title: String,
    /// The whole message.
    pub message: String,
    /// The message without its first line.
    pub description: String,
    /// `Name <address>`.
    pub author: String,
    /// When it was committed, in the committer's zone.
    pub timestamp: DateTime<FixedOffset>,
    /// The commits it was made upon; none for a first commit.
    pub parents: Vec<Revision>,
}

impl Repository {
    /// Reads what a commit says of itself. Bytes that are not UTF-8 are shown as U+FFFD.
    ///
    /// # Errors
    /// When the commit is not here.
    pub fn commit_facts(&self, revision: &Revision) -> Result<CommitFacts, Error> {
        let commit = self.commit(revision)?;
        let message = String::from_utf8_lossy(commit.message_bytes()).into_owned();
        let (title, description) = message.split_once('\n').unwrap_or((&message, ""));
        let author = commit.author();
        Ok(CommitFacts {
            title: title.trim_end().to_owned(),
            description: description.trim_start_matches('\n').to_owned(),
            author: format!("{} <{}>", String::from_utf8_lossy(author.name_bytes()), String::from_utf8_lossy(author.email_bytes())),
            timestamp: committed_at(commit.time()),
            parents: commit.parent_ids().map(|id| self.revision(id)).collect::<Result<_, _>>()?,
            message,
        })
    }

    /// The message of an annotated tag; empty for one that is but a name, none when there is no such tag.
    #[must_use]
    pub fn tag_message(&self, name: &str) -> Option<String> {
        let reference = self.git.find_reference(&format!("refs/tags/{name}")).ok()?;
        let message = reference.peel_to_tag().ok().and_then(|tag| tag.message_bytes().map(<[u8]>::to_vec)).unwrap_or_default();
        Some(String::from_utf8_lossy(&message).trim_end().to_owned())
    }

    /// Reads a file as the commit has it, whatever the working tree holds; none when the commit has no such path.
    ///
    /// # Errors
    /// When the path is not a relative one below the root, is no plain file there (links are not followed), or is over 16 MiB.
    pub fn read_file_at(&self, revision: &Revision, path: &Path) -> Result<Option<Vec<u8>>, Error> {
        let bad = |why| Error::BadEntry { path: path.to_string_lossy().into_owned(), revision: revision.clone(), why };
        let plain: Option<std::path::PathBuf> = path
            .components()
            .filter(|part| !matches!(part, Component::CurDir))
            .map(|part| if let Component::Normal(name) = part { Some(name) } else { None })
            .collect();
        let Some(plain) = plain.filter(|plain| !plain.as_os_str().is_empty()) else {
            return Err(bad("it is no path below the repository's root"));
        };
        let what = || format!("`{}` in {}", path.to_string_lossy().escape_debug(), revision.short());
        let failed = |error| self.failed_at(&what(), Some(revision), error);
        let tree = self.commit(revision)?.tree().map_err(failed)?;
        let entry = match tree.get_path(&plain) {
            Ok(entry) => entry,
            Err(error) if error.code() == ErrorCode::NotFound && error.class() == git2::ErrorClass::Tree => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        if entry.kind() != Some(ObjectType::Blob) || entry.filemode() == 0o120_000 {
            return Err(bad("it is no plain file there"));
        }
        let objects = self.git.odb().map_err(failed)?;
        let (size, _) = objects.read_header(entry.id()).map_err(failed)?;
        if size > MAX_FILE_BYTES {
            return Err(bad("it is over 16 MiB"));
        }
        objects.read(entry.id()).map(|object| Some(object.data().to_vec())).map_err(failed)
    }

    /// The last commit up to `revision` that changed what is at a path; none where nothing is there. As `git log -1 -- PATH`: a merge that
    /// took it from one side is passed over to that side.
    ///
    /// # Errors
    /// When a commit cannot be read.
    pub fn last_change_of(&self, revision: &Revision, path: &Path) -> Result<Option<Revision>, Error> {
        let failed = |error| self.failed_at(&format!("the history of `{}`", path.to_string_lossy().escape_debug()), Some(revision), error);
        let there = |commit: &git2::Commit<'_>| match commit.tree()?.get_path(path) {
            Ok(entry) => Ok(Some(entry.id())),
            Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
            Err(error) => Err(error),
        };
        let mut commit = self.commit(revision)?;
        let Some(blob) = there(&commit).map_err(failed)? else { return Ok(None) };
        loop {
            // In a shallow clone the history ends before the answer, and so does this.
            let same = commit.parents().find(|parent| there(parent).is_ok_and(|found| found == Some(blob)));
            match same {
                Some(parent) => commit = parent,
                None => return Ok(commit.id().to_string().parse().ok()),
            }
        }
    }

    /// Whether `ancestor` is `descendant`, or one of the commits it was made upon.
    ///
    /// # Errors
    /// When one of them is not here, or in a shallow clone whose history ends before the answer.
    pub fn is_ancestor(&self, ancestor: &Revision, descendant: &Revision) -> Result<bool, Error> {
        if ancestor == descendant {
            return Ok(true);
        }
        let (from, to) = (self.commit(descendant)?.id(), self.commit(ancestor)?.id());
        let asked = || format!("{} before {}", ancestor.short(), descendant.short());
        match self.git.graph_descendant_of(from, to) {
            Ok(false) if self.git.is_shallow() => Err(Error::Shallow { place: self.place(), asked: asked() }),
            Ok(answer) => Ok(answer),
            Err(error) => Err(self.failed(&asked(), error)),
        }
    }
}

fn committed_at(time: git2::Time) -> DateTime<FixedOffset> {
    let zone = FixedOffset::east_opt(time.offset_minutes().saturating_mul(60));
    let moment = DateTime::from_timestamp(time.seconds(), 0).unwrap_or_default();
    match zone {
        Some(zone) => moment.with_timezone(&zone),
        None => moment.fixed_offset(),
    }
}
