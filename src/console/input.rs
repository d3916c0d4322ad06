//! Bytes from the terminal → keys. Crossterm 0.29's own reader is not used: it spins for ever once the terminal is gone, can
//! lose a key that comes together with a resize, and keeps a paste of any length. Its types are.
//!
//! What is understood is what terminals send without being asked for more: UTF-8, control characters, Alt as a leading Esc,
//! cursor and editing keys (ECMA-48 CSI and SS3, xterm's modifiers), bracketed paste. Everything else is passed over.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::message::Message;

const PASTE_BEGINS: &[u8] = b"\x1b[200~";
const PASTE_ENDS: &[u8] = b"\x1b[201~";
/// No sequence that means anything is longer.
const LONGEST: usize = 64;

/// What has come and is not yet a key.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    pending: Vec<u8>,
    pasting: bool,
}

/// What the beginning of the pending bytes is.
enum Parsed {
    Key(KeyEvent, usize),
    PasteBegins,
    Nothing(usize),
    Incomplete,
}

impl Decoder {
    /// Takes one packet. Esc at its end is the key Esc; before another character it is Alt.
    pub(crate) fn feed(&mut self, packet: &[u8]) -> Vec<Message> {
        self.pending.extend_from_slice(packet);
        let mut messages = Vec::new();
        while !self.pending.is_empty() {
            if self.pasting {
                if !self.skip_paste() {
                    break;
                }
                continue;
            }
            let used = match parse(&self.pending) {
                Parsed::Key(key, used) => {
                    messages.push(Message::Key(key));
                    used
                }
                Parsed::PasteBegins => {
                    self.pasting = true;
                    messages.push(Message::Paste);
                    PASTE_BEGINS.len()
                }
                Parsed::Nothing(used) => used,
                Parsed::Incomplete if self.pending.len() > LONGEST => self.pending.len(),
                Parsed::Incomplete => break,
            };
            self.pending.drain(..used.min(self.pending.len()));
        }
        messages
    }

    /// Whether more is expected soon; if it does not come, [`Decoder::give_up`].
    pub(crate) fn expects_more(&self) -> bool {
        self.pasting || !self.pending.is_empty()
    }

    /// Drops what never became a key, and ends a paste that was never ended: keys must not be lost in it.
    pub(crate) fn give_up(&mut self) {
        self.pending.clear();
        self.pasting = false;
    }

    /// Drops pasted bytes; says whether the paste's end was among them.
    fn skip_paste(&mut self) -> bool {
        if let Some(at) = self.pending.windows(PASTE_ENDS.len()).position(|window| window == PASTE_ENDS) {
            self.pending.drain(..at + PASTE_ENDS.len());
            self.pasting = false;
            return true;
        }
        // The mark may be split between two packets.
        let keep = PASTE_ENDS.len() - 1;
        self.pending.drain(..self.pending.len().saturating_sub(keep));
        false
    }
}

fn parse(bytes: &[u8]) -> Parsed {
    let key = |code, used| Parsed::Key(KeyEvent::from(code), used);
    match bytes {
        [b'\r' | b'\n', ..] => key(KeyCode::Enter, 1),
        [b'\t', ..] => key(KeyCode::Tab, 1),
        [0x7f | 0x08, ..] => key(KeyCode::Backspace, 1),
        [0x1b] | [0x1b, 0x1b, ..] => key(KeyCode::Esc, 1),
        [0x1b, b'[', ..] => csi(bytes),
        [0x1b, b'O', letter, ..] => named(*letter).map_or(Parsed::Nothing(3), |code| key(code, 3)),
        [] | [0x1b, b'O'] => Parsed::Incomplete,
        [0x1b, rest @ ..] => match parse(rest) {
            Parsed::Key(event, used) => Parsed::Key(KeyEvent::new(event.code, event.modifiers | KeyModifiers::ALT), used + 1),
            Parsed::Nothing(used) => Parsed::Nothing(used + 1),
            Parsed::PasteBegins | Parsed::Incomplete => Parsed::Incomplete,
        },
        [control @ 1..=26, ..] => Parsed::Key(KeyEvent::new(KeyCode::Char(char::from(control - 1 + b'a')), KeyModifiers::CONTROL), 1),
        [0..=31, ..] => Parsed::Nothing(1),
        [first, ..] => character(bytes, *first),
    }
}

fn character(bytes: &[u8], first: u8) -> Parsed {
    let length = match first {
        0..0x80 => 1,
        0xc2..0xe0 => 2,
        0xe0..0xf0 => 3,
        0xf0..0xf5 => 4,
        _ => return Parsed::Nothing(1),
    };
    let Some(bytes) = bytes.get(..length) else {
        return Parsed::Incomplete;
    };
    match std::str::from_utf8(bytes).ok().and_then(|text| text.chars().next()) {
        Some(c) => Parsed::Key(KeyEvent::from(KeyCode::Char(c)), length),
        None => Parsed::Nothing(1),
    }
}

/// `ESC [ parameters final`.
fn csi(bytes: &[u8]) -> Parsed {
    if bytes.starts_with(PASTE_BEGINS) {
        return Parsed::PasteBegins;
    }
    let body = bytes.get(2..).unwrap_or_default();
    let Some(end) = body.iter().position(|byte| !(0x20..0x40).contains(byte)) else {
        return Parsed::Incomplete;
    };
    let used = end + 3;
    let (parameters, last) = (body.get(..end).unwrap_or_default(), body.get(end).copied().unwrap_or_default());
    if !(0x40..0x7f).contains(&last) {
        // Another sequence begins inside this one: this one is dropped, that one is not.
        return Parsed::Nothing(used - 1);
    }
    let numbers: Vec<u8> = parameters.split(|byte| *byte == b';').map(number).collect();
    let code = match (last, numbers.first()) {
        (b'~', Some(1 | 7)) => Some(KeyCode::Home),
        (b'~', Some(4 | 8)) => Some(KeyCode::End),
        (b'~', Some(3)) => Some(KeyCode::Delete),
        (b'~', Some(5)) => Some(KeyCode::PageUp),
        (b'~', Some(6)) => Some(KeyCode::PageDown),
        (b'Z', _) => Some(KeyCode::BackTab),
        (letter, _) => named(letter),
    };
    let modifiers = numbers.get(1).map_or(KeyModifiers::NONE, |number| modifiers(*number));
    code.map_or(Parsed::Nothing(used), |code| Parsed::Key(KeyEvent::new(code, modifiers), used))
}

fn number(digits: &[u8]) -> u8 {
    std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).unwrap_or_default()
}

/// xterm: 1 + a sum of 1 Shift, 2 Alt, 4 Control.
fn modifiers(number: u8) -> KeyModifiers {
    let bits = number.saturating_sub(1);
    let mut modifiers = KeyModifiers::NONE;
    for (bit, modifier) in [(1, KeyModifiers::SHIFT), (2, KeyModifiers::ALT), (4, KeyModifiers::CONTROL)] {
        if bits & bit != 0 {
            modifiers |= modifier;
        }
    }
    modifiers
}

fn named(letter: u8) -> Option<KeyCode> {
    match letter {
        b'A' => Some(KeyCode::Up),
        b'B' => Some(KeyCode::Down),
        b'C' => Some(KeyCode::Right),
        b'D' => Some(KeyCode::Left),
        b'H' => Some(KeyCode::Home),
        b'F' => Some(KeyCode::End),
        b'M' => Some(KeyCode::Enter),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(messages: &[Message]) -> Vec<String> {
        let tell = |message: &Message| {
            let Message::Key(key) = message else { return format!("{message:?}") };
            if key.modifiers.is_empty() { format!("{:?}", key.code) } else { format!("{:?}+{:?}", key.modifiers, key.code) }
        };
        messages.iter().map(tell).collect()
    }

    fn keys(bytes: &[u8]) -> Vec<String> {
        told(&Decoder::default().feed(bytes))
    }

    #[test]
    fn keys_are_what_terminals_send() {
        assert_eq!(keys(b"R"), ["Char('R')"]);
        assert_eq!(keys("é日".as_bytes()), ["Char('é')", "Char('日')"]);
        assert_eq!(keys(b"\r\t\x7f\x03"), ["Enter", "Tab", "Backspace", "KeyModifiers(CONTROL)+Char('c')"]);
        assert_eq!(keys(b"\x1b"), ["Esc"]);
        assert_eq!(keys(b"\x1bR"), ["KeyModifiers(ALT)+Char('R')"]);
        assert_eq!(keys(b"\x1b\x1b"), ["Esc", "Esc"]);
        assert_eq!(keys(b"\x1b[A\x1bOB\x1b[5~\x1b[H\x1b[4~\x1b[Z"), ["Up", "Down", "PageUp", "Home", "End", "BackTab"]);
        assert_eq!(keys(b"\x1b[1;5C"), ["KeyModifiers(CONTROL)+Right"]);
        assert_eq!(keys(b"\x1b[?62;22c\x1b[12;40R\xff\x00q"), ["Char('q')"]);
    }

    #[test]
    fn a_paste_is_one_message_and_nothing_in_it_is_a_key() {
        assert_eq!(keys(b"\x1b[200~R\ry\x1b[Aq\x1b[201~x"), ["Paste", "Char('x')"]);
        let mut decoder = Decoder::default();
        assert_eq!(told(&decoder.feed(b"\x1b[200~R\x1b[20")), ["Paste"]);
        assert!(decoder.feed(&b"R".repeat(100_000)).is_empty());
        assert!(decoder.pending.len() < 8);
        assert_eq!(told(&decoder.feed(b"\x1b[201~R")), ["Char('R')"]);
    }

    #[test]
    fn a_sequence_or_a_paste_without_end_is_given_up() {
        let mut decoder = Decoder::default();
        assert!(decoder.feed(b"\x1b[").is_empty() && decoder.expects_more());
        decoder.give_up();
        assert_eq!(told(&decoder.feed(b"R")), ["Char('R')"]);
        decoder.feed(b"\x1b[200~");
        decoder.give_up();
        assert_eq!(told(&decoder.feed(b"R")), ["Char('R')"]);
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_packets_are_taken_and_nothing_piles_up(packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20)) {
            let mut decoder = Decoder::default();
            for packet in packets {
                decoder.feed(&packet);
                prop_assert!(decoder.pending.len() <= LONGEST + 40);
            }
        }

        #[test]
        fn keys_do_not_depend_on_how_packets_are_cut(at in 0usize..40) {
            // No cut after a lone Esc: there it means another key.
            let bytes = "aé\x1b[A\x1b[1;5C日\x1b[200~pasted\x1b[201~\x1b[5~Rz".as_bytes();
            let at = at.min(bytes.len());
            prop_assume!(at == 0 || bytes[at - 1] != 0x1b || bytes[..at].ends_with(b"pasted\x1b"));
            let mut decoder = Decoder::default();
            let mut messages = decoder.feed(&bytes[..at]);
            messages.extend(decoder.feed(&bytes[at..]));
            prop_assert_eq!(told(&messages), keys(bytes));
        }
    }
}
