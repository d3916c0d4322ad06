//! One pass over bytes: an automaton finds the rules' words, and only there the rules' patterns are tried.
//!
//! The time is linear in the bytes: a pattern runs forward from its word over at most `REACH` bytes, without backtracking.

use std::ops::Range;

use aho_corasick::{AhoCorasick, MatchKind};
use regex::bytes::{Regex, RegexBuilder};

use super::detector::{self, Candidate, REACH, Rule, Start, starts_token};

/// The rules could not be made ready. They are part of the program, so this is a defect of it.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The words make no automaton.
    #[error("the rules' words cannot be used")]
    Words(#[source] aho_corasick::BuildError),
    /// A pattern does not compile.
    #[error("the pattern of rule `{rule}` cannot be used")]
    Pattern {
        /// The rule's id.
        rule: &'static str,
        /// Why not.
        #[source]
        source: Box<regex::Error>,
    },
}

/// All rules, ready to search.
pub(crate) struct Searcher {
    words: AhoCorasick,
    /// By number of the word: its rule.
    owners: Vec<Compiled>,
    longest_word: usize,
}

/// A secret found in a piece of a file.
#[derive(Debug, Clone)]
pub(crate) struct Hit {
    /// The rule that found it.
    pub(crate) rule: &'static Rule,
    /// Where in the piece it is.
    pub(crate) value: Range<usize>,
}

#[derive(Clone)]
struct Compiled {
    rule: &'static Rule,
    pattern: Regex,
}

impl Searcher {
    /// Makes the rules ready.
    pub(crate) fn new() -> Result<Self, SearchError> {
        let mut words = Vec::new();
        let mut owners = Vec::new();
        for rule in detector::all() {
            let pattern = RegexBuilder::new(&format!(r"\A(?:{})", rule.pattern))
                .unicode(false)
                .size_limit(4 << 20)
                .build()
                .map_err(|source| SearchError::Pattern { rule: rule.id, source: Box::new(source) })?;
            for word in rule.keywords {
                words.push(*word);
                owners.push(Compiled { rule, pattern: pattern.clone() });
            }
        }
        let longest_word = words.iter().map(|word| word.len()).max().unwrap_or_default();
        let words = AhoCorasick::builder().match_kind(MatchKind::Standard).build(&words).map_err(SearchError::Words)?;
        Ok(Self { words, owners, longest_word })
    }

    /// Finds the secrets whose word starts in `core`. What they are found by lies within `REACH` of the word, so the piece
    /// must reach that far beyond the core to both sides, but at the ends of the file.
    pub(crate) fn search(&self, piece: &[u8], core: Range<usize>, mut found: impl FnMut(Hit)) {
        let end = core.end.saturating_add(self.longest_word).min(piece.len());
        let Some(searched) = piece.get(core.start..end) else { return };
        for word in self.words.find_overlapping_iter(searched) {
            let at = core.start + word.start();
            if at >= core.end {
                continue;
            }
            let Some(owner) = self.owners.get(word.pattern().as_usize()) else { continue };
            if let Some(value) = owner.examine(piece, at) {
                found(Hit { rule: owner.rule, value });
            }
        }
    }
}

impl Compiled {
    fn examine(&self, piece: &[u8], at: usize) -> Option<Range<usize>> {
        let low = at.saturating_sub(REACH);
        let high = at.saturating_add(REACH).min(piece.len());
        if self.rule.start == Start::OfToken && !starts_token(piece.get(low..at)?) {
            return None;
        }
        let captures = self.pattern.captures(piece.get(at..high)?)?;
        let whole = captures.get(0)?;
        let value = captures.name("value").unwrap_or(whole);
        let shift = at - low;
        let candidate = Candidate {
            around: piece.get(low..high)?,
            matched: shift..shift + whole.end(),
            value: shift + value.start()..shift + value.end(),
        };
        let value = (self.rule.judge)(&candidate)?;
        Some(low + value.start..low + value.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_usable_and_matches_start_with_a_word() {
        Searcher::new().unwrap();
        for rule in detector::all() {
            assert!(!rule.keywords.is_empty() && rule.keywords.iter().all(|word| !word.is_empty()), "{}", rule.id);
        }
    }
}
