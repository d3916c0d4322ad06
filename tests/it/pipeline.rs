//! The pipeline room: what a file says, what is wrong with it, and what a run of it does next.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what tests share is a test too")]

mod cases;
mod conditions;
mod errors;
mod include;
mod inputs;
mod jobs;
mod keywords;
mod laws;
mod limits;
mod needs;
mod partial;
mod planning;
mod structure;
mod variables;
mod verbatim;
mod world;

use std::collections::BTreeMap;

use hms::event::{JobName, JobStatus};
use hms::pipeline::{Plan, PlanInputs, Problem, ReadOptions, Reading, Severity, Step, next, plan, read};

fn reading(text: &str) -> Reading {
    read(text.as_bytes(), &ReadOptions::default())
}

fn strict(text: &str) -> Reading {
    read(text.as_bytes(), &ReadOptions { gitlab_strict: true, ..ReadOptions::default() })
}

fn planned(text: &str) -> Plan {
    planned_with(text, &PlanInputs::default())
}

fn planned_with(text: &str, inputs: &PlanInputs) -> Plan {
    let reading = reading(text);
    let pipeline = reading.pipeline.unwrap_or_else(|| panic!("{:#?}", reading.problems));
    plan(&pipeline, inputs).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn name(text: &str) -> JobName {
    text.parse().unwrap()
}

fn variables(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn of_severity(reading: &Reading, severity: Severity) -> Vec<&Problem> {
    reading.problems.iter().filter(|problem| problem.severity == severity).collect()
}

/// Problems as `line:column code`.
fn shown(problems: &[&Problem]) -> Vec<String> {
    let place = |problem: &Problem| problem.place.map_or("-".to_owned(), |place| place.to_string());
    problems.iter().map(|problem| format!("{} {}", place(problem), problem.code)).collect()
}

/// A run in memory: statuses that change as steps are carried out.
struct World {
    plan: Plan,
    statuses: BTreeMap<JobName, JobStatus>,
    why: BTreeMap<JobName, String>,
}

impl World {
    fn new(plan: Plan) -> Self {
        let statuses = plan.jobs.iter().map(|job| (job.name.clone(), JobStatus::Created)).collect();
        Self { plan, statuses, why: BTreeMap::new() }
    }

    /// Carries out what is next; what is queued runs at once.
    fn step(&mut self) -> Vec<Step> {
        let steps = next(&self.plan, &|name| (self.statuses[name], false));
        for step in &steps {
            match step {
                Step::Queue(job) => self.set(job.as_str(), JobStatus::Running),
                Step::Gate(job) => self.set(job.as_str(), JobStatus::Manual),
                Step::Delay(job, _) => self.set(job.as_str(), JobStatus::Scheduled),
                Step::Skip(job, why) => {
                    self.why.insert(job.clone(), why.clone());
                    self.set(job.as_str(), JobStatus::Skipped);
                }
            }
        }
        steps
    }

    fn set(&mut self, job: &str, status: JobStatus) {
        self.statuses.insert(name(job), status);
    }

    fn end(&mut self, job: &str, status: JobStatus) {
        assert_eq!(self.statuses[&name(job)], JobStatus::Running, "{job}");
        self.set(job, status);
        self.step();
    }

    fn status(&self, job: &str) -> JobStatus {
        self.statuses[&name(job)]
    }
}
