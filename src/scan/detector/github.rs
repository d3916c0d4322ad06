//! GitHub: `ghp_` (personal), `gho_` (OAuth), `ghu_` and `ghs_` (apps), `ghr_` (refresh), 30 random characters and six of
//! checksum; the longer refresh token; `github_pat_` (fine-grained), 22 characters, `_`, 59 characters.

use std::ops::Range;

use super::token::plain;
use super::{Candidate, Rule, Start, checksum};
use crate::event::Digest;
use crate::scan::severity::Severity;

/// SHA-256 of the body of the example token in GitHub's announcement of the format.
const ANNOUNCED: &str = "99a92edce7706101501d706b60aef9a91ad6fdf3e8ddd947d974bbd5c24b81f9";

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "github-token",
        title: "GitHub token",
        severity: Severity::Critical,
        keywords: &["ghp_", "gho_", "ghu_", "ghs_", "ghr_"],
        start: Start::Anywhere,
        pattern: "gh[pousr]_[A-Za-z0-9]{36}",
        judge: with_checksum,
    },
    Rule {
        id: "github-refresh-token",
        title: "GitHub refresh token",
        severity: Severity::Critical,
        keywords: &["ghr_"],
        start: Start::OfToken,
        pattern: "ghr_[A-Za-z0-9]{76}",
        judge: plain,
    },
    Rule {
        id: "github-fine-grained-token",
        title: "GitHub fine-grained personal access token",
        severity: Severity::Critical,
        keywords: &["github_pat_"],
        start: Start::OfToken,
        pattern: "github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}",
        judge: plain,
    },
];

fn with_checksum(candidate: &Candidate<'_>) -> Option<Range<usize>> {
    let body = candidate.value().get(4..)?;
    (checksum::holds(body) && Digest::of(body).hex() != ANNOUNCED).then(|| candidate.value.clone())
}
