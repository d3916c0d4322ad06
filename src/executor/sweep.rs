//! Ending what an attempt left when its keeper is gone.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Signal, pidfd_send_signal};

use super::descent::{children, descendants, name_below};
use crate::event::{AttemptId, ProcessName};
use crate::store;

/// How often it is looked for processes that were not there before, while the others stand still.
const ROUNDS: u32 = 20;
/// How long what was killed is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Ends everything that bears the attempt's mark, every one of `known`, and all that descend from them; returns what could not
/// be ended within 5 s. `known` are processes without the mark that must be the attempt's, as children of a subreaper that
/// nobody else explains ([`children_of`]). This process and those above it are never touched.
///
/// They are stopped first, until nobody new is found, and only then killed: killing a parent first would cut off its children,
/// which may have no mark, and a process that forks would be one step ahead.
#[must_use]
pub fn sweep(attempt: &AttemptId, known: &[ProcessName]) -> Vec<ProcessName> {
    let mark = attempt.mark();
    let spared: HashSet<u32> = store::ancestors(std::process::id()).into_iter().collect();
    let mut found: HashSet<ProcessName> = HashSet::new();
    let mut roots: Vec<ProcessName> = known.iter().filter(|name| store::is_alive(name)).cloned().collect();
    for _ in 0..ROUNDS {
        roots.extend(store::with_mark(&mark));
        let mut fresh = Vec::new();
        for root in roots.drain(..) {
            let below: Vec<ProcessName> = descendants(root.pid).into_iter().filter_map(|pid| name_below(root.pid, pid)).collect();
            fresh.extend(below.into_iter().chain([root]).filter(|name| !spared.contains(&name.pid) && !found.contains(name)));
        }
        if fresh.is_empty() {
            break;
        }
        for name in fresh {
            let _ = signal(&name, Signal::STOP);
            roots.push(name.clone());
            found.insert(name);
        }
    }
    end(found)
}

/// Processes that are at work below one of these folders: theirs, or an open file of theirs, lies there. For what shed its mark and was
/// handed to process 1, because keeper and engine were killed at once. Whoever has a terminal, or was there before `keeper`, looks at
/// the folder and is no job.
#[must_use]
pub fn at_work_below(folders: &[PathBuf], keeper: &ProcessName) -> Vec<ProcessName> {
    let folders: Vec<PathBuf> = folders.iter().filter_map(|folder| folder.canonicalize().ok()).collect();
    let leads_below = |link: &Path| fs::read_link(link).is_ok_and(|place| folders.iter().any(|folder| place.starts_with(folder)));
    let is_at_work = |name: &ProcessName| {
        let process = Path::new("/proc").join(name.pid.to_string());
        let open = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
        leads_below(&process.join("cwd")) || open.map(|entry| entry.path()).any(|link| leads_below(&link))
    };
    store::without_terminal_since(keeper).into_iter().filter(is_at_work).collect()
}

/// The living children of this very process: for a subreaper, also those that were handed to it.
#[must_use]
pub fn children_of_this_process() -> Vec<ProcessName> {
    let me = std::process::id();
    children(me).into_iter().filter_map(|pid| name_below(me, pid)).collect()
}

fn end(mut left: HashSet<ProcessName>) -> Vec<ProcessName> {
    let end = Instant::now() + PATIENCE;
    loop {
        left.retain(store::is_alive);
        if left.is_empty() || Instant::now() >= end {
            return left.into_iter().collect();
        }
        for name in &left {
            let _ = signal(name, Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn signal(name: &ProcessName, signal: Signal) -> io::Result<()> {
    let Some(descriptor) = store::pidfd(name) else { return Ok(()) };
    match pidfd_send_signal(&descriptor, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
