//! `hms canary pause|resume|skip|extend`, as a person types them beside a run.

use serde_json::Value;

use super::world::{Said, World, pipeline, wait_for};

fn canary(world: &World) -> Option<Value> {
    let said = world.hms(&["canary", "status", "2", "--output", "json"]);
    serde_json::from_str(&said.out).ok().filter(|_| said.code == Some(0))
}

fn wait_weight(world: &World, weight: f64) {
    wait_for(&format!("the weight {weight}"), || canary(world).filter(|told| told["weight"]["applied"] == weight));
}

#[test]
fn a_canary_is_paused_resumed_and_skipped_by_command_and_each_is_in_the_ledger() {
    let steps = pipeline(&[("slo: {error_rate: 1%,", "steps: [20%, 40%, 60%], slo: {error_rate: 1%,"), ("--traffic 50%", "")]);
    let world = World::new(&steps);
    let users = world.users();
    world.first_release();
    world.commit_service("2", 0.0);
    drop(users);
    // Nobody uses it: no PASS comes by itself.
    let run = world.start(&["run", "--headless"]);
    wait_weight(&world, 0.2);
    assert_eq!(canary(&world).unwrap()["weight"]["next"], 0.4);
    let said = world.hms_ends(13, &["canary", "skip", "2"]);
    assert!(said.err.contains("needs a reason"), "{said:#?}");
    let said = world.hms_ends(0, &["canary", "skip", "2", "--reason", "nobody uses it now"]);
    assert!(said.out.contains("taken from 20% to 40% without a PASS by"), "{said:#?}");
    wait_weight(&world, 0.4);
    world.hms_ends(0, &["canary", "extend", "2", "--by", "10m"]);
    world.hms_ends(0, &["canary", "pause", "2", "--reason", "a look at the logs"]);
    let told = canary(&world).unwrap();
    assert_eq!((&told["paused"]["reason"], &told["extended_seconds"]), (&"a look at the logs".into(), &600.into()), "{told:#}");
    assert!(world.hms_ends(0, &["canary", "status", "2"]).out.contains("PAUSED by"));
    // With users it passes, and stays.
    let _users = world.users();
    wait_for("PASS", || canary(&world).filter(|told| told["verdict"] == "PASS"));
    assert_eq!(canary(&world).unwrap()["weight"]["applied"], 0.4);
    assert!(world.hms_ends(0, &["canary", "explain", "2"]).out.contains("paused by"));
    world.hms_ends(0, &["canary", "resume", "2"]);
    wait_weight(&world, 0.6);
    assert_eq!(Said::wait(run).code, Some(10), "the last weight has its own PASS");
    for (kind, reason) in [("skip", Some("nobody uses it now")), ("pause", Some("a look at the logs")), ("extend", None), ("resume", None)]
    {
        let entries = world.entries(kind);
        assert_eq!(entries.iter().map(|entry| &entry["phase"]).collect::<Vec<_>>(), ["intent", "outcome"], "{kind}: {entries:#?}");
        assert_eq!(entries[0]["reason"].as_str(), reason, "{entries:#?}");
        assert!(entries[0]["evidence"]["sha256"].is_string(), "{entries:#?}");
    }
    world.hms_ends(0, &["ledger", "verify"]);
}

#[test]
fn a_job_steers_no_canary() {
    let world = World::new(&pipeline(&[]));
    let _users = world.users();
    world.first_release();
    // It knows where the state of the run lies, and is told no all the same.
    let [home, runtime] = ["home", "runtime"].map(|folder| world.path(folder).display().to_string());
    let pause = format!("env HOME={home} XDG_RUNTIME_DIR={runtime} {} canary pause --app shop || echo refused $?", super::world::HMS);
    world.write(
        ".hms-ci.yml",
        &pipeline(&[("script: scan dist/ --fail-on high", &format!("script: [\"{pause}\", \"scan dist/ --fail-on high\"]"))]),
    );
    world.commit_service("2", 0.0);
    world.hms_ends(10, &["run", "--headless", "--no-linger"]);
    assert!(world.log("2", "scan").contains("refused 13"), "{}", world.log("2", "scan"));
    assert!(world.entries("pause").is_empty());
    assert!(world.entries("refuse").iter().any(|entry| entry["reason"].as_str().unwrap().contains("hms canary pause")));
}

#[test]
fn a_canary_whose_engine_has_ended_is_taken_up_by_steering() {
    let world = World::new(&pipeline(&[]));
    let _users = world.users();
    world.first_release();
    world.commit_service("2", 0.0);
    world.hms_ends(10, &["run", "--headless", "--no-linger"]);
    world.wait_ended("2");
    assert_eq!(canary(&world).unwrap()["watched"], false);
    let said = world.hms_ends(0, &["canary", "pause", "2", "--reason", "until the morning"]);
    assert!(said.out.contains("paused by"), "{said:#?}");
    let told = canary(&world).unwrap();
    assert_eq!((&told["paused"]["reason"], &told["watched"]), (&"until the morning".into(), &true.into()), "{told:#}");
    assert!(world.engine("2").is_some());
    world.hms_ends(0, &["canary", "resume", "2"]);
    assert_eq!(canary(&world).unwrap()["paused"], Value::Null);
    for kind in ["pause", "resume"] {
        let entries = world.entries(kind);
        assert_eq!(entries.iter().map(|entry| &entry["phase"]).collect::<Vec<_>>(), ["intent", "outcome"], "{kind}: {entries:#?}");
    }
}

#[test]
fn a_deploy_alone_is_judged_and_steered_as_in_a_run() {
    let world = World::new(&pipeline(&[("on_hold: 1m", "on_hold: 15s")]));
    let users = world.users();
    world.first_release();
    let newest = || {
        let said = std::process::Command::new("git").args(["rev-parse", "HEAD"]).current_dir(world.path("repo")).output().unwrap();
        String::from_utf8(said.stdout).unwrap().trim().to_owned()
    };
    let back = || world.hms_ends(0, &["rollback", "--env", "canary"]);
    // PASS: 0. The release is the one that the run made.
    world.commit_service("2", 0.0);
    world.hms_ends(10, &["run", "--headless", "--no-linger"]);
    back();
    let arguments = |tag: &str| ["--env", "canary", "--traffic", "50%", "--tag", tag].map(str::to_owned);
    let alone = |tag: &str| world.start_deploy(&arguments(tag).each_ref().map(String::as_str));
    let good = newest();
    let said = Said::wait(alone(&good));
    assert_eq!(said.code, Some(0), "{said:#?}");
    back();
    // HOLD for too long: 11, and the weight stays. Meanwhile it hears what people say, and a paused one does not expire.
    drop(users);
    let held = alone(&good);
    let app = ["--app", "shop"];
    let steer = |verb: &str| world.hms(&[&["canary", verb], &app[..]].concat());
    wait_for("a driver that hears", || (steer("pause").code == Some(0)).then_some(()));
    wait_for("a HOLD that is paused", || {
        let said = world.hms(&["canary", "status", "--app", "shop"]);
        (said.out.contains("PAUSED by") && said.out.contains("HOLD")).then_some(())
    });
    assert_eq!(steer("resume").code, Some(0));
    let said = Said::wait(held);
    assert_eq!(said.code, Some(11), "{said:#?}");
    assert_eq!(world.store()["environments"]["prod"]["weight"], 0.5);
    back();
    // Harm: 12, and the weight is gone.
    let _users = world.users();
    world.commit_service("3", 0.5);
    world.hms_ends(12, &["run", "--headless"]);
    let said = Said::wait(alone(&newest()));
    assert_eq!(said.code, Some(12), "{said:#?}");
    assert_eq!(world.store()["environments"]["prod"]["weight"], 0.0);
    world.hms_ends(0, &["ledger", "verify"]);
}
