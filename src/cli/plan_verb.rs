//! `hms list` and `hms plan`: the jobs of a run that is not made, in what order, which rule took or left out each, and where
//! each variable's value is from.

use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use crate::document::Place;
use crate::pipeline::{Considered, Job, Origin, Pipeline, Plan, Purpose, ReadOptions, RuleLook, Severity, Trace, Valued, Why, plan_in};
use crate::text::plain;

use super::arguments::{LookArguments, Output, Picture, PlanArguments};
use super::failure::{Exit, Failure};
use super::look::Source;
use super::picture;
use super::pipeline_file::{PipelineFile, read_file, tell};
use super::validate::{counted, gate, starts};

/// A plan and how it came about.
struct Found {
    source: Source,
    pipeline: Pipeline,
    plan: Plan,
    trace: Trace,
}

impl Found {
    fn at(at: Option<&Path>, asked: &LookArguments) -> Result<Self, Failure> {
        let source = Source::find(at, asked)?;
        let options = ReadOptions { gitlab_strict: asked.gitlab_strict, purpose: Purpose::Look };
        let mut notices = std::io::stderr();
        let (pipeline, plan, trace) = source.with(|around| -> Result<_, Failure> {
            let PipelineFile { pipeline, problems, .. } = read_file(&source.bytes, options, around, &mut notices)?;
            for problem in problems.iter().filter(|problem| problem.severity == Severity::Warning) {
                tell(&source.name, problem, &mut notices);
            }
            let (plan, trace) = plan_in(&pipeline, &source.inputs, around.files);
            let plan = plan.map_err(|problems| {
                for problem in &problems {
                    tell(&source.name, problem, &mut notices);
                }
                Failure::new(Exit::Usage, format!("{} cannot be planned", source.name))
            })?;
            Ok((pipeline, plan, trace))
        })?;
        Ok(Self { source, pipeline, plan, trace })
    }

    fn at_place(&self, place: Place) -> String {
        format!("{}:{place}", plain(self.pipeline.file_of(place).unwrap_or(&self.source.name)))
    }

    fn place(&self, place: Place) -> Value {
        json!({"file": self.pipeline.file_of(place).unwrap_or(&self.source.name), "line": place.line, "column": place.column})
    }
}

/// Lists the jobs of the pipeline.
pub(crate) fn list(at: Option<&Path>, asked: &LookArguments, output: Output) -> Result<u8, Failure> {
    let found = Found::at(at, asked)?;
    let mut out = std::io::stdout().lock();
    match output {
        Output::Json => {
            let jobs: Vec<Value> = found.plan.jobs.iter().map(job_json).collect();
            let (name, nothing) = (&found.plan.name, &found.plan.nothing);
            writeln!(out, "{}", json!({"format": 1, "file": found.source.name, "name": name, "nothing": nothing, "jobs": jobs}))?;
        }
        Output::Text => {
            let width = width(found.plan.jobs.iter().map(|job| job.name.as_str()));
            for job in &found.plan.jobs {
                writeln!(out, "{:<width$}  {}  {}", plain(job.name.as_str()), plain(&job.stage), starts(job))?;
            }
            found.say_nothing(&mut out)?;
        }
    }
    Ok(0)
}

/// Shows what would run and why.
pub(crate) fn plan(at: Option<&Path>, asked: &PlanArguments, output: Output) -> Result<u8, Failure> {
    let found = Found::at(at, &asked.look)?;
    let mut out = std::io::stdout().lock();
    match (asked.graph, output) {
        (Some(Picture::Terminal), _) => write!(out, "{}", picture::terminal(&found.plan))?,
        (Some(Picture::Mermaid), _) => write!(out, "{}", picture::mermaid(&found.plan))?,
        (Some(Picture::Dot), _) => write!(out, "{}", picture::dot(&found.plan))?,
        (None, Output::Json) => writeln!(out, "{}", found.json())?,
        (None, Output::Text) => found.print(asked, &mut out)?,
    }
    Ok(0)
}

fn width<'n>(names: impl Iterator<Item = &'n str>) -> usize {
    names.map(|name| name.chars().count()).max().unwrap_or_default().min(40)
}

fn job_json(job: &Job) -> Value {
    let needs: Option<Vec<Value>> = job.needs.as_ref().map(|needs| {
        let need = |need: &crate::pipeline::Need| json!({"job": need.job, "artifacts": need.artifacts, "optional": need.optional});
        needs.iter().map(need).collect()
    });
    json!({
        "name": job.name, "base_name": job.base_name, "stage": job.stage, "when": job.when, "needs": needs,
        "dependencies": job.dependencies, "allow_failure": job.allow_failure, "allow_failure_exit_codes": job.allow_failure_exit_codes,
        "gate": gate(job), "environments": job.environments, "start_in_seconds": job.start_in_seconds,
        "timeout_seconds": job.timeout_seconds, "retry": job.retry, "resource_group": job.resource_group,
    })
}

impl Found {
    fn say_nothing(&self, out: &mut dyn Write) -> std::io::Result<()> {
        match &self.plan.nothing {
            Some(why) => writeln!(out, "nothing runs: {}", plain(why)),
            None => Ok(()),
        }
    }

    fn print(&self, asked: &PlanArguments, out: &mut dyn Write) -> std::io::Result<()> {
        for (index, look) in self.trace.workflow.iter().enumerate() {
            writeln!(out, "workflow {}", self.rule(index, look))?;
        }
        self.say_nothing(out)?;
        let wanted = |name: &str| asked.job.as_deref().is_none_or(|job| job == name);
        let width = width(self.trace.jobs.iter().map(|job| job.name.as_str()));
        for stage in &self.plan.stages {
            let jobs: Vec<&Job> = self.plan.jobs.iter().filter(|job| job.stage == *stage && wanted(job.name.as_str())).collect();
            if !jobs.is_empty() {
                writeln!(out, "stage {}", plain(stage))?;
            }
            for job in jobs {
                let considered = self.trace.jobs.iter().find(|considered| considered.name == job.name.as_str());
                let why = considered.map(|considered| reason(&considered.why)).unwrap_or_default();
                writeln!(out, "  ✔ {:<width$}  {}; {why}", plain(job.name.as_str()), starts(job))?;
                if let Some(considered) = considered {
                    self.print_detail(considered, asked, out)?;
                }
            }
        }
        let left_out: Vec<&Considered> =
            self.trace.jobs.iter().filter(|job| matches!(job.why, Why::LeftOut(_)) && wanted(&job.name)).collect();
        if !left_out.is_empty() {
            writeln!(out, "left out")?;
        }
        for job in left_out {
            writeln!(out, "  ✘ {:<width$}  {}", plain(&job.name), reason(&job.why))?;
            for (index, look) in job.rules.iter().enumerate() {
                writeln!(out, "      {}", self.rule(index, look))?;
            }
        }
        let name = self.plan.name.as_ref().map(|name| format!(" “{}”", plain(name))).unwrap_or_default();
        let from = self.source.commit.as_ref().map_or_else(|| " in the working tree".to_owned(), |commit| format!(" at {commit}"));
        writeln!(
            out,
            "{}{from}:{name} {} in {}",
            plain(&self.source.name),
            counted(self.plan.jobs.len(), "job"),
            counted(self.plan.stages.len(), "stage")
        )
    }

    /// Rules and variables, of one job when it was named, of all when they were asked for.
    fn print_detail(&self, job: &Considered, asked: &PlanArguments, out: &mut dyn Write) -> std::io::Result<()> {
        if asked.job.is_some() || asked.rules {
            for (index, look) in job.rules.iter().enumerate() {
                writeln!(out, "      {}", self.rule(index, look))?;
            }
        }
        if asked.job.is_some() || asked.variables {
            for Valued { name, value, origin } in &job.variables {
                writeln!(out, "      {name}={}  ({})", plain(value), self.origin(*origin))?;
            }
        }
        Ok(())
    }

    fn rule(&self, index: usize, look: &RuleLook) -> String {
        let place = self.at_place(look.place);
        let number = index.saturating_add(1);
        match &look.matched {
            Some(Ok(why)) => format!("rule {number} ({place}) matches: {}", plain(why)),
            Some(Err(why)) => format!("rule {number} ({place}) does not match: {}", plain(why)),
            None => format!("rule {number} ({place}) is not reached"),
        }
    }

    fn origin(&self, origin: Origin) -> String {
        match origin {
            Origin::Predefined => "predefined".to_owned(),
            Origin::File(place) => format!("the file's, {}", self.at_place(place)),
            Origin::Workflow(place) => format!("a rule of workflow, {}", self.at_place(place)),
            Origin::Job(place) => format!("the job's, {}", self.at_place(place)),
            Origin::Matrix => "its matrix".to_owned(),
            Origin::Rule(place) => format!("the rule's, {}", self.at_place(place)),
            Origin::Run => "given for the run".to_owned(),
        }
    }

    fn json(&self) -> Value {
        let jobs: Vec<Value> = self.plan.jobs.iter().map(job_json).collect();
        let considered: Vec<Value> = self.trace.jobs.iter().map(|job| self.considered(job)).collect();
        let workflow: Vec<Value> = self.trace.workflow.iter().map(|look| self.look(look)).collect();
        json!({
            "format": 1, "file": self.source.name, "commit": self.source.commit, "name": self.plan.name, "nothing": self.plan.nothing,
            "stages": self.plan.stages, "jobs": jobs, "workflow": workflow, "considered": considered,
        })
    }

    fn considered(&self, job: &Considered) -> Value {
        let rules: Vec<Value> = job.rules.iter().map(|look| self.look(look)).collect();
        let variables: Vec<Value> = job.variables.iter().map(|valued| self.valued(valued)).collect();
        json!({
            "name": job.name, "taken": matches!(job.why, Why::Taken(_)), "why": reason(&job.why), "place": self.place(job.place),
            "rules": rules, "variables": variables,
        })
    }

    fn valued(&self, valued: &Valued) -> Value {
        let (source, place) = match valued.origin {
            Origin::Predefined => ("predefined", None),
            Origin::File(place) => ("file", Some(place)),
            Origin::Workflow(place) => ("workflow", Some(place)),
            Origin::Job(place) => ("job", Some(place)),
            Origin::Matrix => ("matrix", None),
            Origin::Rule(place) => ("rule", Some(place)),
            Origin::Run => ("run", None),
        };
        json!({"name": valued.name, "value": valued.value, "source": source, "place": place.map(|place| self.place(place))})
    }

    fn look(&self, look: &RuleLook) -> Value {
        let (matched, why) = match &look.matched {
            Some(Ok(why)) => (Some(true), Some(why)),
            Some(Err(why)) => (Some(false), Some(why)),
            None => (None, None),
        };
        json!({"place": self.place(look.place), "matched": matched, "why": why})
    }
}

fn reason(why: &Why) -> String {
    match why {
        Why::Taken(why) | Why::LeftOut(why) => plain(why),
    }
}
