//! Text from outside → text of a page.

use crate::text::plain;

/// One line of text as HTML has it, in an element or in a quoted attribute: what a terminal would obey is gone, what a browser would
/// obey is spelt out.
pub(super) fn escape(text: &str) -> String {
    let plain = plain(text);
    let mut out = String::with_capacity(plain.len());
    for character in plain.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn nothing_in_a_text_opens_a_tag_or_leaves_an_attribute(text in any::<String>()) {
            let escaped = escape(&text);
            prop_assert!(!escaped.contains(['<', '>', '"', '\'']), "{escaped}");
            let entities = ["&amp;", "&lt;", "&gt;", "&quot;", "&#39;"];
            let bare = entities.iter().fold(escaped, |rest, entity| rest.replace(entity, ""));
            prop_assert!(!bare.contains('&'), "{bare}");
        }
    }
}
