//! How a secret is shown without being shown: its first four characters, its length, and eight digits of its SHA-256.

use crate::event::Digest;

/// Writes a secret for a report: `ghp_… (40 bytes, sha256 1a2b3c4d)`.
pub(crate) fn masked(value: &[u8]) -> String {
    let start: String = value.iter().take(4).map(|byte| if byte.is_ascii_graphic() { char::from(*byte) } else { '?' }).collect();
    let digest = Digest::of(value);
    let short = digest.hex().get(..8).unwrap_or_default();
    format!("{start}… ({} bytes, sha256 {short})", value.len())
}

/// Names a finding across scans: the same secret in the same file under the same rule, on whatever line. 32 hex digits.
pub(crate) fn fingerprint(rule: &str, path: &str, value: &[u8]) -> String {
    let text = format!("hms-secret-1\0{rule}\0{path}\0{}", Digest::of(value).hex());
    Digest::of(text.as_bytes()).hex().get(..32).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_four_characters_are_shown() {
        let shown = masked(b"abcdefghijklmnopqrstuvwxyz");
        assert_eq!(shown, "abcd… (26 bytes, sha256 71c480df)");
    }

    #[test]
    fn a_fingerprint_depends_on_rule_path_and_value() {
        let first = fingerprint("r", "p", b"v");
        assert_eq!(first, fingerprint("r", "p", b"v"));
        for other in [fingerprint("s", "p", b"v"), fingerprint("r", "q", b"v"), fingerprint("r", "p", b"w")] {
            assert_ne!(first, other);
        }
    }
}
