//! `JUnit` XML: the test cases are counted, not the suites' own sums, which nested suites count twice.

use std::io::{BufReader, Read};

use quick_xml::Reader;
use quick_xml::events::Event;

use crate::event::TestCounts;

/// A report is read up to here, in bytes; more is refused.
const SIZE_LIMIT: u64 = 32 * 1024 * 1024;
/// Elements may be this deep.
const DEPTH_LIMIT: usize = 100;

/// How one test case ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Case {
    Passed,
    Failed,
    Skipped,
}

/// Counts the test cases of one report; none when it has no test case.
///
/// # Errors
/// In words: when it is no XML, too large or too deep. Entities of its own are never expanded.
pub(in crate::executor) fn count_report(report: impl Read) -> Result<Option<TestCounts>, String> {
    let mut reader = Reader::from_reader(BufReader::new(report.take(SIZE_LIMIT + 1)));
    let mut counts = TestCounts::default();
    let mut buffer = Vec::new();
    let mut depth = 0_usize;
    let mut case: Option<(usize, Case)> = None;
    let mut seen_element = false;
    loop {
        buffer.clear();
        if reader.buffer_position() > SIZE_LIMIT {
            return Err(format!("it is larger than {SIZE_LIMIT} bytes"));
        }
        match reader.read_event_into(&mut buffer).map_err(|error| error.to_string())? {
            Event::Start(element) => {
                seen_element = true;
                depth += 1;
                if depth > DEPTH_LIMIT {
                    return Err(format!("its elements are more than {DEPTH_LIMIT} deep"));
                }
                open(element.local_name().as_ref(), depth, &mut case);
            }
            Event::Empty(element) => {
                seen_element = true;
                let name = element.local_name();
                if name.as_ref() == TESTCASE && case.is_none() {
                    add(&mut counts, Case::Passed);
                } else {
                    open(name.as_ref(), depth + 1, &mut case);
                }
            }
            Event::End(_) => {
                if let Some((at, ended)) = case
                    && at == depth
                {
                    add(&mut counts, ended);
                    case = None;
                }
                depth = depth.saturating_sub(1);
            }
            Event::Eof if depth > 0 || !seen_element => return Err("it ends in the middle".to_owned()),
            Event::Eof => return Ok((counts != TestCounts::default()).then_some(counts)),
            Event::Text(_)
            | Event::CData(_)
            | Event::Comment(_)
            | Event::Decl(_)
            | Event::PI(_)
            | Event::DocType(_)
            | Event::GeneralRef(_) => {}
        }
    }
}

/// The element that is a test.
const TESTCASE: &str = "testcase";

fn open(name: &str, depth: usize, case: &mut Option<(usize, Case)>) {
    match (case, name) {
        (case @ None, TESTCASE) => *case = Some((depth, Case::Passed)),
        (Some((_, ended)), "failure" | "error") => *ended = Case::Failed,
        (Some((_, ended)), "skipped") if *ended == Case::Passed => *ended = Case::Skipped,
        _ => {}
    }
}

fn add(counts: &mut TestCounts, case: Case) {
    match case {
        Case::Passed => counts.passed += 1,
        Case::Failed => counts.failed += 1,
        Case::Skipped => counts.skipped += 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(text: &str) -> Result<Option<(u64, u64, u64)>, String> {
        count_report(text.as_bytes()).map(|counts| counts.map(|counts| (counts.passed, counts.failed, counts.skipped)))
    }

    #[test]
    fn cases_are_counted_through_nested_suites() {
        let report = r#"<?xml version="1.0"?><testsuites tests="99"><testsuite name="a" tests="99"><testsuite name="b">
            <testcase name="1"/><testcase name="2"><failure>no</failure><system-out>x</system-out></testcase>
            <testcase name="3"><skipped/></testcase></testsuite>
            <testcase name="4"><error message="&amp;"/></testcase><testcase name="5"></testcase></testsuite></testsuites>"#;
        assert_eq!(count(report), Ok(Some((2, 2, 1))));
        assert_eq!(count("<testsuite/>"), Ok(None));
    }

    #[test]
    fn hostile_reports_are_refused_and_bounded() {
        assert!(count("").is_err());
        assert!(count("not xml at all").is_err());
        assert!(count("<testsuite><testcase>").is_err());
        assert!(count("<a></b>").is_err());
        assert!(count(&"<a>".repeat(200_000)).unwrap_err().contains("deep"));
        let bomb =
            "<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;\">]><testsuite><testcase>&b;&b;</testcase></testsuite>";
        assert_eq!(count(bomb), Ok(Some((1, 0, 0))));
        let endless = std::io::repeat(b'a');
        let large = count_report(std::io::Cursor::new(b"<testsuite><testcase name=\"").chain(endless));
        assert!(large.is_err());
    }
}
