//! Reading `.hms-ci.yml`: every problem with its place, and the settings under `.hms`.

use std::collections::BTreeMap;
use std::io::Write;

use serde_json::{Value, json};

use crate::document::{Node, Place};
use crate::pipeline::{Pipeline, Problem, ReadOptions, Severity, Surroundings, read_in, settings};
use crate::policy::{Operator, RunRef, Settings, is_protected};
use crate::text::plain;

use super::failure::{Exit, Failure};
use super::selectors;

/// A pipeline file that can be run.
pub(crate) struct PipelineFile {
    pub(crate) pipeline: Pipeline,
    pub(crate) settings: Settings,
    /// Warnings and notes.
    pub(crate) problems: Vec<Problem>,
}

/// Reads a file with what it includes; on errors all of them are written to `notices`.
pub(crate) fn read_file(
    bytes: &[u8],
    options: ReadOptions,
    around: &Surroundings<'_>,
    notices: &mut dyn Write,
) -> Result<PipelineFile, Failure> {
    examine(bytes, options, around).map_err(|problems| not_runnable(around.path, &problems, notices))
}

fn not_runnable(name: &str, problems: &[Problem], notices: &mut dyn Write) -> Failure {
    for problem in problems {
        tell(name, problem, notices);
    }
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    Failure::new(Exit::Usage, format!("{name} cannot be run: {errors} {}", if errors == 1 { "error" } else { "errors" }))
        .problems(problems.iter().map(|problem| as_json(name, problem)).collect())
}

/// Reads a file with what it includes; when it cannot be run, everything there is to say of it.
pub(crate) fn examine(bytes: &[u8], options: ReadOptions, around: &Surroundings<'_>) -> Result<PipelineFile, Vec<Problem>> {
    let reading = read_in(bytes, &options, around);
    let mut problems = reading.problems;
    let settings = match settings_of(reading.pipeline.as_ref().and_then(Pipeline::settings)) {
        Ok(settings) => Some(settings),
        Err(problem) => {
            problems.push(problem);
            None
        }
    };
    match (reading.pipeline, settings) {
        (Some(pipeline), Some(settings)) if problems.iter().all(|problem| problem.severity != Severity::Error) => {
            Ok(PipelineFile { pipeline, settings, problems })
        }
        _ => Err(problems),
    }
}

/// What stands under `.hms` in a file, whatever is wrong with its jobs; on errors there they are written to `notices`.
pub(crate) fn read_settings(name: &str, bytes: &[u8], notices: &mut dyn Write) -> Result<Settings, Failure> {
    settings_of(settings(bytes).as_ref()).map_err(|problem| not_runnable(name, &[problem], notices))
}

fn settings_of(node: Option<&Node>) -> Result<Settings, Problem> {
    let read = |node: &Node| {
        let settings = Settings::read(node)?;
        selectors::check(node).map(|()| settings)
    };
    node.map_or_else(|| Ok(Settings::default()), read).map_err(|problem| Problem {
        severity: Severity::Error,
        place: Some(problem.place),
        file: None,
        message: problem.message,
        hint: problem.hint,
        code: "settings",
    })
}

/// A problem as a value, with its file and place.
pub(crate) fn as_json(name: &str, problem: &Problem) -> Value {
    json!({
        "severity": word(problem.severity), "file": problem.file.as_deref().unwrap_or(name), "line": problem.place.map(|place| place.line),
        "column": problem.place.map(|place| place.column), "code": problem.code,
        "message": problem.message, "hint": problem.hint,
    })
}

/// `FILE:LINE:COLUMN: error: what is wrong`, and what was meant.
pub(crate) fn tell(name: &str, problem: &Problem, to: &mut dyn Write) {
    let name = problem.file.as_deref().unwrap_or(name);
    let _ = writeln!(to, "{}{}: {}: {}", plain(name), at(problem.place), word(problem.severity), plain(&problem.message));
    if let Some(hint) = &problem.hint {
        let _ = writeln!(to, "  hint: {}", plain(hint));
    }
}

pub(crate) fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}

fn at(place: Option<Place>) -> String {
    place.map(|place| format!(":{}:{}", place.line, place.column)).unwrap_or_default()
}

/// Whether the ref of a run is protected, by what is known of it as `CI_*` variables.
pub(crate) fn ref_is_protected(operator: &Operator, predefined: &BTreeMap<String, String>) -> bool {
    let known = |name: &str| predefined.get(name).map(String::as_str);
    let of = match (known("CI_COMMIT_BRANCH"), known("CI_COMMIT_TAG")) {
        (Some(branch), _) => RunRef::Branch(branch),
        (None, Some(tag)) => RunRef::Tag(tag),
        (None, None) => RunRef::Neither,
    };
    is_protected(operator.protected_refs.as_ref(), of, known("CI_DEFAULT_BRANCH"))
}
