//! The language of `rules:if` (GitLab `lib/gitlab/ci/pipeline/expression/`, `doc/ci/jobs/job_rules.md`).
//!
//! `$NAME`, `"text"`, `'text'`, `null`, `true`, `false`, `/regex/ismU`, and in the rules of an input `$[[ inputs.NAME ]]`; `!`, then
//! `==` `!=` `=~` `!~`, then `&&`, then `||`, and parentheses around any of it. Everything has a value, as in Ruby: `&&` and `||` give
//! one of their sides, and an empty text counts as something there (`$EMPTY && "x"` is `"x"`), but not to `!`. The whole holds when its
//! value is neither nothing, nor false, nor empty. A truth value is equal to a text that spells it (`lexeme/logical_operator.rb`).
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
    Input(String),
    Text(String),
    Truth(bool),
    Null,
    Pattern(Regex),
    Not(Box<Tree>),
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
pub(super) enum Value<'v> {
    Null,
    Truth(bool),
    Text(&'v str),
    /// A number or a list, spelt out: equal to its like alone.
    Other(&'v str),
    /// A pattern that stands alone is something.
    Pattern(&'v str),
}

impl Value<'_> {
    /// Rails' `present?`: blanks alone are nothing.
    fn is_present(self) -> bool {
        match self {
            Value::Null | Value::Truth(false) => false,
            Value::Text(text) => !text.trim().is_empty(),
            Value::Other(text) => text != "[]",
            Value::Truth(true) | Value::Pattern(_) => true,
        }
    }

    fn equals(self, other: Value<'_>) -> bool {
        match (self, other) {
            (Value::Truth(truth), Value::Text(text)) | (Value::Text(text), Value::Truth(truth)) => text == spelt(truth),
            (one, other) => one == other,
        }
    }
}

fn spelt(truth: bool) -> &'static str {
    if truth { "true" } else { "false" }
}

/// What a condition sees.
struct Scope<'s, 'v> {
    variable: &'s dyn Fn(&str) -> Option<&'v str>,
    input: &'s dyn Fn(&str) -> Value<'v>,
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
        self.root.value(&Scope { variable, input: &|_| Value::Null }).is_present()
    }

    /// Whether it holds for these inputs. Rules of an input know no variables (`lib/ci/inputs/rules_evaluator.rb`).
    pub(super) fn holds_for_inputs<'v>(&'v self, input: &impl Fn(&str) -> Value<'v>) -> bool {
        self.root.value(&Scope { variable: &|_| None, input }).is_present()
    }

    /// The variables in it, each once, in its order.
    pub(super) fn variables(&self) -> Vec<&str> {
        self.names(|tree| if let Tree::Variable(name) = tree { Some(name) } else { None })
    }

    /// The inputs in it, each once, in its order.
    pub(super) fn inputs(&self) -> Vec<&str> {
        self.names(|tree| if let Tree::Input(name) = tree { Some(name) } else { None })
    }

    fn names(&self, of: impl Fn(&Tree) -> Option<&String>) -> Vec<&str> {
        let mut found = Vec::new();
        let mut open = vec![&self.root];
        while let Some(tree) = open.pop() {
            match tree {
                Tree::Two(_, left, right) => open.extend([&**right, &**left]),
                Tree::Not(operand) => open.push(operand),
                Tree::Variable(_) | Tree::Input(_) | Tree::Text(_) | Tree::Truth(_) | Tree::Null | Tree::Pattern(_) => {
                    found.extend(of(tree).map(String::as_str).filter(|name| !found.contains(name)));
                }
            }
        }
        found
    }
}

impl Tree {
    fn value<'v>(&'v self, scope: &Scope<'_, 'v>) -> Value<'v> {
        match self {
            Self::Variable(name) => (scope.variable)(name).map_or(Value::Null, Value::Text),
            Self::Input(name) => (scope.input)(name),
            Self::Text(text) => Value::Text(text),
            Self::Truth(truth) => Value::Truth(*truth),
            Self::Null => Value::Null,
            Self::Pattern(pattern) => Value::Pattern(pattern.as_str()),
            Self::Not(operand) => Value::Truth(!operand.value(scope).is_present()),
            Self::Two(Operator::And, left, right) => match left.value(scope) {
                nothing @ (Value::Null | Value::Truth(false)) => nothing,
                Value::Truth(true) | Value::Text(_) | Value::Other(_) | Value::Pattern(_) => right.value(scope),
            },
            Self::Two(Operator::Or, left, right) => match left.value(scope) {
                Value::Null | Value::Truth(false) => right.value(scope),
                something @ (Value::Truth(true) | Value::Text(_) | Value::Other(_) | Value::Pattern(_)) => something,
            },
            Self::Two(Operator::Equal, left, right) => Value::Truth(left.value(scope).equals(right.value(scope))),
            Self::Two(Operator::Different, left, right) => Value::Truth(!left.value(scope).equals(right.value(scope))),
            Self::Two(Operator::Matches, left, right) => Value::Truth(matches(left, right, scope)),
            Self::Two(Operator::Misses, left, right) => Value::Truth(!matches(left, right, scope)),
        }
    }
}

/// A variable on the right is a pattern when its value is `/…/`; in any other text the left is looked for, as GitLab does. What is
/// not set is like an empty text on the left, and matches nothing on the right.
fn matches<'v>(left: &'v Tree, right: &'v Tree, scope: &Scope<'_, 'v>) -> bool {
    let subject = match left.value(scope) {
        Value::Null => "",
        Value::Truth(truth) => spelt(truth),
        Value::Text(text) | Value::Other(text) | Value::Pattern(text) => text,
    };
    if let Tree::Pattern(pattern) = right {
        return pattern.is_match(subject);
    }
    let Value::Text(text) = right.value(scope) else { return false };
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
            Some('t') if self.take_word("true") => Ok(Tree::Truth(true)),
            Some('f') if self.take_word("false") => Ok(Tree::Truth(false)),
            Some('!') if !matches!(self.letters.get(self.at + 1), Some('=' | '~')) => {
                self.at += 1;
                Ok(Tree::Not(Box::new(self.operand()?)))
            }
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
        if self.peek() == Some('[') {
            return self.input();
        }
        let start = self.at;
        while self.peek().is_some_and(|letter| letter.is_ascii_alphanumeric() || letter == '_') {
            self.at += 1;
        }
        let name: String = self.letters.get(start..self.at).unwrap_or_default().iter().collect();
        if name.is_empty() { Err(self.bad("the name of a variable was expected here")) } else { Ok(Tree::Variable(name)) }
    }

    /// What follows the `$` of `$[[ inputs.NAME ]]` (`lexeme/input.rb`).
    fn input(&mut self) -> Result<Tree, BadExpression> {
        let start = self.at - 1;
        let bad = || BadExpression { offset: start, message: "an input is written `$[[ inputs.NAME ]]` here".to_owned() };
        let rest: String = self.letters.get(self.at..).unwrap_or_default().iter().collect();
        let (inner, _) = rest.strip_prefix("[[").and_then(|rest| rest.split_once("]]")).ok_or_else(bad)?;
        let name = inner.trim().strip_prefix("inputs.").ok_or_else(bad)?;
        if name.is_empty() || !name.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-')) {
            return Err(bad());
        }
        self.at += inner.chars().count() + 4;
        Ok(Tree::Input(name.to_owned()))
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

    /// A word that does not go on.
    fn take_word(&mut self, word: &str) -> bool {
        let after = self.letters.get(self.at + word.len());
        after.is_none_or(|letter| !letter.is_ascii_alphanumeric() && *letter != '_') && self.take(word)
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
            // `lexeme/not.rb`, `lexeme/boolean.rb`, `lexeme/logical_operator.rb`: a truth value equals the text that spells it.
            ("!$GONE", true),
            ("!$EMPTY", true),
            ("!$A", false),
            ("!!$A", true),
            ("!$GONE && $A", true),
            ("!($A && $GONE)", true),
            ("! $A == 'false'", true),
            ("$A != 'x' && !$GONE", true),
            ("true", true),
            ("false", false),
            ("true == 'true'", true),
            ("'false' != false", false),
            ("true == true && $A", true),
            // Outside of the header no input is known (`lexeme/input.rb`: `fetch(@value, nil)`).
            ("$[[ inputs.a ]] == null", true),
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

    /// `spec/lib/ci/inputs/rules_evaluator_spec.rb`, `spec/lib/gitlab/ci/pipeline/expression/lexeme/input_spec.rb`.
    #[test]
    fn conditions_of_inputs_hold_as_gitlab_says() {
        let input = |name: &str| match name {
            "on" => Value::Truth(true),
            "off" => Value::Truth(false),
            "text" => Value::Text("aws"),
            "a-b" => Value::Text("dash"),
            "count" => Value::Other("3"),
            "none" => Value::Other("[]"),
            _ => Value::Null,
        };
        let table = [
            ("$[[ inputs.text ]] == 'aws'", true),
            ("$[[inputs.text]] != \"aws\"", false),
            ("$[[ inputs.a-b ]] == 'dash'", true),
            ("$[[ inputs.on ]]", true),
            ("$[[ inputs.off ]]", false),
            ("$[[ inputs.on ]] == true", true),
            ("$[[ inputs.on ]] == 'true'", true),
            ("$[[ inputs.off ]] == 'false'", true),
            ("$[[ inputs.off ]] != 'true'", true),
            ("$[[ inputs.count ]] == '3'", false),
            ("$[[ inputs.count ]] =~ /3/", true),
            ("$[[ inputs.count ]]", true),
            ("$[[ inputs.none ]]", false),
            ("$[[ inputs.gone ]] == null", true),
            ("$[[ inputs.text ]] == 'aws' && $[[ inputs.on ]]", true),
            ("$A", false),
        ];
        for (text, expected) in table {
            let expression = Expression::parse(text).unwrap();
            assert_eq!(expression.holds_for_inputs(&|name| input(name)), expected, "{text}");
        }
        assert_eq!(Expression::parse("$[[ inputs.a ]] && ($B || !$[[ inputs.c ]] || $[[ inputs.a ]])").unwrap().inputs(), ["a", "c"]);
    }

    #[test]
    fn what_is_no_condition_says_where() {
        let table = [
            ("", 0),
            ("$A ==", 5),
            ("${A}", 1),
            ("!", 1),
            ("$A !", 3),
            ("!= $A", 0),
            ("truth", 0),
            ("$[[ input.a ]]", 0),
            ("$[[ inputs.a", 0),
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
