//! A file's bytes → [`Pipeline`], with everything that is wrong with it.
//!
//! One file a keyword (or a family of them). Each takes a [`Node`] and gives a value, telling problems as it goes and
//! carrying on, so that one reading names all of them.

mod artifacts;
mod check;
mod environment;
mod fields;
mod globals;
mod image;
mod job;
mod needs;
mod rules;
mod script;
mod variables;

use crate::document::{self, Node, Place, Value};

use super::problem::{Problem, Problems};
use super::spec::Pipeline;
use fields::Context;

/// How to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReadOptions {
    /// Turns off the three deviations from GitLab.
    pub gitlab_strict: bool,
}

/// What a file says, and what is wrong with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The pipeline; none when a problem is an error.
    pub pipeline: Option<Pipeline>,
    /// All problems in the order of the file.
    pub problems: Vec<Problem>,
}

/// Reads a pipeline file.
#[must_use]
pub fn read(bytes: &[u8], options: &ReadOptions) -> Reading {
    let root = match document::parse(bytes) {
        Ok(root) => root,
        Err(error) => {
            let mut problems = Problems::default();
            let told = problems.error(error.place, "yaml", error.message);
            if let Some(hint) = error.hint {
                told.hint(hint);
            }
            return Reading { pipeline: None, problems: problems.into_sorted() };
        }
    };
    let mut context = Context { problems: Problems::default(), strict: options.gitlab_strict };
    let pipeline = pipeline(&mut context, root);
    let pipeline = pipeline.filter(|_| !context.problems.has_errors());
    Reading { pipeline, problems: context.problems.into_sorted() }
}

fn pipeline(context: &mut Context, root: Node) -> Option<Pipeline> {
    let kind = root.kind();
    let entries = match root.value {
        Value::Mapping(entries) => entries,
        Value::Null => {
            context.problems.error(Place::START, "no-jobs", "the file is empty; there are no jobs").hint(SMALLEST);
            return None;
        }
        Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::String(_) | Value::Sequence(_) => {
            context.problems.error(root.place, "type", format!("the file must be a mapping of jobs, not {kind}")).hint(SMALLEST);
            return None;
        }
    };
    let globals = globals::read(context, &entries);
    let mut jobs: Vec<_> = globals.jobs.iter().filter_map(|entry| job::read(context, &globals, entry)).collect();
    if globals.jobs.is_empty() && !context.problems.has_errors() {
        context.problems.error(Place::START, "no-jobs", "there are no jobs").hint(SMALLEST);
    }
    check::check(context, &globals, &mut jobs);
    let settings = entries.iter().find(|entry| entry.key == ".hms").map(|entry| entry.value.clone());
    Some(Pipeline { stages: globals.stages, variables: globals.variables, jobs, settings, strict: context.strict })
}

const SMALLEST: &str = "the smallest pipeline is `build: {script: make}`";
