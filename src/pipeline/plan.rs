//! A pipeline decided for one run: which jobs, under which names, with which variables.
//!
//! A plan is kept with its run, so its fields are added to and never renamed.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::{Deserialize, Serialize};

use crate::event::{EnvironmentName, JobName, PlannedJob, When};

use super::expand::{self, Definition, expand_for_runner};
use super::gather::Fetched;
use super::kept::{Artifacts, AutoCancel, AutoStop, Cache, ImageOptions, Retry, Service};

/// The jobs of a run. Acyclic: every need names an earlier stage or the same one, and no job waits for itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The stages that have jobs, in order.
    pub stages: Vec<String>,
    /// By stage, and in a stage in the order of the file.
    pub jobs: Vec<Job>,
    /// What `workflow: name` calls the run, with variables expanded.
    #[serde(default)]
    pub name: Option<String>,
    /// Why nothing of the pipeline runs: there are no jobs then.
    #[serde(default)]
    pub nothing: Option<String>,
    /// What was included from addresses: with these bytes the plan was made, and no later step fetches them again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fetched: Vec<Fetched>,
    /// What ends the run before its time, and nobody asked for.
    #[serde(default)]
    pub auto_cancel: AutoCancel,
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
    /// The jobs whose artifacts it wants, among those it would get; none when it wants all of them.
    #[serde(default)]
    pub dependencies: Option<Vec<JobName>>,
    /// When it runs. Never `Never`: such a job is not in the plan.
    pub when: When,
    /// How long a delayed job waits once its turn has come.
    #[serde(default)]
    pub start_in_seconds: Option<u64>,
    /// Its failure is a warning, or, for a manual job, it is optional.
    pub allow_failure: bool,
    /// Its failure is a warning when its script ends with one of these.
    #[serde(default)]
    pub allow_failure_exit_codes: Vec<i32>,
    /// A manual job that holds back what comes after it.
    pub blocking: bool,
    /// What a person is asked before a manual job starts.
    #[serde(default)]
    pub manual_confirmation: Option<String>,
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
    /// More of the image.
    #[serde(default)]
    pub image_options: ImageOptions,
    /// Containers beside it.
    #[serde(default)]
    pub services: Vec<Service>,
    /// Files kept for later runs.
    #[serde(default)]
    pub cache: Vec<Cache>,
    /// What a runner must have to take it.
    #[serde(default)]
    pub tags: Vec<String>,
    /// The file's variables, global and the job's, and those given for the run, after GitLab's expansion.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// Those among them that expansion changed, as they were written: a value that comes later than the plan changes them again.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub written_variables: BTreeMap<String, String>,
    /// Names among them that nobody expands any further (`expand: false`).
    #[serde(default)]
    pub raw_variables: BTreeSet<String>,
    /// Its share of a `parallel` job: index from 1, and total.
    #[serde(default)]
    pub node: Option<(u32, u32)>,
    /// Its values of a `matrix`; they are among its variables too.
    #[serde(default)]
    pub matrix: BTreeMap<String, String>,
    /// What it hands on.
    #[serde(default)]
    pub artifacts: Artifacts,
    /// How long it may take, in seconds.
    #[serde(default)]
    pub timeout_seconds: Option<u64>,
    /// How often, and after what, it runs again by itself.
    #[serde(default)]
    pub retry: Retry,
    /// A newer run may end it.
    #[serde(default)]
    pub interruptible: bool,
    /// The pattern that finds the coverage in its log, without the slashes.
    #[serde(default)]
    pub coverage: Option<String>,
    /// Its `resource_group`, with variables expanded: with one it is never run again by itself.
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
    /// Its tier, if a job of the pipeline says it.
    #[serde(default)]
    pub tier: Option<String>,
    /// `start`, `prepare`, `stop`, `verify` or `access`.
    pub action: String,
    /// The job that stops it.
    #[serde(default)]
    pub on_stop: Option<String>,
    /// When it is stopped by itself; none when the job says nothing of that.
    #[serde(default)]
    pub auto_stop: Option<AutoStop>,
}

impl Plan {
    /// A plan without jobs, and why.
    pub(super) fn nothing(name: Option<String>, why: String, fetched: Vec<Fetched>) -> Self {
        Self { stages: Vec::new(), jobs: Vec::new(), name, nothing: Some(why), auto_cancel: AutoCancel::default(), fetched }
    }

    /// The job of that name.
    #[must_use]
    pub fn job(&self, name: &JobName) -> Option<&Job> {
        self.jobs.iter().find(|job| &job.name == name)
    }

    /// Jobs whose `on_stop` names one that rules left out, with its name: nothing can stop what they deploy.
    pub fn without_their_stops(&self) -> impl Iterator<Item = (&Job, &str)> {
        self.jobs.iter().filter_map(|job| {
            let stop = job.environment.as_ref()?.on_stop.as_deref()?;
            (!self.jobs.iter().any(|other| other.name.as_str() == stop)).then_some((job, stop))
        })
    }

    /// The jobs whose artifacts a job receives, in the order of the pipeline: those of all earlier stages, or with `needs`
    /// those that it needs with artifacts. Of these `dependencies` takes some.
    #[must_use]
    pub fn producers_of(&self, job: &Job) -> Vec<&Job> {
        let mut producers: Vec<&Job> = match &job.needs {
            None => self.jobs.iter().take_while(|other| other.stage_index < job.stage_index).collect(),
            Some(needs) => {
                let wanted: HashSet<&JobName> = needs.iter().filter(|need| need.artifacts).map(|need| &need.job).collect();
                self.jobs.iter().filter(|other| wanted.contains(&other.name)).collect()
            }
        };
        if let Some(dependencies) = &job.dependencies {
            let wanted: HashSet<&JobName> = dependencies.iter().collect();
            producers.retain(|producer| wanted.contains(&producer.name));
        }
        producers
    }
}

impl Job {
    /// Whether it deploys.
    #[must_use]
    pub fn deploys(&self) -> bool {
        !self.environments.is_empty()
    }

    /// Whether a failure with this exit code is a warning.
    #[must_use]
    pub fn failure_allowed(&self, exit_code: Option<i32>) -> bool {
        self.allow_failure || exit_code.is_some_and(|code| self.allow_failure_exit_codes.contains(&code))
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
            allow_failure_exit_codes: self.allow_failure_exit_codes.clone(),
            environments: self.environments.clone(),
            blocking: self.blocking,
            manual_confirmation: self.manual_confirmation.clone(),
        }
    }

    /// The job's whole environment: the predefined variables, over them those of the file and of the run, over these the ones that
    /// earlier jobs reported and a person gave; all but the predefined expanded once more as the runner does it. Predefined values are taken as they
    /// are, so that a commit's message cannot name a secret.
    #[must_use]
    pub fn runner_variables(&self, predefined: &BTreeMap<String, String>, over: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let own = self.expanded_with(predefined, over);
        let mut all = predefined.clone();
        all.extend(own.iter().map(|(name, value)| (name.clone(), value.clone())));
        let mut done = all.clone();
        for (name, value) in own {
            if over.contains_key(&name) || !self.raw_variables.contains(&name) {
                let value = expand_for_runner(&value, &all);
                done.insert(name, value);
            }
        }
        done
    }

    /// The job's variables under those that came later, with what names these made anew, as GitLab expands when a job is sent.
    fn expanded_with(&self, predefined: &BTreeMap<String, String>, over: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let own = self.variables.iter().filter(|(name, _)| !over.contains_key(*name));
        let written = own.clone().map(|(name, value)| {
            let value = self.written_variables.get(name).unwrap_or(value);
            Definition { name, value, raw: self.raw_variables.contains(name) }
        });
        let came = over.iter().map(|(name, value)| Definition { name, value, raw: false });
        let fixed = |name: &str| predefined.get(name).map(String::as_str);
        match expand::all(&written.chain(came).collect::<Vec<_>>(), &fixed) {
            Ok(all) if !over.is_empty() => all,
            // With nothing new they are as planned; in a circle nothing is expanded any further.
            Ok(_) | Err(_) => own.chain(over).map(|(name, value)| (name.clone(), value.clone())).collect(),
        }
    }
}
