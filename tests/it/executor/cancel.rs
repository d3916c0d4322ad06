//! Cancel and death: nothing of an attempt survives, whatever it did to get away.

use std::path::Path;
use std::process::Command;

use hms::event::{AttemptResult, ProcessName};
use hms::executor::{KeeperState, at_work_below, sweep};
use hms::store::{self, Signal};

use super::{Bench, wait_for};

/// A script whose processes try to get away; each writes its pid into `pids` and then sleeps.
const ESCAPES: [&str; 6] = [
    "escape() { \"$@\" sh -c 'echo $$ >> pids; exec sleep 300' & }",
    "escape; escape setsid; escape nohup; escape setsid nohup; escape env -i PATH=\"$PATH\" setsid",
    "(setsid sh -c '(sh -c \"echo \\$\\$ >> pids; exec sleep 301\" &) &' &)",
    "(env -i PATH=\"$PATH\" setsid sh -c \"trap '' TERM HUP INT; (echo \\$\\$ >> pids; sleep 302; sleep 303) & exit 0\" &)",
    "echo ready",
    "sleep 304",
];

/// The processes that wrote their pids, once all have.
fn escaped(bench: &Bench) -> Vec<ProcessName> {
    let pids = || std::fs::read_to_string(bench.checkout("pids")).unwrap_or_default();
    wait_for("seven pids", || pids().lines().count() == 7);
    let sleeps = |folder: &Path| bench.spec.checkout == folder;
    let mut found: Vec<ProcessName> = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if std::fs::read_link(entry.path().join("cwd")).is_ok_and(|folder| sleeps(&folder)) {
            found.extend(store::name_of(pid));
        }
    }
    assert!(found.len() >= 8, "{found:?}");
    found
}

#[track_caller]
fn all_gone(names: &[ProcessName]) {
    let alive: Vec<_> = names.iter().filter(|name| store::is_alive(name)).collect();
    assert!(alive.is_empty(), "still alive: {alive:?}");
}

#[test]
fn a_cancel_leaves_no_process() {
    let bench = Bench::new(&ESCAPES).with(|spec| {
        spec.cancel_grace_ms = 300;
        spec.after_script = vec!["echo after $CI_JOB_STATUS".to_owned()];
    });
    let running = bench.start();
    running.shows("\nready\n");
    let names = escaped(&bench);
    running.cancel();
    let ended = running.end();
    assert_eq!((ended.record.result, ended.record.failure_reason), (AttemptResult::Canceled, None), "{:?}", ended.record);
    all_gone(&names);
    assert!(ended.output().contains("after canceled\n"), "{}", ended.log);
    assert_eq!(ended.record.message.as_deref(), Some("canceled in line 6 of 6, `sleep 304`"));
}

#[test]
fn the_end_of_the_script_leaves_no_process() {
    let mut script = ESCAPES;
    script[5] = "while [ \"$(cat pids | wc -l)\" -lt 7 ]; do sleep 0.01; done; while ! [ -e go ]; do sleep 0.01; done";
    let bench = Bench::new(&script);
    let running = bench.start();
    running.shows("\nready\n");
    let names = escaped(&bench);
    std::fs::write(bench.checkout("go"), "").unwrap();
    running.end().succeeded();
    all_gone(&names);
}

#[test]
fn a_job_may_tidy_up_when_it_is_cancelled_and_is_still_cancelled() {
    let bench = Bench::new(&["trap 'echo tidied; exit 0' TERM", "echo ready; sleep 300 & wait"]);
    let running = bench.start();
    running.shows("\nready\n").cancel();
    let ended = running.end();
    assert_eq!(ended.record.result, AttemptResult::Canceled);
    assert_eq!(ended.output().matches("tidied\n").count(), 1, "{}", ended.log);
}

#[test]
fn a_second_cancel_kills_at_once_and_leaves_out_the_after_script() {
    let script = ["trap 'echo asked' TERM", "echo ready", "while true; do sleep 0.05 || true; done"];
    let bench = Bench::new(&script).with(|spec| {
        spec.cancel_grace_ms = 600_000;
        spec.after_script = vec!["echo never".to_owned()];
    });
    let running = bench.start();
    running.shows("\nready\n").cancel().shows("\nasked\n").cancel();
    let ended = running.end();
    assert_eq!((ended.record.result, ended.record.signal), (AttemptResult::Canceled, Some(9)), "{:?}", ended.record);
    assert!(!ended.output().contains("never"), "{}", ended.log);
}

#[test]
fn a_cancel_during_the_after_script_cancels() {
    let bench = Bench::new(&["true"]).with(|spec| spec.after_script = vec!["echo ready; sleep 300".to_owned()]);
    let running = bench.start();
    running.shows("\nready\n").cancel();
    assert_eq!(running.end().record.result, AttemptResult::Canceled);
}

#[test]
fn what_a_killed_keeper_left_is_found_and_ended() {
    // The test stands in for the engine, which is a subreaper: what the keeper leaves is handed to it.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
    let bench = Bench::new(&ESCAPES);
    let mut running = bench.start();
    running.shows("\nready\n");
    let names = escaped(&bench);
    store::send_signal(&running.started.process, Signal::Kill).unwrap();
    running.started.child.wait().unwrap();
    assert_eq!(bench.state(), KeeperState::Gone);

    let stranger = Command::new("sleep").arg("305").spawn().unwrap();
    let stranger_name = store::name_of(stranger.id()).unwrap();
    // Without a mark and with parents that are gone: known to the engine as children that nobody explains.
    let strays: Vec<ProcessName> = hms::executor::children_of_this_process().into_iter().filter(|name| names.contains(name)).collect();
    assert_eq!(sweep(&bench.spec.attempt, &strays), []);
    all_gone(&names);
    assert!(store::is_alive(&stranger_name), "a process that is none of the attempt's was ended");
    store::send_signal(&stranger_name, Signal::Kill).unwrap();
    { stranger }.wait().unwrap();
    assert_eq!(sweep(&bench.spec.attempt, &[]), []);
}

#[test]
fn what_shed_its_mark_is_known_by_where_it_works() {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
    let bench = Bench::new(&["(cd /; exec setsid env -i sleep 311 3>$OLDPWD/open) &", "exec setsid env -i sleep 312"]);
    let looks = Command::new("sleep").arg("313").current_dir(bench.checkout("")).spawn().unwrap();
    let looks_name = store::name_of(looks.id()).unwrap();
    // Ticks are hundredths of a second: the keeper is to be younger than who looks.
    wait_for("the next tick", || {
        let mut now = Command::new("sleep").arg("314").spawn().unwrap();
        let later = store::name_of(now.id()).is_some_and(|name| name.start_ticks > looks_name.start_ticks);
        now.kill().unwrap();
        now.wait().unwrap();
        later
    });
    let mut running = bench.start();
    let found = |count: usize| {
        let found = at_work_below(&[bench.checkout("")], &running.started.process);
        let sleeps: Vec<ProcessName> = found.into_iter().filter(|name| command_line(name.pid).starts_with("sleep\0")).collect();
        (sleeps.len() == count).then_some(sleeps)
    };
    wait_for("both", || found(2).is_some());
    let names = found(2).unwrap();
    assert!(!names.contains(&looks_name));
    store::send_signal(&running.started.process, Signal::Kill).unwrap();
    running.started.child.wait().unwrap();
    assert_eq!(sweep(&bench.spec.attempt, &names), []);
    all_gone(&names);
    assert!(store::is_alive(&looks_name), "whoever was there before is no job");
    store::send_signal(&looks_name, Signal::Kill).unwrap();
    { looks }.wait().unwrap();
}

fn command_line(pid: u32) -> String {
    String::from_utf8_lossy(&std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default()).into_owned()
}

#[test]
fn a_job_that_kills_its_keeper_has_no_success() {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
    let bench = Bench::new(&["kill -9 $PPID; touch on; sleep 306"]);
    let mut running = bench.start();
    running.started.child.wait().unwrap();
    wait_for("the job goes on", || bench.checkout("on").exists());
    assert_eq!(bench.state(), KeeperState::Gone);
    let names = bench.marked();
    assert!(!names.is_empty());
    assert_eq!(sweep(&bench.spec.attempt, &[]), []);
    all_gone(&names);
}

#[test]
fn a_cancel_at_the_very_beginning_is_heard() {
    for _ in 0..10 {
        let bench = Bench::new(&["sleep 307"]);
        let running = bench.start();
        running.cancel();
        assert_eq!(running.end().record.result, AttemptResult::Canceled);
    }
}

#[test]
fn a_cancel_while_leftovers_are_ended_is_no_success() {
    let stubborn = "(trap 'echo asked' TERM; touch armed; while true; do sleep 0.02 || true; done) &";
    let bench = Bench::new(&[stubborn, "while ! [ -e armed ]; do sleep 0.01; done"]);
    let running = bench.start();
    running.shows("\nasked\n").cancel();
    let ended = running.end();
    assert_eq!((ended.record.result, ended.record.exit_code), (AttemptResult::Canceled, Some(0)), "{:?}", ended.record);
}
