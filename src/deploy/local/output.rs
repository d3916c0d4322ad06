//! What instances print: a file for each version, appended to by the processes themselves, so that a supervisor that dies takes
//! no pipe with it (`docs/decisions.md` 6.7).

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::store::DiskError;

/// At this size a log is put aside as `.log.1`.
const FULL_BYTES: u64 = 8 * 1024 * 1024;
/// How far back last lines are looked for.
const TAIL_BYTES: u64 = 16 * 1024;
/// How many last lines are told, and how long each may be.
const LINES: usize = 20;
const LINE_CHARS: usize = 400;

/// The log of a version.
pub(super) fn log_of(folder: &Path, version: &str) -> PathBuf {
    folder.join("logs").join(format!("{version}.log"))
}

/// Opens a log to append to, and says how long it is.
pub(super) fn open(path: &Path) -> Result<(File, u64), DiskError> {
    let opened = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    let file = opened.map_err(DiskError::of("open", path))?;
    let length = file.metadata().map_err(DiskError::of("look at", path))?.len();
    Ok((file, length))
}

/// The last lines that were written after byte `from`. A log that cannot be read has none.
pub(super) fn last_lines(path: &Path, from: u64) -> Vec<String> {
    let read = || {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        // A log that was put aside meanwhile begins anew.
        let from = if from > length { 0 } else { from };
        file.seek(SeekFrom::Start(from.max(length.saturating_sub(TAIL_BYTES))))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default();
    last.iter().map(|line| line.chars().take(LINE_CHARS).collect()).collect()
}

/// Puts a full log aside: copied, then cut to nothing, because its writers keep it open. What is printed between the two is lost.
pub(super) fn rotate(path: &Path) -> Result<(), DiskError> {
    if fs::metadata(path).map_or(0, |found| found.len()) < FULL_BYTES {
        return Ok(());
    }
    fs::copy(path, path.with_extension("log.1")).map_err(DiskError::of("copy", path))?;
    let file = OpenOptions::new().write(true).open(path).map_err(DiskError::of("open", path))?;
    file.set_len(0).map_err(DiskError::of("cut", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn only_lines_of_this_start_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v.log");
        let (mut file, _) = open(&path).unwrap();
        writeln!(file, "of the start before").unwrap();
        let (mut file, from) = open(&path).unwrap();
        write!(file, "one\n\ntwo").unwrap();
        assert_eq!(last_lines(&path, from), ["one", "two"]);
        assert!(last_lines(&folder.path().join("none"), 0).is_empty());
    }

    #[test]
    fn a_full_log_is_put_aside_and_its_writer_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v.log");
        let (mut file, _) = open(&path).unwrap();
        file.write_all(&vec![b'x'; usize::try_from(FULL_BYTES).unwrap()]).unwrap();
        rotate(&path).unwrap();
        writeln!(file, "after").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "after\n");
        assert_eq!(fs::metadata(folder.path().join("v.log.1")).unwrap().len(), FULL_BYTES);
    }
}
