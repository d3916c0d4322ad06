//! Paths for those that want a URI.

use std::fmt::Write as _;

/// A path as a URI reference (RFC 3986): all but unreserved characters and `/` in percent form; a whole one is a `file:` URI.
#[must_use]
pub fn uri_of(path: &str) -> String {
    let mut uri = String::from(if path.starts_with('/') { "file://" } else { "" });
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/') {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::uri_of;

    #[test]
    fn paths_become_uris() {
        for (path, wanted) in [("a/b.js", "a/b.js"), ("a b#?%:", "a%20b%23%3F%25%3A"), ("ä", "%C3%A4"), ("/x/\u{1b}", "file:///x/%1B")] {
            assert_eq!(uri_of(path), wanted);
        }
    }
}
