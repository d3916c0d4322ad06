//! What the kernel says of a process, read from `/proc` (`proc(5)`); to read it does not wake it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::Answer;

/// What all threads of a process did so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Activity {
    /// How often one was switched to or from: voluntary and not.
    pub(crate) switches: u64,
    /// How long they were on a processor.
    pub(crate) on_processor: Duration,
}

impl Activity {
    /// Of a living process.
    ///
    /// # Errors
    /// When it is gone.
    pub(crate) fn of(pid: u32) -> Answer<Self> {
        let mut activity = Self { switches: 0, on_processor: Duration::ZERO };
        for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
            let thread = thread?.path();
            let status = fs::read_to_string(thread.join("status"))?;
            for name in ["voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:"] {
                activity.switches += number(&status, name).ok_or("a thread has no count of its switches")?;
            }
            let scheduled = fs::read_to_string(thread.join("schedstat"))?;
            let nanoseconds = scheduled.split(' ').next().and_then(|field| field.parse().ok());
            activity.on_processor += Duration::from_nanos(nanoseconds.ok_or("a thread has no time")?);
        }
        Ok(activity)
    }

    /// What was done since.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            switches: self.switches.saturating_sub(before.switches),
            on_processor: self.on_processor.saturating_sub(before.on_processor),
        }
    }
}

/// The most memory a process ever held, in KiB (`VmHWM`); none when it is gone.
pub(crate) fn peak_kib(pid: u32) -> Option<u64> {
    number(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?, "VmHWM:")
}

/// hms's own process of this kind (`engine`, `keeper`) whose arguments name something below `folder`.
pub(crate) fn find(verb: &str, folder: &Path) -> Option<u32> {
    let folder = folder.to_string_lossy();
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line);
        let mut arguments = line.split('\0').skip(1);
        (arguments.next() == Some(verb) && arguments.any(|argument| argument.starts_with(folder.as_ref()))).then_some(pid)
    })
}

fn number(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}
