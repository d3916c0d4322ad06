//! What the engine tells a keeper, once, over its standard input. It holds masked values, so it is never written to disk.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::cache::CacheSpec;
use crate::event::{AttemptId, When};

/// One attempt: what to run, where, with what, for how long. No `Debug`: it holds secrets.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeeperSpec {
    /// Which attempt.
    pub attempt: AttemptId,
    /// The attempt's folder (`jobs/<slug>/<n>`), already made: log, keeper.json, exit.json, artifacts.json, junit/.
    pub attempt_folder: PathBuf,
    /// The job's own checkout, already made; absolute.
    pub checkout: PathBuf,
    /// `before_script` and `script`, one entry an element, not empty.
    pub script: Vec<String>,
    /// `after_script`; empty for none.
    #[serde(default)]
    pub after_script: Vec<String>,
    /// What the script's `export`s say, in order; they come after the shell's profile, so a profile cannot change them.
    #[serde(default)]
    pub variables: Vec<(String, String)>,
    /// The whole environment of the shell (PATH, HOME, LANG …). Exported again after the profile, so that PATH stays as it is here.
    #[serde(default)]
    pub base_environment: Vec<(String, String)>,
    /// Files that hold values of variables, which name their paths; their folder is this attempt's alone and goes with the keeper.
    #[serde(default)]
    pub variable_files: Vec<VariableFile>,
    /// The values that must not appear in anything written.
    #[serde(default)]
    pub masks: Vec<String>,
    /// The attempt's own socket, for `HMS_ATTEMPT_SOCKET`.
    #[serde(default)]
    pub socket: Option<PathBuf>,
    /// The token for that socket, for `HMS_ATTEMPT_TOKEN`; masked as well.
    #[serde(default)]
    pub token: Option<String>,
    /// How long the script may take, in milliseconds.
    pub timeout_ms: u64,
    /// How long the script has to end after a cancel before it is killed, in milliseconds.
    #[serde(default = "default_cancel_grace_ms")]
    pub cancel_grace_ms: u64,
    /// How long `after_script` may take, in milliseconds.
    #[serde(default = "default_after_script_timeout_ms")]
    pub after_script_timeout_ms: u64,
    /// After how many bytes the rest of the job's output is left out of the log; none for no end.
    #[serde(default = "default_log_limit_bytes")]
    pub log_limit_bytes: Option<u64>,
    /// Caches, put into the checkout before them and kept after the script.
    #[serde(default)]
    pub caches: Vec<CacheSpec>,
    /// Trees of artifacts to be put into the checkout first; where two have the same path, the later one wins.
    #[serde(default)]
    pub inputs: Vec<PathBuf>,
    /// What is kept of the checkout afterwards.
    #[serde(default)]
    pub artifacts: ArtifactSpec,
    /// The folder that becomes the tree of this attempt's artifacts; it must be fresh or not there.
    pub artifacts_folder: PathBuf,
    /// The pattern that finds the coverage in the log.
    #[serde(default)]
    pub coverage: Option<String>,
    /// What no other job may have while this one runs.
    #[serde(default)]
    pub resource: Option<Resource>,
}

/// A file that a variable of the type `file` names.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VariableFile {
    /// Where it will be.
    pub path: PathBuf,
    /// What is in it. Secret.
    pub value: String,
}

/// A lock that the keeper holds for as long as its job runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// Its file.
    pub path: PathBuf,
    /// Who holds it, for those who wait: `deploy of run 12`.
    pub role: String,
}

/// GitLab's `artifacts:`, variables already put in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactSpec {
    /// Globs or paths, relative to the checkout.
    #[serde(default)]
    pub paths: Vec<String>,
    /// Globs of paths that are left out; `dir` alone does not leave out what is in it.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Whether everything that the commit did not bring is kept as well.
    #[serde(default)]
    pub untracked: bool,
    /// What a download of them is called.
    #[serde(default)]
    pub name: Option<String>,
    /// After which end the paths are kept: `on_success`, `on_failure` or `always`; `never` and `manual` keep none.
    pub when: When,
    /// Globs of `JUnit` reports, kept after any end but a timeout.
    #[serde(default)]
    pub reports_junit: Vec<String>,
    /// Globs of dotenv reports, likewise.
    #[serde(default)]
    pub reports_dotenv: Vec<String>,
    /// Globs of the other reports by their kind, which are kept and not read, likewise.
    #[serde(default)]
    pub reports_kept: BTreeMap<String, Vec<String>>,
}

impl Default for ArtifactSpec {
    fn default() -> Self {
        Self {
            paths: Vec::new(),
            exclude: Vec::new(),
            untracked: false,
            name: None,
            when: When::OnSuccess,
            reports_junit: Vec::new(),
            reports_dotenv: Vec::new(),
            reports_kept: BTreeMap::new(),
        }
    }
}

/// Five seconds.
fn default_cancel_grace_ms() -> u64 {
    5_000
}

/// GitLab Runner's `RUNNER_AFTER_SCRIPT_TIMEOUT`: five minutes.
fn default_after_script_timeout_ms() -> u64 {
    300_000
}

/// One GiB.
#[expect(clippy::unnecessary_wraps, reason = "serde wants the field's own type")]
fn default_log_limit_bytes() -> Option<u64> {
    Some(1 << 30)
}
