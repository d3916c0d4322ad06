//! `artifacts: expire_in`: what is done away with when, and what a job says that needs it.

use super::{Said, World, wait_for};

/// Starts runs of the same commit until something is so: each of them does away with what has expired by then.
fn runs_until(world: &World, what: &str, look: impl Fn() -> bool) {
    wait_for(what, || {
        assert_eq!(world.hms(&["run", "--headless"]).code, Some(0));
        look().then_some(())
    });
}

fn newest(world: &World) -> u64 {
    let names =
        std::fs::read_dir(world.path("repo/.git/hms/runs")).unwrap().flatten().map(|found| found.file_name().into_string().unwrap());
    names.filter_map(|name| name.split_once('-')?.0.parse().ok()).max().unwrap()
}

#[test]
fn expired_artifacts_go_with_a_later_run_and_a_job_that_needs_them_says_so() {
    let world = World::new(concat!(
        "stages: [build, use]\nbuild:\n  stage: build\n  script: echo made > made\n  artifacts: {paths: [made], expire_in: 1 sec}\n",
        "kept:\n  stage: build\n  script: echo kept > kept\n  artifacts: {paths: [kept], expire_in: never}\n",
        "use:\n  stage: use\n  retry: 2\n  script: cat made kept\n",
    ));
    assert_eq!(world.hms(&["run", "--headless"]).code, Some(0));
    let folder = |number: u64, job: &str| world.run_folder(number).join("artifacts").join(job).join("1");
    assert!(folder(1, "build").is_dir());
    runs_until(&world, "the artifacts' end", || !folder(1, "build").exists());
    assert!(folder(1, "kept").is_dir(), "`never`");
    let last = newest(&world);
    assert!(folder(last, "build").is_dir(), "of the ref's last success all stays");
    let journal = std::fs::read_to_string(world.run_folder(1).join("journal")).unwrap();
    assert_eq!(journal.matches("ArtifactsExpired").count(), 1);
    assert_eq!(world.status("1")["outcome"], "success", "the run is as it was");
    // What needs them fails once, with the way out.
    let said = world.hms(&["retry", "1", "use", "--wait"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    let job = world.job("1", "use");
    assert_eq!(
        (job["failure_reason"].as_str(), job["attempts"].as_array().unwrap().len()),
        (Some("missing_dependency_failure"), 2),
        "{job}"
    );
    let why = job["why"].as_str().unwrap();
    assert!(why.contains("the artifacts of build have expired") && why.contains("hms retry 1 build"), "{why}");
    assert_eq!(world.hms(&["retry", "1", "build", "--wait"]).code, Some(1), "the job after it has failed");
    assert_eq!(world.hms(&["retry", "1", "use", "--wait"]).code, Some(0));
}

#[test]
fn nothing_is_done_away_with_that_somebody_may_want_and_the_doctor_says_what_would_be() {
    let world = World::new(concat!(
        "a:\n  script: touch a\n  artifacts: {paths: [a], expire_in: 1 sec}\n",
        "gate:\n  stage: deploy\n  when: manual\n  allow_failure: $BLOCKS\n  script: 'true'\n",
    ));
    assert_eq!(world.hms(&["validate"]).code, Some(2));
    let file = "a:\n  script: touch a\n  artifacts: {paths: [a], expire_in: 1 sec}\n";
    world.commit(&format!("{file}gate:\n  stage: deploy\n  when: manual\n  allow_failure: false\n  script: 'true'\n"), "two");
    assert_eq!(world.hms(&["run", "--headless"]).code, Some(10), "it waits at a gate");
    world.commit(file, "three");
    assert_eq!(world.hms(&["run", "--headless"]).code, Some(0));
    let doctor = |world: &World| Said::of(&world.command(&["doctor"]).output().unwrap()).out;
    runs_until(&world, "run 2's end of time", || !world.run_folder(2).join("artifacts/a/1").exists());
    assert!(world.run_folder(1).join("artifacts/a/1").is_dir(), "it may go on");
    // The last of them but one is told by the doctor once its time is over, and still there.
    let last = newest(&world);
    assert_eq!(world.hms(&["run", "--headless"]).code, Some(0));
    wait_for("the doctor", || doctor(&world).contains(&format!("a of run {last}")).then_some(()));
    assert!(world.run_folder(last).join("artifacts/a/1").is_dir());
}
