//! Recorded samples, judged again: a team tries its settings on its past releases (`docs/decisions.md` 21.11).
//!
//! | file | what it does |
//! |---|---|
//! | `line` | one line of a sample file → what it says |
//! | `settings` | the file's words for the judge's settings |
//! | `play` | the lines, one after the other, before a judge |
//!
//! Pure: whoever calls brings the text.

mod line;
mod play;
mod settings;

pub use line::{Arm, Counted, Line, Recorded};
pub use play::{Moment, Played, Stop, play};
pub use settings::{KEYS, ReplaySettings};

/// A sample file that cannot be judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{why}", line.map(|line| format!("line {line}: ")).unwrap_or_default())]
pub struct BadRecording {
    /// The line, from 1; none when it is none of them.
    pub line: Option<usize>,
    /// What is wrong, and what was meant.
    pub why: String,
}

impl BadRecording {
    fn at(line: usize, why: impl Into<String>) -> Self {
        Self { line: Some(line), why: why.into() }
    }
}
