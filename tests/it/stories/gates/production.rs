//! Production after its promotion, on the real programs: by its SLOs alone, beside a holdback, and with nobody there any more.

use hms::store::{Signal, send_signal};
use serde_json::Value;

use super::world::{HMS, World, pipeline, wait_for, wait_gone};

/// A service that turns bad when a file is there.
fn turns_bad() -> String {
    format!("{HMS} demo-service service.json & while [ ! -e bad ]; do sleep 0.1; done; kill $!; wait $!; exec {HMS} demo-service bad.json")
}

/// One release in production, and a second one let through under that `after`.
fn let_through(after: &str) -> World {
    let after = format!("unwatched: keep, after: {after}");
    let world = World::new(&pipeline(&[("START", &turns_bad()), ("unwatched: keep", &after)]));
    world.write("bad.json", r#"{"version":"2","error_rate":1.0}"#);
    world.commit("can turn bad");
    world
}

fn second(world: &World) {
    world.first_release();
    world.commit_service("2", 0.0);
    world.hms_ends(10, &["run", "--headless"]);
    world.hms_ends(0, &["approve", "2", "prod", "--wait"]);
}

/// Has what runs in that place answer with errors alone.
fn break_it(world: &World, arm: &str) {
    let instance = world.store()["environments"]["prod"][arm]["instance"].as_str().unwrap().to_owned();
    std::fs::write(world.path("home/.local/state/hms/local/shop/work").join(instance).join("bad"), "").unwrap();
}

fn current(world: &World) -> Value {
    world.store()["environments"]["prod"]["record"]["current"].clone()
}

/// A run's outcome and exit code as they were before anything happened to what it let through.
fn assert_is_a_success(world: &World, run: &str) {
    let status = world.status(run);
    assert_eq!((&status["outcome"], &status["exit_code"]), (&"success".into(), &0.into()), "{status:#}");
    assert_eq!(
        (world.job(run, "canary")["status"].clone(), world.job(run, "prod")["status"].clone()),
        ("success".into(), "success".into())
    );
}

#[test]
fn harm_after_the_promotion_goes_back_and_is_no_runs_failure() {
    let world = let_through("{watch: 10m, on_harm: rollback}");
    let _users = world.users();
    second(&world);
    let before = current(&world);
    let status = world.status("2");
    assert_eq!(
        (&status["outcome"], &status["engine"], &status["rollouts"][0]["watched"]),
        (&"success".into(), &"alive".into(), &true.into())
    );
    let told = wait_for("a verdict on production", || {
        Some(world.hms(&["canary", "status", "2"]).out).filter(|out| out.contains("by its SLOs alone:"))
    });
    assert!(told.contains("in production, by its SLOs alone, until "), "{told}");
    let seen: Value = serde_json::from_str(&world.hms(&["canary", "status", "2", "--output", "json"]).out).unwrap();
    assert_eq!(
        (&seen["production"]["watched"], &seen["production"]["holdback"], &seen["watched"]),
        (&true.into(), &Value::Null, &true.into())
    );
    assert!(world.engine("1").is_none(), "the next release ended the watch of the first one");
    break_it(&world, "stable");
    wait_for("production to be rolled back", || (current(&world) != before).then_some(()));
    world.wait_ended("2");
    assert_is_a_success(&world, "2");
    let entry = world.entries("rollback").pop().unwrap();
    assert!(entry["evidence"]["sha256"].is_string() || entry["evidence"].is_object(), "{entry:#}");
    let explained = world.hms(&["canary", "explain", "2"]).out;
    assert!(explained.contains("production is watched by its SLOs alone until"), "{explained}");
    assert!(explained.contains("taken back: in production, by its SLOs alone: errors: "), "{explained}");
    world.hms_ends(0, &["ledger", "verify"]);
    let file = world.path("page.html");
    world.hms_ends(0, &["report", "2", "--to", file.to_str().unwrap()]);
    let page = std::fs::read_to_string(file).unwrap();
    assert!(page.contains("judged by its SLOs alone"));
}

#[test]
fn a_holdback_is_compared_with_and_drained_when_its_time_is_over() {
    let world = let_through("{watch: 3s, holdback: 20%}");
    let users = world.users();
    second(&world);
    assert_is_a_success(&world, "2");
    let log = world.log("2", "prod");
    assert!(log.contains("keeps 20% until") && log.contains("80% in force"), "{log}");
    wait_for("the rest of the traffic", || (world.store()["environments"]["prod"]["canary"].is_null()).then_some(()));
    world.wait_ended("2");
    assert_eq!(current(&world)["tag"], world.status("2")["tag"]);
    let promoted = world.entries("promote").into_iter().filter(|entry| entry["phase"] == "intent");
    let shares: Vec<f64> = promoted.map(|entry| entry["weights"]["requested"].as_f64().unwrap()).collect();
    assert_eq!(shares, [1.0, 0.8, 1.0]);
    assert_is_a_success(&world, "2");
    assert_eq!(users.failed(), 0, "nobody lost a request");
}

#[test]
fn harm_beside_a_holdback_is_given_back_to_what_was_held() {
    let world = let_through("{watch: 10m, holdback: 20%}");
    let _users = world.users();
    second(&world);
    let before = current(&world);
    assert_eq!(world.store()["environments"]["prod"]["weight"], 0.8);
    break_it(&world, "canary");
    wait_for("the release to be taken back", || (world.store()["environments"]["prod"]["weight"] == 0.0).then_some(()));
    world.wait_ended("2");
    assert_eq!(current(&world), before);
    assert_is_a_success(&world, "2");
    let explained = world.hms(&["canary", "explain", "2"]).out;
    assert!(explained.contains("in production; the release before keeps 20% until"), "{explained}");
    assert!(explained.contains("in production beside") && explained.contains("taken back: "), "{explained}");
}

#[test]
fn with_nobody_there_any_more_it_is_unwatched_until_the_next_engine_goes_on() {
    let world = let_through("{watch: 10m, holdback: 20%}");
    let _users = world.users();
    second(&world);
    let engine = world.engine("2").unwrap().process;
    send_signal(&engine, Signal::Kill).unwrap();
    wait_gone(&engine);
    assert!(world.hms(&["canary", "status", "2"]).out.contains("UNWATCHED since"));
    assert_eq!(world.store()["environments"]["prod"]["weight"], 0.8, "what was let through stays");
    world.hms_ends(0, &["run", "--resume", "2", "--headless", "--linger"]);
    wait_for("somebody to watch", || (world.status("2")["rollouts"][0]["watched"] == true).then_some(()));
    break_it(&world, "canary");
    wait_for("the release to be taken back", || (world.store()["environments"]["prod"]["weight"] == 0.0).then_some(()));
    world.wait_ended("2");
    assert_is_a_success(&world, "2");
}

#[test]
fn whoever_does_not_stay_watches_nothing_and_holds_nothing_back() {
    let world = let_through("{watch: 10m, holdback: 20%}");
    let _users = world.users();
    world.hms_ends(10, &["run", "--headless"]);
    world.hms_ends(0, &["approve", "1", "prod", "--wait"]);
    world.commit_service("2", 0.0);
    world.hms_ends(10, &["run", "--headless", "--no-linger"]);
    world.hms_ends(0, &["approve", "2", "prod", "--wait"]);
    world.wait_ended("2");
    assert_eq!(current(&world)["tag"], world.status("2")["tag"]);
    assert!(world.log("2", "prod").contains("production is not watched afterwards"), "{}", world.log("2", "prod"));
    let told = world.hms(&["canary", "status", "2"]).out;
    assert!(!told.contains("UNWATCHED") && !told.contains("in production"), "{told}");
}
