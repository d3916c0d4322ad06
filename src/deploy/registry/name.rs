//! What an image is called: registry, repository, tag, digest, with the field's shorthand for Docker Hub.
//!
//! Source: github.com/distribution/reference, `reference.go` (grammar) and `normalize.go` (defaults).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::event::{BadName, Digest};

/// What Docker Hub is called in names; its API answers elsewhere.
const HUB: &str = "docker.io";
const HUB_API: &str = "registry-1.docker.io";
/// Registry and repository together; longer names are refused by registries.
const NAME_LIMIT_BYTES: usize = 255;
const TAG_LIMIT_BYTES: usize = 128;

/// The name of an image, with nothing left out: `docker.io/library/node:18`, `registry.example.gov/irs/api@sha256:…`.
///
/// It has a tag, a digest or both; with both the digest counts and the tag is what people call it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageName {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl ImageName {
    /// Host and port of the registry as the name has them, lower case; `docker.io` for Docker Hub.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository below the registry, for instance `library/node`.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag; none where only a digest is named.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, where the name has one.
    #[must_use]
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The same repository by digest alone: what a cluster is told, because it cannot move.
    #[must_use]
    pub fn pinned(&self, digest: &Digest) -> Self {
        Self { digest: Some(digest.clone()), tag: None, ..self.clone() }
    }

    /// The same repository by another tag, without a digest.
    ///
    /// # Errors
    /// When the tag has other characters than letters, digits, `_`, `.` and `-`, begins with `.` or `-`, or has over 128.
    pub fn tagged(&self, tag: &str) -> Result<Self, BadName> {
        match check_tag(tag) {
            Ok(()) => Ok(Self { tag: Some(tag.to_owned()), digest: None, ..self.clone() }),
            Err(why) => Err(BadName { what: "image tag", given: tag.to_owned(), why }),
        }
    }

    /// The same name without its digest; the tag is `latest` where it has none.
    pub(super) fn by_tag(&self) -> Self {
        Self { tag: Some(self.tag().unwrap_or("latest").to_owned()), digest: None, ..self.clone() }
    }

    /// Where the registry's API answers.
    pub(super) fn api_host(&self) -> &str {
        if self.registry == HUB { HUB_API } else { &self.registry }
    }

    /// What the registry is asked for: the digest, else the tag.
    pub(super) fn reference(&self) -> &str {
        self.digest.as_ref().map(Digest::as_str).or(self.tag()).unwrap_or("latest")
    }
}

impl FromStr for ImageName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        parse(text).map_err(|why| BadName { what: "image name", given: without_credentials(text), why })
    }
}

impl TryFrom<String> for ImageName {
    type Error = BadName;

    fn try_from(text: String) -> Result<Self, BadName> {
        text.parse()
    }
}

impl From<ImageName> for String {
    fn from(name: ImageName) -> Self {
        name.to_string()
    }
}

/// Tags under which hms pushes what it made: `hms-` and 16 hex digits.
const OWN: &str = "hms-";

/// The tag of an image that is made of what this digest is of (`docs/decisions.md` 20.14).
#[must_use]
pub fn own_tag(made_of: &Digest) -> String {
    format!("{OWN}{}", made_of.hex().get(..16).unwrap_or_default())
}

/// Whether hms pushes under such a tag.
#[must_use]
pub fn is_own_tag(tag: &str) -> bool {
    tag.strip_prefix(OWN).is_some_and(|hex| hex.len() == 16 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// A text for an error message: what stands before an `@` that no digest follows may be a password.
fn without_credentials(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((_, rest)) if !rest.starts_with("sha") => format!("…@{rest}"),
        Some(_) | None => text.to_owned(),
    }
}

fn parse(text: &str) -> Result<ImageName, &'static str> {
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest.parse().map_err(|_| "its digest is not `sha256:` and 64 lower case hex digits")?)),
        None => (text, None),
    };
    let (registry, path) = match rest.split_once('/') {
        Some((head, path)) if is_host(head) => (head.to_ascii_lowercase(), path),
        _ => (HUB.to_owned(), rest),
    };
    let (path, tag) = match path.rsplit_once(':') {
        Some((path, tag)) => (path, Some(tag)),
        None => (path, None),
    };
    check_host(&registry)?;
    let registry = if ["index.docker.io", HUB_API].contains(&registry.as_str()) { HUB.to_owned() } else { registry };
    check_repository(path)?;
    let repository = if registry == HUB && !path.contains('/') { format!("library/{path}") } else { path.to_owned() };
    if registry.len() + 1 + repository.len() > NAME_LIMIT_BYTES {
        return Err("it is longer than 255 characters");
    }
    if let Some(tag) = tag {
        check_tag(tag)?;
    }
    let tag = tag.map(str::to_owned).or_else(|| digest.is_none().then(|| "latest".to_owned()));
    Ok(ImageName { registry, repository, tag, digest })
}

/// What stands before the first `/` is a host when it could be nothing else: `team/app` is on Docker Hub, `localhost/app` is not.
fn is_host(head: &str) -> bool {
    head.contains(['.', ':']) || head == "localhost" || head.bytes().any(|byte| byte.is_ascii_uppercase())
}

fn check_host(text: &str) -> Result<(), &'static str> {
    let (host, port) = match text.strip_prefix('[').map(|rest| rest.split_once(']').ok_or("its host has no `]`")).transpose()? {
        Some((address, rest)) => {
            address.parse::<std::net::Ipv6Addr>().map_err(|_| "what stands in `[…]` is no IPv6 address")?;
            ("ipv6", if rest.is_empty() { None } else { Some(rest.strip_prefix(':').ok_or("its host has something after `]`")?) })
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    if port.is_some_and(|port| !port.bytes().all(|byte| byte.is_ascii_digit()) || port.parse::<u16>().is_err()) {
        return Err("its port is no number up to 65535");
    }
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if host.split('.').all(label) { Ok(()) } else { Err("its host is no host name") }
}

fn check_repository(path: &str) -> Result<(), &'static str> {
    if path.is_empty() {
        return Err("it has no repository");
    }
    if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err("its repository must be lower case");
    }
    if path.split('/').all(is_component) {
        Ok(())
    } else {
        Err("each part of its repository must be letters and digits, with single `.`, one or two `_`, or `-` between them")
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(part: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let between = part.split(|character: char| character.is_ascii_lowercase() || character.is_ascii_digit());
    let ends = part.bytes().next().is_some_and(plain) && part.bytes().last().is_some_and(plain);
    ends && between.into_iter().all(|gap| matches!(gap, "" | "." | "_" | "__") || gap.bytes().all(|byte| byte == b'-'))
}

fn check_tag(tag: &str) -> Result<(), &'static str> {
    let first = tag.bytes().next().ok_or("its tag is empty")?;
    if tag.len() > TAG_LIMIT_BYTES {
        return Err("its tag is longer than 128 characters");
    }
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if word(first) && tag.bytes().all(|byte| word(byte) || matches!(byte, b'.' | b'-')) {
        Ok(())
    } else {
        Err("its tag may hold letters, digits, `_`, `.` and `-`, and begins with none of the last two")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_read_as_the_field_reads_them() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let pinned = format!("registry.example.gov/irs/api@{digest}");
        let both = format!("registry.example.gov/irs/api:v1@{digest}");
        let table = [
            ("node", "docker.io/library/node:latest"),
            ("node:18", "docker.io/library/node:18"),
            ("team/app", "docker.io/team/app:latest"),
            ("docker.io/node", "docker.io/library/node:latest"),
            ("index.docker.io/node", "docker.io/library/node:latest"),
            ("localhost/app", "localhost/app:latest"),
            ("localhost:5000/app:v1", "localhost:5000/app:v1"),
            ("127.0.0.1:5000/a/b/c", "127.0.0.1:5000/a/b/c:latest"),
            ("[::1]:5000/app", "[::1]:5000/app:latest"),
            ("Registry.Example/app", "registry.example/app:latest"),
            ("registry.example/a__b/c---d:V_1.0-x", "registry.example/a__b/c---d:V_1.0-x"),
            (pinned.as_str(), pinned.as_str()),
            (both.as_str(), both.as_str()),
        ];
        for (given, wanted) in table {
            let name: ImageName = given.parse().unwrap();
            assert_eq!(name.to_string(), wanted, "{given}");
            assert_eq!(name.to_string().parse::<ImageName>().unwrap(), name, "{given}");
        }
        let hub: ImageName = "node".parse().unwrap();
        assert_eq!((hub.registry(), hub.api_host(), hub.reference()), ("docker.io", "registry-1.docker.io", "latest"));
        let both: ImageName = both.parse().unwrap();
        assert_eq!((both.reference(), both.tag()), (digest.as_str(), Some("v1")));
        assert_eq!(both.pinned(&digest.parse().unwrap()).to_string(), pinned);
    }

    #[test]
    fn what_is_no_name_is_refused_with_the_reason() {
        let long = "a/".repeat(130) + "a";
        let table = [
            ("", "no repository"),
            ("registry.example/", "no repository"),
            ("registry.example/App", "lower case"),
            ("a..b", "each part"),
            ("a___b", "each part"),
            ("a//b", "each part"),
            ("-a", "each part"),
            ("../etc", "host"),
            ("a b", "each part"),
            ("a:", "tag is empty"),
            ("a:-x", "tag may hold"),
            ("a:é", "tag may hold"),
            ("a@sha256:1234", "digest"),
            ("a@sha512:1234", "digest"),
            ("localhost:99999/a", "port"),
            ("localhost:+1/a", "port"),
            ("localhost:/a", "port"),
            ("[::1/a", "`]`"),
            ("[x]/a:1", "each part"),
            ("[::g]:1/a", "IPv6"),
            ("ex_ample.com/a", "host"),
            ("user:secret@registry.example/a", "digest"),
            (long.as_str(), "255"),
        ];
        for (given, why) in table {
            let refused = given.parse::<ImageName>().unwrap_err();
            assert!(refused.why.contains(why), "{given}: {refused}");
        }
        let refused = "user:secret@registry.example/a".parse::<ImageName>().unwrap_err();
        assert!(!refused.to_string().contains("secret"), "{refused}");
        let name: ImageName = "a".parse().unwrap();
        assert!(name.tagged("v 1").is_err());
        assert_eq!(name.tagged(&"x".repeat(128)).unwrap().tag().map(str::len), Some(128));
        assert!(name.tagged(&"x".repeat(129)).is_err());
    }

    proptest! {
        #[test]
        fn a_name_written_out_is_the_same_name(text in "([a-z]{1,4}(\\.[a-z]{1,3})?(:[0-9]{1,4})?/)?[a-z0-9._/-]{1,20}(:[A-Za-z0-9._-]{1,8})?") {
            if let Ok(name) = text.parse::<ImageName>() {
                prop_assert_eq!(name.to_string().parse::<ImageName>().unwrap(), name);
            }
        }
    }
}
