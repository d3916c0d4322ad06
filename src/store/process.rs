//! The process table: names that do not come back, ancestors, marks, signals.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, PidfdFlags};

use crate::event::ProcessName;

/// What a program of hms's own that goes on in the background keeps of its starter's environment: where things lie and what they are
/// called, no more.
pub const KEPT: [&str; 24] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
    "XDG_STATE_HOME",
    "XDG_DATA_HOME",
    "XDG_CONFIG_HOME",
    "HMS_CONFIG",
    "KUBECONFIG",
    // What credential plugins of a kubeconfig and helpers of a registry ask for.
    "DOCKER_CONFIG",
    "AWS_PROFILE",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "AZURE_CONFIG_DIR",
    "HTTPS_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
];

/// A signal that hms sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Please end.
    Term,
    /// End.
    Kill,
}

/// The name of this very process.
#[must_use]
pub fn this_process() -> ProcessName {
    name_of(std::process::id()).unwrap_or_else(|| ProcessName { pid: std::process::id(), start_ticks: 0, boot_id: boot_id() })
}

/// The name of the process that has this pid now; none when there is none, or it is a zombie.
#[must_use]
pub fn name_of(pid: u32) -> Option<ProcessName> {
    let stat = Stat::read(pid)?;
    (!stat.gone).then(|| ProcessName { pid, start_ticks: stat.start_ticks, boot_id: boot_id() })
}

/// Whether that very process still lives.
#[must_use]
pub fn is_alive(name: &ProcessName) -> bool {
    name_of(name.pid).as_ref() == Some(name)
}

/// Whether that very process lives and was stopped (SIGSTOP), so that it does nothing until it is told to go on.
#[must_use]
pub fn is_stopped(name: &ProcessName) -> bool {
    is_alive(name) && Stat::read(name.pid).is_some_and(|stat| stat.stopped)
}

/// A descriptor that becomes readable when the process ends; none when it is gone already.
#[must_use]
pub fn pidfd(name: &ProcessName) -> Option<OwnedFd> {
    let pid = Pid::from_raw(i32::try_from(name.pid).ok()?)?;
    let fd = rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok()?;
    // Only now is the pid pinned: if the name still fits, the descriptor is that process's.
    is_alive(name).then_some(fd)
}

/// Sends a signal to that very process, never to one that took its pid. Nothing happens when it is gone.
///
/// # Errors
/// When the system refuses.
pub fn send_signal(name: &ProcessName, signal: Signal) -> io::Result<()> {
    let Some(fd) = pidfd(name) else { return Ok(()) };
    let signal = match signal {
        Signal::Term => rustix::process::Signal::TERM,
        Signal::Kill => rustix::process::Signal::KILL,
    };
    match rustix::process::pidfd_send_signal(&fd, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The process and those above it, nearest first, at most 256.
#[must_use]
pub fn ancestors(pid: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let mut next = pid;
    while next > 0 && found.len() < 256 && !found.contains(&next) {
        found.push(next);
        next = Stat::read(next).map_or(0, |stat| stat.parent);
    }
    found
}

/// Whether the process was started with an environment that has the variable; none when that cannot be looked at.
#[must_use]
pub fn environment_has(pid: u32, variable_prefix: &str) -> Option<bool> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    Some(environment.split(|byte| *byte == 0).any(|entry| entry.starts_with(variable_prefix.as_bytes())))
}

/// Every living process of this user that was started with the mark (a variable's whole name), by name.
#[must_use]
pub fn with_mark(mark: &str) -> Vec<ProcessName> {
    let prefix = format!("{mark}=");
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| std::str::from_utf8(entry.ok()?.file_name().as_bytes()).ok()?.parse::<u32>().ok())
        .filter(|pid| environment_has(*pid, &prefix) == Some(true))
        .filter_map(name_of)
        .collect()
}

/// Every living process of this user that began after another one and has no controlling terminal, by name.
#[must_use]
pub fn without_terminal_since(since: &ProcessName) -> Vec<ProcessName> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let user = rustix::process::geteuid().as_raw();
    entries
        .flatten()
        .filter(|entry| entry.metadata().is_ok_and(|found| found.uid() == user))
        .filter_map(|entry| std::str::from_utf8(entry.file_name().as_bytes()).ok()?.parse::<u32>().ok())
        .filter(|pid| Stat::read(*pid).is_some_and(|stat| !stat.has_terminal))
        .filter_map(name_of)
        .filter(|name| name.boot_id == since.boot_id && name.start_ticks >= since.start_ticks)
        .collect()
}

/// The program that a process runs.
#[must_use]
pub fn executable(pid: u32) -> Option<PathBuf> {
    fs::read_link(Path::new("/proc").join(pid.to_string()).join("exe")).ok()
}

fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|text| text.trim().to_owned()).unwrap_or_default()
}

struct Stat {
    parent: u32,
    start_ticks: u64,
    gone: bool,
    has_terminal: bool,
    stopped: bool,
}

impl Stat {
    /// Reads `/proc/PID/stat` (`proc_pid_stat(5)`); the command's name may hold spaces and brackets, so fields count from the last `)`.
    fn read(pid: u32) -> Option<Self> {
        let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
        let text = String::from_utf8_lossy(&text);
        let fields: Vec<&str> = text.get(text.rfind(')')? + 1..)?.split_ascii_whitespace().collect();
        Some(Self {
            gone: matches!(*fields.first()?, "Z" | "X" | "x"),
            stopped: matches!(*fields.first()?, "T" | "t"),
            parent: fields.get(1)?.parse().ok()?,
            has_terminal: *fields.get(4)? != "0",
            start_ticks: fields.get(19)?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_known_by_its_name_and_its_mark_until_it_ends() {
        let mut child = std::process::Command::new("sleep").arg("30").env("HMS_ATTEMPT_TEST_OF_MARKS", "1").spawn().unwrap();
        let name = name_of(child.id()).unwrap();
        assert!(is_alive(&name));
        assert!(ancestors(child.id()).contains(&std::process::id()));
        let end = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while !with_mark("HMS_ATTEMPT_TEST_OF_MARKS").contains(&name) {
            assert!(std::time::Instant::now() < end, "the mark was never seen");
        }
        let other = ProcessName { start_ticks: name.start_ticks + 1, ..name.clone() };
        send_signal(&other, Signal::Kill).unwrap();
        assert!(is_alive(&name), "a signal went to a process of another name");
        send_signal(&name, Signal::Kill).unwrap();
        child.wait().unwrap();
        assert!(!is_alive(&name));
        assert!(pidfd(&name).is_none());
    }
}
