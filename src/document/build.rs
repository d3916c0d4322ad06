//! Events → tree. No recursion: the text decides how deep it goes, and the stack here is a `Vec` with a limit.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Tag};

use super::merge::{Growing, shorten};
use super::{DocumentError, Entry, KeyWord, Node, Place, Value, scalar, source};

/// How deep lists and mappings may lie in each other, aliases included.
const DEPTH_LIMIT: usize = 64;
/// How many values a document may have, with everything that aliases copy. Ten thousand jobs have about a third of it.
const NODE_LIMIT: usize = 300_000;
/// How many bytes of text it may have, with everything that aliases copy.
const TEXT_LIMIT_BYTES: usize = 8 * 1024 * 1024;

/// Whether `!reference` is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum References {
    Read,
    Refused,
}

pub(super) fn build(text: &str, references: References) -> Result<Node, DocumentError> {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| source::name_tab(text, explain(&error)))?;
        let place = place(span.start);
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            Event::DocumentStart(_) => builder.start_document(place)?,
            Event::Alias(id) => builder.alias(id, place)?,
            Event::Scalar(text, style, anchor, tag) => {
                let wants_key = builder.wants_key();
                builder.key_word = if wants_key && style == ScalarStyle::Plain && tag.is_none() { scalar::key_word(&text) } else { None };
                let style = if wants_key { ScalarStyle::SingleQuoted } else { style };
                let value = scalar_value(&text, style, tag.as_deref(), place)?;
                builder.spend(1, text.len(), place)?;
                builder.finish(Node { place, value }, anchor, Size { nodes: 1, text_bytes: text.len(), height: 0 })?;
            }
            Event::SequenceStart(anchor, Some(tag)) if references == References::Read && is_reference(&tag) => {
                builder.open(Holder::Reference(Vec::new()), anchor, place)?;
            }
            Event::SequenceStart(anchor, tag) => {
                refuse_tag(tag.as_deref(), "seq", place)?;
                builder.open(Holder::Sequence(Vec::new()), anchor, place)?;
            }
            Event::MappingStart(anchor, tag) => {
                refuse_tag(tag.as_deref(), "map", place)?;
                builder.open(Holder::Mapping { growing: Growing::default(), key: None }, anchor, place)?;
            }
            Event::SequenceEnd | Event::MappingEnd => builder.close()?,
        }
    }
    Ok(builder.root.unwrap_or(Node { place: Place::START, value: Value::Null }))
}

#[derive(Default)]
struct Builder {
    documents: usize,
    root: Option<Node>,
    /// Of the key that was just read.
    key_word: Option<KeyWord>,
    open: Vec<Frame>,
    anchors: HashMap<usize, Anchored>,
    nodes: usize,
    text_bytes: usize,
}

struct Frame {
    place: Place,
    holder: Holder,
    anchor: usize,
    nodes_before: usize,
    text_before: usize,
    /// The height of the highest child.
    height: usize,
}

enum Holder {
    Sequence(Vec<Node>),
    Reference(Vec<Node>),
    Mapping { growing: Growing, key: Option<(String, Place, Option<KeyWord>)> },
}

struct Anchored {
    node: Node,
    size: Size,
}

#[derive(Clone, Copy)]
struct Size {
    nodes: usize,
    text_bytes: usize,
    height: usize,
}

impl Builder {
    /// The next value is a key; whatever word it is, it is taken as written.
    fn wants_key(&self) -> bool {
        self.open.last().is_some_and(|frame| matches!(frame.holder, Holder::Mapping { key: None, .. }))
    }

    fn start_document(&mut self, place: Place) -> Result<(), DocumentError> {
        self.documents += 1;
        if self.documents == 1 {
            return Ok(());
        }
        Err(DocumentError::new(place, "a second document starts here; the file may hold one")
            .hint("remove the `---` line, or put the second document in a file of its own"))
    }

    fn alias(&mut self, id: usize, place: Place) -> Result<(), DocumentError> {
        let Some(anchored) = self.anchors.get(&id) else {
            return Err(DocumentError::new(place, "this alias names a value that it is itself part of"));
        };
        let size = anchored.size;
        if self.open.len() + size.height > DEPTH_LIMIT {
            return Err(too_deep(place));
        }
        // Paid for before it is copied: a bomb never exists in memory.
        self.spend(size.nodes, size.text_bytes, place)?;
        let Some(anchored) = self.anchors.get(&id) else { return Ok(()) };
        let node = anchored.node.clone();
        self.attach(node, size.height)
    }

    fn open(&mut self, holder: Holder, anchor: usize, place: Place) -> Result<(), DocumentError> {
        if self.open.len() >= DEPTH_LIMIT {
            return Err(too_deep(place));
        }
        let (nodes_before, text_before) = (self.nodes, self.text_bytes);
        self.spend(1, 0, place)?;
        self.open.push(Frame { place, holder, anchor, nodes_before, text_before, height: 0 });
        Ok(())
    }

    fn close(&mut self) -> Result<(), DocumentError> {
        let Some(frame) = self.open.pop() else { return Ok(()) };
        let size =
            Size { nodes: self.nodes - frame.nodes_before, text_bytes: self.text_bytes - frame.text_before, height: frame.height + 1 };
        let value = match frame.holder {
            Holder::Sequence(items) => Value::Sequence(items),
            Holder::Reference(items) => Value::Reference(path_of(items, frame.place)?),
            Holder::Mapping { growing, .. } => Value::Mapping(growing.into_entries()),
        };
        self.finish(Node { place: frame.place, value }, frame.anchor, size)
    }

    fn finish(&mut self, node: Node, anchor: usize, size: Size) -> Result<(), DocumentError> {
        if anchor > 0 {
            self.spend(size.nodes, size.text_bytes, node.place)?;
            self.anchors.insert(anchor, Anchored { node: node.clone(), size });
        }
        self.attach(node, size.height)
    }

    fn attach(&mut self, node: Node, height: usize) -> Result<(), DocumentError> {
        let Some(frame) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        frame.height = frame.height.max(height);
        match &mut frame.holder {
            Holder::Sequence(items) | Holder::Reference(items) => items.push(node),
            Holder::Mapping { growing, key } => {
                if let Some((key, place, word)) = key.take() {
                    growing.add(Entry { key, place, value: node, word })?;
                } else {
                    let (text, place) = key_of(node)?;
                    *key = Some((text, place, self.key_word.take()));
                }
            }
        }
        Ok(())
    }

    fn spend(&mut self, nodes: usize, text_bytes: usize, place: Place) -> Result<(), DocumentError> {
        self.nodes = self.nodes.saturating_add(nodes);
        self.text_bytes = self.text_bytes.saturating_add(text_bytes);
        if self.nodes <= NODE_LIMIT && self.text_bytes <= TEXT_LIMIT_BYTES {
            return Ok(());
        }
        let message = if self.anchors.is_empty() {
            format!("the document has more than {NODE_LIMIT} values")
        } else {
            format!("with its aliases written out the document has more than {NODE_LIMIT} values or {TEXT_LIMIT_BYTES} bytes of text")
        };
        Err(DocumentError::new(place, message))
    }
}

/// An empty key, or one that is a list or a mapping, is no name of anything.
fn key_of(node: Node) -> Result<(String, Place), DocumentError> {
    match node.value {
        Value::String(text) if text.is_empty() => Err(DocumentError::new(node.place, "a key is empty")),
        Value::String(text) => Ok((text, node.place)),
        Value::Null
        | Value::Bool(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Sequence(_)
        | Value::Mapping(_)
        | Value::Reference(_) => {
            let message = format!("a key must be text, not {}", node.kind());
            Err(DocumentError::new(node.place, message))
        }
    }
}

fn scalar_value(text: &str, style: ScalarStyle, tag: Option<&Tag>, place: Place) -> Result<Value, DocumentError> {
    if tag.is_some() {
        refuse_tag(tag, "str", place)?;
        return Ok(Value::String(text.to_owned()));
    }
    Ok(match style {
        ScalarStyle::Plain => scalar::resolve(text),
        ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted | ScalarStyle::Literal | ScalarStyle::Folded => {
            Value::String(text.to_owned())
        }
    })
}

fn is_reference(tag: &Tag) -> bool {
    tag.handle == "!" && tag.suffix == "reference"
}

/// The path that a reference names: keys, from the top of the file.
fn path_of(items: Vec<Node>, place: Place) -> Result<Vec<String>, DocumentError> {
    const EXAMPLE: &str = "for instance `!reference [.setup, script]`";
    if items.is_empty() {
        return Err(DocumentError::new(place, "this `!reference` names nothing").hint(EXAMPLE));
    }
    let keys = items.into_iter().map(|item| match item.value {
        Value::String(key) => Ok(key),
        Value::Null
        | Value::Bool(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Sequence(_)
        | Value::Mapping(_)
        | Value::Reference(_) => {
            let message = format!("a `!reference` is a list of keys, which are text, not {}", item.kind());
            Err(DocumentError::new(item.place, message).hint(EXAMPLE))
        }
    });
    keys.collect()
}

/// Only the tag that changes nothing, or makes text of a word, is taken.
fn refuse_tag(tag: Option<&Tag>, taken: &str, place: Place) -> Result<(), DocumentError> {
    let Some(tag) = tag else { return Ok(()) };
    if tag.is_yaml_core_schema() && tag.suffix == taken {
        return Ok(());
    }
    let name = if tag.is_yaml_core_schema() { format!("!!{}", tag.suffix) } else { tag.to_string() };
    let error = DocumentError::new(place, format!("the tag `{}` is not supported", shorten(&name)));
    Err(if tag.suffix == "reference" {
        error.hint("a `!reference` is a list of keys, for instance `!reference [.setup, script]`, and stands for a value of a pipeline")
    } else {
        error.hint("remove the tag")
    })
}

fn too_deep(place: Place) -> DocumentError {
    DocumentError::new(place, format!("lists and mappings lie in each other more than {DEPTH_LIMIT} deep"))
}

fn place(marker: Marker) -> Place {
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    Place::at(number(marker.line()), number(marker.col().saturating_add(1)))
}

/// The scanner's words, with what to do where people meet them.
fn explain(error: &ScanError) -> DocumentError {
    let place = place(*error.marker());
    let info = error.info();
    if info.contains("unknown anchor") {
        return DocumentError::new(place, "this alias names an anchor that is not defined above it").hint("define it first, as `&name`");
    }
    if info.contains("recursion limit") {
        return too_deep(place);
    }
    let error = DocumentError::new(place, info);
    if info.contains("mapping values are not allowed") {
        return error.hint("a value that contains `: ` must be quoted; else look at the indentation of this line");
    }
    if info.contains("simple key") || info.contains("did not find expected key") || info.contains("block collection") {
        return error.hint("look at the indentation of this line and the one before it, and for a missing `:`");
    }
    if info.contains("quoted scalar") {
        return error.hint("a quote is not closed");
    }
    if info.contains("flow sequence") || info.contains("flow mapping") {
        return error.hint("a bracket is not closed, or a comma is missing");
    }
    error
}
