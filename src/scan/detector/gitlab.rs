//! GitLab: a prefix that says what the token is for and 20 base64url characters; the routable form is longer and ends in
//! `.` and a length and checksum of base 36. Source: GitLab's documentation of token prefixes and routable tokens.

use super::token::plain;
use super::{Rule, Start};
use crate::scan::severity::Severity;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "gitlab-personal-token",
        title: "GitLab personal, project or group access token",
        severity: Severity::Critical,
        keywords: &["glpat-"],
        start: Start::OfToken,
        pattern: r"glpat-(?:[A-Za-z0-9_-]{27,300}\.[0-9a-z]{2}(?:\.[0-9a-z]{9}|[0-9a-z]{7})|[A-Za-z0-9_-]{20})",
        judge: plain,
    },
    Rule {
        id: "gitlab-token",
        title: "GitLab deploy, runner, trigger, OAuth or SCIM token",
        severity: Severity::High,
        keywords: &["gldt-", "glrt-", "glptt-", "gloas-", "glsoat-"],
        start: Start::OfToken,
        pattern: "gl(?:dt-[A-Za-z0-9_-]{20}|rt-[A-Za-z0-9_-]{20}|ptt-[0-9a-f]{40}|oas-[0-9a-f]{64}|soat-[A-Za-z0-9_-]{20})",
        judge: plain,
    },
];
