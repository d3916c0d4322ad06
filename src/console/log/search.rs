//! Searching a log in pieces, so that a key is never kept waiting by a million lines.

use std::ops::Range;

use regex::Regex;
use regex::bytes::Regex as BytesRegex;

use super::{Log, spans};

/// How much is searched in one go.
const PIECE_BYTES: u64 = 8 << 20;

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Towards the end.
    Down,
    /// Towards the beginning.
    Up,
}

/// A search under way. It goes round once: past the end it goes on at the beginning.
#[derive(Debug, Clone)]
pub(crate) struct Search {
    pattern: BytesRegex,
    direction: Direction,
    next: usize,
    left: usize,
}

/// What a piece gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// This line has it.
    Line(usize),
    /// Not yet.
    NotYet,
    /// No line has it.
    Nowhere,
}

/// What the key for the next error looks for: the words with which tools name one.
pub(crate) fn error_pattern() -> &'static str {
    r"(?i)\b(error|err!|fail(ed|ure|ing|s)?|fatal|panic(ked)?|exception|traceback|not ok|denied)\b|✘|✖"
}

/// Where a line's text has the pattern.
pub(crate) fn ranges(pattern: &Regex, text: &str) -> Vec<Range<usize>> {
    pattern.find_iter(text).map(|found| found.range()).filter(|range| !range.is_empty()).take(64).collect()
}

impl Search {
    /// Looks from the line after (or before) `from`; `from` itself comes last.
    pub(crate) fn new(pattern: &Regex, direction: Direction, from: usize, lines: usize) -> Option<Self> {
        let pattern = BytesRegex::new(pattern.as_str()).ok()?;
        let from = from.min(lines.saturating_sub(1));
        let next = match direction {
            Direction::Down => from + 1,
            Direction::Up => from.checked_sub(1).unwrap_or(lines.saturating_sub(1)),
        };
        Some(Self { pattern, direction, next, left: lines })
    }

    /// Looks from `from` on, which comes first.
    pub(crate) fn at(pattern: &Regex, from: usize, lines: usize) -> Option<Self> {
        Some(Self { next: from, ..Self::new(pattern, Direction::Down, from, lines)? })
    }

    /// Searches one piece.
    pub(crate) fn step(&mut self, log: &Log) -> Found {
        let lines = log.lines();
        if self.left == 0 || lines == 0 {
            return Found::Nowhere;
        }
        match self.direction {
            Direction::Down => self.down(log, lines),
            Direction::Up => self.up(log),
        }
    }

    fn down(&mut self, log: &Log, lines: usize) -> Found {
        if self.next >= lines {
            self.next = 0;
        }
        let to = self.next.saturating_add(self.left);
        let Ok((bytes, places)) = log.block(self.next, to, PIECE_BYTES) else {
            return Found::Nowhere;
        };
        for (offset, place) in places.iter().enumerate() {
            if self.has(bytes.get(place.clone()).unwrap_or_default()) {
                return Found::Line(self.next + offset);
            }
        }
        self.went(places.len());
        self.next += places.len().max(1);
        if self.left == 0 { Found::Nowhere } else { Found::NotYet }
    }

    fn up(&mut self, log: &Log) -> Found {
        // Backwards lines are read one by one; a piece is as many as fit the same time.
        for _ in 0..20_000 {
            if self.left == 0 {
                return Found::Nowhere;
            }
            let Ok(line) = log.line(self.next) else {
                return Found::Nowhere;
            };
            if self.has(&line) {
                return Found::Line(self.next);
            }
            self.went(1);
            self.next = self.next.checked_sub(1).unwrap_or_else(|| log.lines().saturating_sub(1));
        }
        Found::NotYet
    }

    fn went(&mut self, count: usize) {
        self.left = self.left.saturating_sub(count.max(1));
    }

    /// A line with escape sequences is searched as it looks.
    fn has(&self, line: &[u8]) -> bool {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        if line.contains(&0x1b) || line.contains(&b'\r') {
            let text: String = spans(line).into_iter().map(|(_, text)| text).collect();
            return self.pattern.is_match(text.as_bytes());
        }
        self.pattern.is_match(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(text: &str) -> Log {
        let mut log = Log::new(Box::new(text.as_bytes().to_vec()));
        log.grow().unwrap();
        log
    }

    fn find(log: &Log, pattern: &str, direction: Direction, from: usize) -> Found {
        let mut search = Search::new(&Regex::new(pattern).unwrap(), direction, from, log.lines()).unwrap();
        loop {
            match search.step(log) {
                Found::NotYet => {}
                found @ (Found::Line(_) | Found::Nowhere) => return found,
            }
        }
    }

    #[test]
    fn it_goes_round_once_in_both_directions() {
        let log = log("a\nb hit\nc\nd \x1b[31mh\x1b[0mit\ne");
        assert_eq!(find(&log, "hit", Direction::Down, 0), Found::Line(1));
        assert_eq!(find(&log, "hit", Direction::Down, 1), Found::Line(3));
        assert_eq!(find(&log, "hit", Direction::Down, 3), Found::Line(1));
        assert_eq!(find(&log, "hit", Direction::Up, 1), Found::Line(3));
        assert_eq!(find(&log, "hit", Direction::Up, 3), Found::Line(1));
        assert_eq!(find(&log, "a$", Direction::Up, 0), Found::Line(0));
        assert_eq!(find(&log, "nothing", Direction::Down, 2), Found::Nowhere);
        assert_eq!(find(&log, "nothing", Direction::Up, 2), Found::Nowhere);
    }

    #[test]
    fn the_next_error_is_what_tools_call_one() {
        let log = log("ok 1\nerrors: 0 found\nnpm ERR! code 1\nnot ok 2\nterror\n✘ broke");
        let mut from = 0;
        let mut seen = Vec::new();
        while let Found::Line(line) = find(&log, error_pattern(), Direction::Down, from) {
            if seen.contains(&line) {
                break;
            }
            seen.push(line);
            from = line;
        }
        assert_eq!(seen, [3, 5]);
    }
}
