//! `HashiCorp` Vault: service (`hvs.`) and batch (`hvb.`) tokens.

use super::token::plain;
use super::{Rule, Start};
use crate::scan::severity::Severity;

pub(super) const RULES: &[Rule] = &[Rule {
    id: "vault-token",
    title: "Vault token",
    severity: Severity::High,
    keywords: &["hvs.", "hvb."],
    start: Start::OfToken,
    pattern: r"hv(?:s\.[A-Za-z0-9_-]{90,120}|b\.[A-Za-z0-9_-]{138,300})",
    judge: plain,
}];
