//! Ruby's `File.fnmatch` with PATHNAME, DOTMATCH and EXTGLOB, which is how GitLab reads the globs of `changes`, `exists` and
//! `include: local` (`lib/gitlab/ci/build/rules/rule/clause/{changes,exists}.rb`).
//!
//! `*` and `?` stop at a slash, `**/` is any number of folders, `[…]` is one of some letters, `{a,b}` is either. A `**` that no
//! slash follows is a plain `*`: `docs/**` does not match what lies deeper.

/// How many patterns braces may make of one.
const ALTERNATIVES_LIMIT: usize = 1_000;

/// More letters than a path of a repository may have.
const LENGTH_LIMIT: usize = 4_096;

/// A glob, braces written out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Glob {
    alternatives: Vec<Vec<Piece>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Letter(char),
    /// `?`: any letter but a slash.
    Any,
    /// `*`: any letters but slashes.
    Star,
    /// `**/`: nothing, or folders.
    Folders,
    /// `[a-z]`.
    Set {
        not: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Glob {
    /// Reads a glob; none when it is very long or its braces make very many.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let letters: Vec<char> = text.chars().take(LENGTH_LIMIT + 1).collect();
        (letters.len() <= LENGTH_LIMIT).then_some(())?;
        let mut written_out = Vec::new();
        braces(&letters, &mut written_out).then_some(())?;
        Some(Self { alternatives: written_out.iter().map(|letters| pieces(letters)).collect() })
    }

    pub(super) fn matches(&self, path: &str) -> bool {
        let path: Vec<char> = path.chars().collect();
        self.alternatives.iter().any(|pieces| matches(pieces, &path))
    }
}

/// Whether a text is a glob and not a plain path.
pub(super) fn is_glob(text: &str) -> bool {
    text.contains(['*', '?', '[', '{'])
}

/// Writes the first pair of braces out, and so on. False when there are too many.
fn braces(letters: &[char], out: &mut Vec<Vec<char>>) -> bool {
    let Some((open, commas, close)) = first_pair(letters) else {
        out.push(letters.to_vec());
        return out.len() <= ALTERNATIVES_LIMIT;
    };
    let part = |from: usize, to: usize| letters.get(from..to).unwrap_or_default();
    let mut from = open + 1;
    for end in commas.into_iter().chain([close]) {
        let one: Vec<char> = part(0, open).iter().chain(part(from, end)).chain(part(close + 1, letters.len())).copied().collect();
        if !braces(&one, out) {
            return false;
        }
        from = end + 1;
    }
    true
}

/// Where the first pair of braces opens, its own commas, and where it closes.
fn first_pair(letters: &[char]) -> Option<(usize, Vec<usize>, usize)> {
    let (mut open, mut depth, mut commas) = (None, 0usize, Vec::new());
    let mut at = 0;
    while let Some(letter) = letters.get(at) {
        match letter {
            '\\' => at += 1,
            '{' => {
                open = open.or(Some(at));
                depth += 1;
            }
            ',' if depth == 1 => commas.push(at),
            '}' if depth == 1 => return Some((open?, commas, at)),
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    None
}

fn pieces(letters: &[char]) -> Vec<Piece> {
    let mut pieces = Vec::with_capacity(letters.len());
    let mut at = 0;
    while let Some(letter) = letters.get(at).copied() {
        let starts = at == 0 || letters.get(at - 1) == Some(&'/');
        match letter {
            '*' if starts && letters.get(at + 1) == Some(&'*') && letters.get(at + 2) == Some(&'/') => {
                pieces.push(Piece::Folders);
                at += 2;
            }
            '*' if pieces.last() == Some(&Piece::Star) => {}
            '*' => pieces.push(Piece::Star),
            '?' => pieces.push(Piece::Any),
            '[' => match set(letters, at) {
                Some((piece, end)) => {
                    pieces.push(piece);
                    at = end;
                }
                None => pieces.push(Piece::Letter('[')),
            },
            '\\' => {
                at += 1;
                pieces.extend(letters.get(at).copied().map(Piece::Letter));
            }
            other => pieces.push(Piece::Letter(other)),
        }
        at += 1;
    }
    pieces
}

/// A set that starts at `[`, and where its `]` is.
fn set(letters: &[char], open: usize) -> Option<(Piece, usize)> {
    let mut at = open + 1;
    let not = matches!(letters.get(at), Some('!' | '^'));
    at += usize::from(not);
    let mut ranges = Vec::new();
    loop {
        let mut low = *letters.get(at)?;
        if low == ']' && !ranges.is_empty() {
            return Some((Piece::Set { not, ranges }, at));
        }
        if low == '\\' {
            at += 1;
            low = *letters.get(at)?;
        }
        let high = match (letters.get(at + 1), letters.get(at + 2)) {
            (Some('-'), Some(high)) if *high != ']' => {
                at += 2;
                *high
            }
            _ => low,
        };
        ranges.push((low, high));
        at += 1;
    }
}

/// Time is bounded by pieces times letters: after a star only the last one is tried again, and after folders only they are.
fn matches(pieces: &[Piece], path: &[char]) -> bool {
    let (mut piece, mut letter) = (0, 0);
    // Where to go on: the piece after it, and the letter it was tried from.
    let mut star: Option<(usize, usize)> = None;
    let mut folders: Option<(usize, usize)> = None;
    loop {
        let fits = match (pieces.get(piece), path.get(letter)) {
            (None, None) => return true,
            (Some(Piece::Star), _) => {
                star = Some((piece + 1, letter));
                piece += 1;
                continue;
            }
            (Some(Piece::Folders), _) => {
                folders = Some((piece + 1, letter));
                star = None;
                piece += 1;
                continue;
            }
            (Some(Piece::Letter(wanted)), Some(given)) => wanted == given,
            (Some(Piece::Any), Some(given)) => *given != '/',
            (Some(Piece::Set { not, ranges }), Some(given)) => {
                *given != '/' && ranges.iter().any(|(low, high)| (low..=high).contains(&given)) != *not
            }
            (None, Some(_)) | (Some(Piece::Letter(_) | Piece::Any | Piece::Set { .. }), None) => false,
        };
        if fits {
            (piece, letter) = (piece + 1, letter + 1);
            continue;
        }
        // The last star takes one letter more; where it may not, the last folders take one folder more.
        if let Some((after, from)) = star.filter(|(_, from)| path.get(*from).is_some_and(|letter| *letter != '/')) {
            star = Some((after, from + 1));
            (piece, letter) = (after, from + 1);
            continue;
        }
        let Some((after, from)) = folders else { return false };
        let Some(slash) = path.iter().skip(from).position(|letter| *letter == '/') else { return false };
        folders = Some((after, from + slash + 1));
        star = None;
        (piece, letter) = (after, from + slash + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_are_rubys() {
        let table = [
            ("a.rb", "a.rb", true),
            ("*.rb", "a.rb", true),
            ("*.rb", "lib/a.rb", false),
            ("**/*.rb", "a.rb", true),
            ("**/*.rb", "lib/deep/a.rb", true),
            ("lib/**/*.rb", "lib/a.rb", true),
            ("lib/**/*.rb", "lib/a/b/c.rb", true),
            ("lib/**/*.rb", "libx/a.rb", false),
            ("lib/**", "lib/a", true),
            ("lib/**", "lib/a/b", false),
            ("lib/**/*", "lib/a/b", true),
            ("lib/**/x/**/y", "lib/a/x/b/x/c/y", true),
            ("lib/**/x/**/y", "lib/a/b/c/y", false),
            ("*", ".hidden", true),
            ("**/*", ".hidden/.deep", true),
            ("?.c", "a.c", true),
            ("a?c", "a/c", false),
            ("[ab].c", "b.c", true),
            ("[!ab].c", "b.c", false),
            ("[a-c]x", "bx", true),
            ("[/]", "/", false),
            ("*.{c,h}", "a.h", true),
            ("{a,b{c,d}}/e", "bd/e", true),
            ("{a,b{c,d}}/e", "b/e", false),
            ("a{b", "a{b", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("a**b", "axxb", true),
            ("a**/b", "ax/b", true),
            ("", "", true),
            ("*a*b*c", "xaxbxbc", true),
        ];
        for (glob, path, expected) in table {
            assert_eq!(Glob::parse(glob).unwrap().matches(path), expected, "{glob} {path}");
        }
    }

    #[test]
    fn hostile_globs_end() {
        assert!(!Glob::parse(&format!("{}b", "*a".repeat(200))).unwrap().matches(&"a".repeat(4_000)));
        assert!(!Glob::parse(&format!("{}x", "**/a*/".repeat(50))).unwrap().matches(&"a/".repeat(500)));
        assert!(Glob::parse(&"{a,b}".repeat(20)).is_none());
        assert!(Glob::parse(&"{".repeat(4_000)).is_some());
        assert!(Glob::parse(&"x".repeat(5_000)).is_none());
    }
}
