//! Twilio: an account's id is `AC` and 32 hex digits and no secret; the auth token is 32 bare hex digits. It is reported only
//! when one stands near an id and a word that says what it is.

use std::ops::Range;

use super::token::{ends_token, has_word, looks_random, starts_token, stretches};
use super::{Candidate, Rule, Start};
use crate::scan::severity::Severity;

/// How far from the id the token is looked for, in bytes.
const NEAR: usize = 256;
/// How far before the token the word is looked for, in bytes.
const SAID: usize = 48;
const TOKEN_LENGTH: usize = 32;

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
    let near = candidate.around.get(low..high)?;
    let mut places = stretches(near, is_hex).filter(|place| place.len() == TOKEN_LENGTH).map(|place| low + place.start..low + place.end);
    places.find(|place| is_token(candidate.around, place))
}

fn is_token(around: &[u8], place: &Range<usize>) -> bool {
    let before = around.get(..place.start).unwrap_or_default();
    let after = around.get(place.end..).unwrap_or_default();
    let said = before.get(before.len().saturating_sub(SAID)..).unwrap_or_default();
    starts_token(before)
        && ends_token(after)
        && around.get(place.clone()).is_some_and(looks_random)
        && (has_word(said, b"auth") || has_word(said, b"token"))
}

fn is_hex(byte: u8) -> bool {
    byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)
}
