//! Ending what an attempt left: TERM once to each process, then, when its time is over, KILL until nothing is left.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::descent::{descendants, name_below};
use crate::event::ProcessName;
use crate::store::{Signal, send_signal};

/// How often it is looked who is new, while there is still time.
const LOOK: Duration = Duration::from_millis(50);
/// How often it is looked who is left, once everything is killed.
const LOOK_KILLING: Duration = Duration::from_millis(5);
/// How long after the first KILL a process that cannot be killed (in the kernel's hands) is waited for.
const GIVE_UP: Duration = Duration::from_secs(5);

/// An ending under way, of everything that descends from this process.
pub(super) struct Ending {
    kill_at: Instant,
    next_look: Instant,
    termed: HashSet<ProcessName>,
}

impl Ending {
    /// TERM now, KILL after `grace`.
    pub(super) fn new(grace: Duration) -> Self {
        let now = Instant::now();
        Self { kill_at: now + grace, next_look: now, termed: HashSet::new() }
    }

    /// KILL at the latest after `grace` from now.
    pub(super) fn hasten(&mut self, grace: Duration) {
        let now = Instant::now();
        self.kill_at = self.kill_at.min(now + grace);
        self.next_look = now;
    }

    /// Does what is due, and returns when to call again.
    pub(super) fn step(&mut self) -> Instant {
        let now = Instant::now();
        if now < self.next_look {
            return self.next_look;
        }
        let killing = now >= self.kill_at;
        let me = std::process::id();
        for name in descendants(me).into_iter().filter_map(|pid| name_below(me, pid)) {
            // A refusal is a process of another user; it is looked at again, and in the end named.
            if killing {
                let _ = send_signal(&name, Signal::Kill);
            } else if !self.termed.contains(&name) {
                let _ = send_signal(&name, Signal::Term);
                self.termed.insert(name);
            }
        }
        self.next_look = if killing { now + LOOK_KILLING } else { self.kill_at.min(now + LOOK) };
        self.next_look
    }

    /// Whether there is no more that can be done.
    pub(super) fn is_hopeless(&self) -> bool {
        Instant::now() >= self.kill_at + GIVE_UP
    }
}
