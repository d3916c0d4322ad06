//! Docker Hub: `dckr_pat_` (personal) or `dckr_oat_` (organisation) and base64url characters.

use super::token::plain;
use super::{Rule, Start};
use crate::scan::severity::Severity;

pub(super) const RULES: &[Rule] = &[Rule {
    id: "docker-access-token",
    title: "Docker Hub access token",
    severity: Severity::High,
    keywords: &["dckr_pat_", "dckr_oat_"],
    start: Start::OfToken,
    pattern: "dckr_[op]at_[A-Za-z0-9_-]{27,32}",
    judge: plain,
}];
