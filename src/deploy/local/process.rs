//! The process of an instance: started in a process group of its own, watched as a child or, adopted, by a pidfd; ended with
//! all that bears its mark.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, kill_process_group};
use tokio::io::unix::AsyncFd;
use tokio::process::{Child, Command};
use tokio::time::Instant;

use super::recipe::Recipe;
use crate::event::ProcessName;
use crate::store::{self, Signal};

/// How long an instance has between TERM and KILL.
const GRACE: Duration = Duration::from_secs(5);
/// How long killed processes are waited for.
const AFTER_KILL: Duration = Duration::from_secs(2);
/// How often the process table is looked at while processes end.
const LOOK: Duration = Duration::from_millis(20);

/// A living process of an instance.
#[derive(Debug)]
pub(super) struct Process {
    name: ProcessName,
    watched: Watched,
}

#[derive(Debug)]
enum Watched {
    Child(Box<Child>),
    Adopted(AsyncFd<OwnedFd>),
}

/// Where and how an instance is to be started.
pub(super) struct Launch<'a> {
    pub(super) recipe: &'a Recipe,
    pub(super) folder: &'a Path,
    pub(super) output: File,
    /// The whole environment.
    pub(super) variables: Vec<(String, String)>,
}

impl Process {
    /// Starts the process of an instance.
    ///
    /// # Errors
    /// One plain sentence, when it cannot be started.
    pub(super) fn start(launch: Launch<'_>) -> Result<Self, String> {
        let mut command = match launch.recipe {
            Recipe::Shell { line, .. } => {
                let mut command = Command::new("sh");
                command.arg("-c").arg(line);
                command
            }
            Recipe::Static { folder } => {
                // This very program, also when its file was replaced since.
                let mut command = Command::new("/proc/self/exe");
                command.arg0("hms").arg("serve-static").arg(folder);
                command
            }
        };
        let errors = launch.output.try_clone().map_err(|error| format!("its log cannot be used: {error}"))?;
        command.env_clear().envs(launch.variables).current_dir(launch.folder).process_group(0);
        command.stdin(Stdio::null()).stdout(launch.output).stderr(errors);
        let child = command.spawn().map_err(|error| format!("it cannot be started: {error}"))?;
        let pid = child.id().ok_or_else(|| "it ended at once".to_owned())?;
        // A child that has ended already is a zombie until it is waited for: its pid is its own, and its name no longer matters.
        let name = store::name_of(pid).unwrap_or_else(|| ProcessName { pid, start_ticks: 0, boot_id: String::new() });
        Ok(Self { name, watched: Watched::Child(Box::new(child)) })
    }

    /// Takes over a process that a former supervisor started; none when it is gone.
    #[expect(deprecated, reason = "its successor is unsafe to call, and an owned descriptor gives the safety that it asks for")]
    pub(super) fn adopt(name: &ProcessName) -> Option<Self> {
        let fd = AsyncFd::new(store::pidfd(name)?).ok()?;
        Some(Self { name: name.clone(), watched: Watched::Adopted(fd) })
    }

    pub(super) fn name(&self) -> &ProcessName {
        &self.name
    }

    /// Waits until it ends, and says how.
    pub(super) async fn wait(&mut self) -> String {
        match &mut self.watched {
            Watched::Child(child) => match child.wait().await {
                Ok(status) => how(status),
                Err(error) => format!("ended, and nobody can say how ({error})"),
            },
            Watched::Adopted(fd) => {
                let _ = fd.readable().await;
                "ended; it was adopted, so its exit code is not known".to_owned()
            }
        }
    }
}

fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with code {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

/// Ends a process, its group, and whatever bears the mark: TERM, then KILL to what is left after 5 s.
pub(super) async fn end(process: Option<Process>, mark: &str) {
    let mut process = process;
    if let Some(process) = &process {
        signal_group(process.name(), Signal::Term);
    }
    for name in marked(mark).await {
        let _ = store::send_signal(&name, Signal::Term);
    }
    let deadline = Instant::now() + GRACE;
    if let Some(process) = &mut process {
        let _ = tokio::time::timeout_at(deadline, process.wait()).await;
    }
    let given_up = deadline + AFTER_KILL;
    loop {
        let left = marked(mark).await;
        let alive = process.as_ref().is_some_and(|process| store::is_alive(process.name()));
        if (left.is_empty() && !alive) || Instant::now() > given_up {
            break;
        }
        if Instant::now() >= deadline {
            if let Some(process) = &process {
                signal_group(process.name(), Signal::Kill);
            }
            for name in &left {
                let _ = store::send_signal(name, Signal::Kill);
            }
        }
        tokio::time::sleep(LOOK).await;
    }
    if let Some(process) = &mut process {
        let _ = tokio::time::timeout(AFTER_KILL, process.wait()).await;
    }
}

/// Signals the group of a leader that lives: its number cannot be another's while it does.
fn signal_group(leader: &ProcessName, signal: Signal) {
    let signal = match signal {
        Signal::Term => rustix::process::Signal::TERM,
        Signal::Kill => rustix::process::Signal::KILL,
    };
    if store::is_alive(leader)
        && let Some(group) = i32::try_from(leader.pid).ok().and_then(Pid::from_raw)
    {
        let _ = kill_process_group(group, signal);
    }
}

async fn marked(mark: &str) -> Vec<ProcessName> {
    let mark = mark.to_owned();
    tokio::task::spawn_blocking(move || store::with_mark(&mark)).await.unwrap_or_default()
}
