//! A pipeline file and all that it includes → one tree, with `extends` and `!reference` written out.
//!
//! In GitLab's order (`lib/gitlab/ci/config.rb`): inputs, YAML, includes, `extends`, `!reference`. Places stay those of the files
//! as they were written; [`Place::file`] says which. This part opens nothing: bytes come from a [`Files`].

mod access;
mod extends;
mod function;
mod header;
mod header_include;
mod include;
mod input_rules;
mod inputs;
mod interpolate;
mod merge;
mod origin;
mod reference;
mod remote;
mod spelling;

pub(super) use header::content;
pub use remote::Fetched;

use std::collections::BTreeMap;

use super::files::{Elsewhere, Files};
use super::planner::PlanInputs;
use super::predefined::before_pipeline;
use super::problem::Problems;
use super::read::Context;
use crate::document::{self, Entry, Node, Place, Value};

/// How many files a pipeline may include (GitLab's `ci_max_includes`).
const INCLUDE_LIMIT: usize = 150;
/// What all of it may come to, written out.
const NODE_LIMIT: usize = 600_000;
const TEXT_LIMIT_BYTES: usize = 16 * 1024 * 1024;

/// What a pipeline file may look at, and where it lies.
#[derive(Clone, Copy)]
pub struct Surroundings<'s> {
    /// The commit's other files, and those of elsewhere.
    pub files: &'s dyn Files,
    /// What is known of the run: `include: rules` see it.
    pub inputs: &'s PlanInputs,
    /// The pipeline file's path, for messages.
    pub path: &'s str,
}

/// The tree, and the names of the files that its places are of.
pub(super) struct Gathered {
    pub(super) entries: Vec<Entry>,
    /// What stands under `.hms` in the pipeline file itself, before anything was merged into it.
    pub(super) settings: Option<Node>,
    pub(super) fetched: Vec<Fetched>,
}

/// What is still to be had of values and text.
pub(super) struct Budget {
    nodes: usize,
    text_bytes: usize,
    told: bool,
}

impl Budget {
    /// Takes a tree's size off. False when it is too much, which is told once.
    fn afford(&mut self, problems: &mut Problems, (nodes, text_bytes): (usize, usize), place: Place) -> bool {
        let affordable = nodes <= self.nodes && text_bytes <= self.text_bytes;
        if affordable {
            (self.nodes, self.text_bytes) = (self.nodes - nodes, self.text_bytes - text_bytes);
        } else if !std::mem::replace(&mut self.told, true) {
            let message = format!(
                "with includes, `extends` and references written out the pipeline has more than {NODE_LIMIT} values or {TEXT_LIMIT_BYTES} bytes of text"
            );
            problems.error(place, "pipeline-too-large", message);
        }
        affordable
    }
}

/// Where a file comes from: its `include: local` are of there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// The run's commit.
    Commit,
    /// Another project, or another revision of this one.
    Of(Elsewhere),
    /// A template or an address: it has no files beside it, and what it includes sees no variables (`external/file/base.rb`,
    /// `expand_context_attrs`).
    Nowhere,
}

pub(super) struct Gatherer<'g, 's> {
    context: &'g mut Context,
    around: &'s Surroundings<'s>,
    /// The variables that `include` may use: those of the run, not the file's.
    variables: BTreeMap<String, String>,
    budget: Budget,
    /// The files that are open, the innermost last.
    open: Vec<String>,
    fetched: Vec<Fetched>,
}

/// Reads a pipeline file with all that it includes. None when it cannot be read at all; the problem is told.
pub(super) fn gather(context: &mut Context, around: &Surroundings<'_>, bytes: &[u8]) -> Option<Gathered> {
    let mut variables = around.inputs.predefined.clone();
    variables.extend(before_pipeline());
    variables.extend(around.inputs.variables.iter().map(|(name, value)| (name.clone(), value.clone())));
    let budget = Budget { nodes: NODE_LIMIT, text_bytes: TEXT_LIMIT_BYTES, told: false };
    let mut gatherer = Gatherer { context, around, variables, budget, open: vec![around.path.to_owned()], fetched: Vec::new() };
    let given = gatherer.given_for_run();
    let given = inputs::Given { entries: &given, include: None, component: None };
    let own = gatherer.parse(bytes, 0, &given, &Origin::Commit)?;
    let settings = own.iter().find(|entry| entry.key == ".hms").map(|entry| entry.value.clone());
    if let Some(node) = settings.as_ref().filter(|node| super::read::settings(bytes).as_ref().map(Node::plain) != Some(node.plain())) {
        let message = "no input can be put into `.hms`: what it says must be the same in every run";
        gatherer.context.problems.error(node.place, "settings-inputs", message).hint("write the value out");
    }
    let mut entries = gatherer.with_includes(own, &Origin::Commit);
    let Gatherer { context, mut budget, fetched, .. } = gatherer;
    extends::extend(&mut context.problems, &mut budget, &mut entries);
    reference::resolve(&mut context.problems, &mut budget, &mut entries);
    Some(Gathered { entries, settings, fetched })
}

impl Gatherer<'_, '_> {
    /// The inputs given for the run itself, as text: what is no text to its input is JSON, as in GitLab's interfaces.
    fn given_for_run(&self) -> Vec<Entry> {
        let value = |text: &String| Node { place: Place::START, value: Value::String(text.clone()) };
        self.around.inputs.inputs.iter().map(|(key, text)| Entry::new(key.clone(), Place::START, value(text))).collect()
    }

    /// A file's own entries, inputs put in. None when it is no pipeline; the problem is told.
    fn parse(&mut self, bytes: &[u8], file: u16, given: &inputs::Given<'_>, origin: &Origin) -> Option<Vec<Entry>> {
        let text = match document::text(bytes) {
            Ok(text) => text,
            Err(error) => return self.no_document(error, file),
        };
        let header::Split { header, content } = header::split(self.context, text, file);
        if let (None, Some(extra)) = (&header, given.entries.first()) {
            let message = "inputs are given, and the file takes none: it has no header with `spec: inputs`";
            self.context.problems.error(extra.place, "unknown-input", message);
            return None;
        }
        let contexts = header.map(|header| self.contexts(header, given, origin).ok_or(())).transpose().ok()?;
        let mut root = match document::parse_with_references(content.as_bytes()) {
            Ok(root) => root,
            Err(error) => return self.no_document(error, file),
        };
        if file > 0 {
            root.relocate(&|place| Place { file, ..place });
        }
        if let Some(contexts) = &contexts {
            let (known, masked) = (&self.variables, &self.around.inputs.masked);
            let variables = function::Variables { known: &|name| known.get(name).cloned(), masked: &|name| masked.contains_key(name) };
            let known = interpolate::Known { contexts, variables: &variables };
            root = interpolate::interpolate(&mut self.context.problems, root, &known)?;
        }
        self.budget.afford(&mut self.context.problems, root.size(), root.place).then_some(())?;
        let kind = root.kind();
        match root.value {
            Value::Mapping(entries) => Some(entries),
            Value::Null if file == 0 => {
                self.context.problems.error(Place::START, "no-jobs", "the file is empty; there are no jobs").hint(super::read::SMALLEST);
                None
            }
            Value::Null => Some(Vec::new()),
            Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::String(_) | Value::Sequence(_) | Value::Reference(_) => {
                let message = format!("the file must be a mapping of jobs, not {kind}");
                self.context.problems.error(root.place, "type", message).hint(super::read::SMALLEST);
                None
            }
        }
    }

    /// What the blocks of a file may name. None when it cannot be had, which is told.
    fn contexts(&mut self, header: header::Header, given: &inputs::Given<'_>, origin: &Origin) -> Option<Node> {
        let specified = self.specified(header.include, header.inputs, origin)?;
        let values = inputs::values(self.context, &specified, given)?;
        let component = self.of_component(&header.component, given)?;
        let mapping = |entries: Vec<Entry>| Node { place: given.place(), value: Value::Mapping(entries) };
        let context = |key: &str, entries: Vec<Entry>| Entry::new(key, given.place(), mapping(entries));
        Some(mapping(vec![context("inputs", values), context("component", component)]))
    }

    /// What a file wants to know of itself as a component; nothing when it is none. None when it cannot be known, which is told.
    fn of_component(&mut self, wanted: &[&'static str], given: &inputs::Given<'_>) -> Option<Vec<Entry>> {
        let mut values = Vec::new();
        let Some(inputs::Component { name, elsewhere }) = given.component.filter(|_| !wanted.is_empty()) else { return Some(values) };
        let identity = match self.around.files.identity_of(elsewhere) {
            Ok(identity) => identity,
            Err(why) => {
                self.context.problems.error(given.place(), "include-refused", format!("`{}` cannot be looked at: {why}", elsewhere.name()));
                return None;
            }
        };
        for what in wanted {
            let value = match *what {
                "name" => name.clone(),
                "sha" => identity.sha.clone(),
                "version" => identity.version.clone().unwrap_or_default(),
                _ => match elsewhere {
                    Elsewhere::Component { version, .. } => version.clone(),
                    Elsewhere::Project { reference, .. } => reference.clone().unwrap_or_default(),
                },
            };
            let value = Node { place: given.place(), value: Value::String(value) };
            values.push(Entry::new(*what, given.place(), value));
        }
        Some(values)
    }

    fn no_document<T>(&mut self, error: document::DocumentError, file: u16) -> Option<T> {
        let told = self.context.problems.error(Place { file, ..error.place }, "yaml", error.message);
        if let Some(hint) = error.hint {
            told.hint(hint);
        }
        None
    }
}
