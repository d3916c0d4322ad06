//! `--output json` everywhere: results, refusals and errors are values on standard output.

use serde_json::{Value, json};

use super::{Said, World};

const PIPELINE: &str =
    "build:\n  script:\n    - echo one\n    - printf 'two\\033[31m'\ngate:\n  when: manual\n  allow_failure: false\n  script: 'true'\n";

fn lines(said: &Said) -> Vec<Value> {
    said.out.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[test]
fn what_was_not_done_is_one_value_with_its_reason_and_its_exit_code() {
    let schema: Value = serde_json::from_str(include_str!("../../../../assets/failure.schema.json")).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let world = World::new(PIPELINE);
    assert_eq!(world.hms(&["run", "--headless"]).code, Some(10));
    let table: [(&[&str], i32, Value, &str); 12] = [
        (&["status", "9"], 2, Value::Null, "9"),
        (&["logs", "nosuch"], 2, Value::Null, "nosuch"),
        (&["approve", "1", "build"], 13, json!("not_waiting"), "build"),
        (&["retry", "1", "gate"], 13, json!("not_waiting"), "gate"),
        (&["approve", "1", "nosuch"], 2, Value::Null, "its jobs are build, gate"),
        (&["retry", "1", "nosuch"], 2, Value::Null, "its jobs are build, gate"),
        (&["override", "1", "nosuch", "--reason", "x"], 2, Value::Null, "its jobs are build, gate"),
        (&["frob"], 2, Value::Null, "frob"),
        (&["rollback"], 2, Value::Null, "--env"),
        (&["rollback", "--env", "nope"], 3, Value::Null, "its environments are"),
        (&["logs", "gate"], 3, Value::Null, "gate"),
        (&["policy", "accept"], 13, Value::Null, "hash"),
    ];
    for (verb, code, refusal, named) in table {
        let said = world.hms(&[verb, &["--output", "json"]].concat());
        assert_eq!(said.code, Some(code), "{verb:?}: {said:?}");
        let [value] = lines(&said).try_into().unwrap_or_else(|all| panic!("{verb:?}: {all:?}"));
        assert!(schema.is_valid(&value), "{verb:?}: {value:#}");
        assert_eq!(value["exit_code"], code, "{verb:?}: {value:#}");
        if refusal != Value::Null {
            assert_eq!(value["refusal"], refusal, "{verb:?}: {value:#}");
        }
        assert!(value.to_string().contains(named), "{verb:?}: {value:#}");
        assert!(!said.err.is_empty(), "{verb:?}: {said:?}");
    }
}

/// A program that asks for JSON learns what is wrong with a file, and where, from each verb that reads it.
#[test]
fn what_is_wrong_with_a_file_is_in_the_value_with_its_place() {
    let schema: Value = serde_json::from_str(include_str!("../../../../assets/failure.schema.json")).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let world = World::new("a:\n  scrip: x\n");
    for verb in [&["run", "--headless"][..], &["list"], &["plan"], &["explain", "a"]] {
        let said = world.hms(&[verb, &["--output", "json"]].concat());
        let value = lines(&said).pop().unwrap();
        assert_eq!((said.code, schema.is_valid(&value)), (Some(2), true), "{verb:?}: {value:#}");
        let told = |problem: &&Value| problem["message"].as_str().unwrap().contains("`scrip`");
        let problem = value["problems"].as_array().unwrap().iter().find(told).unwrap_or_else(|| panic!("{verb:?}: {value:#}"));
        assert_eq!((&problem["file"], &problem["line"]), (&json!(".hms-ci.yml"), &json!(2)), "{verb:?}: {value:#}");
    }
}

#[test]
fn a_mistyped_environment_is_no_success() {
    let world = World::new(PIPELINE);
    let said = world.hms(&["rollback", "--env", "prd"]);
    assert_eq!(said.code, Some(3), "{said:?}");
    assert!(said.err.contains("has no environment `prd`") && said.err.contains("canary, prod"), "{said:?}");
    let told = lines(&world.hms(&["rollback", "--env", "prd", "--output", "json"]));
    assert_eq!((&told[0]["result"], &told[0]["exit_code"]), (&json!("no_target"), &json!(3)), "{told:?}");
    // One that every app has is fine, and has nothing to go back to.
    assert_eq!(world.hms(&["rollback", "--env", "prod"]).code, Some(0));
}

#[test]
fn a_refused_command_does_not_move_the_end_of_a_run() {
    let world = World::new("build:\n  script: 'true'\n");
    assert_eq!(world.hms(&["run", "--headless"]).code, Some(0));
    let finished = world.status("1")["finished_at"].clone();
    assert_eq!(world.hms(&["approve", "1", "build"]).code, Some(13));
    super::wait_for("the engine's end", || (world.status("1")["engine"] == "ended").then_some(()));
    assert_eq!(world.status("1")["finished_at"], finished);
    assert_eq!(world.hms(&["retry", "1", "build", "--wait"]).code, Some(0));
    assert_ne!(world.status("1")["finished_at"], finished);
}

#[test]
fn a_log_is_a_value_a_line_and_a_replay_is_what_attach_gave() {
    let world = World::new(PIPELINE);
    let run = world.hms(&["run", "--headless", "--output", "json"]);
    assert_eq!(run.code, Some(10), "{run:?}");
    let log = world.hms(&["logs", "build", "--output", "json"]);
    assert!(!log.out.contains('\u{1b}'), "{log:?}");
    let log = lines(&log);
    let place = log.iter().position(|line| line["text"] == "one").unwrap_or_else(|| panic!("{log:?}"));
    assert_eq!((&log[place]["job"], &log[place]["attempt"]), (&json!("build"), &json!(1)));
    assert_eq!(log[place]["line"], json!(place + 1));
    assert!(log.iter().any(|line| line["text"] == "two\u{1b}[31m"), "{log:?}");
    super::wait_for("the engine to park, for it writes that down", || (world.status("1")["engine"] == "parked").then_some(()));
    let replay = world.hms(&["replay", "1", "--output", "json"]);
    assert_eq!(replay.code, Some(0), "{replay:?}");
    let attach = world.hms(&["attach", "1", "--output", "json"]);
    assert_eq!(attach.code, Some(10), "{attach:?}");
    assert_eq!(lines(&replay), lines(&attach));
    assert!(lines(&replay).starts_with(&lines(&run)), "{run:?}");
}
