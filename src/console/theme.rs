//! Styles by meaning. The terminal's own foreground and background serve; the only colours are the two of Okabe and Ito's
//! palette that read well on black and on white (blue 25, vermillion 166). A colour never says what no glyph or word says.

use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::{Marker, border};

use crate::event::JobStatus;

/// Whether colour may be used (<https://no-color.org>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Colour {
    /// It may.
    #[default]
    Yes,
    /// It may not; bold and reverse still say what must stand out.
    No,
}

/// Which characters the font has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Glyphs {
    /// Box drawing, Braille, check marks.
    #[default]
    Unicode,
    /// Nothing beyond ASCII for frames, marks and graphs.
    Ascii,
}

/// Styles and glyphs by meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Theme {
    pub(crate) colour: Colour,
    pub(crate) glyphs: Glyphs,
}

const BLUE: Color = Color::Indexed(25);
const VERMILLION: Color = Color::Indexed(166);

const ASCII_BORDER: border::Set<'static> = border::Set {
    top_left: "+",
    top_right: "+",
    bottom_left: "+",
    bottom_right: "+",
    vertical_left: "|",
    vertical_right: "|",
    horizontal_top: "-",
    horizontal_bottom: "-",
};

impl Theme {
    fn coloured(self, colour: Color) -> Style {
        match self.colour {
            Colour::Yes => Style::new().fg(colour),
            Colour::No => Style::new(),
        }
    }

    /// What is as it should be.
    pub(crate) fn good(self) -> Style {
        self.coloured(BLUE).add_modifier(Modifier::BOLD)
    }

    /// What went wrong, or takes something away.
    pub(crate) fn bad(self) -> Style {
        self.coloured(VERMILLION).add_modifier(Modifier::BOLD)
    }

    /// What runs.
    #[expect(clippy::unused_self, reason = "a style is asked of a theme, whether or not this one depends on it")]
    pub(crate) fn active(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// What matters less.
    #[expect(clippy::unused_self, reason = "a style is asked of a theme, whether or not this one depends on it")]
    pub(crate) fn muted(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// Titles and keys.
    #[expect(clippy::unused_self, reason = "a style is asked of a theme, whether or not this one depends on it")]
    pub(crate) fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// The selected row.
    #[expect(clippy::unused_self, reason = "a style is asked of a theme, whether or not this one depends on it")]
    pub(crate) fn selected(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// What a search found.
    #[expect(clippy::unused_self, reason = "a style is asked of a theme, whether or not this one depends on it")]
    pub(crate) fn found(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD)
    }

    /// The word PROD.
    pub(crate) fn production(self) -> Style {
        self.coloured(VERMILLION).add_modifier(Modifier::REVERSED | Modifier::BOLD)
    }

    /// The banner of a rollback.
    pub(crate) fn banner(self) -> Style {
        self.production()
    }

    /// The canary's curve.
    pub(crate) fn canary(self) -> Style {
        self.coloured(VERMILLION)
    }

    /// Stable's curve.
    pub(crate) fn stable(self) -> Style {
        self.coloured(BLUE)
    }

    /// A style of a job's own output.
    pub(crate) fn foreign(self, style: Style) -> Style {
        match self.colour {
            Colour::Yes => style,
            Colour::No => Style { fg: None, bg: None, underline_color: None, ..style },
        }
    }

    /// A frame's lines.
    pub(crate) fn border(self) -> border::Set<'static> {
        match self.glyphs {
            Glyphs::Unicode => border::PLAIN,
            Glyphs::Ascii => ASCII_BORDER,
        }
    }

    /// The frame of what changes production: another shape, not only another colour.
    pub(crate) fn production_border(self) -> border::Set<'static> {
        match self.glyphs {
            Glyphs::Unicode => border::DOUBLE,
            Glyphs::Ascii => border::Set { horizontal_top: "=", horizontal_bottom: "=", ..ASCII_BORDER },
        }
    }

    /// The dots of a curve.
    pub(crate) fn marker(self) -> Marker {
        match self.glyphs {
            Glyphs::Unicode => Marker::Braille,
            Glyphs::Ascii => Marker::Custom('*'),
        }
    }

    /// The dots of the curve beside it. Without colour another shape tells them apart.
    pub(crate) fn stable_marker(self) -> Marker {
        match (self.glyphs, self.colour) {
            (Glyphs::Unicode, Colour::Yes) => Marker::Braille,
            (Glyphs::Unicode, Colour::No) => Marker::Dot,
            (Glyphs::Ascii, _) => Marker::Custom('.'),
        }
    }

    /// The canary's curve beside its name: what `marker` draws.
    pub(crate) fn canary_sign(self) -> &'static str {
        match self.glyphs {
            Glyphs::Unicode => "⠒",
            Glyphs::Ascii => "*",
        }
    }

    /// Stable's beside its name: what `stable_marker` draws.
    pub(crate) fn stable_sign(self) -> &'static str {
        match (self.glyphs, self.colour) {
            (Glyphs::Unicode, Colour::Yes) => "⠒",
            (Glyphs::Unicode, Colour::No) => "•",
            (Glyphs::Ascii, _) => ".",
        }
    }

    /// The dots of a limit.
    pub(crate) fn limit_symbol(self) -> &'static str {
        match self.glyphs {
            Glyphs::Unicode => "┄",
            Glyphs::Ascii => "-",
        }
    }

    /// The dots of a line at a moment.
    pub(crate) fn mark_symbol(self) -> &'static str {
        match self.glyphs {
            Glyphs::Unicode => "┊",
            Glyphs::Ascii => ":",
        }
    }

    /// At the edge of a line that goes on.
    pub(crate) fn cut_symbol(self) -> &'static str {
        match self.glyphs {
            Glyphs::Unicode => "›",
            Glyphs::Ascii => ">",
        }
    }

    /// From → to.
    pub(crate) fn arrow(self) -> &'static str {
        match self.glyphs {
            Glyphs::Unicode => "→",
            Glyphs::Ascii => "->",
        }
    }

    /// Between two things of one line.
    pub(crate) fn dot(self) -> &'static str {
        match self.glyphs {
            Glyphs::Unicode => "·",
            Glyphs::Ascii => "-",
        }
    }

    /// The mark of a job, with the style that goes with it.
    pub(crate) fn job(self, status: JobStatus, warned: bool) -> (&'static str, Style) {
        let (unicode, ascii, style) = match status {
            JobStatus::Success | JobStatus::Failed if warned => ("!", "!", self.bad()),
            JobStatus::Success => ("✔", "+", self.good()),
            JobStatus::Failed => ("✘", "x", self.bad()),
            JobStatus::Running => ("◐", "*", self.active()),
            JobStatus::Preparing => ("◔", "*", self.active()),
            JobStatus::Manual => ("▶", ">", self.strong()),
            JobStatus::Canceled => ("⊘", "/", self.muted()),
            JobStatus::Skipped => ("»", "~", self.muted()),
            JobStatus::Created | JobStatus::Pending | JobStatus::WaitingForResource | JobStatus::Scheduled => ("○", "o", Style::new()),
        };
        match self.glyphs {
            Glyphs::Unicode => (unicode, style),
            Glyphs::Ascii => (ascii, style),
        }
    }
}
