//! A command that did not do what it was asked: what a person reads, and the exit code.

use std::error::Error;
use std::io::Write;

use crate::event::{Refusal, RefusalKind};
use crate::report::json_text;
use crate::text::plain;

use super::arguments::Output;

/// Exit codes (`docs/decisions.md` 10.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// A job, a scan or a rollout failed.
    Failed,
    /// Usage or configuration.
    Usage,
    /// It could not be carried out.
    NotCarriedOut,
    /// A rule said no.
    Refused,
    /// Whoever read standard output went away. Nothing is said about it: a `| head` is no failure.
    Unread,
}

impl Exit {
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotCarriedOut => 3,
            Self::Refused => 13,
            // As a shell tells of a program that SIGPIPE ended.
            Self::Unread => 141,
        }
    }
}

/// What failed, why, and what to do.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    message: String,
    causes: Vec<String>,
    hint: Option<String>,
    /// What is wrong with a file, each with its place.
    problems: Vec<serde_json::Value>,
    /// Which rule said no, when one did.
    pub(crate) refusal: Option<RefusalKind>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), causes: Vec::new(), hint: None, problems: Vec::new(), refusal: None }
    }

    /// What clap says of a command line, with its own way out.
    pub(crate) fn of_usage(error: &clap::Error) -> Self {
        let text = error.to_string();
        let mut parts = text.split("\n\n").map(str::trim).filter(|part| !part.is_empty());
        let message = parts.next().unwrap_or_default();
        let failure = Self::new(Exit::Usage, message.strip_prefix("error: ").unwrap_or(message));
        match parts.last() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }

    /// An error with its chain of causes.
    pub(crate) fn of(exit: Exit, error: &dyn Error) -> Self {
        let mut causes = Vec::new();
        let mut next = error.source();
        while let Some(cause) = next {
            causes.push(cause.to_string());
            next = cause.source();
        }
        Self { exit, message: error.to_string(), causes, hint: None, problems: Vec::new(), refusal: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What is wrong with a file, for programs: a person reads it where it is found.
    pub(crate) fn problems(mut self, problems: Vec<serde_json::Value>) -> Self {
        self.problems = problems;
        self
    }

    /// The first thing that was said meanwhile is why: a file's error with its place.
    pub(crate) fn with_first_of(mut self, said: &[u8]) -> Self {
        if let Some(line) = String::from_utf8_lossy(said).lines().next() {
            self.causes.push(line.to_owned());
        }
        self
    }

    /// What failed and why, without the hint.
    pub(crate) fn in_one_line(&self) -> String {
        plain(&std::iter::once(&self.message).chain(&self.causes).cloned().collect::<Vec<_>>().join(": "))
    }

    /// For a view that knows answers and refusals only.
    pub(crate) fn into_refusal(self) -> Refusal {
        Refusal { kind: self.refusal.unwrap_or(RefusalKind::Stale), message: self.in_one_line(), hint: self.hint }
    }

    /// Adds what else went wrong.
    pub(crate) fn because(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    /// What failed with all that led to it, and the way out.
    pub(crate) fn told(&self) -> (String, Option<String>) {
        let all: Vec<&str> = std::iter::once(&self.message).chain(&self.causes).map(String::as_str).collect();
        (all.join(": "), self.hint.clone())
    }

    /// Says it: for a program as one JSON value where results are, and for a person beside it.
    pub(crate) fn say(&self, output: Output, out: &mut dyn Write, notices: &mut dyn Write) {
        if output == Output::Json && self.exit != Exit::Unread {
            let _ = json_text(&self.as_json()).map(|text| writeln!(out, "{text}"));
        }
        self.report(notices);
    }

    /// The shape is a contract: `assets/failure.schema.json`.
    fn as_json(&self) -> serde_json::Value {
        serde_json::json!({
            "format": 1,
            "error": self.message,
            "causes": self.causes,
            "hint": self.hint,
            "exit_code": self.exit.code(),
            "refusal": self.refusal,
            "problems": self.problems,
        })
    }

    /// Writes it, each cause on a line of its own; nothing in it reaches the terminal but text.
    pub(crate) fn report(&self, to: &mut dyn Write) {
        if self.exit == Exit::Unread {
            return;
        }
        let _ = writeln!(to, "Error: {}", plain(&self.message));
        for cause in &self.causes {
            let _ = writeln!(to, "Caused by: {}", plain(cause));
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(to, "Hint: {}", plain(hint));
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self {
            exit: exit_of(refusal.kind),
            message: refusal.message,
            causes: Vec::new(),
            hint: refusal.hint,
            problems: Vec::new(),
            refusal: Some(refusal.kind),
        }
    }
}

/// A ledger that cannot be written is no rule that says no: nothing was weighed.
pub(crate) fn exit_of(rule: RefusalKind) -> Exit {
    match rule {
        RefusalKind::LedgerUnwritten => Exit::NotCarriedOut,
        RefusalKind::Stale
        | RefusalKind::Protected
        | RefusalKind::Outdated
        | RefusalKind::Frozen
        | RefusalKind::Drifted
        | RefusalKind::ReadOnly
        | RefusalKind::SlotTaken
        | RefusalKind::InsideRun
        | RefusalKind::Undeclared
        | RefusalKind::Unscanned
        | RefusalKind::WrongTag
        | RefusalKind::LedgerForked
        | RefusalKind::ReleaseMissing
        | RefusalKind::NotWaiting => Exit::Refused,
    }
}

macro_rules! not_carried_out {
    ($($error:ty),* $(,)?) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::of(Exit::NotCarriedOut, &error)
            }
        })*
    };
}

not_carried_out!(
    crate::store::DiskError,
    crate::store::JournalError,
    crate::store::LockError,
    crate::store::SocketError,
    crate::deploy::TargetError,
    crate::ledger::LedgerError,
    crate::rollout::DriveError,
    crate::run::RegisterError,
);

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        let exit = if error.kind() == std::io::ErrorKind::BrokenPipe { Exit::Unread } else { Exit::NotCarriedOut };
        Self::of(exit, &error)
    }
}

impl From<crate::repo::Error> for Failure {
    fn from(error: crate::repo::Error) -> Self {
        use crate::repo::Error;
        let exit = match error {
            Error::BadName { .. }
            | Error::Unknown { .. }
            | Error::Ambiguous { .. }
            | Error::BranchAndTag { .. }
            | Error::BadEntry { .. } => Exit::Usage,
            Error::NotARepository(_)
            | Error::Owner(_)
            | Error::Unsupported { .. }
            | Error::Unborn(_)
            | Error::Missing { .. }
            | Error::Shallow { .. }
            | Error::Submodule { .. }
            | Error::TagElsewhere { .. }
            | Error::Write { .. }
            | Error::Read { .. }
            | Error::Git { .. } => Exit::NotCarriedOut,
        };
        let hint = error.hint();
        let mut failure = Self::of(exit, &error);
        failure.hint = hint;
        failure
    }
}

impl From<crate::run::reader::FindError> for Failure {
    fn from(error: crate::run::reader::FindError) -> Self {
        use crate::run::reader::FindError;
        let hint = match &error {
            FindError::Empty => "start one: hms run",
            FindError::None(_) | FindError::Ambiguous { .. } | FindError::Journal(_) => "hms runs lists them",
        };
        Self::of(Exit::Usage, &error).hint(hint)
    }
}

impl From<crate::rollout::wired::ForceError> for Failure {
    fn from(error: crate::rollout::wired::ForceError) -> Self {
        use crate::rollout::wired::ForceError;
        match error {
            ForceError::Refused(refusal) => refusal.into(),
            ForceError::Target(_) | ForceError::Ledger(_) => Self::of(Exit::NotCarriedOut, &error),
        }
    }
}
