//! `R` on a real release: the banner, taking it back, and the rollback that fires by itself when the terminal is gone.

use std::time::{Duration, Instant};

use super::{PATIENCE, World};

const PIPELINE: &str = r#"prod:
  script: hms-deploy --env prod
.hms:
  app: irs-api
  start: exec HMS demo-service service.json
  scan: { advisories: optional, gate: none }
  local: { listen: "127.0.0.1:0" }
  environments: { prod: { protected: false } }
  rollback: { delay: 3s }
"#;

/// A world whose prod has the second of two releases; their tags.
fn released_twice() -> (World, String, String) {
    let pipeline = PIPELINE.replace("HMS", env!("CARGO_BIN_EXE_hms"));
    let world = World::new(&pipeline);
    for version in ["1", "2"] {
        std::fs::write(world.path("repo/service.json"), format!(r#"{{"version":"{version}"}}"#)).unwrap();
        world.commit(&pipeline, version);
        let said = world.hms(&["run", "--headless"]);
        assert!(said.status.success(), "{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    }
    let runs = world.runs();
    let tag = |number: u64| {
        let run = runs.iter().find(|run| run["number"] == number).unwrap();
        run["revision"].as_str().unwrap()[..8].to_owned()
    };
    let tags = (tag(1), tag(2));
    (world, tags.0, tags.1)
}

#[test]
fn r_counts_down_can_be_taken_back_and_fires_without_the_terminal() {
    let (world, first, second) = released_twice();
    let mut terminal = world.console(&[]);
    terminal.wait_for(&format!("R prod {second} → {first}"));
    terminal.keys("R");
    terminal.wait_for(&format!("ROLLING BACK prod {second} → {first}"));
    terminal.keys("\x1b");
    terminal.wait_for("taken back by");
    terminal.wait_for(&format!("R prod {second} → {first}"));
    // Presses that come too close to one another are one: it may take a second until the key is heard again.
    let begun = Instant::now();
    while !terminal.screen.text().contains("ROLLING BACK") {
        assert!(begun.elapsed() < PATIENCE, "{}", terminal.screen.text());
        terminal.keys("R");
        let pressed = Instant::now();
        while pressed.elapsed() < Duration::from_secs(1) && !terminal.screen.text().contains("ROLLING BACK") {
            terminal.read(Duration::from_millis(100));
        }
    }
    terminal.close();
    terminal.end();
    let mut again = world.console(&[]);
    again.wait("what has the traffic", |screen| screen.contains(&format!("already reverted to {first}")) && screen.contains("ROLLED BACK"));
    again.keys("q");
    assert_eq!(again.end().code(), Some(0));
    // What a run's release has of the traffic is what it has now, not what it had at its end.
    let applied = |run| {
        let said = world.hms(&["status", run, "--output", "json"]);
        serde_json::from_slice::<serde_json::Value>(&said.stdout).unwrap()["rollouts"][0]["weight"]["applied"].clone()
    };
    assert_eq!((applied("1"), applied("2")), (1.0.into(), 0.0.into()));
    stop(&world);
}

/// Ends what serves this world's releases.
fn stop(world: &World) {
    let said = world.hms(&["local", "stop"]);
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
}
