//! A rollback rehearsed on the real target: users notice nothing, and the result is there for whoever looks.

use serde_json::Value;

use super::world::{World, pipeline};

#[test]
fn a_rehearsed_rollback_touches_nobody_and_is_told_afterwards() {
    let world = World::new(&pipeline(&[]));
    let users = world.users();
    world.first_release();
    let nowhere = world.hms_ends(3, &["drill", "--env", "prod"]);
    assert!(nowhere.err.contains("would have nowhere to go"), "{nowhere:#?}");
    world.commit_service("2", 0.0);
    world.hms_ends(10, &["run", "--headless", "--linger"]);
    let held = world.hms_ends(13, &["drill", "--env", "prod"]);
    assert!(held.err.contains("holds prod"), "{held:#?}");
    world.approve("2");
    let before = world.store()["environments"]["prod"]["stable"].clone();
    let said = world.hms_ends(0, &["drill", "--env", "prod", "--reason", "before the weekend", "--output", "json"]);
    let drill: Value = serde_json::from_str(&said.out).unwrap();
    let result = drill["drill"]["result"].as_str().unwrap();
    assert!(["healthy", "warm"].contains(&result), "{drill:#}");
    let kinds = |phase: &str| world.entries("drill").iter().filter(|entry| entry["phase"] == phase).count();
    assert_eq!((kinds("intent"), kinds("outcome")), (1, 1), "{:#?}", world.entries("drill"));
    assert_eq!(world.store()["environments"]["prod"]["stable"], before);
    let status = world.hms_ends(0, &["status", "--app", "shop"]).out;
    assert!(status.contains("rehearsed") && status.contains(" ago: "), "{status}");
    assert_eq!(users.failed(), 0);
    // And the real one goes where it was rehearsed to.
    let to = drill["drill"]["release"]["digest"].clone();
    world.hms_ends(0, &["rollback", "--env", "prod"]);
    assert_eq!(world.store()["environments"]["prod"]["record"]["current"]["digest"], to);
}
