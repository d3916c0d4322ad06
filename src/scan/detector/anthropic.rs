//! Anthropic: `sk-ant-api03-` or `sk-ant-admin01-`, 93 base64url characters, `AA`.

use super::token::plain;
use super::{Rule, Start};
use crate::scan::severity::Severity;

pub(super) const RULES: &[Rule] = &[Rule {
    id: "anthropic-api-key",
    title: "Anthropic API key",
    severity: Severity::Critical,
    keywords: &["sk-ant-"],
    start: Start::OfToken,
    pattern: "sk-ant-(?:api|admin)[0-9]{2}-[A-Za-z0-9_-]{93}AA",
    judge: plain,
}];
