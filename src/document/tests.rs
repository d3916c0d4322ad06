//! What is read, what is refused, and that refusing is quick.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

fn refused(text: &[u8]) -> DocumentError {
    match quickly(text) {
        Ok(_) => panic!("was read: {}", String::from_utf8_lossy(&text[..text.len().min(80)])),
        Err(error) => error,
    }
}

fn quickly(text: &[u8]) -> Result<Node, DocumentError> {
    let start = Instant::now();
    let result = parse(text);
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "took {:?}: {}",
        start.elapsed(),
        String::from_utf8_lossy(&text[..text.len().min(80)])
    );
    result
}

/// Line and column, and a part of the message.
fn assert_refused(text: &[u8], line: u32, column: u32, part: &str) {
    let error = refused(text);
    assert_eq!(error.place, Place::at(line, column), "{error}");
    assert!(error.message.contains(part), "{error}");
}

#[test]
fn places_are_those_of_the_text() {
    let root = parse(b"\xEF\xBB\xBFa: 1\r\nb:\r\n  - x\r\n  - {c: d}\r\n").unwrap();
    let items = root.get("b").unwrap().items().unwrap();
    assert_eq!(items[0].place, Place::at(3, 5));
    assert_eq!(items[1].get("c").unwrap().place, Place::at(4, 9));
    assert_eq!(root.entries().unwrap()[1].place, Place::at(2, 1));
}

#[test]
fn keys_are_text_as_written() {
    let root = parse(b"on: yes\n012: 012\n~: a\n").unwrap();
    assert_eq!(root.get("on").unwrap().value, Value::Bool(true));
    assert_eq!(root.get("012").unwrap().value, Value::Integer(10));
    assert_eq!(root.get("~").unwrap().as_str(), Some("a"));
}

#[test]
fn empty_text_is_nothing() {
    for text in ["", "\n", "# only a comment\n", "---\n"] {
        assert!(parse(text.as_bytes()).unwrap().is_null(), "{text:?}");
    }
}

#[test]
fn aliases_and_merges_are_written_out() {
    let text = b"base: &base {x: 1, y: 2}\nother: &other {x: 3, z: 4}\na:\n  <<: *base\n  y: 5\nb:\n  y: 5\n  <<: *base\nc:\n  <<: [*base, *other]\n";
    let root = parse(text).unwrap();
    let number = |job: &str, key: &str| root.get(job).unwrap().get(key).unwrap().as_integer().unwrap();
    assert_eq!((number("a", "x"), number("a", "y")), (1, 5));
    assert_eq!(number("b", "y"), 2, "a merge wins over what stands before it, as in GitLab");
    assert_eq!((number("c", "x"), number("c", "y"), number("c", "z")), (1, 2, 4), "the first in the list wins");
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    assert_refused(b"a: 1\nb: 2\na: 3\n", 3, 1, "line 1, column 1");
    assert_refused(b"x:\n  a: 1\n  'a': 2\n", 3, 3, "twice");
    assert_refused(b"a: &a [1, *a]\n", 1, 11, "itself part");
    assert_refused(b"a: *b\n", 1, 4, "not defined");
    assert_refused(b"a: !reference [x, y]\n", 1, 4, "`!reference`");
    assert_refused(b"a: !!set {x, y}\n", 1, 4, "`!!set`");
    assert_refused(b"a: 1\n---\nb: 2\n", 2, 1, "second document");
    assert_refused(b"a:\n\tb: 1\n", 2, 1, "tab");
    assert_refused(b"a:\n  b: 1\n \tc: 1\n", 3, 2, "tab");
    assert_refused(b"a: x\nb: caf\xE9\n", 2, 7, "0xE9");
    assert_refused(b"a: x\0\nb: y\n", 1, 5, "U+0000");
    assert_refused(b"\xFF\xFEa\0", 1, 1, "UTF-16");
    assert_refused(b"[a, b]: c\n", 1, 1, "a key must be text");
    assert_refused(b"a: b: c\n", 1, 5, "mapping values");
    assert_refused(b"a: 1\n<<: 3\n", 2, 5, "takes a mapping");
    assert_refused(&vec![b' '; SIZE_LIMIT_BYTES + 1], 1, 1, "1 MiB");
}

#[test]
fn hostile_text_is_refused_in_under_a_second() {
    let full = |unit: &str| unit.repeat(SIZE_LIMIT_BYTES / unit.len()).into_bytes();
    for unit in ["[", "{", "- ", "{a: ", "[[],", "[a,", "{a,", "- - [", "a: [\n", "*a ", "| ", "---\n", "a: 1\n", "[?", "&a [*a, "] {
        refused(&full(unit));
    }
    for unit in ["'", "\"", "? ", "!a ", "&a ", ": ", "\t", "%", "?\n", "\\", ">", "a ", "a\n", "- a\n", "#", "\r", "&a\n", "!<"] {
        let _ = quickly(&full(unit));
    }
    let mut deep = String::new();
    for depth in 0..1000 {
        let _ = writeln!(deep, "{}a:", " ".repeat(depth));
    }
    assert!(refused(deep.as_bytes()).message.contains("deep"));
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..30 {
        let list = vec![format!("*a{}", level - 1); 10].join(", ");
        let _ = writeln!(bomb, "a{level}: &a{level} [{list}]");
    }
    assert!(refused(bomb.as_bytes()).message.contains("aliases"));
    let mut merges = "m0: &m0 {k: v}\n".to_owned();
    for level in 1..30 {
        let _ = writeln!(merges, "m{level}: &m{level}\n  <<: *m{0}\n  a: *m{0}\n  b: *m{0}", level - 1);
    }
    refused(merges.as_bytes());
    let text = format!("a: &a \"{}\"\nb: [{}]\n", "x".repeat(100_000), "*a, ".repeat(200_000));
    assert!(refused(text.as_bytes()).message.contains("aliases"));
}

#[test]
fn a_full_but_honest_file_is_read() {
    let mut text = String::new();
    for job in 0..10_000 {
        let _ = writeln!(text, "job-{job}:\n  script: [make a, make b]\n  needs: [job-{}]", job / 2);
    }
    assert_eq!(parse(text.as_bytes()).unwrap().entries().unwrap().len(), 10_000);
}

proptest! {
    #[test]
    fn any_bytes_end_in_a_tree_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn any_yaml_like_text_ends_in_a_tree_or_an_error(
        words in proptest::collection::vec(
            prop::sample::select(vec![
                "a", "b: ", "- ", "? ", ": ", "[", "]", "{", "}", ",", "\n", "\n  ", "\n ", "\t", "&a ", "*a ", "!x ", "!!str ", "|\n", ">-\n", "'", "\"", "#",
                "---\n", "...\n", "%YAML 1.2\n", "%TAG ! x\n", "<<: ", "~", "1", "\\", "\u{e9}", "\u{feff}", "\r",
            ]),
            0..40,
        )
    ) {
        let _ = parse(words.concat().as_bytes());
    }
}
