//! What reaches the console's one update function, and what comes out of it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use crossterm::event::KeyEvent;
use ratatui::layout::Size;

use crate::event::{JobName, Refusal};

use super::log::Log;
use super::source::{Request, Ticket};

/// Something that happened, in the order it happened.
#[derive(Debug)]
pub(crate) enum Message {
    /// A flag of the waker is up; nothing else.
    Woken,
    /// The view was read anew.
    Changed,
    /// The log on the screen has grown.
    LogGrew,
    /// The log that was asked for; none when the job has none yet, a sentence when it cannot be read.
    LogOpened(JobName, Result<Option<Log>, String>),
    /// A key.
    Key(KeyEvent),
    /// A pasted block. It is never a command.
    Paste,
    /// The terminal has another size.
    Resized(Size),
    /// The frame that this state gives is on the screen.
    Drawn,
    /// Something on the screen has aged, or work in pieces goes on.
    Tick,
    /// A request's answer.
    Answer(Ticket, Result<String, Refusal>),
    /// The terminal is gone.
    Hangup,
    /// A signal asked the console to end.
    Terminated(i32),
    /// The process was stopped and goes on: the terminal may be anybody's.
    Continued,
}

/// What is to be done about it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Effect {
    /// Send this.
    Send(Ticket, Box<Request>),
    /// Open the log of this job's last attempt.
    OpenLog(JobName),
    /// Go on with a search or with reading a log, after whatever waits has been looked at.
    Continue,
    /// Stop as Ctrl-Z does.
    Suspend,
    /// End the console.
    Leave(Leave),
}

/// Why the console ended. In each case the run goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// The person left.
    Detached,
    /// The terminal is gone.
    Hangup,
    /// A signal, by its number.
    Signal(i32),
}

/// The two clocks at one moment: guards and pauses are measured by the first, what journals say is compared with the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Since the console started; never goes back.
    pub(crate) monotonic: Duration,
    /// Wall time.
    pub(crate) wall: DateTime<Utc>,
}
