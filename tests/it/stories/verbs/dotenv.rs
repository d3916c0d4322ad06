//! `artifacts: reports: dotenv`: variables that one job makes and later ones get.

use super::World;

const PIPELINE: &str = r#"stages: [make, use]
variables: {LEVEL: file, WHERE: "at-$HOST-$LEVEL", GIVEN: file}
make:
  stage: make
  script:
    - printf 'HOST=one\nLEVEL=reported\nQUOTED="q"\nGIVEN=reported\nTO=$HOST/x\n' > build.env
  artifacts: {reports: {dotenv: build.env}}
later:
  stage: make
  script: printf 'HOST=two\n' > later.env
  artifacts: {reports: {dotenv: [later.env]}}
needs:
  stage: use
  needs: [make]
  script: echo "$HOST $LEVEL $QUOTED $GIVEN $WHERE $TO" > ${OUT}needs
stage:
  stage: use
  script: echo "$HOST $LEVEL" > ${OUT}stage
without:
  stage: use
  needs: [{job: make, artifacts: false}]
  script: echo "${HOST-none} $LEVEL" > ${OUT}without
some:
  stage: use
  dependencies: [later]
  script: echo "$HOST $LEVEL" > ${OUT}some
none:
  stage: use
  dependencies: []
  script: echo "${HOST-none} $LEVEL" > ${OUT}none
"#;

#[test]
fn variables_go_to_those_who_get_the_artifacts_and_beat_the_files_but_not_those_given() {
    let world = World::new(PIPELINE);
    let out = format!("OUT={}/", world.path("").display());
    let said = world.hms(&["run", "--headless", "--variable", &out, "--variable", "GIVEN=given"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let table = [
        ("needs", "one reported \"q\" given at-one-reported one/x\n"),
        ("stage", "two reported\n"),
        ("without", "none file\n"),
        ("some", "two file\n"),
        ("none", "none file\n"),
    ];
    for (job, expected) in table {
        assert_eq!(world.read(job), expected, "{job}");
    }
    assert!(world.hms(&["logs", "make"]).out.contains("dotenv: 5 variables for later jobs"));
}

#[test]
fn a_report_that_gitlab_would_not_take_fails_its_job() {
    for (line, why) in [("A=1\\n\\nB=2", "line 2 is not NAME=value"), ("A-B=1", "line 1: a name has letters")] {
        let pipeline = format!("make:\n  script: printf '{line}\\n' > build.env\n  artifacts: {{reports: {{dotenv: build.env}}}}\n");
        let world = World::new(&pipeline);
        let said = world.hms(&["run", "--headless"]);
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!(said.out.contains("its dotenv report build.env is not taken") && said.out.contains(why), "{said:?}");
        let job = world.job("1", "make");
        assert_eq!((job["failure_reason"].as_str(), job["exit_code"].as_i64()), (Some("script_failure"), None));
    }
}

#[test]
fn a_failed_job_reports_too_its_last_attempt_counts_and_no_secret_is_kept() {
    let world = World::new("x:\n  script: 'true'\n");
    let out = world.path("out");
    let pipeline = format!(
        "make:\n  stage: build\n  retry: 1\n  allow_failure: true\n  script:\n    - echo x >> {count}\n    \
         - echo \"TRY=$(wc -l < {count})\" > a.env\n    - echo \"SECRET_COPY=${{TOKEN}}-more\" >> a.env\n    - exit 3\n  \
         artifacts: {{reports: {{dotenv: a.env}}}}\nuse:\n  script: echo \"$TRY $SECRET_COPY $TOKEN\" > {out}\n",
        count = world.path("count").display(),
        out = out.display()
    );
    world.commit(&pipeline, "two");
    let secret = "s3cr3t-value-that-is-long";
    std::fs::write(world.path("values"), format!("TOKEN={secret}\n")).unwrap();
    std::fs::set_permissions(world.path("values"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let said = world.hms(&["run", "--headless", "--variable-file", world.path("values").to_str().unwrap()]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(world.read("out"), format!("2 [MASKED]-more {secret}\n"));
    let record = std::fs::read_to_string(world.run_folder(1).join("jobs/make/2/exit.json")).unwrap();
    assert!(record.contains("SECRET_COPY") && !record.contains(secret), "{record}");
    assert!(world.hms(&["logs", "make"]).out.contains("the value of SECRET_COPY has a masked value in it"));
}
