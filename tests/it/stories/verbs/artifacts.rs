//! `hms artifacts`: what a job handed on is listed, taken out under its own name, kept, and done away with.

use std::process::{Command, Stdio};

use super::{World, wait_for};

const PIPELINE: &str = "build:
  script: [mkdir -p dist/sub, printf hello > dist/a.txt, 'printf \"#!/bin/sh\\n\" > dist/sub/run', chmod +x dist/sub/run, ln -s a.txt dist/link]
  artifacts: {paths: [dist/], name: \"x/$CI_JOB_NAME-$CI_COMMIT_REF_SLUG\", expire_in: 1 sec}
plain:
  script: [touch one]
  artifacts: [one]
none:
  script: 'true'
";

fn pipeline() -> String {
    PIPELINE.replace("artifacts: [one]", "artifacts: {paths: [one], expire_in: 1 sec}")
}

fn untar(world: &World, archive: &str, to: &str) -> String {
    std::fs::create_dir(world.path(to)).unwrap();
    let output = Command::new("tar").args(["-xvzf", archive, "-C", to]).current_dir(world.path("")).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn artifacts_are_listed_and_taken_out_under_the_name_that_the_job_gives_them() {
    let world = World::new(&pipeline());
    assert_eq!(world.hms(&["run", "--headless"]).code, Some(0));
    let shown = world.hms(&["artifacts", "show", "build"]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    assert!(
        shown.out.contains("5  dist/a.txt") && shown.out.contains("dist/link → a.txt") && shown.out.contains("build-main.tar.gz"),
        "{shown:?}"
    );
    let value: serde_json::Value =
        serde_json::from_str(&world.hms(&["artifacts", "show", "plain", "--run", "1", "--output", "json"]).out).unwrap();
    assert_eq!(
        (value["file"].as_str(), value["files"].as_u64(), value["kept"].as_bool()),
        (Some("artifacts.tar.gz"), Some(1), Some(false))
    );
    let got = world.hms(&["artifacts", "get", "build"]);
    assert_eq!(got.code, Some(0), "{got:?}");
    assert_eq!(untar(&world, "repo/build-main.tar.gz", "out"), "dist/\ndist/a.txt\ndist/link\ndist/sub/\ndist/sub/run\n");
    assert_eq!((world.read("out/dist/a.txt").as_str(), world.read("out/dist/link").as_str()), ("hello", "hello"));
    assert!(Command::new(world.path("out/dist/sub/run")).status().unwrap().success(), "it can still be run");
    let again = world.hms(&["artifacts", "get", "build"]);
    assert!(again.code == Some(3) && again.err.contains("--to names another file"), "nothing is written over: {again:?}");
    // The same bytes each time, also on standard output.
    let piped = world.command(&["artifacts", "get", "build", "--to", "-"]).stdout(Stdio::piped()).output().unwrap();
    assert_eq!(piped.stdout, std::fs::read(world.path("repo/build-main.tar.gz")).unwrap());
    let nothing = world.hms(&["artifacts", "get", "none"]);
    assert!(nothing.code == Some(3) && nothing.err.contains("handed on nothing"), "{nothing:?}");
    assert_eq!(world.hms(&["artifacts", "show", "build", "--attempt", "2"]).code, Some(2));
    assert_eq!(world.hms(&["artifacts", "show", "gone"]).code, Some(2));
}

#[test]
fn what_is_kept_does_not_expire_and_what_has_expired_goes_when_that_is_said() {
    let world = World::new(&pipeline());
    assert_eq!(world.hms(&["run", "--headless"]).code, Some(0));
    assert_eq!(world.hms(&["artifacts", "keep", "1", "build"]).out, "kept of run 1: build (attempt 1)\n");
    assert!(world.hms(&["artifacts", "keep", "1", "build"]).out.contains("kept already"));
    assert_eq!(world.hms(&["artifacts", "keep", "1", "gone"]).code, Some(2));
    world.commit("x:\n  script: 'true'\n", "two");
    assert_eq!(world.hms(&["run", "--headless"]).code, Some(0));
    let expired = || world.hms(&["artifacts", "expired"]);
    wait_for("its time", || expired().out.contains("expired  plain of run 1, attempt 1  0 bytes").then_some(()));
    assert!(!expired().out.contains("build"), "{:?}", expired());
    let folder = |job: &str| world.run_folder(1).join("artifacts").join(job).join("1");
    assert!(folder("plain").is_dir(), "it was only looked at");
    let said = world.hms(&["artifacts", "expired", "--remove"]);
    assert!(said.code == Some(0) && said.out.contains("gone  plain of run 1, attempt 1"), "{said:?}");
    assert!(!folder("plain").exists() && folder("build").is_dir());
    assert!(expired().out.contains("nothing that may go has expired"));
    let gone = world.hms(&["artifacts", "get", "plain", "--run", "1"]);
    assert!(gone.code == Some(3) && gone.err.contains("have expired") && gone.err.contains("hms retry 1 plain"), "{gone:?}");
    assert_eq!(world.hms(&["artifacts", "get", "build", "--run", "1"]).code, Some(0));
}
