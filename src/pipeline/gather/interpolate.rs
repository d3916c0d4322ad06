//! `$[[ inputs.NAME | function ]]` in the values and keys of a file, after it is read as YAML (GitLab
//! `lib/gitlab/ci/config/interpolation/template.rb`, `config.rb`, `block.rb`, `functions/`).
//!
//! A block that is a whole value gives a value of its own type, a list in a list its items; one in a longer text is spelt as Ruby
//! spells it. What an input holds is never read as YAML. Not copied: Ruby's `gsub` reads backslashes in what it puts in.

use std::collections::HashSet;

use super::access;
use super::function::{self, Variables};
use super::spelling::spelt;
use crate::document::{Entry, KeyWord, Node, Place, Value};
use crate::pipeline::problem::{Problems, Told};

/// GitLab's limits (`template.rb`, `block.rb`).
const BLOCK_LIMIT: usize = 10_000;
const FUNCTION_LIMIT: usize = 3;
/// What all that is put into a file may come to.
const NODE_LIMIT: usize = 100_000;
const TEXT_LIMIT_BYTES: usize = 1024 * 1024;

/// What a block may name.
pub(super) struct Known<'k> {
    /// `inputs`, and of a component `component`, as a mapping each.
    pub(super) contexts: &'k Node,
    /// For `expand_vars`.
    pub(super) variables: &'k Variables<'k>,
}

/// Puts the values in. None when a block cannot be; its problem is told.
pub(super) fn interpolate(problems: &mut Problems, root: Node, known: &Known<'_>) -> Option<Node> {
    let mut interpolating = Interpolating { problems, known, blocks: 0, nodes: 0, text_bytes: 0, whole: true };
    let root = interpolating.node(root);
    interpolating.whole.then_some(root)
}

struct Interpolating<'i> {
    problems: &'i mut Problems,
    known: &'i Known<'i>,
    blocks: usize,
    nodes: usize,
    text_bytes: usize,
    whole: bool,
}

impl Interpolating<'_> {
    fn node(&mut self, node: Node) -> Node {
        let place = node.place;
        let value = match node.value {
            Value::String(text) => self.text(text, place),
            Value::Sequence(items) => Value::Sequence(self.items(items)),
            Value::Mapping(entries) => Value::Mapping(self.entries(entries)),
            // What a reference names is no value (`config.rb` looks into hashes, lists and texts alone).
            plain @ (Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::Reference(_)) => plain,
        };
        Node { place, value }
    }

    /// A list that takes the place of an item gives its items.
    fn items(&mut self, items: Vec<Node>) -> Vec<Node> {
        let mut all = Vec::with_capacity(items.len());
        for item in items {
            let was_text = matches!(item.value, Value::String(_));
            match self.node(item) {
                Node { value: Value::Sequence(inner), .. } if was_text => all.extend(inner),
                other => all.push(other),
            }
        }
        all
    }

    fn entries(&mut self, entries: Vec<Entry>) -> Vec<Entry> {
        let mut all: Vec<Entry> = Vec::with_capacity(entries.len());
        let mut changed = false;
        for entry in entries {
            let value = self.node(entry.value);
            if !entry.key.contains("$[[") {
                all.push(Entry { value, ..entry });
                continue;
            }
            changed = true;
            let made = self.text(entry.key, entry.place);
            let word = KeyWord::of(&made);
            let key = spelt(&Node { place: entry.place, value: made });
            all.push(Entry { key, value, word, place: entry.place });
        }
        if changed {
            self.refuse_doubles(&mut all);
        }
        all
    }

    /// Two keys that become one: GitLab keeps the later without a word.
    fn refuse_doubles(&mut self, entries: &mut Vec<Entry>) {
        let mut seen = HashSet::new();
        let doubles: Vec<usize> =
            (0..entries.len()).filter(|at| entries.get(*at).is_some_and(|entry| !seen.insert(entry.key.clone()))).collect();
        for at in doubles.into_iter().rev() {
            let entry = entries.remove(at);
            self.fail(entry.place, format!("with inputs put in, the key `{}` is here twice", shorten(&entry.key)));
        }
    }

    fn text(&mut self, text: String, place: Place) -> Value {
        let blocks = blocks(&text);
        let [first, ..] = blocks.as_slice() else { return Value::String(text) };
        self.blocks += blocks.len();
        if self.blocks > BLOCK_LIMIT {
            self.fail(place, format!("there are more than {BLOCK_LIMIT} blocks `$[[ … ]]`"));
            return Value::String(text);
        }
        if blocks.len() == 1 && first.whole.len() == text.len() {
            let value = self.value(first, place);
            return if self.afford(value.size(), place) { value.value } else { Value::Null };
        }
        let mut out = String::with_capacity(text.len());
        let mut rest_at = 0;
        for block in &blocks {
            out.push_str(text.get(rest_at..block.start).unwrap_or_default());
            rest_at = block.start + block.whole.len();
            let value = spelt(&self.value(block, place));
            if !self.afford((0, value.len()), place) {
                return Value::Null;
            }
            out.push_str(&value);
        }
        out.push_str(text.get(rest_at..).unwrap_or_default());
        Value::String(out)
    }

    /// What a block comes to. Nothing when it cannot be, which is told.
    fn value(&mut self, block: &Block<'_>, place: Place) -> Node {
        let nothing = Node { place, value: Value::Null };
        let mut parts = block.data.split('|').map(str::trim);
        let path = parts.next().unwrap_or_default();
        // Blocks of a matrix are for the planner.
        if path.split('.').next() == Some("matrix") {
            return Node { place, value: Value::String(block.whole.to_owned()) };
        }
        let shown = format!("`$[[ {} ]]`", shorten(block.data));
        let found = match access::find(self.known.contexts, path) {
            Ok(found) => found,
            Err(error) => {
                let known = self.known;
                let names = known.contexts.get("inputs").and_then(Node::entries).unwrap_or_default();
                let told = self.fail(place, format!("{shown}: {}", error.message));
                told.suggest(&error.name, names.iter().map(|entry| entry.key.as_str()), None);
                return nothing;
            }
        };
        let functions: Vec<&str> = parts.collect();
        if functions.len() > FUNCTION_LIMIT {
            self.fail(place, format!("{shown} has more than {FUNCTION_LIMIT} functions"));
            return nothing;
        }
        let mut value = found.clone();
        for (at, function) in functions.iter().enumerate() {
            match function::call(function, &value, self.known.variables, at + 1 == functions.len()) {
                Ok(made) => value = made,
                Err(why) => {
                    self.fail(place, format!("{shown}: {why}"));
                    return nothing;
                }
            }
        }
        value.relocate(&|_| place);
        value
    }

    /// Takes what is put in off what may be. False when it is too much, which is told.
    fn afford(&mut self, (nodes, text_bytes): (usize, usize), place: Place) -> bool {
        (self.nodes, self.text_bytes) = (self.nodes.saturating_add(nodes), self.text_bytes.saturating_add(text_bytes));
        let affordable = self.nodes <= NODE_LIMIT && self.text_bytes <= TEXT_LIMIT_BYTES;
        if !affordable && self.whole {
            self.fail(place, format!("more than {NODE_LIMIT} values or {TEXT_LIMIT_BYTES} bytes of text are put in by inputs"));
        }
        affordable
    }

    fn fail(&mut self, place: Place, message: String) -> Told<'_> {
        self.whole = false;
        self.problems.error(place, "input-block", message)
    }
}

/// A block in a text.
struct Block<'t> {
    start: usize,
    /// With its brackets.
    whole: &'t str,
    /// What is in them, without blanks at the ends.
    data: &'t str,
}

/// The blocks of a text: `$[[`, at least two letters on one line, and the first `]]` after them (`template.rb`, `BLOCK_REGEXP`).
fn blocks(text: &str) -> Vec<Block<'_>> {
    const BLANKS: [char; 5] = [' ', '\t', '\n', '\r', '\u{c}'];
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = text.get(at..).and_then(|rest| rest.find("$[[")).map(|offset| at + offset) {
        at = start + 3;
        let inner = text.get(at..).unwrap_or_default();
        let data_at = inner.len() - inner.trim_start_matches(BLANKS).len();
        let data = inner.get(data_at..).unwrap_or_default();
        // The second letter at the earliest may be the last.
        let Some((second, letter)) = data.char_indices().nth(1) else { continue };
        let from = second + letter.len_utf8();
        let Some(end) = data.get(from..).and_then(|rest| rest.find("]]")).map(|offset| from + offset) else { continue };
        let data = data.get(..end).unwrap_or_default().trim_end_matches(BLANKS);
        if data.contains('\n') || data.chars().nth(1).is_none() {
            continue;
        }
        let stop = at + data_at + end + 2;
        found.push(Block { start, whole: text.get(start..stop).unwrap_or_default(), data });
        at = stop;
    }
    found
}

fn shorten(text: &str) -> String {
    if text.chars().count() <= 60 { text.to_owned() } else { text.chars().take(60).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::parse;

    fn done(text: &str) -> Result<String, Vec<String>> {
        let contexts = "inputs: {name: x y, list: [1, b], v: $A-$B, empty: '', colon: 'a: b # c', count: 6, flag: true, none: ~, deep: [[c, {n: d}]], hash: [{if: $X, when: never}], csv: 'a, b,,c', quoted: ['it''s \"x\"']}\ncomponent: {sha: '0123'}\n";
        let contexts = parse(contexts.as_bytes()).unwrap();
        let variables = Variables { known: &|name| (name == "A").then(|| "a".to_owned()), masked: &|name| name == "M" };
        let mut problems = Problems::default();
        let root = parse(text.as_bytes()).unwrap();
        let done = interpolate(&mut problems, root, &Known { contexts: &contexts, variables: &variables });
        let told = problems.into_sorted().into_iter().map(|problem| problem.message).collect();
        done.map(|node| spelt(&node)).ok_or(told)
    }

    /// `spec/lib/gitlab/ci/config/interpolation/{template,access,block,functions_stack}_spec.rb` and `functions/*_spec.rb`.
    #[test]
    fn blocks_are_gitlabs() {
        let table = [
            ("a: $[[ inputs.name ]]", r#"{:a=>"x y"}"#),
            ("a: $[[inputs.name]]b", r#"{:a=>"x yb"}"#),
            ("a: $[[ inputs.list ]]", r#"{:a=>[1, "b"]}"#),
            ("a: see $[[ inputs.list ]]", r#"{:a=>"see [1, \"b\"]"}"#),
            ("- z\n- $[[ inputs.list ]]", r#"["z", 1, "b"]"#),
            ("- [z]\n- - $[[ inputs.list ]]", r#"[["z"], [1, "b"]]"#),
            ("a: $[[ inputs.colon ]]", r#"{:a=>"a: b # c"}"#),
            ("a: $[[ inputs.count ]]", "{:a=>6}"),
            ("a: x$[[ inputs.count ]]", r#"{:a=>"x6"}"#),
            ("a: $[[ inputs.flag ]]", "{:a=>true}"),
            ("a: $[[ inputs.none ]]", "{:a=>nil}"),
            ("a: x$[[ inputs.none ]]", r#"{:a=>"x"}"#),
            ("$[[ inputs.name ]]-$[[ inputs.count ]]: b", r#"{:"x y-6"=>"b"}"#),
            ("a: $[[ inputs.list[1] ]]", r#"{:a=>"b"}"#),
            ("a: $[[ inputs.deep[0][0] ]]", r#"{:a=>"c"}"#),
            ("a: $[[ inputs.deep[0][1].n ]]", r#"{:a=>"d"}"#),
            ("a: $[[ inputs.hash[0] ]]", r#"{:a=>{:if=>"$X", :when=>"never"}}"#),
            ("a: $[[ inputs.v | expand_vars ]]", r#"{:a=>"a-$B"}"#),
            ("a: $[[ inputs.name | truncate(2,5) ]]", r#"{:a=>"y"}"#),
            ("a: $[[ inputs.name|truncate( 0 , 1 )  ]]", r#"{:a=>"x"}"#),
            ("a: $[[ inputs.name | truncate(0,2) | truncate(0,1) ]]", r#"{:a=>"x"}"#),
            ("a: $[[ inputs.name | posix_escape ]]", r#"{:a=>"x\\ y"}"#),
            ("a: $[[ inputs.empty | posix_escape ]]", r#"{:a=>"''"}"#),
            ("a: $[[ inputs.csv | split(',') ]]", r#"{:a=>["a", "b", "c"]}"#),
            ("- $[[ inputs.csv | split(',') ]]", r#"["a", "b", "c"]"#),
            ("a: $[[ matrix.X ]]", r#"{:a=>"$[[ matrix.X ]]"}"#),
            ("a: $[[ component.sha | truncate(0,2) ]]", r#"{:a=>"01"}"#),
            ("a: $[[ ]] $[[", r#"{:a=>"$[[ ]] $[["}"#),
            ("a: '$[[ inputs.quoted ]] '", r#"{:a=>"[\"it's \\\"x\\\"\"] "}"#),
        ];
        for (text, expected) in table {
            assert_eq!(done(text).as_deref(), Ok(expected), "{text}");
        }
        for text in [
            "$[[ inputs.nam ]]",
            "$[[ other.x ]]",
            "$[[ inputs ]]",
            "$[[ component.name ]]",
            "$[[ inputs.name | upper ]]",
            "$[[ inputs.name | truncate(a,b) ]]",
            "$[[ inputs.name | truncate(2) ]]",
            "$[[ inputs.count | truncate(0,1) ]]",
            "$[[ inputs.list | expand_vars ]]",
            "$[[ inputs.list | posix_escape ]]",
            "$[[ inputs.list | split(',') ]]",
            "$[[ inputs.csv | split('') ]]",
            "$[[ inputs.csv | split(\",\") ]]",
            "$[[ inputs.csv | split(',') | truncate(0,1) ]]",
            "$[[ inputs.csv | truncate(0,1) | truncate(0,1) | truncate(0,1) | truncate(0,1) ]]",
            "$[[ inputs.name.more ]]",
            "$[[ inputs.list[2] ]]",
            "$[[ inputs.list[-1] ]]",
            "$[[ inputs.list[] ]]",
            "$[[ inputs.list[0]x ]]",
            "$[[ inputs.name[0] ]]",
            "$[[ inputs.deep[0].[1] ]]",
            "$[[ inputs.deep[0][0][0][0][0][0] ]]",
        ] {
            assert!(done(&format!("a: '{}'", text.replace('\'', "''"))).is_err(), "{text}");
        }
        assert_eq!(done("a: 1\n$[[ inputs.empty ]]a: 2\n").unwrap_err().len(), 1);
    }

    #[test]
    fn what_is_put_in_is_bounded() {
        let long = "x".repeat(200_000);
        let contexts = parse(format!("inputs: {{a: {long}, l: [{}]}}", "x, ".repeat(60_000)).as_bytes()).unwrap();
        let variables = Variables { known: &|_| None, masked: &|_| false };
        for text in [
            "a: 'z$[[ inputs.a ]]$[[ inputs.a ]]$[[ inputs.a ]]$[[ inputs.a ]]$[[ inputs.a ]]$[[ inputs.a ]]'",
            "[$A, '$[[ inputs.l ]]', '$[[ inputs.l ]]']",
        ] {
            let mut problems = Problems::default();
            let known = Known { contexts: &contexts, variables: &variables };
            assert_eq!(interpolate(&mut problems, parse(text.as_bytes()).unwrap(), &known), None);
            assert_eq!(problems.into_sorted().len(), 1);
        }
        let blocks = "$[[ inputs.b ]]".repeat(BLOCK_LIMIT + 1);
        assert_eq!(super::blocks(&blocks).len(), BLOCK_LIMIT + 1);
    }
}
