//! `assets/*.schema.json` against what is really written, and against what must not pass.

use std::path::PathBuf;

use hms::report::{CanaryFacts, RunReport, canary_json, json_text, run_report};
use jsonschema::Validator;
use serde_json::{Value, json};

use super::world::{self, Story};

fn validator(text: &str) -> Validator {
    let schema: Value = serde_json::from_str(text).unwrap();
    jsonschema::meta::validate(&schema).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

fn run_status() -> Validator {
    validator(include_str!("../../../assets/run-status.schema.json"))
}

fn event_stream() -> Validator {
    validator(include_str!("../../../assets/event-stream.schema.json"))
}

#[test]
fn every_canary_has_the_shape_that_its_schema_promises() {
    let schema = validator(include_str!("../../../assets/canary-status.schema.json"));
    let mut seen = 0;
    for story in world::all() {
        for (_, state) in story.rollouts() {
            let facts = CanaryFacts { state: &state, run_number: Some(42), unwatched_since: state.verdict_at, driver: Some(("engine", 7)) };
            let value = canary_json(&facts);
            assert_eq!(errors(&schema, &value), Vec::<String>::new(), "{}: {value:#}", story.name);
            seen += 1;
            for name in value.as_object().unwrap().keys() {
                let mut changed = value.clone();
                changed.as_object_mut().unwrap().remove(name);
                assert!(!schema.is_valid(&changed), "{}: without {name}", story.name);
            }
        }
    }
    assert!(seen >= 3, "{seen}");
}

fn report(story: &Story) -> RunReport {
    let log = |job: &hms::event::JobName, number: u32| PathBuf::from(format!("jobs/{}/{number}/log", job.slug()));
    run_report(&story.state(), &story.rollouts(), story.engine, &log).unwrap()
}

fn value(story: &Story) -> Value {
    serde_json::to_value(report(story)).unwrap()
}

fn errors(validator: &Validator, value: &Value) -> Vec<String> {
    validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

/// Every place in a JSON value that is an object, as a JSON pointer.
fn objects(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            found.push(at.to_owned());
            for (name, field) in fields {
                objects(field, &format!("{at}/{name}"), found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                objects(item, &format!("{at}/{index}"), found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_run_has_the_shape_that_the_schema_promises() {
    let schema = run_status();
    for story in world::all() {
        let value = value(&story);
        assert_eq!(errors(&schema, &value), Vec::<String>::new(), "{}: {value:#}", story.name);
        let text = json_text(&report(&story)).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value, "{}", story.name);
    }
}

#[test]
fn a_field_that_is_missing_or_has_another_name_is_noticed_wherever_it_is() {
    let schema = run_status();
    let mut tried = 0;
    for story in [world::at_the_gate(), world::held(), world::failed_test()] {
        let whole = value(&story);
        let mut places = Vec::new();
        objects(&whole, "", &mut places);
        for place in places {
            let names: Vec<String> = whole.pointer(&place).unwrap().as_object().unwrap().keys().cloned().collect();
            for name in names {
                let mut changed = whole.clone();
                let fields = changed.pointer_mut(&place).unwrap().as_object_mut().unwrap();
                let removed = fields.remove(&name).unwrap();
                assert!(!schema.is_valid(&changed), "{}: {place}/{name} may be missing", story.name);
                changed.pointer_mut(&place).unwrap()[format!("{name}_")] = removed;
                assert!(!schema.is_valid(&changed), "{}: {place}/{name} may have another name", story.name);
                tried += 1;
            }
        }
    }
    assert!(tried > 200, "only {tried} fields were tried");
}

#[test]
fn a_field_that_a_later_version_adds_is_no_error() {
    let schema = run_status();
    let whole = value(&world::at_the_gate());
    let mut places = Vec::new();
    objects(&whole, "", &mut places);
    for place in places {
        let mut changed = whole.clone();
        changed.pointer_mut(&place).unwrap()["born_later"] = json!({"a": [1]});
        assert_eq!(errors(&schema, &changed), Vec::<String>::new(), "{place}");
    }
}

#[test]
fn a_wrong_word_or_number_is_noticed() {
    let schema = run_status();
    let whole = value(&world::at_the_gate());
    let table = [
        ("/format", json!(2)),
        ("/run", json!("42")),
        ("/number", json!(0)),
        ("/outcome", json!("ok")),
        ("/exit_code", json!(2)),
        ("/engine", json!("up")),
        ("/created_at", json!("2026-11-24T16:02:11Z")),
        ("/created_at", json!("2026-11-24T17:02:11.123+01:00")),
        ("/waiting/0/kind", json!("door")),
        ("/rollouts/0/weight/applied", json!(1.5)),
        ("/rollouts/0/weight/requested", json!("1%")),
        ("/rollouts/0/verdict", json!("pass")),
        ("/rollouts/0/release/digest", json!("8c4f2d3")),
        ("/jobs/0/status", json!("interrupted")),
        ("/jobs/0/failure_reason", json!("bad luck")),
        ("/jobs/0/when", json!("later")),
        ("/jobs/0/attempts/0/number", json!(0)),
        ("/jobs/0/attempts/0/result", json!("ok")),
        ("/jobs/4/gate", json!(true)),
    ];
    for (place, wrong) in table {
        let mut changed = whole.clone();
        *changed.pointer_mut(place).unwrap_or_else(|| panic!("{place} is not there: {whole:#}")) = wrong;
        assert!(!schema.is_valid(&changed), "{place}");
    }
}

#[test]
fn outcome_and_exit_code_agree() {
    let told = |story: Story| {
        let value = value(&story);
        (value["outcome"].clone(), value["exit_code"].clone(), value["waiting"].as_array().unwrap().len())
    };
    assert_eq!(told(world::only_created()), (json!("running"), Value::Null, 0));
    assert_eq!(told(world::running()), (json!("running"), Value::Null, 0));
    assert_eq!(told(world::at_the_gate()), (json!("waiting"), json!(10), 1));
    assert_eq!(told(world::held()), (json!("held"), json!(11), 0));
    assert_eq!(told(world::rolled_back()), (json!("rolled_back"), json!(12), 0));
    assert_eq!(told(world::success()), (json!("success"), json!(0), 0));
    assert_eq!(told(world::interrupted()), (json!("interrupted"), json!(1), 1));
    assert_eq!(told(world::cancelled()), (json!("canceled"), json!(130), 0));
    assert_eq!(told(world::failed_test()), (json!("failed"), json!(1), 0));
}

#[test]
fn a_canary_with_weight_is_watched_or_it_is_not() {
    let watched = |story: &Story| value(story)["rollouts"][0]["watched"].clone();
    assert_eq!(watched(&world::at_the_gate()), json!(true));
    assert_eq!(watched(&Story { engine: "dead", ..world::at_the_gate() }), json!(false));
    assert_eq!(watched(&world::held()), json!(false));
    assert_eq!(watched(&world::rolled_back()), Value::Null);
    assert_eq!(watched(&world::success()), Value::Null);
}

#[test]
fn a_path_that_is_no_text_does_not_lose_the_report() {
    use std::os::unix::ffi::OsStringExt as _;
    let log = |_: &hms::event::JobName, _: u32| PathBuf::from(std::ffi::OsString::from_vec(b"\xff/log".to_vec()));
    let story = world::failed_test();
    let report = run_report(&story.state(), &[], story.engine, &log).unwrap();
    let value = serde_json::to_value(report).unwrap();
    assert_eq!(value["jobs"][0]["log"], json!("\u{fffd}/log"));
    assert_eq!(errors(&run_status(), &value), Vec::<String>::new());
}

#[test]
fn lines_of_the_event_stream_have_their_schema() {
    let schema = event_stream();
    let mut types = std::collections::BTreeSet::new();
    for story in world::all() {
        let lines = story.events.iter().map(|event| serde_json::to_value(event).unwrap());
        let rollout_lines = story.rollout_events.iter().map(|event| {
            let mut line = serde_json::to_value(event).unwrap();
            line["rollout"] = json!(world::ROLLOUT);
            line
        });
        for line in lines.chain(rollout_lines) {
            assert_eq!(errors(&schema, &line), Vec::<String>::new(), "{line}");
            types.insert(line["type"].as_str().unwrap().to_owned());
            for field in ["format", "seq", "time", "type"] {
                let mut changed = line.clone();
                changed.as_object_mut().unwrap().remove(field).unwrap();
                assert!(!schema.is_valid(&changed), "{field} may be missing");
            }
            let mut changed = line.clone();
            changed["type"] = json!("SomethingElse");
            assert!(!schema.is_valid(&changed));
            // Whose event it is decides which words it may have.
            let of_run = line.get("rollout").is_none();
            changed["type"] = json!(if of_run { "Sampled" } else { "JobQueued" });
            assert!(line["type"] == "RolloutLinked" || !schema.is_valid(&changed), "{changed}");
        }
    }
    assert!(types.len() > 15, "{types:?}");
}

/// The variants of an enum, from the file that defines it: one more there is one more in the schema.
fn variants(source: &str, name: &str) -> Vec<String> {
    let (_, body) = source.split_once(&format!("pub enum {name} {{\n")).unwrap();
    let (body, _) = body.split_once("\n}").unwrap();
    let variant = regex::Regex::new(r"(?m)^    ([A-Z]\w*)").unwrap();
    variant.captures_iter(body).map(|found| found[1].to_owned()).filter(|name| name != "Unknown").collect()
}

fn snake(name: &str) -> String {
    let mut out = String::new();
    for (index, character) in name.char_indices() {
        if character.is_ascii_uppercase() && index > 0 {
            out.push('_');
        }
        out.push(character.to_ascii_lowercase());
    }
    out
}

#[test]
fn the_schemas_know_every_word_and_no_other() {
    let run = include_str!("../../../src/event/run.rs");
    let rollout = include_str!("../../../src/event/rollout.rs");
    let projection = include_str!("../../../src/event/projection/job.rs");
    let sample = include_str!("../../../src/event/sample.rs");
    let status: Value = serde_json::from_str(include_str!("../../../assets/run-status.schema.json")).unwrap();
    let stream: Value = serde_json::from_str(include_str!("../../../assets/event-stream.schema.json")).unwrap();
    let same: fn(&str) -> String = str::to_owned;
    let upper: fn(&str) -> String = str::to_uppercase;
    let table = [
        (&stream, "/$defs/run_event", run, "RunEvent", same),
        (&stream, "/$defs/rollout_event", rollout, "RolloutEvent", same),
        (&status, "/properties/outcome", run, "RunOutcome", snake),
        (&status, "/$defs/job/properties/status", projection, "JobStatus", snake),
        (&status, "/$defs/job/properties/when", run, "When", snake),
        (&status, "/$defs/job/properties/failure_reason", run, "FailureReason", snake),
        (&status, "/$defs/attempt/properties/failure_reason", run, "FailureReason", snake),
        (&status, "/$defs/attempt/properties/result", run, "AttemptResult", snake),
        (&status, "/$defs/rollout/properties/verdict", sample, "VerdictClass", upper),
    ];
    for (schema, place, source, name, spelt) in table {
        let words = schema.pointer(place).unwrap()["enum"].as_array().unwrap();
        let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
        let wanted: Vec<String> = variants(source, name).iter().map(|variant| spelt(variant)).collect();
        assert!(!wanted.is_empty(), "{name}");
        assert_eq!(words, wanted, "{place} and {name}");
    }
}
