//! How a run ends: by a signal, by a person, and with which exit code.

use std::process::Child;

use hms::store::{Signal, name_of, send_signal};

use super::world::{Said, World, pipeline, wait_for};

/// A run whose canary has weight and no users: it waits.
fn waiting_canary(world: &World, number: usize) -> Child {
    let run = world.start(&["run", "--headless"]);
    let name = number.to_string();
    wait_for("the canary's weight", || (world.try_status(&name)?["rollouts"][0]["weight"]["applied"] == 1.0).then_some(()));
    run
}

fn signal(run: &Child, name: &str) {
    let status = std::process::Command::new("kill").args([name, &run.id().to_string()]).status().unwrap();
    assert!(status.success());
}

/// When the last event of a type was written to a journal.
fn time_of(journal: &std::path::Path, kind: &str) -> String {
    let text = std::fs::read_to_string(journal).unwrap();
    let events = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    events.rev().find(|event| event["type"] == kind).unwrap_or_else(|| panic!("no {kind} in {text}"))["time"].as_str().unwrap().to_owned()
}

#[track_caller]
fn is_cancelled(world: &World, run: &str) {
    let status = world.status(run);
    assert_eq!((&status["outcome"], &status["exit_code"]), (&"canceled".into(), &130.into()), "{status:#}");
    assert_eq!(world.job(run, "canary")["status"], "canceled");
    assert_eq!(world.job(run, "prod")["status"], "skipped");
    assert_eq!(status["rollouts"][0]["weight"]["applied"], 0.0, "{status:#}");
    let id = status["rollouts"][0]["id"].as_str().unwrap();
    let rollout = world.path("home/.local/state/hms/rollouts/shop").join(id).join("journal");
    let (canary, job) = (time_of(&rollout, "RolloutEnded"), time_of(&world.run_folder(run).join("journal"), "AttemptEnded"));
    assert!(canary <= job, "the canary went at {canary}, the job at {job}");
    wait_for("the engine's end", || world.engine(run).is_none().then_some(()));
    assert_eq!((world.processes("keeper"), world.processes("engine")), (Vec::new(), Vec::new()));
    assert!(world.store()["environments"]["prod"]["canary"].is_null());
}

#[test]
fn a_lost_terminal_detaches_and_a_signal_cancels() {
    let world = World::new(&pipeline(&[]));
    let run = waiting_canary(&world, 1);
    signal(&run, "-HUP");
    let said = Said::wait(run);
    assert_eq!(said.code, Some(129), "no success of a run that goes on: {said:#?}");
    assert!(said.err.contains("hms: the run goes on: hms attach 1"), "{said:#?}");
    assert_eq!(world.status("1")["engine"], "alive");
    assert_eq!(world.job("1", "canary")["status"], "running");
    world.hms_ends(130, &["cancel", "1", "--wait"]);
    is_cancelled(&world, "1");
    for (number, name, code) in [(2, "-INT", 130), (3, "-TERM", 143)] {
        let run = waiting_canary(&world, number);
        signal(&run, name);
        let said = Said::wait(run);
        assert_eq!(said.code, Some(code), "{said:#?}");
        assert_eq!(said.out.matches("▶ BUILD").count(), 1, "each thing is said once: {said:#?}");
        is_cancelled(&world, &number.to_string());
    }
}

#[test]
fn a_cancel_at_the_gate_takes_the_canary_away() {
    let world = World::new(&pipeline(&[]));
    let _users = world.users();
    world.hms_ends(10, &["run", "--headless"]);
    world.hms_ends(130, &["cancel", "1", "--wait"]);
    assert_eq!(world.rollout("1")["weight"]["applied"], 0.0);
    let aborts = world.entries("abort");
    assert!(!aborts.is_empty(), "{:#?}", world.ledger());
    world.hms_ends(13, &["approve", "1", "prod"]);
}

#[test]
fn who_watches_a_canary_hears_at_once_that_it_was_taken_back() {
    let world = World::new(&pipeline(&[("interval: 200ms", "interval: 5m")]));
    let run = waiting_canary(&world, 1);
    world.hms_ends(0, &["rollback", "--env", "canary"]);
    // Long before the driver's next sample is due.
    let said = Said::wait(run);
    assert_eq!(said.code, Some(12), "{said:#?}");
    let rollout = world.rollout("1");
    assert_eq!(rollout["weight"]["applied"], 0.0);
    let replay = world.hms_ends(0, &["replay", "1", "--output", "json"]);
    let events: Vec<serde_json::Value> = replay.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for kind in ["WeightApplied", "WatchStarted", "Superseded", "RolloutEnded"] {
        let event = events.iter().find(|event| event["type"] == kind).unwrap_or_else(|| panic!("no {kind}: {}", replay.out));
        assert_eq!((&event["rollout"], &event["format"]), (&rollout["id"], &1.into()), "{event}");
    }
    assert_eq!(world.status("1")["waiting"], serde_json::json!([]));
}

#[test]
fn a_number_that_a_script_exits_with_proves_nothing() {
    for code in [10, 11, 12, 13] {
        let world = World::new(&format!("job:\n  script: exit {code}\n"));
        world.hms_ends(1, &["run", "--headless"]);
        let status = world.status("1");
        assert_eq!((&status["outcome"], &status["exit_code"]), (&"failed".into(), &1.into()), "{status:#}");
        let job = world.job("1", "job");
        assert_eq!((&job["exit_code"], &job["failure_reason"]), (&code.into(), &"script_failure".into()), "{job:#}");
    }
}

#[test]
fn a_failure_beats_a_gate() {
    let world = World::new("bad:\n  script: 'false'\ngate:\n  when: manual\n  allow_failure: false\n  script: 'true'\n");
    let said = world.hms_ends(1, &["run", "--headless"]);
    assert!(said.out.contains("▶ BAD    ✘ exit 1"), "{said:#?}");
    assert_eq!(world.status("1")["outcome"], "failed");
}

#[test]
fn an_engine_that_is_told_to_go_leaves_its_jobs() {
    let world = World::new(&pipeline(&[]));
    let run = waiting_canary(&world, 1);
    let engine = world.engine("1").unwrap().process;
    send_signal(&engine, Signal::Term).unwrap();
    super::world::wait_gone(&engine);
    let said = Said::wait(run);
    assert_eq!(said.code, Some(1), "{said:#?}");
    assert_eq!(world.rollout("1")["watched"], false);
    assert!(world.processes("keeper").into_iter().all(|pid| name_of(pid).is_some()));
    let resumed = world.start(&["run", "--headless", "--resume", "1"]);
    wait_for("the watch", || (world.rollout("1")["watched"] == true).then_some(()));
    world.hms_ends(0, &["override", "1", "canary", "--reason", "known"]);
    let said = Said::wait(resumed);
    assert_eq!(said.code, Some(10), "{said:#?}");
    assert_eq!(world.job("1", "canary")["attempts"].as_array().unwrap().len(), 1);
}

#[test]
fn a_job_beside_a_gate_is_waited_for() {
    // Between two events of the engine the gate is reached and the job beside it is not queued yet.
    let world = World::new("gate:\n  when: manual\n  allow_failure: false\n  script: 'true'\nbeside:\n  script: 'true'\n");
    for number in 1..=5 {
        let said = world.hms_ends(10, &["run", "--headless"]);
        assert!(said.out.contains("▶ BESIDE ✔"), "run {number}: {said:#?}");
    }
}
