//! `SendGrid`: `SG.`, 22 characters of key id, `.`, 43 characters of secret.

use super::token::plain;
use super::{Rule, Start};
use crate::scan::severity::Severity;

pub(super) const RULES: &[Rule] = &[Rule {
    id: "sendgrid-api-key",
    title: "SendGrid API key",
    severity: Severity::Critical,
    keywords: &["SG."],
    start: Start::OfToken,
    pattern: r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}",
    judge: plain,
}];
