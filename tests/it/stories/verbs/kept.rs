//! What is kept of a job: artifacts by its result, coverage of its log, and which command a timeout ended.

use super::World;

#[test]
fn artifacts_are_kept_by_rule_and_go_on_after_a_failure() {
    let pipeline = r"stages: [make, use]
fails:
  stage: make
  script: mkdir out && echo f > out/failed && echo x > out/left && exit 1
  artifacts: {paths: [out/], exclude: [out/left], when: on_failure}
works:
  stage: make
  script: mkdir out && echo w > out/worked
  artifacts: {paths: [out/], when: on_failure}
always:
  stage: make
  script: echo a > always && echo u > untracked && exit 1
  artifacts: {untracked: true, when: always}
look:
  stage: use
  when: on_failure
  script: ls out always untracked | sort | tr '\n' ' '
";
    let world = World::new(pipeline);
    assert_eq!(world.hms(&["run", "--headless"]).code, Some(1));
    let log = world.hms(&["logs", "look"]).out;
    assert!(log.contains("always failed out: untracked"), "{log}");
}

#[test]
fn coverage_of_the_masked_log_is_shown_whatever_the_result_is() {
    let world = World::new("x:\n  script: 'true'\n");
    let pipeline = "pass:\n  coverage: '/^total: +(\\d+\\.\\d+)%/'\n  script: [\"printf 'total:  11.0%%\\\\ntotal:  87.25%%\\\\n'\"]\n\
                    fail:\n  coverage: '/at (\\d+)/'\n  allow_failure: true\n  script: [echo at 40, exit 1]\n\
                    without:\n  coverage: '/hidden (\\d+)/'\n  script: echo hidden $NUMBER\n";
    world.commit(pipeline, "two");
    std::fs::write(world.path("values"), "NUMBER=123456789012\n").unwrap();
    std::fs::set_permissions(world.path("values"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let said = world.hms(&["run", "--headless", "--variable-file", world.path("values").to_str().unwrap()]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("▶ PASS   ✔ coverage 87.25 %  "), "{said:?}");
    let coverage = |job: &str| world.job("1", job)["coverage"].as_f64();
    assert_eq!((coverage("pass"), coverage("fail"), coverage("without")), (Some(87.25), Some(40.0), None));
}

#[test]
fn a_timeout_ends_the_whole_tree_and_names_the_command() {
    let world = World::new("x:\n  script: 'true'\n");
    let pid = world.path("pid");
    let pipeline = format!(
        "slow:\n  timeout: 1 second\n  script:\n    - echo first\n    - (setsid sleep 1000 & echo $! > {0}; sleep 77)\n  after_script: [touch {0}.after]\n  artifacts: {{paths: [x], when: always}}\n",
        pid.display()
    );
    world.commit(&pipeline, "two");
    let said = world.hms(&["run", "--headless"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.out.contains("▶ SLOW   ✘ took too long") && said.out.contains("while `sleep 77` ran"), "{said:?}");
    let left = world.read("pid").trim().parse().unwrap();
    assert!(hms::store::name_of(left).is_none_or(|name| !hms::store::is_alive(&name)), "what left its session is ended as well");
    assert!(!world.path("pid.after").exists(), "no after_script after a timeout");
    assert_eq!(world.job("1", "slow")["failure_reason"], "job_execution_timeout");
}
