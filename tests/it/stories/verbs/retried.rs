//! `retry`: which failures are followed by another attempt, each with its own log, and which wait for a person.

use super::{Said, World, kill, wait_for};

/// A job that fails with this code the first `times` times, and says which time it is.
fn flaky(world: &World, times: u32, code: i32, more: &str) -> String {
    let count = world.path("count");
    format!(
        "job:\n  script: echo x >> {0}; echo \"time $(wc -l < {0})\"; [ $(wc -l < {0}) -gt {times} ] || exit {code}\n{more}",
        count.display()
    )
}

fn run(pipeline: &str, world: &World) -> Said {
    world.commit(pipeline, "two");
    world.hms(&["run", "--headless"])
}

fn attempts(world: &World, job: &str) -> Vec<(String, Option<i64>)> {
    let job = world.job("1", job);
    let told = |attempt: &serde_json::Value| (attempt["result"].as_str().unwrap().to_owned(), attempt["exit_code"].as_i64());
    job["attempts"].as_array().unwrap().iter().map(told).collect()
}

#[test]
fn a_failed_attempt_is_followed_by_another_with_a_log_of_its_own() {
    let world = World::new("x:\n  script: 'true'\n");
    let after = "  retry: 2\nafter:\n  stage: deploy\n  script: 'true'\nfailed:\n  stage: deploy\n  when: on_failure\n  script: 'true'\n";
    let said = run(&flaky(&world, 1, 7, after), &world);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("▶ JOB    ↻ exit 7"), "{said:?}");
    assert!(said.out.contains("; runs again\n"), "{said:?}");
    assert!(said.out.contains("▶ FAILED » skipped: nothing before it failed"), "a job that runs again has not failed: {said:?}");
    assert_eq!(attempts(&world, "job"), [("failed".to_owned(), Some(7)), ("success".to_owned(), Some(0))]);
    let log = |number: &str| world.hms(&["logs", "job", "--attempt", number]);
    assert!(log("1").out.contains("time 1") && !log("1").out.contains("time 2"), "{:?}", log("1"));
    assert!(log("2").out.contains("time 2") && !log("2").out.contains("time 1"), "{:?}", log("2"));
    assert_eq!(log("3").code, Some(2));
    let status = world.hms(&["status", "1"]).out;
    assert!(status.contains("attempt 1   failed") && status.contains("attempt 2   success"), "{status}");
    assert!(status.contains("exit 7 script_failure"), "{status}");
}

#[test]
fn a_failure_that_the_file_does_not_name_is_not_tried_again_and_one_more_than_max_is_the_end() {
    let table = [
        ("  retry: {max: 2, exit_codes: 9}\n", 9, 3, 0),
        ("  retry: {max: 1, exit_codes: 9}\n", 9, 2, 1),
        ("  retry: {max: 2, exit_codes: 9}\n", 8, 1, 1),
        ("  retry: {max: 2, when: [runner_system_failure]}\n", 8, 1, 1),
        ("  retry: {max: 2, when: [runner_system_failure], exit_codes: [8]}\n", 8, 3, 0),
        ("  timeout: 1 second\n  before_script: ['sleep 20']\n  retry: {max: 1, when: job_execution_timeout}\n", 8, 2, 1),
    ];
    for (more, code, tries, ends) in table {
        let world = World::new("x:\n  script: 'true'\n");
        let said = run(&flaky(&world, 2, code, more), &world);
        assert_eq!((said.code, attempts(&world, "job").len()), (Some(ends), tries), "{more}: {said:?}");
    }
}

#[test]
fn what_deploys_is_tried_again_by_a_person_alone() {
    let world = World::new("x:\n  script: 'true'\n");
    let pipeline = flaky(&world, 1, 7, "  retry: 2\n  environment: staging\n");
    world.commit(&pipeline, "two");
    let validated = world.hms(&["validate"]);
    assert!(validated.out.contains("warning: `retry` of `job` is not honoured: it deploys"), "{validated:?}");
    let said = world.hms(&["run", "--headless"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("its `retry` is not followed: it deploys") && said.err.contains("hms retry 1 job"), "{said:?}");
    assert_eq!(world.read("count"), "x\n");
    let said = world.hms(&["retry", "1", "job", "--wait"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(attempts(&world, "job").len(), 2);
}

#[test]
fn an_engine_that_is_killed_between_two_attempts_leaves_the_second_to_the_next() {
    let world = World::new("x:\n  script: 'true'\n");
    let (go, pid) = (world.path("go"), world.path("pid"));
    let script = format!(
        "job:\n  retry: 1\n  script:\n    - echo x >> {count}\n    - echo $$ > {pid}\n    - while [ ! -e {go} ]; do sleep 0.02; done\n    - '[ $(wc -l < {count}) -gt 1 ] || exit 5'\n",
        count = world.path("count").display(),
        pid = pid.display(),
        go = go.display()
    );
    world.commit(&script, "two");
    assert_eq!(world.hms(&["run", "--detach"]).code, Some(0));
    let job = wait_for("the job", || hms::store::name_of(world.read("pid").trim().parse().ok()?));
    let engine = World::holder(&world.run_folder(1).join("lock")).unwrap();
    kill(&engine);
    // Nobody sees this end but whoever comes next.
    std::fs::write(&go, "").unwrap();
    wait_for("the first attempt's end", || (!hms::store::is_alive(&job)).then_some(()));
    let said = world.hms(&["run", "--resume", "1", "--headless"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(world.read("count"), "x\nx\n");
    assert_eq!(attempts(&world, "job"), [("failed".to_owned(), Some(5)), ("success".to_owned(), Some(0))]);
}
