//! A file read once, in windows that overlap: hashed and searched with bounded memory, whatever its size.
//!
//! Each byte belongs to the core of exactly one window, and every window reaches `REACH` beyond its core to both sides, so a
//! secret is found wherever it lies, and once.

use std::collections::BTreeSet;
use std::io::{self, Read};

use sha2::Digest as _;

use super::detector::REACH;
use super::mask;
use super::place::Place;
use super::search::{Hit, Searcher};
use super::severity::Severity;
use crate::event::Digest;

/// The size of a window in bytes, overlap and all.
pub(crate) const WINDOW: usize = 1 << 20;

/// How many secrets of one file are reported; more are counted as a limit that was hit.
pub(crate) const SECRETS_PER_FILE: usize = 1000;

/// What reading a file brought.
#[derive(Debug)]
pub(crate) struct Contents {
    /// SHA-256 of its bytes: the very bytes that were searched.
    pub(crate) sha256: Digest,
    /// Its length in bytes.
    pub(crate) bytes: u64,
    /// What was found, in order of place.
    pub(crate) secrets: Vec<Secret>,
    /// Whether there were more than [`SECRETS_PER_FILE`].
    pub(crate) limit_hit: bool,
    /// Its first bytes, as many as there are up to 8.
    pub(crate) head: Vec<u8>,
}

/// A secret in a file. It holds nothing that opens anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Secret {
    /// The rule's id.
    pub(crate) rule: &'static str,
    /// What it is, for people.
    pub(crate) title: &'static str,
    /// How bad it is.
    pub(crate) severity: Severity,
    /// Where it starts.
    pub(crate) place: Place,
    /// The value, masked.
    pub(crate) masked: String,
    /// Its name across scans.
    pub(crate) fingerprint: String,
}

/// Reads to the end. `name` is the file's name in the report; it goes into the fingerprints.
pub(crate) fn read(reader: &mut dyn Read, name: &str, searcher: &Searcher, window: usize) -> io::Result<Contents> {
    let window = window.max(2 * REACH + 1);
    let mut contents = Contents { sha256: Digest::of(b""), bytes: 0, secrets: Vec::new(), limit_hit: false, head: Vec::new() };
    let mut sum = sha2::Sha256::new();
    let mut seen = BTreeSet::new();
    let mut buffer = vec![0; window];
    // What the buffer's first byte is: its offset in the file, and its place.
    let mut offset: u64 = 0;
    let mut origin = Place::START;
    let mut filled = 0;
    let mut core_start = 0;
    loop {
        let read = read_full(reader, buffer.get_mut(filled..).unwrap_or_default())?;
        sum.update(buffer.get(filled..filled + read).unwrap_or_default());
        filled += read;
        contents.bytes = contents.bytes.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        let last = filled < buffer.len();
        let piece = buffer.get(..filled).unwrap_or_default();
        if contents.head.is_empty() {
            contents.head = piece.get(..piece.len().min(8)).unwrap_or_default().to_vec();
        }
        let core_end = if last { filled } else { filled - REACH };
        let mut hits = Vec::new();
        // Beyond the limit the file is only hashed: it cannot make the program work and hold ever more. What is left out is said.
        let core = if contents.limit_hit { core_end..core_end } else { core_start..core_end };
        searcher.search(piece, core, |hit| {
            if contents.secrets.len() + hits.len() > 2 * SECRETS_PER_FILE {
                contents.limit_hit = true;
            } else if seen.insert((hit.rule.id, offset.saturating_add(u64::try_from(hit.value.start).unwrap_or(u64::MAX)))) {
                hits.push(hit);
            }
        });
        contents.secrets.extend(placed(hits, piece, origin, name));
        if last {
            break;
        }
        let dropped = core_end.saturating_sub(REACH);
        origin = origin.after(piece.get(..dropped).unwrap_or_default());
        offset = offset.saturating_add(u64::try_from(dropped).unwrap_or(u64::MAX));
        buffer.copy_within(dropped..filled, 0);
        filled -= dropped;
        core_start = core_end - dropped;
    }
    contents.sha256 = Digest::from_sha256(&sum.finalize().into());
    contents.secrets.sort_by_key(|secret| (secret.place.line, secret.place.column, secret.rule));
    if contents.secrets.len() > SECRETS_PER_FILE {
        contents.secrets.truncate(SECRETS_PER_FILE);
        contents.limit_hit = true;
    }
    Ok(contents)
}

/// Turns hits into secrets with places, walking the piece once.
fn placed(mut hits: Vec<Hit>, piece: &[u8], origin: Place, name: &str) -> Vec<Secret> {
    hits.sort_by_key(|hit| hit.value.start);
    let mut place = origin;
    let mut at = 0;
    let mut secrets = Vec::with_capacity(hits.len());
    for hit in hits {
        place = place.after(piece.get(at..hit.value.start).unwrap_or_default());
        at = hit.value.start;
        let value = piece.get(hit.value).unwrap_or_default();
        secrets.push(Secret {
            rule: hit.rule.id,
            title: hit.rule.title,
            severity: hit.rule.severity,
            place,
            masked: mask::masked(value),
            fingerprint: mask::fingerprint(hit.rule.id, name, value),
        });
    }
    secrets
}

/// Fills as much of the buffer as there is to read.
fn read_full(reader: &mut dyn Read, mut buffer: &mut [u8]) -> io::Result<usize> {
    let mut total = 0;
    while !buffer.is_empty() {
        match reader.read(buffer) {
            Ok(0) => break,
            Ok(read) => {
                total += read;
                buffer = buffer.get_mut(read..).unwrap_or_default();
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::super::detector::sample;
    use super::*;

    static SEARCHER: LazyLock<Searcher> = LazyLock::new(|| Searcher::new().unwrap());

    /// Gives its bytes in pieces of a fixed size, as a slow disk may.
    struct Piecewise<'a>(&'a [u8], usize);

    impl Read for Piecewise<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = self.1.min(buffer.len()).min(self.0.len());
            let (now, later) = self.0.split_at(length);
            buffer[..length].copy_from_slice(now);
            self.0 = later;
            Ok(length)
        }
    }

    fn read_in_windows(bytes: &[u8], window: usize, piece: usize) -> Contents {
        read(&mut Piecewise(bytes, piece), "file", &SEARCHER, window).unwrap()
    }

    #[test]
    fn a_large_file_is_read_whole_and_its_places_are_right() {
        let secret = sample::all(11).remove(0);
        let mut bytes = b"\n0123456789abcde".repeat(200_000);
        bytes.extend(secret.text().bytes());
        let contents = read_in_windows(&bytes, WINDOW, 65_536);
        assert_eq!(contents.bytes, u64::try_from(bytes.len()).unwrap());
        assert_eq!(contents.sha256, Digest::of(&bytes));
        let [found] = contents.secrets.as_slice() else { panic!("{:?}", contents.secrets) };
        assert_eq!(found.place, Place { line: 200_001, column: 16 + u64::try_from(secret.before.len()).unwrap() });
        assert!(!contents.limit_hit);
    }

    #[test]
    fn too_many_secrets_are_a_limit_that_is_said() {
        let secret = sample::all(11).remove(0).text();
        for (times, limit_hit) in [(SECRETS_PER_FILE, false), (SECRETS_PER_FILE + 1, true), (5 * SECRETS_PER_FILE, true)] {
            let contents = read_in_windows(secret.repeat(times).as_bytes(), 3 * REACH, 1 << 20);
            assert_eq!((contents.secrets.len(), contents.limit_hit), (SECRETS_PER_FILE, limit_hit), "{times}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn a_secret_at_any_offset_is_found_once(
            seed in any::<u64>(), which in any::<prop::sample::Index>(), offset in 0_usize..6 * REACH, tail in 0_usize..3 * REACH,
            window in 2 * REACH + 1..3 * REACH, piece in 1_usize..10_000,
        ) {
            let samples = sample::all(seed);
            let secret = which.get(&samples);
            let mut bytes = vec![b'.'; offset];
            bytes.extend(secret.text().bytes());
            bytes.resize(bytes.len() + tail, b'.');
            let contents = read_in_windows(&bytes, window, piece);
            prop_assert_eq!(contents.secrets.len(), 1, "{:?}", contents.secrets);
            prop_assert_eq!(contents.secrets[0].rule, secret.rule);
            prop_assert_eq!(contents.secrets[0].place, Place::START.after(&bytes[..offset + secret.before.len()]));
            prop_assert_eq!(contents.sha256, Digest::of(&bytes));
        }

        #[test]
        fn what_is_found_does_not_depend_on_the_window(
            seed in any::<u64>(), gaps in prop::collection::vec(0_usize..2 * REACH, 36), window in 2 * REACH + 1..4 * REACH,
        ) {
            let mut bytes = Vec::new();
            for (sample, gap) in sample::all(seed).iter().zip(gaps) {
                bytes.extend(sample.text().bytes());
                bytes.push(b'\n');
                bytes.resize(bytes.len() + gap, 0xff);
            }
            let whole = read_in_windows(&bytes, bytes.len() + 2 * REACH, 1 << 20);
            prop_assert_eq!(read_in_windows(&bytes, window, 4096).secrets, whole.secrets);
        }
    }
}
