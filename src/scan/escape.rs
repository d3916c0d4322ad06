//! Names from outside, written so that they cannot drive a terminal or be read as something else.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;

/// Writes a text for one line of a terminal: what controls, hides or turns text around becomes `\u{…}`.
pub(crate) fn for_terminal(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_unsafe(character) {
            let _ = write!(shown, "\\u{{{:x}}}", u32::from(character));
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Rewrites finished JSON so that no character of it can drive a terminal; a JSON reader sees the same values.
/// Such characters occur only inside strings, and all that JSON leaves raw but a newline are below U+10000.
pub(crate) fn for_json(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for character in json.chars() {
        if character != '\n' && is_unsafe(character) {
            let _ = write!(shown, "\\u{:04x}", u32::from(character));
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Writes a path for a report. UTF-8 stays as it is; any other byte becomes `\xNN`.
pub(crate) fn path_text(path: &OsStr) -> String {
    let mut text = String::new();
    for chunk in path.as_bytes().utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_drives_a_terminal_is_left() {
        let table = [
            ("plain/ä.txt", "plain/ä.txt"),
            ("a\u{1b}[2Jb", "a\\u{1b}[2Jb"),
            ("a\nb\r", "a\\u{a}b\\u{d}"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("\u{202e}txt.exe", "\\u{202e}txt.exe"),
            ("zero\u{200b}width", "zero\\u{200b}width"),
        ];
        for (given, wanted) in table {
            assert_eq!(for_terminal(given), wanted);
        }
    }

    #[test]
    fn json_keeps_its_values() {
        let value = serde_json::json!({"a\u{9b}": "\u{202e}\u{1b}\u{7f}\n"});
        let shown = for_json(&serde_json::to_string_pretty(&value).unwrap());
        assert!(shown.chars().all(|character| character == '\n' || !is_unsafe(character)), "{shown:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }

    #[test]
    fn bytes_that_are_no_text_are_named() {
        assert_eq!(path_text(OsStr::from_bytes(b"a\xffb/\xc3\xa4")), "a\\xffb/ä");
    }
}
