//! `spec: include`: files that hold inputs and nothing else (GitLab `lib/gitlab/ci/config/header/include.rb`, `external/header/`).

use super::include::Wanted;
use super::{Gatherer, Origin};
use crate::document::{self, Entry, Node, Place, Value};
use crate::pipeline::keyword;

const OF: &str = "an entry of `spec: include`";

impl Gatherer<'_, '_> {
    /// The inputs of a header: those of the files that it includes, then its own. None when they cannot be had, which is told.
    pub(super) fn specified(&mut self, include: Option<Entry>, own: Vec<Entry>, origin: &Origin) -> Option<Vec<Entry>> {
        let Some(include) = include else { return Some(own) };
        let mut specified: Vec<Entry> = Vec::new();
        let mut whole = true;
        for wanted in self.files_of_inputs(&include, origin)? {
            match self.inputs_of(&wanted, origin) {
                Some(inputs) => whole &= self.add(&mut specified, inputs),
                None => whole = false,
            }
        }
        whole &= self.add(&mut specified, own);
        whole.then_some(specified)
    }

    /// Each input may be said once.
    fn add(&mut self, specified: &mut Vec<Entry>, inputs: Vec<Entry>) -> bool {
        let mut right = true;
        for input in inputs {
            if specified.iter().any(|other| other.key == input.key) {
                let message = format!("the input `{}` is also in a file that `spec: include` names before", input.key);
                self.context.problems.error(input.place, "duplicate-input", message).hint("say each input once");
                right = false;
            } else {
                specified.push(input);
            }
        }
        right
    }

    fn files_of_inputs(&mut self, include: &Entry, origin: &Origin) -> Option<Vec<Wanted>> {
        let single = std::slice::from_ref(&include.value);
        let mut all = Vec::new();
        let before = self.context.problems.errors();
        for item in include.value.items().unwrap_or(single) {
            match &item.value {
                Value::Null => {}
                Value::String(text) => self.by_location(text, item.place, origin, &mut all),
                Value::Mapping(fields) => self.by_keys(item, fields, origin, &mut all),
                Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::Sequence(_) | Value::Reference(_) => {
                    self.context.wrong_type(OF, "a path or a mapping", item, include.place);
                }
            }
        }
        (self.context.problems.errors() == before).then_some(all)
    }

    fn by_keys(&mut self, item: &Node, fields: &[Entry], origin: &Origin, all: &mut Vec<Wanted>) {
        self.context.keywords(OF, keyword::HEADER_INCLUDE, fields);
        let mut kinds = fields.iter().filter(|field| ["local", "project", "remote"].contains(&field.key.as_str()));
        if let (Some(kind), None) = (kinds.next(), kinds.next()) {
            self.of_kind(OF, item, kind, Vec::new(), (origin, all));
        } else {
            let message = format!("{OF} must have exactly one of `local`, `project` and `remote`");
            self.context.problems.error(item.place, "include", message);
        }
    }

    /// What stands under `inputs`, which is all that such a file may have.
    fn inputs_of(&mut self, wanted: &Wanted, origin: &Origin) -> Option<Vec<Entry>> {
        self.one_more(wanted.place)?;
        let (bytes, _) = self.bytes(wanted, origin)?;
        let file = self.context.problems.name_file(&wanted.name);
        let mut root = match document::parse(&bytes) {
            Ok(root) => root,
            Err(error) => return self.no_document(error, file),
        };
        root.relocate(&|place| Place { file, ..place });
        if root.is_null() {
            self.context.problems.error(wanted.place, "blank", format!("`{}` is empty", wanted.name));
            return None;
        }
        let entries = self.context.entries(&format!("`{}`", wanted.name), &root, root.place)?;
        if let Some(other) = entries.iter().find(|entry| entry.key != "inputs") {
            let message = format!("`{}` cannot stand in a file that `spec: include` names: it has `inputs` alone", other.key);
            self.context.problems.error(other.place, "unknown-key", message).suggest(&other.key, ["inputs"], None);
            return None;
        }
        let inputs = entries.iter().find(|entry| !entry.value.is_null());
        let Some(inputs) = inputs else { return Some(Vec::new()) };
        self.context.entries("`inputs`", &inputs.value, inputs.place).map(<[Entry]>::to_vec)
    }
}
