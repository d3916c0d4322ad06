//! A commit that would weaken its own gates changes nothing until a person accepts it.

use super::world::{World, pipeline};

#[test]
fn a_commit_does_not_weaken_its_own_gates() {
    let approvals = [("approvals: 0", "approvals: 1")];
    let world = World::new(&pipeline(&approvals));
    let users = world.users();
    let said = world.hms_ends(10, &["run", "--headless"]);
    assert!(world.notices("1").contains("first use at this target"), "{said:#?}");
    let in_force = world.store()["app_record"]["policy"]["hash"].clone();
    world.hms_ends(0, &["cancel", "1"]);
    world.wait_ended("1");
    world.write(
        ".hms-ci.yml",
        &pipeline(&[
            ("approvals: 0", "approvals: 0, protected: false"),
            ("environments: {", "environments: {staging: {protected: true}, "),
            ("error_rate: 1%", "error_rate: 90%"),
            ("  scan:", "  metrics: {scrape: 'http://127.0.0.1:9/metrics'}\n  scan:"),
            ("advisories: required", "advisories: optional"),
            ("app: shop", "app: other"),
        ]),
    );
    world.commit("weaker");
    let said = world.hms_ends(10, &["run", "--headless"]);
    let notices = world.notices("2");
    for path in [
        "environments.prod.approvals",
        "environments.prod.protected",
        "environments.staging",
        "canary.slo.error_rate",
        "metrics",
        "scan.advisories",
        "app",
    ] {
        assert!(notices.contains(path), "{path} is not in: {notices}");
        assert!(said.err.contains(path), "{path} is not in: {said:#?}");
    }
    assert!(notices.contains("hms policy accept"), "{notices}");
    assert_eq!(world.store()["app_record"]["policy"]["hash"], in_force);
    assert!(!world.path("home/.local/state/hms/local/other").exists(), "the app's name is policy");
    // Still judged by the numbers and the limit of before, and a second person is still wanted.
    assert_eq!(world.rollout("2")["verdict"], "PASS");
    let said = world.hms_ends(0, &["approve", "2", "prod"]);
    assert!(said.out.contains("1 more yes"), "{said:#?}");
    drop(users);
    assert_eq!(world.entries("policy.accept").len(), 1, "first use alone");
}

#[test]
fn a_commit_does_not_let_its_own_packages_pass() {
    let world = World::new(&pipeline(&[]));
    let _users = world.users();
    world.hms_ends(10, &["run", "--headless"]);
    world.write(".hms-ci.yml", &pipeline(&[("advisories: required", "advisories: optional")]));
    world.write("package-lock.json", r#"{"lockfileVersion":3,"packages":{"":{},"node_modules/a":{"version":"1.0.0"}}}"#);
    world.commit("weaker");
    let said = world.hms_ends(1, &["run", "--headless"]);
    assert!(said.out.contains("1 packages NOT CHECKED"), "{said:#?}");
    assert_eq!(world.job("2", "scan")["exit_code"], 3);
}

#[test]
fn an_accepted_policy_is_in_force_and_voids_what_rested_on_the_old_one() {
    let world = World::new(&pipeline(&[("approvals: 0", "approvals: 1")]));
    let _users = world.users();
    world.hms_ends(10, &["run", "--headless"]);
    world.write(".hms-ci.yml", &pipeline(&[]));
    world.commit("one person is enough");
    let shown = world.hms(&["policy", "show", "--output", "json"]);
    let shown: serde_json::Value = serde_json::from_str(&shown.out).unwrap();
    let hash = shown["commit"]["hash"].as_str().unwrap();
    world.hms_ends(0, &["policy", "accept", "--reason", "agreed", "--hash", hash]);
    assert_eq!(world.store()["app_record"]["policy"]["hash"], hash);
    // What was judged under the old one opens no gate.
    let said = world.hms_ends(13, &["approve", "1", "prod"]);
    assert!(said.err.contains("judged under another policy") && said.err.contains("hms retry 1 canary --wait"), "{said:#?}");
    // The way out that it names is one.
    world.hms_ends(10, &["retry", "1", "canary", "--wait"]);
    world.approve("1");
    assert!(world.store()["environments"]["prod"]["stable"].is_object());
    world.commit("another one");
    world.hms_ends(10, &["run", "--headless"]);
    assert!(!world.notices("2").contains("no effect until"), "{}", world.notices("2"));
    world.approve("2");
    let accepted = world.entries("policy.accept");
    assert_eq!(accepted.len(), 2, "{accepted:#?}");
    assert_eq!((&accepted[1]["policy_hash"], &accepted[1]["reason"]), (&hash.into(), &"agreed".into()));
}
