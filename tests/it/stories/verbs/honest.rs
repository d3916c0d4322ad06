//! Ends that are told as they are: what a job does to its own keeper, shell and folders earns it nothing.

use super::World;

#[test]
fn a_job_that_stops_its_own_keeper_has_failed() {
    let world = World::new(
        "stages: [test, deploy]\nt:\n  stage: test\n  script: 'kill -TERM $PPID; sleep 1; exit 1'\nd:\n  stage: deploy\n  script: echo DEPLOYED\n",
    );
    let said = world.hms(&["run", "--headless"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.out.contains("its keeper was told to stop, and nobody cancelled the run"), "{said:?}");
    assert_eq!(world.status("1")["outcome"], "failed");
    assert_eq!(world.job("1", "d")["status"], "skipped");
}
