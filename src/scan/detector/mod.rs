//! What a secret looks like: one file for each vendor or family, all written from the vendors' published formats.
//!
//! The contract of a member: a table `RULES` of [`Rule`]s. A rule names the literal words that a match starts with, a pattern
//! that is tried at each such word and nowhere else, and a judge that sees the candidate with its surroundings and says
//! which bytes are the secret, if any. Precision goes before reach: a checksum is verified where the format has one, samples
//! from documentation and placeholders are passed over. No source here may hold a text that its own rules would report.
//! The smallest example is `sendgrid.rs`.
//!
//! A judge must depend on nothing further than [`REACH`] from the word: files are read in windows, and what is found must
//! not depend on where a window ends.

mod anthropic;
mod aws;
mod azure;
mod checksum;
mod digitalocean;
mod docker;
mod github;
mod gitlab;
mod google;
mod huggingface;
mod json_web_token;
mod npm;
mod openai;
mod private_key;
mod pypi;
mod sendgrid;
mod slack;
mod stripe;
mod token;
mod twilio;
mod vault;

use std::ops::Range;

use super::severity::Severity;

/// How far from its keyword, to either side, a rule may look, in bytes.
pub(crate) const REACH: usize = 4096;

/// One kind of secret.
#[derive(Debug)]
pub(crate) struct Rule {
    /// The rule's id, stable: reports and fingerprints hold it.
    pub(crate) id: &'static str,
    /// What it is, for people.
    pub(crate) title: &'static str,
    /// How bad one is.
    pub(crate) severity: Severity,
    /// The words a match starts with, letter by letter.
    pub(crate) keywords: &'static [&'static str],
    /// What may stand before the word.
    pub(crate) start: Start,
    /// The pattern, tried at the word only. A group `value` is the candidate; without one it is the whole match.
    pub(crate) pattern: &'static str,
    /// Says which bytes of the surroundings are the secret, or that there is none.
    pub(crate) judge: fn(&Candidate<'_>) -> Option<Range<usize>>,
}

/// What may stand before a rule's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// Nothing that could be part of the same token.
    OfToken,
    /// Anything: the format proves itself.
    Anywhere,
}

/// A match of a rule's pattern with what is around it.
#[derive(Debug)]
pub(crate) struct Candidate<'a> {
    /// The match and up to [`REACH`] bytes to either side of its start.
    pub(crate) around: &'a [u8],
    /// The whole match.
    pub(crate) matched: Range<usize>,
    /// The candidate for the secret.
    pub(crate) value: Range<usize>,
}

impl Candidate<'_> {
    /// The bytes of the candidate for the secret.
    pub(crate) fn value(&self) -> &[u8] {
        self.around.get(self.value.clone()).unwrap_or_default()
    }

    /// The bytes before the match.
    pub(crate) fn before(&self) -> &[u8] {
        self.around.get(..self.matched.start).unwrap_or_default()
    }

    /// The bytes after the match.
    pub(crate) fn after(&self) -> &[u8] {
        self.around.get(self.matched.end..).unwrap_or_default()
    }
}

/// Every rule of every member.
pub(crate) fn all() -> impl Iterator<Item = &'static Rule> {
    [
        anthropic::RULES,
        aws::RULES,
        azure::RULES,
        digitalocean::RULES,
        docker::RULES,
        github::RULES,
        gitlab::RULES,
        google::RULES,
        huggingface::RULES,
        json_web_token::RULES,
        npm::RULES,
        openai::RULES,
        private_key::RULES,
        pypi::RULES,
        sendgrid::RULES,
        slack::RULES,
        stripe::RULES,
        twilio::RULES,
        vault::RULES,
    ]
    .into_iter()
    .flatten()
}

pub(crate) use token::starts_token;

#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;
