//! Problems of a pipeline file as SARIF 2.1.0, for editors and code review.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::pipeline::{Problem, Severity};
use crate::text::uri_of;

/// One run of the tool; `name` is the pipeline file's.
pub(crate) fn sarif(name: &str, problems: &[Problem]) -> Value {
    let codes: BTreeSet<&str> = problems.iter().map(|problem| problem.code).collect();
    let rules: Vec<Value> = codes.iter().map(|code| json!({"id": code})).collect();
    let results: Vec<Value> = problems.iter().map(|problem| result(name, problem)).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "hms validate", "version": env!("CARGO_PKG_VERSION"), "rules": rules}},
            "results": results,
        }],
    })
}

fn result(name: &str, problem: &Problem) -> Value {
    let level = match problem.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    };
    let text = problem.hint.as_ref().map_or_else(|| problem.message.clone(), |hint| format!("{}; {hint}", problem.message));
    let region = problem.place.map(|place| json!({"startLine": place.line, "startColumn": place.column}));
    let mut location = json!({"artifactLocation": {"uri": uri_of(problem.file.as_deref().unwrap_or(name))}});
    if let (Some(region), Some(location)) = (region, location.as_object_mut()) {
        location.insert("region".to_owned(), region);
    }
    json!({"ruleId": problem.code, "level": level, "message": {"text": text}, "locations": [{"physicalLocation": location}]})
}
