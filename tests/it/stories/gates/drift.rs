//! Drift: what somebody did past hms is shown, stops a deploy, and is kept or taken back by a person's word.

use serde_json::Value;

use super::world::{World, pipeline};

#[test]
fn what_was_changed_past_hms_stops_a_deploy_until_somebody_adopts_it() {
    let world = World::new(&pipeline(&[]));
    let _users = world.users();
    world.first_release();
    assert!(world.hms_ends(0, &["drift", "show"]).out.contains("prod: what runs is what is recorded"));
    let store = world.store();
    let current = store["environments"]["prod"]["record"]["current"]["digest"].as_str().unwrap_or_else(|| panic!("{store:#}")).to_owned();
    let tree = world.path("home/.local/state/hms/local/shop/releases").join(current.trim_start_matches("sha256:")).join("tree");
    std::fs::write(tree.join("service.json"), r#"{"version":"by hand"}"#).unwrap();

    let shown = world.hms_ends(1, &["drift", "show", "--env", "prod"]);
    assert!(
        shown.out.contains("is not as it was released: its bytes were changed") && shown.out.contains("hms drift adopt --env prod"),
        "{shown:#?}"
    );
    assert!(world.hms_ends(0, &["status", "--app", "shop"]).out.contains("  DRIFT: "));
    world.commit_service("2", 0.0);
    world.hms_ends(13, &["run", "--headless"]);
    assert!(world.log("2", "canary").contains("prod has drifted: "), "{}", world.log("2", "canary"));
    assert!(world.entries("refuse").iter().any(|entry| entry["outcome"] == "drifted"), "{:#?}", world.entries("refuse"));
    let events = world.hms_ends(13, &["attach", "2", "--output", "json"]).out;
    assert!(events.lines().any(|line| line.contains("\"DriftFound\"") && line.contains(&current)), "{events}");

    // Nothing here can start it again as it was, so there is nothing to restore.
    let restore = world.hms_ends(13, &["drift", "restore", "--env", "prod", "--reason", "who did that?"]);
    assert!(restore.err.contains("are not here any more"), "{restore:#?}");
    world.hms_ends(2, &["drift", "adopt", "--env", "prod", "--reason", ""]);
    let adopted = world.hms_ends(0, &["drift", "adopt", "--env", "prod", "--reason", "the fix of last night", "--output", "json"]);
    let adopted: Value = serde_json::from_str(&adopted.out).unwrap();
    assert_eq!(adopted["adopted"][0]["drift"], "changed", "{adopted:#}");
    let entry = world.entries("drift.adopt");
    assert!(entry[0]["reason"].as_str().unwrap().starts_with("the fix of last night: "), "{entry:#?}");
    world.hms_ends(0, &["drift", "show"]);
    world.hms_ends(13, &["drift", "adopt", "--env", "prod", "--reason", "again"]);
    world.hms_ends(10, &["retry", "2", "canary", "--wait"]);
}
