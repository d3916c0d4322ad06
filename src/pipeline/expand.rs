//! Variables in values: GitLab's expansion before a job is sent, and the runner's after it.
//!
//! The first knows `$NAME`, `${NAME}` and `%NAME%`, keeps what it does not know, and leaves `$$` and `%%` alone
//! (`lib/gitlab/ci/variables/collection/item.rb`, `collection.rb`). The second is Go's `os.Expand`, one pass, and knows
//! nothing unknown. Lines of a script are for the shell alone and go through neither.

use std::collections::{BTreeMap, HashMap};

use super::graph;

/// The longest value that expansion may make, in bytes: values that name each other twice double at each step.
const LENGTH_LIMIT: usize = 128 * 1024;

/// A variable with its value as written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Definition<'a> {
    pub(super) name: &'a str,
    pub(super) value: &'a str,
    /// Never expanded; a reference to it is left for the shell.
    pub(super) raw: bool,
}

/// Values that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unexpandable {
    /// These name each other in a circle.
    Cycle(Vec<String>),
    /// This one grows past the limit.
    TooLong(String),
}

/// Expands all definitions. Names must be unique. `fixed` are values that are taken as they are.
pub(super) fn all<'a>(
    definitions: &[Definition<'a>],
    fixed: &impl Fn(&str) -> Option<&'a str>,
) -> Result<BTreeMap<String, String>, Unexpandable> {
    if !definitions.iter().any(|definition| definition.value.contains(['$', '%'])) {
        return Ok(definitions.iter().map(|definition| (definition.name.to_owned(), definition.value.to_owned())).collect());
    }
    let index: HashMap<&str, usize> = definitions.iter().enumerate().map(|(at, definition)| (definition.name, at)).collect();
    let edges: Vec<Vec<usize>> = definitions.iter().map(|definition| references(definition, &index)).collect();
    let (order, cycles) = graph::order(&edges);
    if let Some(cycle) = cycles.first() {
        let names = cycle.iter().filter_map(|at| definitions.get(*at)).map(|definition| definition.name.to_owned());
        return Err(Unexpandable::Cycle(names.collect()));
    }
    let mut values: BTreeMap<String, String> = BTreeMap::new();
    for definition in order.into_iter().filter_map(|at| definitions.get(at)) {
        let value = if definition.raw {
            definition.value.to_owned()
        } else {
            text(definition.value, &|name| match index.get(name).and_then(|at| definitions.get(*at)) {
                Some(other) if other.raw => None,
                Some(_) => values.get(name).map(String::as_str),
                None => fixed(name),
            })
            .ok_or_else(|| Unexpandable::TooLong(definition.name.to_owned()))?
        };
        values.insert(definition.name.to_owned(), value);
    }
    Ok(values)
}

/// Expands a text outside of variables (`lib/expand_variables.rb`, `expand_existing`): what is unknown stays as it is, and `$$` is no
/// escape. None when it grows past the limit.
pub(super) fn existing<'v>(text: &str, known: &impl Fn(&str) -> Option<&'v str>) -> Option<String> {
    put_in(text, Escapes::None, &|name, whole| known(name).unwrap_or(whole))
}

/// The same where what is unknown becomes nothing (`expand`).
pub(super) fn blank<'v>(text: &str, known: &impl Fn(&str) -> Option<&'v str>) -> Option<String> {
    put_in(text, Escapes::None, &|name, _| known(name).unwrap_or_default())
}

/// Expands the value of a variable as GitLab does; what is unknown stays as it is. None when it grows past the limit.
pub(super) fn text<'v>(text: &str, known: &impl Fn(&str) -> Option<&'v str>) -> Option<String> {
    put_in(text, Escapes::Doubled, &|name, whole| known(name).unwrap_or(whole))
}

fn put_in<'v>(text: &'v str, escapes: Escapes, value: &dyn Fn(&str, &'v str) -> &'v str) -> Option<String> {
    let mut expanded = String::with_capacity(text.len());
    for piece in pieces(text, escapes) {
        expanded.push_str(match piece {
            Piece::Plain(plain) => plain,
            Piece::Reference { name, whole } => value(name, whole),
        });
        if expanded.len() > LENGTH_LIMIT.max(text.len()) {
            return None;
        }
    }
    Some(expanded)
}

/// Expands a text of `include`, or an environment's address at its job's end (`lib/expand_variables.rb`, `expand`): what is unknown becomes
/// nothing.
#[must_use]
pub fn expand_for_include(text: &str, variables: &BTreeMap<String, String>) -> String {
    pieces(text, Escapes::None)
        .map(|piece| match piece {
            Piece::Plain(plain) => plain,
            Piece::Reference { name, .. } => variables.get(name).map(String::as_str).unwrap_or_default(),
        })
        .collect()
}

/// As [`existing`], for values that are made as they are asked for.
pub(super) fn owned(text: &str, known: &impl Fn(&str) -> Option<String>) -> Option<String> {
    let mut expanded = String::with_capacity(text.len());
    for piece in pieces(text, Escapes::None) {
        match piece {
            Piece::Plain(plain) => expanded.push_str(plain),
            Piece::Reference { name, whole } => expanded.push_str(&known(name).unwrap_or_else(|| whole.to_owned())),
        }
        if expanded.len() > LENGTH_LIMIT.max(text.len()) {
            return None;
        }
    }
    Some(expanded)
}

/// Expands a text as GitLab's runner does with artifact paths, `image` and values: one pass of Go's `os.Expand`. What is
/// unknown becomes nothing, `$$` becomes `$`, and the shell's own (`$1`, `$@`, `$?` …) become nothing. What would grow past 128 KiB, the most
/// that Linux hands to a program in one variable, stays as it is: values that name long ones many times would take all memory.
#[must_use]
pub fn expand_for_runner(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, after) = rest.split_at(at);
        expanded.push_str(before);
        let after = after.get(1..).unwrap_or_default();
        let (name, used) = go_name(after);
        match name {
            "$" => expanded.push('$'),
            "" if used == 0 => expanded.push('$'),
            name => expanded.push_str(variables.get(name).map_or("", String::as_str)),
        }
        if expanded.len() > LENGTH_LIMIT.max(text.len()) {
            return text.to_owned();
        }
        rest = after.get(used..).unwrap_or_default();
    }
    expanded.push_str(rest);
    expanded
}

/// Go's `getShellName`: the name after a `$`, and how many bytes it takes up. No name and bytes: bad syntax, which is eaten.
fn go_name(after: &str) -> (&str, usize) {
    let bytes = after.as_bytes();
    let special = |byte: u8| matches!(byte, b'*' | b'#' | b'$' | b'@' | b'!' | b'?' | b'-' | b'0'..=b'9');
    match bytes.first() {
        None => ("", 0),
        Some(b'{') => match after.find('}') {
            Some(1) => ("", 2),
            Some(end) => (after.get(1..end).unwrap_or_default(), end + 1),
            None => ("", 1),
        },
        Some(byte) if special(*byte) => (after.get(..1).unwrap_or_default(), 1),
        Some(_) => {
            let end = bytes.iter().position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_').unwrap_or(bytes.len());
            (after.get(..end).unwrap_or_default(), end)
        }
    }
}

fn references(definition: &Definition<'_>, index: &HashMap<&str, usize>) -> Vec<usize> {
    if definition.raw || !definition.value.contains(['$', '%']) {
        return Vec::new();
    }
    let found = pieces(definition.value, Escapes::Doubled).filter_map(|piece| match piece {
        Piece::Plain(_) => None,
        Piece::Reference { name, .. } => index.get(name).copied(),
    });
    let mut found: Vec<usize> = found.collect();
    found.sort_unstable();
    found.dedup();
    found
}

enum Piece<'t> {
    Plain(&'t str),
    Reference { name: &'t str, whole: &'t str },
}

/// Whether `$$` and `%%` stand for themselves: in the value of a variable (`collection/item.rb`), and nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escapes {
    Doubled,
    None,
}

fn pieces(text: &str, escapes: Escapes) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let start = rest.find(['$', '%']).unwrap_or(rest.len());
        let (piece, used) = if start > 0 { (Piece::Plain(rest.get(..start)?), start) } else { reference(rest, escapes)? };
        rest = rest.get(used..)?;
        Some(piece)
    })
}

/// What a text that starts with `$` or `%` starts with.
fn reference(text: &str, escapes: Escapes) -> Option<(Piece<'_>, usize)> {
    let sign = text.get(..1)?;
    let after = text.get(1..)?;
    let whole_of = |name: &'_ str, used: usize| (!name.is_empty()).then_some(used);
    if escapes == Escapes::Doubled && after.starts_with(sign) {
        return Some((Piece::Plain(text.get(..2)?), 2));
    }
    let found = if sign == "%" {
        let name = name_at(after);
        after.get(name.len()..).filter(|rest| rest.starts_with('%')).and_then(|_| Some((name, whole_of(name, name.len() + 2)?)))
    } else if let Some(braced) = after.strip_prefix('{') {
        let name = name_at(braced);
        braced.get(name.len()..).filter(|rest| rest.starts_with('}')).and_then(|_| Some((name, whole_of(name, name.len() + 3)?)))
    } else {
        let name = name_at(after);
        whole_of(name, name.len() + 1).map(|used| (name, used))
    };
    Some(match found {
        Some((name, used)) => (Piece::Reference { name, whole: text.get(..used)? }, used),
        None => (Piece::Plain(sign), 1),
    })
}

fn name_at(text: &str) -> &str {
    if text.starts_with(|letter: char| letter.is_ascii_digit()) {
        return "";
    }
    let end = text.bytes().position(|byte| !byte.is_ascii_alphanumeric() && byte != b'_').unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(definitions: &[(&str, &str, bool)]) -> Result<BTreeMap<String, String>, Unexpandable> {
        let definitions: Vec<Definition> = definitions.iter().map(|(name, value, raw)| Definition { name, value, raw: *raw }).collect();
        all(&definitions, &|name| (name == "CI_X").then_some("x$Y"))
    }

    #[test]
    fn the_first_expansion_is_gitlabs() {
        let table: &[(&str, &str)] = &[
            ("$B", "b"),
            ("${B}c", "bc"),
            ("%B%", "b"),
            ("$Bc", "$Bc"),
            ("$$B", "$$B"),
            ("%%B%%", "%%B%%"),
            ("$GONE ${GONE}", "$GONE ${GONE}"),
            ("${B", "${B"),
            ("$ % 100%", "$ % 100%"),
            ("$CI_X", "x$Y"),
            ("$R", "$R"),
            ("$A", "$A"),
            ("$C", "b!"),
            ("$1B", "$1B"),
        ];
        for (value, expected) in table {
            let values = expand(&[("A", value, false), ("C", "$B!", false), ("B", "b", false), ("R", "$B", true)]).unwrap();
            assert_eq!(values["A"], *expected, "{value}");
            assert_eq!(values["R"], "$B");
        }
    }

    /// `lib/expand_variables.rb`, `VARIABLES_REGEXP`.
    #[test]
    fn outside_of_variables_nothing_is_escaped() {
        let known = |name: &str| (name == "A").then_some("a");
        let table = [
            ("$A", "a", "a"),
            ("$$A", "$a", "$a"),
            ("%%A%%", "%a%", "%a%"),
            ("$GONE/${A}", "$GONE/a", "/a"),
            ("$", "$", "$"),
            ("%A", "%A", "%A"),
        ];
        for (text, there, nothing) in table {
            assert_eq!(existing(text, &known).as_deref(), Some(there), "{text}");
            assert_eq!(blank(text, &known).as_deref(), Some(nothing), "{text}");
        }
    }

    #[test]
    fn circles_and_bombs_are_refused() {
        let circle = expand(&[("A", "$B", false), ("B", "$C", false), ("C", "x${A}", false)]);
        assert!(matches!(circle, Err(Unexpandable::Cycle(names)) if names.len() == 3));
        let names: Vec<String> = (0..64).map(|at| format!("V{at}")).collect();
        let values: Vec<String> = (0..64).map(|at| format!("$V{}${{V{}}}x", at + 1, at + 1)).collect();
        let bomb: Vec<(&str, &str, bool)> = names.iter().zip(&values).map(|(name, value)| (name.as_str(), value.as_str(), false)).collect();
        assert!(matches!(expand(&bomb), Err(Unexpandable::TooLong(_))));
    }

    #[test]
    fn the_second_expansion_is_gos() {
        let variables: BTreeMap<String, String> =
            [("A", "a$B"), ("B", "b")].map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let table = [
            ("$A/${B}", "a$B/b"),
            ("$GONE/${GONE}x", "/x"),
            ("$$A", "$A"),
            ("$1$@$?x", "x"),
            ("a$", "a$"),
            ("a$/b", "a$/b"),
            ("${}x", "x"),
            ("${A", "A"),
            ("%A%", "%A%"),
            ("é$Bé", "ébé"),
        ];
        for (text, expected) in table {
            assert_eq!(expand_for_runner(text, &variables), expected, "{text}");
        }
    }
}
