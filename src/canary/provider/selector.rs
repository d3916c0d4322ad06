//! `name{label="value",other=~"pattern"}`: which series are meant, in Prometheus's own notation.

use std::fmt;
use std::str::FromStr;

use regex::Regex;
use serde::{Deserialize, Serialize};

use super::exposition::{Cursor, Labels};

/// A metric's name and conditions on its labels. A label that is not there is the empty text, as in Prometheus.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Selector {
    name: String,
    matchers: Vec<Matcher>,
}

#[derive(Debug, Clone)]
struct Matcher {
    label: String,
    test: Test,
}

#[derive(Debug, Clone)]
enum Test {
    Is(String),
    IsNot(String),
    Like(Pattern),
    Unlike(Pattern),
}

/// A regular expression that must fit the whole value, with the text it was made from.
#[derive(Debug, Clone)]
struct Pattern {
    text: String,
    regex: Regex,
}

/// A text that is no selector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` selects no metric: {why} (an example: http_requests_total{{app=\"shop\"}})")]
pub struct BadSelector {
    text: String,
    why: String,
}

impl Selector {
    /// Selects a name with exact labels.
    #[must_use]
    pub fn exact(name: &str, labels: &[(&str, String)]) -> Self {
        let matchers = labels.iter().map(|(label, value)| Matcher { label: (*label).to_owned(), test: Test::Is(value.clone()) });
        Self { name: name.to_owned(), matchers: matchers.collect() }
    }

    /// The metric's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name without the ending of a classic histogram's buckets, which some write.
    pub(super) fn base_name(&self) -> &str {
        self.name.strip_suffix("_bucket").unwrap_or(&self.name)
    }

    /// The conditions as text, without braces.
    pub(super) fn conditions(&self) -> String {
        let whole = self.to_string();
        whole[self.name.len()..].trim_start_matches('{').trim_end_matches('}').to_owned()
    }

    /// Whether these labels meet all conditions; the name is not looked at.
    pub(super) fn fits(&self, labels: &Labels) -> bool {
        self.matchers.iter().all(|matcher| matcher.fits(labels.get(&matcher.label).map_or("", String::as_str)))
    }

    /// The same, but conditions on labels that are not there are passed over.
    pub(super) fn may_fit(&self, labels: &Labels) -> bool {
        self.matchers.iter().all(|matcher| labels.get(&matcher.label).is_none_or(|value| matcher.fits(value)))
    }
}

impl Matcher {
    fn fits(&self, value: &str) -> bool {
        match &self.test {
            Test::Is(wanted) => value == wanted,
            Test::IsNot(unwanted) => value != unwanted,
            Test::Like(pattern) => pattern.regex.is_match(value),
            Test::Unlike(pattern) => !pattern.regex.is_match(value),
        }
    }
}

impl FromStr for Selector {
    type Err = BadSelector;

    fn from_str(text: &str) -> Result<Self, BadSelector> {
        parse(text.trim()).map_err(|why| BadSelector { text: text.to_owned(), why })
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        for (place, matcher) in self.matchers.iter().enumerate() {
            let (operator, value) = match &matcher.test {
                Test::Is(value) => ("=", value),
                Test::IsNot(value) => ("!=", value),
                Test::Like(pattern) => ("=~", &pattern.text),
                Test::Unlike(pattern) => ("!~", &pattern.text),
            };
            let value = value.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n");
            write!(f, "{}{}{operator}\"{value}\"", if place == 0 { "{" } else { "," }, matcher.label)?;
        }
        f.write_str(if self.matchers.is_empty() { "" } else { "}" })
    }
}

impl PartialEq for Selector {
    /// Two are the same when they are written the same.
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl TryFrom<String> for Selector {
    type Error = BadSelector;
    fn try_from(text: String) -> Result<Self, BadSelector> {
        text.parse()
    }
}

impl From<Selector> for String {
    fn from(selector: Selector) -> Self {
        selector.to_string()
    }
}

fn parse(text: &str) -> Result<Selector, String> {
    let mut cursor = Cursor::new(text);
    let name = cursor.metric_name().ok_or("it does not begin with a metric's name")?.to_owned();
    let mut matchers = Vec::new();
    cursor.blanks();
    if cursor.take('{') {
        cursor.blanks();
        while !cursor.take('}') {
            matchers.push(matcher(&mut cursor)?);
            cursor.blanks();
            if !cursor.take(',') && cursor.peek() != Some('}') {
                return Err("a condition is followed by neither `,` nor `}`".into());
            }
            cursor.blanks();
        }
    }
    cursor.blanks();
    if cursor.peek().is_some() { Err(format!("`{}` follows it", cursor.rest())) } else { Ok(Selector { name, matchers }) }
}

fn matcher(cursor: &mut Cursor<'_>) -> Result<Matcher, String> {
    let label = cursor.label_name().ok_or("a label's name is missing")?.to_owned();
    cursor.blanks();
    let operator = ["=~", "!~", "!=", "="].into_iter().find(|operator| cursor.take_text(operator));
    let operator = operator.ok_or_else(|| format!("`{label}` is followed by none of = != =~ !~"))?;
    cursor.blanks();
    let value = cursor.quoted().map_err(|why| format!("`{label}`: {why}"))?.into_owned();
    let test = match operator {
        "=" => Test::Is(value),
        "!=" => Test::IsNot(value),
        "=~" => Test::Like(pattern(value)?),
        _ => Test::Unlike(pattern(value)?),
    };
    Ok(Matcher { label, test })
}

fn pattern(text: String) -> Result<Pattern, String> {
    let regex = Regex::new(&format!("^(?s:{text})$")).map_err(|_| format!("`{text}` is no regular expression"))?;
    Ok(Pattern { text, regex })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn conditions_are_prometheus_conditions() {
        let selector: Selector = r#"http_requests_total{app="irs-api", zone!="b",path=~"/a|/b" , code!~"1.."}"#.parse().unwrap();
        assert_eq!(selector.name(), "http_requests_total");
        assert!(selector.fits(&labels(&[("app", "irs-api"), ("path", "/a"), ("code", "200")])));
        assert!(!selector.fits(&labels(&[("app", "irs-api"), ("path", "/ab"), ("code", "200")])), "a pattern fits the whole value");
        assert!(!selector.fits(&labels(&[("app", "irs-api"), ("path", "/a"), ("code", "101")])));
        assert!(!selector.fits(&labels(&[("app", "irs-api"), ("path", "/a"), ("zone", "b")])));
        assert!(!selector.fits(&labels(&[("path", "/a")])));
        let absent: Selector = "up{app=\"\"}".parse().unwrap();
        assert!(absent.fits(&labels(&[])) && !absent.fits(&labels(&[("app", "x")])));
    }

    #[test]
    fn text_and_json_keep_it() {
        for text in ["up", "up{a=\"b\"}", r#"up{a="x\"y\\z\n",b=~"1|2",c!~"3",d!="4"}"#] {
            let selector: Selector = text.parse().unwrap();
            assert_eq!(selector.to_string(), text);
            assert_eq!(serde_json::from_str::<Selector>(&serde_json::to_string(&selector).unwrap()).unwrap(), selector);
        }
        assert_eq!("up{}".parse::<Selector>().unwrap().to_string(), "up");
        assert_eq!("up{a=\"b\",}".parse::<Selector>().unwrap().to_string(), "up{a=\"b\"}");
    }

    #[test]
    fn nonsense_is_refused_with_the_reason() {
        for (bad, why) in [
            ("", "does not begin"),
            ("{app=\"a\"}", "does not begin"),
            ("1up", "does not begin"),
            ("up{", "label's name"),
            ("up{a}", "none of"),
            ("up{a=b}", "`a`"),
            ("up{a=\"b\"", "neither"),
            ("up{a=\"b\" c=\"d\"}", "neither"),
            ("up{a=~\"(\"}", "regular expression"),
            ("up{a=\"b\"}[5m]", "[5m]"),
            ("rate(up)", "follows"),
        ] {
            let error = bad.parse::<Selector>().unwrap_err();
            assert!(error.to_string().contains(why), "{bad}: {error}");
        }
    }
}
