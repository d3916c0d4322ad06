//! `include`: which files, under which rules, with which inputs; and putting them together.

use std::collections::BTreeMap;

use super::inputs::{Component, Given};
use super::merge::merge;
use super::origin::Beside;
use super::{Gatherer, INCLUDE_LIMIT, Origin};
use crate::document::{Entry, Node, Place, Value};
use crate::pipeline::expand::expand_for_include;
use crate::pipeline::files::{Elsewhere, Files as _, Foreign, Remote};
use crate::pipeline::keyword;
use crate::pipeline::read::{only_always_or_never, read_rules};
use crate::pipeline::rule::{Rule, Sight};

/// One file that is wanted.
pub(super) struct Wanted {
    pub(super) what: What,
    /// For messages.
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) inputs: Vec<Entry>,
    /// The component that it is the file of.
    pub(super) component: Option<Component>,
}

pub(super) enum What {
    Local(String),
    /// Paths of which the first that is there is meant.
    Of(Elsewhere, Vec<String>),
    Template(String),
    Remote(Remote),
}

impl Gatherer<'_, '_> {
    /// A file's entries over those of the files that it includes.
    pub(super) fn with_includes(&mut self, own: Vec<Entry>, origin: &Origin) -> Vec<Entry> {
        let mut merged: Vec<Entry> = Vec::new();
        let Some(include) = own.iter().find(|entry| entry.key == "include").cloned() else { return own };
        for wanted in self.wanted(&include, origin) {
            if let Some(entries) = self.file(&wanted, origin) {
                merge(&mut merged, entries);
            }
        }
        merge(&mut merged, own.into_iter().filter(|entry| entry.key != "include").collect());
        merged
    }

    /// A wanted file with all that it includes itself.
    fn file(&mut self, wanted: &Wanted, origin: &Origin) -> Option<Vec<Entry>> {
        if self.open.contains(&wanted.name) {
            let all: Vec<&str> = self.open.iter().map(String::as_str).chain([wanted.name.as_str()]).collect();
            let message = format!("these files include each other: {}", all.join(" → "));
            self.context.problems.error(wanted.place, "include-circle", message).hint("remove one of these includes");
            return None;
        }
        self.one_more(wanted.place)?;
        let (bytes, inner) = self.bytes(wanted, origin)?;
        let file = self.context.problems.name_file(&wanted.name);
        self.open.push(wanted.name.clone());
        let given = Given { entries: &wanted.inputs, include: Some(wanted.place), component: wanted.component.as_ref() };
        let entries = self.parse(&bytes, file, &given, &inner).map(|own| {
            let own = self.without_settings(own);
            let hidden = (inner == Origin::Nowhere).then(|| std::mem::take(&mut self.variables));
            let all = self.with_includes(own, &inner);
            if let Some(variables) = hidden {
                self.variables = variables;
            }
            all
        });
        self.open.pop();
        entries
    }

    /// Nothing when there are as many files as there may be, which is told.
    pub(super) fn one_more(&mut self, place: Place) -> Option<()> {
        if self.context.problems.files.len() < INCLUDE_LIMIT {
            return Some(());
        }
        let message = format!("there are more than {INCLUDE_LIMIT} included files");
        self.context.problems.error(place, "too-many-includes", message);
        None
    }

    /// `.hms` counts in the pipeline file alone (`docs/decisions.md` 15.3).
    fn without_settings(&mut self, own: Vec<Entry>) -> Vec<Entry> {
        let is_settings = |entry: &Entry| entry.key == ".hms";
        if let Some(settings) = own.iter().find(|entry| is_settings(entry)) {
            let message = "`.hms` counts in the pipeline file alone, not in one that it includes";
            self.context.problems.error(settings.place, "included-settings", message).hint("move it into the pipeline file");
        }
        own.into_iter().filter(|entry| !is_settings(entry)).collect()
    }

    pub(super) fn bytes(&mut self, wanted: &Wanted, origin: &Origin) -> Option<(Vec<u8>, Origin)> {
        let files = self.around.files;
        let found = match &wanted.what {
            What::Local(path) => Beside { files, origin }.local(path).map(|bytes| (bytes, origin.clone())),
            What::Of(elsewhere, paths) => {
                let mut found = Ok(None);
                for path in paths {
                    found = files.foreign(&Foreign::Of(elsewhere.clone(), path.clone()));
                    if !matches!(found, Ok(None)) {
                        break;
                    }
                }
                found.map(|bytes| (bytes, Origin::Of(elsewhere.clone())))
            }
            What::Template(name) => files.foreign(&Foreign::Template(name.clone())).map(|bytes| (bytes, Origin::Nowhere)),
            What::Remote(remote) => return self.fetched(remote, wanted.place).map(|bytes| (bytes, Origin::Nowhere)),
        };
        match found {
            Ok((Some(bytes), inner)) => return Some((bytes, inner)),
            Ok((None, _)) => {
                self.context.problems.error(wanted.place, "unknown-include", format!("`{}` is not there", wanted.name));
            }
            Err(why) => {
                self.context.problems.error(wanted.place, "include-refused", format!("`{}` cannot be included: {why}", wanted.name));
            }
        }
        None
    }

    /// What `include` names, its globs written out, without what its rules leave out.
    fn wanted(&mut self, include: &Entry, origin: &Origin) -> Vec<Wanted> {
        let single = std::slice::from_ref(&include.value);
        let items = include.value.items().unwrap_or(single);
        let mut all = Vec::new();
        for item in items {
            match &item.value {
                Value::Null => {}
                Value::String(text) => self.by_location(text, item.place, origin, &mut all),
                Value::Mapping(fields) => self.by_fields(item, fields, origin, &mut all),
                Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::Sequence(_) | Value::Reference(_) => {
                    self.context.wrong_type("an entry of `include`", "a path or a mapping", item, include.place);
                }
            }
        }
        all
    }

    /// `include: path`, or an address.
    pub(super) fn by_location(&mut self, text: &str, place: Place, origin: &Origin, all: &mut Vec<Wanted>) {
        let location = expand_for_include(text, &self.variables);
        if location.starts_with("https://") || location.starts_with("http://") {
            self.remote(&location, None, place, Vec::new(), all);
        } else {
            self.local(&location, place, origin, &[], all);
        }
    }

    fn by_fields(&mut self, item: &Node, fields: &[Entry], origin: &Origin, all: &mut Vec<Wanted>) {
        let of = "an entry of `include`";
        let mut inputs = Vec::new();
        let kinds: Vec<&Entry> =
            fields.iter().filter(|field| ["local", "project", "template", "component", "remote"].contains(&field.key.as_str())).collect();
        for field in self.context.keywords(of, keyword::INCLUDE, fields) {
            let subject = format!("{of}: `{}`", field.key);
            match field.key.as_str() {
                "inputs" => inputs = self.context.entries(&subject, &field.value, field.place).unwrap_or_default().to_vec(),
                "rules" => {
                    let rules = read_rules(self.context, &subject, keyword::INCLUDE_RULE, &field.value, field.place);
                    only_always_or_never(self.context, &subject, &rules);
                    if !self.wanted_by(&rules, origin) {
                        return;
                    }
                }
                _ => {}
            }
        }
        let [kind] = kinds.as_slice() else {
            let refused = ["artifact", "job"].iter().any(|key| fields.iter().any(|field| field.key == *key));
            if !refused {
                let message = format!("{of} must have exactly one of `local`, `project`, `remote`, `template` and `component`");
                self.context.problems.error(item.place, "include", message);
            }
            return;
        };
        self.of_kind(of, item, kind, inputs, (origin, all));
    }

    /// An entry with its one key that says where the file is.
    pub(super) fn of_kind(&mut self, of: &str, item: &Node, kind: &Entry, inputs: Vec<Entry>, (origin, all): (&Origin, &mut Vec<Wanted>)) {
        let fields = item.entries().unwrap_or_default();
        let subject = format!("{of}: `{}`", kind.key);
        let Some(text) = self.context.text(&subject, &kind.value, kind.place) else { return };
        let location = expand_for_include(&text, &self.variables);
        let place = kind.value.place;
        if kind.key != "remote"
            && let Some(extra) = fields.iter().find(|field| ["integrity", "cache"].contains(&field.key.as_str()))
        {
            self.context.problems.error(extra.place, "include", format!("{of}: `{}` goes with `remote` alone", extra.key));
            return;
        }
        match kind.key.as_str() {
            "local" => self.local(&location, place, origin, &inputs, all),
            "project" => self.project(&location, item, place, &inputs, all),
            "component" => self.component(&location, place, inputs, all),
            "remote" => self.remote(&location, Some(item), place, inputs, all),
            _ => self.template(location, place, inputs, all),
        }
    }

    /// Rules of an include look at the files beside the file that they stand in (`external/rules.rb`).
    fn wanted_by(&mut self, rules: &[Rule], origin: &Origin) -> bool {
        let inputs = self.around.inputs;
        let nothing = BTreeMap::new();
        let masked = if *origin == Origin::Nowhere { &nothing } else { &inputs.masked };
        let beside = Beside { files: self.around.files, origin };
        let sight = Sight { variables: &self.variables, written: &nothing, masked, files: &beside };
        match Rule::first(rules, &sight, |_| {}) {
            Ok(found) => found.is_some_and(|(_, rule)| rule.when != Some(crate::event::When::Never)),
            Err(undecided) => {
                self.context.problems.error(undecided.place, "undecided-rule", undecided.message);
                false
            }
        }
    }

    fn local(&mut self, location: &str, place: Place, origin: &Origin, inputs: &[Entry], all: &mut Vec<Wanted>) {
        let path = location.trim_start_matches('/');
        if !path.contains('*') {
            if self.is_yaml(path, place) {
                all.push(Self::wanted_local(path, place, origin, inputs));
            }
            return;
        }
        let beside = Beside { files: self.around.files, origin };
        // Without files beside it, one that is named tells why better than a pattern that finds nothing.
        if *origin == Origin::Nowhere {
            all.push(Self::wanted_local(path, place, origin, inputs));
            return;
        }
        match beside.paths() {
            Err(why) => {
                self.context.problems.error(place, "include-refused", format!("`{location}` cannot be included: {why}"));
            }
            Ok(paths) => {
                let Some(pattern) = wildcard(path) else { return };
                let found: Vec<String> = paths.iter().filter(|found| pattern.is_match(found)).cloned().collect();
                if found.is_empty() {
                    self.context.problems.warning(place, "unknown-include", format!("no file matches `{location}`"));
                }
                for found in found {
                    if self.is_yaml(&found, place) {
                        all.push(Self::wanted_local(&found, place, origin, inputs));
                    }
                }
            }
        }
    }

    fn wanted_local(path: &str, place: Place, origin: &Origin, inputs: &[Entry]) -> Wanted {
        let name = match origin {
            Origin::Of(elsewhere) => format!("{}:{path}", elsewhere.name()),
            Origin::Commit | Origin::Nowhere => path.to_owned(),
        };
        Wanted { what: What::Local(path.to_owned()), name, place, inputs: inputs.to_vec(), component: None }
    }

    pub(super) fn is_yaml(&mut self, path: &str, place: Place) -> bool {
        let ending = path.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
        let right = matches!(ending.as_deref(), Some("yml" | "yaml"));
        if !right {
            let message = format!("`{path}` cannot be included: its name does not end in `.yml` or `.yaml`");
            self.context.problems.error(place, "include-refused", message);
        }
        right
    }

    fn project(&mut self, project: &str, item: &Node, place: Place, inputs: &[Entry], all: &mut Vec<Wanted>) {
        let field = item.entries().and_then(|fields| fields.iter().find(|field| field.key == "ref" && !field.value.is_null()));
        let reference = match field.map(|field| self.context.text("an entry of `include`: `ref`", &field.value, field.place)) {
            None => None,
            Some(Some(text)) => Some(expand_for_include(&text, &self.variables)),
            Some(None) => return,
        };
        let Some(file) = item.get("file") else {
            let message = "an `include` with `project` has no `file`";
            self.context.problems.error(place, "include", message).hint("for instance `file: /templates/build.yml`");
            return;
        };
        for path in self.context.text_or_texts("an entry of `include`: `file`", file, place) {
            let path = expand_for_include(&path, &self.variables).trim_start_matches('/').to_owned();
            if self.is_yaml(&path, file.place) {
                let elsewhere = Elsewhere::Project { project: project.to_owned(), reference: reference.clone() };
                let name = format!("{}:{path}", elsewhere.name());
                all.push(Wanted { what: What::Of(elsewhere, vec![path]), name, place, inputs: inputs.to_vec(), component: None });
            }
        }
    }

    /// `host/group/project/name@version` (`doc/ci/components/_index.md`).
    fn component(&mut self, address: &str, place: Place, inputs: Vec<Entry>, all: &mut Vec<Wanted>) {
        let parts = address.rsplit_once('@').and_then(|(path, version)| Some((path.rsplit_once('/')?, version)));
        let Some(((project, name), version)) = parts.filter(|((project, name), version)| {
            project.contains('/') && !name.is_empty() && !version.is_empty() && !project.starts_with('/')
        }) else {
            let message = format!("`{address}` is no component");
            self.context.problems.error(place, "include", message).hint("write `host/group/project/name@version`");
            return;
        };
        let elsewhere = Elsewhere::Component { project: project.to_owned(), version: version.to_owned() };
        let paths = vec![format!("templates/{name}.yml"), format!("templates/{name}/template.yml")];
        let component = Component { name: name.to_owned(), elsewhere: elsewhere.clone() };
        all.push(Wanted {
            what: What::Of(elsewhere, paths),
            name: format!("component {address}"),
            place,
            inputs,
            component: Some(component),
        });
    }

    /// One of GitLab's own files (`external/file/template.rb`).
    fn template(&mut self, name: String, place: Place, inputs: Vec<Entry>, all: &mut Vec<Wanted>) {
        if name.ends_with(".gitlab-ci.yml") {
            all.push(Wanted { name: format!("template {name}"), what: What::Template(name), place, inputs, component: None });
        } else {
            let message = format!("`{name}` is no template: its name does not end in `.gitlab-ci.yml`");
            self.context.problems.error(place, "include-refused", message);
        }
    }
}

/// GitLab's own wildcards for `local`: `**` is anything, `*` anything but a slash (`app/models/repository.rb`).
fn wildcard(pattern: &str) -> Option<regex::Regex> {
    let mut expression = String::from("^");
    let mut rest = pattern;
    while let Some(at) = rest.find('*') {
        let (before, after) = rest.split_at(at);
        expression.push_str(&regex::escape(before));
        (expression, rest) = match after.strip_prefix("**") {
            Some(rest) => (expression + "(?s:.*)", rest),
            None => (expression + "[^/]*", after.get(1..).unwrap_or_default()),
        };
    }
    expression.push_str(&regex::escape(rest));
    expression.push('$');
    regex::RegexBuilder::new(&expression).size_limit(1 << 20).build().ok()
}

#[cfg(test)]
mod tests {
    use super::wildcard;

    #[test]
    fn wildcards_of_local_are_gitlabs() {
        let table = [
            ("ci/*.yml", "ci/a.yml", true),
            ("ci/*.yml", "ci/b/a.yml", false),
            ("ci/**.yml", "ci/b/a.yml", true),
            ("ci/**.yml", "ci/a.yml", true),
            ("ci/**/*.yml", "ci/b/c/a.yml", true),
            ("ci/**/*.yml", "ci/a.yml", false),
            ("ci/*.yml", "xci/a.yml", false),
            ("ci/[a].*", "ci/[a].yml", true),
        ];
        for (pattern, path, expected) in table {
            assert_eq!(wildcard(pattern).unwrap().is_match(path), expected, "{pattern} {path}");
        }
    }
}
