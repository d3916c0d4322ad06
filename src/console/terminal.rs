//! The terminal taken and given back: on leaving, on an error, on a panic.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::cursor::{Hide, Show};
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use crossterm::{queue, style, terminal};
use ratatui::layout::Size;
use rustix::process::{Signal, getpid, getppid, getsid, kill_process};

/// The terminal is ours: what the panic hook asks, from whichever thread.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The terminal while it is ours; given back when dropped.
#[derive(Debug)]
pub(crate) struct Taken {
    out: File,
}

/// Whether standard input and output are a terminal.
pub(crate) fn is_there() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Its size; a terminal that does not know says 80×24.
pub(crate) fn size() -> Size {
    terminal::size().map_or(Size::new(80, 24), |(width, height)| Size::new(width, height))
}

impl Taken {
    /// Takes the terminal, and sees to it that a panic gives it back before it speaks.
    pub(crate) fn take() -> io::Result<Self> {
        // Under NO_COLOR crossterm would turn every colour into "reset all", bold and reverse with it; our theme knows better.
        style::force_color_output(true);
        let mut taken = Self { out: output()? };
        give_back_on_panic();
        taken.enter()?;
        Ok(taken)
    }

    /// Another handle to write frames to: not Rust's `Stdout`, which breaks a write at line ends.
    pub(crate) fn output(&self) -> io::Result<File> {
        self.out.try_clone()
    }

    /// Takes the terminal again after it was given back, or after somebody else changed it.
    pub(crate) fn enter(&mut self) -> io::Result<()> {
        let _ = disable_raw_mode();
        TAKEN.store(true, Ordering::Release);
        enable_raw_mode()?;
        let mut bytes = Vec::new();
        queue!(bytes, EnterAlternateScreen, EnableBracketedPaste, Hide)?;
        self.out.write_all(&bytes)
    }

    /// Stops the process as Ctrl-Z does, with the terminal given back; returns when it goes on.
    pub(crate) fn suspend(&mut self) -> io::Result<Suspended> {
        // Nobody could continue a process whose parent is in another session.
        let orphaned = getppid().is_none_or(|parent| getsid(Some(parent)).ok() != getsid(None).ok());
        if orphaned {
            return Ok(Suspended::NobodyToContinue);
        }
        give_back();
        // STOP, not TSTP: the latter is discarded in an orphaned process group.
        kill_process(getpid(), Signal::STOP)?;
        self.enter()?;
        Ok(Suspended::AndContinued)
    }
}

/// What came of stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Suspended {
    AndContinued,
    NobodyToContinue,
}

impl Drop for Taken {
    fn drop(&mut self) {
        give_back();
    }
}

/// Whether the terminal still is ours; a panic in any thread takes it away.
pub(crate) fn is_taken() -> bool {
    TAKEN.load(Ordering::Acquire)
}

fn output() -> io::Result<File> {
    Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?))
}

/// Gives the terminal back, once. A terminal that is gone takes nothing; there is nobody to tell.
fn give_back() {
    if !TAKEN.swap(false, Ordering::AcqRel) {
        return;
    }
    let mut bytes = Vec::new();
    if queue!(bytes, DisableBracketedPaste, LeaveAlternateScreen, Show).is_ok()
        && let Ok(mut out) = output()
    {
        let _ = out.write_all(&bytes);
    }
    let _ = disable_raw_mode();
}

fn give_back_on_panic() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        give_back();
        before(info);
    }));
}
