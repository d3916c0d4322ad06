//! Reading `.hms-ci.yml`: every problem with its place, and the settings under `.hms`.

use std::io::Write;

use crate::document::Place;
use crate::pipeline::{Pipeline, Problem, ReadOptions, Severity, read};
use crate::policy::Settings;
use crate::text::plain;

use super::failure::{Exit, Failure};

/// A pipeline file that can be run.
pub(crate) struct PipelineFile {
    pub(crate) pipeline: Pipeline,
    pub(crate) settings: Settings,
    /// Warnings and notes.
    pub(crate) problems: Vec<Problem>,
}

/// Reads a file; on errors all of them are written to `notices`.
pub(crate) fn read_file(name: &str, bytes: &[u8], options: ReadOptions, notices: &mut dyn Write) -> Result<PipelineFile, Failure> {
    examine(bytes, options).map_err(|problems| {
        for problem in &problems {
            tell(name, problem, notices);
        }
        let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
        Failure::new(Exit::Usage, format!("{name} cannot be run: {errors} {}", if errors == 1 { "error" } else { "errors" }))
    })
}

/// Reads a file; when it cannot be run, everything there is to say of it.
pub(crate) fn examine(bytes: &[u8], options: ReadOptions) -> Result<PipelineFile, Vec<Problem>> {
    let reading = read(bytes, &options);
    let mut problems = reading.problems;
    let settings = match reading.pipeline.as_ref().and_then(Pipeline::settings) {
        None => Some(Settings::default()),
        Some(node) => match Settings::read(node) {
            Ok(settings) => Some(settings),
            Err(problem) => {
                problems.push(Problem {
                    severity: Severity::Error,
                    place: Some(problem.place),
                    message: problem.message,
                    hint: problem.hint,
                    code: "settings",
                });
                None
            }
        },
    };
    match (reading.pipeline, settings) {
        (Some(pipeline), Some(settings)) if problems.iter().all(|problem| problem.severity != Severity::Error) => {
            Ok(PipelineFile { pipeline, settings, problems })
        }
        _ => Err(problems),
    }
}

/// `FILE:LINE:COLUMN: error: what is wrong`, and what was meant.
pub(crate) fn tell(name: &str, problem: &Problem, to: &mut dyn Write) {
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
