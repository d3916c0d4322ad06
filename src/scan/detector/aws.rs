//! AWS: an access key is an id (`AKIA` or `ASIA` and 16 characters of base 32) and a secret of 40 characters of base64,
//! which has no mark of its own. The secret is reported where it stands near an id, or is assigned to its name; an id alone is
//! half of a key and low.

use std::ops::Range;

use super::token::{distinct, ends_token, has_word, looks_random, stretches};
use super::{Candidate, Rule, Start};
use crate::scan::severity::Severity;

/// How far from the id the secret is looked for, in bytes.
const NEAR: usize = 512;
const SECRET_LENGTH: usize = 40;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "aws-secret-access-key",
        title: "AWS secret access key",
        severity: Severity::Critical,
        keywords: &["AKIA", "ASIA"],
        start: Start::OfToken,
        pattern: "A[KS]IA[A-Z2-7]{16}",
        judge: near_id,
    },
    Rule {
        id: "aws-secret-access-key",
        title: "AWS secret access key",
        severity: Severity::Critical,
        keywords: &["aws_secret_access_key", "AWS_SECRET_ACCESS_KEY", "secretAccessKey", "SecretAccessKey", "aws_secret_key"],
        start: Start::Anywhere,
        pattern: r#"[A-Za-z_]{14,21}["']?\s{0,8}(?:=>|:=|=|:)\s{0,8}["']?(?P<value>[A-Za-z0-9+/]{40})"#,
        judge: assigned,
    },
    Rule {
        id: "aws-access-key-id",
        title: "AWS access key id without its secret",
        severity: Severity::Low,
        keywords: &["AKIA", "ASIA"],
        start: Start::OfToken,
        pattern: "A[KS]IA[A-Z2-7]{16}",
        judge: alone,
    },
];

fn near_id(candidate: &Candidate<'_>) -> Option<Range<usize>> {
    if !is_id(candidate) {
        return None;
    }
    let low = candidate.matched.start.saturating_sub(NEAR);
    let high = candidate.matched.end.saturating_add(NEAR).min(candidate.around.len());
    let near = candidate.around.get(low..high)?;
    let places = stretches(near, is_secret_byte).filter(|place| place.len() == SECRET_LENGTH);
    places.map(|place| low + place.start..low + place.end).find(|place| is_secret(candidate.around, place))
}

fn assigned(candidate: &Candidate<'_>) -> Option<Range<usize>> {
    is_secret(candidate.around, &candidate.value).then(|| candidate.value.clone())
}

fn alone(candidate: &Candidate<'_>) -> Option<Range<usize>> {
    (is_id(candidate) && near_id(candidate).is_none()).then(|| candidate.value.clone())
}

/// The ids of AWS's documentation end in `EXAMPLE`.
fn is_id(candidate: &Candidate<'_>) -> bool {
    ends_token(candidate.after()) && looks_random(candidate.value())
}

/// A secret stands alone, has letters of both cases and digits, and is neither hex (a SHA-1 has 40 digits too) nor a sample.
fn is_secret(around: &[u8], place: &Range<usize>) -> bool {
    let Some(value) = around.get(place.clone()) else { return false };
    let before = around.get(..place.start).unwrap_or_default();
    let after = around.get(place.end..).unwrap_or_default();
    let alone =
        before.last().is_none_or(|byte| !is_secret_byte(*byte)) && after.first().is_none_or(|byte| !is_secret_byte(*byte) && *byte != b'=');
    let has = |test: fn(&u8) -> bool| value.iter().any(test);
    alone
        && value.iter().all(|byte| is_secret_byte(*byte))
        && has(u8::is_ascii_uppercase)
        && has(u8::is_ascii_lowercase)
        && has(u8::is_ascii_digit)
        && distinct(value) >= 18
        && !has_word(value, b"example")
}

fn is_secret_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/'
}
