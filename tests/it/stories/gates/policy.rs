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
