//! Which key does what: one table, read by dispatch, by the footer and by the help, so that help never drifts.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::live::Leaving;

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    Rollback,
    Promote,
    Abort,
    Retry,
    /// The canary stays at its weight, or goes on.
    Pause,
    /// Its next weight without a PASS.
    Skip,
    /// Its HOLD may last longer.
    Extend,
    Start,
    Search,
    NextMatch,
    PreviousMatch,
    NextError,
    Move(Move),
    Zoom,
    Focus,
    /// The next two graphs.
    Graphs,
    /// Less time in the graphs, or more.
    Closer,
    Wider,
    Help,
    Notices,
    Leave,
    Suspend,
    Redraw,
    Submit,
    Cancel,
    Yes,
    Erase,
    Clear,
}

/// How the window over a log moves, or the selection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Move {
    Up,
    Down,
    Left,
    Right,
    PageUp,
    PageDown,
    Top,
    Bottom,
    Follow,
    Wrap,
}

/// Where a key is pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Context {
    /// No dialog is open.
    Screen,
    /// A text field has the cursor: a character is a letter.
    Field,
    /// A question that wants yes or no.
    Question,
    /// The help.
    Help,
}

/// A key by what it sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    /// A character, without Ctrl and Alt.
    Char(char),
    /// Ctrl and a letter.
    Ctrl(char),
    /// Alt and a character: also what a terminal makes of Esc and that character in one packet.
    Alt(char),
    /// A key with a name.
    Named(KeyCode, &'static str),
}

impl Key {
    fn is(self, event: &KeyEvent) -> bool {
        let ctrl = event.modifiers.contains(KeyModifiers::CONTROL);
        let alt = event.modifiers.contains(KeyModifiers::ALT);
        match self {
            Self::Char(c) => event.code == KeyCode::Char(c) && !ctrl && !alt,
            Self::Ctrl(c) => event.code == KeyCode::Char(c) && ctrl && !alt,
            Self::Alt(c) => event.code == KeyCode::Char(c) && alt && !ctrl,
            Self::Named(code, _) => event.code == code && !ctrl && !alt,
        }
    }

    /// As help spells it.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Char(' ') => "Space".into(),
            Self::Char(c) => c.to_string(),
            Self::Ctrl(c) => format!("Ctrl-{}", c.to_ascii_uppercase()),
            Self::Alt(c) => format!("Alt+{c}"),
            Self::Named(_, name) => name.into(),
        }
    }
}

/// A line of the table.
pub(crate) struct Binding {
    pub(crate) keys: &'static [Key],
    pub(crate) action: Action,
    pub(crate) contexts: &'static [Context],
    /// For the footer; empty when the footer does not name it.
    pub(crate) hint: &'static str,
    /// For the help; empty when the dialog itself says it.
    help: &'static str,
    /// The same where the console is the demo's, which ends with it.
    help_in_demo: &'static str,
}

impl Binding {
    /// What the help says of it; nothing when the dialog itself does.
    pub(crate) fn help(&self, leaving: Leaving) -> &'static str {
        match leaving {
            Leaving::RunGoesOn => self.help,
            Leaving::DemoEnds => self.help_in_demo,
        }
    }

    const fn in_demo(self, help_in_demo: &'static str) -> Self {
        Self { help_in_demo, ..self }
    }
}

const SCREEN: &[Context] = &[Context::Screen];
const LISTS: &[Context] = &[Context::Screen, Context::Help];
const FIELD: &[Context] = &[Context::Field];
const NOT_FIELD: &[Context] = &[Context::Screen, Context::Question, Context::Help];
const EVERYWHERE: &[Context] = &[Context::Screen, Context::Field, Context::Question, Context::Help];
const DIALOGS: &[Context] = &[Context::Field, Context::Question, Context::Help];

const fn bind(keys: &'static [Key], action: Action, contexts: &'static [Context], hint: &'static str, help: &'static str) -> Binding {
    Binding { keys, action, contexts, hint, help, help_in_demo: help }
}

/// The table, in the order of footer and help.
pub(crate) const BINDINGS: &[Binding] = &[
    bind(&[Key::Char('R')], Action::Rollback, NOT_FIELD, "", "roll back what the footer names: a live canary to 0, else production"),
    bind(&[Key::Alt('R')], Action::Rollback, EVERYWHERE, "", "the same, also while a text field is open (as Esc R)"),
    bind(&[Key::Char('P')], Action::Promote, SCREEN, "promote", "review what would change, and promote it"),
    bind(&[Key::Char('A')], Action::Abort, SCREEN, "abort", "abort the run: its canary to 0 first, then its jobs"),
    bind(&[Key::Char('r')], Action::Retry, SCREEN, "retry", "run the selected job again"),
    bind(&[Key::Char('p')], Action::Pause, SCREEN, "pause", "keep the canary at its weight, or let it go on"),
    bind(&[Key::Char('S')], Action::Skip, SCREEN, "skip", "give the canary its next weight without a PASS"),
    bind(&[Key::Char('E')], Action::Extend, SCREEN, "extend", "let the canary's HOLD last 30 minutes longer"),
    bind(&[Key::Char('s')], Action::Start, SCREEN, "start", "start a run"),
    bind(&[Key::Char('/')], Action::Search, SCREEN, "search", "search the log (regular expression)"),
    bind(&[Key::Char('n')], Action::NextMatch, SCREEN, "", "next match"),
    bind(&[Key::Char('N')], Action::PreviousMatch, SCREEN, "", "previous match"),
    bind(&[Key::Char('e')], Action::NextError, SCREEN, "next error", "next line that names an error"),
    bind(&[Key::Char('f')], Action::Move(Move::Follow), SCREEN, "follow", "follow the end of the log, or stop"),
    bind(&[Key::Char('w')], Action::Move(Move::Wrap), SCREEN, "wrap", "wrap long lines, or stop"),
    bind(&[Key::Char('z')], Action::Zoom, SCREEN, "zoom", "the log, or the graphs, on the whole screen, or back"),
    bind(&[Key::Char('v')], Action::Graphs, SCREEN, "graphs", "the next graphs: p95 and errors, requests and share, evidence"),
    bind(&[Key::Char('+'), Key::Char('=')], Action::Closer, SCREEN, "", "less time in the graphs"),
    bind(&[Key::Char('-')], Action::Wider, SCREEN, "", "more time in the graphs"),
    bind(
        &[Key::Named(KeyCode::Tab, "Tab"), Key::Named(KeyCode::BackTab, "Shift-Tab")],
        Action::Focus,
        SCREEN,
        "",
        "between pipeline, log and graphs",
    ),
    bind(
        &[Key::Named(KeyCode::Up, "↑"), Key::Char('k')],
        Action::Move(Move::Up),
        &[Context::Screen, Context::Help],
        "",
        "job, or line, up",
    ),
    bind(
        &[Key::Named(KeyCode::Down, "↓"), Key::Char('j')],
        Action::Move(Move::Down),
        &[Context::Screen, Context::Help],
        "",
        "job, or line, down",
    ),
    bind(
        &[Key::Named(KeyCode::Left, "←"), Key::Char('h')],
        Action::Move(Move::Left),
        SCREEN,
        "",
        "the log to the left; in the graphs the cursor",
    ),
    bind(
        &[Key::Named(KeyCode::Right, "→"), Key::Char('l')],
        Action::Move(Move::Right),
        SCREEN,
        "",
        "the log to the right; in the graphs the cursor",
    ),
    bind(
        &[Key::Named(KeyCode::PageUp, "PgUp"), Key::Ctrl('b')],
        Action::Move(Move::PageUp),
        LISTS,
        "",
        "a page of the log up; in the graphs back in time",
    ),
    bind(
        &[Key::Named(KeyCode::PageDown, "PgDn"), Key::Char(' ')],
        Action::Move(Move::PageDown),
        LISTS,
        "",
        "a page of the log down; in the graphs on in time",
    ),
    bind(
        &[Key::Char('g'), Key::Named(KeyCode::Home, "Home")],
        Action::Move(Move::Top),
        SCREEN,
        "",
        "beginning of the log, or of the graphs",
    ),
    bind(
        &[Key::Char('G'), Key::Named(KeyCode::End, "End")],
        Action::Move(Move::Bottom),
        SCREEN,
        "",
        "end of the log, or now in the graphs",
    ),
    bind(&[Key::Char('i')], Action::Notices, &[Context::Screen, Context::Help], "notices", "what is to be known of this run"),
    bind(&[Key::Char('?')], Action::Help, &[Context::Screen, Context::Help], "help", "this help"),
    bind(&[Key::Char('q')], Action::Leave, &[Context::Screen], "leave", "leave; the run goes on")
        .in_demo("leave; the demo ends, and all that it made is removed"),
    bind(&[Key::Ctrl('c')], Action::Leave, EVERYWHERE, "", "the same; it never aborts anything").in_demo("the same"),
    bind(&[Key::Char('q')], Action::Cancel, &[Context::Help, Context::Question], "", ""),
    bind(&[Key::Ctrl('z')], Action::Suspend, EVERYWHERE, "", "stop hms as the shell does; the run goes on"),
    bind(&[Key::Ctrl('l')], Action::Redraw, EVERYWHERE, "", "draw the screen anew"),
    bind(
        &[Key::Named(KeyCode::Enter, "Enter")],
        Action::Submit,
        &[Context::Screen, Context::Field],
        "",
        "while a rollback counts down: now",
    ),
    bind(&[Key::Named(KeyCode::Esc, "Esc")], Action::Cancel, SCREEN, "", "while a rollback counts down: cancel it"),
    bind(&[Key::Named(KeyCode::Esc, "Esc")], Action::Cancel, DIALOGS, "", ""),
    bind(&[Key::Char('y')], Action::Yes, &[Context::Question], "", ""),
    bind(&[Key::Char('n'), Key::Char('N'), Key::Named(KeyCode::Enter, "Enter")], Action::Cancel, &[Context::Question], "", ""),
    bind(&[Key::Named(KeyCode::Backspace, "Backspace")], Action::Erase, FIELD, "", ""),
    bind(&[Key::Ctrl('u')], Action::Clear, FIELD, "", ""),
];

/// What this key asks for here, if anything.
pub(crate) fn lookup(context: Context, event: &KeyEvent) -> Option<Action> {
    let here = |binding: &&Binding| binding.contexts.contains(&context) && binding.keys.iter().any(|key| key.is(event));
    BINDINGS.iter().find(here).map(|binding| binding.action)
}

/// The character that a key types into a field.
pub(crate) fn typed(event: &KeyEvent) -> Option<char> {
    let plain = !event.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT);
    event.code.as_char().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_means_two_things_in_one_place() {
        for context in [Context::Screen, Context::Field, Context::Question, Context::Help] {
            let mut seen: Vec<String> = Vec::new();
            for binding in BINDINGS.iter().filter(|binding| binding.contexts.contains(&context)) {
                for key in binding.keys {
                    let name = key.name();
                    assert!(!seen.contains(&name), "{name} in {context:?}");
                    seen.push(name);
                }
            }
        }
    }

    #[test]
    fn a_letter_in_a_field_is_a_letter() {
        for c in ['R', 'P', 'A', 'q', 'y', '?'] {
            assert_eq!(lookup(Context::Field, &KeyEvent::from(KeyCode::Char(c))), None, "{c}");
        }
    }
}
