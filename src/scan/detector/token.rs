//! Where a token starts and ends in its surroundings, and whether it looks made by a machine.

use std::ops::Range;

use super::Candidate;

/// The usual judge: the token ends where the match ends, and it is no placeholder.
pub(super) fn plain(candidate: &Candidate<'_>) -> Option<Range<usize>> {
    (ends_token(candidate.after()) && looks_random(candidate.value())).then(|| candidate.value.clone())
}

/// Whether a token can start after these bytes: the last is no part of a token, or it is the tail of an escape
/// (`\n`, `%3D`, `\u003d`) as JSON, shells and URLs write them.
pub(crate) fn starts_token(before: &[u8]) -> bool {
    let Some(last) = before.last() else { return true };
    if !is_token_byte(*last) {
        return true;
    }
    match before {
        [.., b'\\', b'n' | b'r' | b't'] => true,
        [.., b'%', high, low] => high.is_ascii_hexdigit() && low.is_ascii_hexdigit(),
        [.., slash, letter, first, second, third, fourth] => {
            *slash == b'\\' && *letter == b'u' && [first, second, third, fourth].iter().all(|byte| byte.is_ascii_hexdigit())
        }
        _ => false,
    }
}

/// Whether a token can end before these bytes.
pub(super) fn ends_token(after: &[u8]) -> bool {
    after.first().is_none_or(|next| !is_token_byte(*next))
}

/// Whether a value looks made by a machine: enough different bytes, no long run of one, not said to be an example.
pub(super) fn looks_random(value: &[u8]) -> bool {
    // Even 32 hex digits of chance have fewer than 8 different ones only once in tens of millions.
    let wanted = (value.len() / 4).clamp(6, 12);
    distinct(value) >= wanted
        && longest_run(value) < (value.len() / 4).max(6)
        && !has_word(value, b"example")
        && !has_word(value, b"placeholder")
}

/// The places of the longest stretches of bytes that pass a test.
pub(super) fn stretches(bytes: &[u8], test: fn(u8) -> bool) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    bytes.chunk_by(move |left, right| test(*left) == test(*right)).filter_map(move |chunk| {
        let place = start..start + chunk.len();
        start = place.end;
        chunk.first().is_some_and(|byte| test(*byte)).then_some(place)
    })
}

/// How many different bytes there are.
pub(super) fn distinct(value: &[u8]) -> usize {
    let mut seen = [false; 256];
    for byte in value {
        if let Some(slot) = seen.get_mut(usize::from(*byte)) {
            *slot = true;
        }
    }
    seen.iter().filter(|seen| **seen).count()
}

/// Whether these bytes hold a word, in whatever case. The word is given in lower case.
pub(super) fn has_word(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word))
}

fn longest_run(value: &[u8]) -> usize {
    value.chunk_by(|left, right| left == right).map(<[u8]>::len).max().unwrap_or_default()
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_token_starts() {
        let table: [(&[u8], bool); 11] = [
            (b"", true),
            (b"=", true),
            (b"\"", true),
            (b"a", false),
            (b"_", false),
            (b"-", false),
            (b"{\"k\":\"a\\n", true),
            (b"k%3D", true),
            (b"k\\u003d", true),
            (b"%zD", false),
            (b"\\x41", false),
        ];
        for (before, wanted) in table {
            assert_eq!(starts_token(before), wanted, "{}", String::from_utf8_lossy(before));
        }
    }

    #[test]
    fn stretches_are_found_whole() {
        let found = |text: &'static str| -> Vec<&str> {
            stretches(text.as_bytes(), |byte| byte.is_ascii_digit()).map(|place| &text[place]).collect()
        };
        for (text, wanted) in [("", vec![]), ("ab", vec![]), ("12", vec!["12"]), ("a12b3", vec!["12", "3"]), ("1a", vec!["1"])] {
            assert_eq!(found(text), wanted, "{text}");
        }
    }

    #[test]
    fn placeholders_are_not_random() {
        for placeholder in ["XXXXXXXXXXXXXXXXXXXXXXXX", "abcabcabcabcabcabcabcabc", "q8ExampleKd91LsPqZ74mVb2", "aaaaaaaaaaaaaaaaaaaaaaaa"]
        {
            assert!(!looks_random(placeholder.as_bytes()), "{placeholder}");
        }
        assert!(looks_random(b"f3Kq9ZxT1mWc7RbL0vYpH2sD"));
    }
}
