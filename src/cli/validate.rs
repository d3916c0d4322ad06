//! `hms validate`: everything that is to be said of a pipeline file at once. The problems are the result, on standard output.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::event::{Arm, EnvironmentName, RunId, When};
use crate::pipeline::{Job, PipelineFacts, Plan, PlanInputs, Problem, ReadOptions, Reference, Severity, plan, predefined};
use crate::policy::{Policy, Protection, apply_floors, resolve_environment};
use crate::repo::{RefKind, Repository};
use crate::text::plain;

use super::arguments::Output;
use super::environment::operator;
use super::failure::{Exit, Failure};
use super::pipeline_file::{PipelineFile, examine, tell, word};

/// The file's name when none is given.
const USUAL: &str = ".hms-ci.yml";
/// How much of a file is read: the reader refuses one of this size, so that more need not be.
const MOST_BYTES: u64 = 16 << 20;

/// What is asked of `hms validate`.
pub(crate) struct Question<'a> {
    pub(crate) at: Option<&'a Path>,
    pub(crate) file: Option<PathBuf>,
    pub(crate) reference: Option<String>,
    pub(crate) gitlab_strict: bool,
}

/// Tells what is wrong with the file and what it would do: 2 when it has errors, else 0.
pub(crate) fn validate(question: &Question<'_>, output: Output) -> Result<u8, Failure> {
    let repository = Repository::discover(question.at.unwrap_or(Path::new(".")));
    let source = Source::find(question, repository)?;
    let looked = Looked::at(&source, ReadOptions { gitlab_strict: question.gitlab_strict })?;
    let mut out = std::io::stdout().lock();
    match output {
        Output::Json => writeln!(out, "{}", looked.json(&source.name))?,
        Output::Text => looked.print(&source, &mut out)?,
    }
    Ok(if looked.planned.is_some() { 0 } else { Exit::Usage.code() })
}

/// The bytes, where they are from, and the variables that rules would see.
struct Source {
    name: String,
    bytes: Vec<u8>,
    /// The commit that the file was taken from, short; none for a file of the working tree.
    commit: Option<String>,
    predefined: BTreeMap<String, String>,
}

impl Source {
    fn find(question: &Question<'_>, repository: Result<Repository, crate::repo::Error>) -> Result<Self, Failure> {
        let Some(reference) = &question.reference else { return Self::in_tree(question.file.as_deref(), repository.ok().as_ref()) };
        let repository = repository?;
        let resolved = repository.resolve(reference)?;
        let short = resolved.revision.short().to_owned();
        let bytes = repository
            .read_file_at(&resolved.revision, Path::new(USUAL))?
            .ok_or_else(|| Failure::new(Exit::Usage, format!("the commit {short} has no {USUAL}")).hint("write one, and commit it"))?;
        let predefined = variables(&repository, &resolved.revision, resolved.ref_name.as_deref(), USUAL);
        Ok(Self { name: USUAL.to_owned(), bytes, commit: Some(short), predefined })
    }

    fn in_tree(file: Option<&Path>, repository: Option<&Repository>) -> Result<Self, Failure> {
        let usual = || repository.and_then(Repository::work_dir).map_or_else(|| PathBuf::from(USUAL), |top| top.join(USUAL));
        let path = file.map_or_else(usual, Path::to_owned);
        let name = file.map_or_else(|| USUAL.to_owned(), |path| path.to_string_lossy().into_owned());
        let bytes = read_some(&path).map_err(|error| {
            let failure = Failure::new(Exit::Usage, format!("{} cannot be read: {error}", path.display()));
            if file.is_some() {
                failure
            } else {
                failure.hint("write one, or name another: hms validate --file PATH, or a commit's: hms validate --ref REV")
            }
        })?;
        let head = repository.and_then(|repository| Some((repository, repository.head().ok()??)));
        let predefined = head.map_or_else(BTreeMap::new, |(repository, revision)| {
            variables(repository, &revision, repository.head_branch().ok().flatten().as_deref(), &name)
        });
        Ok(Self { name, bytes, commit: None, predefined })
    }
}

fn read_some(path: &Path) -> std::io::Result<Vec<u8>> {
    // A pipe that nobody writes to would be waited for without end.
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("it is no file"));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MOST_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What `rules` would know at that commit. A run's own number and id are left out: there is no run.
fn variables(
    repository: &Repository,
    revision: &crate::event::Revision,
    branch_or_tag: Option<&str>,
    config_path: &str,
) -> BTreeMap<String, String> {
    let Ok(commit) = repository.commit_facts(revision) else { return BTreeMap::new() };
    let is_branch =
        |name: &str| repository.refs(RefKind::Local, std::slice::from_ref(&name.to_owned())).is_ok_and(|found| !found.is_empty());
    let reference =
        branch_or_tag.map(|name| if is_branch(name) { Reference::Branch(name.to_owned()) } else { Reference::Tag(name.to_owned()) });
    let mut all = predefined(&PipelineFacts {
        revision: revision.clone(),
        message: Some(commit.message),
        author: Some(commit.author),
        timestamp: Some(commit.timestamp.to_rfc3339()),
        before: None,
        reference,
        default_branch: repository.default_branch().ok().flatten(),
        project_name: repository.work_dir().and_then(|top| Some(top.file_name()?.to_string_lossy().into_owned())),
        config_path: Some(config_path.to_owned()),
        number: 0,
        run: RunId::from_ulid(ulid::Ulid::nil()),
        created_at: None,
        source: Some("web".to_owned()),
    });
    all.retain(|name, _| !name.starts_with("CI_PIPELINE_I"));
    all
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
        let PipelineFile { pipeline, settings, mut problems } = match examine(&source.bytes, options) {
            Ok(file) => file,
            Err(problems) => return Ok(Self { problems, planned: None }),
        };
        let inputs = PlanInputs { variables: BTreeMap::new(), predefined: source.predefined.clone() };
        match plan(&pipeline, &inputs) {
            Ok(plan) => {
                let (policy, _) = apply_floors(&settings.policy, &operator()?.floors);
                Ok(Self { problems, planned: Some(Planned { plan, policy }) })
            }
            Err(more) => {
                problems.extend(more);
                Ok(Self { problems, planned: None })
            }
        }
    }

    fn count(&self, severity: Severity) -> usize {
        self.problems.iter().filter(|problem| problem.severity == severity).count()
    }

    fn json(&self, name: &str) -> Value {
        let problems: Vec<Value> = self
            .problems
            .iter()
            .map(|problem| {
                json!({
                    "severity": word(problem.severity), "line": problem.place.map(|place| place.line),
                    "column": problem.place.map(|place| place.column), "code": problem.code,
                    "message": problem.message, "hint": problem.hint,
                })
            })
            .collect();
        let jobs: Vec<Value> = self.planned.iter().flat_map(|planned| planned.plan.jobs.iter().map(|job| planned.job(job))).collect();
        let canary = self.planned.as_ref().and_then(Planned::canary_of).map(|of| json!({"of": of}));
        json!({
            "format": 1, "file": name, "valid": self.planned.is_some(), "problems": problems, "jobs": jobs, "canary": canary,
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
fn gate(job: &Job) -> Option<&'static str> {
    match (job.when, job.blocking) {
        (When::Manual, true) => Some("blocking"),
        (When::Manual, false) => Some("optional"),
        (When::OnSuccess | When::OnFailure | When::Always | When::Never, _) => None,
    }
}

fn starts(job: &Job) -> String {
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
        (When::OnSuccess | When::Manual | When::Never, None) => after,
    }
}

fn counted(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}
