//! The engine's side of a keeper's start.

use std::fs::OpenOptions;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::error::ExecutorError;
use super::spec::KeeperSpec;
use crate::event::ProcessName;
use crate::store;

/// The hidden verb that makes hms a keeper.
pub(super) const KEEPER_VERB: &str = "keeper";
/// What a keeper says once it holds its lock and hears its signals.
pub(super) const READY: &str = "ready";
/// How long a keeper has to get ready.
const PATIENCE: Duration = Duration::from_secs(10);

/// A keeper that is ready: it holds the attempt's lock, and a signal from now on is heard.
#[derive(Debug)]
pub struct StartedKeeper {
    /// Its name, for the journal and for signals.
    pub process: ProcessName,
    /// To be waited for, so that it leaves no zombie. Dropping it ends nothing.
    pub child: Child,
}

/// Starts `program` as the keeper of an attempt: empty environment, in `/`, its own messages appended to `log_for_stderr`.
/// `state` is the STATE folder that the run belongs to: it stands in the keeper's arguments, where anybody can tell whose jobs are below it.
/// Returns when it is ready. To cancel, send SIGTERM to it ([`store::send_signal`]): once is gracefully, twice is at once.
///
/// # Errors
/// When it cannot be started, or does not get ready in 10 s (it is killed then).
pub fn start_keeper(program: &Path, spec: &KeeperSpec, state: &Path, log_for_stderr: &Path) -> Result<StartedKeeper, ExecutorError> {
    let cannot = |source| ExecutorError::Start { program: program.to_owned(), source };
    let messages = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(log_for_stderr)
        .map_err(store::DiskError::of("open", log_for_stderr))?;
    let mut child = Command::new(program)
        .arg(KEEPER_VERB)
        .arg(state)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(messages)
        .spawn()
        .map_err(cannot)?;
    // It reads its specification before it does anything else, so it is still there to be named.
    let process = store::name_of(child.id());
    match hand_over(&mut child, spec) {
        Ok(()) => {}
        Err(why) => {
            let _ = child.kill();
            let _ = child.wait();
            return Err(ExecutorError::NotReady { why: why.to_string(), log: log_for_stderr.to_owned() });
        }
    }
    match process {
        Some(process) => Ok(StartedKeeper { process, child }),
        None => Err(ExecutorError::NotReady { why: "it ended at once".to_owned(), log: log_for_stderr.to_owned() }),
    }
}

fn hand_over(child: &mut Child, spec: &KeeperSpec) -> io::Result<()> {
    let text = serde_json::to_vec(spec)?;
    let missing = || io::Error::other("it has no pipe");
    child.stdin.take().ok_or_else(missing)?.write_all(&text)?;
    wait_until_ready(child.stdout.take().ok_or_else(missing)?)
}

fn wait_until_ready(output: ChildStdout) -> io::Result<()> {
    let timeout = Timespec { tv_sec: i64::try_from(PATIENCE.as_secs()).unwrap_or(i64::MAX), tv_nsec: 0 };
    let mut descriptors = [PollFd::new(&output, PollFlags::IN)];
    if poll(&mut descriptors, Some(&timeout))? == 0 {
        return Err(io::Error::new(io::ErrorKind::TimedOut, "it said nothing for ten seconds"));
    }
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    if line.trim_end() == READY { Ok(()) } else { Err(io::Error::other("it ended before it was ready")) }
}
