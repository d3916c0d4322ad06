//! Ends that are told as they are: what a job does to its own keeper, shell and folders earns it nothing.

use super::{Said, World, kill, wait_for};

#[test]
fn a_job_that_stops_its_own_keeper_has_failed() {
    let world = World::new(
        "stages: [test, deploy]\nt:\n  stage: test\n  script: 'kill -TERM $PPID; sleep 1; exit 1'\nd:\n  stage: deploy\n  script: echo DEPLOYED\n",
    );
    let said = world.hms(&["run", "--headless"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.out.contains("its keeper was told to stop, and nobody cancelled the run"), "{said:?}");
    assert_eq!(world.status("1")["outcome"], "failed");
    assert_eq!(world.job("1", "d")["status"], "skipped");
}

#[test]
fn a_job_that_kills_its_keeper_runs_again_once_and_then_waits_for_a_person() {
    let world = World::new("x:\n  script: 'true'\n");
    let count = world.path("count");
    world.commit(&format!("a:\n  script: 'echo s >> {}; kill -9 $PPID; sleep 1'\n", count.display()), "two");
    let said = world.hms(&["run", "--headless"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.out.contains("INTERRUPTED"), "{said:?}");
    assert_eq!(world.read("count"), "s\ns\n");
    assert_eq!(world.status("1")["outcome"], "interrupted");
    // Each word of a person is one more attempt.
    assert_eq!(world.hms(&["run", "--resume", "1", "--headless", "--resume-interrupted=rerun"]).code, Some(1));
    assert_eq!(world.read("count"), "s\ns\ns\n");
    assert_eq!(world.hms(&["run", "--resume", "1", "--headless", "--resume-interrupted=fail"]).code, Some(1));
    assert_eq!((world.read("count").as_str(), world.status("1")["outcome"].as_str()), ("s\ns\ns\n", Some("failed")));
}

#[test]
fn a_view_says_that_the_engine_is_gone_and_how_to_go_on() {
    let world = World::new("x:\n  script: 'true'\n");
    world.commit(&format!("a:\n  script: while [ ! -e {} ]; do sleep 0.02; done\n", world.path("go").display()), "two");
    let run = world.start(&["run", "--headless"]);
    wait_for("the job", || {
        let folder = world.path("repo/.git/hms/runs");
        let journal = std::fs::read_dir(folder).ok()?.flatten().next()?.path().join("journal");
        std::fs::read_to_string(journal).ok()?.contains("AttemptStarted\"").then_some(())
    });
    kill(&World::holder(&world.run_folder(1).join("lock")).unwrap());
    let way = "the engine of run 1 is gone; jobs go on under their keepers: hms run --resume 1 --headless";
    let said = Said::of(&run.wait_with_output().unwrap());
    assert!(said.code == Some(1) && said.out.contains(way), "{said:?}");
    let said = world.hms(&["attach", "1"]);
    assert!(said.code == Some(1) && said.out.contains(way), "{said:?}");
    let said = world.hms(&["attach", "1", "--output", "json"]);
    assert!(said.code == Some(1) && said.err.contains(way) && said.out.lines().all(|line| line.starts_with('{')), "{said:?}");
    assert!(world.hms(&["status", "1"]).out.contains(way));
    std::fs::write(world.path("go"), "").unwrap();
    assert_eq!(world.hms(&["run", "--resume", "1", "--headless"]).code, Some(0));
    assert!(!world.hms(&["status", "1"]).out.contains("is gone"));
}

/// The end of a failed job's log belongs where its failure is told; what hms itself decided needs none.
#[test]
fn a_failed_job_shows_the_end_of_its_log_and_where_the_rest_is() {
    let lines = "for i in $(seq 30); do echo line $i; done";
    let world = World::new("x:\n  script: 'true'\n");
    let count = world.path("count").display().to_string();
    let script = format!("['echo >> {count}', '{lines}', 'echo at $(wc -l < {count}); exit 3']");
    world.commit(&format!("a:\n  retry: 1\n  script: {script}\n"), "two");
    let said = world.hms(&["run", "--headless"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.starts_with("hms: run 1: hms logs JOB --run 1 --follow\n"), "{said:?}");
    let shown: Vec<&str> = said.err.lines().filter_map(|line| line.strip_prefix("  │ ")).collect();
    assert_eq!(shown.len(), 40, "twenty of each attempt: {said:?}");
    assert!(shown.contains(&"at 1") && shown.contains(&"at 2") && !shown.contains(&"line 5"), "{said:?}");
    for attempt in ["1", "2"] {
        assert!(said.err.contains(&format!("hms: the last 20 lines; all of them: hms logs a --run 1 --attempt {attempt}")), "{said:?}");
    }
    let all = world.hms(&["logs", "a", "--run", "1", "--attempt", "1"]);
    assert!(all.out.contains("line 5\n") && all.out.contains("at 1"), "{all:?}");
}

/// An optional gate is still there when the run is over: who waits for its job is told how that ends.
#[test]
fn a_yes_after_the_end_is_waited_for() {
    let world = World::new("a:\n  stage: build\n  script: 'true'\nopt:\n  when: manual\n  script: 'sleep 0.3; exit 9'\n");
    assert_eq!(world.hms(&["run", "--headless"]).code, Some(0));
    let said = world.hms(&["approve", "1", "opt", "--wait"]);
    assert!(said.code == Some(0) && said.out.contains("▶ OPT    ⚠ exit 9"), "allowed to fail, and it did: {said:?}");
    assert_eq!(world.job("1", "opt")["status"], "failed");
    assert_eq!(world.status("1")["outcome"], "success");
}

/// What a keeper found out and failed nothing by is told where people look, not in the log alone.
#[test]
fn what_a_job_did_not_leave_is_told() {
    let world = World::new("x:\n  script: 'true'\n  artifacts:\n    paths: [dist/]\n");
    let said = world.hms(&["run", "--headless"]);
    assert!(said.code == Some(0) && said.err.contains("artifacts: `dist/` matches nothing"), "{said:?}");
    let status = world.status("1");
    assert_eq!(status["notices"].as_array().map(Vec::len), Some(1), "{status:#}");
}

#[test]
fn a_tag_that_was_named_is_the_runs_tag_whichever_is_the_highest() {
    let world = World::new("a:\n  script: echo \"<$CI_COMMIT_TAG|$CI_COMMIT_REF_NAME|$CI_COMMIT_BRANCH>\"\n");
    for tag in ["v1.0.0", "v2.0.0", "nightly"] {
        world.git(&["tag", tag]);
    }
    for (number, name) in (1..).zip(["v1.0.0", "nightly", "v2.0.0"]) {
        assert_eq!(world.hms(&["run", "--headless", "--ref", name]).code, Some(0));
        let log = world.hms(&["logs", "a", "--run", &number.to_string()]).out;
        assert!(log.contains(&format!("<{name}|{name}|>")), "{log}");
    }
}

#[test]
fn what_a_checkout_leaves_out_is_said_once_a_run() {
    let world = World::new("a:\n  script: ls\nb:\n  script: ls\n");
    std::fs::write(world.path("repo/big.bin"), "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n").unwrap();
    let commit = String::from_utf8(world.git_out(&["rev-parse", "HEAD"])).unwrap();
    world.git(&["add", "-A"]);
    world.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{},vendor", commit.trim())]);
    world.git(&["commit", "-q", "-m", "two"]);
    let said = world.hms(&["run", "--headless"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    for notice in
        ["`vendor` is a submodule: its folder is empty in jobs without `GIT_SUBMODULE_STRATEGY: recursive`", "1 files are Git LFS pointers"]
    {
        assert_eq!(said.err.matches(notice).count(), 1, "{said:?}");
    }
    assert_eq!(world.status("1")["notices"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_job_has_its_submodules_or_says_how_to_get_them() {
    let job =
        |name: &str, strategy: &str| format!("{name}: {{script: cat vendor/file, variables: {{GIT_SUBMODULE_STRATEGY: {strategy}}}}}\n");
    let world = World::new(&(job("a", "normal") + &job("b", "$HOW")));
    let library = world.path("library");
    std::fs::create_dir(&library).unwrap();
    let path = library.to_str().unwrap();
    world.git(&["-C", path, "init", "-q", "-b", "main"]);
    std::fs::write(library.join("file"), "from the library\n").unwrap();
    world.git(&["-C", path, "add", "file"]);
    world.git(&["-C", path, "commit", "-q", "-m", "library"]);
    world.git(&["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", path, "vendor"]);
    world.git(&["commit", "-q", "-m", "two"]);
    let said = world.hms(&["run", "--headless", "--variable", "HOW=all"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(world.hms(&["logs", "a"]).out.contains("from the library"));
    assert!(said.out.contains("`GIT_SUBMODULE_STRATEGY` is `all`; it is none, normal or recursive"), "{said:?}");
    std::fs::remove_dir_all(world.path("repo/.git/modules")).unwrap();
    let said = world.hms(&["run", "--headless", "--job", "a"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.out.contains("the submodule `vendor` is at ") && said.out.contains("submodule update --init --recursive"), "{said:?}");
}

#[test]
fn no_job_finds_what_another_left_in_its_home() {
    let world = World::new(
        "stages: [a, b]\na:\n  stage: a\n  script: echo 'exit 0' > ~/.bash_profile\nb:\n  stage: b\n  script: 'ls -A ~ | wc -l; exit 1'\n",
    );
    let said = world.hms(&["run", "--headless"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(world.hms(&["logs", "b"]).out.contains("\n0\n"));
}

/// A run whose journal somebody damaged keeps no other one from being listed.
#[test]
fn a_damaged_run_is_said_to_be_one_and_hides_no_other() {
    let world = World::new("a:\n  script: 'true'\n");
    for _ in 0..2 {
        assert_eq!(world.hms(&["run", "--headless"]).code, Some(0));
    }
    let journal = world.run_folder(1).join("journal");
    let text = std::fs::read_to_string(&journal).unwrap();
    let lines: Vec<&str> = text.lines().enumerate().map(|(index, line)| if index == 2 { "{" } else { line }).collect();
    std::fs::write(&journal, format!("{}\n", lines.join("\n"))).unwrap();
    let said = world.hms(&["runs"]);
    assert_eq!(said.code, Some(3), "{said:?}");
    let rows: Vec<&str> = said.out.lines().collect();
    assert!(rows.len() == 2 && rows[0].contains("damaged") && rows[1].contains("success"), "{said:?}");
    assert!(said.err.contains("run 1: ") && said.err.contains("journal:3") && said.err.contains("what is left of it: "), "{said:?}");
    let told: serde_json::Value = serde_json::from_str(&world.hms(&["runs", "--output", "json"]).out).unwrap();
    assert!(told["runs"][0]["error"].is_string() && told["runs"][1]["outcome"] == "success", "{told:#}");
}
