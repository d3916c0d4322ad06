//! Whether a process is inside a run (`docs/decisions.md` 1.5).

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::home;
use super::process::{ancestors, executable};

/// How often the ancestors are looked at when they change under the eye.
const LOOKS: u32 = 8;

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

/// Whether the process that has this pid, as `/proc` here counts, is inside a run of the STATE at `state`.
#[must_use]
pub fn inside_run(pid: u32, state: &Path) -> Inside {
    look(pid, state, None)
}

/// Whether whoever asks a supervisor for an effect is inside a run. The engine itself carries out what persons said yes to, so it is
/// not, unless something above it is.
#[must_use]
pub fn asks_from_inside(pid: u32, state: &Path) -> Inside {
    look(pid, state, Some(pid))
}

/// Whether this very process is inside a run. Its own number is taken from `/proc`, and in another pid namespace than that of those who
/// live on this STATE nothing above it can be seen: that is doubt.
#[must_use]
pub fn this_inside_run(state: &Path) -> Inside {
    let Some(seen) = fs::read_link("/proc/self").ok().and_then(|link| link.to_str()?.parse::<u32>().ok()) else { return Inside::Unknown };
    match inside_run(seen, state) {
        Inside::No if seen != std::process::id() || home::is_elsewhere(state) => Inside::Unknown,
        answer @ (Inside::No | Inside::Yes | Inside::Unknown) => answer,
    }
}

/// Between two looks, in doubt alone.
const BREATH: std::time::Duration = std::time::Duration::from_millis(10);

/// Looks again when somebody above it ended meanwhile: another one is above it then.
fn look(pid: u32, state: &Path, engine: Option<u32>) -> Inside {
    let mut line = ancestors(pid);
    for _ in 0..LOOKS {
        let answer = look_at(&line, state, engine);
        if answer != Inside::Unknown {
            return answer;
        }
        // One that is just ending may still be the parent and not be readable any more.
        std::thread::sleep(BREATH);
        line = ancestors(pid);
    }
    Inside::Unknown
}

/// `engine` is no reason by itself when it is one.
fn look_at(line: &[u32], state: &Path, engine: Option<u32>) -> Inside {
    let value = mark_value(state);
    let mut answer = if line.is_empty() { Inside::Unknown } else { Inside::No };
    for pid in line.iter().copied() {
        match owner_of_jobs(pid, &value) {
            Some(Owner::Keeper) => return Inside::Yes,
            Some(Owner::Engine) if engine != Some(pid) => return Inside::Yes,
            Some(Owner::Engine) | None => {}
        }
        match fs::read(format!("/proc/{pid}/environ")) {
            Ok(environment) if has_mark(&environment, &value) => return Inside::Yes,
            Ok(_) => {}
            // Process 1 is the machine's own, and in a sandbox even root may not look into it.
            Err(_) if pid == 1 => {}
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

/// What runs jobs below itself.
enum Owner {
    Keeper,
    Engine,
}

/// A keeper or an engine, by its program and its arguments as the kernel has them: `hms keeper STATE`, `hms engine RUN STATE`.
fn owner_of_jobs(pid: u32, value: &str) -> Option<Owner> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let arguments: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
    let (owner, state) = match *arguments.get(1)? {
        b"keeper" => (Owner::Keeper, arguments.get(2)?),
        b"engine" => (Owner::Engine, arguments.get(3)?),
        _ => return None,
    };
    let named = executable(pid)?.file_name()?.as_bytes().starts_with(b"hms");
    (named && mark_value(&PathBuf::from(std::ffi::OsStr::from_bytes(state))) == value).then_some(owner)
}
