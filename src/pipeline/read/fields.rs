//! Values of the types that keywords take, with one wording for what is not of its type.

use crate::document::{Entry, Node, Place, Value};
use crate::pipeline::duration;
use crate::pipeline::keyword::{Standing, standing};
use crate::pipeline::problem::Problems;

/// What every part of the reading needs.
pub(in crate::pipeline) struct Context {
    pub(in crate::pipeline) problems: Problems,
    /// The deviations from GitLab are off.
    pub(super) strict: bool,
    pub(super) purpose: Purpose,
}

/// What a file is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Purpose {
    /// To be run: what no engine carries out yet is an error.
    #[default]
    Run,
    /// To be looked at: it is a warning.
    Look,
}

/// How long something may be.
#[derive(Clone, Copy)]
pub(super) struct Limit {
    seconds: u64,
    word: &'static str,
}

/// GitLab's limit for `timeout`: Rails' `1.month`.
pub(super) const MONTH: Limit = Limit { seconds: 2_629_746, word: "month" };
/// GitLab's limit for `start_in`.
pub(super) const WEEK: Limit = Limit { seconds: 7 * 86_400, word: "week" };

/// GitLab takes fewer than this (`entry/tags.rb`: `parsed_tags.size >= TAGS_LIMIT`).
const TAG_LIMIT: usize = 50;

type Table = [(&'static str, Standing)];

impl Context {
    pub(in crate::pipeline) fn wrong_type(&mut self, subject: &str, wanted: &str, node: &Node, place: Place) {
        self.problems
            .error(at(node, place), "type", format!("{subject} must be {wanted}, not {}", node.kind()))
            .hint(quote_hint(node, wanted));
    }

    /// The entries of a mapping whose keywords are done; of the others a problem is told here. A key of nothing says nothing
    /// (`entry/factory.rb`, `Unspecified`; `allow_nil`): who must have one looks for a value.
    pub(in crate::pipeline) fn keywords<'e>(&mut self, subject: &str, table: &Table, entries: &'e [Entry]) -> Vec<&'e Entry> {
        let said = |entry: &&Entry| self.keyword(subject, table, entry);
        entries.iter().filter(said).filter(|entry| !entry.value.is_null()).collect()
    }

    /// Whether a mapping says something under a key.
    pub(super) fn says(node: &Node, key: &str) -> bool {
        node.get(key).is_some_and(|value| !value.is_null())
    }

    fn keyword(&mut self, subject: &str, table: &Table, entry: &Entry) -> bool {
        let key = &entry.key;
        let of = if subject.is_empty() { String::new() } else { format!("{subject}: ") };
        match standing(table, key) {
            Some(Standing::Done) => true,
            Some(Standing::Warned(why)) => {
                self.problems.warning(entry.place, "not-honoured", format!("{of}`{key}` is not honoured: {why}"));
                // Still handed on: what is not honoured may be recorded.
                true
            }
            // `services: []` needs none, and is how a job does without the default.
            Some(Standing::Planned(_)) if entry.value.items().is_some_and(<[Node]>::is_empty) => true,
            Some(Standing::Planned(why)) => {
                self.not_yet(entry.place, format!("{of}`{key}` is not carried out yet"), why);
                true
            }
            Some(Standing::Refused(why)) => {
                self.problems.error(entry.place, "refused-keyword", format!("{of}`{key}` is not supported")).hint(why);
                false
            }
            None => {
                let names = table.iter().map(|(name, _)| *name);
                self.problems.error(entry.place, "unknown-key", format!("{of}unknown key `{key}`")).suggest(key, names, None);
                false
            }
        }
    }

    /// Something that is planned and that no engine does yet.
    pub(super) fn not_yet(&mut self, place: Place, message: String, why: &str) {
        match self.purpose {
            Purpose::Run => self.problems.error(place, "refused-keyword", message).hint(why),
            Purpose::Look => self.problems.warning(place, "not-honoured", message).hint(why),
        }
    }

    /// The entries, or a problem. `place` is the key's, for when there is no value.
    pub(in crate::pipeline) fn entries<'n>(&mut self, subject: &str, node: &'n Node, place: Place) -> Option<&'n [Entry]> {
        let entries = node.entries();
        if entries.is_none() {
            self.wrong_type(subject, "a mapping", node, place);
        }
        entries
    }

    pub(in crate::pipeline) fn text(&mut self, subject: &str, node: &Node, place: Place) -> Option<String> {
        match node.as_str() {
            Some(text) if !text.trim().is_empty() => Some(text.to_owned()),
            Some(_) => {
                self.problems.error(node.place, "blank", format!("{subject} is blank"));
                None
            }
            None => {
                self.wrong_type(subject, "text", node, place);
                None
            }
        }
    }

    pub(in crate::pipeline) fn truth(&mut self, subject: &str, node: &Node, place: Place) -> Option<bool> {
        let truth = node.as_bool();
        if truth.is_none() {
            self.wrong_type(subject, "true or false", node, place);
        }
        truth
    }

    /// A list of texts.
    pub(in crate::pipeline) fn texts(&mut self, subject: &str, node: &Node, place: Place) -> Vec<String> {
        let Some(items) = node.items() else {
            self.wrong_type(subject, "a list", node, place);
            return Vec::new();
        };
        items.iter().filter_map(|item| self.text(&format!("an entry of {subject}"), item, place)).collect()
    }

    /// A text or a list of texts.
    pub(in crate::pipeline) fn text_or_texts(&mut self, subject: &str, node: &Node, place: Place) -> Vec<String> {
        if node.as_str().is_some() { self.text(subject, node, place).into_iter().collect() } else { self.texts(subject, node, place) }
    }

    /// A whole number, or a list of them.
    pub(super) fn integers(&mut self, subject: &str, node: &Node, place: Place) -> Vec<i32> {
        let single = std::slice::from_ref(node);
        let mut numbers = Vec::new();
        for item in node.items().unwrap_or(single) {
            match item.as_integer().and_then(|number| i32::try_from(number).ok()) {
                Some(number) => numbers.push(number),
                None => self.wrong_type(subject, "a whole number or a list of them", item, place),
            }
        }
        numbers
    }

    /// `tags`, as many as GitLab takes; the same one twice is one.
    pub(super) fn tags(&mut self, subject: &str, node: &Node, place: Place) -> Vec<String> {
        let tags = self.texts(subject, node, place);
        let count = tags.iter().collect::<std::collections::HashSet<_>>().len();
        if count >= TAG_LIMIT {
            self.problems.error(node.place, "too-many-tags", format!("{subject} has {count} tags; fewer than {TAG_LIMIT} are allowed"));
        }
        tags
    }

    /// A duration in seconds, at most as long as the limit.
    pub(super) fn duration(&mut self, subject: &str, node: &Node, place: Place, limit: Limit) -> Option<u64> {
        const EXAMPLE: &str = "for instance `90 seconds` or `1h 30m`";
        let text = self.text(subject, node, place)?;
        let seconds = duration::parse(&text);
        match seconds {
            None => {
                let message = format!("{subject} is `{}`, which is no duration", shorten(&text));
                self.problems.error(node.place, "duration", message).hint(EXAMPLE);
            }
            Some(seconds) if seconds > limit.seconds => {
                self.problems.error(node.place, "duration", format!("{subject} is longer than a {}", limit.word)).hint(EXAMPLE);
            }
            Some(_) => {}
        }
        seconds
    }

    /// One of a few words.
    pub(in crate::pipeline) fn word<T: Copy>(
        &mut self,
        subject: &str,
        words: &[(&'static str, T)],
        node: &Node,
        place: Place,
    ) -> Option<T> {
        let given = self.text(subject, node, place)?;
        let found = words.iter().find(|(word, _)| *word == given).map(|(_, value)| *value);
        if found.is_none() {
            let all = words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
            let told =
                self.problems.error(node.place, "unknown-value", format!("{subject} is `{}`, which is none of {all}", shorten(&given)));
            told.suggest(&given, words.iter().map(|(word, _)| *word), None);
        }
        found
    }
}

/// The value's place, or the key's when nothing stands there.
pub(super) fn at(node: &Node, key: Place) -> Place {
    if node.is_null() { key } else { node.place }
}

/// At most 80 characters of something given, for a message.
pub(super) fn shorten(text: &str) -> String {
    if text.chars().count() <= 80 { text.to_owned() } else { text.chars().take(80).chain(['…']).collect() }
}

fn quote_hint(node: &Node, wanted: &str) -> String {
    match &node.value {
        Value::Mapping(_) if wanted.starts_with("a list") => "each item of a list is a line that begins with `- `".to_owned(),
        Value::Bool(_) | Value::Integer(_) | Value::Float(_) => "if text is meant, put it in quotes".to_owned(),
        Value::Mapping(entries) if entries.len() == 1 => "text that contains `: ` must be in quotes".to_owned(),
        Value::Null => "write a value, or remove the key".to_owned(),
        Value::Mapping(_) | Value::Sequence(_) | Value::String(_) | Value::Reference(_) => {
            "see the keyword in GitLab's reference of `.gitlab-ci.yml`".to_owned()
        }
    }
}
