//! Which entry of the script is running: the entries' echoes are known, and come in order in the output.
//!
//! It is for a sentence to a person only. A job that prints the echo of a later entry misleads that sentence and nothing else.

use aho_corasick::AhoCorasick;

/// Follows a script through its (masked) output.
pub(super) struct Progress {
    /// The echoes still to come, the next one last.
    echoes: Vec<Vec<u8>>,
    finder: Option<AhoCorasick>,
    carry: Vec<u8>,
    total: usize,
}

impl Progress {
    /// At the beginning of the output of a script with these (masked) echoes, one an entry; a blank one cannot be seen.
    pub(super) fn new(echoes: impl DoubleEndedIterator<Item = String>) -> Self {
        let echoes: Vec<Vec<u8>> = echoes.rev().map(String::into_bytes).collect();
        let mut progress = Self { total: echoes.len(), echoes, finder: None, carry: Vec::new() };
        progress.arm();
        progress
    }

    /// Takes what came.
    pub(super) fn push(&mut self, chunk: &[u8]) {
        if self.finder.is_none() {
            return;
        }
        self.carry.extend_from_slice(chunk);
        let mut from = 0;
        while let Some(found) = self.finder.as_ref().and_then(|finder| finder.find(self.carry.get(from..).unwrap_or_default())) {
            from += found.end();
            self.echoes.pop();
            self.arm();
        }
        let longest = self.echoes.last().map_or(0, Vec::len);
        let keep = from.max(self.carry.len().saturating_sub(longest.saturating_sub(1)));
        self.carry.drain(..keep.min(self.carry.len()));
    }

    /// The entry that runs, or ran last, from 1; none before the first.
    pub(super) fn entry(&self) -> Option<usize> {
        (self.total - self.echoes.len()).checked_sub(1).map(|index| index + 1)
    }

    /// Passes over echoes that are blank, and gets ready for the next.
    fn arm(&mut self) {
        while self.echoes.last().is_some_and(Vec::is_empty) {
            self.echoes.pop();
        }
        self.finder = self.echoes.last().and_then(|echo| AhoCorasick::new([echo]).ok());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_running_entry_is_known_wherever_the_output_is_cut() {
        let echoes = ["$ one", "", "$ two", "$ three"].map(str::to_owned);
        let output = b"profile\n$ one\n$ three\n\nout\n$ two\nmore $ on";
        for size in 1..output.len() {
            let mut progress = Progress::new(echoes.clone().into_iter());
            assert_eq!(progress.entry(), None);
            for piece in output.chunks(size) {
                progress.push(piece);
            }
            assert_eq!(progress.entry(), Some(3));
            progress.push(b"e\n$ three");
            assert_eq!(progress.entry(), Some(4));
        }
    }
}
