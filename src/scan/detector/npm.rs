//! npm: `npm_`, 30 random characters and six of checksum.

use std::ops::Range;

use super::{Candidate, Rule, Start, checksum};
use crate::scan::severity::Severity;

pub(super) const RULES: &[Rule] = &[Rule {
    id: "npm-token",
    title: "npm access token",
    severity: Severity::Critical,
    keywords: &["npm_"],
    start: Start::Anywhere,
    pattern: "npm_[A-Za-z0-9]{36}",
    judge,
}];

fn judge(candidate: &Candidate<'_>) -> Option<Range<usize>> {
    checksum::holds(candidate.value().get(4..)?).then(|| candidate.value.clone())
}
