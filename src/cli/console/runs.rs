//! The repository's list of runs, read again only when it has grown.

use crate::console::RunSummary;
use crate::event::RunId;
use crate::run::RepositoryFolder;
use crate::run::reader::{Listed, RunReader, list};
use crate::store::JournalError;

/// How many runs are summed up.
const RUNS: usize = 20;

/// The runs of a repository, oldest first.
#[derive(Debug, Default)]
pub(super) struct Runs {
    listed: Vec<Listed>,
    /// How long the repository's journal was when it was read last.
    read: Option<u64>,
}

impl Runs {
    /// Looks again.
    ///
    /// # Errors
    /// When the repository's journal is damaged, or of a later program.
    pub(super) fn poll(&mut self, repository: &RepositoryFolder) -> Result<(), JournalError> {
        let length = std::fs::metadata(repository.journal()).map(|found| found.len()).ok();
        if length != self.read {
            self.listed = list(repository)?;
            self.read = length;
        }
        Ok(())
    }

    /// The newest of all.
    pub(super) fn newest(&self) -> Option<&Listed> {
        self.listed.last()
    }

    /// By id.
    pub(super) fn named(&self, run: &RunId) -> Option<&Listed> {
        self.listed.iter().find(|listed| listed.run == *run)
    }

    /// In a line each, newest first. It reads their journals whole: not for a screen that shows a run.
    pub(super) fn summaries(&self) -> Vec<RunSummary> {
        let summary = |listed: &Listed| {
            let mut reader = RunReader::new(&listed.folder);
            reader.poll().ok()?;
            let state = reader.state();
            Some(RunSummary {
                number: listed.number,
                run: listed.run.clone(),
                revision: listed.revision.clone(),
                title: state.created.as_ref()?.title.clone(),
                outcome: state.outcome(),
            })
        };
        self.listed.iter().rev().take(RUNS).filter_map(summary).collect()
    }
}
