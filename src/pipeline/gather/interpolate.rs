//! `$[[ inputs.NAME | function ]]` put into the text of a file, before it is read as YAML (GitLab
//! `lib/gitlab/ci/config/interpolation/text_template.rb`, `block.rb`, `functions/`).
//!
//! Whatever is read from the text that comes of it still has the line and column of the file as it was written.

use super::inputs::Values;
use crate::document::{self, Place};
use crate::pipeline::expand;
use crate::pipeline::problem::Problems;

/// GitLab's limits (`block.rb`, `text_template.rb`).
const FUNCTION_LIMIT: usize = 3;
const BLOCK_LIMIT: usize = 10_000;
/// How long a text may get.
const LENGTH_LIMIT: usize = 1024 * 1024;

/// A text with values put in.
pub(super) struct Interpolated {
    pub(super) text: String,
    places: Option<Places>,
}

impl Interpolated {
    /// A text that nothing is put into.
    pub(super) fn untouched(text: String) -> Self {
        Self { text, places: None }
    }

    /// Whether places are not those of the file.
    pub(super) fn moved(&self) -> bool {
        self.places.as_ref().is_some_and(|places| !places.replaced.is_empty())
    }

    /// Where something of the new text stands in the file.
    pub(super) fn place(&self, place: Place) -> Place {
        self.places.as_ref().map_or(place, |places| places.original(place))
    }
}

/// What a block may name.
pub(super) struct Known<'k> {
    pub(super) inputs: &'k Values,
    /// Of a component, what its header asks for.
    pub(super) component: &'k Values,
    /// For `expand_vars`.
    pub(super) variable: &'k dyn Fn(&str) -> Option<String>,
}

/// Puts the values in. None when a block cannot be; its problem is told.
pub(super) fn interpolate(problems: &mut Problems, text: &str, known: &Known<'_>, file: u16) -> Option<Interpolated> {
    let mut out = String::with_capacity(text.len());
    let mut places = Places::of(text);
    let (mut rest_at, mut blocks, mut whole) = (0, 0usize, true);
    while let Some((start, data, end)) = next_block(text, rest_at) {
        out.push_str(text.get(rest_at..start).unwrap_or_default());
        rest_at = end;
        let place = || Place { file, ..places.at(start) };
        blocks += 1;
        if blocks > BLOCK_LIMIT {
            problems.error(place(), "input-block", format!("there are more than {BLOCK_LIMIT} blocks `$[[ … ]]`"));
            return None;
        }
        let value = match block(data, known) {
            // Blocks of a matrix are for the planner.
            Ok(None) => text.get(start..end).unwrap_or_default().to_owned(),
            Ok(Some(value)) => value,
            Err((message, name)) => {
                let names = known.inputs.keys().map(String::as_str);
                problems.error(place(), "input-block", message).suggest(&name, names, None);
                whole = false;
                continue;
            }
        };
        if out.len() + value.len() > LENGTH_LIMIT {
            problems.error(place(), "input-block", format!("with inputs put in, the file has more than {LENGTH_LIMIT} bytes"));
            return None;
        }
        let from = out.len();
        out.push_str(&value);
        places.replaced.push(Replaced { from, to: out.len(), start, end });
    }
    out.push_str(text.get(rest_at..).unwrap_or_default());
    places.index_new(&out);
    whole.then_some(Interpolated { text: out, places: Some(places) })
}

/// The next `$[[ … ]]` on one line: where it starts, what is in it, where it ends.
fn next_block(text: &str, from: usize) -> Option<(usize, &str, usize)> {
    let mut at = from;
    loop {
        let start = at + text.get(at..)?.find("$[[")?;
        let inner = start + 3;
        let line = text.get(inner..)?.lines().next().unwrap_or_default();
        match line.find("]]") {
            Some(length) if line.get(..length).is_some_and(|data| data.trim().len() >= 2) => {
                return Some((start, line.get(..length)?.trim(), inner + length + 2));
            }
            Some(_) | None => at = inner,
        }
    }
}

/// What a block comes to; nothing when it is of a matrix.
fn block(data: &str, known: &Known<'_>) -> Result<Option<String>, (String, String)> {
    let bad = |message: String| Err((message, String::new()));
    let mut parts = data.split('|').map(str::trim);
    let access = parts.next().unwrap_or_default();
    if access.starts_with("matrix.") {
        return Ok(None);
    }
    let mut value = if let Some(name) = access.strip_prefix("component.") {
        match known.component.get(name) {
            Some(value) => value.clone(),
            None => return bad(format!("`$[[ {} ]]`: `spec: component` does not ask for it, or the file is no component", shorten(data))),
        }
    } else if let Some(name) = access.strip_prefix("inputs.") {
        match known.inputs.get(name) {
            Some(value) => value.clone(),
            None => {
                return Err((format!("`$[[ {} ]]`: the file's header has no input `{}`", shorten(data), shorten(name)), name.to_owned()));
            }
        }
    } else {
        return bad(format!("`$[[ {} ]]` is not of `inputs`", shorten(data)));
    };
    let functions: Vec<&str> = parts.collect();
    if functions.len() > FUNCTION_LIMIT {
        return bad(format!("`$[[ {} ]]` has more than {FUNCTION_LIMIT} functions", shorten(data)));
    }
    for function in functions {
        value = match call(function, &value, known.variable) {
            Some(value) => value,
            None => return bad(format!("`{}` is none of `expand_vars`, `truncate(OFFSET,LENGTH)`, `posix_escape`", shorten(function))),
        };
    }
    Ok(Some(value))
}

fn call(function: &str, value: &str, variable: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    match function {
        "expand_vars" => {
            let known = |name: &str| variable(name);
            Some(expand::owned(value, &known).unwrap_or_else(|| value.to_owned()))
        }
        "posix_escape" => Some(posix_escape(value)),
        _ => {
            let (offset, length) = function.strip_prefix("truncate(")?.strip_suffix(')')?.split_once(',')?;
            let (offset, length) = (offset.trim().parse::<usize>().ok()?, length.trim().parse::<usize>().ok()?);
            Some(value.chars().skip(offset).take(length).collect())
        }
    }
}

/// Ruby's `Shellwords.escape`.
fn posix_escape(value: &str) -> String {
    if value.is_empty() {
        return "''".to_owned();
    }
    let mut out = String::with_capacity(value.len());
    for letter in value.chars() {
        match letter {
            '\n' => out.push_str("'\n'"),
            plain if plain.is_ascii_alphanumeric() || "_-.,:+/@".contains(plain) => out.push(plain),
            other => out.extend(['\\', other]),
        }
    }
    out
}

fn shorten(text: &str) -> String {
    if text.chars().count() <= 60 { text.to_owned() } else { text.chars().take(60).chain(['…']).collect() }
}

/// A block that was replaced: bytes of the new text, bytes of the old one.
struct Replaced {
    from: usize,
    to: usize,
    start: usize,
    end: usize,
}

/// Lines of both texts.
struct Places {
    old: Lines,
    new: Lines,
    replaced: Vec<Replaced>,
}

impl Places {
    fn of(text: &str) -> Self {
        Self { old: Lines::of(text), new: Lines::of(""), replaced: Vec::new() }
    }

    fn index_new(&mut self, text: &str) {
        self.new = Lines::of(text);
    }

    fn at(&self, offset: usize) -> Place {
        self.old.place(offset)
    }

    fn original(&self, place: Place) -> Place {
        if self.replaced.is_empty() {
            return place;
        }
        let offset = self.new.offset(place);
        let mut original = offset;
        // The last block that starts at or before the offset decides.
        let before = self.replaced.partition_point(|block| block.from <= offset);
        if let Some(block) = before.checked_sub(1).and_then(|last| self.replaced.get(last)) {
            original = if offset < block.to { block.start } else { block.end + (offset - block.to) };
        }
        Place { file: place.file, ..self.old.place(original) }
    }
}

/// Where the letters and lines of a text start.
struct Lines {
    /// The first byte of each letter.
    letters: Vec<usize>,
    /// The first letter of each line.
    starts: Vec<usize>,
}

impl Lines {
    fn of(text: &str) -> Self {
        let letters: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        let starts = document::line_starts(text).map(|start| letters.partition_point(|at| *at < start)).collect();
        Self { letters, starts }
    }

    /// The byte at a place.
    fn offset(&self, place: Place) -> usize {
        let index = |number: u32| usize::try_from(number.saturating_sub(1)).unwrap_or(usize::MAX);
        let letter = self.starts.get(index(place.line)).map_or(usize::MAX, |start| start.saturating_add(index(place.column)));
        self.letters.get(letter).or(self.letters.last()).copied().unwrap_or_default()
    }

    /// The place of a byte.
    fn place(&self, offset: usize) -> Place {
        let letter = self.letters.partition_point(|at| *at < offset);
        let line = self.starts.partition_point(|start| *start <= letter).saturating_sub(1);
        let column = letter - self.starts.get(line).copied().unwrap_or_default();
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Place::at(number(line + 1), number(column + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(text: &str) -> Result<String, Vec<String>> {
        let values = [("name", "x y"), ("list", "[1,\"b\"]"), ("v", "$A-$B"), ("empty", "")];
        let values = values.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let mut problems = Problems::default();
        let variable = |name: &str| (name == "A").then(|| "a".to_owned());
        let known = Known { inputs: &values, component: &[("sha".to_owned(), "0123".to_owned())].into(), variable: &variable };
        let interpolated = interpolate(&mut problems, text, &known, 0);
        let told = problems.into_sorted().into_iter().map(|problem| problem.message).collect();
        interpolated.map(|done| done.text).ok_or(told)
    }

    #[test]
    fn blocks_are_gitlabs() {
        let table = [
            ("a: $[[ inputs.name ]]", "a: x y"),
            ("a: $[[inputs.name]]b", "a: x yb"),
            ("a: $[[ inputs.list ]]", "a: [1,\"b\"]"),
            ("$[[ inputs.v | expand_vars ]]", "a-$B"),
            ("$[[ inputs.name | truncate(2,5) ]]", "y"),
            ("$[[ inputs.name | posix_escape ]]", "x\\ y"),
            ("$[[ inputs.empty | posix_escape ]]", "''"),
            ("$[[ matrix.X ]]", "$[[ matrix.X ]]"),
            ("$[[ component.sha | truncate(0,2) ]]", "01"),
            ("$[[ ]] $[[", "$[[ ]] $[["),
        ];
        for (text, expected) in table {
            assert_eq!(done(text).as_deref(), Ok(expected), "{text}");
        }
        for text in [
            "$[[ inputs.nam ]]",
            "$[[ other.x ]]",
            "$[[ component.name ]]",
            "$[[ inputs.name | upper ]]",
            "$[[ inputs.name | truncate(a,b) ]]",
        ] {
            assert!(done(text).is_err(), "{text}");
        }
    }

    #[test]
    fn places_are_those_of_the_file() {
        let values: Values = [("a".to_owned(), "long value\nof two".to_owned())].into();
        let text = "é: $[[ inputs.a ]] tail\nb: c\n";
        let known = Known { inputs: &values, component: &Values::new(), variable: &|_| None };
        let done = interpolate(&mut Problems::default(), text, &known, 0).unwrap();
        assert_eq!(done.text, "é: long value\nof two tail\nb: c\n");
        let table = [((1, 1), (1, 1)), ((1, 4), (1, 4)), ((1, 9), (1, 4)), ((2, 1), (1, 4)), ((2, 8), (1, 20)), ((3, 1), (2, 1))];
        for ((line, column), (old_line, old_column)) in table {
            assert_eq!(done.place(Place::at(line, column)), Place::at(old_line, old_column), "{line}:{column}");
        }
    }
}
