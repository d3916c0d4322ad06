//! Coming and going: the first frame, quitting, being told to end, losing the terminal. The run goes on each time.

use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Pid, Signal, kill_process};

use super::{LONG, PATIENCE, SHORT, World};

#[test]
fn the_first_frame_waits_for_no_repository_and_q_leaves_it() {
    let world = World::new(SHORT);
    // Whoever reads a pipe without a writer waits: a repository on a file system that hangs.
    let config = world.path("repo/.git/config");
    std::fs::remove_file(&config).unwrap();
    mknodat(CWD, &config, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let mut terminal = world.console(&[]);
    terminal.wait_for("looking …");
    let first = terminal.first_byte.unwrap();
    assert!(first < Duration::from_secs(5), "{first:?}");
    terminal.keys("q");
    assert_eq!(terminal.end().code(), Some(0));
    assert!(terminal.is_as_it_was());
}

#[test]
fn q_gives_the_terminal_back_and_the_run_goes_on() {
    let world = World::new(LONG);
    assert!(world.hms(&["run", "--detach"]).status.success());
    let mut terminal = world.console(&[]);
    terminal.wait_for("begun");
    assert!(!terminal.is_as_it_was());
    terminal.keys("q");
    assert_eq!(terminal.end().code(), Some(0));
    assert!(terminal.is_as_it_was(), "{:?}", terminal.screen.modes);
    assert_eq!(world.runs()[0]["outcome"], "running");
    std::fs::write(world.path("go"), "").unwrap();
    world.wait_for_outcome("success");
}

#[test]
fn a_signal_ends_it_with_the_terminal_given_back() {
    let world = World::new(SHORT);
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let mut terminal = world.console(&[]);
        terminal.wait_for("no run yet");
        kill_process(Pid::from_raw(terminal.pid().cast_signed()).unwrap(), signal).unwrap();
        assert_eq!(terminal.end().code(), Some(code));
        assert!(terminal.is_as_it_was(), "{:?}", terminal.screen.modes);
    }
}

#[test]
fn a_lost_terminal_ends_the_console_and_not_the_run_and_attaching_shows_it_all() {
    let world = World::new(LONG);
    assert!(world.hms(&["run", "--detach"]).status.success());
    let mut terminal = world.console(&[]);
    terminal.wait_for("begun");
    let (pid, lost) = (terminal.pid(), Instant::now());
    terminal.close();
    let status = terminal.end();
    assert!(lost.elapsed() < Duration::from_secs(2), "{:?} {status:?}", lost.elapsed());
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    assert_eq!(world.runs()[0]["outcome"], "running");
    std::fs::write(world.path("go"), "").unwrap();
    let mut again = world.console(&["attach", "1"]);
    again.wait("the whole log", |screen| screen.contains("begun") && screen.contains("finished") && screen.contains("SUCCESS"));
}

#[test]
fn an_engine_that_is_killed_is_seen_and_r_goes_on_with_the_run() {
    let world = World::new(LONG);
    assert!(world.hms(&["run", "--detach"]).status.success());
    let mut terminal = world.console(&[]);
    terminal.wait_for("begun");
    kill_process(engine_of(&world), Signal::KILL).unwrap();
    terminal.wait_for("ENGINE DIED");
    terminal.keys("r");
    terminal.wait("an engine", |screen| !screen.contains("ENGINE DIED"));
    std::fs::write(world.path("go"), "").unwrap();
    terminal.wait("the end", |screen| screen.contains("SUCCESS") && screen.contains("finished"));
}

/// The engine of this world's run.
fn engine_of(world: &World) -> Pid {
    let runs = world.path("repo/.git/hms/runs").into_os_string().into_string().unwrap();
    let is_engine = |pid: &i32| {
        let told = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let arguments: Vec<_> = told.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
        arguments.get(1).is_some_and(|verb| verb == "engine") && arguments.get(2).is_some_and(|folder| folder.starts_with(&runs))
    };
    let processes = std::fs::read_dir("/proc").unwrap();
    let mut numbers = processes.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse::<i32>().ok());
    Pid::from_raw(numbers.find(is_engine).unwrap()).unwrap()
}

#[test]
fn a_screen_on_which_nothing_ages_costs_nothing() {
    let world = World::new(SHORT);
    assert!(world.hms(&["run", "--headless"]).status.success());
    let mut terminal = world.console(&[]);
    terminal.wait_for("SUCCESS");
    // What the end of the run still causes may come; then silence begins.
    let begun = Instant::now();
    let mut before = switches(terminal.pid());
    let (bytes, woken) = loop {
        let watched = Instant::now();
        let mut bytes = 0;
        while watched.elapsed() < Duration::from_secs(3) {
            bytes += terminal.read(Duration::from_secs(3).saturating_sub(watched.elapsed()));
        }
        let after = switches(terminal.pid());
        if (bytes, after) == (0, before) || begun.elapsed() > PATIENCE {
            break (bytes, after - before);
        }
        before = after;
    };
    assert_eq!((bytes, woken), (0, 0));
}

/// How often the threads of a process were put to sleep and woken.
fn switches(pid: u32) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let status = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("status")).unwrap());
    let count = |status: String| {
        let counts = status.lines().filter_map(|line| line.split_once("ctxt_switches:")?.1.trim().parse::<u64>().ok());
        counts.sum::<u64>()
    };
    status.map(count).sum()
}
