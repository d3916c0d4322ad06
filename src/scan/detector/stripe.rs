//! Stripe: live secret (`sk_live_`) and restricted (`rk_live_`) keys. Test keys move no money and are not reported.

use super::token::plain;
use super::{Rule, Start};
use crate::scan::severity::Severity;

pub(super) const RULES: &[Rule] = &[Rule {
    id: "stripe-live-key",
    title: "Stripe live key",
    severity: Severity::Critical,
    keywords: &["sk_live_", "rk_live_"],
    start: Start::OfToken,
    pattern: "[rs]k_live_[A-Za-z0-9]{24,247}",
    judge: plain,
}];
