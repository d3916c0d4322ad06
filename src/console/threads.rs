//! The threads that listen: for keys, for signals, for the end of the terminal. Each tells the loop and does nothing else.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, read};
use rustix::pipe::{PipeFlags, pipe_with};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGWINCH};
use signal_hook::iterator::{Handle, Signals};

use super::input::Decoder;
use super::message::Message;
use super::source::Waker;
use super::terminal;

/// How long the rest of a key, or of a paste, may take on a slow line.
const REST_OF_A_KEY: Duration = Duration::from_millis(500);

/// The threads; they end when this is dropped.
#[derive(Debug)]
pub(crate) struct Listeners {
    /// Its end tells the threads that poll.
    stop: Option<OwnedFd>,
    signals: Handle,
    threads: Vec<JoinHandle<()>>,
}

impl Listeners {
    /// Starts them.
    pub(crate) fn start(waker: &Waker) -> io::Result<Self> {
        let (heard, stop) = pipe_with(PipeFlags::CLOEXEC)?;
        let signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGWINCH, SIGCONT])?;
        let mut listeners = Self { stop: Some(stop), signals: signals.handle(), threads: Vec::new() };
        let (stdin, also_heard) = (io::stdin().as_fd().try_clone_to_owned()?, heard.try_clone()?);
        let also_stdin = stdin.try_clone()?;
        let (to_keys, to_hangup, to_signals) = (waker.clone(), waker.clone(), waker.clone());
        listeners.spawn("console-keys", move || keys(&to_keys, &also_stdin, &also_heard))?;
        listeners.spawn("console-hangup", move || hangup(&to_hangup, &stdin, &heard))?;
        listeners.spawn("console-signals", move || listen(&to_signals, signals))?;
        Ok(listeners)
    }

    fn spawn(&mut self, name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        self.threads.push(thread::Builder::new().name(name.into()).spawn(work)?);
        Ok(())
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.signals.close();
        for thread in self.threads.drain(..) {
            // One that panicked has said so; there is nothing left to do about it.
            let _ = thread.join();
        }
    }
}

fn keys(waker: &Waker, stdin: &OwnedFd, stop: &OwnedFd) {
    let mut decoder = Decoder::default();
    let mut packet = [0; 4096];
    loop {
        let patience = decoder.expects_more().then_some(REST_OF_A_KEY);
        match wait(stdin, PollFlags::IN, stop, patience) {
            Woken::Ready => {}
            Woken::TimedOut => {
                decoder.give_up();
                continue;
            }
            Woken::Gone | Woken::Stopped => return,
        }
        let count = match read(stdin, &mut packet) {
            Ok(0) => return,
            Ok(count) => count,
            Err(Errno::INTR | Errno::AGAIN) => continue,
            Err(_) => return,
        };
        for message in decoder.feed(packet.get(..count).unwrap_or_default()) {
            if !waker.deliver(message) {
                return;
            }
        }
    }
}

/// The end of the terminal: a poll without events, which only hears a hangup.
fn hangup(waker: &Waker, stdin: &OwnedFd, stop: &OwnedFd) {
    if wait(stdin, PollFlags::empty(), stop, None) == Woken::Gone {
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
    TimedOut,
    Gone,
    Stopped,
}

fn wait(stdin: &OwnedFd, events: PollFlags, stop: &OwnedFd, patience: Option<Duration>) -> Woken {
    let patience = patience.and_then(|patience| Timespec::try_from(patience).ok());
    loop {
        let mut both = [PollFd::new(stdin, events), PollFd::new(stop, PollFlags::IN)];
        match poll(&mut both, patience.as_ref()) {
            Ok(0) => return Woken::TimedOut,
            Ok(_) => {}
            Err(Errno::INTR) => continue,
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
