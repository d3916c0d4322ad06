//! The report itself.

use crate::scan::escape;
use crate::scan::report::Report;

/// The report as JSON for people and programs, ending in a newline.
pub(crate) fn json(report: &Report) -> serde_json::Result<String> {
    let mut text = escape::for_json(&serde_json::to_string_pretty(report)?);
    text.push('\n');
    Ok(text)
}
