//! Colours and attributes: the only thing of a terminal's language that text from outside may say.
//!
//! SGR is Select Graphic Rendition, `ESC [ … m` (ECMA-48 8.3.117); 38 and 48 with 5 and 2 are ISO 8613-6 colours, in the usual
//! spelling with semicolons and in the standard's with colons.

use std::fmt::Write as _;

/// A colour as a terminal has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Colour {
    /// One of the 16 that the person's theme defines, 0 to 15.
    Basic(u8),
    /// One of the palette of 256.
    Palette(u8),
    /// Red, green, blue.
    Rgb(u8, u8, u8),
}

/// How a piece of text looks. Blinking, hiding and striking through are left out on purpose: a log must not hide its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[expect(clippy::struct_excessive_bools, reason = "the attributes are independent of one another, and terminals name them so")]
pub struct Style {
    /// The text's colour; none is the terminal's own.
    pub foreground: Option<Colour>,
    /// The colour behind it; none is the terminal's own.
    pub background: Option<Colour>,
    /// Bold.
    pub bold: bool,
    /// Dim.
    pub dim: bool,
    /// Italic.
    pub italic: bool,
    /// Underlined, in whichever way.
    pub underline: bool,
    /// Colours exchanged.
    pub reverse: bool,
}

impl Style {
    /// The style after an SGR sequence with these parameters; each may have sub-parameters. What is not known changes nothing.
    #[must_use]
    pub(super) fn after<'a>(mut self, parameters: impl Iterator<Item = &'a [u16]>) -> Self {
        let mut parameters = parameters;
        while let Some(parameter) = parameters.next() {
            let Some((code, rest)) = parameter.split_first() else { continue };
            match code {
                0 => self = Self::default(),
                1 => self.bold = true,
                2 => self.dim = true,
                3 => self.italic = true,
                4 => self.underline = rest.first() != Some(&0),
                7 => self.reverse = true,
                21 => self.underline = true,
                22 => (self.bold, self.dim) = (false, false),
                23 => self.italic = false,
                24 => self.underline = false,
                27 => self.reverse = false,
                30..=37 => self.foreground = basic(code - 30),
                38 => self.foreground = extended(rest, &mut parameters).or(self.foreground),
                39 => self.foreground = None,
                40..=47 => self.background = basic(code - 40),
                48 => self.background = extended(rest, &mut parameters).or(self.background),
                49 => self.background = None,
                // The colour of an underline: read, so that its numbers are not taken for codes, and dropped.
                58 => drop(extended(rest, &mut parameters)),
                90..=97 => self.foreground = basic(code - 90 + 8),
                100..=107 => self.background = basic(code - 100 + 8),
                _ => {}
            }
        }
        self
    }

    /// Writes the sequence that sets exactly this style, whatever was set before.
    pub(super) fn write_sgr(self, out: &mut String) {
        out.push_str("\u{1b}[0");
        let flags = [(self.bold, ";1"), (self.dim, ";2"), (self.italic, ";3"), (self.underline, ";4"), (self.reverse, ";7")];
        for (_, code) in flags.into_iter().filter(|(set, _)| *set) {
            out.push_str(code);
        }
        write_colour(self.foreground, [30, 90, 38], out);
        write_colour(self.background, [40, 100, 48], out);
        out.push('m');
    }
}

fn write_colour(colour: Option<Colour>, [normal, bright, extended]: [u8; 3], out: &mut String) {
    let _ = match colour {
        None => Ok(()),
        Some(Colour::Basic(number)) if number < 8 => write!(out, ";{}", normal + number),
        Some(Colour::Basic(number)) => write!(out, ";{}", bright.saturating_add(number.saturating_sub(8).min(7))),
        Some(Colour::Palette(number)) => write!(out, ";{extended};5;{number}"),
        Some(Colour::Rgb(red, green, blue)) => write!(out, ";{extended};2;{red};{green};{blue}"),
    };
}

fn basic(number: u16) -> Option<Colour> {
    u8::try_from(number).ok().map(Colour::Basic)
}

/// Reads what follows 38, 48 or 58, from the sub-parameters or else from the parameters that come next.
fn extended<'a>(sub: &[u16], next: &mut impl Iterator<Item = &'a [u16]>) -> Option<Colour> {
    let byte = |number: u16| u8::try_from(number).ok();
    if let Some((kind, values)) = sub.split_first() {
        return match (kind, values) {
            (5, [number, ..]) => byte(*number).map(Colour::Palette),
            // `38:2::r:g:b` names a colour space before the colour, `38:2:r:g:b` does not.
            (2, [_, red, green, blue, ..] | [red, green, blue]) => Some(Colour::Rgb(byte(*red)?, byte(*green)?, byte(*blue)?)),
            _ => None,
        };
    }
    let mut value = || next.next().and_then(|parameter| parameter.first().copied());
    match value()? {
        5 => byte(value()?).map(Colour::Palette),
        2 => {
            let (red, green, blue) = (value()?, value()?, value()?);
            Some(Colour::Rgb(byte(red)?, byte(green)?, byte(blue)?))
        }
        _ => None,
    }
}
