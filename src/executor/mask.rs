//! Masking: secrets never pass this file. Bytes in, bytes out, right at whatever byte a write was cut.
//!
//! Every byte that is part of an occurrence of a secret is hidden, also where occurrences overlap; overlapping ones become one
//! `[MASKED]`. (Leftmost-longest alone would leave the tail of the second of two overlapping secrets on the screen.)
//! At the end of what came so far, the bytes that could be the beginning of a secret are held back, at most the longest secret
//! less one byte, until more comes or the stream ends. They are not let go after a silence: a slow writer would leak them.

use std::rc::Rc;

use aho_corasick::{AhoCorasick, Input, MatchKind};

use super::variants::{quoted, variants};

/// What stands in place of a secret, as GitLab has it.
const MASK: &[u8] = b"[MASKED]";
/// GitLab's least length of a masked value.
const LEAST_BYTES: usize = 8;
/// Words that stand in ordinary output; a mask would hide that and tell everybody what the secret is.
const COMMON_WORDS: [&str; 12] = [
    "password",
    "passw0rd",
    "changeme",
    "production",
    "development",
    "localhost",
    "undefined",
    "username",
    "internal",
    "registry",
    "container",
    "kubernetes",
];

/// Why a value cannot be masked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotMaskable {
    /// Shorter than eight bytes.
    #[error("it is shorter than {LEAST_BYTES} bytes, and would hide ordinary text")]
    TooShort,
    /// One line with spaces or tabs in it.
    #[error("it has white space in it")]
    WhiteSpace,
    /// A control character that is no line break.
    #[error("it has a control character in it")]
    Control,
    /// No line of it is long enough.
    #[error("none of its lines has {LEAST_BYTES} bytes")]
    ShortLines,
    /// A word of ordinary output, or one character over and over.
    #[error("it is a common word, and would hide ordinary text")]
    Common,
}

/// Whether a value can be masked: GitLab's rules (eight bytes, no white space), but values of several lines are taken, and
/// common words are not. A value that cannot be masked is to be refused, never left unmasked.
///
/// # Errors
/// Why not.
pub fn check_maskable(value: &str) -> Result<(), NotMaskable> {
    if value.len() < LEAST_BYTES {
        return Err(NotMaskable::TooShort);
    }
    if value.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        return Err(NotMaskable::Control);
    }
    let text = value.trim_end_matches(['\r', '\n']);
    if text.contains('\n') {
        let long = text.lines().any(|line| line.trim().len() >= LEAST_BYTES);
        return if long { Ok(()) } else { Err(NotMaskable::ShortLines) };
    }
    if text.len() < LEAST_BYTES {
        return Err(NotMaskable::TooShort);
    }
    if text.contains(char::is_whitespace) {
        return Err(NotMaskable::WhiteSpace);
    }
    let mut characters = text.chars();
    let first = characters.next();
    if COMMON_WORDS.contains(&text.to_ascii_lowercase().as_str()) || characters.all(|c| Some(c) == first) {
        return Err(NotMaskable::Common);
    }
    Ok(())
}

/// The secrets of one attempt, ready to be looked for.
pub(crate) struct Secrets {
    automaton: Option<AhoCorasick>,
    patterns: Vec<Vec<u8>>,
    longest: usize,
    first_bytes: [bool; 256],
}

impl Secrets {
    /// Takes the values, each line of those that have several, and the forms in which they turn up by accident.
    ///
    /// # Errors
    /// When there are too many or too long ones for one automaton.
    pub(crate) fn new<'a>(values: impl IntoIterator<Item = &'a str>) -> Result<Self, aho_corasick::BuildError> {
        let mut patterns: Vec<Vec<u8>> = Vec::new();
        for value in values {
            let whole = value.trim_end_matches(['\r', '\n']);
            if !whole.is_empty() {
                patterns.push(whole.as_bytes().to_vec());
            }
            if whole.contains('\n') {
                let lines = whole.lines().map(str::trim).filter(|line| line.len() >= LEAST_BYTES);
                patterns.extend(lines.flat_map(|line| std::iter::once(line.as_bytes().to_vec()).chain(quoted(line))));
            }
            if whole.len() >= LEAST_BYTES {
                patterns.extend(variants(whole));
            }
        }
        patterns.sort();
        patterns.dedup();
        let automaton =
            if patterns.is_empty() { None } else { Some(AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&patterns)?) };
        let longest = patterns.iter().map(Vec::len).max().unwrap_or(0);
        let mut first_bytes = [false; 256];
        for first in patterns.iter().filter_map(|pattern| pattern.first()) {
            if let Some(flag) = first_bytes.get_mut(usize::from(*first)) {
                *flag = true;
            }
        }
        Ok(Self { automaton, patterns, longest, first_bytes })
    }

    /// A whole text, masked.
    pub(crate) fn mask(&self, text: &str) -> String {
        let mut out = Vec::with_capacity(text.len());
        self.mask_until(text.as_bytes(), text.len(), 0, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    /// Where the bytes begin that cannot be decided yet: the first place from which all that is left begins a secret.
    fn undecided(&self, bytes: &[u8]) -> usize {
        let from = bytes.len().saturating_sub(self.longest.saturating_sub(1));
        let begins = |at: usize| {
            let Some(rest) = bytes.get(at..) else { return false };
            rest.first().and_then(|first| self.first_bytes.get(usize::from(*first))) == Some(&true)
                && self.patterns.iter().any(|pattern| pattern.len() > rest.len() && pattern.starts_with(rest))
        };
        (from..bytes.len()).find(|at| begins(*at)).unwrap_or(bytes.len())
    }

    /// Writes `bytes[..hold]` masked; the first `covered` bytes are part of a mask that was written already.
    /// Returns how many bytes after `hold` the last mask covers.
    fn mask_until(&self, bytes: &[u8], hold: usize, covered: usize, out: &mut Vec<u8>) -> usize {
        let mut end = covered;
        let mut from = 0;
        while let Some(found) = self.automaton.as_ref().and_then(|automaton| automaton.find(Input::new(bytes).range(from..))) {
            if found.start() >= hold {
                break;
            }
            if found.start() >= end {
                out.extend_from_slice(bytes.get(end..found.start()).unwrap_or_default());
                out.extend_from_slice(MASK);
            }
            end = end.max(found.end());
            from = found.start() + 1;
        }
        out.extend_from_slice(bytes.get(end..hold).unwrap_or_default());
        end.saturating_sub(hold)
    }
}

/// A stream being masked.
pub(crate) struct Masker {
    secrets: Rc<Secrets>,
    held: Vec<u8>,
    covered: usize,
}

impl Masker {
    /// At the beginning of a stream.
    pub(crate) fn new(secrets: Rc<Secrets>) -> Self {
        Self { secrets, held: Vec::new(), covered: 0 }
    }

    /// Takes what came and appends to `out` what may be shown.
    pub(crate) fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        let mut joined = std::mem::take(&mut self.held);
        let bytes = if joined.is_empty() {
            chunk
        } else {
            joined.extend_from_slice(chunk);
            &joined
        };
        let hold = self.secrets.undecided(bytes);
        self.covered = self.secrets.mask_until(bytes, hold, self.covered, out);
        self.held = bytes.get(hold..).unwrap_or_default().to_vec();
    }

    /// The stream ended: appends the rest, and is at the beginning of a new one.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        let rest = std::mem::take(&mut self.held);
        self.secrets.mask_until(&rest, rest.len(), self.covered, out);
        self.covered = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The law in its plainest words: every byte of every occurrence is hidden, overlapping occurrences as one.
    fn plainly(secrets: &[String], text: &[u8]) -> Vec<u8> {
        let mut spans: Vec<(usize, usize)> = Vec::new();
        for secret in secrets {
            let occurrences = text.windows(secret.len()).enumerate().filter(|(_, window)| *window == secret.as_bytes());
            spans.extend(occurrences.map(|(at, _)| (at, at + secret.len())));
        }
        spans.sort_by_key(|(start, end)| (*start, usize::MAX - end));
        let mut out = Vec::new();
        let mut end = 0;
        for (start, stop) in spans {
            if start >= end {
                out.extend_from_slice(&text[end..start]);
                out.extend_from_slice(MASK);
            }
            end = end.max(stop);
        }
        out.extend_from_slice(&text[end..]);
        out
    }

    fn streamed(secrets: &Rc<Secrets>, pieces: &[&[u8]]) -> Vec<u8> {
        let mut masker = Masker::new(Rc::clone(secrets));
        let mut out = Vec::new();
        for piece in pieces {
            masker.push(piece, &mut out);
            assert!(masker.held.len() < secrets.longest.max(1), "more is held back than a secret may need");
        }
        masker.finish(&mut out);
        out
    }

    proptest! {
        #[test]
        fn masking_holds_at_every_split_point(
            secrets in prop::collection::vec("[ab]{1,6}", 1..5),
            text in "[abc]{0,40}",
            cuts in prop::collection::vec(0usize..40, 0..6),
        ) {
            let ready = Rc::new(Secrets::new(secrets.iter().map(String::as_str)).unwrap());
            let bytes = text.as_bytes();
            let expected = plainly(&secrets, bytes);
            prop_assert_eq!(&streamed(&ready, &[bytes]), &expected);
            for at in 0..=bytes.len() {
                prop_assert_eq!(&streamed(&ready, &[&bytes[..at], &bytes[at..]]), &expected);
            }
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            prop_assert_eq!(&streamed(&ready, &single), &expected);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts {
                pieces.push(&bytes[from..cut]);
                from = cut;
            }
            pieces.push(&bytes[from..]);
            prop_assert_eq!(&streamed(&ready, &pieces), &expected);
        }

        #[test]
        fn nothing_that_cannot_begin_a_secret_is_held_back(text in "[x-z]{0,60}") {
            let mut masker = Masker::new(Rc::new(Secrets::new(["abcdefgh"]).unwrap()));
            let mut out = Vec::new();
            masker.push(text.as_bytes(), &mut out);
            prop_assert_eq!(out, text.into_bytes());
        }
    }

    #[test]
    fn overlapping_secrets_leave_no_tail() {
        let secrets = Secrets::new(["abcdefgh", "efghijkl"]).unwrap();
        assert_eq!(secrets.mask("<abcdefghijkl>"), "<[MASKED]>");
        assert_eq!(secrets.mask("abcdefghabcdefgh"), "[MASKED][MASKED]");
    }

    #[test]
    fn a_secret_in_base64_is_a_secret() {
        let secrets = Secrets::new(["hunter2-hunter2"]).unwrap();
        assert_eq!(secrets.mask("Basic dXNlcjpodW50ZXIyLWh1bnRlcjIh"), "Basic dXNlcjp[MASKED]Ih");
    }

    #[test]
    fn each_line_of_a_long_value_is_a_secret() {
        let secrets = Secrets::new(["first-line-1\nab\nsecond-line\n"]).unwrap();
        assert_eq!(secrets.mask("first-line-1\r\nab\r\nsecond-line"), "[MASKED]\r\nab\r\n[MASKED]");
        assert_eq!(secrets.mask("first-line-1\nab\nsecond-line\n"), "[MASKED]\n");
    }

    #[test]
    fn a_value_that_cannot_be_masked_is_refused_with_the_reason() {
        let table = [
            ("short", Err(NotMaskable::TooShort)),
            ("short\n\n\n", Err(NotMaskable::TooShort)),
            ("has a space", Err(NotMaskable::WhiteSpace)),
            ("bell\u{7}bell", Err(NotMaskable::Control)),
            ("a\nb\nc\nd\ne", Err(NotMaskable::ShortLines)),
            ("Password", Err(NotMaskable::Common)),
            ("00000000", Err(NotMaskable::Common)),
            ("hunter2-hunter2", Ok(())),
            ("-----BEGIN KEY-----\nMIIB\n-----END KEY-----\n", Ok(())),
        ];
        for (value, expected) in table {
            assert_eq!(check_maskable(value), expected, "{value:?}");
        }
    }
}
