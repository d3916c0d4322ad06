//! A pipeline as its file says it: every default applied, nothing decided yet that depends on the run.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::document::{Node, Place};
use crate::event::{EnvironmentName, When};

use super::rule::Rule;

/// A pipeline file, read and without errors.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    /// All stages, `.pre` and `.post` among them.
    pub(super) stages: Vec<String>,
    pub(super) variables: Vec<Variable>,
    /// In the order of the file.
    pub(super) jobs: Vec<JobSpec>,
    pub(super) settings: Option<Node>,
    /// Whether the deviations from GitLab are off.
    pub(super) strict: bool,
}

impl Pipeline {
    /// What stands under `.hms`: hms's own settings, for the policy to read.
    #[must_use]
    pub fn settings(&self) -> Option<&Node> {
        self.settings.as_ref()
    }

    /// The stages in order, `.pre` and `.post` among them.
    #[must_use]
    pub fn stages(&self) -> &[String] {
        &self.stages
    }

    /// The names of the jobs, in the order of the file.
    pub fn job_names(&self) -> impl Iterator<Item = &str> {
        self.jobs.iter().map(|job| job.name.as_str())
    }
}

/// A job of the file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct JobSpec {
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) stage: String,
    pub(super) stage_place: Place,
    /// Shared with every job that takes the default, so that a long one is in memory once.
    pub(super) before_script: Arc<[Line]>,
    pub(super) script: Vec<Line>,
    pub(super) after_script: Arc<[Line]>,
    pub(super) image: Option<String>,
    pub(super) when: When,
    pub(super) when_place: Place,
    /// What the job itself says.
    pub(super) allow_failure: Option<bool>,
    pub(super) needs: Option<Vec<NeedSpec>>,
    pub(super) needs_place: Place,
    pub(super) variables: Vec<Variable>,
    pub(super) parallel: Option<u32>,
    pub(super) artifacts: Arc<Artifacts>,
    pub(super) timeout_seconds: Option<u64>,
    pub(super) environment: Option<EnvironmentSpec>,
    /// Environments named literally by an `hms-deploy --env` in the script.
    pub(super) script_environments: Vec<EnvironmentName>,
    pub(super) rules: Option<Vec<Rule>>,
    pub(super) resource_group: Option<String>,
    /// Deviation (c): its `when: manual` blocks unless it says otherwise.
    pub(super) gate: bool,
}

impl JobSpec {
    /// Whether it deploys: by `environment` with a name that can be one of hms's, or by its script.
    pub(super) fn deploys(&self) -> bool {
        !self.script_environments.is_empty() || self.environment.as_ref().is_some_and(EnvironmentSpec::deploys)
    }

    /// Whether an instance of it has that name.
    pub(super) fn has_instance(&self, name: &str) -> bool {
        let share = name.strip_prefix(self.name.as_str()).and_then(|rest| rest.strip_prefix(' '));
        let (Some((index, of)), Some(total)) = (share.and_then(|share| share.split_once('/')), self.parallel) else { return false };
        let index_fits = index.parse::<u32>().is_ok_and(|number| (1..=total).contains(&number) && number.to_string() == index);
        index_fits && of == total.to_string()
    }

    /// The names of its instances: its own, or `name 1/N` to `name N/N`.
    pub(super) fn instances(&self) -> Vec<(String, Option<(u32, u32)>)> {
        match self.parallel {
            None => vec![(self.name.clone(), None)],
            Some(total) => (1..=total).map(|index| (format!("{} {index}/{total}", self.name), Some((index, total)))).collect(),
        }
    }
}

/// An entry of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) place: Place,
    pub(super) text: String,
}

/// A variable of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) value: String,
    /// `expand: false`: never expanded, by nobody.
    pub(super) raw: bool,
}

/// An entry of `needs`, by the name in the file or an instance's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NeedSpec {
    pub(super) job: String,
    pub(super) place: Place,
    pub(super) artifacts: bool,
    pub(super) optional: bool,
}

/// What `environment` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EnvironmentSpec {
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) url: Option<String>,
    pub(super) tier: Option<String>,
    pub(super) action: Action,
}

impl EnvironmentSpec {
    fn deploys(&self) -> bool {
        self.action == Action::Start && (self.name.contains('$') || self.name.parse::<EnvironmentName>().is_ok())
    }
}

/// GitLab's `environment:action`. Only a start deploys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Start,
    Prepare,
    Stop,
    Verify,
    Access,
}

impl Action {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Prepare => "prepare",
            Self::Stop => "stop",
            Self::Verify => "verify",
            Self::Access => "access",
        }
    }
}

/// What a job hands on. Paths are as written: variables in them are for the runner to expand.
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
