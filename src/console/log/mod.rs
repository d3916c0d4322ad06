//! A job's log as lines: an index of offsets over bytes that lie elsewhere. A million lines cost 8 MB, and only the lines
//! on the screen are ever read, decoded or kept.

mod ansi;
mod search;

use std::fmt;
use std::io;

use super::source::LogBytes;

pub(crate) use ansi::spans;
pub(crate) use search::{Direction, Found, Search, error_pattern, ranges};

/// How much is read in one go before keys are looked at again.
const PIECE_BYTES: usize = 4 << 20;
/// What of one line is shown; the rest of a longer one can only be seen in the file.
const LINE_BYTES: u64 = 64 << 10;

/// An indexed log.
pub(crate) struct Log {
    bytes: Box<dyn LogBytes>,
    /// Offset of the first byte of each line that has begun.
    starts: Vec<u64>,
    /// How far the index goes.
    scanned: u64,
    /// The last byte scanned was no line feed: the last line is partial.
    open: bool,
}

/// Whether there is more to index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Growth {
    /// All that is there is indexed.
    Complete,
    /// Another piece waits.
    More,
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("lines", &self.starts.len()).field("scanned", &self.scanned).finish_non_exhaustive()
    }
}

impl Log {
    /// A log of these bytes, not yet indexed.
    pub(crate) fn new(bytes: Box<dyn LogBytes>) -> Self {
        Self { bytes, starts: Vec::new(), scanned: 0, open: false }
    }

    /// Indexes one piece of what was appended. A log that became shorter was replaced: it is read anew.
    pub(crate) fn grow(&mut self) -> io::Result<Growth> {
        let size = self.bytes.size()?;
        if size < self.scanned {
            (self.starts, self.scanned, self.open) = (Vec::new(), 0, false);
        }
        let want = usize::try_from(size - self.scanned).unwrap_or(usize::MAX).min(PIECE_BYTES);
        let mut piece = vec![0; want];
        let got = self.bytes.read_at(self.scanned, &mut piece)?;
        let piece = piece.get(..got).unwrap_or_default();
        let mut at = self.scanned;
        for line in piece.split_inclusive(|byte| *byte == b'\n') {
            if !self.open {
                self.starts.push(at);
            }
            self.open = !line.ends_with(b"\n");
            at += u64::try_from(line.len()).unwrap_or_default();
        }
        self.scanned = at;
        Ok(if got > 0 && self.scanned < size { Growth::More } else { Growth::Complete })
    }

    /// How many lines have begun.
    pub(crate) fn lines(&self) -> usize {
        self.starts.len()
    }

    /// The bytes of a line without its line feed, at most 64 KiB of them; empty when there is no such line.
    pub(crate) fn line(&self, index: usize) -> io::Result<Vec<u8>> {
        let Some(&start) = self.starts.get(index) else {
            return Ok(Vec::new());
        };
        let end = self.starts.get(index + 1).copied().unwrap_or(self.scanned);
        let mut line = vec![0; usize::try_from((end - start).min(LINE_BYTES)).unwrap_or_default()];
        let got = self.bytes.read_at(start, &mut line)?;
        line.truncate(got);
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        Ok(line)
    }

    /// The bytes of some whole lines from `from` on, up to about `budget` bytes but at least one line, with where each
    /// line lies among them.
    pub(crate) fn block(&self, from: usize, to: usize, budget: u64) -> io::Result<(Vec<u8>, Vec<std::ops::Range<usize>>)> {
        let Some(&start) = self.starts.get(from) else {
            return Ok((Vec::new(), Vec::new()));
        };
        let end_of = |index: usize| self.starts.get(index + 1).copied().unwrap_or(self.scanned);
        let last =
            (from..to.min(self.lines())).take_while(|index| *index == from || end_of(*index) - start <= budget).last().unwrap_or(from);
        let mut bytes = vec![0; usize::try_from((end_of(last) - start).min(budget.max(LINE_BYTES))).unwrap_or_default()];
        let got = self.bytes.read_at(start, &mut bytes)?;
        bytes.truncate(got);
        let place = |offset: u64| usize::try_from(offset - start).unwrap_or(usize::MAX).min(got);
        let lines = (from..=last).filter_map(|index| Some(place(*self.starts.get(index)?)..place(end_of(index)))).collect();
        Ok((bytes, lines))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Default)]
    struct Growing(Arc<Mutex<Vec<u8>>>);

    impl LogBytes for Growing {
        fn size(&self) -> io::Result<u64> {
            self.0.lock().unwrap().size()
        }
        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
            LogBytes::read_at(&*self.0.lock().unwrap(), offset, buffer)
        }
    }

    fn all(log: &Log) -> Vec<Vec<u8>> {
        (0..log.lines()).map(|index| log.line(index).unwrap()).collect()
    }

    proptest! {
        #[test]
        fn a_log_read_in_any_pieces_has_the_lines_of_the_whole(
            pieces in prop::collection::vec(prop::collection::vec(prop::sample::select(b"ab\n".to_vec()), 0..12), 0..12)
        ) {
            let bytes = Growing::default();
            let mut log = Log::new(Box::new(bytes.clone()));
            for piece in &pieces {
                bytes.0.lock().unwrap().extend(piece);
                prop_assert_eq!(log.grow().unwrap(), Growth::Complete);
            }
            let whole = pieces.concat();
            let mut expected: Vec<_> = whole.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
            if expected.last().is_some_and(Vec::is_empty) {
                expected.pop();
            }
            prop_assert_eq!(all(&log), expected.clone());
            let (block, lines) = log.block(0, usize::MAX, 1 << 20).unwrap();
            let blocked: Vec<_> = lines.into_iter().map(|line| block[line].strip_suffix(b"\n").map_or_else(|| block.clone(), <[u8]>::to_vec)).collect();
            prop_assert!(blocked.len() == expected.len());
        }
    }

    #[test]
    fn a_log_that_became_shorter_is_read_anew() {
        let bytes = Growing(Arc::new(Mutex::new(b"one\ntwo\n".to_vec())));
        let mut log = Log::new(Box::new(bytes.clone()));
        log.grow().unwrap();
        *bytes.0.lock().unwrap() = b"new".to_vec();
        log.grow().unwrap();
        assert_eq!(all(&log), [b"new".to_vec()]);
    }

    #[test]
    fn a_line_without_end_is_cut_and_a_big_log_comes_in_pieces() {
        let mut log = Log::new(Box::new(vec![b'x'; PIECE_BYTES + 1]));
        assert_eq!(log.grow().unwrap(), Growth::More);
        assert_eq!(log.grow().unwrap(), Growth::Complete);
        assert_eq!((log.lines(), log.line(0).unwrap().len()), (1, 64 << 10));
        assert!(log.line(7).unwrap().is_empty());
    }
}
