//! The text that `/metrics` endpoints speak: Prometheus's exposition format 0.0.4 with the UTF-8 names of version 1.0.0, and
//! `OpenMetrics` 1.0 as far as it differs (exemplars, timestamps in seconds, `# EOF`).
//!
//! Source: prometheus.io, "Exposition formats", "Text format details"; github.com/prometheus/OpenMetrics, specification.

use std::borrow::Cow;
use std::collections::BTreeMap;

/// A series' labels by name.
pub type Labels = BTreeMap<String, String>;

/// What the text says about times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Prometheus: timestamps are whole milliseconds.
    Prometheus,
    /// `OpenMetrics`: timestamps are seconds with a fraction.
    OpenMetrics,
}

/// One line: a series and its value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Point {
    /// From 1.
    pub(super) line: usize,
    /// The metric's name.
    pub(super) name: String,
    /// Its labels.
    pub(super) labels: Labels,
    /// Its value, as it stands: NaN and infinities too.
    pub(super) value: f64,
    /// Its time in milliseconds since 1970, if it says one.
    pub(super) timestamp_ms: Option<i64>,
}

/// A line that is not of the format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct LineError {
    /// From 1.
    pub line: usize,
    /// What is wrong.
    pub why: String,
}

/// Reads a text line by line; comments (`# HELP`, `# TYPE`, `# UNIT`) and empty lines are passed over. After an error nothing that
/// follows should be trusted.
pub(super) fn points(text: &str, dialect: Dialect) -> impl Iterator<Item = Result<Point, LineError>> + '_ {
    points_of(text, dialect, |_| true)
}

/// The same, for the metrics with a wanted name. The lines of others must be of the format too, and are not kept: most of a page is
/// about something else.
pub(super) fn points_of<'a>(
    text: &'a str,
    dialect: Dialect,
    wanted: impl Fn(&str) -> bool + 'a,
) -> impl Iterator<Item = Result<Point, LineError>> + 'a {
    let lines = text.split('\n').enumerate().map(|(place, line)| (place + 1, line.strip_suffix('\r').unwrap_or(line)));
    let before_end = lines.take_while(move |(_, line)| dialect != Dialect::OpenMetrics || *line != "# EOF");
    before_end.filter_map(move |(line, text)| {
        let text = text.trim_matches([' ', '\t']);
        let is_point = !text.is_empty() && !text.starts_with('#');
        let read = is_point.then(|| point(line, text, dialect, &wanted).map_err(|why| LineError { line, why }))?;
        read.transpose()
    })
}

fn point(line: usize, text: &str, dialect: Dialect, wanted: &impl Fn(&str) -> bool) -> Result<Option<Point>, String> {
    let mut cursor = Cursor::new(text);
    let mut name = cursor.metric_name().map(Cow::Borrowed);
    // A name in quotes comes later: such a line is read whole first.
    let is_wanted = name.as_deref().is_none_or(wanted);
    let mut labels = Labels::new();
    cursor.blanks();
    if cursor.take('{') {
        read_labels(&mut cursor, &mut name, is_wanted.then_some(&mut labels))?;
    }
    let name = name.ok_or("it does not begin with a metric's name")?;
    cursor.blanks();
    let value = cursor.word();
    let value = number(value).ok_or_else(|| format!("{:?} is no value", excerpt(value)))?;
    cursor.blanks();
    let timestamp_ms = match cursor.peek() {
        None | Some('#') => None,
        Some(_) => Some(timestamp(cursor.word(), dialect)?),
    };
    cursor.blanks();
    match cursor.peek() {
        // An exemplar: a trace's id beside the count; nothing is counted by it.
        None | Some('#') if is_wanted && wanted(&name) => Ok(Some(Point { line, name: name.into_owned(), labels, value, timestamp_ms })),
        None | Some('#') => Ok(None),
        Some(_) => Err(format!("{:?} follows the value", excerpt(cursor.rest()))),
    }
}

/// Reads `label="value", …}`; a quoted text without `=` in the first place is the name (`{"a.b",label="value"}`).
fn read_labels<'a>(cursor: &mut Cursor<'a>, name: &mut Option<Cow<'a, str>>, mut labels: Option<&mut Labels>) -> Result<(), String> {
    let mut first = true;
    loop {
        cursor.blanks();
        if cursor.take('}') {
            return Ok(());
        }
        let quoted = cursor.peek() == Some('"');
        let label = if quoted { cursor.quoted()? } else { Cow::Borrowed(cursor.label_name().ok_or("a label's name is missing")?) };
        cursor.blanks();
        if cursor.take('=') {
            cursor.blanks();
            let value = cursor.quoted()?;
            if let Some(labels) = labels.as_deref_mut()
                && labels.insert(label.to_string(), value.into_owned()).is_some()
            {
                return Err(format!("the label {:?} is there twice", excerpt(&label)));
            }
        } else if quoted && name.is_none() && first {
            *name = Some(label);
        } else {
            return Err(format!("{:?} is not followed by `=`", excerpt(&label)));
        }
        first = false;
        cursor.blanks();
        if !cursor.take(',') && cursor.peek() != Some('}') {
            return Err("labels do not end with `}`".into());
        }
    }
}

/// The beginning of a text from outside, short enough for a message.
pub(super) fn excerpt(text: &str) -> String {
    const LONGEST: usize = 40;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// `1`, `-2.5e3`, `+Inf`, `NaN`.
fn number(text: &str) -> Option<f64> {
    text.parse().ok()
}

fn timestamp(text: &str, dialect: Dialect) -> Result<i64, String> {
    let bad = || format!("{:?} is no timestamp", excerpt(text));
    match dialect {
        Dialect::Prometheus => text.parse().map_err(|_| bad()),
        Dialect::OpenMetrics => {
            let seconds = number(text).filter(|seconds| seconds.is_finite() && *seconds >= 0.0).ok_or_else(bad)?;
            let duration = std::time::Duration::try_from_secs_f64(seconds).map_err(|_| bad())?;
            i64::try_from(duration.as_millis()).map_err(|_| bad())
        }
    }
}

/// A place in a line; also reads selectors, which share names and quoting.
pub(super) struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    pub(super) fn rest(&self) -> &'a str {
        self.rest
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    pub(super) fn take(&mut self, wanted: char) -> bool {
        self.take_text(wanted.encode_utf8(&mut [0; 4]))
    }

    pub(super) fn take_text(&mut self, wanted: &str) -> bool {
        let rest = self.rest.strip_prefix(wanted);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    pub(super) fn blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }

    /// `[a-zA-Z_:][a-zA-Z0-9_:]*`.
    pub(super) fn metric_name(&mut self) -> Option<&'a str> {
        self.name(|letter| letter.is_ascii_alphanumeric() || letter == '_' || letter == ':')
    }

    /// `[a-zA-Z_][a-zA-Z0-9_]*`.
    pub(super) fn label_name(&mut self) -> Option<&'a str> {
        self.name(|letter| letter.is_ascii_alphanumeric() || letter == '_')
    }

    fn name(&mut self, fits: impl Fn(char) -> bool) -> Option<&'a str> {
        if self.peek().is_none_or(|first| first.is_ascii_digit() || !fits(first)) {
            return None;
        }
        Some(self.split(self.rest.find(|letter| !fits(letter))))
    }

    /// All up to the next blank.
    fn word(&mut self) -> &'a str {
        self.split(self.rest.find([' ', '\t']))
    }

    fn split(&mut self, end: Option<usize>) -> &'a str {
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        word
    }

    /// A text in double quotes with the escapes `\\`, `\"` and `\n`.
    pub(super) fn quoted(&mut self) -> Result<Cow<'a, str>, String> {
        if !self.take('"') {
            return Err("a value is not in double quotes".into());
        }
        // Nearly all values have no escape, and are taken as they stand.
        if let Some(end) = self.rest.find(['"', '\\']).filter(|end| self.rest[*end..].starts_with('"')) {
            let (text, rest) = self.rest.split_at(end);
            self.rest = &rest[1..];
            return Ok(Cow::Borrowed(text));
        }
        let mut text = String::new();
        let mut letters = self.rest.char_indices();
        while let Some((place, letter)) = letters.next() {
            match letter {
                '"' => {
                    self.rest = &self.rest[place + 1..];
                    return Ok(Cow::Owned(text));
                }
                '\\' => text.push(match letters.next() {
                    Some((_, 'n')) => '\n',
                    Some((_, same @ ('\\' | '"'))) => same,
                    Some((_, other)) => return Err(format!("a backslash before {other:?} is no escape")),
                    None => break,
                }),
                _ => text.push(letter),
            }
        }
        Err("a quoted value does not end".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Point>, LineError> {
        points(text, Dialect::Prometheus).collect()
    }

    fn one(text: &str) -> Point {
        read(text).unwrap().remove(0)
    }

    #[test]
    fn lines_of_every_shape_are_read() {
        let text = "# HELP a What \"it\" is.\n# TYPE a counter\n\n# just a remark\na 1\na{} 2\na{x=\"1\",} 3 1395066363000\r\n \ta { x = \"1\" , y=\"2\" }\t4e1\n";
        let values: Vec<_> = read(text).unwrap().into_iter().map(|point| (point.line, point.value, point.labels.len())).collect();
        assert_eq!(values, [(5, 1.0, 0), (6, 2.0, 0), (7, 3.0, 1), (8, 40.0, 2)]);
        assert_eq!(one("a{x=\"1\",} 3 1395066363000").timestamp_ms, Some(1_395_066_363_000));
        assert_eq!(one("a 3 -5").timestamp_ms, Some(-5));
        assert_eq!(one("a:b_c9 .5").name, "a:b_c9");
        assert_eq!(one("{\"a.b\",x=\"1\"} 1").name, "a.b");
        assert_eq!(one("a{\"x.y\"=\"1\"} 1").labels["x.y"], "1");
    }

    #[test]
    fn escapes_and_odd_values_are_kept() {
        let point = one(r#"a{path="C:\\DIR\\",message="no \"file\"\n}, x=",größe="é"} 1"#.replace("größe", "size").as_str());
        assert_eq!(point.labels["path"], r"C:\DIR\");
        assert_eq!(point.labels["message"], "no \"file\"\n}, x=");
        assert_eq!(point.labels["size"], "é");
        assert!(one("a +Inf").value.is_infinite() && one("a +Inf").value > 0.0);
        assert!(one("a -Inf").value.is_infinite() && one("a -Inf").value < 0.0);
        assert!(one("a NaN").value.is_nan());
    }

    #[test]
    fn open_metrics_differs_in_times_and_tails() {
        let text = "# TYPE a counter\na_total{x=\"1\"} 17 1520879607.789 # {trace_id=\"KOO5S4vxi0o\"} 0.67 1520879607.7\na_total 1 # {} 2\n# EOF\nnonsense after the end";
        let read: Vec<_> = points(text, Dialect::OpenMetrics).collect::<Result<_, _>>().unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].timestamp_ms, Some(1_520_879_607_789));
    }

    #[test]
    fn a_malformed_line_is_named() {
        for bad in [
            "<html>",
            "a",
            "a x",
            "a 1 2 3",
            "a 1 1.5",
            "a{x=1} 1",
            "a{x=\"1\" 1",
            "a{x=\"1} 1",
            "a{x=\"\\t\"} 1",
            "a{x=\"1\" y=\"2\"} 1",
            "a{x=\"1\",x=\"2\"} 1",
            "a{x} 1",
            "a{\"b\"} 1",
            "{x=\"1\"} 1",
            "9a 1",
            "a{,} 1",
            "a} 1",
            "a-b 1",
        ] {
            let error = read(&format!("good 1\n{bad}\n")).unwrap_err();
            assert_eq!(error.line, 2, "{bad}");
            assert!(!error.why.is_empty());
        }
    }
}
