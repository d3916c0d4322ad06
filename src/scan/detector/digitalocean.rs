//! `DigitalOcean`: `dop_v1_` (personal), `doo_v1_` (OAuth), `dor_v1_` (refresh) and 64 lower case hex digits.

use super::token::plain;
use super::{Rule, Start};
use crate::scan::severity::Severity;

pub(super) const RULES: &[Rule] = &[Rule {
    id: "digitalocean-token",
    title: "DigitalOcean access token",
    severity: Severity::Critical,
    keywords: &["dop_v1_", "doo_v1_", "dor_v1_"],
    start: Start::OfToken,
    pattern: "do[opr]_v1_[0-9a-f]{64}",
    judge: plain,
}];
