//! Why a text is no document.

use super::Place;

/// A text that cannot be read as a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct DocumentError {
    /// Where.
    pub place: Place,
    /// What is wrong; a lowercase fragment.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl DocumentError {
    pub(super) fn new(place: Place, message: impl Into<String>) -> Self {
        Self { place, message: message.into(), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
