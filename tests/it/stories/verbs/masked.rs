//! Runs whose masked values are not there any more when somebody says something to them.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::{Said, World, kill, wait_for};

const GATED: &str = "stages: [a, b]\na:\n  stage: a\n  script: echo a\nb:\n  stage: b\n  when: manual\n  allow_failure: false\n  script: test -n \"$TOKEN\"\n";

fn variable_file(world: &World) -> PathBuf {
    let file = world.path("variables");
    std::fs::write(&file, "TOKEN=s3cr3t-value-of-the-test\n").unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    file
}

fn at_the_gate(world: &World, arguments: &[&str]) {
    let mut command = world.command(&[&["run", "--headless"], arguments].concat());
    let said = Said::of(&command.env("TOKEN", "s3cr3t-value-of-the-test").output().unwrap());
    assert_eq!(said.code, Some(10), "{said:?}");
    wait_for("the engine to rest", || World::holder(&world.run_folder(1).join("lock")).is_none().then_some(()));
}

#[test]
fn without_its_variable_file_a_run_can_be_cancelled_and_nothing_else() {
    let world = World::new(GATED);
    let file = variable_file(&world);
    at_the_gate(&world, &["--variable-file", file.to_str().unwrap()]);
    std::fs::rename(&file, world.path("elsewhere")).unwrap();
    let asked = [&["approve", "1", "b"][..], &["retry", "1", "a"], &["run", "--resume", "1", "--headless"]];
    for verb in asked {
        let said = world.hms(verb);
        assert_eq!(said.code, Some(3), "{verb:?}: {said:?}");
        for part in ["TOKEN", file.to_str().unwrap(), "No such file", "Hint: put "] {
            assert!(said.err.contains(part), "{verb:?}, {part}: {said:?}");
        }
    }
    assert_eq!((world.status("1")["outcome"].as_str(), world.job("1", "b")["status"].as_str()), (Some("waiting"), Some("manual")));
    // Another place, or the variable itself, does as well.
    let moved = world.path("elsewhere");
    let said = world.hms(&["run", "--resume", "1", "--headless", "--variable-file", moved.to_str().unwrap()]);
    assert_eq!(said.code, Some(10), "{said:?}");
    let said = world.hms(&["cancel", "1", "--wait"]);
    assert_eq!(said.code, Some(130), "{said:?}");
    assert_eq!(world.status("1")["outcome"], "canceled");
    let said = Said::of(&world.command(&["retry", "1", "--wait", "b"]).env("TOKEN", "s3cr3t-value-of-the-test").output().unwrap());
    assert_eq!(said.code, Some(10), "{said:?}");
}

#[test]
fn a_yes_that_brings_no_masked_value_leaves_the_gate_as_it_was() {
    let world = World::new(GATED);
    at_the_gate(&world, &["--mask-env", "TOKEN"]);
    let said = world.hms(&["approve", "1", "b"]);
    assert_eq!(said.code, Some(3), "{said:?}");
    assert!(said.err.contains("TOKEN"), "{said:?}");
    let gate = world.job("1", "b");
    assert_eq!((gate["status"].as_str(), gate["attempts"].as_array().map(Vec::len)), (Some("manual"), Some(0)));
    let said = Said::of(&world.command(&["approve", "1", "b", "--wait"]).env("TOKEN", "s3cr3t-value-of-the-test").output().unwrap());
    assert_eq!(said.code, Some(0), "{said:?}");
}

#[test]
fn a_job_that_waits_for_its_turn_is_not_failed_by_a_cancel_without_its_file() {
    let world = World::new("x:\n  script: 'true'\n");
    let slow =
        format!("a:\n  script: while [ ! -e {} ]; do sleep 0.02; done\nb:\n  needs: [a]\n  script: echo b\n", world.path("go").display());
    world.commit(&slow, "two");
    let file = variable_file(&world);
    assert_eq!(world.hms(&["run", "--detach", "--variable-file", file.to_str().unwrap()]).code, Some(0));
    wait_for("the job", || (world.job("1", "a")["status"] == "running").then_some(()));
    let keeper = World::holder(&world.run_folder(1).join("jobs/a/1/keeper.json")).unwrap();
    kill(&World::holder(&world.run_folder(1).join("lock")).unwrap());
    std::fs::write(world.path("go"), "").unwrap();
    wait_for("the keeper's end", || (!hms::store::is_alive(&keeper)).then_some(()));
    std::fs::remove_file(&file).unwrap();
    let said = world.hms(&["cancel", "1", "--wait"]);
    assert_eq!(said.code, Some(130), "{said:?}");
    assert_eq!(world.job("1", "b")["status"], "skipped");
}

#[test]
fn a_masked_variable_without_a_value_fails_its_job_once_and_says_where_it_is_looked_for() {
    let world = World::new("x:\n  script: 'true'\n");
    let go = world.path("go");
    let waits =
        format!("a:\n  script: while [ ! -e {} ]; do sleep 0.02; done\nb:\n  needs: [a]\n  retry: 2\n  script: echo b\n", go.display());
    world.commit(&waits, "two");
    let file = variable_file(&world);
    assert_eq!(world.hms(&["run", "--detach", "--variable-file", file.to_str().unwrap()]).code, Some(0));
    wait_for("the job", || (world.job("1", "a")["status"] == "running").then_some(()));
    kill(&World::holder(&world.run_folder(1).join("lock")).unwrap());
    std::fs::write(&go, "").unwrap();
    // An engine that was told nothing, as one that was started to end something.
    let mut engine = world.command(&["engine", world.run_folder(1).to_str().unwrap(), world.state().to_str().unwrap()]);
    let mut engine = engine.stdin(std::process::Stdio::piped()).spawn().unwrap();
    let told =
        serde_json::json!({"masked": {}, "passed": {}, "interrupted": null, "no_linger": false, "path": std::env::var("PATH").unwrap()});
    std::io::Write::write_all(&mut engine.stdin.take().unwrap(), told.to_string().as_bytes()).unwrap();
    assert!(engine.wait().unwrap().success());
    let b = world.job("1", "b");
    let attempts = b["attempts"].as_array().unwrap();
    assert_eq!((b["status"].as_str(), attempts.len()), (Some("failed"), 1), "it is not retried: {b}");
    assert_eq!(attempts[0]["failure_reason"], "missing_dependency_failure", "{b}");
    let said = b["why"].as_str().unwrap();
    for part in ["TOKEN", file.to_str().unwrap(), "environment"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // The way out: the same, by whoever has the value.
    assert_eq!(world.hms(&["retry", "1", "b", "--wait"]).code, Some(0));
}

#[test]
fn a_value_that_cannot_be_masked_names_its_file_and_the_way_out() {
    let world = World::new("a: {script: 'true'}\n");
    let file = world.path("values");
    std::fs::write(&file, "A=short\n").unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let path = file.canonicalize().unwrap();
    let said = world.hms(&["run", "--headless", "--variable-file", path.to_str().unwrap()]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.err.contains(&format!("{}: the value of A cannot be masked", path.display())), "{said:?}");
    assert!(said.err.contains("--variable A=VALUE"), "{said:?}");
}
