//! JSON that a terminal may have: what it would obey, or would not show, is written as `\\uXXXX`.

use std::fmt::Write as _;

use serde::Serialize;

use crate::text::plain;

/// The value as JSON on one line; whoever reads it gets back what went in. `serde_json` spells out the controls below U+0020; here
/// the others are too (DEL, and C1, which some terminals obey), and characters that nobody sees.
///
/// # Errors
/// When the value cannot be JSON: a map with keys that are no text, or a type that refuses.
pub fn json_text(value: &impl Serialize) -> Result<String, serde_json::Error> {
    let json = serde_json::to_string(value)?;
    let mut out = String::with_capacity(json.len());
    for character in json.chars() {
        if obeyed_or_unseen(character) {
            // Outside its strings JSON is ASCII, so that an escape always stands in one.
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(character);
        }
    }
    Ok(out)
}

fn obeyed_or_unseen(character: char) -> bool {
    let text = String::from(character);
    !matches!(character, ' '..='~') && plain(&text) != text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_spelt_out() {
        assert_eq!(
            json_text(&"a\u{9b}2J\u{202e}b\u{7f}\u{1b}]52;c;x\u{7}é中\u{e0041}").unwrap(),
            r#""a\u009b2J\u202eb\u007f\u001b]52;c;x\u0007é中\udb40\udc41""#
        );
    }

    proptest! {
        #[test]
        fn readers_get_back_what_went_in(text in any::<String>()) {
            let json = json_text(&text).unwrap();
            prop_assert!(!json.chars().any(char::is_control), "{json:?}");
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
    }
}
