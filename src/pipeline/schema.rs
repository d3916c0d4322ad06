//! A JSON Schema of the language that is accepted, for editors: made of the keyword tables, so that it cannot go stale.
//!
//! It knows names and the types that one look tells; what only the whole file shows is for `hms validate`.

use serde_json::{Map, Value, json};

use super::keyword::{FAMILIES, Family, Standing};

/// The schema (draft 2020-12). Keywords that are refused are not in it; those that are warned about say so.
#[must_use]
pub fn schema() -> Value {
    let mut definitions: Map<String, Value> = FAMILIES.iter().map(|family| (family.name.to_owned(), of(family))).collect();
    definitions.insert("script".to_owned(), json!({"oneOf": [{"type": "string"}, {"type": "array"}]}));
    definitions.insert("texts".to_owned(), json!({"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}));
    definitions.insert("rules".to_owned(), json!({"type": "array", "items": either("rule", &json!({"type": "array"}))}));
    let mut root = definitions.get("global").cloned().unwrap_or_default();
    if let Some(root) = root.as_object_mut() {
        root.insert("$schema".to_owned(), "https://json-schema.org/draft/2020-12/schema".into());
        root.insert("title".to_owned(), ".hms-ci.yml".into());
        root.insert("patternProperties".to_owned(), json!({"^\\.": true}));
        root.insert("additionalProperties".to_owned(), reference("job"));
        root.insert("$defs".to_owned(), Value::Object(definitions));
    }
    root
}

fn of(family: &Family) -> Value {
    let mut properties = Map::new();
    for (keyword, standing) in family.table {
        let note = match standing {
            Standing::Done => None,
            Standing::Warned(why) => Some(format!("not honoured: {why}")),
            Standing::Planned(why) => Some(format!("a run is refused: {why}")),
            Standing::Refused(_) => continue,
        };
        let mut value = shape(family.name, keyword);
        if let (Some(note), Some(value)) = (note, value.as_object_mut()) {
            value.insert("description".to_owned(), note.into());
        }
        properties.insert((*keyword).to_owned(), value);
    }
    json!({"type": "object", "properties": properties, "additionalProperties": false})
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/$defs/{name}")})
}

fn either(name: &str, other: &Value) -> Value {
    json!({"oneOf": [reference(name), other]})
}

/// What a keyword's value may be; of one that is not listed, anything.
fn shape(family: &str, keyword: &str) -> Value {
    let text = || json!({"type": "string"});
    let truth = || json!({"type": "boolean"});
    let list_of = |name: &str| json!({"type": "array", "items": either(name, &text())});
    match (family, keyword) {
        (_, "script" | "before_script" | "after_script") => reference("script"),
        (_, "image") => either("image", &text()),
        (_, "services") => list_of("service"),
        (_, "cache") => either("cache", &json!({"type": "array", "items": reference("cache")})),
        (_, "artifacts") => either("artifacts", &text()),
        (_, "retry") => either("retry", &json!({"type": "integer", "minimum": 0, "maximum": 2})),
        (_, "needs") => list_of("need"),
        (_, "environment") => either("environment", &text()),
        (_, "stage" | "timeout" | "start_in" | "resource_group" | "coverage" | "if" | "url" | "on_stop" | "name") => text(),
        (_, "extends") => reference("texts"),
        (_, "interruptible" | "untracked") => truth(),
        ("job", "rules") => reference("rules"),
        ("workflow", "rules") => json!({"type": "array", "items": either("workflow_rule", &json!({"type": "array"}))}),
        ("include", "rules") => json!({"type": "array", "items": reference("include_rule")}),
        ("job", "only" | "except") => json!({"oneOf": [reference("policy"), reference("texts")]}),
        ("job", "inherit") => reference("inherit"),
        ("job", "parallel") => either("parallel", &json!({"type": "integer", "minimum": 1, "maximum": 200})),
        ("job", "allow_failure") => either("allow_failure", &truth()),
        ("job", "when") => json!({"enum": ["on_success", "on_failure", "always", "manual", "delayed", "never"]}),
        ("workflow" | "workflow_rule", "auto_cancel") => reference("auto_cancel"),
        ("auto_cancel", "on_new_commit") => json!({"enum": ["conservative", "interruptible", "none"]}),
        ("auto_cancel", "on_job_failure") => json!({"enum": ["all", "none"]}),
        ("global", "workflow") => reference("workflow"),
        ("global", "default") => reference("default"),
        ("global", "stages") => json!({"type": "array"}),
        ("artifacts", "reports") => reference("reports"),
        (_, "variables") if family != "policy" && family != "inherit" => json!({"type": "object"}),
        _ => json!({}),
    }
}
