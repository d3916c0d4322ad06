//! A file's bytes → [`Pipeline`], with everything that is wrong with it.
//!
//! One file a keyword (or a family of them). Each takes a [`Node`] and gives a value, telling problems as it goes and
//! carrying on, so that one reading names all of them.

mod artifacts;
mod cache;
mod check;
mod deploys;
mod environment;
mod fields;
mod gates;
mod globals;
mod image;
mod inherit;
mod job;
mod needs;
mod parallel;
mod policy;
mod retry;
mod rules;
mod script;
mod services;
mod stage;
mod variables;
mod workflow;

use crate::document::{self, Node, Place};

use super::files::NoFiles;
use super::gather::{Gathered, Surroundings, gather};
use super::planner::PlanInputs;
use super::problem::{Problem, Problems};
use super::spec::Pipeline;
pub(in crate::pipeline) use fields::Context;
pub use fields::Purpose;
pub(in crate::pipeline) use retry::WHEN as RETRY_WHEN;
pub(in crate::pipeline) use rules::{condition, only_always_or_never, read as read_rules};

/// How to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReadOptions {
    /// Turns off the three deviations from GitLab.
    pub gitlab_strict: bool,
    /// What for.
    pub purpose: Purpose,
}

/// What a file says, and what is wrong with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The pipeline; none when a problem is an error.
    pub pipeline: Option<Pipeline>,
    /// All problems in the order of the files.
    pub problems: Vec<Problem>,
}

/// Reads a pipeline file by itself: one that includes others is refused.
#[must_use]
pub fn read(bytes: &[u8], options: &ReadOptions) -> Reading {
    let inputs = PlanInputs::default();
    read_in(bytes, options, &Surroundings { files: &NoFiles, inputs: &inputs, path: ".hms-ci.yml" })
}

/// Reads a pipeline file with what it includes.
#[must_use]
pub fn read_in(bytes: &[u8], options: &ReadOptions, around: &Surroundings<'_>) -> Reading {
    let problems = Problems::default();
    let mut context = Context { problems, strict: options.gitlab_strict, purpose: options.purpose };
    let gathered = gather(&mut context, around, bytes);
    let pipeline = gathered.map(|gathered| pipeline(&mut context, gathered));
    let pipeline = pipeline.filter(|_| !context.problems.has_errors());
    Reading { pipeline, problems: context.problems.into_sorted() }
}

/// What stands under `.hms` in a pipeline file, whatever is wrong elsewhere in it; none when the file is no YAML.
#[must_use]
pub fn settings(bytes: &[u8]) -> Option<Node> {
    let text = document::text(bytes).ok()?;
    let content = super::gather::content(text);
    let root = document::parse_with_references(content.as_bytes()).ok()?;
    root.get(".hms").cloned()
}

fn pipeline(context: &mut Context, gathered: Gathered) -> Pipeline {
    let Gathered { entries, settings, fetched } = gathered;
    let globals = globals::read(context, &entries);
    let mut jobs: Vec<_> = globals.jobs.iter().filter_map(|entry| job::read(context, &globals, entry)).collect();
    if globals.jobs.is_empty() && !context.problems.has_errors() {
        context.problems.error(Place::START, "no-jobs", "there are no jobs").hint(SMALLEST);
    }
    check::check(context, &globals, &mut jobs);
    let files = context.problems.files.clone();
    let (stages, variables, workflow) = (globals.stages, globals.variables, globals.workflow);
    Pipeline { stages, variables, workflow, jobs, settings, strict: context.strict, files, tree: entries.into(), fetched }
}

pub(in crate::pipeline) const SMALLEST: &str = "the smallest pipeline is `build: {script: make}`";
