//! What a keeper leaves behind, and what can be known of an attempt from its folder.
//!
//! `exit.json`, format 1, is the last thing a keeper writes:
//! `{"format":1,"attempt":…,"result":…,"exit_code":…,"signal":…,"failure_reason":…,"duration_ms":…,"message":…,"artifacts":{…},"tests":{…},"warnings":[…],
//! "dotenv":[[name,value],…],"reports":[[kind,path],…],"coverage":…}`.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::ExecutorError;
use crate::event::{AttemptId, AttemptResult, FailureReason, TestCounts};
use crate::store::{Holder, holder_of, read_if_there};

/// How an attempt ended, in its keeper's words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// 1.
    pub format: u32,
    /// Which attempt.
    pub attempt: AttemptId,
    /// How it ended.
    pub result: AttemptResult,
    /// The shell's exit code, when it exited.
    #[serde(default)]
    pub exit_code: Option<i32>,
    /// The signal that ended the shell; people are shown 128 + this.
    #[serde(default)]
    pub signal: Option<i32>,
    /// Why it failed.
    #[serde(default)]
    pub failure_reason: Option<FailureReason>,
    /// From the start of the script to its end, by a monotonic clock.
    pub duration_ms: u64,
    /// One plain sentence, for instance which line of the script failed. Masked.
    #[serde(default)]
    pub message: Option<String>,
    /// What was kept.
    #[serde(default)]
    pub artifacts: ArtifactCounts,
    /// Test counts, from reports if there are any, else from the output.
    #[serde(default)]
    pub tests: Option<TestCounts>,
    /// What a person should know and that failed nothing. Masked.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// The variables of its dotenv reports, for later jobs. Masked.
    #[serde(default)]
    pub dotenv: Vec<(String, String)>,
    /// The reports that were kept and not read: kind, and path below the attempt's folder. Masked copies.
    #[serde(default)]
    pub reports: Vec<(String, PathBuf)>,
    /// What its log says of coverage, in percent.
    #[serde(default)]
    pub coverage: Option<f64>,
}

/// Artifacts in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ArtifactCounts {
    /// Files kept.
    pub files: u64,
    /// Links kept, as links.
    pub links: u64,
    /// Bytes in those files.
    pub bytes: u64,
    /// Matched, and refused: links out of the checkout, sockets, devices.
    pub refused: u64,
    /// Reports kept.
    pub reports: u64,
}

/// What is known of an attempt that was started.
#[derive(Debug, Clone, PartialEq)]
pub enum KeeperState {
    /// Its keeper holds its lock.
    Alive(Holder),
    /// It ended, and said how.
    Ended(Box<ExitRecord>),
    /// Neither: it was interrupted.
    Gone,
}

/// Looks at an attempt's folder.
///
/// # Errors
/// When something there cannot be read or understood.
pub fn keeper_state(attempt_folder: &Path) -> Result<KeeperState, ExecutorError> {
    if let Some(record) = read_record(attempt_folder)? {
        return Ok(KeeperState::Ended(Box::new(record)));
    }
    if let Some(holder) = holder_of(&lock_path(attempt_folder))? {
        return Ok(KeeperState::Alive(holder));
    }
    // It may have ended between the two looks.
    Ok(read_record(attempt_folder)?.map_or(KeeperState::Gone, |record| KeeperState::Ended(Box::new(record))))
}

fn read_record(attempt_folder: &Path) -> Result<Option<ExitRecord>, ExecutorError> {
    let path = record_path(attempt_folder);
    let Some(bytes) = read_if_there(&path)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|source| ExecutorError::BadRecord { path, source })
}

/// The last line that a keeper wrote of its own troubles; none when it had none, or could not.
#[must_use]
pub fn last_words(attempt_folder: &Path) -> Option<String> {
    let text = std::fs::read(attempt_folder.join("keeper.log")).ok()?;
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().map(str::trim).rfind(|line| !line.is_empty())?;
    Some(line.strip_prefix("hms keeper: ").unwrap_or(line).to_owned())
}

/// The attempt's log: the masked bytes of the job, as they came.
#[must_use]
pub fn log_path(attempt_folder: &Path) -> PathBuf {
    attempt_folder.join("log")
}

/// The file whose lock the keeper holds for life.
pub(crate) fn lock_path(attempt_folder: &Path) -> PathBuf {
    attempt_folder.join("keeper.json")
}

/// Room on the disk that the exit record is to have.
pub(crate) fn reserve_path(attempt_folder: &Path) -> PathBuf {
    attempt_folder.join("reserve")
}

/// The exit record.
pub(crate) fn record_path(attempt_folder: &Path) -> PathBuf {
    attempt_folder.join("exit.json")
}
