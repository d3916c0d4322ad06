//! What is said at a gate: variables for the job, and what the file wants to be confirmed.

use super::World;

const GATE: &str = r"variables: {LEVEL: file, WHERE: at-$LEVEL}
before:
  stage: build
  script: echo LEVEL=reported > a.env
  artifacts: {reports: {dotenv: a.env}}
gate:
  when: manual
  allow_failure: false
  manual_confirmation: Is the board told?
  retry: 1
  script: echo $LEVEL $WHERE $EXTRA >> $OUT; [ $(wc -l < $OUT) -gt 1 ]
";

#[test]
fn variables_given_at_a_gate_beat_all_others_for_that_start_alone() {
    let world = World::new(GATE);
    let out = format!("OUT={}", world.path("out").display());
    let said = world.hms(&["run", "--headless", "--variable", &out, "--variable", "LEVEL=run"]);
    assert_eq!(said.code, Some(10), "{said:?}");
    let waiting = world.status("1")["waiting"][0].clone();
    assert_eq!(waiting["confirmation"], "Is the board told?", "{waiting}");
    assert!(world.hms(&["status", "1"]).out.contains("asks: Is the board told?"));
    for bad in ["LEVEL", "1A=x", "A-B=x"] {
        assert_eq!(world.hms(&["approve", "1", "gate", "--variable", bad]).code, Some(2), "{bad}");
    }
    let said = world.hms(&["approve", "1", "gate", "--wait", "--variable", "LEVEL=gate", "--variable", "EXTRA=with $LEVEL"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.err.contains("gate asks: Is the board told?"), "without a terminal it is told: {said:?}");
    // The attempt that `retry` adds is of the same start.
    assert_eq!(world.read("out"), "gate at-gate with gate\n".repeat(2));
    let ledger = std::fs::read_to_string(world.state().join("ledger/entries")).unwrap();
    assert!(ledger.contains("gate gate with EXTRA, LEVEL") && !ledger.contains("with $LEVEL"), "names alone: {ledger}");
    // At the gate again, nothing is left of it.
    assert_eq!(world.hms(&["retry", "1", "gate", "--wait"]).code, Some(10));
    assert_eq!(world.hms(&["approve", "1", "gate", "--wait"]).code, Some(0));
    assert_eq!(world.read("out").lines().last(), Some("run at-run"));
}

#[test]
fn a_masked_variable_is_not_given_at_a_gate() {
    let world = World::new("gate:\n  when: manual\n  allow_failure: false\n  script: 'true'\n");
    std::fs::write(world.path("values"), "TOKEN=s3cr3t-value-that-is-long\n").unwrap();
    std::fs::set_permissions(world.path("values"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    assert_eq!(world.hms(&["run", "--headless", "--variable-file", world.path("values").to_str().unwrap()]).code, Some(10));
    let said = world.hms(&["approve", "1", "gate", "--variable", "TOKEN=other"]);
    assert_eq!(said.code, Some(13), "{said:?}");
    assert!(said.err.contains("TOKEN is a masked variable"), "{said:?}");
    assert_eq!(world.job("1", "gate")["status"], "manual");
}
