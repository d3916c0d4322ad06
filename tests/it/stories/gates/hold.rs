//! HOLD: nobody can know yet. The canary keeps its weight and its watch; a person goes on, or passes it.

use super::world::{World, pipeline};

#[test]
fn without_traffic_a_canary_is_held_and_a_person_may_pass_it() {
    let world = World::new(&pipeline(&[("on_hold: 1m", "on_hold: 1s")]));
    let said = world.hms_ends(11, &["run", "--headless"]);
    assert!(said.out.contains("▶ CANARY ✘ held") && said.out.contains("hms override 1 canary --reason"), "{said:#?}");
    let job = world.job("1", "canary");
    assert_eq!((&job["status"], &job["failure_reason"]), (&"failed".into(), &"canary_held".into()), "{job:#}");
    let status = world.status("1");
    assert_eq!((&status["outcome"], &status["engine"]), (&"held".into(), &"alive".into()), "{status:#}");
    let rollout = &status["rollouts"][0];
    assert_eq!((&rollout["verdict"], &rollout["watched"]), (&"HOLD".into(), &true.into()), "{rollout:#}");
    assert_eq!(rollout["weight"]["applied"], 1.0);
    // Again: the same rollout, the same evidence, still nothing to know.
    world.hms_ends(11, &["retry", "1", "canary", "--wait"]);
    let status = world.status("1");
    assert_eq!(status["rollouts"].as_array().unwrap().len(), 1, "{status:#}");
    assert_eq!(status["rollouts"][0]["id"], rollout["id"]);
    world.hms_ends(2, &["override", "1", "canary"]);
    world.hms_ends(13, &["override", "1", "canary", "--reason", " "]);
    // Passed with a reason: the job ends as a success with a warning, the gate opens.
    let said = world.hms_ends(10, &["override", "1", "canary", "--reason", "night traffic", "--wait"]);
    assert!(said.out.contains("passed by an override"), "{said:#?}");
    let job = world.job("1", "canary");
    assert_eq!((&job["status"], &job["failure_reason"]), (&"success".into(), &serde_json::Value::Null), "{job:#}");
    assert!(job["why"].as_str().is_some_and(|why| why.starts_with("HOLD passed by ") && why.ends_with(": night traffic")), "{job:#}");
    let overrides = world.entries("override");
    assert!(overrides.iter().any(|entry| entry["reason"] == "night traffic"), "{overrides:#?}");
    assert_eq!(world.rollout("1")["verdict"], "HOLD", "an override is no verdict");
    world.approve("1");
    assert!(world.store()["environments"]["prod"]["stable"].is_object());
}

#[test]
fn a_hold_is_passed_while_its_job_waits() {
    let world = World::new(&pipeline(&[]));
    let run = world.start(&["run", "--headless"]);
    super::world::wait_for("the canary's weight", || (world.try_status("1")?["rollouts"][0]["weight"]["applied"] == 1.0).then_some(()));
    world.hms_ends(0, &["override", "1", "canary", "--reason", "known"]);
    let said = super::world::Said::wait(run);
    assert_eq!(said.code, Some(10), "{said:#?}");
    assert!(said.out.contains("passed by an override"), "{said:#?}");
    assert_eq!(world.job("1", "canary")["attempts"].as_array().unwrap().len(), 1);
}

#[test]
fn a_held_canary_that_nobody_watches_can_be_passed() {
    let world = World::new(&pipeline(&[("on_hold: 1m", "on_hold: 1s")]));
    world.hms_ends(11, &["run", "--headless", "--no-linger"]);
    assert!(world.engine("1").is_none());
    assert_eq!(world.rollout("1")["watched"], false);
    world.hms_ends(10, &["override", "1", "canary", "--reason", "known", "--wait"]);
    assert_eq!(world.job("1", "canary")["status"], "success");
}

#[test]
fn a_held_canary_that_policy_takes_back_is_rolled_back() {
    let world = World::new(&pipeline(&[("on_hold: 1m", "on_hold: 1s"), ("unwatched: keep", "unwatched: rollback")]));
    let said = world.hms_ends(12, &["run", "--headless", "--no-linger"]);
    assert!(!said.out.contains("HELD"), "there is nothing left to go on with: {said:#?}");
    let status = world.status("1");
    assert_eq!((&status["outcome"], &status["exit_code"]), (&"rolled_back".into(), &12.into()), "{status:#}");
    assert_eq!(world.rollout("1")["weight"]["applied"], 0.0);
}
