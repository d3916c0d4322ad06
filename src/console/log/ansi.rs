//! Bytes of a log line → styled text. Colour and weight (SGR) survive; every other escape sequence is dropped, and what is
//! left holds no control character, so that a job's output can colour the screen and do nothing else to it.

use ratatui::style::{Color, Modifier, Style};
use vte::{Params, Parser, Perform};

use crate::console::words::is_harmless;

/// Columns between tab stops.
const TAB: usize = 8;

/// The line as it would look on paper: a carriage return starts it again, as progress bars mean it.
pub(crate) fn spans(line: &[u8]) -> Vec<(Style, String)> {
    let mut painter = Painter::default();
    let mut parser = Parser::new();
    parser.advance(&mut painter, line);
    painter.end()
}

#[derive(Default)]
struct Painter {
    style: Style,
    done: Vec<(Style, String)>,
    text: String,
    column: usize,
    /// A carriage return came: the next character starts the line again.
    returned: bool,
}

impl Painter {
    fn put(&mut self, c: char) {
        if self.returned {
            self.done.clear();
            self.text.clear();
            self.column = 0;
            self.returned = false;
        }
        self.text.push(c);
        self.column += 1;
    }

    fn set(&mut self, style: Style) {
        if style != self.style {
            self.cut();
            self.style = style;
        }
    }

    fn cut(&mut self) {
        if !self.text.is_empty() {
            self.done.push((self.style, std::mem::take(&mut self.text)));
        }
    }

    fn end(mut self) -> Vec<(Style, String)> {
        self.cut();
        self.done
    }
}

impl Perform for Painter {
    fn print(&mut self, c: char) {
        self.put(if is_harmless(c) { c } else { char::REPLACEMENT_CHARACTER });
    }

    fn execute(&mut self, byte: u8) {
        match byte {
            b'\r' => self.returned = true,
            b'\t' => {
                for _ in 0..TAB - self.column % TAB {
                    self.put(' ');
                }
            }
            _ => {}
        }
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], ignore: bool, action: char) {
        if action == 'm' && intermediates.is_empty() && !ignore {
            self.set(sgr(self.style, params));
        }
    }
}

fn sgr(mut style: Style, params: &Params) -> Style {
    let mut codes = params.iter();
    while let Some(code) = codes.next() {
        let number = code.first().copied().unwrap_or_default();
        style = match number {
            0 => Style::new(),
            1 => style.add_modifier(Modifier::BOLD),
            2 => style.add_modifier(Modifier::DIM),
            3 => style.add_modifier(Modifier::ITALIC),
            4 => style.add_modifier(Modifier::UNDERLINED),
            7 => style.add_modifier(Modifier::REVERSED),
            9 => style.add_modifier(Modifier::CROSSED_OUT),
            22 => without(style, Modifier::BOLD | Modifier::DIM),
            23 => without(style, Modifier::ITALIC),
            24 => without(style, Modifier::UNDERLINED),
            27 => without(style, Modifier::REVERSED),
            29 => without(style, Modifier::CROSSED_OUT),
            38 | 48 => {
                let colour = if code.len() > 1 {
                    extended(&mut code.get(1..).unwrap_or_default().iter().copied())
                } else {
                    extended(&mut codes.by_ref().map(|next| next.first().copied().unwrap_or_default()))
                };
                match (number, colour) {
                    (38, Some(colour)) => style.fg(colour),
                    (48, Some(colour)) => style.bg(colour),
                    _ => style,
                }
            }
            39 => Style { fg: None, ..style },
            49 => Style { bg: None, ..style },
            30..=37 | 90..=97 => style.fg(basic(number)),
            40..=47 | 100..=107 => style.bg(basic(number - 10)),
            _ => style,
        };
    }
    style
}

fn without(style: Style, modifier: Modifier) -> Style {
    Style { add_modifier: style.add_modifier - modifier, ..style }
}

/// `5;n` or `2;r;g;b`.
fn extended(rest: &mut impl Iterator<Item = u16>) -> Option<Color> {
    let mut byte = || rest.next().and_then(|number| u8::try_from(number).ok());
    match byte()? {
        5 => byte().map(Color::Indexed),
        2 => Some(Color::Rgb(byte()?, byte()?, byte()?)),
        _ => None,
    }
}

fn basic(code: u16) -> Color {
    match code {
        30 => Color::Black,
        31 => Color::Red,
        32 => Color::Green,
        33 => Color::Yellow,
        34 => Color::Blue,
        35 => Color::Magenta,
        36 => Color::Cyan,
        37 => Color::Gray,
        90 => Color::DarkGray,
        91 => Color::LightRed,
        92 => Color::LightGreen,
        93 => Color::LightYellow,
        94 => Color::LightBlue,
        95 => Color::LightMagenta,
        96 => Color::LightCyan,
        _ => Color::White,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(line: &[u8]) -> String {
        spans(line).into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn colour_survives_and_nothing_else_does() {
        let line = b"\x1b[31mred\x1b[0m \x1b]0;title\x07\x1b[2J\x1b[10;10Hplain\x1bP1$q\x1b\\ \x1b[38;5;25mblue\x1b[1;39mbold";
        let spans = spans(line);
        assert_eq!(spans[0], (Style::new().fg(Color::Red), "red".into()));
        assert_eq!(spans[1].1, " plain ");
        assert_eq!(spans[2].0.fg, Some(Color::Indexed(25)));
        assert_eq!(spans[3], (Style::new().add_modifier(Modifier::BOLD), "bold".into()));
    }

    #[test]
    fn a_progress_bar_shows_its_last_state() {
        assert_eq!(text(b"10 %\r55 %\r100 %\r"), "100 %");
        assert_eq!(text(b"a\tb"), "a       b");
    }

    #[test]
    fn what_turns_text_around_is_made_visible() {
        assert_eq!(text("user\u{202e}txt.exe".as_bytes()), "user\u{fffd}txt.exe");
    }

    proptest! {
        #[test]
        fn no_bytes_leave_a_control_character(line in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(!text(&line).chars().any(char::is_control));
        }
    }
}
