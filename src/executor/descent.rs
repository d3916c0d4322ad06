//! Who descends from whom. A subreaper's descendants are all that its attempt ever started, whatever they did to get away.

use std::collections::HashSet;
use std::fs;

use rustix::process::{Pid, getsid};

use crate::event::ProcessName;
use crate::store;

/// A walk over descendants stops here: a fork bomb must not make it endless.
const MOST: usize = 1 << 16;

/// The processes below `root`, nearest first, without `root`. A snapshot: whoever needs all of them looks again.
pub(super) fn descendants(root: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let mut seen = HashSet::from([root]);
    let mut next = vec![root];
    while !next.is_empty() && found.len() < MOST {
        let mut below = Vec::new();
        for pid in next {
            below.extend(children(pid).into_iter().filter(|child| seen.insert(*child)));
        }
        found.extend_from_slice(&below);
        next = below;
    }
    found
}

/// The children of a process by `/proc/PID/task/*/children`, or, where the kernel has no such file, by every process's parent.
pub(super) fn children(pid: u32) -> Vec<u32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let mut found = Vec::new();
    for task in tasks.flatten() {
        match fs::read_to_string(task.path().join("children")) {
            Ok(text) => found.extend(text.split_ascii_whitespace().filter_map(|word| word.parse::<u32>().ok())),
            Err(_) if task.path().exists() && !fs::exists("/proc/thread-self/children").unwrap_or(false) => return children_by_parent(pid),
            Err(_) => {}
        }
    }
    found
}

fn children_by_parent(parent: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| store::ancestors(*pid).get(1) == Some(&parent))
        .collect()
}

/// The name of a process, if it (still) descends from `root`: the pid may be somebody else's by now.
pub(super) fn name_below(root: u32, pid: u32) -> Option<ProcessName> {
    let name = store::name_of(pid)?;
    store::ancestors(pid).contains(&root).then_some(name)
}

/// What runs deepest below `root`, as its command line; none when nothing does, or only `root`'s own subshells. Not masked. What has a
/// session of its own is in the background, and counts only where nothing else runs.
pub(super) fn running_command(root: u32) -> Option<String> {
    let mut below = descendants(root);
    below.retain(|pid| store::name_of(*pid).is_some());
    let with_root = |pid: &&u32| session_of(**pid).is_some_and(|session| session_of(root) == Some(session));
    let deepest = *below.iter().rev().find(with_root).or(below.last())?;
    command_line(deepest).filter(|line| Some(line) != command_line(root).as_ref())
}

fn session_of(pid: u32) -> Option<Pid> {
    getsid(Pid::from_raw(i32::try_from(pid).ok()?)).ok()
}

fn command_line(pid: u32) -> Option<String> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let words: Vec<_> = line.split(|byte| *byte == 0).filter(|word| !word.is_empty()).map(String::from_utf8_lossy).collect();
    (!words.is_empty()).then(|| words.join(" "))
}
