//! Rust source as words and marks, without comments and without what stands in quotes.

/// A piece of code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    /// An identifier or a keyword.
    Word(String),
    /// `::`.
    Into,
    /// Any other character.
    Mark(char),
}

/// The code of a file, each piece with its line, from 1.
pub(crate) fn code_of(text: &str) -> Vec<(usize, Token)> {
    // One alternative a kind: comments, raw strings, strings, characters (a lifetime is none), words, `::`, the rest.
    let pattern = r#"(?sx)
        (?<skip> //[^\n]* | /\* | b?r\#*" | b?"(?:\\.|[^"\\])*" | b?'(?:\\u\{\w+\}|\\x\w\w|\\[^ux\n]|[^'\\\n])' )
        | (?<word> [\p{L}_][\p{L}\p{N}_]* ) | (?<into> :: ) | (?<mark> \S )"#;
    let pattern = regex::Regex::new(pattern).unwrap();
    let (mut tokens, mut at, mut line) = (Vec::new(), 0, 1);
    while let Some(found) = pattern.captures_at(text, at) {
        let whole = found.get(0).unwrap();
        line += text[at..whole.start()].matches('\n').count();
        let mut end = whole.end();
        if let Some(skip) = found.name("skip") {
            if skip.as_str() == "/*" {
                end = after_comment(text, end);
            } else if skip.as_str().trim_start_matches('b').starts_with('r') {
                let closing = format!("\"{}", "#".repeat(skip.as_str().matches('#').count()));
                end += text[end..].find(&closing).map_or(text.len() - end, |length| length + closing.len());
            }
        } else if let Some(word) = found.name("word") {
            tokens.push((line, Token::Word(word.as_str().to_owned())));
        } else if found.name("into").is_some() {
            tokens.push((line, Token::Into));
        } else {
            tokens.push((line, Token::Mark(whole.as_str().chars().next().unwrap())));
        }
        line += text[whole.start()..end].matches('\n').count();
        at = end;
    }
    tokens
}

/// Where a comment that began before `at` is over; they nest.
fn after_comment(text: &str, mut at: usize) -> usize {
    let mut depth = 1;
    while depth > 0 {
        let (open, close) = (text[at..].find("/*"), text[at..].find("*/"));
        match (open, close) {
            (Some(open), Some(close)) if open < close => (depth, at) = (depth + 1, at + open + 2),
            (_, Some(close)) => (depth, at) = (depth - 1, at + close + 2),
            (_, None) => return text.len(),
        }
    }
    at
}

/// The code without items that only tests have, and without items that may unwrap, for a reason given there.
pub(crate) fn without_tests(tokens: &[(usize, Token)]) -> Vec<(usize, Token)> {
    let marks = ["#[cfg(test)]", "#[expect(clippy::expect_used,", "#[expect(clippy::unwrap_used,"].map(code_of);
    let (mut kept, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        let begins = |mark: &&Vec<(usize, Token)>| {
            let wanted = mark.iter().map(|(_, token)| token);
            tokens[at..].iter().map(|(_, token)| token).take(mark.len()).eq(wanted)
        };
        if let Some(mark) = marks.iter().find(begins) {
            at = after_item(tokens, at + mark.len());
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

/// The modules in files of their own that only tests have: each follows `#[cfg(test)]`, with or without `pub(…)`.
pub(crate) fn test_files(tokens: &[(usize, Token)]) -> Vec<String> {
    let mark = code_of("#[cfg(test)]");
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        if tokens[at..].iter().map(|(_, token)| token).take(mark.len()).eq(mark.iter().map(|(_, token)| token)) {
            let end = after_item(tokens, at + mark.len());
            if let [.., (_, Token::Word(keyword)), (_, Token::Word(name)), (_, Token::Mark(';'))] = &tokens[..end] {
                found.extend((keyword == "mod").then(|| name.clone()));
            }
        }
    }
    found
}

/// Where an item is over: after its `;`, or after the brace that closes its first.
fn after_item(tokens: &[(usize, Token)], from: usize) -> usize {
    let mut depth = 0;
    for (index, (_, token)) in tokens.iter().enumerate().skip(from) {
        match token {
            Token::Mark('{') => depth += 1,
            Token::Mark('}') if depth == 1 => return index + 1,
            Token::Mark('}') => depth -= 1,
            Token::Mark(';') if depth == 0 => return index + 1,
            Token::Word(_) | Token::Into | Token::Mark(_) => {}
        }
    }
    tokens.len()
}

fn word(text: &str) -> Token {
    Token::Word(text.to_owned())
}

/// The paths that start at the crate's root, by `crate::` or by as many `super::` as the module is deep; groups are taken apart.
pub(crate) fn paths_out(tokens: &[(usize, Token)], depth: usize) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        let follows = at > 0 && tokens[at - 1].1 == Token::Into;
        if follows || tokens.get(at + 1).map(|(_, token)| token) != Some(&Token::Into) {
            continue;
        }
        let mut next = at + 2;
        if tokens[at].1 == word("super") {
            let mut climbed = 1;
            while tokens.get(next).is_some_and(|(_, token)| *token == word("super")) {
                (climbed, next) = (climbed + 1, next + 2);
            }
            if climbed != depth {
                continue;
            }
        } else if tokens[at].1 != word("crate") {
            continue;
        }
        tree(tokens, next, &mut Vec::new(), &mut found);
    }
    found
}

/// Reads a path or a group of paths, and says where it is over.
fn tree(tokens: &[(usize, Token)], mut at: usize, before: &mut Vec<String>, found: &mut Vec<(usize, Vec<String>)>) -> usize {
    let length = before.len();
    let mut grouped = false;
    loop {
        match tokens.get(at) {
            Some((_, Token::Word(name))) => {
                before.push(name.clone());
                at += 1;
            }
            Some((_, Token::Mark('*'))) => at += 1,
            Some((_, Token::Mark('{'))) => {
                grouped = true;
                at += 1;
                while tokens.get(at).is_some_and(|(_, token)| *token != Token::Mark('}')) {
                    let started = at;
                    at = tree(tokens, at, before, found);
                    // `as name` and commas.
                    while tokens.get(at).is_some_and(|(_, token)| !matches!(token, Token::Mark('}' | ','))) {
                        at += 1;
                    }
                    at += usize::from(tokens.get(at).is_some_and(|(_, token)| *token == Token::Mark(',')));
                    assert!(at > started, "a group that does not end");
                }
                at += 1;
            }
            Some((_, Token::Into | Token::Mark(_))) | None => {}
        }
        if tokens.get(at).map(|(_, token)| token) != Some(&Token::Into) {
            break;
        }
        at += 1;
    }
    if !grouped {
        let line = tokens.get(at.saturating_sub(1)).map_or(0, |(line, _)| *line);
        found.push((line, before.clone()));
    }
    before.truncate(length);
    at
}
