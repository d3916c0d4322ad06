//! Where people are told who do not look: the operator's settings alone. A repository that named a command or an address could run and
//! send what it likes as the engine.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::table::Table;
use super::{Problem, known};
use crate::event::NoticeKind;

/// One way of telling, and of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotifySink {
    /// Of which events.
    pub on: BTreeSet<NoticeKind>,
    /// How.
    pub way: NotifyWay,
}

/// How somebody is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotifyWay {
    /// This program with these arguments, without a shell; the notice is on its standard input.
    Command(Vec<String>),
    /// A POST of the notice.
    Post {
        /// Where to: https, or http on loopback.
        url: String,
        /// A file with a bearer token.
        bearer_file: Option<PathBuf>,
        /// Certificate authorities (PEM) that speak for the server; none: the system's.
        ca: Option<PathBuf>,
    },
}

/// Without arguments and without a path: either may be secret.
impl std::fmt::Display for NotifyWay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Command(argv) => f.write_str(argv.first().map_or("", String::as_str)),
            Self::Post { url, .. } => {
                let end = url.find("://").map_or(0, |at| at + 3);
                let host = url.get(end..).unwrap_or_default().split(['/', '?', '#']).next().unwrap_or_default();
                write!(f, "{}{host}", url.get(..end).unwrap_or_default())
            }
        }
    }
}

/// Reads `notify` of the operator's file.
pub(super) fn notify(table: &Table<'_>) -> Result<Vec<NotifySink>, Problem> {
    let mut all = Vec::new();
    for (node, path) in table.list("notify") {
        let sink = Table::of(node, &path, &known::NOTIFY)?;
        let (command, post): (Vec<String>, _) = (sink.parsed_list("command")?, sink.text("post")?);
        let of_post = |key: &str| {
            let file = super::operator::absolute(&sink, key)?;
            sink.must(key, file.is_none() || sink.node("post").is_some(), "goes with `post`")?;
            Ok::<_, Problem>(file)
        };
        let (bearer_file, ca) = (of_post("bearer_file")?, of_post("ca")?);
        let way = match (command.first(), post) {
            (Some(program), None) => {
                sink.must("command", program.starts_with('/'), "name the program by its whole path, from /")?;
                NotifyWay::Command(command)
            }
            (None, Some(url)) => {
                sink.must("post", is_address(&url), "begins with https:// (http:// on loopback alone), and holds no name and no password")?;
                NotifyWay::Post { url, bearer_file, ca }
            }
            (Some(_), Some(_)) => return Err(sink.problem("post", "there is `command` too: write two entries")),
            (None, None) => return Err(sink.problem("command", "say how: a `command`, or a `post`")),
        };
        let mut on: BTreeSet<NoticeKind> = sink.parsed_list("on")?.into_iter().collect();
        if on.is_empty() {
            on = NoticeKind::WORDS.iter().map(|(_, kind)| *kind).collect();
        }
        all.push(NotifySink { on, way });
    }
    Ok(all)
}

fn is_address(url: &str) -> bool {
    let host = |rest: &str| rest.split(['/', '?', '#']).next().unwrap_or_default().to_owned();
    let local = |host: &str| {
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        matches!(name, "localhost" | "127.0.0.1" | "[::1]")
    };
    let host = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => host(rest),
        (None, Some(rest)) => Some(host(rest)).filter(|host| local(host)).unwrap_or_default(),
        (None, None) => String::new(),
    };
    !host.is_empty() && !host.contains('@') && !url.contains(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use crate::policy::Operator;

    fn read(text: &str) -> Result<Vec<super::NotifySink>, String> {
        let node = crate::document::parse(format!("notify: [{text}]").as_bytes()).unwrap();
        Operator::read(&node).map(|operator| operator.notify).map_err(|problem| problem.to_string())
    }

    #[test]
    fn a_way_is_a_program_or_an_address_that_nobody_listens_to() {
        let both =
            read("{command: [/bin/page, x], on: [gate, harm]}, {post: 'https://hooks.example.gov/a/secret', bearer_file: /etc/t}").unwrap();
        assert_eq!((both[0].on.len(), both[1].on.len()), (2, 6));
        assert_eq!((both[0].way.to_string(), both[1].way.to_string()), ("/bin/page".to_owned(), "https://hooks.example.gov".to_owned()));
        assert!(read("{post: 'http://127.0.0.1:9/x'}").is_ok());
        let table = [
            ("{on: [gate]}", "say how"),
            ("{command: [page]}", "whole path"),
            ("{command: [/bin/page], post: 'https://h'}", "two entries"),
            ("{command: [/bin/page], ca: /etc/ca.pem}", "goes with `post`"),
            ("{post: 'http://hooks.example.gov/x'}", "https://"),
            ("{post: 'https://u:p@hooks.example.gov/x'}", "no password"),
            ("{post: 'https://'}", "https://"),
            ("{command: [/bin/page], on: [moon]}", "moon"),
        ];
        for (text, wanted) in table {
            let error = read(text).unwrap_err();
            assert!(error.contains(wanted), "{text}: {error}");
        }
    }
}
