//! The summary that `node --test` prints at its end, found in a stream of output.
//!
//! ```text
//! ℹ tests 3        (spec reporter, with or without colour)      # tests 3        (TAP)
//! ℹ suites 0                                                    # suites 0
//! ℹ pass 1  …  fail 0  …  cancelled 0  …  skipped 1  …  todo 1
//! ```
//! Only a whole summary counts. Several runs of `node --test` in one job are summed; cancelled tests failed, `todo` was skipped.

use aho_corasick::{AhoCorasick, Input};

use super::sum;
use crate::event::TestCounts;

/// The marks before a summary's first line.
const BEGINNINGS: [&str; 2] = ["\u{2139} tests ", "# tests "];
/// The lines of a summary after the first; `suites` is missing in older versions of node.
const LINES: [&str; 7] = ["suites", "pass", "fail", "cancelled", "skipped", "todo", ""];
/// The longer of them, in bytes.
const LONGEST_BEGINNING: usize = 10;
/// A summary is not longer than this, in bytes, colours included.
const LONGEST: usize = 2048;
/// What may stand before a beginning on its line (colours), in bytes.
const BEFORE: usize = 64;

/// Looks for summaries in output that comes in pieces. Holds at most [`LONGEST`] bytes between them.
pub(in crate::executor) struct NodeSummaries {
    beginnings: Option<AhoCorasick>,
    window: Vec<u8>,
    from: usize,
    at_start: bool,
    counts: Option<TestCounts>,
}

/// What a text that may be a summary turned out to be.
enum Reading {
    Whole(TestCounts, usize),
    Unfinished,
    Other,
}

impl NodeSummaries {
    /// At the beginning of the output.
    pub(in crate::executor) fn new() -> Self {
        Self { beginnings: AhoCorasick::new(BEGINNINGS).ok(), window: Vec::new(), from: 0, at_start: true, counts: None }
    }

    /// Takes what came.
    pub(in crate::executor) fn push(&mut self, chunk: &[u8]) {
        self.window.extend_from_slice(chunk);
        self.look();
    }

    /// The sum of all summaries; none when there was none.
    pub(in crate::executor) fn finish(mut self) -> Option<TestCounts> {
        self.push(b"\n");
        self.counts
    }

    fn look(&mut self) {
        let mut unfinished = None;
        while let Some(found) = self.beginnings.as_ref().and_then(|beginnings| beginnings.find(Input::new(&self.window).range(self.from..)))
        {
            self.from = found.end();
            if !self.begins_a_line(found.start()) {
                continue;
            }
            let rest = self.window.get(found.start()..).unwrap_or_default();
            let text = rest.get(..LONGEST).unwrap_or(rest);
            match read_summary(text) {
                Reading::Whole(counts, length) => {
                    self.counts = Some(self.counts.map_or(counts, |before| sum(before, counts)));
                    self.from = found.start() + length;
                }
                Reading::Unfinished if text.len() < LONGEST => {
                    unfinished = Some(found.start());
                    break;
                }
                Reading::Unfinished | Reading::Other => {}
            }
        }
        // A beginning that was cut in two is found when its rest comes.
        let next = unfinished.unwrap_or_else(|| self.from.max(self.window.len().saturating_sub(LONGEST_BEGINNING)));
        let done = next.min(self.window.len()).saturating_sub(BEFORE);
        self.from = next.min(self.window.len()) - done;
        if done > 0 {
            self.window.drain(..done);
            self.at_start = false;
        }
    }

    /// Whether nothing but colours stands before it on its line; looks back [`BEFORE`] bytes and no further.
    fn begins_a_line(&self, at: usize) -> bool {
        let from = at.saturating_sub(BEFORE);
        let before = self.window.get(from..at).unwrap_or_default();
        let line = match before.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => before.get(end + 1..).unwrap_or_default(),
            None if self.at_start && from == 0 => before,
            None => return false,
        };
        plain(line).is_empty()
    }
}

fn read_summary(text: &[u8]) -> Reading {
    let mut expected = LINES.iter();
    let mut numbers = [0_u64; 6];
    let mut mark = None;
    let mut word = "tests";
    let mut length = 0;
    loop {
        let rest = text.get(length..).unwrap_or_default();
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else { return Reading::Unfinished };
        let line = plain(rest.get(..end).unwrap_or_default());
        let Some((found_mark, found_word, number)) = split(&line) else { return Reading::Other };
        if *mark.get_or_insert_with(|| found_mark.to_owned()) != found_mark {
            return Reading::Other;
        }
        if word == "suites" && found_word == "pass" {
            word = expected.next().copied().unwrap_or_default();
        }
        if found_word != word {
            return Reading::Other;
        }
        if let Some(at) = LINES.iter().position(|line| *line == word)
            && let Some(place) = numbers.get_mut(at)
        {
            *place = number;
        }
        length += end + 1;
        word = expected.next().copied().unwrap_or_default();
        if word.is_empty() {
            let [_, passed, failed, cancelled, skipped, todo] = numbers;
            let counts = TestCounts { passed, failed: failed.saturating_add(cancelled), skipped: skipped.saturating_add(todo) };
            return Reading::Whole(counts, length);
        }
    }
}

fn split(line: &str) -> Option<(&str, &str, u64)> {
    let mut words = line.split_ascii_whitespace();
    let parts = (words.next()?, words.next()?, words.next()?.parse().ok()?);
    words.next().is_none().then_some(parts)
}

/// A line without its colours and the white space around it.
fn plain(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let mut plain = String::new();
    let mut rest = text.as_ref();
    while let Some(at) = rest.find("\u{1b}[") {
        plain.push_str(rest.get(..at).unwrap_or_default());
        let sequence = rest.get(at + 2..).unwrap_or_default();
        match sequence.find(|c: char| !c.is_ascii_digit() && c != ';') {
            Some(end) if sequence.get(end..).is_some_and(|tail| tail.starts_with('m')) => {
                rest = sequence.get(end + 1..).unwrap_or_default();
            }
            _ => {
                plain.push('\u{1b}');
                rest = sequence;
            }
        }
    }
    plain.push_str(rest);
    plain.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn summary(mark: &str, colour: bool, numbers: [u64; 5]) -> String {
        let [pass, fail, cancelled, skipped, todo] = numbers;
        let words =
            [("tests", 9), ("suites", 0), ("pass", pass), ("fail", fail), ("cancelled", cancelled), ("skipped", skipped), ("todo", todo)];
        let line = |(word, number)| {
            if colour { format!("\u{1b}[34m{mark} {word} {number}\u{1b}[39m\n") } else { format!("{mark} {word} {number}\n") }
        };
        words.into_iter().map(line).collect()
    }

    fn counts(text: &[u8], size: usize) -> Option<(u64, u64, u64)> {
        let mut found = NodeSummaries::new();
        for piece in text.chunks(size.max(1)) {
            found.push(piece);
            assert!(found.window.len() <= LONGEST + BEFORE + piece.len());
        }
        found.finish().map(|counts| (counts.passed, counts.failed, counts.skipped))
    }

    proptest! {
        #[test]
        fn summaries_are_summed_wherever_the_output_is_cut(
            size in 1usize..300,
            noise in prop::collection::vec("[ a-z#\u{2139}]{0,90}", 0..8),
            colour in any::<bool>(),
        ) {
            let noise = noise.join("\n");
            let text = format!("{noise}\n{}{noise}\n{}duration", summary("\u{2139}", colour, [4, 1, 1, 2, 1]), summary("#", false, [5, 0, 0, 0, 0]));
            prop_assert_eq!(counts(text.as_bytes(), size), Some((9, 2, 3)));
        }
    }

    #[test]
    fn only_a_whole_summary_counts() {
        assert_eq!(counts(summary("#", false, [3, 0, 0, 0, 0]).as_bytes(), 4096), Some((3, 0, 0)));
        assert_eq!(counts(summary("#", false, [3, 0, 0, 0, 0]).replace("# suites 0\n", "").trim_end().as_bytes(), 7), Some((3, 0, 0)));
        assert_eq!(counts(b"# pass 4\n# fail 0\n", 10), None);
        assert_eq!(counts(b"# tests 4\n# pass 4\nsomething else\n", 10), None);
        assert_eq!(counts(summary("#", false, [3, 0, 0, 0, 0]).replace("# tests", "echo # tests").as_bytes(), 10), None);
        assert_eq!(counts(&b"# tests 4".repeat(100_000), 4096), None);
    }
}
