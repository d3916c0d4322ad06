//! Two releases for one environment, and a revision from before.

use super::world::{Said, World, pipeline, wait_for};

#[test]
fn a_second_release_waits_gives_up_or_takes_its_place() {
    let world = World::new(&pipeline(&[]));
    let _users = world.users();
    world.hms_ends(10, &["run", "--headless"]);
    let holder = world.status("1")["tag"].as_str().unwrap().to_owned();
    world.commit_service("2", 0.0);
    // It waits, and says for whom.
    let waiting = world.start(&["run", "--headless"]);
    wait_for("the second run", || world.try_status("2"));
    let job = world.wait_status("2", "canary", "waiting_for_resource");
    let run = world.status("1")["run"].as_str().unwrap().to_owned();
    let why = format!(
        "waiting for {holder} of run {run}, which holds prod: hms cancel {run} ends that run; hms rollback --env canary --app shop"
    );
    assert!(job["why"].as_str().unwrap().starts_with(&why), "{job:#}");
    // Nobody approves a canary: what drives it is named.
    let digest = world.store()["environments"]["prod"]["record"]["slot"]["release"]["digest"].as_str().unwrap().to_owned();
    let said = world.deploy(&["--env", "canary", "--tag", &digest]);
    assert_eq!(said.code, Some(13), "{said:#?}");
    assert!(said.err.contains("hms status") && !said.err.contains("hms approve"), "{said:#?}");
    // Not at all: refused at once.
    let said = world.hms_ends(13, &["run", "--headless", "--variable", "MORE=--slot-timeout 0"]);
    assert!(said.out.contains("▶ CANARY ✘ refused"), "{said:#?}");
    let log = world.log("3", "canary");
    let since = log.split(&format!("{holder} holds prod since ")).nth(1).unwrap_or_else(|| panic!("{log}"));
    assert_eq!(since.find(" UTC"), Some("2026-11-24 16:02:11".len()), "{log}");
    // In its place: what was there is taken back, and cannot be promoted any more.
    world.hms_ends(10, &["run", "--headless", "--variable", "MORE=--supersede"]);
    let said = world.hms_ends(13, &["approve", "1", "prod"]);
    assert!(said.err.contains("took its place"), "{said:#?}");
    assert_eq!(world.status("1")["outcome"], "rolled_back");
    assert_eq!(world.rollout("1")["weight"]["applied"], 0.0, "{:#}", world.rollout("1"));
    // The one that waited goes on waiting, for the new one; cancelled, it ends.
    world.hms_ends(0, &["cancel", "2"]);
    let said = Said::wait(waiting);
    assert_eq!(said.code, Some(130), "{said:#?}");
    assert!(said.out.contains("▶ CANARY … waiting for"), "{said:#?}");
}

#[test]
fn a_revision_from_before_is_outdated() {
    let world = World::new(&pipeline(&[]));
    world.commit_service("2", 0.0);
    let _users = world.users();
    world.first_release();
    let said = world.hms_ends(13, &["run", "--headless", "--ref", "HEAD~1"]);
    assert!(said.out.contains("▶ CANARY ✘ refused"), "{said:#?}");
    assert_eq!(world.job("2", "canary")["failure_reason"], "refused");
    let more = "MORE=--allow-outdated --reason known-good";
    world.hms_ends(10, &["run", "--headless", "--ref", "HEAD~1", "--variable", more]);
    assert_eq!(world.rollout("3")["verdict"], "PASS");
    let deploys = world.entries("deploy");
    assert!(deploys.iter().any(|entry| entry["reason"] == "known-good"), "{deploys:#?}");
}

#[test]
fn a_release_that_waited_is_looked_at_again_when_its_turn_comes() {
    let world = World::new(&pipeline(&[]));
    let _users = world.users();
    world.first_release();
    world.git(&["checkout", "-q", "-b", "side"]);
    world.commit_service("side", 0.0);
    world.git(&["checkout", "-q", "main"]);
    world.commit_service("2", 0.0);
    world.hms_ends(10, &["run", "--headless"]);
    // Both began while the first was there; one comes after the second, the other beside it.
    world.commit_service("3", 0.0);
    let after = world.start(&["run", "--headless"]);
    wait_for("the third run", || world.try_status("3"));
    let beside = world.start(&["run", "--headless", "--ref", "side"]);
    wait_for("the fourth run", || world.try_status("4"));
    for run in ["3", "4"] {
        world.wait_status(run, "canary", "waiting_for_resource");
    }
    world.approve("2");
    // What a person sees of the one that comes after is what was there when its turn came.
    let said = Said::wait(after);
    assert_eq!(said.code, Some(10), "{said:#?}");
    assert_eq!(world.rollout("3")["previous"]["revision"], world.status("2")["revision"]);
    world.approve("3");
    // The other one's turn came before that or after it.
    let said = Said::wait(beside);
    assert_eq!(said.code, Some(13), "{said:#?}");
    assert!(world.log("4", "canary").contains("does not come after"), "{}", world.log("4", "canary"));
    let weight = &world.rollout("4")["weight"]["applied"];
    assert!(weight.is_null(), "it never had any: {weight}");
}
