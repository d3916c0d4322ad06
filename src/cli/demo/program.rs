//! Running `hms` in the demo as a person would: the command is shown, its output is not touched, its exit code is the answer.

use std::io::Write;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::store::{Signal, name_of, send_signal};

use super::super::failure::{Exit, Failure};
use super::world::World;

/// How long a program that was asked to end may take.
const ENDING: Duration = Duration::from_secs(15);

/// The person who started the demo, and may want it to end.
pub(super) struct Person {
    signal: Arc<AtomicUsize>,
}

impl Person {
    pub(super) fn listen() -> Result<Self, Failure> {
        let person = Self { signal: Arc::default() };
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register_usize(signal, Arc::clone(&person.signal), usize::try_from(signal).unwrap_or(0))?;
        }
        Ok(person)
    }

    /// The signal that asked for the end, if one came.
    pub(super) fn signal(&self) -> Option<i32> {
        i32::try_from(self.signal.load(Ordering::SeqCst)).ok().filter(|signal| *signal != 0)
    }
}

/// The real `hms`, in the demo's repository and environment.
pub(super) struct Program<'a> {
    world: &'a World,
    person: &'a Person,
    end: Instant,
}

impl<'a> Program<'a> {
    pub(super) fn new(world: &'a World, person: &'a Person, bound: Duration) -> Self {
        Self { world, person, end: Instant::now() + bound }
    }

    /// What is left of the demo's time.
    pub(super) fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.world.program);
        command.args(arguments).env_clear().envs(self.world.variables()).current_dir(&self.world.repository);
        command
    }

    /// Shows the command, runs it with this terminal, and expects one exit code.
    pub(super) fn run(&self, arguments: &[&str], expected: i32) -> Result<(), Failure> {
        let status = self.show(arguments, Stdio::null())?;
        match status.code() {
            Some(code) if code == expected => Ok(()),
            found => {
                let found = found.map_or_else(|| status.to_string(), |code| format!("exit {code}"));
                Err(Failure::new(Exit::Failed, format!("`hms {}` ended with {found}, and {expected} was to come", arguments.join(" ")))
                    .hint("hms demo --headless --keep leaves everything to be looked at"))
            }
        }
    }

    /// Runs it with this terminal and input; its exit code, none when a signal ended it.
    pub(super) fn hand_over(&self, arguments: &[&str]) -> Result<Option<i32>, Failure> {
        Ok(self.show(arguments, Stdio::inherit())?.code())
    }

    /// What a command says on standard output, without being shown.
    pub(super) fn json(&self, arguments: &[&str]) -> Result<serde_json::Value, Failure> {
        let output = self.command(arguments).stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
        serde_json::from_slice(&output.stdout)
            .map_err(|error| Failure::new(Exit::Failed, format!("`hms {}` gave no JSON ({error}): {}", arguments.join(" "), output.status)))
    }

    fn show(&self, arguments: &[&str], input: Stdio) -> Result<ExitStatus, Failure> {
        let mut out = std::io::stdout();
        let shown: Vec<&str> = std::iter::once("hms").chain(arguments.iter().copied()).collect();
        writeln!(out, "$ {}", shown.join(" "))?;
        out.flush()?;
        let child = self.command(arguments).stdin(input).spawn()?;
        self.wait(child, &shown.join(" "))
    }

    /// Waits for the program. When the person or the time ends the demo, the program is asked to end, then made to.
    fn wait(&self, mut child: Child, what: &str) -> Result<ExitStatus, Failure> {
        let name = name_of(child.id());
        let mut asked: Option<Instant> = None;
        loop {
            if let Some(status) = child.try_wait()? {
                return match asked {
                    None => Ok(status),
                    Some(_) => Err(Failure::new(Exit::Failed, format!("`{what}` did not come to its end within the demo's time"))),
                };
            }
            match asked {
                None if self.person.signal().is_some() || self.left().is_zero() => {
                    asked = Some(Instant::now());
                    if let Some(name) = &name {
                        send_signal(name, Signal::Term)?;
                    }
                }
                Some(since) if since.elapsed() > ENDING => child.kill()?,
                None | Some(_) => {}
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
