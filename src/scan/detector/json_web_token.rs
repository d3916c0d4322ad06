//! A signed JSON Web Token (RFC 7519): header, claims and signature in base64url. The header must say how it is signed; a token
//! that says `none` is no credential, nor is the specification's sample about John Doe. What it opens, and for how long, cannot be seen from outside: medium.

use std::ops::Range;

use super::token::{ends_token, has_word};
use super::{Candidate, Rule, Start};
use crate::scan::severity::Severity;

pub(super) const RULES: &[Rule] = &[Rule {
    id: "json-web-token",
    title: "signed JSON Web Token",
    severity: Severity::Medium,
    keywords: &["eyJ"],
    start: Start::OfToken,
    pattern: r"eyJ[A-Za-z0-9_-]{10,500}\.eyJ[A-Za-z0-9_-]{10,2500}\.[A-Za-z0-9_-]{40,700}",
    judge,
}];

fn judge(candidate: &Candidate<'_>) -> Option<Range<usize>> {
    let value = candidate.value();
    let mut parts = value.split(|byte| *byte == b'.');
    let header = decode(parts.next()?)?;
    let claims = decode(parts.next()?)?;
    let header: serde_json::Value = serde_json::from_slice(&header).ok()?;
    let algorithm = header.get("alg")?.as_str()?;
    let credential = algorithm != "none"
        && serde_json::from_slice::<serde_json::Value>(&claims).is_ok_and(|claims| claims.is_object())
        && !has_word(&claims, b"john doe")
        && ends_token(candidate.after());
    credential.then(|| candidate.value.clone())
}

/// Reads base64url without padding (RFC 4648 §5).
fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let mut held: u32 = 0;
    let mut bits = 0;
    for character in text {
        let six = match character {
            b'A'..=b'Z' => character - b'A',
            b'a'..=b'z' => character - b'a' + 26,
            b'0'..=b'9' => character - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        held = (held << 6) | u32::from(six);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from((held >> bits) & 0xff).ok()?);
        }
        held &= (1 << bits) - 1;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64url_is_read() {
        assert_eq!(decode(b"eyJhIjoxfQ").as_deref(), Some(&b"{\"a\":1}"[..]));
        assert_eq!(decode(b"-_8").as_deref(), Some(&[0xfb, 0xff][..]));
        assert_eq!(decode(b"a+b"), None);
    }
}
