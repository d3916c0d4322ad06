//! `hms validate`: everything that is to be said of a pipeline file at once. The problems are the result, on standard output.

use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use crate::event::{Arm, EnvironmentName, When};
use crate::pipeline::{Job, Plan, Problem, Purpose, ReadOptions, Severity, plan_in};
use crate::policy::{Policy, Protection, apply_floors, resolve_environment};
use crate::text::plain;

use super::arguments::{LookArguments, Output};
use super::environment::operator;
use super::failure::{Exit, Failure};
use super::look::Source;
use super::pipeline_file::{PipelineFile, as_json, examine, tell};

/// SARIF was asked for in place of text or JSON.
#[derive(Clone, Copy)]
pub(crate) struct Sarif;

/// Tells what is wrong with the file and what it would do: 2 when it has errors, else 0.
pub(crate) fn validate(at: Option<&Path>, asked: &LookArguments, sarif: Option<Sarif>, output: Output) -> Result<u8, Failure> {
    let source = Source::find(at, asked)?;
    let looked = Looked::at(&source, ReadOptions { gitlab_strict: asked.gitlab_strict, purpose: Purpose::Run })?;
    let mut out = std::io::stdout().lock();
    match (sarif, output) {
        (Some(Sarif), _) => writeln!(out, "{}", super::sarif::sarif(&source.name, &looked.problems))?,
        (None, Output::Json) => writeln!(out, "{}", looked.json(&source.name))?,
        (None, Output::Text) => looked.print(&source, &mut out)?,
    }
    Ok(if looked.planned.is_some() { 0 } else { Exit::Usage.code() })
}

/// What was found: all problems, and, where there are no errors, what the file would do.
struct Looked {
    problems: Vec<Problem>,
    planned: Option<Planned>,
}

struct Planned {
    plan: Plan,
    policy: Policy,
}

impl Looked {
    fn at(source: &Source, options: ReadOptions) -> Result<Self, Failure> {
        source.with(|around| {
            let PipelineFile { pipeline, settings, mut problems } = match examine(&source.bytes, options, around) {
                Ok(file) => file,
                Err(problems) => return Ok(Self { problems, planned: None }),
            };
            match plan_in(&pipeline, &source.inputs, around.files).0 {
                Ok(plan) => {
                    let (policy, _) = apply_floors(&settings.policy, &operator()?.floors);
                    Ok(Self { problems, planned: Some(Planned { plan, policy }) })
                }
                Err(more) => {
                    problems.extend(more);
                    Ok(Self { problems, planned: None })
                }
            }
        })
    }

    fn count(&self, severity: Severity) -> usize {
        self.problems.iter().filter(|problem| problem.severity == severity).count()
    }

    fn json(&self, name: &str) -> Value {
        let problems: Vec<Value> = self.problems.iter().map(|problem| as_json(name, problem)).collect();
        let jobs: Vec<Value> = self.planned.iter().flat_map(|planned| planned.plan.jobs.iter().map(|job| planned.job(job))).collect();
        let canary = self.planned.as_ref().and_then(Planned::canary_of).map(|of| json!({"of": of}));
        json!({
            "format": 1, "file": name, "valid": self.planned.is_some(), "problems": problems, "jobs": jobs, "canary": canary,
            "nothing": self.planned.as_ref().and_then(|planned| planned.plan.nothing.as_ref()),
        })
    }

    fn print(&self, source: &Source, out: &mut dyn Write) -> std::io::Result<()> {
        for problem in &self.problems {
            tell(&source.name, problem, out);
        }
        if let Some(planned) = &self.planned {
            let width = planned.plan.jobs.iter().map(|job| job.name.as_str().chars().count()).max().unwrap_or(0).min(40);
            for job in &planned.plan.jobs {
                let places = planned.places(job);
                let deploys = if places.is_empty() { String::new() } else { format!(", deploys to {}", places.join(" and ")) };
                writeln!(out, "  {:<width$}  stage {}: {}{deploys}", plain(job.name.as_str()), plain(&job.stage), starts(job))?;
            }
            if let Some(why) = &planned.plan.nothing {
                writeln!(out, "  nothing runs: {}", plain(why))?;
            }
            if let Some(of) = planned.canary_of() {
                writeln!(out, "  canary is no place of its own: it is the canary arm of {of}")?;
            }
        }
        let from = source.commit.as_ref().map(|commit| format!(" at {commit}")).unwrap_or_default();
        let said = [(Severity::Error, "error"), (Severity::Warning, "warning"), (Severity::Note, "note")]
            .map(|(severity, word)| counted(self.count(severity), word))
            .join(", ");
        match &self.planned {
            Some(planned) => {
                writeln!(out, "{}{from}: valid: {}; {said}", plain(&source.name), counted(planned.plan.jobs.len(), "job"))
            }
            None => writeln!(out, "{}{from}: not valid: {said}", plain(&source.name)),
        }
    }
}

impl Planned {
    fn job(&self, job: &Job) -> Value {
        let environments: Vec<Value> = job
            .environments
            .iter()
            .map(|name| {
                let placed = resolve_environment(&self.policy, name);
                json!({
                    "name": name, "environment": placed.environment,
                    "arm": match placed.arm { Arm::Canary => "canary", Arm::Whole => "whole" },
                    "protected": placed.protection() != Protection::Open,
                })
            })
            .collect();
        let needs: Option<Vec<_>> = job.needs.as_ref().map(|needs| needs.iter().map(|need| &need.job).collect());
        json!({
            "name": job.name, "base_name": job.base_name, "stage": job.stage, "needs": needs, "when": job.when,
            "allow_failure": job.allow_failure, "gate": gate(job), "environments": environments,
        })
    }

    fn places(&self, job: &Job) -> Vec<String> {
        let told = |name: &EnvironmentName| {
            let placed = resolve_environment(&self.policy, name);
            match (placed.arm, placed.protection()) {
                (Arm::Canary, _) => format!("{name} (the canary arm of {})", placed.environment),
                (Arm::Whole, Protection::Protected { approvals: 0 }) => format!("{name} (protected)"),
                (Arm::Whole, Protection::Protected { approvals }) => format!("{name} (protected, {} yeses)", approvals.saturating_add(1)),
                (Arm::Whole, Protection::Open) => name.to_string(),
            }
        };
        job.environments.iter().map(told).collect()
    }

    /// The environment that `canary` is an arm of, where a job deploys to it.
    fn canary_of(&self) -> Option<EnvironmentName> {
        let name: EnvironmentName = "canary".parse().ok()?;
        let used = self.plan.jobs.iter().any(|job| job.environments.contains(&name)) || self.policy.environments.contains_key(&name);
        let placed = resolve_environment(&self.policy, &name);
        (used && placed.arm == Arm::Canary).then_some(placed.environment)
    }
}

/// What a manual job is to those after it; none for other jobs.
pub(crate) fn gate(job: &Job) -> Option<&'static str> {
    match (job.when, job.blocking) {
        (When::Manual, true) => Some("blocking"),
        (When::Manual, false) => Some("optional"),
        (When::OnSuccess | When::OnFailure | When::Always | When::Never | When::Delayed, _) => None,
    }
}

pub(crate) fn starts(job: &Job) -> String {
    let needs: Option<Vec<String>> = job.needs.as_ref().map(|needs| needs.iter().map(|need| plain(need.job.as_str())).collect());
    let after = match needs {
        None => "after the stages before it".to_owned(),
        Some(needs) if needs.is_empty() => "at once".to_owned(),
        Some(needs) => format!("after {}", needs.join(", ")),
    };
    match (job.when, gate(job)) {
        (_, Some("blocking")) => format!("{after}, a manual gate"),
        (_, Some(_)) => format!("{after}, manual, optional"),
        (When::OnFailure, None) => format!("{after}, when something failed"),
        (When::Always, None) => format!("{after}, whatever became of it"),
        (When::Delayed, None) => match job.start_in_seconds {
            Some(seconds) => format!("{after}, and {seconds} s more"),
            None => after,
        },
        (When::OnSuccess | When::Manual | When::Never, None) => after,
    }
}

pub(crate) fn counted(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}
