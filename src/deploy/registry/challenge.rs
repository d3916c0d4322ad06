//! What a registry wants to see: `WWW-Authenticate` read to a challenge, and the scopes of a token. Pure.
//!
//! Source: RFC 9110, 11.6.1; github.com/distribution/distribution, docs/content/spec/auth/token.md and scope.md.

use std::collections::{BTreeMap, BTreeSet};

/// How a registry wants to be shown who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// Name and password with each request.
    Basic,
    /// A token from a token server.
    Bearer {
        /// The token server's address.
        realm: String,
        /// What the registry calls itself there.
        service: Option<String>,
        /// What the registry says the request needs.
        scopes: Scopes,
    },
}

/// Resources and what is to be done to each: `repository:irs/api:pull,push`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Scopes(BTreeMap<String, BTreeSet<String>>);

impl Scopes {
    /// These actions on a repository.
    pub(super) fn of(repository: &str, actions: &[&str]) -> Self {
        let mut scopes = Self::default();
        scopes.add(&format!("repository:{repository}"), actions.iter().copied());
        scopes
    }

    /// Both together.
    pub(super) fn and(mut self, other: &Self) -> Self {
        for (resource, actions) in &other.0 {
            self.add(resource, actions.iter().map(String::as_str));
        }
        self
    }

    /// One text a resource, as the token server reads them.
    pub(super) fn texts(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(resource, actions)| {
            let actions: Vec<&str> = actions.iter().map(String::as_str).collect();
            format!("{resource}:{}", actions.join(","))
        })
    }

    fn parse(text: &str) -> Self {
        let mut scopes = Self::default();
        for one in text.split_ascii_whitespace() {
            if let Some((resource, actions)) = one.rsplit_once(':') {
                scopes.add(resource, actions.split(','));
            }
        }
        scopes
    }

    fn add<'a>(&mut self, resource: &str, actions: impl Iterator<Item = &'a str>) {
        let actions = actions.filter(|action| !action.is_empty()).map(str::to_owned);
        self.0.entry(resource.to_owned()).or_default().extend(actions);
    }
}

/// The challenge to answer among those of all header lines: `Bearer` before `Basic`; others hms cannot answer.
pub(super) fn challenge<'a>(headers: impl Iterator<Item = &'a str>) -> Option<Challenge> {
    let mut basic = None;
    for (scheme, mut parameters) in headers.flat_map(challenges) {
        if scheme.eq_ignore_ascii_case("bearer")
            && let Some(realm) = parameters.remove("realm")
        {
            let scopes = parameters.remove("scope").map(|scope| Scopes::parse(&scope)).unwrap_or_default();
            return Some(Challenge::Bearer { realm, service: parameters.remove("service"), scopes });
        }
        if scheme.eq_ignore_ascii_case("basic") {
            basic = Some(Challenge::Basic);
        }
    }
    basic
}

/// Every challenge of a line: its scheme, and its parameters by lower-case name.
fn challenges(line: &str) -> Vec<(String, BTreeMap<String, String>)> {
    let mut found: Vec<(String, BTreeMap<String, String>)> = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (word, after) = token(rest);
        if word.is_empty() {
            return found;
        }
        rest = after.trim_start_matches([' ', '\t']);
        // A token before `=` is a parameter; else it opens a challenge.
        let value = rest.strip_prefix('=').map(|rest| rest.trim_start_matches([' ', '\t'])).filter(|_| !found.is_empty());
        let Some(value) = value else {
            found.push((word.to_owned(), BTreeMap::new()));
            continue;
        };
        let (value, after) = value.strip_prefix('"').map_or_else(|| bare(value), quoted);
        if let Some((_, parameters)) = found.last_mut() {
            parameters.insert(word.to_ascii_lowercase(), value);
        }
        rest = after;
    }
}

fn token(text: &str) -> (&str, &str) {
    let is_token = |character: char| character.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(character);
    text.split_at(text.find(|character| !is_token(character)).unwrap_or(text.len()))
}

/// A value without quotes; some registries put there what only quotes allow.
fn bare(text: &str) -> (String, &str) {
    let (value, rest) = text.split_at(text.find([',', ' ', '\t']).unwrap_or(text.len()));
    (value.to_owned(), rest)
}

/// What stands before the closing quote, without its backslashes.
fn quoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, text.get(at + 1..).unwrap_or_default()),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scopes: &str) -> Challenge {
        Challenge::Bearer { realm: realm.to_owned(), service: service.map(str::to_owned), scopes: Scopes::parse(scopes) }
    }

    #[test]
    fn challenges_are_read_as_registries_write_them() {
        let hub = r#"Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a/b:pull,push""#;
        let table: [(&[&str], Option<Challenge>); 10] = [
            (&[hub], Some(bearer("https://auth.example/token", Some("registry.example"), "repository:a/b:pull,push"))),
            (&[r#"Basic realm="Registry Realm""#], Some(Challenge::Basic)),
            (&["Basic"], Some(Challenge::Basic)),
            (&[r#"Basic realm="x", Bearer realm="https://a.example""#], Some(bearer("https://a.example", None, ""))),
            (&["Basic realm=x", r#"bearer Realm = "https://a.example" , Service = s"#], Some(bearer("https://a.example", Some("s"), ""))),
            (&[r#"Bearer realm="https://a.example/?x=\"1\",2",scope="""#], Some(bearer("https://a.example/?x=\"1\",2", None, ""))),
            (&["Bearer service=x"], None),
            (&["Negotiate abc=="], None),
            (&["", ",,, ", "=x", "\""], None),
            (&[r#"Bearer realm="https://never.closed"#], Some(bearer("https://never.closed", None, ""))),
        ];
        for (lines, wanted) in table {
            assert_eq!(challenge(lines.iter().copied()), wanted, "{lines:?}");
        }
    }

    #[test]
    fn scopes_are_one_text_a_resource() {
        let scopes =
            Scopes::of("a/b", &["pull"]).and(&Scopes::parse("repository:a/b:push,pull repository:c:pull registry:catalog:* nonsense"));
        let texts: Vec<String> = scopes.texts().collect();
        assert_eq!(texts, ["registry:catalog:*", "repository:a/b:pull,push", "repository:c:pull"]);
    }

    proptest! {
        #[test]
        fn any_header_is_read_to_its_end(line in "([A-Za-z]{1,6}|[ ,=\"\\\\:]|\\PC){0,40}") {
            let _ = challenge([line.as_str()].into_iter());
        }
    }
}
