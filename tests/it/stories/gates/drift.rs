//! Drift: what somebody did past hms is shown, stops a deploy, and is kept or taken back by a person's word.

use hms::deploy::local::LocalTarget;
use hms::deploy::{ArmName, Effect, Target};
use hms::event::{Digest, EnvironmentName};
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

/// Somebody gives the traffic to another release without hms's leave: under the number in force, as only a client of the target can.
fn past_hms(world: &World, release: &str) {
    let state = world.path("home/.local/state/hms");
    let places = hms::store::Places { state, runtime: world.path("runtime/hms"), data: world.path("home/.local/share/hms") };
    let target = LocalTarget::open(&places, &"shop".parse().unwrap(), std::path::Path::new(super::world::HMS));
    let (prod, release): (EnvironmentName, Digest) = ("prod".parse().unwrap(), release.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let fence = target.record(&prod).await.unwrap().fence;
        let start = Effect::Start { release: release.clone(), arm: ArmName::Standby, timeout_ms: 15_000 };
        for effect in [start, Effect::Return { release: release.clone() }] {
            target.apply(&prod, fence, &effect, &|_| ()).await.unwrap();
        }
    });
}

#[test]
fn what_was_put_in_place_past_hms_is_taken_back_or_kept_by_a_persons_word() {
    let world = World::new(&pipeline(&[]));
    let _users = world.users();
    world.first_release();
    let current = || world.store()["environments"]["prod"]["record"]["current"]["digest"].as_str().unwrap().to_owned();
    let runs = || world.store()["environments"]["prod"]["stable"]["release"].as_str().unwrap().to_owned();
    let first = current();
    world.commit_service("2", 0.0);
    world.hms_ends(10, &["run", "--headless", "--linger"]);
    world.approve("2");
    let second = current();
    assert_ne!(first, second);

    past_hms(&world, &first);
    let shown = world.hms_ends(1, &["drift", "show", "--env", "prod"]);
    assert!(shown.out.contains("has the traffic, and the record says") && shown.out.contains("hms drift restore"), "{shown:#?}");
    let restored = world.hms_ends(0, &["drift", "restore", "--env", "prod", "--reason", "who did that?"]);
    assert_eq!((runs(), current()), (second.clone(), second.clone()), "{restored:#?}");
    world.hms_ends(0, &["drift", "show"]);
    let back = world.entries("rollback");
    assert!(back.iter().any(|entry| entry["reason"] == "who did that?" && entry["digest"] == second.as_str()), "{back:#?}");

    past_hms(&world, &first);
    world.hms_ends(0, &["drift", "adopt", "--env", "prod", "--reason", "it stays"]);
    assert_eq!((runs(), current()), (first.clone(), first));
    world.hms_ends(0, &["drift", "show"]);
    assert_eq!(world.entries("drift.adopt").len(), 1);
}
