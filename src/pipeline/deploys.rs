//! Which environments a script deploys to, read from its text: `hms-deploy --env E`, with E written out.
//!
//! Enough of the shell's grammar to know a command from a word that looks like one: quotes, comments, separators,
//! assignments, redirections, here-documents. What it cannot read it does not guess.

/// An `--env` of an `hms-deploy`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Named {
    /// Written out.
    Literal(String),
    /// Made of variables or of a command's output.
    Unreadable,
}

/// What the `hms-deploy` commands of a script entry name, in order.
pub(super) fn environments(text: &str) -> Vec<Named> {
    arguments(text).environments
}

/// The values of `--traffic` that are written out, in order.
pub(super) fn traffic(text: &str) -> Vec<String> {
    arguments(text).traffic
}

/// Arguments of `hms-deploy` in a script entry.
#[derive(Default)]
struct Found {
    environments: Vec<Named>,
    traffic: Vec<String>,
}

fn arguments(text: &str) -> Found {
    let mut found = Found::default();
    let mut command = Command::default();
    for token in tokens(text) {
        match token {
            Token::Word { text, literal } => command.word(&text, literal, &mut found),
            Token::Separator => command = Command::default(),
        }
    }
    found
}

/// A simple command, word by word.
#[derive(Default)]
struct Command {
    /// The name was seen; words are arguments now.
    named: bool,
    /// A wrapper was seen, and the name is still to come.
    wrapped: Option<Wrapped>,
    deploys: bool,
    /// The next word is the value of this option.
    wants: Option<Wanted>,
}

/// An option whose value is looked for.
#[derive(Clone, Copy)]
enum Wanted {
    Environment,
    Traffic,
}

/// Each with its name.
const WANTED: [(&str, Wanted); 2] = [("--env", Wanted::Environment), ("--traffic", Wanted::Traffic)];

/// Words that stand before a command and leave it one.
const PREFIXES: &[&str] = &["if", "then", "elif", "else", "while", "until", "do", "!", "{", "builtin"];

/// A program that runs the command after it.
struct Wrapper {
    name: &'static str,
    /// Its options whose value is the next word.
    valued: &'static [&'static str],
    /// How many words of its own come before the command.
    operands: usize,
}

const fn wrapper(name: &'static str, valued: &'static [&'static str], operands: usize) -> Wrapper {
    Wrapper { name, valued, operands }
}

const WRAPPERS: &[Wrapper] = &[
    wrapper("command", &[], 0),
    wrapper("env", &["-u", "--unset", "-C", "--chdir"], 0),
    wrapper("exec", &["-a"], 0),
    wrapper("ionice", &["-c", "--class", "-n", "--classdata"], 0),
    wrapper("nice", &["-n", "--adjustment"], 0),
    wrapper("nohup", &[], 0),
    wrapper("setsid", &[], 0),
    wrapper("stdbuf", &["-i", "--input", "-o", "--output", "-e", "--error"], 0),
    wrapper("sudo", &["-u", "--user", "-g", "--group", "-C", "-D", "--chdir", "-h", "--host", "-p", "--prompt", "-T", "-r", "-t"], 0),
    wrapper("time", &["-f", "--format", "-o", "--output"], 0),
    wrapper("timeout", &["-k", "--kill-after", "-s", "--signal"], 1),
];

/// Words of a wrapper that are still to come before its command.
#[derive(Default)]
struct Wrapped {
    valued: &'static [&'static str],
    operands: usize,
    wants_value: bool,
    options_ended: bool,
}

impl Wrapped {
    /// Whether a word is the wrapper's own.
    fn takes(&mut self, text: &str) -> bool {
        if std::mem::take(&mut self.wants_value) {
            return true;
        }
        if !self.options_ended && text.len() > 1 && text.starts_with('-') {
            self.options_ended = text == "--";
            self.wants_value = self.valued.contains(&text);
            return true;
        }
        self.options_ended = true;
        let own = self.operands > 0;
        self.operands = self.operands.saturating_sub(1);
        own
    }
}

impl Command {
    fn word(&mut self, text: &str, literal: bool, found: &mut Found) {
        if !self.named {
            if self.wrapped.as_mut().is_some_and(|wrapped| wrapped.takes(text)) || PREFIXES.contains(&text) || is_assignment(text) {
                return;
            }
            let program = text.rsplit('/').next();
            if let Some(wrapper) = WRAPPERS.iter().find(|wrapper| literal && program == Some(wrapper.name)) {
                self.wrapped = Some(Wrapped { valued: wrapper.valued, operands: wrapper.operands, ..Wrapped::default() });
                return;
            }
            self.named = true;
            self.deploys = literal && text.rsplit('/').next() == Some("hms-deploy");
            return;
        }
        if !self.deploys {
            return;
        }
        let written = |(name, wanted): &(&str, Wanted)| Some((*wanted, text.strip_prefix(name)?.strip_prefix('=')?));
        match self.wants.take().map(|wanted| (wanted, text)).or_else(|| WANTED.iter().find_map(written)) {
            Some((Wanted::Environment, value)) => {
                found.environments.push(if literal { Named::Literal(value.to_owned()) } else { Named::Unreadable });
            }
            Some((Wanted::Traffic, value)) if literal => found.traffic.push(value.to_owned()),
            Some((Wanted::Traffic, _)) => {}
            None => self.wants = WANTED.iter().find(|(name, _)| *name == text).map(|(_, wanted)| *wanted),
        }
    }
}

fn is_assignment(text: &str) -> bool {
    let Some((name, _)) = text.split_once('=') else { return false };
    !name.is_empty()
        && !name.starts_with(|letter: char| letter.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

enum Token {
    Word { text: String, literal: bool },
    Separator,
}

fn tokens(text: &str) -> Vec<Token> {
    let mut lexer = Lexer { letters: text.chars().collect(), at: 0, tokens: Vec::new(), word: None, skip_word: false, here: Vec::new() };
    lexer.run();
    lexer.tokens
}

struct Lexer {
    letters: Vec<char>,
    at: usize,
    tokens: Vec<Token>,
    /// The word that grows, and whether it is literal so far.
    word: Option<(String, bool)>,
    /// The next word is where a redirection goes.
    skip_word: bool,
    /// Here-documents whose bodies start after this line; an empty delimiter is still to be read.
    here: Vec<String>,
}

impl Lexer {
    fn run(&mut self) {
        while let Some(letter) = self.next() {
            match letter {
                '\'' => self.single(),
                '"' => self.double(),
                '\\' => match self.next() {
                    Some('\n') | None => {}
                    Some(escaped) => self.push(escaped),
                },
                '#' if self.word.is_none() => {
                    while self.peek().is_some_and(|letter| letter != '\n') {
                        self.at += 1;
                    }
                }
                ' ' | '\t' | '\r' => self.end_word(),
                '\n' => {
                    self.separate();
                    self.skip_here();
                }
                ';' | '&' | '|' | '(' | ')' | '`' => self.separate(),
                '<' | '>' => self.redirect(letter),
                '$' => {
                    self.push('$');
                    self.unreadable();
                }
                other => self.push(other),
            }
        }
        self.separate();
    }

    fn single(&mut self) {
        self.word.get_or_insert((String::new(), true));
        while let Some(letter) = self.next() {
            if letter == '\'' {
                return;
            }
            self.push(letter);
        }
    }

    fn double(&mut self) {
        self.word.get_or_insert((String::new(), true));
        while let Some(letter) = self.next() {
            match letter {
                '"' => return,
                '\\' if matches!(self.peek(), Some('$' | '`' | '"' | '\\' | '\n')) => {
                    if let Some(escaped) = self.next().filter(|escaped| *escaped != '\n') {
                        self.push(escaped);
                    }
                }
                '$' | '`' => {
                    self.push(letter);
                    self.unreadable();
                }
                other => self.push(other),
            }
        }
    }

    /// `>file`, `2>&1`, `<<EOF`, `<<<word`: the word that follows is no argument. A number before it is none either.
    fn redirect(&mut self, first: char) {
        if self.word.as_ref().is_some_and(|(text, _)| text.bytes().all(|byte| byte.is_ascii_digit())) {
            self.word = None;
        }
        self.end_word();
        let mut operator = String::from(first);
        while let Some(letter) = self.peek().filter(|letter| matches!(letter, '<' | '>' | '&' | '|')) {
            operator.push(letter);
            self.at += 1;
        }
        if operator == "<<" {
            if self.peek() == Some('-') {
                self.at += 1;
            }
            self.here.push(String::new());
        }
        self.skip_word = true;
    }

    /// Passes over the bodies of the here-documents that the line before began.
    fn skip_here(&mut self) {
        for delimiter in std::mem::take(&mut self.here) {
            while self.at < self.letters.len() {
                let rest = self.letters.get(self.at..).unwrap_or_default();
                let length = rest.iter().position(|letter| *letter == '\n').unwrap_or(rest.len());
                let line: String = rest.get(..length).unwrap_or_default().iter().collect();
                self.at += length + 1;
                if line.trim_start_matches('\t') == delimiter {
                    break;
                }
            }
        }
    }

    fn next(&mut self) -> Option<char> {
        let letter = self.peek()?;
        self.at += 1;
        Some(letter)
    }

    fn peek(&self) -> Option<char> {
        self.letters.get(self.at).copied()
    }

    fn push(&mut self, letter: char) {
        self.word.get_or_insert((String::new(), true)).0.push(letter);
    }

    fn unreadable(&mut self) {
        if let Some((_, literal)) = &mut self.word {
            *literal = false;
        }
    }

    fn end_word(&mut self) {
        let Some((text, literal)) = self.word.take() else { return };
        if std::mem::take(&mut self.skip_word) {
            if let Some(delimiter) = self.here.last_mut().filter(|delimiter| delimiter.is_empty()) {
                *delimiter = text;
            }
            return;
        }
        self.tokens.push(Token::Word { text, literal });
    }

    fn separate(&mut self) {
        self.end_word();
        self.skip_word = false;
        self.tokens.push(Token::Separator);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literal_environments_are_found_where_they_are_commands() {
        let literal = |names: &[&str]| names.iter().map(|name| Named::Literal((*name).to_owned())).collect::<Vec<_>>();
        let table: &[(&str, Vec<Named>)] = &[
            ("hms-deploy --env canary --traffic 1%", literal(&["canary"])),
            ("hms-deploy --env prod --tag $CI_COMMIT_SHA", literal(&["prod"])),
            ("hms-deploy --env=prod", literal(&["prod"])),
            ("A=1 B='x y' hms-deploy --tag t --env 'prod'", literal(&["prod"])),
            ("make && hms-deploy --env \"prod\"; true", literal(&["prod"])),
            ("if make; then hms-deploy --env a; else hms-deploy --env b; fi", literal(&["a", "b"])),
            ("hms-deploy \\\n  --env prod", literal(&["prod"])),
            ("exec /usr/bin/hms-deploy --env prod > log 2>&1", literal(&["prod"])),
            ("hms-deploy 2>/dev/null --env prod", literal(&["prod"])),
            ("timeout 3 hms-deploy --env canary", literal(&["canary"])),
            ("timeout -k 5 --signal=KILL 3m hms-deploy --env canary", literal(&["canary"])),
            ("timeout $T hms-deploy --env canary", literal(&["canary"])),
            ("nice -n 5 nohup /usr/bin/stdbuf -oL hms-deploy --env prod", literal(&["prod"])),
            ("sudo -u deploy -- hms-deploy --env prod", literal(&["prod"])),
            ("exec -a x command -p env -i -u B A=1 hms-deploy --env prod", literal(&["prod"])),
            ("time -p hms-deploy --env prod", literal(&["prod"])),
            ("if ! timeout 3 hms-deploy --env prod; then exit 1; fi", literal(&["prod"])),
            ("timeout hms-deploy --env prod", vec![]),
            ("nice make hms-deploy --env prod", vec![]),
            ("(hms-deploy --env prod)", literal(&["prod"])),
            ("x=$(hms-deploy --env prod)", literal(&["prod"])),
            ("hms-deploy --env $TARGET", vec![Named::Unreadable]),
            ("hms-deploy --env \"$TARGET\"", vec![Named::Unreadable]),
            ("hms-deploy --env=\"x-$TARGET\"", vec![Named::Unreadable]),
            ("# hms-deploy --env prod", vec![]),
            ("make # hms-deploy --env prod", vec![]),
            ("echo hms-deploy --env prod", vec![]),
            ("echo 'hms-deploy --env prod'", vec![]),
            ("cat <<EOF\nhms-deploy --env prod\nEOF\nhms-deploy --env a", literal(&["a"])),
            ("cat <<-'E F' && true\n\thms-deploy --env prod\n\tE F\n", vec![]),
            ("hms-deploy status", vec![]),
            ("hms-deploy --env", vec![]),
            ("hms-deployer --env prod", vec![]),
        ];
        for (text, expected) in table {
            assert_eq!(&environments(text), expected, "{text}");
        }
    }

    #[test]
    fn literal_shares_are_found_beside_them() {
        let table: [(&str, &[&str]); 5] = [
            ("hms-deploy --env canary --traffic 150%", &["150%"]),
            ("hms-deploy --traffic=1% --env canary && hms-deploy --traffic 5% --env canary", &["1%", "5%"]),
            ("hms-deploy --env canary --traffic $SHARE", &[]),
            ("echo --traffic 150%", &[]),
            ("hms-deploy --env --traffic", &[]),
        ];
        for (text, wanted) in table {
            assert_eq!(traffic(text), wanted, "{text}");
        }
    }
}
