//! `interruptible` and `workflow: auto_cancel`: what a newer commit or a failed job ends, across processes.

use super::{World, kill, wait_for};

const WAITS: &str = "while [ ! -e $GO ]; do sleep 0.02; done";

/// A world whose first run, of this pipeline, has this job running.
fn running(pipeline: &str, job: &str) -> World {
    let world = World::new("x:\n  script: 'true'\n");
    world.commit(&pipeline.replace("WAITS", WAITS), "two");
    start(&world);
    wait_for("the job", || (world.job("1", job)["status"] == "running").then_some(()));
    world
}

fn start(world: &World) {
    let go = format!("GO={}", world.path("go").display());
    let said = world.hms(&["run", "--detach", "--variable", &go]);
    assert_eq!(said.code, Some(0), "{said:?}");
}

fn newer_commit(world: &World) {
    std::fs::write(world.path("repo/file"), "new").unwrap();
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "three"]);
    start(world);
}

fn notices(world: &World, run: &str) -> String {
    world.status(run)["notices"].to_string()
}

fn over(world: &World, run: &str) -> String {
    wait_for("the run's end", || {
        let outcome = world.status(run)["outcome"].as_str().unwrap().to_owned();
        (outcome != "running").then_some(outcome)
    })
}

#[test]
fn a_newer_commit_ends_a_run_in_which_only_interruptible_jobs_have_begun() {
    let world = running("a:\n  interruptible: true\n  script: WAITS\nb:\n  stage: deploy\n  script: 'true'\n", "a");
    newer_commit(&world);
    assert_eq!(over(&world, "1"), "canceled");
    assert_eq!((world.job("1", "a")["status"].as_str(), world.job("1", "b")["status"].as_str()), (Some("canceled"), Some("skipped")));
    assert!(notices(&world, "1").contains("run 2, of the newer commit"), "{}", notices(&world, "1"));
    wait_for("the engine's notice", || notices(&world, "2").contains("run 1 of an older commit is cancelled").then_some(()));
    // The same commit once more makes nothing needless, nor does another ref.
    start(&world);
    world.git(&["checkout", "-q", "-b", "topic"]);
    newer_commit_of(&world);
    assert_eq!((world.status("2")["outcome"].as_str(), world.status("3")["outcome"].as_str()), (Some("running"), Some("running")));
    std::fs::write(world.path("go"), "").unwrap();
    for run in ["2", "3", "4"] {
        assert_eq!(over(&world, run), "success", "{run}");
    }
}

fn newer_commit_of(world: &World) {
    std::fs::write(world.path("repo/other"), "new").unwrap();
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "four"]);
    start(world);
}

#[test]
fn a_newer_commit_ends_no_run_that_must_not_be_interrupted() {
    let table = [
        ("a:\n  script: WAITS\n", "a job that is not interruptible"),
        ("workflow: {auto_cancel: {on_new_commit: none}}\na:\n  interruptible: true\n  script: WAITS\n", "the file says none"),
        (
            "workflow:\n  auto_cancel: {on_new_commit: interruptible}\n  rules: [{auto_cancel: {on_new_commit: none}}]\na:\n  interruptible: true\n  script: WAITS\n",
            "the rule says none",
        ),
        ("a:\n  interruptible: true\n  environment: staging\n  script: WAITS\n", "it has begun to deploy"),
        (
            "workflow: {auto_cancel: {on_new_commit: interruptible}}\na:\n  interruptible: true\n  environment: staging\n  script: WAITS\n",
            "it has begun to deploy, whatever the file says",
        ),
        ("a:\n  interruptible: true\n  rules: [{interruptible: false}]\n  script: WAITS\n", "the job's rule"),
    ];
    for (pipeline, why) in table {
        let world = running(pipeline, "a");
        newer_commit(&world);
        wait_for("the newer run", || (world.job("2", "a")["status"] != "created").then_some(()));
        assert_eq!(world.job("1", "a")["status"], "running", "{why}");
        std::fs::write(world.path("go"), "").unwrap();
        assert_eq!(over(&world, "1"), "success", "{why}");
    }
}

#[test]
fn only_interruptible_jobs_end_where_the_file_says_so_and_a_new_engine_knows() {
    let world = running(
        concat!(
            "workflow: {auto_cancel: {on_new_commit: interruptible}}\nstages: [one, two]\n",
            "a:\n  stage: one\n  interruptible: true\n  retry: 2\n  script: WAITS\nb:\n  stage: one\n  script: WAITS\n",
            "c:\n  needs: [b]\n  stage: two\n  interruptible: true\n  script: 'true'\nd:\n  needs: [b]\n  stage: two\n  script: 'true'\n",
            "e:\n  needs: [a]\n  stage: two\n  script: 'true'\n",
        ),
        "b",
    );
    wait_for("a", || (world.job("1", "a")["status"] == "running").then_some(()));
    newer_commit(&world);
    wait_for("a's end", || (world.job("1", "a")["status"] == "canceled").then_some(()));
    assert_eq!((world.job("1", "b")["status"].as_str(), world.job("1", "c")["status"].as_str()), (Some("running"), Some("canceled")));
    assert!(world.job("1", "c")["why"].as_str().unwrap().contains("run 2, of the newer commit"), "{}", world.job("1", "c"));
    kill(&World::holder(&world.run_folder(1).join("lock")).unwrap());
    std::fs::write(world.path("go"), "").unwrap();
    let said = world.hms(&["run", "--resume", "1", "--headless"]);
    assert_eq!(said.code, Some(130), "{said:?}");
    let statuses = ["a", "b", "c", "d", "e"].map(|job| world.job("1", job)["status"].as_str().unwrap().to_owned());
    assert_eq!(statuses, ["canceled", "success", "canceled", "success", "skipped"]);
    assert_eq!(world.job("1", "a")["attempts"].as_array().unwrap().len(), 1, "`retry` does not follow it");
    // A person may want it all the same.
    assert_eq!(world.hms(&["retry", "1", "--wait"]).code, Some(0));
}

#[test]
fn a_failed_job_ends_its_run_where_the_file_says_so() {
    let all = "workflow: {auto_cancel: {on_job_failure: all}}\n";
    let pipeline = format!(
        "{all}a:\n  script: {WAITS}\nb:\n  retry: 1\n  script: exit 1\nc:\n  allow_failure: true\n  script: exit 1\nd:\n  stage: deploy\n  script: 'true'\n"
    );
    let world = World::new("x:\n  script: 'true'\n");
    world.commit(&pipeline, "two");
    let said = world.hms(&["run", "--headless", "--variable", "GO=/nowhere"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.out.contains("cancelled: b failed") || said.err.contains("cancelled: b failed"), "{said:?}");
    let job = |name: &str| world.job("1", name)["status"].as_str().unwrap().to_owned();
    assert_eq!((job("a"), job("b"), job("d")), ("canceled".to_owned(), "failed".to_owned(), "skipped".to_owned()));
    assert_eq!(world.job("1", "b")["attempts"].as_array().unwrap().len(), 2, "not before its last attempt");
    // A failure that is a warning ends nothing, and none does without the key.
    world.commit(&format!("{all}a:\n  script: sleep 0.2\nc:\n  allow_failure: true\n  script: exit 1\n"), "three");
    assert_eq!(world.hms(&["run", "--headless"]).code, Some(0));
    world.commit("a:\n  script: sleep 0.2\nb:\n  script: exit 1\n", "four");
    assert_eq!(world.hms(&["run", "--headless"]).code, Some(1));
    assert_eq!(world.job("3", "a")["status"], "success");
}

#[test]
fn an_engine_refuses_whole_what_it_does_not_understand_whole() {
    let world = running("a:\n  script: WAITS\nb:\n  when: manual\n  script: 'true'\n", "a");
    let holder = hms::store::holder_of(&world.run_folder(1).join("lock")).unwrap().unwrap();
    let actor = serde_json::json!({"uid": 0, "login": "x", "host": "x", "tty": null, "ssh_client": null, "via": "test"});
    let ask = |command: serde_json::Value| {
        let request = serde_json::json!({"id": ulid::Ulid::generate().to_string(), "command": command, "actor": actor});
        let answer = hms::store::ask(&holder.socket.clone().unwrap(), &request, std::time::Duration::from_secs(10));
        let reply: Option<hms::run::control::Reply> = answer.unwrap().next(Some(std::time::Duration::from_secs(10))).unwrap();
        reply
    };
    for later in [
        serde_json::json!({"command": "approve", "job": "b", "facts": {}, "only_between": ["22:00", "23:00"]}),
        serde_json::json!({"command": "cancel_only", "job": "a"}),
    ] {
        let reply = ask(later.clone());
        let Some(hms::run::control::Reply::Failed { message }) = &reply else { panic!("{later}: {reply:?}") };
        let way_out = format!("kill {}", holder.process.pid);
        assert!(
            message.contains("does not understand") && message.contains("nothing of it was done") && message.contains(&way_out),
            "{message}"
        );
    }
    assert_eq!((world.job("1", "a")["status"].as_str(), world.job("1", "b")["status"].as_str()), (Some("running"), Some("manual")));
}
