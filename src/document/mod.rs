//! YAML read to a tree in which every key and value knows its line and column.
//!
//! Bytes come in, a [`Node`] or one [`DocumentError`] goes out; nothing here knows what the keys mean. The text may be
//! hostile: size, depth, and what aliases add are bounded, so every refusal takes well under a second and bounded memory.
//!
//! Unquoted words mean what they mean to GitLab (Ruby's psych, YAML 1.1): `yes`, `no`, `on`, `off` are booleans, `012` is
//! octal, `1:30` counts in sixties; see the `scalar` file. Rejected: the YAML 1.2 core schema, under which one file
//! would give a job other variables here than there. Keys are always text as written, so that `on:` is the key `on`;
//! [`Entry::word`] says where YAML 1.1 has another opinion.

mod build;
mod error;
mod merge;
mod node;
mod scalar;
mod source;

pub use error::DocumentError;
pub use node::{Entry, KeyWord, Node, Place, Value};

/// The largest file that is read, in bytes.
pub const SIZE_LIMIT_BYTES: usize = 1024 * 1024;

/// Reads one YAML document. Empty text is a null at line 1, column 1.
///
/// # Errors
/// When the bytes are too many, not UTF-8, no YAML, hold a duplicate key, a recursive alias, a tag, or a second document,
/// or when nesting or aliases go past their limits. The first such thing is named, with its place.
pub fn parse(bytes: &[u8]) -> Result<Node, DocumentError> {
    build::build(source::check(bytes)?, build::References::Refused)
}

/// Reads one YAML document in which `!reference` may stand for a value.
///
/// # Errors
/// As [`parse`].
pub fn parse_with_references(bytes: &[u8]) -> Result<Node, DocumentError> {
    build::build(source::check(bytes)?, build::References::Read)
}

/// Gives the bytes as text, as far as [`parse`] would read them: size, encoding and control characters are right.
///
/// # Errors
/// As [`parse`] for such bytes.
pub fn text(bytes: &[u8]) -> Result<&str, DocumentError> {
    source::check(bytes)
}

/// Where lines begin, in bytes, as YAML counts them: after `\n`, after `\r\n`, and after a `\r` that stands alone.
pub(crate) fn line_starts(text: &str) -> impl Iterator<Item = usize> {
    let bytes = text.as_bytes();
    let ends = move |at: usize| match bytes.get(at) {
        Some(b'\n') => true,
        Some(b'\r') => bytes.get(at + 1) != Some(&b'\n'),
        Some(_) | None => false,
    };
    std::iter::once(0).chain((0..bytes.len()).filter(move |at| ends(*at)).map(|at| at + 1))
}

#[cfg(test)]
mod tests;
