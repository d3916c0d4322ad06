//! `OpenAI`: `sk-`, sometimes a kind (`proj-`, `svcacct-`, `admin-`), random characters around the mark `T3BlbkFJ`
//! (base64 of the company's name).

use super::token::plain;
use super::{Rule, Start};
use crate::scan::severity::Severity;

pub(super) const RULES: &[Rule] = &[Rule {
    id: "openai-api-key",
    title: "OpenAI API key",
    severity: Severity::Critical,
    keywords: &["sk-"],
    start: Start::OfToken,
    pattern: "sk-(?:[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}|(?:proj|svcacct|admin)-[A-Za-z0-9_-]{20,100}T3BlbkFJ[A-Za-z0-9_-]{20,100})",
    judge: plain,
}];
