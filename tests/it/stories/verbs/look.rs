//! `list`, `plan`, `explain`, `validate`: a pipeline of several files, looked at before it runs.

use serde_json::Value;

use super::World;

const MAIN: &str = "\
include: ci/*.yml
workflow:
  name: of $CI_COMMIT_BRANCH
  rules: [{if: $SKIP, when: never}, {when: always}]
default: {image: alpine}
build:
  extends: .base
  variables: {B: own}
test:
  extends: .base
  needs: [build]
  rules:
    - if: $CI_COMMIT_BRANCH == 'release'
    - changes: [src/*]
docs:
  script: 'true'
  rules: [{exists: [docs/*.md]}]
";

const BASE: &str = "\
.base:
  script: [echo from-base, 'true']
  variables: {A: base, B: base}
";

fn world() -> World {
    let world = World::new("a: {script: 'true'}\n");
    std::fs::create_dir(world.path("repo/ci")).unwrap();
    std::fs::write(world.path("repo/ci/base.yml"), BASE).unwrap();
    std::fs::write(world.path("repo/.hms-ci.yml"), MAIN).unwrap();
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "two"]);
    world
}

fn json(said: &super::Said) -> Value {
    serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"))
}

#[test]
fn jobs_are_listed_and_planned_with_why() {
    let world = world();
    let listed = world.hms(&["list"]);
    assert_eq!(listed.out, "build  test  after the stages before it\ntest   test  after build\n", "{listed:?}");
    let planned = world.hms(&["plan"]);
    for told in [
        "workflow rule 1 (.hms-ci.yml:4:11) does not match: `$SKIP` ($SKIP is not set) does not hold",
        "✔ build  after the stages before it; it has no rules",
        "✔ test   after build; rule 2 (14:7) matches",
        "✘ docs   none of its rules matches",
        "rule 1 (.hms-ci.yml:17:11) does not match: no file matches `docs/*.md`",
        "“of main” 2 jobs in 1 stage",
    ] {
        assert!(planned.out.contains(told), "{told}\n{}", planned.out);
    }
    let one = world.hms(&["plan", "--job", "build"]);
    assert!(
        one.out.contains("A=base  (the job's, ci/base.yml:3:15)") && one.out.contains("B=own  (the job's, .hms-ci.yml:8:15)"),
        "{one:?}"
    );
    let before = world.hms(&["plan", "--before", "HEAD~1"]);
    assert!(before.out.contains("✘ test"), "nothing below src changed: {before:?}");
    let skipped = world.hms(&["plan", "--variable", "SKIP=1"]);
    assert!(skipped.out.contains("nothing runs: the rule of `workflow` at 4:11 says `never`"), "{skipped:?}");
    let plan = json(&world.hms(&["plan", "--output", "json"]));
    assert_eq!((plan["jobs"].as_array().unwrap().len(), plan["considered"].as_array().unwrap().len()), (2, 3));
    assert_eq!(plan["considered"][0]["variables"][0]["place"]["file"], "ci/base.yml");
    assert_eq!(plan["name"], "of main");
}

#[test]
fn pictures_are_drawn() {
    let world = world();
    assert_eq!(world.hms(&["plan", "--graph", "terminal"]).out, "● build [test]\n╰─● test [test]\n");
    assert!(world.hms(&["plan", "--graph", "mermaid"]).out.contains("j0 --> j1"));
    assert!(world.hms(&["plan", "--graph", "dot"]).out.contains("j0 -> j1;"));
}

#[test]
fn each_key_of_a_job_has_its_line() {
    let world = world();
    let said = world.hms(&["explain", "build"]);
    for (key, place) in [
        ("A: base", "ci/base.yml:3:15"),
        ("B: own", ".hms-ci.yml:8:15"),
        ("- echo from-base", "ci/base.yml:2:12"),
        ("image: alpine", ".hms-ci.yml:5:11 (default)"),
    ] {
        assert!(said.out.lines().any(|line| line.trim_start().starts_with(key) && line.ends_with(place)), "{key}\n{}", said.out);
    }
    let keys = json(&world.hms(&["explain", "build", "--output", "json"]));
    assert!(keys["keys"].as_array().unwrap().iter().any(|key| key["path"][1] == "A" && key["file"] == "ci/base.yml" && key["line"] == 3));
    let gone = world.hms(&["explain", "biuld"]);
    assert_eq!(gone.code, Some(2));
    assert!(gone.err.contains("its jobs: build, test, docs"), "{gone:?}");
}

#[test]
fn problems_of_an_included_file_have_its_name() {
    let world = world();
    std::fs::write(world.path("repo/ci/base.yml"), format!("{BASE}broken:\n  scrpt: x\n")).unwrap();
    let said = world.hms(&["validate"]);
    assert_eq!(said.code, Some(2));
    assert!(said.out.contains("ci/base.yml:5:3: error: `broken`: unknown key `scrpt`"), "{said:?}");
    let sarif = json(&world.hms(&["validate", "--sarif"]));
    let result = sarif["runs"][0]["results"].as_array().unwrap().iter().find(|result| result["ruleId"] == "unknown-key").unwrap();
    assert_eq!(result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"], "ci/base.yml");
    assert_eq!(result["locations"][0]["physicalLocation"]["region"]["startLine"], 5);
    let told = json(&world.hms(&["validate", "--output", "json"]));
    assert!(told["problems"].as_array().unwrap().iter().any(|problem| problem["file"] == "ci/base.yml" && problem["line"] == 5));
    assert_eq!(world.hms(&["validate", "--ref", "main"]).code, Some(0), "the commit is still good");
}

#[test]
fn a_run_takes_the_files_of_its_commit() {
    let world = world();
    std::fs::write(world.path("repo/ci/base.yml"), BASE.replace("from-base", "from-tree")).unwrap();
    let said = world.hms(&["run", "--headless"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let log = world.hms(&["logs", "build"]);
    assert!(log.out.contains("from-base") && !log.out.contains("from-tree"), "{log:?}");
}

#[test]
fn a_pipeline_that_must_not_run_ends_well_and_says_why() {
    let world = world();
    let said = world.hms(&["run", "--headless", "--variable", "SKIP=1"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let all = format!("{}{}", said.out, said.err);
    assert!(all.contains("nothing to run") && all.contains("says `never`"), "{said:?}");
    let status = json(&world.hms(&["status", "--output", "json"]));
    assert_eq!(status["outcome"], "none", "{status}");
}

#[test]
fn another_revision_of_the_same_project_can_be_included() {
    let world = world();
    world.git(&["tag", "v1"]);
    world.git(&["remote", "add", "origin", "git@gitlab.example.org:group/project.git"]);
    let text = "include: {project: group/project, ref: v1, file: ci/base.yml}\na: {extends: .base}\n";
    std::fs::write(world.path("repo/.hms-ci.yml"), text).unwrap();
    world.git(&["rm", "-q", "ci/base.yml"]);
    world.git(&["commit", "-q", "-a", "-m", "three"]);
    assert_eq!(world.hms(&["list", "--ref", "main"]).out, "a  test  after the stages before it\n");
    std::fs::write(world.path("repo/.hms-ci.yml"), text.replace("group/project", "group/other")).unwrap();
    let refused = world.hms(&["validate"]);
    assert!(refused.out.contains(":1:20: error:") && refused.out.contains("no checkout of it is configured"), "{refused:?}");
}

/// A tag that has the name of a branch lends its commit none of the branch's rights.
#[test]
fn a_tag_is_a_tag_though_a_branch_has_its_name() {
    let world = World::new("a:\n  script: echo \"branch=$CI_COMMIT_BRANCH tag=$CI_COMMIT_TAG protected=$CI_COMMIT_REF_PROTECTED\"\n");
    world.git(&["tag", "main"]);
    let said = world.hms(&["run", "--headless", "--ref", "main"]);
    assert!(said.code == Some(2) && said.err.contains("say which: refs/heads/main or refs/tags/main"), "{said:?}");
    for (number, reference, expected) in
        [("1", "refs/tags/main", "branch= tag=main protected=false"), ("2", "refs/heads/main", "branch=main tag= protected=true")]
    {
        assert_eq!(world.hms(&["run", "--headless", "--ref", reference]).code, Some(0));
        let log = world.hms(&["logs", "a", "--run", number]).out;
        assert!(log.contains(expected), "{reference}: {log}");
    }
}

#[test]
fn names_are_shown_so_that_they_can_be_said() {
    let world = World::new("Build: {script: 'true'}\nlint: {script: 'true'}\nLINT: {script: 'true'}\nok: {script: 'true'}\n");
    let said = world.hms(&["run", "--headless"]);
    for name in ["Build", "lint", "LINT", "OK"] {
        assert!(said.out.lines().any(|line| line.starts_with(&format!("▶ {name} "))), "{name}: {said:?}");
    }
    let other = world.hms(&["logs", "OK"]);
    assert_eq!(other.code, Some(2));
    assert!(other.err.contains("did you mean `ok`?"), "{other:?}");
}

/// SARIF 2.1.0 §3.4.3: a URI reference, whatever the file is called.
#[test]
fn sarif_names_files_as_uris() {
    let world = World::new("a: {scrpt: x}\n");
    std::fs::write(world.path("ü x.yml"), "a: {scrpt: x}\n").unwrap();
    let path = world.path("ü x.yml");
    let sarif = json(&world.hms(&["validate", "--sarif", "--file", path.to_str().unwrap()]));
    let place = &sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
    let uri = place.as_str().unwrap();
    assert!(uri.starts_with("file:///") && uri.ends_with("/%C3%BC%20x.yml"), "{uri}");
}
