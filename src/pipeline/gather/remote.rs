//! `include: remote` (GitLab `lib/gitlab/ci/config/external/file/remote.rb`, `entry/concerns/base_include.rb`): an address, what its
//! bytes must be, and for how long they may be kept. Nothing is fetched here: the bytes come from a [`Files`](crate::pipeline::Files).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::Gatherer;
use super::include::{Wanted, What};
use crate::document::{Entry, Node, Place, Value};
use crate::event::Digest;
use crate::pipeline::duration;
use crate::pipeline::files::{Foreign, Remote};

/// For how long `cache: true` keeps a file, and the least that may be asked for (GitLab's).
const CACHE_SECONDS: u64 = 60 * 60;
const LEAST_CACHE_SECONDS: u64 = 60;

/// A file at an address, as it was when a pipeline was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetched {
    /// Where it was.
    pub address: String,
    /// What its bytes come to.
    pub digest: Digest,
    /// Whether the pipeline says itself what they must come to.
    pub pinned: bool,
}

/// A value that cannot be meant; its problem is told.
struct AlreadyTold;

impl Gatherer<'_, '_> {
    /// A file at an address, wanted; of `item` the rest of what its entry says.
    pub(super) fn remote(&mut self, address: &str, item: Option<&Node>, place: Place, inputs: Vec<Entry>, all: &mut Vec<Wanted>) {
        let Some(rest) = address.strip_prefix("https://") else {
            let message = format!("`{address}` cannot be included: it is no address that starts with `https://`");
            self.context.problems.error(place, "include-refused", message).hint("whoever is on the way to it could change what runs");
            return;
        };
        if rest.split(['/', '?', '#']).next().is_some_and(|host| host.contains('@')) {
            let message = "an address with a name or password in it cannot be included";
            self.context.problems.error(place, "include-refused", message).hint("commit a copy of the file, and include that with `local`");
            return;
        }
        let file = rest.split_once('/').map_or("", |(_, path)| path.rsplit('/').next().unwrap_or_default());
        if file.is_empty() {
            self.context.problems.error(place, "include-refused", format!("`{address}` names no file"));
            return;
        }
        if !self.is_yaml(file, place) {
            return;
        }
        let field =
            |key: &str| item.and_then(|item| item.entries()?.iter().find(|entry| entry.key == key)).filter(|field| !field.value.is_null());
        let integrity = field("integrity").map(|field| self.integrity(field)).transpose();
        let cache_seconds = field("cache").map(|field| self.cache(field)).transpose();
        let (Ok(integrity), Ok(cache_seconds)) = (integrity, cache_seconds) else { return };
        let cache_seconds = cache_seconds.flatten();
        let remote = Remote { address: address.to_owned(), integrity, cache_seconds };
        all.push(Wanted { what: What::Remote(remote), name: address.to_owned(), place, inputs, component: None });
    }

    /// The bytes of one, which are those that it says. None when they cannot be had; the problem is told.
    pub(super) fn fetched(&mut self, remote: &Remote, place: Place) -> Option<Vec<u8>> {
        const WAY_OUT: &str = "commit a copy of it, and include that with `local`";
        let address = &remote.address;
        let bytes = match self.around.files.foreign(&Foreign::Remote(remote.clone())) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => {
                self.context.problems.error(place, "unknown-include", format!("`{address}` is not there")).hint(WAY_OUT);
                return None;
            }
            Err(why) => {
                let message = format!("`{address}` cannot be included: {why}");
                self.context.problems.error(place, "include-refused", message).hint(WAY_OUT);
                return None;
            }
        };
        let digest = Digest::of(&bytes);
        match &remote.integrity {
            Some(expected) if *expected != digest => {
                let message = format!("`{address}` is not what its `integrity` says: its bytes come to `{}`", written(&digest));
                self.context.problems.error(place, "integrity", message).hint("look at what changed in it before you write that down");
                return None;
            }
            Some(_) => {}
            None => {
                let message = format!("`{address}` has no `integrity`: whoever answers there can change what runs");
                let hint = format!("`integrity: {}` says that it is what it was just now", written(&digest));
                self.context.problems.warning(place, "unpinned-include", message).hint(hint);
            }
        }
        let fetched = Fetched { address: address.clone(), digest, pinned: remote.integrity.is_some() };
        if !self.fetched.contains(&fetched) {
            self.fetched.push(fetched);
        }
        Some(bytes)
    }

    fn integrity(&mut self, field: &Entry) -> Result<Digest, AlreadyTold> {
        let subject = "an entry of `include`: `integrity`";
        let text = self.context.text(subject, &field.value, field.place).ok_or(AlreadyTold)?;
        let sum = text.strip_prefix("sha256-").map(|sum| STANDARD.decode(sum));
        let why = match sum {
            None => "does not start with `sha256-`",
            Some(Err(_)) => "is not base64 after `sha256-`",
            Some(Ok(sum)) => match <[u8; 32]>::try_from(sum) {
                Ok(sum) => return Ok(Digest::from_sha256(&sum)),
                Err(_) => "is not the length of a SHA-256",
            },
        };
        let hint = "`openssl dgst -sha256 -binary FILE | base64` says what comes after `sha256-`";
        self.context.problems.error(field.value.place, "integrity", format!("{subject} {why}")).hint(hint);
        Err(AlreadyTold)
    }

    /// For how long; none for not at all.
    fn cache(&mut self, field: &Entry) -> Result<Option<u64>, AlreadyTold> {
        let subject = "an entry of `include`: `cache`";
        let seconds = match &field.value.value {
            Value::Bool(kept) => return Ok(kept.then_some(CACHE_SECONDS)),
            Value::String(text) => duration::parse(text),
            Value::Null | Value::Integer(_) | Value::Float(_) | Value::Sequence(_) | Value::Mapping(_) | Value::Reference(_) => {
                self.context.wrong_type(subject, "true, false or a duration", &field.value, field.place);
                return Err(AlreadyTold);
            }
        };
        if seconds.is_none_or(|seconds| seconds < LEAST_CACHE_SECONDS) {
            let message = format!("{subject} must be a duration of a minute or more");
            self.context.problems.error(field.value.place, "duration", message).hint("for instance `cache: 1 day`");
            return Err(AlreadyTold);
        }
        Ok(seconds)
    }
}

/// As `integrity` is written.
fn written(digest: &Digest) -> String {
    let hex = digest.hex().as_bytes();
    let pair = |pair: &[u8]| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let sum: Vec<u8> = hex.chunks(2).filter_map(pair).collect();
    format!("sha256-{}", STANDARD.encode(sum))
}
