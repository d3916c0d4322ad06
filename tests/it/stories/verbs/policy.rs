//! `hms policy`: what is in force, and how it changes.

use super::World;

const JOB: &str = "job:\n  script: 'true'\n";

fn with(settings: &str) -> String {
    format!(".hms:\n  app: shop\n{settings}{JOB}")
}

/// Ends the supervisor that accepting a policy starts.
fn stop(world: &World) {
    if let Some(process) = World::holder(&world.state().join("local/shop/lock")) {
        super::kill(&process);
    }
}

#[test]
fn a_policy_comes_into_force_by_a_persons_word_alone() {
    let world = World::new(&with(""));
    let said = world.hms(&["policy", "show"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("no policy is in force for shop"), "{said:?}");
    let refused = world.hms(&["policy", "accept"]);
    assert_eq!(refused.code, Some(13), "{refused:?}");
    let line = refused.err.lines().find(|line| line.starts_with("Hint: ")).unwrap().trim_start_matches("Hint: hms ").to_owned();
    let words: Vec<&str> = line.split(' ').collect();
    let accepted = world.hms(&words);
    assert_eq!(accepted.code, Some(0), "{accepted:?}");

    world.commit(&with("  environments: {prod: {protected: false}}\n"), "weaker");
    let shown = world.hms(&["policy", "show"]);
    assert!(shown.out.contains("has no effect until") && shown.out.contains("environments.prod"), "{shown:?}");
    let json: serde_json::Value = serde_json::from_str(&world.hms(&["policy", "show", "--output", "json"]).out).unwrap();
    assert_ne!(json["in_force"]["hash"], json["commit"]["hash"]);
    assert!(!json["commit"]["differences"].as_array().unwrap().is_empty());
    // The hash of the other policy accepts nothing.
    let other = json["in_force"]["hash"].as_str().unwrap();
    assert_eq!(world.hms(&["policy", "accept", "--hash", other]).code, Some(13));
    let said = world.hms(&["policy", "accept", "--reason", "agreed", "--hash", json["commit"]["hash"].as_str().unwrap()]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let from_elsewhere = world.command(&["policy", "show", "--app", "shop"]).current_dir(world.path("home")).output().unwrap();
    assert!(String::from_utf8_lossy(&from_elsewhere.stdout).contains(json["commit"]["hash"].as_str().unwrap()));
    let log = world.hms(&["ledger", "log", "--app", "shop"]);
    assert_eq!(log.out.lines().filter(|line| line.contains("policy.accept")).count(), 2, "{log:?}");
    assert!(log.out.contains("“agreed”"), "{log:?}");
    stop(&world);
}

#[test]
fn a_job_accepts_no_policy() {
    let world = World::new(&with(""));
    let refused = world.hms(&["policy", "accept"]);
    let hash = refused.err.split("--hash ").nth(1).unwrap().trim().to_owned();
    let home = world.path("home");
    world.commit(
        &format!(
            ".hms:\n  app: shop\njob:\n  script: HOME={} XDG_RUNTIME_DIR={} hms -C {} policy accept --hash {hash}\n",
            home.display(),
            world.path("runtime").display(),
            world.path("repo").display()
        ),
        "from inside",
    );
    let said = world.hms(&["run", "--headless"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    let log = world.hms(&["ledger", "log"]);
    assert!(log.out.contains("inside_run") && !log.out.contains("policy.accept #"), "{log:?}");
    assert!(world.hms(&["policy", "show"]).out.contains("no policy is in force"));
    stop(&world);
}
