//! Runs of a part of a pipeline, and what they say first.

use super::World;

const PIPELINE: &str = r"stages: [build, test, ship]
build: {stage: build, script: echo b > made, artifacts: {paths: [made]}}
test: {stage: test, script: 'cat made || echo none $((40 + 2))'}
other: {stage: test, script: 'true', rules: [{if: $OTHER}], needs: [build]}
gate: {stage: test, script: 'true', when: manual, allow_failure: false}
ship: {stage: ship, script: 'true', environment: staging, rules: [{if: $SHIP}]}
";

#[test]
fn some_jobs_of_a_commit_run_and_what_is_left_out_is_said() {
    let world = World::new(PIPELINE);
    let said = world.hms(&["run", "--headless", "--job", "test"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.err.contains("a part of the pipeline: test; 2 of its 3 jobs are not in this run"), "{said:?}");
    assert!(said.err.contains("test does not wait for, and gets nothing of: build"), "{said:?}");
    assert!(said.err.contains("rules and `workflow` were obeyed"), "{said:?}");
    assert!(world.hms(&["logs", "test", "--run", "1"]).out.contains("none 42"));
    assert!(world.hms(&["status", "1"]).out.contains("notice: a part of the pipeline"));
    let said = world.hms(&["run", "--headless", "--job", "test", "--with-needs"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(!world.hms(&["logs", "test", "--run", "2"]).out.contains("none 42"));
    assert_eq!(world.hms(&["run", "--headless", "--stage", "build"]).code, Some(0));
    assert_eq!(world.status("3")["jobs"].as_array().unwrap().len(), 1);
}

#[test]
fn rules_are_obeyed_unless_told_otherwise_and_never_passed_over_for_what_deploys() {
    let world = World::new(PIPELINE);
    let said = world.hms(&["run", "--headless", "--job", "other"]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.err.contains("`other` is not in this run: none of its rules matches") && said.err.contains("--ignore-rules"), "{said:?}");
    let said = world.hms(&["run", "--headless", "--job", "other", "--ignore-rules"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.err.contains("rules and `workflow` were passed over for other"), "{said:?}");
    let said = world.hms(&["run", "--headless", "--job", "ship", "--ignore-rules"]);
    assert_eq!(said.code, Some(13), "{said:?}");
    assert!(said.err.contains("ship deploys, and its rules say when it may"), "{said:?}");
    // The gate before it is in the run.
    let said = world.hms(&["run", "--headless", "--job", "ship", "--variable", "SHIP=1"]);
    assert_eq!(said.code, Some(10), "{said:?}");
    let said = world.hms(&["run", "--headless", "--job", "tset"]);
    assert!(said.code == Some(2) && said.err.contains("did you mean `test`?"), "{said:?}");
}

#[test]
fn retry_runs_only_what_failed() {
    let world = World::new("x:\n  script: 'true'\n");
    let out = world.path("out");
    let job = |name: &str, then: &str| format!("{name}:\n  stage: build\n  script: echo {name} >> {} && {then}\n", out.display());
    let fixed = format!("[ -e {} ]", world.path("fixed").display());
    let pipeline = job("good", "true") + &job("bad", &fixed) + &format!("after:\n  script: echo after >> {}\n", out.display());
    world.commit(&pipeline, "two");
    assert_eq!(world.hms(&["run", "--headless"]).code, Some(1));
    std::fs::write(world.path("fixed"), "").unwrap();
    let said = world.hms(&["retry", "1", "--wait"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let mut lines: Vec<String> = world.read("out").lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, ["after", "bad", "bad", "good"]);
}
