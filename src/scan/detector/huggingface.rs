//! Hugging Face: `hf_` and 34 letters.

use super::token::plain;
use super::{Rule, Start};
use crate::scan::severity::Severity;

pub(super) const RULES: &[Rule] = &[Rule {
    id: "huggingface-token",
    title: "Hugging Face access token",
    severity: Severity::High,
    keywords: &["hf_"],
    start: Start::OfToken,
    pattern: "hf_[A-Za-z]{34}",
    judge: plain,
}];
