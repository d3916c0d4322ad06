//! `PyPI`: `pypi-` and a macaroon in base64url whose first bytes name the index.

use super::token::plain;
use super::{Rule, Start};
use crate::scan::severity::Severity;

pub(super) const RULES: &[Rule] = &[Rule {
    id: "pypi-token",
    title: "PyPI upload token",
    severity: Severity::Critical,
    keywords: &["pypi-AgEIcHlwaS5vcmc", "pypi-AgENdGVzdC5weXBpLm9yZw"],
    start: Start::OfToken,
    pattern: "pypi-AgE[A-Za-z0-9_-]{60,1000}",
    judge: plain,
}];
