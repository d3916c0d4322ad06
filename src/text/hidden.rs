//! Characters that change how their neighbours look, or that nobody sees: they are written out, or they could make a name look like
//! another one (CVE-2021-42574, “Trojan Source”).

/// What is shown in place of a character.
pub(super) enum Shown {
    /// The character itself.
    Itself,
    /// Nothing: a control that means nothing on its own, or a choice of glyph.
    Nothing,
    /// Its code point, spelt out: `⟨U+202E⟩`.
    CodePoint,
}

/// Says how a character is shown.
pub(super) fn shown(character: char) -> Shown {
    match character {
        // C0, DEL, C1 (also as U+0080–U+009F, which some terminals obey), and variation selectors.
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{fe00}'..='\u{fe0f}' => Shown::Nothing,
        // Soft hyphen, grapheme joiner, Arabic letter mark, fillers that look empty, Mongolian separator.
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{3164}'
        // Zero width space and joiners, direction marks, line and paragraph separators, overrides, isolates, invisible operators.
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        // Byte order mark, half-width filler, annotations, tags and the supplement of variation selectors.
        | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}' => Shown::CodePoint,
        _ => Shown::Itself,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_sees_is_spelt_out_and_what_people_write_is_not() {
        for hidden in ['\u{202e}', '\u{2066}', '\u{200b}', '\u{feff}', '\u{2028}', '\u{e0041}', '\u{ad}'] {
            assert!(matches!(shown(hidden), Shown::CodePoint), "{:04X}", u32::from(hidden));
        }
        for seen in ['a', ' ', 'é', 'ß', '中', '✔', '❯', '\u{301}', '\u{a0}', '\u{fffd}', '🚀'] {
            assert!(matches!(shown(seen), Shown::Itself), "{seen}");
        }
        for dropped in ['\u{1b}', '\u{9b}', '\u{7f}', '\0', '\u{fe0f}'] {
            assert!(matches!(shown(dropped), Shown::Nothing), "{:04X}", u32::from(dropped));
        }
    }
}
