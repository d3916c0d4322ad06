//! The forms in which a secret turns up by itself: base64 as in a `Basic` header or a Kubernetes secret, percent-encoded as in
//! an address, escaped as in JSON. Whoever wants to show a secret can always find another form; these are for accidents.

use std::fmt::Write as _;

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Every form of a value but the value itself.
pub(super) fn variants(value: &str) -> Vec<Vec<u8>> {
    let mut forms = Vec::new();
    for alphabet in [STANDARD, URL_SAFE] {
        forms.extend((0..3).map(|before| base64_inside(value.as_bytes(), before, alphabet)));
    }
    forms.push(percent_encoded(value).into_bytes());
    let json = serde_json::to_string(value).unwrap_or_default();
    forms.push(json.trim_start_matches('"').strip_suffix('"').unwrap_or_default().as_bytes().to_vec());
    forms.retain(|form| form != value.as_bytes());
    forms
}

/// The base64 digits (RFC 4648) that only `bytes` decide, where `before` other bytes (modulo 3) come first and any may follow.
fn base64_inside(bytes: &[u8], before: usize, alphabet: &[u8; 64]) -> Vec<u8> {
    let padded: Vec<u8> = std::iter::repeat_n(0, before).chain(bytes.iter().copied()).collect();
    let first_bit = before * 8;
    let last_bit = padded.len() * 8;
    let digits = first_bit.div_ceil(6)..last_bit / 6;
    digits.filter_map(|digit| alphabet.get(usize::from(six_bits(&padded, digit * 6))).copied()).collect()
}

fn six_bits(bytes: &[u8], at: usize) -> u8 {
    let byte = |index: usize| u16::from(bytes.get(index).copied().unwrap_or(0));
    let pair = byte(at / 8) << 8 | byte(at / 8 + 1);
    u8::try_from(pair >> (10 - at % 8) & 0x3f).unwrap_or(0)
}

fn percent_encoded(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inside(text: &str, before: usize) -> String {
        String::from_utf8(base64_inside(text.as_bytes(), before, STANDARD)).unwrap()
    }

    #[test]
    fn base64_is_the_known_one() {
        assert_eq!(inside("foobar", 0), "Zm9vYmFy");
        assert_eq!(inside("foob", 0), "Zm9vY");
        assert_eq!(inside("hunter2-hunter2", 0), "aHVudGVyMi1odW50ZXIy");
        // base64("user:hunter2-hunter2!") = dXNlcjpodW50ZXIyLWh1bnRlcjIh: five bytes come first.
        assert!("dXNlcjpodW50ZXIyLWh1bnRlcjIh".contains(&inside("hunter2-hunter2", 5 % 3)));
        assert!(inside("hunter2-hunter2", 2).len() >= 19);
    }

    #[test]
    fn other_forms() {
        let forms: Vec<String> = variants("p\"ss w\u{f6}rd/1\n").into_iter().map(|form| String::from_utf8(form).unwrap()).collect();
        assert!(forms.contains(&"p%22ss%20w%C3%B6rd%2F1%0A".to_owned()), "{forms:?}");
        assert!(forms.contains(&"p\\\"ss w\u{f6}rd/1\\n".to_owned()), "{forms:?}");
        assert!(!variants("plain-value-1").contains(&b"plain-value-1".to_vec()));
    }
}
