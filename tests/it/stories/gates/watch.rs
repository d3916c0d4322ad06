//! Who watches a canary while its gate waits, and what comes of it when nobody does or it turns bad.

use super::world::{HMS, World, pipeline, wait_for};

#[test]
fn an_engine_that_does_not_linger_says_so() {
    let world = World::new(&pipeline(&[]));
    let _users = world.users();
    let output = world.command(&["run", "--headless"]).env("CI", "true").output().unwrap();
    let said = super::world::Said::of(&output);
    assert_eq!(said.code, Some(10), "{said:#?}");
    assert!(world.engine("1").is_none(), "the engine is gone when the command is");
    assert!(said.err.contains("UNWATCHED"), "{said:#?}");
    assert!(!said.out.contains("watched by engine"), "{said:#?}");
    let status = world.status("1");
    assert_eq!((&status["engine"], &status["outcome"]), (&"parked".into(), &"waiting".into()), "{status:#}");
    assert_eq!(status["rollouts"][0]["watched"], false, "{status:#}");
    assert_eq!(status["rollouts"][0]["weight"]["applied"], 1.0, "{status:#}");
    assert!(world.hms(&["status", "1"]).out.contains("UNWATCHED"));
    // The next engine takes the watch up; its verdict is on what is measured now.
    world.approve("1");
    assert!(world.store()["environments"]["prod"]["stable"].is_object());
    // What its verdict rests on is bound: samples that somebody smoothed afterwards are found.
    world.hms_ends(0, &["ledger", "verify"]);
    let rollout = world.rollout("1")["id"].as_str().unwrap().to_owned();
    let journal = world.path("home/.local/state/hms/rollouts/shop").join(rollout).join("journal");
    let told = std::fs::read_to_string(&journal).unwrap();
    let (place, _) = told.match_indices("\"Sampled\"").nth(2).expect("a verdict rests on more samples than two");
    let (before, after) = told.split_at(place);
    let smoothed = after.replacen("\"value\":", "\"value\":1", 1);
    assert!(after != smoothed);
    std::fs::write(&journal, format!("{before}{smoothed}")).unwrap();
    let said = world.hms_ends(1, &["ledger", "verify"]);
    assert!(said.out.contains("are not those that the evidence of entry"), "{said:#?}");
}

/// A login manager takes a user's runtime folder away after the last logout; who was asked to watch goes on and can be spoken to.
#[test]
fn a_runtime_folder_that_was_taken_away_is_no_end() {
    let world = World::new(&pipeline(&[]));
    let _users = world.users();
    world.hms_ends(10, &["run", "--headless"]);
    let (engine, supervisor) = (world.engine("1").unwrap(), world.supervisor().unwrap());
    std::fs::remove_dir_all(world.path("runtime")).unwrap();
    std::fs::create_dir(world.path("runtime")).unwrap();
    let said = world.deploy(&["status", "--app", "shop"]);
    assert_eq!(said.code, Some(0), "{said:#?}");
    world.approve("1");
    world.commit("two");
    world.hms_ends(10, &["run", "--headless"]);
    std::fs::remove_dir_all(world.path("runtime")).unwrap();
    world.hms_ends(0, &["rollback", "--env", "canary"]);
    assert!(engine.process != supervisor.process && world.supervisor().unwrap().process == supervisor.process, "nobody was replaced");
}

#[test]
fn an_unwatched_canary_is_taken_back_when_policy_says_so() {
    let world = World::new(&pipeline(&[("unwatched: keep", "unwatched: rollback")]));
    let _users = world.users();
    world.hms_ends(12, &["run", "--headless", "--no-linger"]);
    assert!(world.engine("1").is_none());
    let status = world.status("1");
    assert_eq!((&status["outcome"], &status["exit_code"]), (&"rolled_back".into(), &12.into()), "{status:#}");
    assert_eq!(status["rollouts"][0]["weight"]["applied"], 0.0, "{status:#}");
    assert!(status["waiting"].as_array().unwrap().is_empty(), "nothing is there to approve: {status:#}");
    world.hms_ends(13, &["approve", "1", "prod"]);
    // Its canary may go again.
    world.hms_ends(12, &["retry", "1", "canary", "--wait"]);
}

#[test]
fn a_canary_that_turns_bad_at_the_gate_is_taken_back() {
    let start = format!(
        "{HMS} demo-service service.json & while [ ! -e bad ]; do sleep 0.1; done; kill $!; wait $!; exec {HMS} demo-service bad.json"
    );
    let world = World::new(&pipeline(&[("START", &start)]));
    world.write("bad.json", r#"{"version":"1","error_rate":1.0}"#);
    world.commit("can turn bad");
    let _users = world.users();
    world.hms_ends(10, &["run", "--headless"]);
    assert_eq!(world.rollout("1")["watched"], true);
    // From here on it answers with errors alone.
    let canary = world.store()["environments"]["prod"]["canary"].clone();
    let folder = world.path("home/.local/state/hms/local/shop/work").join(canary["instance"].as_str().unwrap());
    std::fs::write(folder.join("bad"), "").unwrap();
    wait_for("the canary to be taken back", || (world.rollout("1")["weight"]["applied"] == 0.0).then_some(()));
    let status = wait_for("the run's end", || Some(world.status("1")).filter(|status| status["outcome"] == "rolled_back"));
    assert_eq!(status["rollouts"][0]["verdict"], "ROLLBACK", "{status:#}");
    assert!(status["rollouts"][0]["reason"].as_str().unwrap().contains("errors"), "{status:#}");
    world.hms_ends(13, &["approve", "1", "prod"]);
    assert!(world.store()["environments"]["prod"]["stable"].is_null());
}

#[test]
fn a_bad_release_is_found_by_its_numbers_and_production_is_untouched() {
    let world = World::new(&pipeline(&[]));
    let _users = world.users();
    world.first_release();
    let before = world.store()["environments"]["prod"]["record"]["current"].clone();
    world.commit_service("2", 0.5);
    let said = world.hms_ends(12, &["run", "--headless"]);
    assert!(said.out.contains("▶ CANARY ✘ rolled back"), "{said:#?}");
    let job = world.job("2", "canary");
    assert_eq!((&job["status"], &job["failure_reason"]), (&"failed".into(), &"canary_harm".into()), "{job:#}");
    assert_eq!(world.job("2", "prod")["status"], "skipped");
    let prod = world.store()["environments"]["prod"].clone();
    assert_eq!(prod["record"]["current"], before);
    assert!(prod["canary"].is_null(), "{prod:#}");
    world.hms_ends(13, &["approve", "2", "prod"]);
}

/// A script may pass over the exit code; the canary does not come back by that, and nothing waits for a yes to it.
#[test]
fn a_script_that_passes_over_a_lost_canary_has_failed() {
    let world = World::new(&pipeline(&[]));
    let _users = world.users();
    world.first_release();
    world.write("service.json", r#"{"version":"2","error_rate":0.9}"#);
    world.write(".hms-ci.yml", &pipeline(&[("--traffic 50% $MORE", "--traffic 50% || true")]));
    world.commit("2");
    let said = world.hms_ends(12, &["run", "--headless"]);
    assert!(said.out.contains("▶ CANARY ✘ rolled back") && !said.out.contains("waiting for manual"), "{said:#?}");
    let job = world.job("2", "canary");
    assert_eq!(
        (&job["status"], &job["failure_reason"], &job["exit_code"]),
        (&"failed".into(), &"canary_harm".into(), &0.into()),
        "{job:#}"
    );
    assert_eq!(world.status("2")["waiting"], serde_json::json!([]));
}

#[test]
fn a_canary_that_a_person_takes_back_ends_its_run_alike_with_and_without_an_engine() {
    let world = World::new(&pipeline(&[]));
    // While its job still waits for a verdict: nobody uses it.
    let run = world.start(&["run", "--headless"]);
    wait_for("the canary's weight", || (world.try_status("1")?["rollouts"][0]["weight"]["applied"] == 1.0).then_some(()));
    world.hms_ends(0, &["rollback", "--env", "canary"]);
    let said = super::world::Said::wait(run);
    assert_eq!(said.code, Some(12), "{said:#?}");
    assert!(said.out.contains("▶ CANARY ✘ rolled back"), "{said:#?}");
    assert_eq!(world.status("1")["outcome"], "rolled_back");
    // Its own word: nothing was proven against it.
    assert_eq!(world.job("1", "canary")["failure_reason"], "canary_taken_back", "{:#}", world.job("1", "canary"));
    // At the gate, and with nobody there to see it.
    let _users = world.users();
    for (run, linger) in [("2", "--linger"), ("3", "--no-linger")] {
        world.hms_ends(10, &["run", "--headless", linger]);
        world.hms_ends(0, &["rollback", "--env", "canary"]);
        if linger == "--linger" {
            wait_for("the engine to see it", || (world.status(run)["outcome"] == "rolled_back").then_some(()));
        }
        // Also before an engine looks at it.
        let status = world.status(run);
        assert_eq!((&status["outcome"], &status["waiting"]), (&"rolled_back".into(), &serde_json::json!([])), "{status:#}");
        world.hms_ends(12, &["attach", run]);
        assert!(world.hms(&["runs"]).out.contains("rolled_back"));
        world.hms_ends(13, &["approve", run, "prod"]);
        let status = world.status(run);
        assert_eq!((&status["outcome"], &status["exit_code"]), (&"rolled_back".into(), &12.into()), "{status:#}");
    }
}

#[test]
fn a_release_that_reached_its_environment_another_way_ends_its_run_well() {
    let world = World::new(&pipeline(&[]));
    let _users = world.users();
    world.hms_ends(10, &["run", "--headless", "--no-linger"]);
    let digest = world.store()["environments"]["prod"]["record"]["slot"]["release"]["digest"].as_str().unwrap().to_owned();
    let said = world.deploy(&["--env", "prod", "--promote", &digest]);
    assert_eq!(said.code, Some(0), "{said:#?}");
    world.approve("1");
    assert_eq!(world.status("1")["outcome"], "success");
    assert!(world.log("1", "prod").contains("already in prod"), "{}", world.log("1", "prod"));
}
