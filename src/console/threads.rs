//! The threads that listen: for keys, for signals, for the end of the terminal. Each tells the loop and does nothing else.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossterm::event::{self, Event};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pipe::{PipeFlags, pipe_with};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGWINCH};
use signal_hook::iterator::{Handle, Signals};

use super::message::Message;
use super::source::Waker;
use super::terminal;

/// How long a thread that cannot be interrupted is waited for.
const PATIENCE: Duration = Duration::from_millis(200);

/// The threads; they end when this is dropped.
#[derive(Debug)]
pub(crate) struct Listeners {
    /// Its end tells the threads that poll.
    stop: Option<OwnedFd>,
    signals: Handle,
    joined: Vec<JoinHandle<()>>,
    /// The thread of the keys may sit in a read that only a key ends; it says when it is done.
    keys_done: Receiver<()>,
}

impl Listeners {
    /// Starts them.
    pub(crate) fn start(waker: &Waker) -> io::Result<Self> {
        let (heard, stop) = pipe_with(PipeFlags::CLOEXEC)?;
        let signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGWINCH, SIGCONT])?;
        let handle = signals.handle();
        let (done, keys_done) = mpsc::channel();
        let (stdin, also_heard) = (io::stdin().as_fd().try_clone_to_owned()?, heard.try_clone()?);
        let (to_keys, to_hangup, to_signals) = (waker.clone(), waker.clone(), waker.clone());
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| thread::Builder::new().name(name.into()).spawn(work);
        let keys = {
            let stdin = stdin.try_clone()?;
            spawn(
                "console-keys",
                Box::new(move || {
                    keys(&to_keys, &stdin, &also_heard);
                    let _ = done.send(());
                }),
            )?
        };
        drop(keys);
        let hangup = spawn("console-hangup", Box::new(move || hangup(&to_hangup, &stdin, &heard)))?;
        let signals = spawn("console-signals", Box::new(move || listen(&to_signals, signals)))?;
        Ok(Self { stop: Some(stop), signals: handle, joined: vec![hangup, signals], keys_done })
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.signals.close();
        for thread in self.joined.drain(..) {
            let _ = thread.join();
        }
        let _ = self.keys_done.recv_timeout(PATIENCE);
    }
}

/// Keys. Crossterm 0.29 spins for ever once the terminal is gone, and its `poll` then never returns: it is only called when
/// the terminal has something to read.
fn keys(waker: &Waker, stdin: &OwnedFd, stop: &OwnedFd) {
    loop {
        match wait(stdin, PollFlags::IN, stop) {
            Woken::Ready => {}
            Woken::Gone | Woken::Stopped => return,
        }
        let Listening::Yes = drain(waker, Duration::ZERO) else { return };
        // Crossterm may leave bytes unread that the kernel calls readable; a short wait keeps that from being a spin.
        if readable(stdin) {
            let Listening::Yes = drain(waker, Duration::from_millis(20)) else { return };
        }
    }
}

/// Whether there is anybody to tell.
enum Listening {
    Yes,
    No,
}

/// Tells all keys that are there, or that come within `patience`.
fn drain(waker: &Waker, mut patience: Duration) -> Listening {
    loop {
        match event::poll(patience) {
            Ok(true) => patience = Duration::ZERO,
            Ok(false) => return Listening::Yes,
            Err(_) => return Listening::No,
        }
        let Ok(event) = event::read() else { return Listening::No };
        if let Some(message) = message(&event)
            && !waker.deliver(message)
        {
            return Listening::No;
        }
    }
}

fn message(event: &Event) -> Option<Message> {
    match event {
        Event::Key(key) => Some(Message::Key(*key)),
        Event::Paste(_) => Some(Message::Paste),
        Event::Resize(..) => Some(Message::Resized(terminal::size())),
        Event::Mouse(_) | Event::FocusGained | Event::FocusLost => None,
    }
}

/// The end of the terminal: a poll without events, which only hears a hangup.
fn hangup(waker: &Waker, stdin: &OwnedFd, stop: &OwnedFd) {
    if wait(stdin, PollFlags::empty(), stop) == Woken::Gone {
        waker.deliver(Message::Hangup);
    }
}

fn listen(waker: &Waker, mut signals: Signals) {
    for signal in signals.forever() {
        let message = match signal {
            SIGWINCH => Message::Resized(terminal::size()),
            SIGCONT => Message::Continued,
            SIGHUP => Message::Hangup,
            signal => Message::Terminated(signal),
        };
        if !waker.deliver(message) {
            return;
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Woken {
    Ready,
    Gone,
    Stopped,
}

fn wait(stdin: &OwnedFd, events: PollFlags, stop: &OwnedFd) -> Woken {
    loop {
        let mut both = [PollFd::new(stdin, events), PollFd::new(stop, PollFlags::IN)];
        match poll(&mut both, None) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => return Woken::Stopped,
        }
        let [terminal, stop] = both.map(|fd| fd.revents());
        if !stop.is_empty() {
            return Woken::Stopped;
        }
        if terminal.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) {
            return Woken::Gone;
        }
        if terminal.intersects(PollFlags::IN) {
            return Woken::Ready;
        }
    }
}

fn readable(stdin: &OwnedFd) -> bool {
    let mut one = [PollFd::new(stdin, PollFlags::IN)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(poll(&mut one, Some(&at_once)), Ok(count) if count > 0)
}
