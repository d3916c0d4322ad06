//! What is wrong with a pipeline file, gathered so that a person sees all of it at once.

use std::fmt;

use crate::document::Place;

/// Something to say about a pipeline file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// How much it matters.
    pub severity: Severity,
    /// Where; none when it is about no place in the file.
    pub place: Option<Place>,
    /// The included file that the place is of; none for the pipeline file itself.
    pub file: Option<String>,
    /// What, on which job; a lowercase fragment.
    pub message: String,
    /// What to do, with the line to write where there is one.
    pub hint: Option<String>,
    /// Its kind, stable and for machines, for instance `unknown-need`.
    pub code: &'static str,
}

/// How much a problem matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Good to know: a deviation from GitLab was used.
    Note,
    /// Something GitLab would do is not done here, or looks wrong.
    Warning,
    /// The pipeline cannot run.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}:")?;
        }
        if let Some(place) = self.place {
            write!(f, "{place}: ")?;
        }
        write!(f, "{}: {}", self.severity, self.message)
    }
}

/// How many problems are kept; a file with more has one cause, not so many.
const LIMIT: usize = 200;
/// How many of them get a suggestion, which is the only costly part.
const SUGGESTIONS: usize = 50;

/// Problems as they are found.
#[derive(Debug, Default)]
pub(super) struct Problems {
    found: Vec<Problem>,
    dropped: usize,
    dropped_error: bool,
    /// The names of included files: of `Place::file` 1, 2, ….
    pub(super) files: Vec<String>,
}

impl Problems {
    /// Problems of a pipeline whose included files are known.
    pub(super) fn of_files(files: &[String]) -> Self {
        Self { files: files.to_vec(), ..Self::default() }
    }

    /// Gives a file that is included its number.
    pub(super) fn name_file(&mut self, name: &str) -> u16 {
        self.files.push(visible(name.to_owned()));
        u16::try_from(self.files.len()).unwrap_or(u16::MAX)
    }

    pub(super) fn error(&mut self, place: impl Into<Option<Place>>, code: &'static str, message: impl Into<String>) -> Told<'_> {
        self.tell(Severity::Error, place.into(), code, message.into())
    }

    pub(super) fn warning(&mut self, place: impl Into<Option<Place>>, code: &'static str, message: impl Into<String>) -> Told<'_> {
        self.tell(Severity::Warning, place.into(), code, message.into())
    }

    pub(super) fn note(&mut self, place: impl Into<Option<Place>>, code: &'static str, message: impl Into<String>) -> Told<'_> {
        self.tell(Severity::Note, place.into(), code, message.into())
    }

    pub(super) fn has_errors(&self) -> bool {
        self.dropped_error || self.found.iter().any(|problem| problem.severity == Severity::Error)
    }

    /// How many errors there are so far, and what was not kept any more.
    pub(super) fn errors(&self) -> usize {
        self.dropped + self.found.iter().filter(|problem| problem.severity == Severity::Error).count()
    }

    /// In the order of the file; what has no place comes last.
    pub(super) fn into_sorted(mut self) -> Vec<Problem> {
        self.found.sort_by_key(|problem| (problem.place.is_none(), problem.place));
        for problem in &mut self.found {
            let number = problem.place.map_or(0, |place| usize::from(place.file));
            problem.file = number.checked_sub(1).and_then(|at| self.files.get(at)).cloned();
        }
        if self.dropped > 0 {
            let severity = if self.dropped_error { Severity::Error } else { Severity::Warning };
            let message = format!("{} more problems are not shown", self.dropped);
            self.found.push(Problem { severity, place: None, file: None, message, hint: None, code: "too-many-problems" });
        }
        self.found
    }

    fn tell(&mut self, severity: Severity, place: Option<Place>, code: &'static str, message: String) -> Told<'_> {
        if self.found.len() >= LIMIT {
            self.dropped += 1;
            self.dropped_error |= severity == Severity::Error;
            return Told { problem: None, suggest: false };
        }
        let suggest = self.found.len() < SUGGESTIONS;
        self.found.push(Problem { severity, place, file: None, message: visible(message), hint: None, code });
        Told { problem: self.found.last_mut(), suggest }
    }
}

/// Names come from the file; a control character in one is shown as an escape and never sent on.
fn visible(text: String) -> String {
    if !text.chars().any(char::is_control) {
        return text;
    }
    text.chars().map(|letter| if letter.is_control() { letter.escape_unicode().to_string() } else { letter.to_string() }).collect()
}

/// A problem just told, to which a hint can be added.
pub(super) struct Told<'a> {
    problem: Option<&'a mut Problem>,
    suggest: bool,
}

impl Told<'_> {
    pub(super) fn hint(self, hint: impl Into<String>) {
        if let Some(problem) = self.problem {
            problem.hint = Some(visible(hint.into()));
        }
    }

    /// Adds `did you mean`, or else the given hint.
    pub(super) fn suggest<'n>(self, given: &str, names: impl IntoIterator<Item = &'n str>, otherwise: impl Into<Option<String>>) {
        let near = if self.suggest { super::suggest::nearest(given, names) } else { None };
        if let Some(problem) = self.problem {
            problem.hint = near.map(|name| format!("did you mean `{name}`?")).or_else(|| otherwise.into()).map(visible);
        }
    }
}
