//! `resource_group`: one job of a group at a time, across jobs, runs, clones and killed processes.

use std::path::PathBuf;

use super::{World, kill, wait_for};

/// A deploy that says that it began, waits for a file of its own, and says that it ended.
fn pipeline(world: &World, name: &str, more: &str) -> String {
    format!(
        ".hms: {{app: shop}}\ndeploy:\n  resource_group: production\n{more}  script:\n    - echo {name} began >> {said}\n    \
         - while [ ! -e {go} ]; do sleep 0.02; done\n    - echo {name} ended >> {said}\n",
        said = world.path("said").display(),
        go = world.path(name).display(),
    )
}

fn go(world: &World, name: &str) {
    std::fs::write(world.path(name), "").unwrap();
}

fn wait_said(world: &World, text: &str) {
    wait_for(text, || (world.read("said") == text).then_some(()));
}

fn wait_status(world: &World, run: &str, status: &str) -> serde_json::Value {
    wait_for(status, || Some(world.job(run, "deploy")).filter(|job| job["status"] == status))
}

fn lock(world: &World, run: u64, below: &str) -> PathBuf {
    world.run_folder(run).join(below)
}

/// Run 1 is in the group, run 2 waits for it.
fn one_waits() -> World {
    let world = World::new("x:\n  script: 'true'\n");
    for (name, said) in [("a", "a began\n"), ("b", "a began\n")] {
        world.commit(&pipeline(&world, name, ""), name);
        assert_eq!(world.hms(&["run", "--detach"]).code, Some(0));
        wait_said(&world, said);
    }
    let waiting = wait_status(&world, "2", "waiting_for_resource");
    assert_eq!(waiting["why"], "waits for the resource group `production`: deploy of run 1 has it");
    assert!(waiting["attempts"].as_array().unwrap().is_empty());
    world
}

#[test]
fn the_next_run_waits_even_for_a_job_whose_engine_was_killed() {
    let world = one_waits();
    kill(&World::holder(&lock(&world, 1, "lock")).unwrap());
    go(&world, "b");
    let waits = wait_status(&world, "2", "waiting_for_resource");
    assert!(waits["attempts"].as_array().unwrap().is_empty(), "the job still runs under its keeper");
    go(&world, "a");
    wait_status(&world, "2", "success");
    assert_eq!(world.read("said"), "a began\na ended\nb began\nb ended\n");
    assert_eq!(world.hms(&["run", "--resume", "1", "--headless"]).code, Some(0));
}

#[test]
fn a_killed_keeper_lets_the_group_go() {
    let world = one_waits();
    kill(&World::holder(&lock(&world, 1, "jobs/deploy/1/keeper.json")).unwrap());
    go(&world, "b");
    wait_status(&world, "2", "success");
    // With a group it is never run again by itself.
    wait_for("the interruption", || (world.status("1")["outcome"] == "interrupted").then_some(()));
    assert_eq!(world.read("said"), "a began\nb began\nb ended\n");
}

#[test]
fn a_waiting_run_can_be_cancelled_and_leaves_nothing_behind() {
    let world = one_waits();
    assert_eq!(world.hms(&["cancel", "2", "--wait"]).code, Some(130));
    assert_eq!(world.job("2", "deploy")["status"], "skipped");
    go(&world, "a");
    wait_status(&world, "1", "success");
    assert_eq!(world.hms(&["retry", "2"]).code, Some(13), "nothing of it failed");
}

#[test]
fn a_waiting_engine_that_is_killed_waits_on_in_the_next() {
    let world = one_waits();
    kill(&World::holder(&lock(&world, 2, "lock")).unwrap());
    let resumed = world.start(&["run", "--resume", "2", "--headless"]);
    wait_for("the next engine", || World::holder(&lock(&world, 2, "lock")));
    go(&world, "b");
    go(&world, "a");
    let said = super::Said::of(&resumed.wait_with_output().unwrap());
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("▶ DEPLOY … waits for the resource group `production`"), "{said:?}");
    assert_eq!(world.read("said"), "a began\na ended\nb began\nb ended\n");
}

#[test]
fn jobs_of_one_run_take_turns_and_another_clone_of_the_app_waits_as_well() {
    let world = World::new("x:\n  script: 'true'\n");
    go(&world, "a");
    world.commit(&pipeline(&world, "a", "  parallel: 3\n"), "a");
    let said = world.hms(&["run", "--headless"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(world.read("said"), "a began\na ended\n".repeat(3), "never two at once");
    std::fs::remove_file(world.path("said")).unwrap();
    std::fs::remove_file(world.path("a")).unwrap();
    world.commit(&pipeline(&world, "a", ""), "b");
    assert_eq!(world.hms(&["run", "--detach"]).code, Some(0));
    wait_said(&world, "a began\n");
    world.git(&["clone", "-q", ".", world.path("clone").to_str().unwrap()]);
    let clone = world.path("clone").to_str().unwrap().to_owned();
    assert_eq!(world.hms(&["-C", &clone, "run", "--detach"]).code, Some(0));
    let status = || serde_json::from_str::<serde_json::Value>(&world.hms(&["-C", &clone, "status", "--output", "json"]).out).unwrap();
    wait_for("the clone's run to wait", || (status()["jobs"][0]["status"] == "waiting_for_resource").then_some(()));
    assert_eq!(status()["jobs"][0]["why"], "waits for the resource group `production`: deploy of run 2 has it");
    go(&world, "a");
    wait_for("the clone's run", || (status()["outcome"] == "success").then_some(()));
}
