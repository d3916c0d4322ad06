//! What wakes a keeper: its signals, its job's output, a moment in time.
//!
//! Signals are caught, never ignored: an ignored signal would stay ignored in the job. SIGTERM asks for a cancel, SIGCHLD says
//! that a process ended; SIGHUP, SIGINT and SIGQUIT are meant for a terminal's programs and change nothing here.

use std::io::{self, PipeReader, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;

/// The keeper's signals, as bytes in sockets.
pub(super) struct Signals {
    term: UnixStream,
    child: UnixStream,
    terms: usize,
}

impl Signals {
    /// Catches them from here on.
    ///
    /// # Errors
    /// When the system says no.
    pub(super) fn catch() -> io::Result<Self> {
        for ignored in [Signal::HUP, Signal::INT, Signal::QUIT] {
            signal_hook::flag::register(ignored.as_raw(), Arc::new(AtomicBool::new(false)))?;
        }
        Ok(Self { term: catch_one(Signal::TERM)?, child: catch_one(Signal::CHILD)?, terms: 0 })
    }

    /// How often a cancel was asked for since the keeper started.
    pub(super) fn cancels(&mut self) -> usize {
        self.terms += drain(&mut self.term);
        self.terms
    }

    /// Whether a process ended since the last call.
    pub(super) fn child_ended(&mut self) -> bool {
        drain(&mut self.child) > 0
    }

    /// Waits for a signal, for output, or until `until`. Returns whether there is output, or its end.
    pub(super) fn wait(&self, output: Option<&PipeReader>, until: Option<Instant>) -> bool {
        let timeout = until.map(|until| timespec(until.saturating_duration_since(Instant::now())));
        let mut descriptors = vec![PollFd::new(&self.term, PollFlags::IN), PollFd::new(&self.child, PollFlags::IN)];
        if let Some(output) = output {
            descriptors.push(PollFd::from_borrowed_fd(output.as_fd(), PollFlags::IN));
        }
        // An interruption is a signal, and its byte is there: the caller looks.
        let _ = poll(&mut descriptors, timeout.as_ref());
        descriptors.get(2).is_some_and(|output| !output.revents().is_empty())
    }
}

fn catch_one(signal: Signal) -> io::Result<UnixStream> {
    let (ours, handlers) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    handlers.set_nonblocking(true)?;
    signal_hook::low_level::pipe::register(signal.as_raw(), handlers)?;
    Ok(ours)
}

fn drain(stream: &mut UnixStream) -> usize {
    let mut total = 0;
    let mut bytes = [0; 64];
    while let Ok(count @ 1..) = stream.read(&mut bytes) {
        total += count;
    }
    total
}

fn timespec(time: Duration) -> Timespec {
    // Rounded up, so that a wait is never a little too short and spins.
    let time = time + Duration::from_micros(500);
    Timespec { tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX), tv_nsec: i64::from(time.subsec_nanos()) }
}
