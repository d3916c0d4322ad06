//! `hms explain JOB`: the job as it is after includes, `extends`, references and defaults, each key with the line it came from.

use std::io::Write;
use std::path::Path;

use serde_json::{Value as Json, json};

use crate::document::{Entry, Node, Place, Value};
use crate::pipeline::{Explained, Pipeline, Purpose, ReadOptions};
use crate::text::plain;

use super::arguments::{LookArguments, Output};
use super::failure::{Exit, Failure};
use super::look::Source;
use super::pipeline_file::read_file;

/// Shows a job of the file, or of one of its instances.
pub(crate) fn explain(at: Option<&Path>, job: &str, asked: &LookArguments, output: Output) -> Result<u8, Failure> {
    let source = Source::find(at, asked)?;
    let options = ReadOptions { gitlab_strict: asked.gitlab_strict, purpose: Purpose::Look };
    let file = source.with(|around| read_file(&source.bytes, options, around, &mut std::io::stderr()))?;
    let pipeline = &file.pipeline;
    let base = base_of(pipeline, job).ok_or_else(|| unknown(pipeline, job))?;
    let keys = pipeline.explained(base).unwrap_or_default();
    let shown = Shown { pipeline, name: &source.name };
    let mut out = std::io::stdout().lock();
    match output {
        Output::Json => writeln!(out, "{}", shown.json(base, &keys))?,
        Output::Text => shown.print(base, &keys, &mut out)?,
    }
    Ok(0)
}

fn base_of<'p>(pipeline: &'p Pipeline, job: &str) -> Option<&'p str> {
    pipeline.job_names().find(|name| *name == job).or_else(|| pipeline.base_of(job))
}

fn unknown(pipeline: &Pipeline, job: &str) -> Failure {
    let names: Vec<&str> = pipeline.job_names().take(20).collect();
    Failure::new(Exit::Usage, format!("there is no job `{}`", plain(job))).hint(format!("its jobs: {}", plain(&names.join(", "))))
}

struct Shown<'p> {
    pipeline: &'p Pipeline,
    name: &'p str,
}

impl Shown<'_> {
    fn file(&self, place: Place) -> &str {
        self.pipeline.file_of(place).unwrap_or(self.name)
    }

    fn at(&self, place: Place) -> String {
        format!("{}:{place}", plain(self.file(place)))
    }

    fn print(&self, job: &str, keys: &[Explained<'_>], out: &mut dyn Write) -> std::io::Result<()> {
        let mut lines: Vec<(String, String)> = vec![(format!("{}:", plain(job)), String::new())];
        for Explained { entry, by_default } in keys {
            let from = lines.len();
            self.entry(entry, 1, &mut lines);
            if *by_default && let Some((_, place)) = lines.get_mut(from) {
                place.push_str(" (default)");
            }
        }
        let width = lines.iter().map(|(text, _)| text.chars().count()).max().unwrap_or_default().min(72);
        for (text, place) in lines {
            writeln!(out, "{}", format!("{text:<width$}  {place}").trim_end())?;
        }
        Ok(())
    }

    fn entry(&self, entry: &Entry, depth: usize, lines: &mut Vec<(String, String)>) {
        let indent = "  ".repeat(depth);
        let start = format!("{indent}{}:", plain(&entry.key));
        if let Some(text) = scalar(&entry.value) {
            lines.push((format!("{start} {text}").trim_end().to_owned(), self.at(entry.place)));
        } else {
            lines.push((start, self.at(entry.place)));
            self.inside(&entry.value, depth + 1, lines);
        }
    }

    fn inside(&self, node: &Node, depth: usize, lines: &mut Vec<(String, String)>) {
        for entry in node.entries().unwrap_or_default() {
            self.entry(entry, depth, lines);
        }
        for item in node.items().unwrap_or_default() {
            let indent = "  ".repeat(depth);
            if let Some(text) = scalar(item) {
                lines.push((format!("{indent}- {text}"), self.at(item.place)));
            } else {
                lines.push((format!("{indent}-"), self.at(item.place)));
                self.inside(item, depth + 1, lines);
            }
        }
    }

    fn json(&self, job: &str, keys: &[Explained<'_>]) -> Json {
        let mut leaves = Vec::new();
        for Explained { entry, by_default } in keys {
            self.leaves(&entry.value, entry.place, &mut vec![entry.key.clone()], *by_default, &mut leaves);
        }
        json!({"format": 1, "file": self.name, "job": job, "keys": leaves})
    }

    fn leaves(&self, node: &Node, place: Place, path: &mut Vec<String>, by_default: bool, leaves: &mut Vec<Json>) {
        match &node.value {
            Value::Mapping(entries) if !entries.is_empty() => {
                for entry in entries {
                    path.push(entry.key.clone());
                    self.leaves(&entry.value, entry.place, path, by_default, leaves);
                    path.pop();
                }
            }
            Value::Sequence(items) if !items.is_empty() => {
                for (index, item) in items.iter().enumerate() {
                    path.push(index.to_string());
                    self.leaves(item, item.place, path, by_default, leaves);
                    path.pop();
                }
            }
            Value::Mapping(_)
            | Value::Sequence(_)
            | Value::Null
            | Value::Bool(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::String(_)
            | Value::Reference(_) => leaves.push(json!({
                "path": path, "value": node.scalar_text(), "file": self.file(place), "line": place.line, "column": place.column,
                "default": by_default,
            })),
        }
    }
}

/// A value on one line; none for lists and mappings that have something in them.
fn scalar(node: &Node) -> Option<String> {
    match &node.value {
        Value::Mapping(entries) => entries.is_empty().then(|| "{}".to_owned()),
        Value::Sequence(items) => items.is_empty().then(|| "[]".to_owned()),
        Value::String(text) if text.contains('\n') => Some(format!("{} …", plain(text.lines().next().unwrap_or_default()))),
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::String(_) | Value::Reference(_) => {
            Some(plain(&node.scalar_text().unwrap_or_default()))
        }
    }
}
