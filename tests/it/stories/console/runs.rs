//! Runs that a console starts, and runs that it shows again.

use super::{PATIENCE, SHORT, World};
use std::time::Instant;

#[test]
fn s_starts_a_run_and_shows_it() {
    let world = World::new(SHORT);
    let mut terminal = world.console(&[]);
    terminal.wait_for("no run yet");
    terminal.keys("s");
    terminal.wait("the run", |screen| screen.contains("SUCCESS") && screen.contains("built"));
    assert_eq!(world.runs().len(), 1);
}

#[test]
fn why_a_run_cannot_be_started_is_on_the_screen() {
    let world = World::new("build:\n  script: echo built\n  needs: [nobody]\n");
    let mut terminal = world.console(&[]);
    terminal.wait_for("no run yet");
    terminal.keys("s");
    terminal.wait_for("start a run refused");
    assert!(world.runs().is_empty());
}

#[test]
fn a_commit_starts_one_run_though_two_consoles_watch() {
    let watched = format!("{SHORT}.hms:\n  watch: {{ branches: [main], on: commit }}\n");
    let world = World::new(&watched);
    let (mut one, mut other) = (world.console(&[]), world.console(&[]));
    for terminal in [&mut one, &mut other] {
        terminal.wait_for("a commit on main starts one");
    }
    world.commit(&watched, "second");
    for terminal in [&mut one, &mut other] {
        terminal.wait("the run", |screen| screen.contains("#1 ") && screen.contains("second") && screen.contains("SUCCESS"));
    }
    world.commit(&watched, "third");
    for terminal in [&mut one, &mut other] {
        terminal.wait("the next run", |screen| screen.contains("#2 ") && screen.contains("third") && screen.contains("SUCCESS"));
    }
    assert_eq!(world.runs().len(), 2);
}

#[test]
fn a_watched_commit_that_can_have_no_run_says_why() {
    let settings = ".hms:\n  watch: { branches: [main], on: commit }\n";
    let world = World::new(&format!("{SHORT}{settings}"));
    let mut terminal = world.console(&[]);
    terminal.wait_for("no run yet");
    world.commit(&format!("build:\n  script: [\n{settings}"), "broken");
    terminal.wait("why there is none", |screen| screen.contains("TROUBLE") && screen.contains("no run"));
    world.commit(&format!("{SHORT}{settings}"), "mended");
    terminal.wait("the run", |screen| screen.contains("SUCCESS") && !screen.contains("TROUBLE"));
}

#[test]
fn a_replay_shows_a_run_again_and_changes_nothing() {
    let world = World::new(SHORT);
    assert!(world.hms(&["run", "--headless"]).status.success());
    let mut terminal = world.console(&["replay", "1"]);
    terminal.wait("the end", |screen| screen.contains("REPLAY") && screen.contains("SUCCESS") && screen.contains("built"));
    terminal.keys("s");
    terminal.wait_for("this is a replay");
    assert_eq!(world.runs().len(), 1);
}

#[test]
fn a_console_begun_before_its_log_shows_the_log() {
    let world = World::new(SHORT);
    let begun = Instant::now();
    let mut terminal = world.console(&["run"]);
    terminal.wait("the log", |screen| screen.contains("build · log") && screen.contains("built"));
    assert!(begun.elapsed() < PATIENCE);
}
