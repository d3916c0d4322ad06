//! Whether a process is inside a run (`docs/decisions.md` 1.5).

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::process::{ancestors, executable};

/// The answer, and what hms makes of doubt: doubt is never a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inside {
    /// It is not.
    No,
    /// A keeper or an engine of that STATE is above it, or it bears an attempt's mark.
    Yes,
    /// It is gone, or may not be looked at.
    Unknown,
}

/// The value of an attempt's mark: the STATE that the run belongs to, by device and inode, so that an hms with a STATE of its own
/// inside a job is not taken for that job.
#[must_use]
pub fn mark_value(state: &Path) -> String {
    fs::metadata(state).map_or_else(|_| "0:0".to_owned(), |found| format!("{}:{}", found.dev(), found.ino()))
}

/// Whether the process that has this pid is inside a run of the STATE at `state`.
#[must_use]
pub fn inside_run(pid: u32, state: &Path) -> Inside {
    let value = mark_value(state);
    let line = ancestors(pid);
    let mut answer = if line.is_empty() { Inside::Unknown } else { Inside::No };
    // Process 1 is the machine's own, and in a sandbox even root may not look into it.
    for pid in line.into_iter().filter(|pid| *pid != 1) {
        if is_owner_of_jobs(pid, &value) {
            return Inside::Yes;
        }
        match fs::read(format!("/proc/{pid}/environ")) {
            Ok(environment) if has_mark(&environment, &value) => return Inside::Yes,
            Ok(_) => {}
            // Processes of other users (init, a login shell's parent) cannot be read and cannot be jobs of this user.
            Err(_) if fs::metadata(format!("/proc/{pid}")).is_ok_and(|found| found.uid() != rustix::process::geteuid().as_raw()) => {}
            Err(_) => answer = Inside::Unknown,
        }
    }
    answer
}

fn has_mark(environment: &[u8], value: &str) -> bool {
    environment.split(|byte| *byte == 0).any(|entry| {
        let mut parts = entry.splitn(2, |byte| *byte == b'=');
        let name = parts.next().unwrap_or_default();
        name.starts_with(b"HMS_ATTEMPT_")
            && !name.ends_with(b"_SOCKET")
            && !name.ends_with(b"_TOKEN")
            && parts.next() == Some(value.as_bytes())
    })
}

/// A keeper or an engine, by its program and its arguments as the kernel has them: `hms keeper STATE`, `hms engine RUN STATE`.
fn is_owner_of_jobs(pid: u32, value: &str) -> bool {
    let Ok(line) = fs::read(format!("/proc/{pid}/cmdline")) else { return false };
    let arguments: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
    let state = match arguments.get(1) {
        Some(&b"keeper") => arguments.get(2),
        Some(&b"engine") => arguments.get(3),
        _ => None,
    };
    let Some(state) = state else { return false };
    let named = executable(pid).and_then(|path| path.file_name().map(|name| name.as_bytes().starts_with(b"hms"))).unwrap_or(false);
    named && mark_value(&PathBuf::from(std::ffi::OsStr::from_bytes(state))) == value
}
