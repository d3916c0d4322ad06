//! Private keys in PEM (RFC 7468), OpenSSH's and PGP's armour, with real or escaped line ends; among them the key of a Google
//! service account, which stands in JSON. A header without a body is code or prose and no key.

use std::ops::Range;

use super::token::{distinct, has_word};
use super::{Candidate, Rule, Start};
use crate::scan::severity::Severity;

/// A header, whatever parts lines in source code, up to four header lines, and the body.
const PATTERN: &str = concat!(
    r"-----BEGIN (?:[A-Z]{2,9} ){0,2}PRIVATE KEY(?: BLOCK)?-----",
    r#"(?:\\{1,2}[nr]|["']\s{0,32}[+.]\s{0,32}["']|[\s"',;\\]){1,64}"#,
    r"(?:[A-Z][A-Za-z-]{2,19}: [^\r\n\\]{0,128}(?:\\{1,2}[nr]|[\r\n]){1,8}[ \t]{0,16}){0,4}",
    r#"(?P<value>[A-Za-z0-9+/]{32}[A-Za-z0-9+/=\s\\]{0,1600})"#,
);

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "private-key",
        title: "private key",
        severity: Severity::Critical,
        keywords: &["-----BEGIN "],
        start: Start::Anywhere,
        pattern: PATTERN,
        judge: |candidate| of_kind(candidate, Kind::Open),
    },
    Rule {
        id: "private-key-encrypted",
        title: "private key under a passphrase",
        severity: Severity::Medium,
        keywords: &["-----BEGIN "],
        start: Start::Anywhere,
        pattern: PATTERN,
        judge: |candidate| of_kind(candidate, Kind::Encrypted),
    },
    Rule {
        id: "google-service-account-key",
        title: "Google service account key",
        severity: Severity::Critical,
        keywords: &["-----BEGIN "],
        start: Start::Anywhere,
        pattern: PATTERN,
        judge: |candidate| of_kind(candidate, Kind::ServiceAccount),
    },
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Open,
    Encrypted,
    ServiceAccount,
}

fn of_kind(candidate: &Candidate<'_>, wanted: Kind) -> Option<Range<usize>> {
    let header = candidate.around.get(candidate.matched.start..candidate.value.start).unwrap_or_default();
    let kind = if has_word(header, b"encrypted") {
        Kind::Encrypted
    } else if has_word(candidate.before(), b"\"private_key_id\"") && has_word(header, b"begin private key") {
        Kind::ServiceAccount
    } else {
        Kind::Open
    };
    let start = candidate.value().get(..32).unwrap_or_default();
    (kind == wanted && distinct(start) >= 8).then(|| candidate.value.clone())
}
