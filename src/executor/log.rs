//! The attempt's log: the one place where a job's bytes reach the disk, and only masked ones.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::rc::Rc;

use super::counts::NodeSummaries;
use super::mask::{Masker, Secrets};
use super::progress::Progress;
use crate::event::TestCounts;

/// What begins a line of hms's own in a log (`docs/decisions.md` 3.6).
const OWN_LINE: &str = "\u{1b}[36mhms:\u{1b}[0m ";

/// What of the job's output may still be written.
#[derive(Debug, Clone, Copy)]
enum Room {
    Endless,
    Bytes(u64),
    Full,
}

/// A log being written.
pub(super) struct Log {
    file: File,
    masker: Masker,
    secrets: Rc<Secrets>,
    shown: Vec<u8>,
    room: Room,
    limit: u64,
    line_open: bool,
    lost_bytes: u64,
    lost_because: Option<io::Error>,
    summaries: NodeSummaries,
    progress: Option<Progress>,
}

impl Log {
    /// Makes the log, mode 0600; one that is there is gone on with.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(super) fn open(path: &Path, secrets: Rc<Secrets>, limit: Option<u64>) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        Ok(Self {
            file,
            masker: Masker::new(Rc::clone(&secrets)),
            secrets,
            shown: Vec::new(),
            room: limit.map_or(Room::Endless, Room::Bytes),
            limit: limit.unwrap_or(u64::MAX),
            line_open: false,
            lost_bytes: 0,
            lost_because: None,
            summaries: NodeSummaries::new(),
            progress: None,
        })
    }

    /// From here on the output is that of a script with these entries.
    pub(super) fn follow(&mut self, echoes: impl DoubleEndedIterator<Item = String>) {
        let secrets = Rc::clone(&self.secrets);
        self.progress = Some(Progress::new(echoes.map(move |echo| secrets.mask(&echo))));
    }

    /// The entry that runs, or ran last, from 1.
    pub(super) fn entry(&self) -> Option<usize> {
        self.progress.as_ref().and_then(Progress::entry)
    }

    /// Takes bytes of the job.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let mut shown = std::mem::take(&mut self.shown);
        shown.clear();
        self.masker.push(bytes, &mut shown);
        self.take(&shown);
        self.shown = shown;
    }

    /// One shell's output ended: what was held back is no secret.
    pub(super) fn finish(&mut self) {
        let mut shown = Vec::new();
        self.masker.finish(&mut shown);
        self.take(&shown);
    }

    /// Writes a line of hms's own. It is masked, and control characters in it are spelt out.
    pub(super) fn say(&mut self, text: &str) {
        let mut line = String::new();
        if self.line_open {
            line.push('\n');
        }
        line.push_str(OWN_LINE);
        line.push_str(&printable(&self.secrets.mask(text)));
        line.push('\n');
        self.write(line.as_bytes());
        self.line_open = false;
    }

    /// A text with every secret masked and control characters spelt out.
    pub(super) fn clean(&self, text: &str) -> String {
        printable(&self.secrets.mask(text))
    }

    /// What could not be written, in words; none when all was.
    pub(super) fn loss(&self) -> Option<String> {
        let because = self.lost_because.as_ref()?;
        Some(format!("{} bytes of the log could not be written: {because}", self.lost_bytes))
    }

    /// The counts found in the output. Ends the search.
    pub(super) fn take_counts(&mut self) -> Option<TestCounts> {
        std::mem::replace(&mut self.summaries, NodeSummaries::new()).finish()
    }

    fn take(&mut self, shown: &[u8]) {
        let Some(last) = shown.last() else { return };
        self.summaries.push(shown);
        if let Some(progress) = self.progress.as_mut() {
            progress.push(shown);
        }
        let whole = u64::try_from(shown.len()).unwrap_or(u64::MAX);
        match self.room {
            Room::Endless => self.write(shown),
            Room::Bytes(room) if whole <= room => {
                self.room = Room::Bytes(room - whole);
                self.write(shown);
            }
            Room::Bytes(room) => {
                let part = shown.get(..usize::try_from(room).unwrap_or(usize::MAX)).unwrap_or_default();
                self.write(part);
                self.line_open = part.last().map_or(self.line_open, |last| *last != b'\n');
                self.room = Room::Full;
                self.say(&format!("the log has reached {} bytes; the rest of the job's output is left out", self.limit));
                return;
            }
            Room::Full => return,
        }
        self.line_open = *last != b'\n';
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Err(error) = self.file.write_all(bytes) {
            self.lost_bytes = self.lost_bytes.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
            self.lost_because.get_or_insert(error);
        }
    }
}

fn printable(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            plain.extend(character.escape_default());
        } else {
            plain.push(character);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logged(limit: Option<u64>, write: impl FnOnce(&mut Log)) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = Log::open(&path, Rc::new(Secrets::new(["hunter2-hunter2"]).unwrap()), limit).unwrap();
        write(&mut log);
        assert!(log.loss().is_none());
        std::fs::read_to_string(&path).unwrap()
    }

    #[test]
    fn a_partial_line_is_shown_and_the_beginning_of_a_secret_is_not() {
        let text = logged(None, |log| log.push(b"name? hunter2-"));
        assert_eq!(text, "name? ");
        let text = logged(None, |log| {
            log.push(b"name? hunter2-");
            log.finish();
            log.say("done \u{1b}[31m hunter2-hunter2");
        });
        assert_eq!(text, "name? hunter2-\n\u{1b}[36mhms:\u{1b}[0m done \\u{1b}[31m [MASKED]\n");
    }

    #[test]
    fn a_log_that_is_full_says_so_once_and_still_takes_our_own_lines() {
        assert_eq!(logged(Some(3), |log| log.push(b"ab\n")), "ab\n");
        let text = logged(Some(5), |log| {
            log.push(b"ab\n");
            log.push(b"cdefgh\n");
            log.push(b"more\n");
            log.say("end");
        });
        let own = "\u{1b}[36mhms:\u{1b}[0m ";
        assert_eq!(text, format!("ab\ncd\n{own}the log has reached 5 bytes; the rest of the job's output is left out\n{own}end\n"));
    }
}
