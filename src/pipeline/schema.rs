//! A JSON Schema of the language that is accepted, for editors: made of the keyword tables, so that it cannot go stale.
//!
//! It knows names, types, words and counts; what only the whole file shows is for `hms validate`. A list of two texts or more stands
//! for `!reference`, which editors hand to a schema as a list, wherever a job's keyword is.

use serde_json::{Map, Value, json};

use super::keyword::{DEFAULT, FAMILIES, Family, Standing};

/// The schema (draft 2020-12). Keywords that are refused are not in it; those that are warned about say so.
#[must_use]
pub fn schema() -> Value {
    let mut definitions: Map<String, Value> = FAMILIES.iter().map(|family| (family.name.to_owned(), of(family))).collect();
    definitions.insert("script".to_owned(), json!({"anyOf": [{"type": "string"}, {"type": "array", "items": reference("line")}]}));
    definitions.insert("line".to_owned(), json!({"anyOf": [{"type": "string"}, {"type": "array", "items": reference("line")}]}));
    definitions.insert("text".to_owned(), json!({"type": "string", "pattern": "\\S"}));
    let stages = json!({"type": "array", "items": reference("stage")});
    definitions.insert("stage".to_owned(), either("text", &stages));
    definitions.insert("texts".to_owned(), json!({"type": "array", "items": reference("text")}));
    definitions.insert("words".to_owned(), json!({"type": "array", "items": {"type": "string"}}));
    definitions.insert("reference".to_owned(), json!({"type": "array", "minItems": 2, "items": {"type": "string"}}));
    definitions.insert("scalar".to_owned(), json!({"type": ["string", "number", "boolean"]}));
    definitions.insert("codes".to_owned(), one_or_list(&json!({"type": "integer"})));
    definitions.insert("rules".to_owned(), rules("rule"));
    let mut root = definitions.get("global").cloned().unwrap_or_default();
    if let Some(root) = root.as_object_mut() {
        root.insert("$schema".to_owned(), "https://json-schema.org/draft/2020-12/schema".into());
        root.insert("title".to_owned(), ".hms-ci.yml".into());
        root.insert("patternProperties".to_owned(), json!({"^\\.(?!hms$)": {"not": {"enum": [null, false, "", [], {}]}}}));
        root.insert("additionalProperties".to_owned(), reference("job"));
        if let Some(properties) = root.get_mut("properties").and_then(Value::as_object_mut) {
            properties.insert(".hms".to_owned(), json!({}));
        }
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
        // Nothing says nothing, where a value need not be there.
        let required = matches!(
            (family.name, *keyword),
            ("need", "job") | ("environment" | "image" | "service", "name") | ("changes", "paths") | ("parallel", "matrix")
        );
        if !["global", "default", "job"].contains(&family.name) && !required {
            value = json!({"anyOf": [value, {"type": "null"}]});
        }
        if ["global", "default", "job"].contains(&family.name) && *keyword != "script" {
            // What is a list anyway needs no other list to stand for a reference.
            let is_list = value.get("type").is_some_and(|kind| kind == "array");
            let nothing = json!({"type": "null"});
            value = if is_list { json!({"anyOf": [value, nothing]}) } else { json!({"anyOf": [value, nothing, reference("reference")]}) };
        }
        if let (Some(note), Some(value)) = (note, value.as_object_mut()) {
            value.insert("description".to_owned(), note.into());
        }
        properties.insert((*keyword).to_owned(), value);
    }
    let mut schema = json!({"type": "object", "properties": properties, "additionalProperties": false});
    if let (Some(schema), Some(more)) = (schema.as_object_mut(), whole(family.name).as_object()) {
        schema.extend(more.clone());
    }
    schema
}

/// What holds for a mapping as a whole.
fn whole(family: &str) -> Value {
    match family {
        "job" => json!({
            "if": {"required": ["rules"], "properties": {"rules": {"type": "array"}}},
            "then": {"properties": {"only": {"type": "null"}, "except": {"type": "null"}, "start_in": {"type": "null"}}},
        }),
        "rule" | "workflow_rule" | "include_rule" | "policy" => json!({"minProperties": 1}),
        "changes" | "exists" => json!({"required": ["paths"], "dependentRequired": {"ref": ["project"]}}),
        "need" => json!({"required": ["job"]}),
        "parallel" => json!({"required": ["matrix"]}),
        "environment" | "image" | "service" => json!({"required": ["name"]}),
        "cache_key" => json!({"oneOf": [{"required": ["files"]}, {"required": ["files_commits"]}]}),
        _ => json!({}),
    }
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/$defs/{name}")})
}

fn either(name: &str, other: &Value) -> Value {
    json!({"anyOf": [reference(name), other]})
}

fn one_or_list(one: &Value) -> Value {
    json!({"anyOf": [one, {"type": "array", "items": one}]})
}

fn list(items: &Value) -> Value {
    json!({"type": "array", "items": items})
}

fn rules(family: &str) -> Value {
    json!({"type": "array", "minItems": 1, "items": either(family, &json!({"type": "array"}))})
}

/// Variables, whose values may be scalars or, where one is named, mappings.
fn variables(mapping: Option<Value>) -> Value {
    let value = match mapping {
        None => reference("scalar"),
        Some(mapping) => either("scalar", &mapping),
    };
    json!({"type": "object", "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"}, "additionalProperties": value})
}

/// The variables of a job.
fn own_variables() -> Value {
    let fields = json!({"value": reference("scalar"), "expand": {"type": "boolean"}});
    variables(Some(json!({"type": "object", "properties": fields, "additionalProperties": false})))
}

fn matrix() -> Value {
    let value = json!({"type": ["string", "integer"]});
    let values = json!({"anyOf": [value, {"type": "array", "minItems": 1, "items": value}]});
    let mut one = variables(None);
    if let Some(one) = one.as_object_mut() {
        one.insert("minProperties".to_owned(), 1.into());
        one.insert("additionalProperties".to_owned(), values);
    }
    json!({"type": "array", "minItems": 1, "items": one})
}

/// What a keyword's value may be.
fn shape(family: &str, keyword: &str) -> Value {
    match family {
        "global" | "default" | "job" => of_jobs(family, keyword),
        "include" | "include_rule" | "workflow" | "workflow_rule" | "rule" | "changes" | "exists" | "policy" => {
            of_conditions(family, keyword)
        }
        _ => of_parts(family, keyword),
    }
}

/// What stands at the top, in `default` and in jobs.
fn of_jobs(family: &str, keyword: &str) -> Value {
    let truth = || json!({"type": "boolean"});
    match (family, keyword) {
        (_, "script" | "before_script" | "after_script") => reference("script"),
        (_, "image") => either("image", &reference("text")),
        (_, "services") => list(&either("service", &reference("text"))),
        (_, "cache") => either("cache", &json!({"type": "array", "maxItems": 4, "items": reference("cache")})),
        (_, "artifacts") => either("artifacts", &reference("text")),
        (_, "retry") => either("retry", &json!({"type": "integer", "minimum": 0, "maximum": 2})),
        (_, "interruptible") => truth(),
        (_, "timeout" | "stage" | "start_in" | "resource_group" | "coverage" | "manual_confirmation") => reference("text"),
        (_, "tags" | "dependencies") => reference("texts"),
        ("global", "stages") => list(&reference("stage")),
        ("global", "variables") => variables(Some(reference("variable"))),
        ("global", "workflow" | "default") | ("job", "inherit") => reference(keyword),
        ("global", "include") => one_or_list(&either("include", &reference("text"))),
        ("job", "variables") => own_variables(),
        ("job", "needs") => either("need", &list(&json!({"anyOf": [reference("need"), reference("text"), {"type": "array"}]}))),
        ("job", "environment") => either("environment", &reference("text")),
        ("job", "extends") => either("texts", &reference("text")),
        ("job", "rules") => reference("rules"),
        ("job", "only" | "except") => either("policy", &reference("texts")),
        ("job", "parallel") => either("parallel", &json!({"type": "integer", "minimum": 1, "maximum": 200})),
        ("job", "allow_failure") => either("allow_failure", &truth()),
        ("job", "when") => json!({"enum": ["on_success", "on_failure", "always", "manual", "delayed"]}),
        _ => json!({}),
    }
}

/// Which files, runs and jobs there are.
fn of_conditions(family: &str, keyword: &str) -> Value {
    let globs = || json!({"type": "array", "maxItems": 50, "items": reference("text")});
    match (family, keyword) {
        ("include", "file") => either("texts", &reference("text")),
        ("include", "inputs") => json!({"type": "object"}),
        ("include", "cache") => either("text", &json!({"type": "boolean"})),
        ("include", "rules") => rules("include_rule"),
        ("workflow", "name") => json!({"type": "string", "pattern": "\\S", "maxLength": 255}),
        ("workflow", "rules") => rules("workflow_rule"),
        ("policy", "changes") | (_, "paths") => globs(),
        ("policy", "refs" | "variables") => reference("texts"),
        (_, "changes") => either("changes", &globs()),
        ("include_rule", "exists") => json!({"anyOf": [reference("exists"), reference("texts"), reference("text")]}),
        (_, "exists") => json!({"anyOf": [reference("exists"), globs(), reference("text")]}),
        ("rule", "when") => json!({"enum": ["on_success", "on_failure", "always", "manual", "delayed", "never"]}),
        (_, "when") => json!({"enum": ["always", "never"]}),
        (_, "allow_failure" | "interruptible") => json!({"type": "boolean"}),
        (_, "variables") => variables(None),
        (_, "needs") => of_jobs("job", "needs"),
        (_, "auto_cancel") => reference("auto_cancel"),
        _ => reference("text"),
    }
}

/// The parts that a job's keywords are made of.
fn of_parts(family: &str, keyword: &str) -> Value {
    let truth = || json!({"type": "boolean"});
    let three = || json!({"enum": ["on_success", "on_failure", "always"]});
    match (family, keyword) {
        ("inherit", "default") => {
            let names: Vec<&str> = DEFAULT.iter().map(|(name, _)| *name).collect();
            json!({"anyOf": [{"type": "boolean"}, {"type": "array", "items": {"enum": names}}]})
        }
        ("inherit", "variables") => either("texts", &truth()),
        ("need", "parallel") => reference("parallel"),
        ("auto_cancel", "on_new_commit") => json!({"enum": ["conservative", "interruptible", "none"]}),
        ("auto_cancel", "on_job_failure") => json!({"enum": ["all", "none"]}),
        ("parallel", "matrix") => matrix(),
        ("retry", "max") => json!({"type": "integer", "minimum": 0, "maximum": 2}),
        ("retry", "when") => one_or_list(&json!({"enum": super::read::RETRY_WHEN.iter().map(|(word, _)| *word).collect::<Vec<_>>()})),
        (_, "exit_codes") => reference("codes"),
        ("artifacts" | "cache", "when") => three(),
        ("artifacts", "reports") => reference("reports"),
        ("artifacts", "access") => json!({"enum": ["none", "developer", "all", "maintainer"]}),
        ("reports", "coverage_report") => json!({
            "type": "object",
            "properties": {"coverage_format": {"enum": ["cobertura", "jacoco"]}, "path": reference("text")},
            "required": ["coverage_format", "path"],
            "additionalProperties": false,
        }),
        ("reports", _) => either("texts", &reference("text")),
        ("environment", "action") => json!({"enum": ["start", "prepare", "stop", "verify", "access"]}),
        ("environment", "deployment_tier") => json!({"enum": ["production", "staging", "testing", "development", "other"]}),
        ("environment", "url") => json!({"type": "string", "pattern": "\\S", "maxLength": 255}),
        ("environment", "kubernetes") => json!({}),
        ("variable", "value") => reference("scalar"),
        ("variable", "options") | ("artifacts" | "cache", "paths" | "exclude") => reference("texts"),
        ("image" | "service", "entrypoint") => reference("words"),
        ("service", "command") => either("words", &reference("script")),
        ("variable", "description") => either("text", &json!({"type": "integer"})),
        ("image" | "service", "pull_policy") => {
            let word = json!({"enum": ["always", "if-not-present", "never"]});
            json!({"anyOf": [word, {"type": "array", "minItems": 1, "items": word}]})
        }
        ("image" | "service", "docker") => {
            let fields = json!({"platform": reference("text"), "user": reference("text")});
            json!({"type": "object", "properties": fields, "additionalProperties": false})
        }
        ("image" | "service", "kubernetes") => {
            let user = json!({"anyOf": [reference("text"), {"type": "integer"}]});
            json!({"type": "object", "properties": {"user": user}, "additionalProperties": false})
        }
        ("service", "variables") => variables(None),
        ("cache", "key") => either("cache_key", &reference("text")),
        ("cache", "fallback_keys") => json!({"type": "array", "maxItems": 5, "items": reference("text")}),
        ("cache_key", "files") => json!({"type": "array", "minItems": 1, "maxItems": 10, "items": reference("text")}),
        ("cache_key", "files_commits") => json!({"type": "array", "minItems": 1, "maxItems": 2, "items": reference("text")}),
        (_, "artifacts" | "optional" | "untracked" | "public" | "expand" | "unprotect") => truth(),
        _ => reference("text"),
    }
}
