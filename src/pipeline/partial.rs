//! A part of a pipeline: some jobs, with or without what they need. What is left out of it, and what that means, is said.

use std::collections::BTreeSet;

use crate::event::JobName;

use super::plan::{Job, Plan};
use super::suggest::nearest;
use super::trace::{Trace, Why};

/// What somebody wants of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Jobs by their names in the file, or those of instances.
    pub jobs: Vec<String>,
    /// Stages, with all their jobs.
    pub stages: Vec<String>,
    /// What becomes of the jobs that these wait for.
    pub needed: Needed,
}

/// What becomes of the jobs that a part waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needed {
    /// They are part of it, and those that they wait for.
    Taken,
    /// They are not, and their artifacts are not there; but a job that deploys takes them in any case: a gate, a test or a scan before
    /// it is not passed by naming it.
    LeftOut,
}

/// A part that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPart {
    /// No job or instance of that name is in the file.
    #[error("the pipeline has no job `{name}`")]
    UnknownJob {
        /// What was asked for.
        name: String,
        /// What was probably meant.
        meant: Option<String>,
    },
    /// No job of the plan is in a stage of that name.
    #[error("no job of this run is in a stage `{name}`")]
    UnknownStage {
        /// What was asked for.
        name: String,
        /// What was probably meant.
        meant: Option<String>,
    },
    /// The job's rules say no.
    #[error("`{name}` is not in this run: {why}")]
    LeftOut {
        /// What was asked for.
        name: String,
        /// Which rule.
        why: String,
    },
}

impl Plan {
    /// Keeps a part, and says what is not in it, in sentences.
    ///
    /// # Errors
    /// When it names a job or a stage that is not there, or that rules leave out.
    pub fn part(self, part: &Part, trace: &Trace) -> Result<(Self, Vec<String>), NoPart> {
        let mut wanted: BTreeSet<usize> = BTreeSet::new();
        for name in &part.jobs {
            wanted.extend(self.named(name, trace)?);
        }
        for stage in &part.stages {
            let found: Vec<usize> = self.places(|job| &job.stage == stage).collect();
            if found.is_empty() {
                let meant = nearest(stage, self.stages.iter().map(String::as_str)).map(str::to_owned);
                return Err(NoPart::UnknownStage { name: stage.clone(), meant });
            }
            wanted.extend(found);
        }
        let deploys: BTreeSet<usize> = wanted.iter().copied().filter(|at| self.jobs.get(*at).is_some_and(Job::deploys)).collect();
        let asked = wanted.len();
        match part.needed {
            Needed::Taken => wanted = self.with_needed(wanted),
            Needed::LeftOut => wanted.extend(self.with_needed(deploys.clone())),
        }
        let mut said = self.what_is_missing(&wanted);
        if part.needed == Needed::LeftOut && wanted.len() > asked {
            let names = deploys.iter().filter_map(|at| self.jobs.get(*at)).map(|job| job.name.to_string());
            said.push(format!("all that these wait for is in it, because they deploy: {}", some(names)));
        }
        Ok((self.keep(&wanted), said))
    }

    fn places(&self, wanted: impl Fn(&Job) -> bool) -> impl Iterator<Item = usize> {
        self.jobs.iter().enumerate().filter(move |(_, job)| wanted(job)).map(|(at, _)| at)
    }

    fn named(&self, name: &str, trace: &Trace) -> Result<Vec<usize>, NoPart> {
        let found: Vec<usize> = self.places(|job| job.base_name == name || job.name.as_str() == name).collect();
        if !found.is_empty() {
            return Ok(found);
        }
        // Instances are considered apart: `test 1/4` of `test`.
        let considered = trace.jobs.iter().find(|job| job.name == name || job.name.strip_prefix(name).is_some_and(is_instance));
        Err(match considered.map(|job| &job.why) {
            Some(Why::LeftOut(why)) => NoPart::LeftOut { name: name.to_owned(), why: why.clone() },
            Some(Why::Taken(_)) | None => {
                let names = trace.jobs.iter().map(|job| job.name.as_str()).chain(self.jobs.iter().map(|job| job.base_name.as_str()));
                NoPart::UnknownJob { name: name.to_owned(), meant: nearest(name, names).map(str::to_owned) }
            }
        })
    }

    /// These and all that they wait for: what they need, and without `needs` everything of earlier stages.
    fn with_needed(&self, wanted: BTreeSet<usize>) -> BTreeSet<usize> {
        let mut all = BTreeSet::new();
        let mut open: Vec<usize> = wanted.into_iter().collect();
        while let Some(at) = open.pop() {
            let Some(job) = self.jobs.get(at).filter(|_| all.insert(at)) else { continue };
            open.extend(self.waited_for(job));
        }
        all
    }

    fn waited_for(&self, job: &Job) -> Vec<usize> {
        match &job.needs {
            Some(needs) => {
                let names: BTreeSet<&JobName> = needs.iter().map(|need| &need.job).collect();
                self.places(|other| names.contains(&other.name)).collect()
            }
            None => self.places(|other| other.stage_index < job.stage_index).collect(),
        }
    }

    fn what_is_missing(&self, wanted: &BTreeSet<usize>) -> Vec<String> {
        let name = |at: &usize| self.jobs.get(*at).map(|job| job.name.to_string());
        let mut said = vec![format!(
            "a part of the pipeline: {}; {} of its {} jobs are not in this run",
            some(wanted.iter().filter_map(name)),
            self.jobs.len().saturating_sub(wanted.len()),
            self.jobs.len()
        )];
        for job in wanted.iter().filter_map(|at| self.jobs.get(*at)) {
            let missing: Vec<usize> = self.waited_for(job).into_iter().filter(|at| !wanted.contains(at)).collect();
            if !missing.is_empty() {
                said.push(format!("{} does not wait for, and gets nothing of: {}", job.name, some(missing.iter().filter_map(name))));
            }
        }
        said
    }

    fn keep(mut self, wanted: &BTreeSet<usize>) -> Self {
        let names: BTreeSet<JobName> = wanted.iter().filter_map(|at| self.jobs.get(*at)).map(|job| job.name.clone()).collect();
        self.jobs.retain(|job| names.contains(&job.name));
        let used: BTreeSet<usize> = self.jobs.iter().map(|job| job.stage_index).collect();
        for job in &mut self.jobs {
            job.stage_index = used.iter().position(|stage| *stage == job.stage_index).unwrap_or_default();
            if let Some(needs) = &mut job.needs {
                needs.retain(|need| names.contains(&need.job));
            }
            if let Some(dependencies) = &mut job.dependencies {
                dependencies.retain(|dependency| names.contains(dependency));
            }
        }
        self.stages = used.iter().filter_map(|stage| self.stages.get(*stage).cloned()).collect();
        self
    }
}

/// What follows a job's name in that of an instance.
fn is_instance(rest: &str) -> bool {
    rest.starts_with(": [") || rest.strip_prefix(' ').is_some_and(|share| share.contains('/'))
}

/// A few names, and how many more there are.
fn some(names: impl Iterator<Item = String>) -> String {
    let all: Vec<String> = names.collect();
    let shown = all.get(..6).unwrap_or(&all).join(", ");
    if all.len() > 6 { format!("{shown} and {} more", all.len() - 6) } else { shown }
}
