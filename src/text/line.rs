//! One line from outside → text that a terminal can only show.
//!
//! The line goes through `vte`'s parser, the same machine a terminal has, so that what a terminal would take for a command is
//! never taken for text here, or the other way round. Of its commands only SGR has an effect, and that on a [`Style`], never on bytes:
//! the sequences that leave are written anew.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthChar as _;

use super::hidden::{Shown, shown};
use super::style::Style;

/// The most characters that one line shows; a longer one ends in `…`.
pub const MAX_CHARACTERS: usize = 16_384;

/// The most bytes that are read of one line. Colours may take far more bytes than what they colour.
const MAX_BYTES: usize = 1 << 20;

/// Terminals stop every so many columns.
const TAB: usize = 8;

/// A line's pieces of equal style, for a screen that draws by itself. Line breaks in it are dropped like any control.
#[must_use]
pub fn spans(line: &[u8]) -> Vec<(Style, String)> {
    let (head, cut) = match line.split_at_checked(MAX_BYTES) {
        Some((head, _)) => (head, true),
        None => (line, false),
    };
    let mut shaper = Shaper::default();
    // Decoded first: the parser would forget a broken character at the very end.
    vte::Parser::new().advance(&mut shaper, String::from_utf8_lossy(head).as_bytes());
    shaper.finish(cut)
}

/// A line of a log as a terminal may have it: SGR kept, and reset at its end if it set something.
#[must_use]
pub fn safe_line(line: &[u8]) -> String {
    let mut out = String::with_capacity(line.len().min(MAX_BYTES));
    let mut before = Style::default();
    for (style, text) in spans(line) {
        if style != before {
            style.write_sgr(&mut out);
            before = style;
        }
        out.push_str(&text);
    }
    if before != Style::default() {
        out.push_str("\u{1b}[0m");
    }
    out
}

/// A line without any style, as it would be read aloud.
#[must_use]
pub fn plain_line(line: &[u8]) -> String {
    spans(line).into_iter().map(|(_, text)| text).collect()
}

/// Text of any number of lines as a terminal may have it: each as [`safe_line`] makes it, breaks kept.
#[must_use]
pub fn for_terminal(text: &str) -> String {
    text.split('\n').map(|line| safe_line(line.as_bytes())).collect::<Vec<_>>().join("\n")
}

/// A name, a title, a message as one line without any control character: line breaks become spaces.
#[must_use]
pub fn plain(text: &str) -> String {
    text.split('\n').map(|line| plain_line(line.as_bytes())).collect::<Vec<_>>().join(" ")
}

/// Gathers what the parser sees.
#[derive(Default)]
struct Shaper {
    style: Style,
    pieces: Vec<(Style, String)>,
    characters: usize,
    column: usize,
    /// A carriage return was seen; the next character starts the line anew. Not before: `\r\n` and a last `\r` clear nothing.
    returned: bool,
}

impl Shaper {
    fn push(&mut self, character: char) {
        self.start_anew_if_returned();
        if self.characters > MAX_CHARACTERS {
            return;
        }
        self.characters += 1;
        self.column += character.width().unwrap_or(0);
        match self.pieces.last_mut() {
            Some((style, text)) if *style == self.style => text.push(character),
            _ => self.pieces.push((self.style, String::from(character))),
        }
    }

    fn start_anew_if_returned(&mut self) {
        if self.returned {
            self.pieces.clear();
            (self.characters, self.column, self.returned) = (0, 0, false);
        }
    }

    fn tab(&mut self) {
        self.start_anew_if_returned();
        for _ in 0..TAB - self.column % TAB {
            self.push(' ');
        }
    }

    /// Ends the line; `cut` when more came than was read.
    fn finish(mut self, cut: bool) -> Vec<(Style, String)> {
        if self.characters <= MAX_CHARACTERS && !cut {
            return self.pieces;
        }
        while self.characters >= MAX_CHARACTERS {
            let Some((_, text)) = self.pieces.last_mut() else { break };
            if text.pop().is_some() {
                self.characters -= 1;
            } else {
                self.pieces.pop();
            }
        }
        self.pieces.retain(|(_, text)| !text.is_empty());
        self.push('…');
        self.pieces
    }
}

impl vte::Perform for Shaper {
    fn print(&mut self, character: char) {
        match shown(character) {
            Shown::Itself => self.push(character),
            Shown::Nothing => {}
            Shown::CodePoint => {
                let mut spelt = String::new();
                let _ = write!(spelt, "⟨U+{:04X}⟩", u32::from(character));
                spelt.chars().for_each(|character| self.push(character));
            }
        }
    }

    fn execute(&mut self, byte: u8) {
        match byte {
            b'\t' => self.tab(),
            b'\r' => self.returned = true,
            _ => {}
        }
    }

    fn csi_dispatch(&mut self, params: &vte::Params, intermediates: &[u8], ignore: bool, action: char) {
        // `CSI > … m` and `CSI ? … m` are not SGR; more than 32 parameters are not well-formed.
        if action == 'm' && intermediates.is_empty() && !ignore {
            self.style = self.style.after(params.iter());
        }
    }
}

/// A text as one argument of a shell's command, to be pasted.
#[must_use]
pub fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::Colour;

    #[test]
    fn everything_but_colour_is_gone() {
        let table: [(&[u8], &str); 24] = [
            (b"plain", "plain"),
            (b"\x1b[31mred\x1b[0m", "\x1b[0;31mred\x1b[0m"),
            (b"\x1b[1;4;38;5;200mx", "\x1b[0;1;4;38;5;200mx\x1b[0m"),
            (b"\x1b[38:2::1:2:3mx\x1b[m", "\x1b[0;38;2;1;2;3mx\x1b[0m"),
            (b"\x1b[31m", ""),
            (b"\x1b]52;c;ZWNobw==\x07copied", "copied"),
            (b"\x1b]0;title\x1b\\x", "x"),
            (b"\x1b]8;;http://evil/\x1b\\link\x1b]8;;\x1b\\", "link"),
            (b"\x1bP$q\"p\x1b\\x", "x"),
            (b"\x1b[6n\x1b[c\x1b[2J\x1b[1;1Hx", "x"),
            (b"\x1b_apc\x1b\\\x1b^pm\x1b\\\x1bXsos\x1b\\x", "x"),
            (b"\x1bc\x1b(0x", "x"),
            (b"\x1b[?25l\x1b[>4;1mx", "x"),
            (b"\xc2\x9b31mx", "31mx"),
            (b"\x9b31mx", "\u{fffd}31mx"),
            (b"10%\r20%\r30%", "30%"),
            (b"whole\r\n", "whole"),
            (b"whole\r", "whole"),
            (b"a\tb", "a       b"),
            (b"12345678\tb", "12345678        b"),
            (b"pass\x08\x08\x08\x08word\x00\x07\x7f", "password"),
            ("a\u{202e}b\u{200b}c".as_bytes(), "a⟨U+202E⟩b⟨U+200B⟩c"),
            (b"\xff\xfe ok \xe2\x9c", "\u{fffd}\u{fffd} ok \u{fffd}"),
            (b"open \x1b]0;never ends", "open "),
        ];
        for (given, wanted) in table {
            assert_eq!(safe_line(given), wanted, "{:?}", String::from_utf8_lossy(given));
        }
    }

    #[test]
    fn a_style_survives_a_carriage_return_as_it_does_on_a_terminal() {
        let style = Style { foreground: Some(Colour::Basic(2)), ..Style::default() };
        assert_eq!(spans(b"\x1b[32mold\rnew"), [(style, "new".to_owned())]);
        assert_eq!(spans(b"old\r\tx"), [(Style::default(), "        x".to_owned())]);
    }

    #[test]
    fn what_hides_or_blinks_changes_nothing() {
        assert_eq!(safe_line(b"\x1b[8;5;9mseen"), "seen");
        assert_eq!(safe_line(b"\x1b[58;5;1mseen"), "seen");
        assert_eq!(safe_line(b"\x1b[38;9mseen"), "seen");
    }

    #[test]
    fn a_long_line_is_cut_and_says_so() {
        let shown = plain_line(&vec![b'x'; 5 * MAX_BYTES]);
        assert_eq!(shown.chars().count(), MAX_CHARACTERS);
        assert!(shown.ends_with("x…"), "no mark at the end");
        let tabs = plain_line(&vec![b'\t'; MAX_BYTES]);
        assert_eq!(tabs.chars().count(), MAX_CHARACTERS);
        assert_eq!(plain_line(&vec![b'x'; MAX_CHARACTERS]), "x".repeat(MAX_CHARACTERS));
    }

    #[test]
    fn names_are_one_line() {
        assert_eq!(plain("feat: \x1b[31mred\x1b[0m\nsecond\r\n"), "feat: red second ");
        assert_eq!(plain("a\r\nb"), "a b");
    }

    /// Bytes as a hostile job would write them: pieces of sequences, cut and mixed.
    fn hostile() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(b"\x1b[".to_vec()),
            Just(b"\x1b]0;".to_vec()),
            Just(b"\x1bP".to_vec()),
            Just(b"\x1b".to_vec()),
            Just(b"\r".to_vec()),
            Just(b"\t".to_vec()),
            Just(b"\n".to_vec()),
            Just(b"\xc2\x9b".to_vec()),
            Just(b"38;5;1m".to_vec()),
            Just(b"1;4:3;48:2:1:2:3m".to_vec()),
            Just("\u{202e}é中".as_bytes().to_vec()),
            proptest::collection::vec(any::<u8>(), 0..6),
            "[a-z0-9;:m]{0,6}".prop_map(String::into_bytes),
        ];
        proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    fn only_sgr(text: &str) -> bool {
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('\u{1b}') {
            let Some((parameters, after)) = after.strip_prefix('[').and_then(|after| after.split_once('m')) else { return false };
            if before.chars().any(char::is_control) || !parameters.chars().all(|one| one.is_ascii_digit() || one == ';') {
                return false;
            }
            rest = after;
        }
        !rest.chars().any(char::is_control)
    }

    proptest! {
        #[test]
        fn no_escape_but_sgr_leaves(bytes in hostile()) {
            let shown = safe_line(&bytes);
            prop_assert!(only_sgr(&shown), "{shown:?}");
            // Behind the last reset nothing is set any more.
            let behind = shown.rsplit("\u{1b}[0m").next().unwrap_or_default();
            prop_assert!(!behind.contains('\u{1b}'), "not reset: {shown:?}");
        }

        #[test]
        fn plain_holds_no_control(bytes in hostile()) {
            let shown = plain(&String::from_utf8_lossy(&bytes));
            prop_assert!(!shown.chars().any(char::is_control), "{shown:?}");
        }

        #[test]
        fn twice_is_once(bytes in hostile()) {
            let text = String::from_utf8_lossy(&bytes);
            let once = for_terminal(&text);
            prop_assert_eq!(&for_terminal(&once), &once);
            let name = plain(&text);
            prop_assert_eq!(&plain(&name), &name);
        }
    }
}
