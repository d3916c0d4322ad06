//! Azure storage: a connection string's `AccountKey=`, 64 bytes in base64 (88 characters, the last two `==`).

use std::ops::Range;

use super::token::looks_random;
use super::{Candidate, Rule, Start};
use crate::event::Digest;
use crate::scan::severity::Severity;

/// SHA-256 of the key of the storage emulator, which is the same everywhere and documented.
const EMULATOR: &str = "0011cc25eb4320717494d2703e8cba85743e71b500283c21c8b88147992f9059";

pub(super) const RULES: &[Rule] = &[Rule {
    id: "azure-storage-account-key",
    title: "Azure storage account key",
    severity: Severity::Critical,
    keywords: &["AccountKey"],
    start: Start::Anywhere,
    pattern: r#"AccountKey["']?\s{0,4}[=:]\s{0,4}["']?(?P<value>[A-Za-z0-9+/]{86}==)"#,
    judge,
}];

fn judge(candidate: &Candidate<'_>) -> Option<Range<usize>> {
    let value = candidate.value();
    (looks_random(value) && Digest::of(value).hex() != EMULATOR).then(|| candidate.value.clone())
}
