//! What may reach a terminal, and numbers for people.
//!
//! Job output, names of refs and pods, commit messages and advisory texts are written by strangers. All of it goes through here on
//! its way to a screen, headless lines and error messages included: [`for_terminal`] and [`spans`] keep colours and attributes
//! (SGR) and nothing else of what a terminal obeys, [`plain`] keeps none. Bytes in files stay as they came (`docs/decisions.md` 3.6).
//!
//! This room does no I/O and has no clock.

mod hidden;
mod line;
mod number;
mod style;
mod uri;

pub use line::{MAX_CHARACTERS, for_terminal, plain, plain_line, quoted, safe_line, spans};
pub use number::{age, count, duration, seconds_latency, share};
pub use style::{Colour, Style};
pub use uri::uri_of;
