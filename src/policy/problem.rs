//! A mistake in settings, with its place.

use crate::document::Place;

/// What is wrong in a settings file, where, and what was meant. Exit code 2.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct Problem {
    /// Line and column in the file that was read.
    pub place: Place,
    /// What is wrong; it names the setting by its path, for instance `.hms.canary.bake`.
    pub message: String,
    /// What to do, or what was probably meant.
    pub hint: Option<String>,
}

impl Problem {
    /// Says what is wrong at a place.
    #[must_use]
    pub fn new(place: Place, message: impl Into<String>) -> Self {
        Self { place, message: message.into(), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
