//! The language of `rules:if` (GitLab `lib/gitlab/ci/pipeline/expression/`, `doc/ci/jobs/job_rules.md`).
//!
//! `$NAME`, `"text"`, `'text'`, `null`, `/regex/ismU`; `==` `!=` `=~` `!~`, then `&&`, then `||`, and parentheses around any of it.
//! Everything has a value, as in Ruby: `&&` and `||` give one of their sides, and an empty text counts as something there
//! (`$EMPTY && "x"` is `"x"`). The whole holds when its value is neither nothing, nor false, nor empty.
//! Patterns are searched, not anchored.

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
    Variable(String),
    Text(String),
    Null,
    Pattern(Regex),
    Two(Operator, Box<Tree>, Box<Tree>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    Different,
    Matches,
    Misses,
    And,
    Or,
}

/// What a part of a condition comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value<'v> {
    Null,
    Truth(bool),
    Text(&'v str),
    /// A pattern that stands alone is something.
    Pattern(&'v str),
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
        let mut parser = Parser { letters: text.chars().collect(), at: 0, depth: 0, tokens: 0 };
        let root = parser.either()?;
        parser.blanks();
        if parser.at < parser.letters.len() {
            return Err(parser.bad("an operator (`==`, `!=`, `=~`, `!~`, `&&`, `||`) or the end was expected here"));
        }
        Ok(Self { text: text.to_owned(), root })
    }

    /// As it was written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether it holds for these variables.
    pub(super) fn holds<'v>(&'v self, variable: &impl Fn(&str) -> Option<&'v str>) -> bool {
        match self.root.value(variable) {
            Value::Null | Value::Truth(false) => false,
            // `present?`: blanks alone are nothing.
            Value::Text(text) => !text.trim().is_empty(),
            Value::Truth(true) | Value::Pattern(_) => true,
        }
    }

    /// The variables in it, each once, in its order.
    pub(super) fn variables(&self) -> Vec<&str> {
        let mut found = Vec::new();
        let mut open = vec![&self.root];
        while let Some(tree) = open.pop() {
            match tree {
                Tree::Variable(name) if !found.contains(&name.as_str()) => found.push(name.as_str()),
                Tree::Two(_, left, right) => open.extend([&**right, &**left]),
                Tree::Variable(_) | Tree::Text(_) | Tree::Null | Tree::Pattern(_) => {}
            }
        }
        found
    }
}

impl Tree {
    fn value<'v>(&'v self, variable: &impl Fn(&str) -> Option<&'v str>) -> Value<'v> {
        match self {
            Self::Variable(name) => variable(name).map_or(Value::Null, Value::Text),
            Self::Text(text) => Value::Text(text),
            Self::Null => Value::Null,
            Self::Pattern(pattern) => Value::Pattern(pattern.as_str()),
            Self::Two(Operator::And, left, right) => match left.value(variable) {
                nothing @ (Value::Null | Value::Truth(false)) => nothing,
                Value::Truth(true) | Value::Text(_) | Value::Pattern(_) => right.value(variable),
            },
            Self::Two(Operator::Or, left, right) => match left.value(variable) {
                Value::Null | Value::Truth(false) => right.value(variable),
                something @ (Value::Truth(true) | Value::Text(_) | Value::Pattern(_)) => something,
            },
            Self::Two(Operator::Equal, left, right) => Value::Truth(left.value(variable) == right.value(variable)),
            Self::Two(Operator::Different, left, right) => Value::Truth(left.value(variable) != right.value(variable)),
            Self::Two(Operator::Matches, left, right) => Value::Truth(matches(left, right, variable)),
            Self::Two(Operator::Misses, left, right) => Value::Truth(!matches(left, right, variable)),
        }
    }
}

/// A variable on the right is a pattern when its value is `/…/`; in any other text the left is looked for, as GitLab does. What is
/// not set is like an empty text on the left, and matches nothing on the right.
fn matches<'v>(left: &'v Tree, right: &'v Tree, variable: &impl Fn(&str) -> Option<&'v str>) -> bool {
    let subject = match left.value(variable) {
        Value::Null => "",
        Value::Truth(true) => "true",
        Value::Truth(false) => "false",
        Value::Text(text) | Value::Pattern(text) => text,
    };
    if let Tree::Pattern(pattern) = right {
        return pattern.is_match(subject);
    }
    let Value::Text(text) = right.value(variable) else { return false };
    match slashed(text).and_then(|(pattern, flags)| compile(pattern, flags).ok()) {
        Some(pattern) => pattern.is_match(subject),
        None => text.contains(subject),
    }
}

fn slashed(text: &str) -> Option<(&str, &str)> {
    let (pattern, flags) = text.strip_prefix('/')?.rsplit_once('/')?;
    flags.bytes().all(|flag| matches!(flag, b'i' | b's' | b'm' | b'U')).then_some((pattern, flags))
}

fn compile(pattern: &str, flags: &str) -> Result<Regex, String> {
    // In a literal a slash is escaped; to the pattern it is a plain letter.
    RegexBuilder::new(&pattern.replace("\\/", "/"))
        .case_insensitive(flags.contains('i'))
        .dot_matches_new_line(flags.contains('s'))
        .multi_line(flags.contains('m'))
        .swap_greed(flags.contains('U'))
        .size_limit(1 << 20)
        .build()
        .map_err(|error| error.to_string().lines().last().unwrap_or_default().to_owned())
}

/// How deep parentheses may lie in each other.
const DEPTH_LIMIT: usize = 32;

/// GitLab's limit (`expression/lexer.rb`).
const TOKEN_LIMIT: usize = 100;

struct Parser {
    letters: Vec<char>,
    at: usize,
    depth: usize,
    tokens: usize,
}

const COMPARISONS: [(&str, Operator); 4] =
    [("==", Operator::Equal), ("!=", Operator::Different), ("=~", Operator::Matches), ("!~", Operator::Misses)];

impl Parser {
    fn either(&mut self) -> Result<Tree, BadExpression> {
        let mut tree = self.both()?;
        while self.take("||") {
            tree = two(Operator::Or, tree, self.both()?);
        }
        Ok(tree)
    }

    fn both(&mut self) -> Result<Tree, BadExpression> {
        let mut tree = self.comparison()?;
        while self.take("&&") {
            tree = two(Operator::And, tree, self.comparison()?);
        }
        Ok(tree)
    }

    fn comparison(&mut self) -> Result<Tree, BadExpression> {
        let mut tree = self.operand()?;
        while let Some((_, operator)) = COMPARISONS.into_iter().find(|(text, _)| self.take(text)) {
            tree = two(operator, tree, self.operand()?);
        }
        Ok(tree)
    }

    fn operand(&mut self) -> Result<Tree, BadExpression> {
        self.blanks();
        self.tokens += 1;
        if self.tokens > TOKEN_LIMIT {
            return Err(self.bad(&format!("a condition has at most {TOKEN_LIMIT} words and operators")));
        }
        match self.peek() {
            Some('(') => self.group(),
            Some('$') => self.variable(),
            Some(quote @ ('"' | '\'')) => {
                let start = self.at;
                self.at += 1;
                self.until(quote, start).map(Tree::Text)
            }
            Some('/') => self.pattern(),
            Some('n') if self.take("null") => Ok(Tree::Null),
            Some('!') => Err(self.bad("there is no `!` in this language; write `== null`, `!=` or `!~`")),
            Some(_) | None => Err(self.bad("a variable (`$NAME`), a text in quotes, `null` or a `/pattern/` was expected here")),
        }
    }

    fn group(&mut self) -> Result<Tree, BadExpression> {
        self.at += 1;
        self.depth += 1;
        if self.depth > DEPTH_LIMIT {
            return Err(self.bad("parentheses lie in each other too deep"));
        }
        let tree = self.either()?;
        self.depth -= 1;
        if self.take(")") { Ok(tree) } else { Err(self.bad("`)` was expected here")) }
    }

    fn variable(&mut self) -> Result<Tree, BadExpression> {
        self.at += 1;
        if self.peek() == Some('{') {
            return Err(self.bad("write `$NAME`; `${NAME}` is not read in a condition"));
        }
        let start = self.at;
        while self.peek().is_some_and(|letter| letter.is_ascii_alphanumeric() || letter == '_') {
            self.at += 1;
        }
        let name: String = self.letters.get(start..self.at).unwrap_or_default().iter().collect();
        if name.is_empty() { Err(self.bad("the name of a variable was expected here")) } else { Ok(Tree::Variable(name)) }
    }

    fn pattern(&mut self) -> Result<Tree, BadExpression> {
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
        while let Some(flag) = self.peek().filter(|letter| matches!(letter, 'i' | 's' | 'm' | 'U')) {
            flags.push(flag);
            self.at += 1;
        }
        compile(&pattern, &flags)
            .map(Tree::Pattern)
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
            self.tokens += 1;
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

fn two(operator: Operator, left: Tree, right: Tree) -> Tree {
    Tree::Two(operator, Box::new(left), Box::new(right))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn holds(text: &str, variables: &BTreeMap<String, String>) -> bool {
        Expression::parse(text).unwrap().holds(&|name| variables.get(name).map(String::as_str))
    }

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
            // Not set is an empty text to a pattern (`lexeme/matches.rb`: `regexp.scan(text.to_s)`).
            ("$GONE =~ /.*/", true),
            ("$GONE !~ /.*/", false),
            ("$GONE =~ /x/", false),
            ("$A =~ $GONE", false),
            ("$A !~ $GONE", true),
            ("$A =~ $P", true),
            ("$N =~ \"1234\"", true),
            ("$T =~ /a\\/b/", true),
            ("$GONE && $A || $A", true),
            ("$A || $GONE && $GONE", true),
            ("($A || $GONE) && $GONE", false),
            ("$A == 'main' && ($N == '23' || $GONE)", true),
            ("$A =~ /MA.N/iU", true),
            ("$A == $A == $A", false),
        ];
        for (text, expected) in table {
            assert_eq!(holds(text, &variables), expected, "{text}");
        }
    }

    /// GitLab's own table, `spec/lib/gitlab/ci/pipeline/expression/statement_spec.rb`; a value that is present holds.
    #[test]
    fn gitlabs_own_table() {
        let variables: BTreeMap<String, String> = [
            ("PRESENT", "my variable"),
            ("PATH_VARIABLE", "a/path/variable/value"),
            ("FULL", "/a/full/path/variable/value"),
            ("EMPTY", ""),
            ("teststring", "abcde"),
            ("pattern1", "/^ab.*/"),
            ("pattern2", "/^at.*/"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        let table = [
            (r#"$PRESENT == "my variable""#, true),
            (r#""my variable" == $PRESENT"#, true),
            ("$PRESENT == null", false),
            ("$EMPTY == null", false),
            (r#""" == $EMPTY"#, true),
            ("$EMPTY", false),
            ("null == $UNDEFINED", true),
            ("$PRESENT", true),
            ("$UNDEFINED", false),
            (r"$PRESENT =~ /var.*e$/", true),
            (r"$PRESENT =~ /va\r.*e$/", false),
            (r"$PRESENT =~ /va\/r.*e$/", false),
            ("$PRESENT =~ /^var.*/", false),
            ("$EMPTY =~ /var.*/", false),
            ("$UNDEFINED =~ /var.*/", false),
            ("$PRESENT =~ /VAR.*/i", true),
            (r"$PATH_VARIABLE =~ /path\/variable/", true),
            (r"$FULL =~ /^\/a\/full\/path\/variable\/value$/", true),
            (r#"$PRESENT != "my variable""#, false),
            ("$EMPTY != null", true),
            (r#""" != $EMPTY"#, false),
            ("$UNDEFINED != null", false),
            ("null != $UNDEFINED", false),
            ("$PRESENT !~ /var.*e$/", false),
            ("$PRESENT !~ /^var.*/", true),
            ("$EMPTY !~ /var.*/", true),
            ("$UNDEFINED !~ /var.*/", true),
            ("$PRESENT !~ /VAR.*/i", false),
            (r#"$PRESENT && "string""#, true),
            ("$PRESENT && $EMPTY", false),
            ("$PRESENT && null", false),
            ("$EMPTY && $PRESENT", true),
            ("null && $PRESENT", false),
            (r#"$EMPTY && "string""#, true),
            ("$EMPTY && $EMPTY", false),
            (r#"null && "string""#, false),
            ("null && null", false),
            ("$PRESENT =~ /my var/ && $EMPTY =~ /nope/", false),
            (r#"$EMPTY == "" && $PRESENT"#, true),
            (r#"$EMPTY == "" && $PRESENT != "nope""#, true),
            ("$PRESENT && $UNDEFINED", false),
            ("$UNDEFINED && $PRESENT", false),
            ("$PRESENT =~ /my var/ || $EMPTY =~ /nope/", true),
            (r#"$EMPTY == "" || $PRESENT"#, true),
            (r#"$PRESENT && null || $EMPTY == """#, true),
            ("$PRESENT || $UNDEFINED", true),
            ("$UNDEFINED || $PRESENT", true),
            ("(($PRESENT))", true),
            (r#"(($PRESENT && null) || $EMPTY == "")"#, true),
            (r#"($PRESENT) && (null || $EMPTY == "")"#, true),
            (r#"("string" || "test") == "string""#, true),
            (r#"(null || ("test" == "string"))"#, false),
            (r#"("string" == ("test" && "string"))"#, true),
            (r#"("string" == ("test" || "string"))"#, false),
            (r#"("string" == "test" || "string")"#, true),
            (r#"("string" == ("string" || (("1" == "1") && ("2" == "3"))))"#, true),
            (r#"$teststring =~ "abcde""#, true),
            ("$teststring =~ $teststring", true),
            ("$teststring =~ $pattern1", true),
            ("$teststring =~ $pattern2", false),
        ];
        for (text, expected) in table {
            assert_eq!(holds(text, &variables), expected, "{text}");
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
        assert!(Expression::parse(&format!("$A{}", " || $A".repeat(49))).is_ok());
        assert!(Expression::parse(&format!("$A{}", " || $A".repeat(60))).is_err());
    }
}
