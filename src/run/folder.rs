//! Where a repository's runs lie, and what lies in a run's folder (`docs/decisions.md` 2).

use std::path::{Path, PathBuf};

use crate::event::{JobName, RunId};
use crate::store::{DiskError, make_private_folder, read_if_there, replace};

/// `<git common dir>/hms`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryFolder(PathBuf);

/// `<git common dir>/hms/runs/<number>-<run id>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFolder(PathBuf);

impl RepositoryFolder {
    /// What jobs keep for later runs (`cache`).
    #[must_use]
    pub fn caches(&self) -> PathBuf {
        self.0.join("cache")
    }

    /// The folder below a repository's common git directory; nothing is made.
    #[must_use]
    pub fn of(common_dir: &Path) -> Self {
        Self(common_dir.join("hms"))
    }

    /// Makes the folder, and checks that this program may write there.
    ///
    /// # Errors
    /// When the disk says no, or a later program uses it with another format.
    pub fn make(&self) -> Result<(), DiskError> {
        make_private_folder(&self.0.join("runs"))?;
        let format = self.0.join("format");
        match read_if_there(&format)? {
            None => replace(&format, b"1\n"),
            Some(text) if text.trim_ascii() == b"1" => Ok(()),
            Some(text) => Err(DiskError::NotPrivate {
                path: self.0.clone(),
                why: format!(
                    "it has format {}, this program writes format 1; use the hms that made it",
                    String::from_utf8_lossy(text.trim_ascii())
                ),
            }),
        }
    }

    /// Held while a run number is given out.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }

    /// The repository's journal.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.0.join("journal")
    }

    /// The folder of a run.
    #[must_use]
    pub fn run(&self, number: u64, run: &RunId) -> RunFolder {
        RunFolder(self.0.join("runs").join(format!("{number}-{run}")))
    }
}

impl RunFolder {
    /// Takes a path for a run's folder; the engine is started with it.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The folder of the repository whose run it is.
    #[must_use]
    pub fn repository(&self) -> RepositoryFolder {
        RepositoryFolder(self.0.ancestors().nth(2).unwrap_or(&self.0).to_owned())
    }

    /// The run's journal.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.0.join("journal")
    }

    /// The run's lock; whoever holds it is the engine.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }

    /// What the engine wrote to its standard error.
    #[must_use]
    pub fn engine_log(&self) -> PathBuf {
        self.0.join("engine.log")
    }

    /// The pipeline file of the commit.
    #[must_use]
    pub fn pipeline(&self) -> PathBuf {
        self.0.join("pipeline.yml")
    }

    /// The plan made of it, as JSON.
    #[must_use]
    pub fn plan(&self) -> PathBuf {
        self.0.join("plan.json")
    }

    /// The folder of an attempt: log, keeper, exit record.
    #[must_use]
    pub fn attempt(&self, job: &JobName, number: u32) -> PathBuf {
        self.0.join("jobs").join(job.slug()).join(number.to_string())
    }

    /// The isolated checkout of an attempt.
    #[must_use]
    pub fn work(&self, job: &JobName, number: u32) -> PathBuf {
        self.0.join("work").join(job.slug()).join(number.to_string())
    }

    /// What an attempt handed on.
    #[must_use]
    pub fn artifacts(&self, job: &JobName, number: u32) -> PathBuf {
        self.0.join("artifacts").join(job.slug()).join(number.to_string())
    }

    /// The HOME of an attempt, empty at first: what one job writes there is no other's profile.
    #[must_use]
    pub fn home(&self, job: &JobName, number: u32) -> PathBuf {
        self.0.join("home").join(job.slug()).join(number.to_string())
    }

    /// Where an attempt's variables of the type `file` lie while it runs.
    #[must_use]
    pub fn variables(&self, job: &JobName, number: u32) -> PathBuf {
        self.0.join("variables").join(job.slug()).join(number.to_string())
    }

    /// hms's programs, first on the PATH of the run's jobs.
    #[must_use]
    pub fn programs(&self) -> PathBuf {
        self.0.join("bin")
    }

    /// Where the run's release is put together.
    #[must_use]
    pub fn release(&self) -> PathBuf {
        self.0.join("release")
    }
}
