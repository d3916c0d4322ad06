//! From a condition's text to its tree: one method a precedence, loosest first.

use super::{BadExpression, Operator, Tree, compile};

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

/// The tree of a whole condition.
pub(super) fn parse(text: &str) -> Result<Tree, BadExpression> {
    let mut parser = Parser { letters: text.chars().collect(), at: 0, depth: 0, tokens: 0 };
    let root = parser.either()?;
    parser.blanks();
    if parser.at < parser.letters.len() {
        return Err(parser.bad("an operator (`==`, `!=`, `=~`, `!~`, `&&`, `||`) or the end was expected here"));
    }
    Ok(root)
}

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
