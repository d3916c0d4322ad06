//! A pipeline as its file says it: every default applied, nothing decided yet that depends on the run.

use std::sync::Arc;

use crate::document::{Entry, Node, Place};
use crate::event::{EnvironmentName, When};

use super::gather::Fetched;
use super::kept::{Artifacts, AutoCancel, Cache, ImageOptions, OnJobFailure, OnNewCommit, Retry, Service};
use super::matrix::{self, Instance, Matrix, Parallel};
use super::only::RefPolicy;
use super::rule::Rule;

/// A pipeline file, read and without errors.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    /// All stages, `.pre` and `.post` among them.
    pub(super) stages: Vec<String>,
    pub(super) variables: Vec<Variable>,
    pub(super) workflow: Workflow,
    /// In the order of the file.
    pub(super) jobs: Vec<JobSpec>,
    pub(super) settings: Option<Node>,
    /// Whether the deviations from GitLab are off.
    pub(super) strict: bool,
    /// The names of included files, for the places of problems.
    pub(super) files: Vec<String>,
    /// Everything at the top, with includes, `extends` and references written out.
    pub(super) tree: Arc<[Entry]>,
    /// What came from addresses.
    pub(super) fetched: Vec<Fetched>,
}

/// What `workflow` says.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Workflow {
    pub(super) name: Option<String>,
    pub(super) rules: Option<Vec<Rule>>,
    pub(super) auto_cancel: AutoCancelSpec,
}

/// What `auto_cancel` says; a rule's beats that of `workflow`, each key for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct AutoCancelSpec {
    pub(super) on_new_commit: Option<OnNewCommit>,
    pub(super) on_job_failure: Option<OnJobFailure>,
}

impl AutoCancelSpec {
    /// With what a rule says over it, and GitLab's defaults below it (`pipeline/chain/populate_metadata.rb`).
    pub(super) fn under(self, rule: Self) -> AutoCancel {
        AutoCancel {
            on_new_commit: rule.on_new_commit.or(self.on_new_commit).unwrap_or_default(),
            on_job_failure: rule.on_job_failure.or(self.on_job_failure).unwrap_or_default(),
        }
    }
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

    /// The job of the file that something is an instance of: `test` of `test 1/4`.
    #[must_use]
    pub fn base_of(&self, instance: &str) -> Option<&str> {
        self.jobs.iter().find(|job| job.has_instance(instance)).map(|job| job.name.as_str())
    }

    /// The name of the file that a place is in, when that is an included one.
    #[must_use]
    pub fn file_of(&self, place: Place) -> Option<&str> {
        usize::from(place.file).checked_sub(1).and_then(|at| self.files.get(at)).map(String::as_str)
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
    pub(super) image_options: ImageOptions,
    pub(super) services: Arc<[Service]>,
    pub(super) cache: Arc<[Cache]>,
    pub(super) tags: Arc<[String]>,
    pub(super) when: When,
    pub(super) when_place: Place,
    pub(super) start_in_seconds: Option<u64>,
    /// What the job itself says.
    pub(super) allow_failure: Option<AllowFailure>,
    pub(super) retry: Option<Retry>,
    pub(super) interruptible: Option<bool>,
    pub(super) manual_confirmation: Option<String>,
    pub(super) coverage: Option<String>,
    /// The jobs whose artifacts it takes, if it says.
    pub(super) dependencies: Option<Vec<(String, Place)>>,
    pub(super) needs: Option<Vec<NeedSpec>>,
    pub(super) needs_place: Place,
    pub(super) variables: Vec<Variable>,
    /// Which of the file's variables it takes.
    pub(super) inherit_variables: Inherit,
    pub(super) parallel: Option<Parallel>,
    pub(super) artifacts: Arc<Artifacts>,
    pub(super) timeout_seconds: Option<u64>,
    pub(super) environment: Option<EnvironmentSpec>,
    /// Environments named literally by an `hms-deploy --env` in the script.
    pub(super) script_environments: Vec<EnvironmentName>,
    pub(super) rules: Option<Vec<Rule>>,
    pub(super) only: Option<RefPolicy>,
    pub(super) except: Option<RefPolicy>,
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
        match &self.parallel {
            None => false,
            Some(Parallel::Count(total)) => {
                let share = name.strip_prefix(self.name.as_str()).and_then(|rest| rest.strip_prefix(' '));
                let Some((index, of)) = share.and_then(|share| share.split_once('/')) else { return false };
                let index_fits = index.parse::<u32>().is_ok_and(|number| (1..=*total).contains(&number) && number.to_string() == index);
                index_fits && of == total.to_string()
            }
            Some(Parallel::Matrix(matrix)) => matrix::names(&self.name, matrix).iter().any(|instance| instance == name),
        }
    }

    /// Its instances: itself, or those that `parallel` makes.
    pub(super) fn instances(&self) -> Vec<Instance> {
        matrix::instances(&self.name, self.parallel.as_ref())
    }
}

/// GitLab's `allow_failure`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum AllowFailure {
    Always(bool),
    /// Only when the script ends with one of these.
    ExitCodes(Vec<i32>),
}

impl AllowFailure {
    /// What it says before any exit code is known.
    pub(super) fn at_once(&self) -> bool {
        *self == Self::Always(true)
    }
}

/// GitLab's `inherit: variables`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Inherit {
    #[default]
    All,
    None,
    Named(Vec<String>),
}

impl Inherit {
    pub(super) fn takes(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Named(names) => names.iter().any(|named| named == name),
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
    /// Only the instances that this part of its matrix makes.
    pub(super) matrix: Option<Matrix>,
}

/// What `environment` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EnvironmentSpec {
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) url: Option<String>,
    pub(super) tier: Option<String>,
    pub(super) action: Action,
    pub(super) on_stop: Option<(String, Place)>,
    /// As written: variables may say it.
    pub(super) auto_stop_in: Option<(String, Place)>,
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
