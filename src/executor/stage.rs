//! One shell from its start until nothing of it is left: output, deadline, cancel, leftovers.
//!
//! The shell's end ends the stage (`docs/decisions.md` 1.4): what it left in the background gets TERM, 2 s later KILL, and
//! cannot hold the attempt by keeping the pipe open. It is one loop in one thread: while it waits for anything, it reads.

use std::fs::File;
use std::io::{self, PipeReader, Read, Seek, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, WaitOptions, WaitStatus, wait};

use super::descent::{descendants, running_command};
use super::ending::Ending;
use super::log::Log;
use super::shell::Shell;
use super::signals::Signals;

/// What a shell left in the background, and what a timeout ends, has this long after TERM.
const LEFTOVER_GRACE: Duration = Duration::from_secs(2);
/// A pipe that somebody still holds is read for this long.
const DRAIN: Duration = Duration::from_secs(1);
/// Bytes read at once, and in the pipe.
const CHUNK: usize = 256 * 1024;

/// What a shell is started with.
pub(super) struct Launch<'a> {
    /// Which shell.
    pub(super) shell: &'a Shell,
    /// What it reads.
    pub(super) text: &'a str,
    /// Its whole environment.
    pub(super) environment: &'a [(String, String)],
    /// Where it starts.
    pub(super) folder: &'a Path,
    /// How long it may run.
    pub(super) limit: Duration,
    /// How long it has after a cancel.
    pub(super) cancel_grace: Duration,
    /// How many cancels were heeded before; one that came since, even before the shell began, is heeded here.
    pub(super) cancels_heeded: usize,
}

/// How a shell ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ShellEnd {
    /// By itself, with this code.
    Exited(i32),
    /// By this signal.
    Signaled(i32),
    /// It could not be killed.
    Unknown,
}

/// Whether somebody made it end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stopped {
    /// Nobody.
    No,
    /// A cancel.
    Canceled,
    /// Its time was over.
    TimedOut {
        /// The command that was running then; not masked.
        running: Option<String>,
    },
}

/// What came of a stage.
pub(super) struct StageEnd {
    /// How the shell ended.
    pub(super) end: ShellEnd,
    /// Who made it.
    pub(super) stopped: Stopped,
    /// From its start to its end.
    pub(super) took: Duration,
    /// Processes that could not be ended, by pid.
    pub(super) left: Vec<u32>,
    /// How many cancels have been heeded now; not among them those that came after the shell's end.
    pub(super) cancels_heeded: usize,
}

/// Runs one shell to its end.
///
/// # Errors
/// When it cannot be started.
pub(super) fn run_stage(launch: &Launch<'_>, signals: &mut Signals, log: &mut Log) -> io::Result<StageEnd> {
    let (reader, shell) = start(launch)?;
    let mut stage = Stage { output: Some(reader), buffer: vec![0; CHUNK], shell, end: None, left: Left::Some };
    let started = Instant::now();
    let deadline = started + launch.limit;
    let mut cancels_seen = launch.cancels_heeded;
    let mut cancels_heeded = launch.cancels_heeded;
    let mut stopped = Stopped::No;
    let mut ending: Option<Ending> = None;
    let mut took = None;
    loop {
        if signals.child_ended() {
            stage.reap();
        }
        if stage.end.is_some() && took.is_none() {
            took = Some(started.elapsed());
            if stage.left == Left::Some {
                ending.get_or_insert_with(|| Ending::new(LEFTOVER_GRACE)).hasten(LEFTOVER_GRACE);
            }
        }
        if took.is_some() && stage.left == Left::None {
            break;
        }
        let cancels = signals.cancels();
        if cancels > cancels_seen {
            cancels_seen = cancels;
            // Once the shell has ended, a cancel only hastens here; what comes next is still to heed it.
            if took.is_none() {
                cancels_heeded = cancels;
                if stopped == Stopped::No {
                    stopped = Stopped::Canceled;
                }
            }
            let grace = if cancels > 1 { Duration::ZERO } else { launch.cancel_grace };
            ending.get_or_insert_with(|| Ending::new(grace)).hasten(grace);
        }
        if took.is_none() && stopped == Stopped::No && Instant::now() >= deadline {
            stopped = Stopped::TimedOut { running: running_command(stage.shell) };
            ending.get_or_insert_with(|| Ending::new(LEFTOVER_GRACE)).hasten(LEFTOVER_GRACE);
        }
        let mut until = deadline;
        if let Some(ending) = ending.as_mut() {
            if ending.is_hopeless() {
                break;
            }
            until = ending.step();
        }
        stage.wait(signals, Some(until), log);
    }
    let drained_by = Instant::now() + DRAIN;
    while stage.output.is_some() && Instant::now() < drained_by {
        stage.wait(signals, Some(drained_by), log);
    }
    log.finish();
    let left = if stage.left == Left::None { Vec::new() } else { descendants(std::process::id()) };
    Ok(StageEnd {
        end: stage.end.unwrap_or(ShellEnd::Unknown),
        stopped,
        took: took.unwrap_or_else(|| started.elapsed()),
        left,
        cancels_heeded,
    })
}

/// Whether this process has children.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    Some,
    None,
}

struct Stage {
    output: Option<PipeReader>,
    buffer: Vec<u8>,
    shell: u32,
    end: Option<ShellEnd>,
    left: Left,
}

impl Stage {
    fn wait(&mut self, signals: &Signals, until: Option<Instant>, log: &mut Log) {
        if !signals.wait(self.output.as_ref(), until) {
            return;
        }
        let Some(output) = self.output.as_mut() else { return };
        match output.read(&mut self.buffer) {
            Ok(0) => self.output = None,
            Ok(count) => log.push(self.buffer.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => self.output = None,
        }
    }

    /// Takes in every child that ended: the shell, and whatever was handed to this subreaper.
    fn reap(&mut self) {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => {
                    if u32::try_from(Pid::as_raw(Some(pid))) == Ok(self.shell) && self.end.is_none() {
                        self.end = Some(end_of(status));
                    }
                }
                Ok(None) => return,
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => {
                    // Nobody is left to wait for: nothing descends from a subreaper without children.
                    self.left = Left::None;
                    self.end.get_or_insert(ShellEnd::Unknown);
                    return;
                }
            }
        }
    }
}

fn end_of(status: WaitStatus) -> ShellEnd {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => ShellEnd::Exited(code),
        (None, Some(signal)) => ShellEnd::Signaled(signal),
        (None, None) => ShellEnd::Unknown,
    }
}

fn start(launch: &Launch<'_>) -> io::Result<(PipeReader, u32)> {
    let (reader, writer) = io::pipe()?;
    // A larger pipe means fewer wake-ups; the system's own size does as well.
    let _ = rustix::pipe::fcntl_setpipe_size(&reader, CHUNK);
    let child = Command::new(&launch.shell.program)
        .arg("-l")
        .env_clear()
        .envs(launch.environment.iter().map(|(name, value)| (name, value)))
        .current_dir(launch.folder)
        .process_group(0)
        .stdin(Stdio::from(in_memory(launch.text)?))
        .stdout(Stdio::from(writer.try_clone()?))
        .stderr(Stdio::from(writer))
        .spawn()?;
    Ok((reader, child.id()))
}

/// The script as a file that is in memory alone, for it holds secrets; and a file, because a shell reads a pipe byte by byte.
fn in_memory(text: &str) -> io::Result<File> {
    let mut file = File::from(memfd_create("script", MemfdFlags::CLOEXEC)?);
    file.write_all(text.as_bytes())?;
    file.rewind()?;
    Ok(file)
}
