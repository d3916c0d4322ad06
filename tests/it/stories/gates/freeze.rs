//! A freeze: nothing is promoted, by no way, until it ends or somebody breaks it with a reason. A rollback goes on.

use serde_json::Value;

use super::world::{World, pipeline};

/// A window that holds while the test runs, whenever that is.
fn frozen(break_glass: u32) -> String {
    let freeze = format!(
        "  freeze: [{{from: 2020-01-01 00:00, to: 2098-12-31 12:00, zone: Europe/Berlin, reason: year end, break_glass: {break_glass}}}]\n"
    );
    pipeline(&[("  local:", &format!("{freeze}  local:"))])
}

#[test]
fn a_frozen_environment_is_promoted_only_when_somebody_breaks_it() {
    let world = World::new(&frozen(1));
    let _users = world.users();
    world.hms_ends(10, &["run", "--headless"]);
    let shown = world.hms_ends(0, &["freeze", "show"]);
    let sentence = "frozen until Wed 31 Dec 2098 12:00 CET (Europe/Berlin), Wed 11:00 here: year end";
    assert!(shown.out.starts_with(&format!("shop: {sentence}\n")) && shown.out.contains("one person may break it"), "{shown:#?}");
    assert!(world.hms_ends(0, &["status", "--app", "shop"]).out.contains(&format!("FROZEN: {sentence}")));
    assert!(world.hms_ends(0, &["policy", "show"]).out.contains(sentence));

    let said = world.hms_ends(13, &["approve", "1", "prod", "--wait"]);
    assert!(world.log("1", "prod").contains("prod is frozen until"), "{said:#?} {}", world.log("1", "prod"));
    let refusals = world.entries("refuse");
    let refused = refusals.iter().find(|entry| entry["outcome"] == "frozen").unwrap_or_else(|| panic!("{refusals:#?}"));
    let digest = refused["digest"].as_str().unwrap().to_owned();
    // A reason is a must.
    let breaking = |reason: &str| ["freeze", "break", "--env", "prod", "--release", digest.as_str(), "--reason", reason].map(str::to_owned);
    let say = |code, reason| world.hms_ends(code, &breaking(reason).iter().map(String::as_str).collect::<Vec<_>>());
    say(2, " ");
    say(0, "nobody can pay");
    let broken = world.entries("freeze.break");
    assert_eq!(broken.len(), 1, "{broken:#?}");
    assert_eq!((&broken[0]["reason"], &broken[0]["digest"]), (&"nobody can pay".into(), &digest.as_str().into()));
    assert!(broken[0]["actor"]["login"].is_string(), "{broken:#?}");

    world.hms_ends(0, &["retry", "1", "prod"]);
    world.approve("1");
    let promoted = world.entries("promote");
    let reason = promoted[0]["reason"].as_str().unwrap();
    assert!(reason.contains("freeze broken by ") && reason.ends_with(": nobody can pay"), "{promoted:#?}");
    let status: Value = serde_json::from_str(&world.hms_ends(0, &["status", "--app", "shop", "--output", "json"]).out).unwrap();
    assert_eq!((&status["freeze"]["frozen"], &status["freeze"]["holding"][0]["zone"]), (&true.into(), &"Europe/Berlin".into()));

    // Another release is frozen again; its canary goes, and is taken back.
    world.commit_service("2", 0.0);
    world.hms_ends(10, &["run", "--headless", "--linger"]);
    world.hms_ends(13, &["approve", "2", "prod", "--wait"]);
    world.hms_ends(0, &["rollback", "--env", "canary"]);
}

#[test]
fn a_freeze_that_nobody_may_break_is_broken_by_nobody() {
    let world = World::new(&frozen(0));
    let _users = world.users();
    world.hms_ends(10, &["run", "--headless"]);
    let status: Value = serde_json::from_str(&world.hms_ends(0, &["status", "1", "--output", "json"]).out).unwrap();
    let digest = status["release"]["digest"].as_str().unwrap_or_else(|| panic!("{status:#}"));
    let said = world.hms_ends(13, &["freeze", "break", "--env", "prod", "--release", digest, "--reason", "nobody can pay"]);
    assert!(said.err.contains("nobody may break this freeze (year end)"), "{said:#?}");
    assert_eq!(world.entries("freeze.break").len(), 0);
    assert!(world.entries("refuse").iter().any(|entry| entry["outcome"] == "frozen"));
}
