//! The loop that runs a console on a terminal: messages in, effects out, a frame when one is due.

use std::io::{self, Write};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use chrono::FixedOffset;
use ratatui::layout::Size;

use super::clock::Clock;
use super::log::Log;
use super::message::{Effect, Leave, Message, Moment};
use super::pace::Pace;
use super::paint::{Painted, Painter, Synchronized};
use super::panes;
use super::source::{Source, View, Waker};
use super::terminal::{self, Suspended, Taken};
use super::theme::{Colour, Glyphs, Theme};
use super::threads::Listeners;
use super::ui::Ui;
use super::update::{deadline, update};

/// Between two frames on a terminal of this machine.
pub const LOCAL_FRAME_GAP: Duration = Duration::from_millis(33);
/// Between two frames over SSH.
pub const REMOTE_FRAME_GAP: Duration = Duration::from_millis(100);
/// Messages that may wait for the loop; who finds it full waits, but for mere "something changed".
const CHANNEL: usize = 256;

/// How a console looks and how often it draws. Settings and environment are read where all are read, not here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// No, when `NO_COLOR` is set.
    pub colour: Colour,
    /// ASCII, when the terminal's font or locale has no more.
    pub glyphs: Glyphs,
    /// Where the person is, for times of day.
    pub zone: FixedOffset,
    /// The least time between two frames that no key asked for.
    pub frame_gap: Duration,
    /// Whether frames are marked.
    pub synchronized: Synchronized,
    /// What the help says of leaving.
    pub leaving: Leaving,
}

/// What becomes of all that is shown when the person leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaving {
    /// The run goes on.
    RunGoesOn,
    /// `hms demo` started this console, and ends with it.
    DemoEnds,
}

/// Why a console could not run, or could not go on. The run is not touched by it.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    /// Standard input or output is no terminal.
    #[error("standard input and output are not both a terminal")]
    NoTerminal,
    /// The terminal cannot be used.
    #[error("the terminal cannot be used")]
    Terminal(#[from] io::Error),
    /// A thread panicked; what it said is on the screen by now.
    #[error("a part of the console broke")]
    Broken,
}

/// Runs a console until the person leaves or the terminal is gone. The run goes on in each case.
///
/// # Errors
/// When there is no terminal, or it fails. It is given back in each case.
pub fn run(mut source: Box<dyn Source>, options: Options) -> Result<Leave, ConsoleError> {
    if !terminal::is_there() {
        return Err(ConsoleError::NoTerminal);
    }
    let (sender, receiver) = mpsc::sync_channel(CHANNEL);
    let waker = Waker::new(sender);
    let mut taken = Taken::take()?;
    let painter = Painter::new(taken.output()?, options.synchronized);
    let clock = Clock::start();
    let mut live = Live::new(painter, options, terminal::size());
    // The first frame waits for nobody.
    live.draw(clock)?;
    let listeners = Listeners::start(&waker)?;
    source.start(waker.clone());
    let outcome = turn_until_left(&mut live, source.as_mut(), &waker, &receiver, clock, &mut taken).or_else(gone);
    // The terminal first: whoever waits for a thread waits with a terminal that works.
    drop(taken);
    drop(receiver);
    drop(listeners);
    outcome
}

fn turn_until_left(
    live: &mut Live<std::fs::File>,
    source: &mut dyn Source,
    waker: &Waker,
    receiver: &Receiver<Message>,
    clock: Clock,
    taken: &mut Taken,
) -> Result<Leave, ConsoleError> {
    loop {
        if let Some(message) = next(receiver, live.wait(clock.now()), clock) {
            live.take(source, message, clock.now());
        }
        for message in receiver.try_iter().take(CHANNEL) {
            live.take(source, message, clock.now());
        }
        live.look(source, waker, clock.now());
        if let Some(leave) = live.leave {
            return Ok(leave);
        }
        if live.suspend {
            live.suspend = false;
            match taken.suspend()? {
                Suspended::AndContinued => live.painter.forget(),
                Suspended::NobodyToContinue => {}
            }
            live.pace.urgent();
        }
        if live.reenter {
            live.reenter = false;
            taken.enter()?;
            live.painter.forget();
            live.pace.urgent();
        }
        if !terminal::is_taken() {
            return Err(ConsoleError::Broken);
        }
        if live.pace.due(clock.now().monotonic).is_some_and(|due| due <= clock.now().monotonic) {
            live.draw(clock)?;
        }
    }
}

/// A terminal that is gone fails whatever is asked of it, perhaps before its end was heard: that is no error.
fn gone(error: ConsoleError) -> Result<Leave, ConsoleError> {
    match &error {
        ConsoleError::Terminal(cause) if cause.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => Ok(Leave::Hangup),
        ConsoleError::Terminal(_) | ConsoleError::NoTerminal | ConsoleError::Broken => Err(error),
    }
}

/// Waits for a message, no longer than `until`; without it, for ever.
fn next(receiver: &Receiver<Message>, until: Option<Duration>, clock: Clock) -> Option<Message> {
    match until {
        None => receiver.recv().ok(),
        Some(until) => receiver.recv_timeout(until.saturating_sub(clock.now().monotonic)).ok(),
    }
}

/// A console without its terminal and its threads, so that tests can turn it by hand.
struct Live<W> {
    ui: Ui,
    view: View,
    pace: Pace,
    painter: Painter<W>,
    /// Work in pieces waits: a search, or a log that is read.
    more: bool,
    /// When something on the screen ages.
    ages: Option<Duration>,
    leave: Option<Leave>,
    suspend: bool,
    reenter: bool,
}

impl<W: Write> Live<W> {
    fn new(painter: Painter<W>, options: Options, size: Size) -> Self {
        let theme = Theme { colour: options.colour, glyphs: options.glyphs };
        Self {
            ui: Ui { leaving: options.leaving, ..Ui::new(size, theme, options.zone) },
            view: View::default(),
            pace: Pace::new(options.frame_gap),
            painter,
            more: false,
            ages: None,
            leave: None,
            suspend: false,
            reenter: false,
        }
    }

    /// How long to wait for the next message; none: for ever.
    fn wait(&self, now: Moment) -> Option<Duration> {
        if self.more {
            return Some(now.monotonic);
        }
        // A frame that is due takes what has aged with it.
        self.pace.due(now.monotonic).or(self.ages)
    }

    /// One message.
    fn take(&mut self, source: &mut dyn Source, message: Message, now: Moment) {
        match &message {
            Message::Woken => return,
            Message::Continued => {
                self.reenter = true;
                return;
            }
            Message::Key(_) | Message::Paste | Message::Answer(..) => self.pace.urgent(),
            Message::Resized(_) => self.pace.resized(),
            Message::Changed
            | Message::LogGrew
            | Message::LogOpened(..)
            | Message::Drawn
            | Message::Tick
            | Message::Hangup
            | Message::Terminated(_) => self.pace.dirty(),
        }
        self.step(source, message, now);
    }

    /// What the waker's flags say, work in pieces, and what has aged.
    fn look(&mut self, source: &mut dyn Source, waker: &Waker, now: Moment) {
        // While a frame waits for its slot the flags stay up: a flood wakes the loop once a frame, not once a line.
        let waits = !self.more && self.pace.due(now.monotonic).is_some_and(|due| due > now.monotonic);
        if waits {
            return;
        }
        if waker.take_changed() {
            self.view = source.view();
            self.pace.dirty();
            self.step(source, Message::Changed, now);
        }
        if waker.take_log_grew() || self.more {
            self.more = false;
            self.pace.dirty();
            self.step(source, Message::LogGrew, now);
        }
        if self.ui.log.searching.is_some() || self.ages.is_some_and(|ages| ages <= now.monotonic) {
            self.pace.dirty();
            self.step(source, Message::Tick, now);
        }
        self.ages = deadline(&self.ui, &self.view, now);
    }

    fn step(&mut self, source: &mut dyn Source, message: Message, now: Moment) {
        for effect in update(&mut self.ui, &self.view, message, now) {
            match effect {
                Effect::Send(ticket, request) => source.send(ticket, *request),
                Effect::OpenLog(job) => {
                    let opened =
                        source.log(&job).map(|bytes| bytes.map(Log::new)).map_err(|error| format!("the log cannot be opened: {error}"));
                    self.step(source, Message::LogOpened(job, opened), now);
                }
                Effect::Continue => self.more = true,
                Effect::Suspend => self.suspend = true,
                Effect::Leave(leave) => self.leave = Some(leave),
            }
        }
    }

    /// Draws, if what is to be seen is not what is seen.
    fn draw(&mut self, clock: Clock) -> io::Result<Painted> {
        let now = clock.now();
        if std::mem::take(&mut self.ui.redraw) {
            self.painter.forget();
        }
        let painted = self.painter.paint(panes::render(&self.ui, &self.view, now.wall))?;
        let after = clock.now();
        self.pace.drew(after.monotonic, after.monotonic.saturating_sub(now.monotonic));
        update(&mut self.ui, &self.view, Message::Drawn, after);
        Ok(painted)
    }
}

#[cfg(test)]
mod tests {
    use crossterm::event::{KeyCode, KeyEvent};

    use super::*;
    use crate::console::source::{LogBytes, Request, Ticket};
    use crate::event::JobName;

    struct Still;

    impl Source for Still {
        fn start(&mut self, _: Waker) {}
        fn view(&mut self) -> View {
            View::default()
        }
        fn log(&mut self, _: &JobName) -> io::Result<Option<Box<dyn LogBytes>>> {
            Ok(None)
        }
        fn send(&mut self, _: Ticket, _: Request) {}
    }

    fn live() -> Live<Vec<u8>> {
        let zone = FixedOffset::east_opt(0).unwrap();
        let options = Options {
            colour: Colour::Yes,
            glyphs: Glyphs::Unicode,
            zone,
            frame_gap: LOCAL_FRAME_GAP,
            synchronized: Synchronized::Yes,
            leaving: Leaving::RunGoesOn,
        };
        Live::new(Painter::new(Vec::new(), options.synchronized), options, Size::new(80, 24))
    }

    #[test]
    fn an_idle_console_waits_for_ever_and_a_change_without_effect_writes_nothing() {
        let (mut live, clock) = (live(), Clock::start());
        let (sender, receiver) = mpsc::sync_channel(8);
        let waker = Waker::new(sender);
        assert_eq!(live.draw(clock).unwrap(), Painted::Frame);
        live.look(&mut Still, &waker, clock.now());
        assert_eq!(live.wait(clock.now()), None);
        let before = live.painter.out().len();
        waker.changed();
        waker.changed();
        assert_eq!(receiver.try_iter().count(), 1);
        live.look(&mut Still, &waker, clock.now());
        assert!(live.wait(clock.now()).is_some());
        assert_eq!(live.draw(clock).unwrap(), Painted::Nothing);
        assert_eq!(live.painter.out().len(), before);
        assert_eq!(live.wait(clock.now()), None);
    }

    #[test]
    fn a_flood_wakes_the_loop_once_a_frame() {
        let (mut live, clock) = (live(), Clock::start());
        let (sender, receiver) = mpsc::sync_channel(8);
        let waker = Waker::new(sender);
        live.draw(clock).unwrap();
        let now = clock.now();
        waker.log_grew();
        live.look(&mut Still, &waker, now);
        for _ in 0..1000 {
            waker.log_grew();
            live.look(&mut Still, &waker, now);
        }
        assert_eq!(receiver.try_iter().count(), 2);
        assert!(live.wait(now).is_some_and(|due| due > now.monotonic));
        let later = Moment { monotonic: now.monotonic + LOCAL_FRAME_GAP, ..now };
        live.look(&mut Still, &waker, later);
        assert!(!waker.take_log_grew());
    }

    #[test]
    fn a_key_is_drawn_at_once_and_leaving_is_told() {
        let (mut live, clock) = (live(), Clock::start());
        live.draw(clock).unwrap();
        live.take(&mut Still, Message::Key(KeyEvent::from(KeyCode::Char('?'))), clock.now());
        let now = clock.now();
        assert!(live.wait(now).is_some_and(|due| due <= now.monotonic));
        assert_eq!(live.draw(clock).unwrap(), Painted::Frame);
        live.take(&mut Still, Message::Hangup, clock.now());
        assert_eq!(live.leave, Some(Leave::Hangup));
    }
}
