//! The bytes before they are YAML: size, encoding, control characters.

use super::{DocumentError, Place, SIZE_LIMIT_BYTES};

/// Checks the bytes and gives the text, without a byte order mark.
///
/// Control characters are refused here and not left to the scanner, which takes NUL for the end of the file: what came
/// after it would be silently dropped.
pub(super) fn check(bytes: &[u8]) -> Result<&str, DocumentError> {
    if bytes.len() > SIZE_LIMIT_BYTES {
        let message = format!("the file has {} bytes; at most {SIZE_LIMIT_BYTES} (1 MiB) are read", bytes.len());
        return Err(DocumentError::new(Place::START, message));
    }
    if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) {
        return Err(DocumentError::new(Place::START, "the file is UTF-16, not UTF-8").hint("save it as UTF-8"));
    }
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|error| not_utf8(bytes, error.valid_up_to()))?;
    match text.char_indices().find(|(_, letter)| !is_printable(*letter)) {
        None => Ok(text),
        Some((index, letter)) => {
            let message = format!("the control character U+{:04X} cannot stand in a YAML file", u32::from(letter));
            let hint = "remove it, or write it as an escape in double quotes";
            Err(DocumentError::new(place_of(text, index), message).hint(hint))
        }
    }
}

/// A tab in the indentation is what an error on that line is really about; the scanner's own words for it vary.
pub(super) fn name_tab(text: &str, error: DocumentError) -> DocumentError {
    let last = usize::try_from(error.place.line).unwrap_or(usize::MAX);
    let lines = text.lines().enumerate().take(last.saturating_add(1)).skip(last.saturating_sub(2));
    for (index, line) in lines {
        let indentation = line.chars().take_while(|letter| matches!(letter, ' ' | '\t'));
        let Some(column) = indentation.into_iter().position(|letter| letter == '\t') else { continue };
        if line.trim().is_empty() {
            continue;
        }
        let place = Place::at(number(index + 1), number(column + 1));
        return DocumentError::new(place, "a tab cannot indent").hint("indent with spaces");
    }
    error
}

fn not_utf8(bytes: &[u8], offset: usize) -> DocumentError {
    let valid = bytes.get(..offset).unwrap_or_default();
    let text = String::from_utf8_lossy(valid);
    let byte = bytes.get(offset).copied().unwrap_or_default();
    DocumentError::new(place_of(&text, text.len()), format!("byte 0x{byte:02X} is not UTF-8")).hint("save the file as UTF-8")
}

/// The printable characters of YAML 1.2, section 5.1.
fn is_printable(letter: char) -> bool {
    match letter {
        '\t' | '\n' | '\r' | '\u{85}' => true,
        '\u{FFFE}' | '\u{FFFF}' => false,
        other => !other.is_control(),
    }
}

fn place_of(text: &str, offset: usize) -> Place {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |index| index + 1);
    let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
    Place::at(number(before.matches('\n').count() + 1), number(column))
}

/// Counts here are bounded by the size limit, so the edge is never met.
fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
