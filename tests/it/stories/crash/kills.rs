//! Deaths at no named point: engine, keeper, client, supervisor and view, killed while the canary's job waits for its verdict.

use std::process::{Command, Stdio};

use hms::event::{AttemptResult, JobName, JobState, JobStatus, ProcessName};
use hms::store::{Signal, is_alive, name_of, send_signal};

use super::traffic::WITHIN;
use super::world::{HMS, Shape, World, wait_for};

/// A second release whose canary has 10 % and waits for a verdict that takes as long as it is told.
fn canary_waits() -> World {
    let world = World::new(Shape::Patient);
    world.release("1", "1", Shape::Patient);
    world.commit("2");
    world.hms(&["run", "--detach"]).code(0);
    assert!(wait_for(|| has_ten_percent(&world)), "no canary: {}", world.engine_log("2"));
    world
}

fn has_ten_percent(world: &World) -> bool {
    world.local_status().environments.iter().any(|environment| (environment.weight.fraction() - 0.1).abs() < 1e-9)
}

fn kill(process: &ProcessName) {
    send_signal(process, Signal::Kill).unwrap();
    assert!(wait_for(|| !is_alive(process)), "{process:?} outlives SIGKILL");
}

fn job(world: &World, name: &str) -> JobState {
    let name: JobName = name.parse().unwrap();
    world.run("2").0.job(&name).unwrap().clone()
}

fn keeper(world: &World) -> ProcessName {
    job(world, "canary").attempts.last().unwrap().keeper.clone().unwrap()
}

fn still_ten_percent(world: &World) {
    let share = world.share("2").unwrap();
    assert!((share - 0.1).abs() < WITHIN, "users get {share}");
    assert!((world.standing()["weight"]["applied"].as_f64().unwrap() - 0.1).abs() < 1e-9);
}

/// Goes on to the end, where each script ran as often as it should have.
fn to_the_end(world: &mut World) {
    world.hms(&["run", "--resume", "2", "--headless"]).code(10);
    world.hms(&["approve", "2", "prod", "--wait"]).code(0);
    assert_eq!(world.share("2"), Some(1.0));
    for name in ["build", "canary", "prod"] {
        assert_eq!(world.count(name, "2"), 1, "{name}");
    }
    assert_eq!(world.open_intents(), Vec::<String>::new());
    world.ledger_verifies();
    world.nobody_noticed();
}

#[test]
fn the_engine_is_killed_and_the_next_one_gives_the_waiting_job_its_verdict() {
    let mut world = canary_waits();
    let keeper = keeper(&world);
    kill(&world.engine("2").process);
    // The kernel gives its lock back when it has taken it apart.
    world.until_dead("2");
    let status = world.status("2");
    assert_eq!((&status["engine"], &status["rollouts"][0]["watched"]), (&"dead".into(), &false.into()), "{status}");
    still_ten_percent(&world);
    assert!(is_alive(&keeper), "the job died with its engine");
    to_the_end(&mut world);
    assert_eq!(job(&world, "canary").attempts.len(), 1);
    let log = world.hms(&["logs", "canary", "--run", "2"]).code(0);
    assert!(log.out.contains("waiting for the next one"), "{}", log.out);
}

#[test]
fn the_engine_is_killed_while_it_cancels_and_the_next_one_ends_the_run() {
    let mut world = World::new(Shape::Whole);
    world.release("1", "1", Shape::Whole);
    world.commit("2");
    world.hms(&["run", "--headless", "--no-linger"]).code(10);
    // Each engine that the client starts dies between the cancel in the journal and its effect.
    world.hms_dying_at(Some("intent-written"), &["cancel", "2"]).code(3);
    world.until_dead("2");
    still_ten_percent(&world);
    world.hms(&["run", "--resume", "2", "--headless"]).code(130);
    assert_eq!(world.share("2"), Some(0.0));
    assert_eq!(world.open_intents(), Vec::<String>::new());
    world.ledger_verifies();
    world.nobody_noticed();
}

#[test]
fn the_keeper_is_killed_and_only_a_person_runs_the_job_again() {
    for decision in [None, Some("fail"), Some("rerun")] {
        let mut world = canary_waits();
        kill(&keeper(&world));
        assert!(wait_for(|| job(&world, "canary").attempts[0].result == Some(AttemptResult::Interrupted)), "{}", world.engine_log("2"));
        let found = job(&world, "canary");
        assert_eq!(found.attempts.len(), 1, "it ran again by itself");
        assert_ne!(found.status, JobStatus::Success);
        still_ten_percent(&world);
        let status = world.status("2");
        assert_eq!(status["rollouts"][0]["weight"]["applied"], 0.1, "{status}");
        match decision {
            None => {
                assert_eq!(status["waiting"][0]["kind"], "interrupted", "{status}");
                world.hms(&["retry", "2", "canary", "--wait"]).code(10);
            }
            Some(decision) => {
                kill(&world.engine("2").process);
                let code = if decision == "fail" { 1 } else { 10 };
                world.hms(&["run", "--resume", "2", "--headless", "--resume-interrupted", decision]).code(code);
            }
        }
        if decision == Some("fail") {
            assert_eq!(job(&world, "canary").status, JobStatus::Failed);
            assert_eq!(world.count("canary", "2"), 1);
            world.hms(&["rollback", "--env", "canary"]).code(0);
            assert_eq!(world.share("2"), Some(0.0));
        } else {
            assert_eq!(world.count("canary", "2"), 2);
            world.hms(&["approve", "2", "prod", "--wait"]).code(0);
            assert_eq!(world.share("2"), Some(1.0));
        }
        world.ledger_verifies();
        world.nobody_noticed();
    }
}

#[test]
fn the_client_is_killed_and_the_rollout_goes_on() {
    let mut world = canary_waits();
    let client = descendants(keeper(&world).pid)
        .into_iter()
        .find(|pid| std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(b"hms-deploy\0")))
        .and_then(name_of)
        .expect("the job's client");
    kill(&client);
    assert!(wait_for(|| job(&world, "canary").status == JobStatus::Failed), "a killed client is a failure");
    still_ten_percent(&world);
    let status = world.status("2");
    assert_eq!((&status["engine"], &status["rollouts"][0]["watched"]), (&"alive".into(), &true.into()), "{status}");
    // With the same evidence, and on to the end.
    world.hms(&["retry", "2", "canary", "--wait"]).code(10);
    world.hms(&["approve", "2", "prod", "--wait"]).code(0);
    assert_eq!(world.share("2"), Some(1.0));
    assert_eq!(world.run("2").0.rollouts.len(), 1, "the retry began another rollout");
    world.ledger_verifies();
    world.nobody_noticed();
}

#[test]
fn the_supervisor_is_killed_and_the_next_one_adopts_what_runs() {
    let world = canary_waits();
    let before = world.local_status();
    let running = |status: &hms::deploy::local::LocalStatus| {
        let mut all: Vec<ProcessName> = status.environments[0].arms.iter().filter_map(|arm| arm.process.clone()).collect();
        all.sort_by_key(|process| process.pid);
        all
    };
    kill(&before.supervisor.clone().unwrap());
    // Any hms that looks starts it again.
    let standing = world.standing();
    assert!((standing["weight"]["applied"].as_f64().unwrap() - 0.1).abs() < 1e-9, "{standing}");
    still_ten_percent(&world);
    let after = world.local_status();
    assert_eq!(running(&after), running(&before), "what ran was not adopted");
    assert_ne!(after.supervisor, before.supervisor);
    world.hms(&["run", "--resume", "2", "--headless"]).code(10);
    world.hms(&["approve", "2", "prod", "--wait"]).code(0);
    assert_eq!(world.share("2"), Some(1.0));
    world.ledger_verifies();
}

#[test]
fn the_view_is_killed_and_the_run_goes_on() {
    let mut world = World::new(Shape::Patient);
    world.release("1", "1", Shape::Patient);
    world.commit("2");
    let mut command: Command = world.command(HMS, &["run", "--headless"]);
    let mut view = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let there = wait_for(|| has_ten_percent(&world));
    view.kill().unwrap();
    view.wait().unwrap();
    assert!(there, "no canary");
    assert!(is_alive(&world.engine("2").process), "the engine died with its view");
    to_the_end(&mut world);
}

/// All processes below one.
fn descendants(pid: u32) -> Vec<u32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children: Vec<u32> = children.split_whitespace().filter_map(|child| child.parse().ok()).collect();
    children.iter().flat_map(|child| std::iter::once(*child).chain(descendants(*child))).collect()
}
