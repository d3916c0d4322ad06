//! Runs whose processes are killed, cancelled, or watched for what they leave behind.

use std::fmt::Write as _;
use std::path::Path;

use hms::event::ProcessName;
use hms::store::{Signal, is_alive, name_of, send_signal};

use super::{Said, World, kill, wait_for};

/// A job that says so when it starts, waits for a file, and says so when it ends.
fn patient(world: &World, more: &str) -> String {
    let (said, go) = (world.path("said"), world.path("go"));
    format!(
        "job:\n  script:\n    - echo started >> {said}\n    - while [ ! -e {go} ]; do sleep 0.02; done\n    - echo ended >> {said}\n{more}",
        said = said.display(),
        go = go.display(),
    )
}

fn go(world: &World) {
    std::fs::write(world.path("go"), "").unwrap();
}

fn wait_said(world: &World, text: &str) {
    wait_for("the job's word", || (world.read("said") == text).then_some(()));
}

/// The keepers that the run's journal names, oldest first.
fn keepers(world: &World, number: u64) -> Vec<ProcessName> {
    let journal = std::fs::read_to_string(world.run_folder(number).join("journal")).unwrap();
    let events = journal.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    events.filter(|event| event["type"] == "AttemptStarted").map(|event| serde_json::from_value(event["keeper"].clone()).unwrap()).collect()
}

fn keeper(world: &World, number: u64, attempt: usize) -> ProcessName {
    wait_for("a keeper", || keepers(world, number).into_iter().nth(attempt))
}

/// The process whose pid a job wrote down.
fn written_down(world: &World, file: &str) -> ProcessName {
    wait_for("a pid", || name_of(world.read(file).trim().parse().ok()?))
}

fn wait_gone(process: &ProcessName) {
    wait_for("a process's end", || (!is_alive(process)).then_some(()));
}

#[test]
fn jobs_outlive_their_engine_and_the_next_one_runs_nothing_twice() {
    let world = World::new("x:\n  script: 'true'\n");
    world.commit(
        &patient(&world, "after:\n  stage: deploy\n  script: echo after >> AFTER\n").replace("AFTER", world.path("said").to_str().unwrap()),
        "two",
    );
    assert_eq!(world.hms(&["run", "--detach"]).code, Some(0));
    wait_said(&world, "started\n");
    let keeper = keeper(&world, 1, 0);
    let engine = World::holder(&world.run_folder(1).join("lock")).unwrap();
    kill(&engine);
    assert_eq!(world.status("1")["engine"], "dead");
    assert!(is_alive(&keeper), "the job goes on under its keeper");
    let resumed = world.start(&["run", "--resume", "1", "--headless"]);
    let next = wait_for("the next engine", || World::holder(&world.run_folder(1).join("lock")));
    assert_ne!(next, engine);
    go(&world);
    let said = Said::of(&resumed.wait_with_output().unwrap());
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(world.read("said"), "started\nended\nafter\n");
    assert_eq!(world.job("1", "job")["attempts"].as_array().unwrap().len(), 1);
}

#[test]
fn what_a_job_did_while_no_engine_lived_is_found_by_the_next() {
    let world = World::new("x:\n  script: 'true'\n");
    world.commit(&patient(&world, ""), "two");
    assert_eq!(world.hms(&["run", "--detach"]).code, Some(0));
    wait_said(&world, "started\n");
    let keeper = keeper(&world, 1, 0);
    kill(&World::holder(&world.run_folder(1).join("lock")).unwrap());
    go(&world);
    wait_gone(&keeper);
    let said = world.hms(&["run", "--resume", "1", "--headless"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(world.read("said"), "started\nended\n");
}

#[test]
fn a_killed_keeper_means_interrupted_and_an_ordinary_job_runs_again() {
    let world = World::new("x:\n  script: 'true'\n");
    let pid = world.path("pid");
    let leaves = format!("  before_script:\n    - '[ -e {pid} ] || {{ setsid sleep 1000 & echo $! > {pid}; }}'\n", pid = pid.display());
    // Another job runs beside it and is not touched.
    let beside = format!(
        "beside:\n  script: echo $$ > {0}.beside; while [ ! -e {1} ]; do sleep 0.02; done\n",
        pid.display(),
        world.path("go").display()
    );
    world.commit(&patient(&world, &(leaves + &beside)), "two");
    let run = world.start(&["run", "--headless"]);
    wait_said(&world, "started\n");
    let left = written_down(&world, "pid");
    let neighbour = written_down(&world, "pid.beside");
    let slug = wait_for("the first keeper", || World::holder(&world.run_folder(1).join("jobs/job/1/keeper.json")));
    kill(&slug);
    wait_gone(&left);
    wait_said(&world, "started\nstarted\n");
    assert!(is_alive(&neighbour), "another job's processes are its own");
    go(&world);
    let said = Said::of(&run.wait_with_output().unwrap());
    assert_eq!(said.code, Some(0), "{said:?}");
    let attempts = world.job("1", "job")["attempts"].as_array().unwrap().clone();
    assert_eq!(attempts.len(), 2, "{attempts:?}");
    assert_eq!(world.job("1", "beside")["attempts"].as_array().unwrap().len(), 1);
    assert_eq!(world.read("said"), "started\nstarted\nended\n");
}

#[test]
fn a_killed_keeper_of_a_manual_job_waits_for_a_person() {
    let world = World::new("x:\n  script: 'true'\n");
    world.commit(&patient(&world, "  when: manual\n  allow_failure: false\n"), "two");
    let said = world.hms(&["run", "--headless"]);
    assert_eq!(said.code, Some(10), "{said:?}");
    assert!(said.out.contains("hms approve 1 job"), "{said:?}");
    assert_eq!(world.hms(&["approve", "1", "job"]).code, Some(0));
    wait_said(&world, "started\n");
    kill(&keeper(&world, 1, 0));
    wait_for("the interruption", || (world.status("1")["outcome"] == "interrupted").then_some(()));
    wait_for("the engine to rest", || World::holder(&world.run_folder(1).join("lock")).is_none().then_some(()));
    // Without a word nothing runs again.
    assert_eq!(world.hms(&["run", "--resume", "1", "--headless"]).code, Some(1));
    assert_eq!(world.read("said"), "started\n");
    go(&world);
    let said = world.hms(&["run", "--resume", "1", "--headless", "--resume-interrupted=rerun"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(world.read("said"), "started\nstarted\nended\n");
}

#[test]
fn a_signal_cancels_the_run_and_leaves_no_process() {
    let world = World::new("x:\n  script: 'true'\n");
    let pid = world.path("pid");
    let leaves =
        format!("  before_script:\n    - setsid sh -c 'trap \"\" TERM; while :; do sleep 1; done' & echo $! > {}\n", pid.display());
    world.commit(&patient(&world, &leaves), "two");
    for (number, (signal, code)) in [("-TERM", 143), ("-INT", 130)].into_iter().enumerate() {
        let _ = std::fs::remove_file(world.path("said"));
        let _ = std::fs::remove_file(&pid);
        let run = world.start(&["run", "--headless"]);
        wait_said(&world, "started\n");
        let left = written_down(&world, "pid");
        let number = u64::try_from(number).unwrap() + 1;
        let keeper = keeper(&world, number, 0);
        let sent = std::process::Command::new("kill").args([signal, &run.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let said = Said::of(&run.wait_with_output().unwrap());
        assert_eq!(said.code, Some(code), "{said:?}");
        assert!(!is_alive(&left) && !is_alive(&keeper), "{said:?}");
        assert_eq!(world.status(&number.to_string())["outcome"], "canceled");
        assert_eq!(world.read("said"), "started\n");
    }
    // A run that was cancelled can be taken up again.
    go(&world);
    let said = world.hms(&["retry", "2", "job", "--wait"]);
    assert_eq!(said.code, Some(0), "{said:?}");
}

#[test]
fn a_cancel_that_the_engine_did_not_live_to_carry_out_is_carried_out_by_the_next() {
    let world = World::new("x:\n  script: 'true'\n");
    world.commit(&patient(&world, ""), "two");
    assert_eq!(world.hms(&["run", "--detach"]).code, Some(0));
    wait_said(&world, "started\n");
    let keeper = keeper(&world, 1, 0);
    kill(&World::holder(&world.run_folder(1).join("lock")).unwrap());
    let said = world.hms(&["cancel", "1", "--wait"]);
    assert_eq!(said.code, Some(130), "{said:?}");
    assert!(!is_alive(&keeper));
    assert_eq!(world.hms(&["cancel", "1"]).out, "the run is over already; nothing is changed\n");
}

#[test]
fn commands_to_a_run_that_is_over_are_answered_once() {
    let world = World::new("job:\n  script: exit 3\n");
    assert_eq!(world.hms(&["run", "--headless"]).code, Some(1));
    let said = world.hms(&["retry", "1", "job", "--wait"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert_eq!(world.job("1", "job")["attempts"].as_array().unwrap().len(), 2);
    let said = world.hms(&["approve", "1", "job"]);
    assert_eq!(said.code, Some(13), "{said:?}");
    let said = world.hms(&["ledger", "log", "--output", "json"]);
    assert_eq!(said.out.lines().filter(|line| line.contains("\"type\":\"refuse\"")).count(), 1, "{said:?}");
    wait_for("the engine's end", || (world.status("1")["engine"] == "ended").then_some(()));
    assert_eq!(world.status("1")["outcome"], "failed");
}

/// Every file below a folder, with its bytes and when it was changed.
fn picture(folder: &Path) -> Vec<(std::path::PathBuf, Vec<u8>, std::time::SystemTime)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.ends_with(".git/hms") {
            continue;
        }
        if path.is_dir() {
            all.extend(picture(&path));
        } else {
            let changed = path.symlink_metadata().unwrap().modified().unwrap();
            all.push((path.clone(), std::fs::read(&path).unwrap(), changed));
        }
    }
    all.sort();
    all
}

#[test]
fn uncommitted_changes_are_not_built_and_the_working_tree_is_not_touched() {
    let world = World::new("x:\n  script: 'true'\n");
    std::fs::write(world.path("repo/data"), "committed").unwrap();
    let out = world.path("out");
    world.commit(
        &format!(
            "job:\n  script: cat data > {0}; ls >> {0}; echo more > data; touch made; git status --short >> {0} || true\n",
            out.display()
        ),
        "two",
    );
    std::fs::write(world.path("repo/data"), "changed").unwrap();
    std::fs::write(world.path("repo/untracked"), "").unwrap();
    std::fs::write(world.path("repo/staged"), "").unwrap();
    world.git(&["add", "staged"]);
    let before = picture(&world.path("repo"));
    let said = world.hms(&["run", "--headless"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!((said.out + &said.err).contains("uncommitted changes are not in this run"));
    let built = world.read("out");
    assert!(built.starts_with("committed") && !built.contains("untracked") && !built.contains("staged"), "{built}");
    assert!(before == picture(&world.path("repo")), "files, index and times are as they were");
}

/// The files below a folder that hold some text.
fn holding(folder: &Path, text: &str) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_symlink() {
        } else if path.is_dir() {
            found.extend(holding(&path, text));
        } else if std::fs::read(&path).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(text)) {
            found.push(path);
        }
    }
    found
}

#[test]
fn a_masked_value_is_in_no_file() {
    let world = World::new("x:\n  script: 'true'\n");
    let says =
        "  before_script:\n    - echo plain-word $TOKEN; printf 'x%sy' \"$TOKEN\" >&2; env | grep TOKEN; set -x; test -n \"$TOKEN\"\n";
    world.commit(&patient(&world, says), "two");
    let secret = "s3cr3t-value-of-the-test";
    let file = world.path("variables");
    std::fs::write(&file, format!("TOKEN={secret}\n")).unwrap();
    let given = ["run", "--headless", "--variable-file", file.to_str().unwrap()];
    let said = world.hms(&given);
    assert_eq!(said.code, Some(2), "others may read it: {said:?}");
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let run = world.start(&given);
    wait_said(&world, "started\n");
    let places = [world.path("repo"), world.path("home"), world.path("runtime")];
    let none: Vec<std::path::PathBuf> = Vec::new();
    for place in &places {
        assert_eq!(holding(place, secret), none, "while it runs");
    }
    go(&world);
    let said = Said::of(&run.wait_with_output().unwrap());
    assert_eq!(said.code, Some(0), "{said:?}");
    for place in &places {
        assert_eq!(holding(place, secret), none, "after it ran");
    }
    let log = world.hms(&["logs", "job"]);
    assert!(log.out.contains("plain-word") && log.out.contains("[MASKED]") && !log.out.contains(secret), "{log:?}");
    assert!(!holding(&world.path("repo/.git/hms"), "plain-word").is_empty(), "what is not masked is kept");
}

#[test]
fn odd_names_and_many_jobs_at_once() {
    let mut pipeline = "a b/ü:\n  script: echo odd-name\n'a/..':\n  script: echo dots\n".to_owned();
    for number in 0..50 {
        writeln!(pipeline, "many{number}:\n  script: echo {number}").unwrap();
    }
    let world = World::new(&pipeline);
    // Two runs at once.
    let runs = [world.start(&["run", "--headless"]), world.start(&["run", "--headless"])];
    for run in runs {
        let said = Said::of(&run.wait_with_output().unwrap());
        assert_eq!(said.code, Some(0), "{said:?}");
    }
    assert!(world.hms(&["logs", "a b/ü", "--run", "1"]).out.contains("odd-name"));
    assert!(world.hms(&["logs", "a/..", "--run", "2"]).out.contains("dots"));
    let listed = world.hms(&["runs", "--output", "json"]);
    let listed: serde_json::Value = serde_json::from_str(&listed.out).unwrap();
    let numbers: Vec<u64> = listed["runs"].as_array().unwrap().iter().map(|run| run["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [1, 2]);
}

#[test]
fn a_terminated_engine_leaves_its_jobs_to_their_keepers() {
    let world = World::new("x:\n  script: 'true'\n");
    world.commit(&patient(&world, ""), "two");
    assert_eq!(world.hms(&["run", "--detach"]).code, Some(0));
    wait_said(&world, "started\n");
    let keeper = keeper(&world, 1, 0);
    let engine = World::holder(&world.run_folder(1).join("lock")).unwrap();
    send_signal(&engine, Signal::Term).unwrap();
    wait_gone(&engine);
    assert!(is_alive(&keeper));
    go(&world);
    assert_eq!(world.hms(&["run", "--resume", "1", "--headless"]).code, Some(0));
    assert_eq!(world.read("said"), "started\nended\n");
}

#[test]
fn a_killed_keeper_takes_no_user_off_the_air() {
    let world = World::new("x:\n  script: 'true'\n");
    let settings = ".hms:\n  app: shop\n  environments: {dev: {protected: false}}\n  scan: {gate: none}\n  local: {listen: '127.0.0.1:0'}\nstages: [build, put, test]\n";
    let deploys = "build:\n  stage: build\n  script: mkdir dist; echo hi > dist/index.html\n  artifacts: {paths: [dist/]}\nput:\n  stage: put\n  script: hms-deploy --env dev\n";
    world.commit(&format!("{settings}{deploys}{}", patient(&world, "  stage: test\n")), "two");
    let run = world.start(&["run", "--headless"]);
    wait_said(&world, "started\n");
    let lock = world.state().join("local/shop/lock");
    let supervisor = World::holder(&lock).unwrap();
    kill(&World::holder(&world.run_folder(1).join("jobs/job/1/keeper.json")).unwrap());
    wait_said(&world, "started\nstarted\n");
    go(&world);
    let said = Said::of(&run.wait_with_output().unwrap());
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(is_alive(&supervisor), "the engine started it, and no job left it behind");
    kill(&supervisor);
}

#[test]
fn a_wrong_flag_beside_a_command_leaves_the_run_alone() {
    let world = World::new("x:\n  script: 'true'\n");
    world.commit(&patient(&world, ""), "two");
    assert_eq!(world.hms(&["run", "--detach"]).code, Some(0));
    wait_said(&world, "started\n");
    assert_eq!(world.hms(&["cancel", "1", "--wait=soon"]).code, Some(2));
    for (verb, code) in [(&["cancel", "9"][..], 2), (&["retry", "1", "nobody"], 2), (&["run", "--headless", "--ref", "nothing"], 2)] {
        assert_eq!(world.hms(verb).code, Some(code), "{verb:?}");
    }
    go(&world);
    wait_for("the run's end", || (world.status("1")["outcome"] == "success").then_some(()));
}

#[test]
fn a_second_signal_ends_at_once_what_does_not_heed_the_first() {
    let world = World::new("x:\n  script: 'true'\n");
    world.commit(&patient(&world, "  before_script:\n    - trap '' TERM\n"), "two");
    let run = world.start(&["run", "--headless"]);
    wait_said(&world, "started\n");
    let signal = || assert!(std::process::Command::new("kill").args(["-TERM", &run.id().to_string()]).status().unwrap().success());
    let asked = || std::fs::read_to_string(world.run_folder(1).join("journal")).unwrap().matches("CancelRequested").count();
    signal();
    wait_for("the first cancel", || (asked() == 1).then_some(()));
    signal();
    let said = Said::of(&run.wait_with_output().unwrap());
    assert_eq!(said.code, Some(143), "{said:?}");
    assert!(said.err.contains("cancelling it at once") && asked() == 2, "{said:?}");
    assert_eq!(world.status("1")["outcome"], "canceled");
}

/// Jobs that do little but wait need no processor of their own.
#[test]
fn as_many_jobs_run_at_once_as_the_run_says() {
    let world = World::new("x:\n  script: 'true'\n");
    let here = world.path("here").display().to_string();
    std::fs::create_dir(world.path("here")).unwrap();
    // Each waits until all eight are there.
    let wait = format!("touch {here}/$CI_NODE_INDEX; until [ $(ls {here} | wc -l) = 8 ]; do sleep 0.02; done");
    world.commit(&format!("a:\n  parallel: 8\n  timeout: 30 seconds\n  script: '{wait}'\n"), "two");
    let said = world.hms(&["run", "--headless", "--concurrency", "8"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    // One at a time, no two are ever there.
    let alone = "mkdir \"$HOLD\" && sleep 0.05 && rmdir \"$HOLD\"";
    world.commit(&format!("a:\n  parallel: 4\n  script: '{alone}'\n"), "three");
    let hold = format!("HOLD={}", world.path("hold").display());
    let said = world.hms(&["run", "--headless", "--concurrency", "1", "--variable", &hold]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(world.hms(&["run", "--headless", "--concurrency", "0"]).code, Some(2));
}
