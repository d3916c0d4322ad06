//! Is there anything that a build of the commit would not have?

use git2::{Status, StatusOptions};

use super::{Error, Repository};

impl Repository {
    /// Whether the working tree or the index differ from HEAD, or hold files that git neither tracks nor ignores. Always false when bare.
    ///
    /// Nothing is written, not even the index's times, and no file monitor, filter or submodule is asked. A file under a filter
    /// (Git LFS, for instance) whose times changed may be called changed though `git status` finds it clean. The first pass
    /// looks at tracked files only; an untracked folder is entered no further than its first file.
    ///
    /// # Errors
    /// When the index or a folder cannot be read.
    pub fn is_dirty(&self) -> Result<bool, Error> {
        if self.git.is_bare() {
            return Ok(false);
        }
        Ok(self.differs(Untracked::LeftOut)? || self.differs(Untracked::Counted)?)
    }

    fn differs(&self, untracked: Untracked) -> Result<bool, Error> {
        let mut options = StatusOptions::new();
        options
            .include_untracked(matches!(untracked, Untracked::Counted))
            .recurse_untracked_dirs(false)
            .include_ignored(false)
            .exclude_submodules(true)
            .include_unreadable(true)
            .update_index(false);
        let statuses = self.git.statuses(Some(&mut options)).map_err(|error| self.failed("the working tree's state", error))?;
        Ok(statuses.iter().any(|entry| !entry.status().intersects(Status::IGNORED) && entry.status() != Status::CURRENT))
    }
}

#[derive(Clone, Copy)]
enum Untracked {
    LeftOut,
    Counted,
}
