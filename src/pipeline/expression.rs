//! The language of `rules:if` (GitLab `doc/ci/jobs/job_rules.md`).
//!
//! `$NAME`, `"text"`, `'text'`, `null`, `/regex/ims`; `==` `!=` `=~` `!~`, then `&&`, then `||`, and parentheses. A variable
//! alone holds when it is defined and not empty. An undefined one matches no pattern. Patterns are searched, not anchored.

use std::collections::BTreeMap;

use regex::{Regex, RegexBuilder};

/// A condition, parsed.
#[derive(Debug, Clone)]
pub(super) struct Expression {
    text: String,
    root: Tree,
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

#[derive(Debug, Clone)]
enum Tree {
    Operand(Operand),
    Compare(Operand, Comparison, Operand),
    And(Box<Tree>, Box<Tree>),
    Or(Box<Tree>, Box<Tree>),
}

#[derive(Debug, Clone)]
enum Operand {
    Variable(String),
    Text(String),
    Null,
    Pattern(Regex),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    Different,
    Matches,
    Misses,
}

/// A text that is no condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadExpression {
    /// Where in the text, in characters from 0.
    pub(super) offset: usize,
    pub(super) message: String,
}

impl Expression {
    pub(super) fn parse(text: &str) -> Result<Self, BadExpression> {
        let mut parser = Parser { letters: text.chars().collect(), at: 0, depth: 0 };
        let root = parser.either()?;
        parser.blanks();
        if parser.at < parser.letters.len() {
            return Err(parser.bad("an operator (`==`, `!=`, `=~`, `!~`, `&&`, `||`) or the end was expected here"));
        }
        Ok(Self { text: text.to_owned(), root })
    }

    /// Whether it holds for these variables.
    pub(super) fn holds(&self, variables: &BTreeMap<String, String>) -> bool {
        self.root.holds(variables)
    }
}

impl Tree {
    fn holds(&self, variables: &BTreeMap<String, String>) -> bool {
        match self {
            Self::Operand(Operand::Pattern(_)) => true,
            Self::Operand(operand) => operand.value(variables).is_some_and(|value| !value.is_empty()),
            Self::Compare(left, comparison, right) => {
                let equal = || left.value(variables) == right.value(variables);
                match comparison {
                    Comparison::Equal => equal(),
                    Comparison::Different => !equal(),
                    Comparison::Matches => matches(left, right, variables),
                    Comparison::Misses => !matches(left, right, variables),
                }
            }
            Self::And(left, right) => left.holds(variables) && right.holds(variables),
            Self::Or(left, right) => left.holds(variables) || right.holds(variables),
        }
    }
}

impl Operand {
    fn value<'v>(&'v self, variables: &'v BTreeMap<String, String>) -> Option<&'v str> {
        match self {
            Self::Variable(name) => variables.get(name).map(String::as_str),
            Self::Text(text) => Some(text),
            Self::Null => None,
            Self::Pattern(pattern) => Some(pattern.as_str()),
        }
    }
}

/// A variable on the right is a pattern when its value is `/…/`; any other text is looked for in it, as GitLab does.
fn matches(left: &Operand, right: &Operand, variables: &BTreeMap<String, String>) -> bool {
    let Some(subject) = left.value(variables) else { return false };
    if let Operand::Pattern(pattern) = right {
        return pattern.is_match(subject);
    }
    let Some(text) = right.value(variables) else { return false };
    match slashed(text) {
        Some((pattern, flags)) => compile(pattern, flags).is_ok_and(|pattern| pattern.is_match(subject)),
        None => text.contains(subject),
    }
}

fn slashed(text: &str) -> Option<(&str, &str)> {
    let (pattern, flags) = text.strip_prefix('/')?.rsplit_once('/')?;
    flags.bytes().all(|flag| matches!(flag, b'i' | b's' | b'm')).then_some((pattern, flags))
}

fn compile(pattern: &str, flags: &str) -> Result<Regex, String> {
    // In a literal a slash is escaped; to the pattern it is a plain letter.
    RegexBuilder::new(&pattern.replace("\\/", "/"))
        .case_insensitive(flags.contains('i'))
        .dot_matches_new_line(flags.contains('s'))
        .multi_line(flags.contains('m'))
        .size_limit(1 << 20)
        .build()
        .map_err(|error| error.to_string().lines().last().unwrap_or_default().to_owned())
}

/// How deep parentheses may lie in each other.
const DEPTH_LIMIT: usize = 32;

struct Parser {
    letters: Vec<char>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn either(&mut self) -> Result<Tree, BadExpression> {
        let mut tree = self.both()?;
        while self.take("||") {
            tree = Tree::Or(Box::new(tree), Box::new(self.both()?));
        }
        Ok(tree)
    }

    fn both(&mut self) -> Result<Tree, BadExpression> {
        let mut tree = self.comparison()?;
        while self.take("&&") {
            tree = Tree::And(Box::new(tree), Box::new(self.comparison()?));
        }
        Ok(tree)
    }

    fn comparison(&mut self) -> Result<Tree, BadExpression> {
        if self.take("(") {
            self.depth += 1;
            if self.depth > DEPTH_LIMIT {
                return Err(self.bad("parentheses lie in each other too deep"));
            }
            let tree = self.either()?;
            self.depth -= 1;
            return if self.take(")") { Ok(tree) } else { Err(self.bad("`)` was expected here")) };
        }
        let left = self.operand()?;
        let table = [("==", Comparison::Equal), ("!=", Comparison::Different), ("=~", Comparison::Matches), ("!~", Comparison::Misses)];
        match table.into_iter().find(|(operator, _)| self.take(operator)) {
            Some((_, comparison)) => Ok(Tree::Compare(left, comparison, self.operand()?)),
            None => Ok(Tree::Operand(left)),
        }
    }

    fn operand(&mut self) -> Result<Operand, BadExpression> {
        self.blanks();
        match self.peek() {
            Some('$') => self.variable(),
            Some(quote @ ('"' | '\'')) => {
                let start = self.at;
                self.at += 1;
                self.until(quote, start).map(Operand::Text)
            }
            Some('/') => self.pattern(),
            Some('n') if self.take("null") => Ok(Operand::Null),
            Some('!') => Err(self.bad("there is no `!` in this language; write `== null`, `!=` or `!~`")),
            Some(_) | None => Err(self.bad("a variable (`$NAME`), a text in quotes, `null` or a `/pattern/` was expected here")),
        }
    }

    fn variable(&mut self) -> Result<Operand, BadExpression> {
        self.at += 1;
        if self.peek() == Some('{') {
            return Err(self.bad("write `$NAME`; `${NAME}` is not read in a condition"));
        }
        let start = self.at;
        while self.peek().is_some_and(|letter| letter.is_ascii_alphanumeric() || letter == '_') {
            self.at += 1;
        }
        let name: String = self.letters.get(start..self.at).unwrap_or_default().iter().collect();
        if name.is_empty() { Err(self.bad("the name of a variable was expected here")) } else { Ok(Operand::Variable(name)) }
    }

    fn pattern(&mut self) -> Result<Operand, BadExpression> {
        let start = self.at;
        self.at += 1;
        let mut pattern = String::new();
        loop {
            match self.peek() {
                None => return Err(BadExpression { offset: start, message: "this pattern is not closed by `/`".to_owned() }),
                Some('/') => break,
                Some('\\') => {
                    pattern.push('\\');
                    self.at += 1;
                    pattern.extend(self.peek());
                }
                Some(letter) => pattern.push(letter),
            }
            self.at += 1;
        }
        self.at += 1;
        let mut flags = String::new();
        while let Some(flag) = self.peek().filter(|letter| matches!(letter, 'i' | 's' | 'm')) {
            flags.push(flag);
            self.at += 1;
        }
        compile(&pattern, &flags)
            .map(Operand::Pattern)
            .map_err(|why| BadExpression { offset: start, message: format!("this is no pattern: {why}") })
    }

    fn until(&mut self, quote: char, start: usize) -> Result<String, BadExpression> {
        let from = self.at;
        while let Some(letter) = self.peek() {
            self.at += 1;
            if letter == quote {
                return Ok(self.letters.get(from..self.at - 1).unwrap_or_default().iter().collect());
            }
        }
        Err(BadExpression { offset: start, message: "this quote is not closed".to_owned() })
    }

    fn take(&mut self, word: &str) -> bool {
        self.blanks();
        let found = word.chars().enumerate().all(|(index, letter)| self.letters.get(self.at + index) == Some(&letter));
        if found {
            self.at += word.chars().count();
        }
        found
    }

    fn blanks(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<char> {
        self.letters.get(self.at).copied()
    }

    fn bad(&self, message: &str) -> BadExpression {
        BadExpression { offset: self.at, message: message.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_hold_as_gitlab_says() {
        let variables: BTreeMap<String, String> = [("A", "main"), ("EMPTY", ""), ("P", "/^ma/"), ("N", "23"), ("T", "a/b")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        let table = [
            ("$A", true),
            ("$EMPTY", false),
            ("$GONE", false),
            ("$EMPTY != null", true),
            ("$EMPTY == \"\"", true),
            ("$GONE == null", true),
            ("$GONE == ''", false),
            ("$A == \"main\"", true),
            ("\"main\" == $A", true),
            ("$A != 'main'", false),
            ("$A =~ /^m/", true),
            ("$A =~ /^M/", false),
            ("$A =~ /^M/i", true),
            ("$A !~ /^M/", true),
            ("$GONE =~ /.*/", false),
            ("$GONE !~ /.*/", true),
            ("$A =~ $P", true),
            ("$N =~ \"1234\"", true),
            ("$T =~ /a\\/b/", true),
            ("$GONE && $A || $A", true),
            ("$A || $GONE && $GONE", true),
            ("($A || $GONE) && $GONE", false),
            ("$A == 'main' && ($N == '23' || $GONE)", true),
        ];
        for (text, expected) in table {
            assert_eq!(Expression::parse(text).unwrap().holds(&variables), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_condition_says_where() {
        let table = [
            ("", 0),
            ("$A ==", 5),
            ("${A}", 1),
            ("!$A", 0),
            ("$A $B", 3),
            ("($A", 3),
            ("$A == 'x", 6),
            ("$A =~ /x", 6),
            ("$A =~ /(/", 6),
            ("main", 0),
        ];
        for (text, offset) in table {
            assert_eq!(Expression::parse(text).unwrap_err().offset, offset, "{text}");
        }
        assert!(Expression::parse(&"(".repeat(100_000)).is_err());
    }
}
