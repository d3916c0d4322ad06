//! A pipeline decided for one run: which jobs, under which names, with which variables.
//!
//! A plan is kept with its run, so its fields are added to and never renamed.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::{Deserialize, Serialize};

use crate::event::{EnvironmentName, JobName, PlannedJob, When};

use super::expand::expand_for_runner;
use super::spec::Artifacts;

/// The jobs of a run. Acyclic: every need names an earlier stage or the same one, and no job waits for itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The stages that have jobs, in order.
    pub stages: Vec<String>,
    /// By stage, and in a stage in the order of the file.
    pub jobs: Vec<Job>,
}

/// A job of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Its full name, for instance `test 1/4`.
    pub name: JobName,
    /// Its name in the file.
    pub base_name: String,
    /// Its stage.
    pub stage: String,
    /// The place of its stage in [`Plan::stages`], from 0.
    pub stage_index: usize,
    /// What it needs; none when it waits for all earlier stages instead.
    pub needs: Option<Vec<Need>>,
    /// When it runs. Never `Never`: such a job is not in the plan.
    pub when: When,
    /// Its failure is a warning, or, for a manual job, it is optional.
    pub allow_failure: bool,
    /// A manual job that holds back what comes after it.
    pub blocking: bool,
    /// The environments it deploys to.
    pub environments: Vec<EnvironmentName>,
    /// What `environment` says, for its variables; also of one that hms does not deploy to.
    #[serde(default)]
    pub environment: Option<JobEnvironment>,
    /// The entries of `before_script` and `script`, for one shell.
    pub script: Vec<String>,
    /// The entries of `after_script`, for a shell of their own.
    #[serde(default)]
    pub after_script: Vec<String>,
    /// The image, as written: variables in it are for [`expand_for_runner`].
    #[serde(default)]
    pub image: Option<String>,
    /// The file's variables, global and the job's, and those given for the run, after GitLab's expansion.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// Names among them that nobody expands any further (`expand: false`).
    #[serde(default)]
    pub raw_variables: BTreeSet<String>,
    /// Its share of a `parallel` job: index from 1, and total.
    #[serde(default)]
    pub node: Option<(u32, u32)>,
    /// What it hands on.
    #[serde(default)]
    pub artifacts: Artifacts,
    /// How long it may take, in seconds.
    #[serde(default)]
    pub timeout_seconds: Option<u64>,
    /// Its `resource_group`: with one it is never run again by itself.
    #[serde(default)]
    pub resource_group: Option<String>,
}

/// A job that another needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// Its full name.
    pub job: JobName,
    /// Whether its artifacts are wanted.
    pub artifacts: bool,
    /// Whether it may be missing from the pipeline. One that is missing is not in the list.
    pub optional: bool,
}

/// A job's `environment`, with variables expanded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobEnvironment {
    /// Its name: any text, as GitLab allows.
    pub name: String,
    /// Its address.
    #[serde(default)]
    pub url: Option<String>,
    /// Its tier, if the file says it.
    #[serde(default)]
    pub tier: Option<String>,
    /// `start`, `prepare`, `stop`, `verify` or `access`.
    pub action: String,
}

impl Plan {
    /// The job of that name.
    #[must_use]
    pub fn job(&self, name: &JobName) -> Option<&Job> {
        self.jobs.iter().find(|job| &job.name == name)
    }

    /// The jobs whose artifacts a job receives, in the order of the pipeline: those of all earlier stages, or with `needs`
    /// those that it needs with artifacts.
    #[must_use]
    pub fn producers_of(&self, job: &Job) -> Vec<&Job> {
        match &job.needs {
            None => self.jobs.iter().take_while(|other| other.stage_index < job.stage_index).collect(),
            Some(needs) => {
                let wanted: HashSet<&JobName> = needs.iter().filter(|need| need.artifacts).map(|need| &need.job).collect();
                self.jobs.iter().filter(|other| wanted.contains(&other.name)).collect()
            }
        }
    }
}

impl Job {
    /// Whether it deploys.
    #[must_use]
    pub fn deploys(&self) -> bool {
        !self.environments.is_empty()
    }

    /// Whether an interrupted attempt of it is never run again by itself: it deploys, is manual, or has a resource group.
    #[must_use]
    pub fn guarded(&self) -> bool {
        self.deploys() || self.when == When::Manual || self.resource_group.is_some()
    }

    /// The job as views need it.
    #[must_use]
    pub fn planned(&self) -> PlannedJob {
        PlannedJob {
            name: self.name.clone(),
            base_name: self.base_name.clone(),
            stage: self.stage.clone(),
            needs: self.needs.as_ref().map(|needs| needs.iter().map(|need| need.job.clone()).collect()),
            when: self.when,
            allow_failure: self.allow_failure,
            environments: self.environments.clone(),
            blocking: self.blocking,
        }
    }

    /// The job's whole environment: the predefined variables, over them those of the file and of the run, these expanded once
    /// more as the runner does it. Predefined values are taken as they are, so that a commit's message cannot name a secret.
    #[must_use]
    pub fn runner_variables(&self, predefined: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut all = predefined.clone();
        all.extend(self.variables.iter().map(|(name, value)| (name.clone(), value.clone())));
        let mut done = all.clone();
        for (name, value) in &self.variables {
            if !self.raw_variables.contains(name) {
                done.insert(name.clone(), expand_for_runner(value, &all));
            }
        }
        done
    }
}
