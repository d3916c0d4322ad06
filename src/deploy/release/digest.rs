//! The digest of a tree.
//!
//! ```text
//! hms-tree-1\n
//! F <644|755> <sha256 hex of the bytes> <path>\n
//! L <sha256 hex of the link's text> <path>\n
//! ```
//! sorted by the bytes of the path; the digest is the SHA-256 of that text (`docs/decisions.md` 5.1).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::path::Path;

use sha2::Digest as _;

use super::ReleaseError;
use super::tree::{self, Kind};
use crate::event::Digest;
use crate::store::DiskError;

/// The digest of the tree at `root`, how many files and links it has, and how many bytes its files have.
///
/// Times, owners and empty folders do not count; `.git` is passed over.
///
/// # Errors
/// When the tree cannot be read, or has something that is neither file nor link, or a name that is not UTF-8 or has a line break.
pub fn digest_of_tree(root: &Path) -> Result<(Digest, u64, u64), ReleaseError> {
    let mut listing = Listing::default();
    for (path, kind) in tree::walk(root)? {
        match kind {
            Kind::Link { text } => listing.link(path, &text),
            Kind::File { executable } => {
                let place = root.join(&path);
                let (digest, bytes) = copy(&mut tree::open(&place)?, &mut io::sink()).map_err(DiskError::of("read", &place))?;
                listing.file(path, executable, &digest, bytes);
            }
        }
    }
    Ok(listing.finish())
}

/// Copies all bytes; gives their digest and how many they were.
pub(in crate::deploy) fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<(Digest, u64)> {
    let mut sum = sha2::Sha256::new();
    let mut total = 0u64;
    let mut buffer = vec![0u8; 128 * 1024];
    loop {
        let length = match from.read(&mut buffer) {
            Ok(0) => return Ok((Digest::from_sha256(&sum.finalize().into()), total)),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let part = buffer.get(..length).unwrap_or_default();
        sum.update(part);
        to.write_all(part)?;
        total += u64::try_from(length).unwrap_or(0);
    }
}

/// The lines of the text that is hashed, gathered in any order.
#[derive(Debug, Default)]
pub(in crate::deploy) struct Listing {
    lines: BTreeMap<String, String>,
    bytes: u64,
}

impl Listing {
    pub(in crate::deploy) fn file(&mut self, path: String, executable: bool, digest: &Digest, bytes: u64) {
        let mode = if executable { "755" } else { "644" };
        let line = format!("F {mode} {} {path}\n", digest.hex());
        self.lines.insert(path, line);
        self.bytes += bytes;
    }

    pub(in crate::deploy) fn link(&mut self, path: String, text: &[u8]) {
        let line = format!("L {} {path}\n", Digest::of(text).hex());
        self.lines.insert(path, line);
    }

    pub(in crate::deploy) fn finish(self) -> (Digest, u64, u64) {
        let mut text = String::from("hms-tree-1\n");
        for line in self.lines.values() {
            let _ = text.write_str(line);
        }
        (Digest::of(text.as_bytes()), u64::try_from(self.lines.len()).unwrap_or(u64::MAX), self.bytes)
    }
}
