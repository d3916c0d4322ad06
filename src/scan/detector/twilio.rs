//! Twilio: an account's id is `AC` and 32 hex digits and no secret; the auth token is 32 bare hex digits. It is reported only
//! when one stands near an id and a word that says what it is.

use std::ops::Range;

use super::token::{ends_token, has_word, looks_random, starts_token};
use super::{Candidate, Rule, Start};
use crate::scan::severity::Severity;

/// How far from the id the token is looked for, in bytes.
const NEAR: usize = 256;
/// How far before the token the word is looked for, in bytes.
const SAID: usize = 48;

pub(super) const RULES: &[Rule] = &[Rule {
    id: "twilio-auth-token",
    title: "Twilio auth token",
    severity: Severity::Critical,
    keywords: &["AC"],
    start: Start::OfToken,
    pattern: "AC[0-9a-f]{32}",
    judge,
}];

fn judge(candidate: &Candidate<'_>) -> Option<Range<usize>> {
    if !ends_token(candidate.after()) || !looks_random(candidate.value()) {
        return None;
    }
    let low = candidate.matched.start.saturating_sub(NEAR);
    let high = candidate.matched.end.saturating_add(NEAR).min(candidate.around.len());
    (low..high.saturating_sub(31)).map(|start| start..start + 32).find(|place| {
        let (Some(before), Some(value), Some(after)) =
            (candidate.around.get(..place.start), candidate.around.get(place.clone()), candidate.around.get(place.end..))
        else {
            return false;
        };
        let said = before.get(before.len().saturating_sub(SAID)..).unwrap_or_default();
        let hex = value.iter().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte));
        hex && starts_token(before) && ends_token(after) && looks_random(value) && (has_word(said, b"auth") || has_word(said, b"token"))
    })
}
