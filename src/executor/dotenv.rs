//! `artifacts: reports: dotenv`: a line a variable, as GitLab reads it (`app/services/ci/parse_dotenv_artifact_service.rb`).
//!
//! Neither quotes nor comments mean anything, and a line without `=`, also a blank one, makes the report one that is not taken.

/// A report is smaller than this, in bytes (`dotenv_size`, GitLab's default).
pub const DOTENV_BYTES: usize = 5 * 1024;
/// The most variables of a report (`dotenv_variables`, GitLab's default).
pub const DOTENV_VARIABLES: usize = 150;
/// The longest name, in bytes (`app/models/concerns/ci/has_variable.rb`).
const NAME_BYTES: usize = 255;

/// Why a report is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DotenvError {
    /// It is too large.
    #[error("it is not smaller than {DOTENV_BYTES} bytes")]
    TooLarge,
    /// It has too many variables.
    #[error("it has more than {DOTENV_VARIABLES} variables")]
    TooMany,
    /// A line that is no `NAME=value`.
    #[error("line {0} is not NAME=value; blank lines and comments are not allowed either")]
    NotAVariable(usize),
    /// A name with something else than letters, digits and `_` in it, or a longer one than 255 characters.
    #[error("line {0}: a name has letters, digits and `_` alone, 255 at most")]
    BadName(usize),
}

/// Reads a report. Of two lines with one name the later one counts.
///
/// # Errors
/// When it is too large, has too many variables, or a line is none.
pub fn read_dotenv(report: &[u8]) -> Result<Vec<(String, String)>, DotenvError> {
    if report.len() >= DOTENV_BYTES {
        return Err(DotenvError::TooLarge);
    }
    let text = String::from_utf8_lossy(report);
    let mut variables: Vec<(String, String)> = Vec::new();
    for (index, line) in text.strip_prefix('\u{feff}').unwrap_or(&text).split_inclusive('\n').enumerate() {
        let (name, value) = line.split_once('=').ok_or(DotenvError::NotAVariable(index + 1))?;
        let (name, value) = (name.trim_matches(is_stripped), value.trim_matches(is_stripped));
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if name.is_empty() || name.len() > NAME_BYTES || !name.bytes().all(plain) {
            return Err(DotenvError::BadName(index + 1));
        }
        match variables.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => value.clone_into(known),
            None => variables.push((name.to_owned(), value.to_owned())),
        }
    }
    if variables.len() > DOTENV_VARIABLES { Err(DotenvError::TooMany) } else { Ok(variables) }
}

/// What Ruby's `strip` takes away.
fn is_stripped(character: char) -> bool {
    matches!(character, '\0' | '\t' | '\n' | '\u{b}' | '\u{c}' | '\r' | ' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, String)>, DotenvError> {
        read_dotenv(text.as_bytes())
    }

    #[test]
    fn lines_are_read_as_gitlab_does() {
        let table: &[(&str, &[(&str, &str)])] = &[
            ("", &[]),
            ("A=1", &[("A", "1")]),
            ("A=1\nB=2\n", &[("A", "1"), ("B", "2")]),
            ("A=1\nB=2\nA=3\n", &[("A", "3"), ("B", "2")]),
            (" A = a b \r\n", &[("A", "a b")]),
            ("A=\n", &[("A", "")]),
            ("A=x=y\n", &[("A", "x=y")]),
            ("A=\"q\"\nB='q'\n", &[("A", "\"q\""), ("B", "'q'")]),
            ("\u{feff}A=1\n", &[("A", "1")]),
            ("1A=$B\n", &[("1A", "$B")]),
        ];
        for (text, expected) in table {
            let expected = expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            assert_eq!(read(text), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn what_gitlab_does_not_take_is_not_taken() {
        let table = [
            ("A=1\n\nB=2\n", DotenvError::NotAVariable(2)),
            ("# A\n", DotenvError::NotAVariable(1)),
            ("A=1\nexport\n", DotenvError::NotAVariable(2)),
            ("=1\n", DotenvError::BadName(1)),
            ("A-B=1\n", DotenvError::BadName(1)),
            ("export A=1\n", DotenvError::BadName(1)),
            ("\u{c4}=1\n", DotenvError::BadName(1)),
        ];
        for (text, expected) in table {
            assert_eq!(read(text), Err(expected), "{text:?}");
        }
        let many = |count: usize| (0..count).map(|number| format!("A{number}=")).collect::<Vec<_>>().join("\n");
        assert_eq!(read(&many(150)).map(|variables| variables.len()), Ok(150));
        assert_eq!(read(&many(151)), Err(DotenvError::TooMany));
        assert_eq!(read(&"A=1\n".repeat(151)).map(|variables| variables.len()), Ok(1), "the same name is one variable");
        assert_eq!(read(&format!("A={}", "x".repeat(DOTENV_BYTES - 3))).map(|variables| variables.len()), Ok(1));
        assert_eq!(read(&format!("A={}", "x".repeat(DOTENV_BYTES - 2))), Err(DotenvError::TooLarge));
        assert_eq!(read(&format!("{}=1", "A".repeat(256))), Err(DotenvError::BadName(1)));
        assert_eq!(read_dotenv(b"A=\xff").map(|variables| variables[0].1.clone()), Ok("\u{fffd}".to_owned()));
    }
}
