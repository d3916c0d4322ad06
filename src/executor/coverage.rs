//! `coverage`: a number that a pattern finds in the log, as GitLab does it (`lib/gitlab/ci/trace/stream.rb`, `extract_coverage`).
//!
//! The last line with a match counts; of it the last match, of that the last group, or all of it when there is none; of that the first
//! number. The log is the masked one.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use regex::bytes::{Regex, RegexBuilder};

/// Bytes read at once, from the end of the log.
const CHUNK: usize = 64 << 10;
/// What is farther than this from the end is not looked at, in bytes.
const FAR: u64 = 64 << 20;
/// A longer line is looked at in its last part alone, in bytes.
const LONGEST_LINE: usize = 1 << 20;
/// How large a pattern may become; the reading of the file has checked it with the same bound.
const PATTERN_BYTES: usize = 1 << 20;

/// The coverage in a log, in percent; none when no line has it, or the log cannot be read.
pub(super) fn coverage_in(log: &Path, pattern: &str) -> Option<f64> {
    let pattern = RegexBuilder::new(pattern).size_limit(PATTERN_BYTES).build().ok()?;
    last_line_with(&mut File::open(log).ok()?, |line| coverage_of(line, &pattern)).ok().flatten()
}

fn coverage_of(line: &[u8], pattern: &Regex) -> Option<f64> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let found = pattern.captures_iter(line).last()?;
    let group = found.get(found.len().checked_sub(1)?)?;
    let text = String::from_utf8_lossy(group.as_bytes());
    let begin = text.find(|character: char| character.is_ascii_digit())?;
    let rest = text.get(begin..)?;
    let digits = |text: &str| text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let whole = digits(rest);
    let fraction = rest.get(whole..)?.strip_prefix('.').map_or(0, digits);
    let end = if fraction > 0 { whole + 1 + fraction } else { whole };
    rest.get(..end)?.parse().ok()
}

/// Looks at a file's lines from the last to the first until `look` finds something.
fn last_line_with<T>(file: &mut (impl Read + Seek), look: impl Fn(&[u8]) -> Option<T>) -> io::Result<Option<T>> {
    let mut position = file.seek(SeekFrom::End(0))?;
    let far = position.saturating_sub(FAR);
    // What of a line was read already, of which the beginning lies before `position`.
    let mut tail: Vec<u8> = Vec::new();
    while position > far {
        let size = usize::try_from(position - far).unwrap_or(CHUNK).min(CHUNK);
        position -= u64::try_from(size).unwrap_or(position);
        file.seek(SeekFrom::Start(position))?;
        let mut chunk = vec![0; size];
        file.read_exact(&mut chunk)?;
        chunk.append(&mut tail);
        let mut lines: Vec<&[u8]> = chunk.split(|byte| *byte == b'\n').collect();
        let first = lines.drain(..1).next().unwrap_or_default();
        for line in lines.into_iter().rev() {
            if let Some(found) = look(line) {
                return Ok(Some(found));
            }
        }
        tail = first.get(first.len().saturating_sub(LONGEST_LINE)..).unwrap_or_default().to_vec();
    }
    Ok(look(&tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coverage(log: &str, pattern: &str) -> Option<f64> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), log).unwrap();
        coverage_in(file.path(), pattern)
    }

    #[test]
    fn coverage_is_found_as_gitlab_finds_it() {
        let table = [
            ("total: 87.5%\n", r"total: \d+\.\d+%", Some(87.5)),
            ("total: 1%\ntotal: 2%\nend\n", r"total: (\d+)%", Some(2.0)),
            ("total: 1% total: 3%", r"total: (\d+)%", Some(3.0)),
            ("a 1 b 2\n", r"a (\d) b (\d)", Some(2.0)),
            ("cov 92\r\n", r"cov \d+$", Some(92.0)),
            ("cov 92.\n", r"cov .*", Some(92.0)),
            // A match without a number is no answer, and the line before it is looked at.
            ("cov 5\ncov none\n", r"cov \w+", Some(5.0)),
            ("nothing\n", r"cov (\d+)", None),
            ("", r"cov (\d+)", None),
            ("\u{1b}[32mcov 7\u{1b}[0m\n", r"cov (\d+)", Some(7.0)),
            ("cov 5\n", r"cov (x)?", None),
        ];
        for (log, pattern, expected) in table {
            assert_eq!(coverage(log, pattern), expected, "{log:?} {pattern}");
        }
    }

    #[test]
    fn a_long_log_is_read_from_its_end_across_the_edges_of_chunks() {
        for filler in [CHUNK - 9, CHUNK - 5, CHUNK, 3 * CHUNK + 1] {
            let log = format!("cov 11\n{}\n", "x".repeat(filler));
            assert_eq!(coverage(&log, r"^cov (\d+)$"), Some(11.0), "{filler}");
            let lines = format!("cov 12\n{}", "y\n".repeat(filler));
            assert_eq!(coverage(&lines, r"^cov (\d+)$"), Some(12.0), "{filler}");
        }
    }
}
