//! The forms in which a secret turns up by itself: base64 as in a `Basic` header or a Kubernetes secret, percent-encoded as in
//! an address, escaped as in JSON, quoted as a shell shows it. Whoever wants to show a secret can always find another form; these
//! are for accidents.

use std::fmt::Write as _;

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// What bash puts a backslash before where it does not quote.
const BACKSLASHED: &str = " '\"\\|&;()<>!{}*[]?^$`,";

/// Every form of a value but the value itself.
pub(super) fn variants(value: &str) -> Vec<Vec<u8>> {
    let mut forms = Vec::new();
    for alphabet in [STANDARD, URL_SAFE] {
        forms.extend((0..3).map(|before| base64_inside(value.as_bytes(), before, alphabet)));
    }
    forms.push(percent_encoded(value).into_bytes());
    let json = serde_json::to_string(value).unwrap_or_default();
    forms.push(json.trim_start_matches('"').strip_suffix('"').unwrap_or_default().as_bytes().to_vec());
    forms.extend(quoted(value));
    forms.retain(|form| form != value.as_bytes());
    forms
}

/// What a shell makes of a value between its quotes when it shows a command (`set -x`, `export -p`, `printf %q`, a command that a
/// signal ended), without those quotes. Single quotes also twice: hms's own script has an assignment within a quoted text.
pub(super) fn quoted(value: &str) -> Vec<Vec<u8>> {
    let single = |text: &str| text.replace('\'', "'\\''");
    let escaped = |special: &dyn Fn(char) -> bool| {
        let mut text = String::with_capacity(value.len());
        for letter in value.chars() {
            if special(letter) {
                text.push('\\');
            }
            text.push(letter);
        }
        text
    };
    let once = single(value);
    let forms = [
        single(&once),
        once,
        // dash's way out of single quotes.
        value.replace('\'', "'\"'\"'"),
        // Between double quotes.
        escaped(&|letter| matches!(letter, '"' | '\\' | '$' | '`')),
        // Without quotes: bash's `sh_backslash_quote`.
        escaped(&|letter| BACKSLASHED.contains(letter)),
        // Between `$'` and `'`.
        escaped(&|letter| matches!(letter, '\'' | '\\')).replace('\n', "\\n").replace('\t', "\\t"),
    ];
    let mut forms: Vec<Vec<u8>> = forms.into_iter().filter(|form| form != value).map(String::into_bytes).collect();
    forms.sort();
    forms.dedup();
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

    #[test]
    fn every_way_in_which_a_shell_shows_a_value_is_known() {
        let values = ["it's-a-\"sec\"ret$x", "a`b\\c!d{e,f}[g]h*i?j", "semi;colon&and|pipe<>()", "t~il#e^caret=q", "two\nlin'es"];
        let show = [
            "printf %q \"$V\"",
            "export -p | grep -A1 ' V='",
            "set -x; : \"$V\"",
            "set | grep -A1 '^V='",
            "echo \"${V@Q}\"",
            "sh -c 'export -p' | grep -A1 ' V='",
        ];
        for value in values {
            for command in show {
                let output = std::process::Command::new("bash").args(["-c", command]).env("V", value).output().unwrap();
                let shown = [output.stdout, output.stderr].concat();
                let found = |form: &[u8]| shown.windows(form.len()).any(|window| window == form);
                let known = std::iter::once(value.as_bytes().to_vec()).chain(quoted(value)).any(|form| found(&form));
                assert!(known, "{value:?} by {command}: {}", String::from_utf8_lossy(&shown));
            }
        }
    }
}
