//! What a plan keeps of a job as the file says it, for the parts that carry it out. Variables in texts are for the runner to
//! expand ([`expand_for_runner`](super::expand_for_runner)). Kept with a run: fields are added with a default, never renamed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::FailureReason;

/// What a job hands on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Artifacts {
    /// Globs below the job's checkout.
    #[serde(default)]
    pub paths: Vec<String>,
    /// Globs of what is left out; a folder is not left out with what is in it unless the glob says so.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// After which result they are kept.
    #[serde(default)]
    pub when: ArtifactsWhen,
    /// Files that git does not know are handed on too.
    #[serde(default)]
    pub untracked: bool,
    /// Globs of `JUnit` reports; kept whatever the result is.
    #[serde(default)]
    pub reports_junit: Vec<String>,
    /// Globs of the other reports, by their kind as GitLab spells it (`dotenv`, `sast` …); kept whatever the result is.
    #[serde(default)]
    pub reports: BTreeMap<String, Vec<String>>,
    /// How long they are kept, in seconds; none for `never` and when nothing is said.
    #[serde(default)]
    pub expire_in_seconds: Option<u64>,
    /// What a download of them is called.
    #[serde(default)]
    pub name: Option<String>,
}

/// GitLab's `workflow:auto_cancel`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AutoCancel {
    /// What a newer commit of the same ref ends.
    #[serde(default)]
    pub on_new_commit: OnNewCommit,
    /// What the failure of a job ends.
    #[serde(default)]
    pub on_job_failure: OnJobFailure,
}

/// What a newer commit of the same ref ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnNewCommit {
    /// The whole run, as long as nothing has started that is not interruptible.
    #[default]
    Conservative,
    /// Its interruptible jobs.
    Interruptible,
    /// Nothing.
    None,
}

/// What the failure of a job ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnJobFailure {
    /// The whole run.
    All,
    /// Nothing.
    #[default]
    None,
}

/// GitLab's `environment:auto_stop_in`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AutoStop {
    /// So many seconds after the job's end.
    After(u64),
    /// By itself not at all; a time that was set before is taken away.
    Never,
}

/// GitLab's `artifacts:when`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArtifactsWhen {
    /// Only when the job succeeded.
    #[default]
    OnSuccess,
    /// Only when it failed.
    OnFailure,
    /// In any case.
    Always,
}

/// GitLab's `retry`. Runs in all: one more than `max`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Retry {
    /// How often it runs again, 0 to 2.
    pub max: u8,
    /// After which failures.
    #[serde(default)]
    pub when: Vec<RetryWhen>,
    /// After which exit codes of the script.
    #[serde(default)]
    pub exit_codes: Vec<i32>,
}

/// GitLab's `retry:when`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryWhen {
    /// Any.
    Always,
    /// One with no known reason.
    UnknownFailure,
    /// The script failed.
    ScriptFailure,
    /// The API failed.
    ApiFailure,
    /// Stuck, or too late.
    StuckOrTimeoutFailure,
    /// What runs the job failed.
    RunnerSystemFailure,
    /// What runs the job cannot do this one.
    RunnerUnsupported,
    /// A delayed job that was never started.
    StaleSchedule,
    /// Its `timeout` was over.
    JobExecutionTimeout,
    /// It is too old.
    ArchivedFailure,
    /// Something it rests on failed.
    UnmetPrerequisites,
    /// The scheduler failed.
    SchedulerFailure,
    /// Its data are damaged.
    DataIntegrityFailure,
    /// One of GitLab's that no run of hms has.
    NotHere,
}

impl Retry {
    /// Whether a job that had so many attempts, the last of which failed for that reason, runs again (GitLab
    /// `lib/gitlab/ci/build/auto_retry.rb`). With neither `when` nor `exit_codes` any failure counts; with either, that one.
    /// Attempts that a person asked for count, as they do there.
    ///
    /// What lacks something it needs is never retried (`RETRY_OVERRIDES` there); nor is what the driver of a rollout ended (held, harm,
    /// refused) and what nobody knows the end of.
    #[must_use]
    pub fn again(&self, attempts: u32, reason: FailureReason, exit_code: Option<i32>) -> bool {
        if attempts > u32::from(self.max) {
            return false;
        }
        let named = match reason {
            FailureReason::ScriptFailure => RetryWhen::ScriptFailure,
            FailureReason::JobExecutionTimeout => RetryWhen::JobExecutionTimeout,
            FailureReason::RunnerSystemFailure => RetryWhen::RunnerSystemFailure,
            FailureReason::MissingDependencyFailure
            | FailureReason::CanaryHeld
            | FailureReason::CanaryHarm
            | FailureReason::CanaryTakenBack
            | FailureReason::Refused
            | FailureReason::Interrupted => return false,
        };
        let any = self.when.is_empty() && self.exit_codes.is_empty();
        let by_code = reason == FailureReason::ScriptFailure && exit_code.is_some_and(|code| self.exit_codes.contains(&code));
        any || by_code || self.when.contains(&RetryWhen::Always) || self.when.contains(&named)
    }
}

/// More of an image than its name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ImageOptions {
    /// What the container starts.
    #[serde(default)]
    pub entrypoint: Option<Vec<String>>,
    /// When it is pulled, in order of what is tried.
    #[serde(default)]
    pub pull_policy: Vec<String>,
    /// As whom it runs.
    #[serde(default)]
    pub user: Option<String>,
    /// For which platform, for instance `linux/arm64`.
    #[serde(default)]
    pub platform: Option<String>,
}

/// A container that runs beside a job.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Service {
    /// Its image.
    pub name: String,
    /// The names under which the job finds it.
    #[serde(default)]
    pub alias: Vec<String>,
    /// What it starts.
    #[serde(default)]
    pub entrypoint: Option<Vec<String>>,
    /// With which arguments.
    #[serde(default)]
    pub command: Option<Vec<String>>,
    /// Variables of its own.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// Image options beside the entrypoint.
    #[serde(default)]
    pub image: ImageOptions,
}

/// Files kept from one job for a later one, if they are still there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cache {
    /// What tells caches apart.
    #[serde(default)]
    pub key: CacheKey,
    /// Globs below the job's checkout.
    #[serde(default)]
    pub paths: Vec<String>,
    /// Files that git does not know are kept too.
    #[serde(default)]
    pub untracked: bool,
    /// What the job does with it: `pull`, `push` or `pull-push`, or a variable that says so.
    #[serde(default)]
    pub policy: Option<String>,
    /// After which result it is kept.
    #[serde(default)]
    pub when: ArtifactsWhen,
    /// Keys that are tried when this one has nothing.
    #[serde(default)]
    pub fallback_keys: Vec<String>,
    /// Protected refs share it with the others.
    #[serde(default)]
    pub unprotect: bool,
}

/// GitLab's `cache:key`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheKey {
    /// A text.
    Text(String),
    /// The hash of one or two files.
    Files {
        /// The files.
        files: Vec<String>,
        /// What stands before the hash.
        #[serde(default)]
        prefix: Option<String>,
        /// What is hashed.
        #[serde(default)]
        of: KeyOf,
    },
}

/// What of files makes a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyOf {
    /// What is in them: `files`.
    #[default]
    Contents,
    /// The last commits that changed them: `files_commits`.
    Commits,
}

impl Default for CacheKey {
    fn default() -> Self {
        Self::Text("default".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use FailureReason::{CanaryHarm, JobExecutionTimeout, MissingDependencyFailure, RunnerSystemFailure, ScriptFailure};

    #[test]
    fn retries_are_gitlabs() {
        let retry = |max, when: &[RetryWhen], exit_codes: &[i32]| Retry { max, when: when.to_vec(), exit_codes: exit_codes.to_vec() };
        let timeout = &[RetryWhen::JobExecutionTimeout];
        let table = [
            (retry(2, &[], &[]), 1, ScriptFailure, Some(1), true),
            (retry(2, &[], &[]), 2, ScriptFailure, Some(1), true),
            (retry(2, &[], &[]), 3, ScriptFailure, Some(1), false),
            (retry(0, &[], &[]), 1, ScriptFailure, Some(1), false),
            (retry(1, timeout, &[]), 1, ScriptFailure, Some(1), false),
            (retry(1, timeout, &[]), 1, JobExecutionTimeout, None, true),
            (retry(1, &[], &[137]), 1, ScriptFailure, Some(137), true),
            (retry(1, &[], &[137]), 1, ScriptFailure, Some(1), false),
            (retry(1, timeout, &[137]), 1, ScriptFailure, Some(137), true),
            (retry(1, timeout, &[137]), 1, JobExecutionTimeout, None, true),
            (retry(1, &[RetryWhen::Always], &[]), 1, RunnerSystemFailure, None, true),
            (retry(2, &[RetryWhen::Always], &[]), 1, CanaryHarm, Some(12), false),
            (retry(2, &[RetryWhen::Always], &[]), 1, MissingDependencyFailure, None, false),
            // A code that a script was killed with at its time's end is not the script's answer.
            (retry(2, &[], &[1]), 1, JobExecutionTimeout, Some(1), false),
        ];
        for (retry, attempts, reason, exit_code, expected) in table {
            assert_eq!(retry.again(attempts, reason, exit_code), expected, "{retry:?} {attempts} {reason:?}");
        }
    }
}
