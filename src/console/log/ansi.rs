//! Bytes of a log line → styled text for the screen. What a job may say to a terminal is decided in one place for all views
//! (`text::spans`): colour and weight, and nothing else.

use ratatui::style::{Color, Modifier, Style};

use crate::text;

/// The line as it would look on paper: a carriage return starts it again, as progress bars mean it.
pub(crate) fn spans(line: &[u8]) -> Vec<(Style, String)> {
    text::spans(line).into_iter().map(|(style, text)| (styled(style), text)).collect()
}

fn styled(of: text::Style) -> Style {
    let flags = [
        (of.bold, Modifier::BOLD),
        (of.dim, Modifier::DIM),
        (of.italic, Modifier::ITALIC),
        (of.underline, Modifier::UNDERLINED),
        (of.reverse, Modifier::REVERSED),
    ];
    let style = Style { fg: of.foreground.map(colour), bg: of.background.map(colour), ..Style::new() };
    flags.into_iter().filter(|(set, _)| *set).fold(style, |style, (_, flag)| style.add_modifier(flag))
}

fn colour(of: text::Colour) -> Color {
    match of {
        // The first 16 of the palette are the theme's own.
        text::Colour::Basic(index) | text::Colour::Palette(index) => Color::Indexed(index),
        text::Colour::Rgb(red, green, blue) => Color::Rgb(red, green, blue),
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
        assert_eq!(spans[0], (Style::new().fg(Color::Indexed(1)), "red".into()));
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
        assert_eq!(text("user\u{202e}txt.exe".as_bytes()), "user⟨U+202E⟩txt.exe");
    }

    proptest! {
        #[test]
        fn no_bytes_leave_a_control_character(line in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(!text(&line).chars().any(char::is_control));
        }
    }
}
