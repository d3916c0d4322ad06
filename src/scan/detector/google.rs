//! Google: API keys (`AIza` and 35 characters) and OAuth client secrets (`GOCSPX-` and 28).
//! The key inside a service account's JSON is in `private_key.rs`.

use super::token::plain;
use super::{Rule, Start};
use crate::scan::severity::Severity;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "google-api-key",
        title: "Google API key",
        // Some are made to be public (maps, Firebase), so it is no more than this.
        severity: Severity::Medium,
        keywords: &["AIza"],
        start: Start::OfToken,
        pattern: "AIza[A-Za-z0-9_-]{35}",
        judge: plain,
    },
    Rule {
        id: "google-oauth-client-secret",
        title: "Google OAuth client secret",
        severity: Severity::High,
        keywords: &["GOCSPX-"],
        start: Start::OfToken,
        pattern: "GOCSPX-[A-Za-z0-9_-]{28}",
        judge: plain,
    },
];
