//! The file of the design, as it stands.

use hms::event::{JobStatus, When};
use hms::pipeline::{ArtifactsWhen, Severity, Step};

use super::*;

const FILE: &str = include_str!("verbatim.yml");
const SETTINGS: &str = include_str!("settings.yml");

#[test]
fn it_is_read_with_the_deviations_noted_and_nothing_else() {
    let reading = reading(FILE);
    assert!(reading.pipeline.is_some());
    let shown = shown(&of_severity(&reading, Severity::Note));
    assert_eq!(
        shown,
        [
            "3:1 deviation-stage",
            "6:14 deviation-artifacts",
            "12:1 deviation-stage",
            "16:1 deviation-stage",
            "20:1 deviation-stage",
            "21:9 deviation-gate",
        ]
    );
    assert_eq!(reading.problems.len(), shown.len());
}

#[test]
fn its_plan_is_what_the_design_says() {
    let plan = planned(FILE);
    assert_eq!(plan.stages, ["build", "test", "scan", "canary", "prod"]);
    let job = |job: &str| plan.job(&name(job)).unwrap();
    assert_eq!(job("build").script, ["npm ci && npm run lint"]);
    assert_eq!(job("build").image.as_deref(), Some("node:18"));
    assert_eq!(job("build").artifacts.paths, ["dist/"]);
    assert_eq!(job("build").artifacts.when, ArtifactsWhen::OnSuccess);
    assert_eq!(job("canary").environments[0].as_str(), "canary");
    assert_eq!(job("prod").environments[0].as_str(), "prod");
    assert_eq!(job("prod").script, ["hms-deploy --env prod --tag $CI_COMMIT_SHA"]);
    assert_eq!((job("prod").when, job("prod").blocking, job("prod").allow_failure), (When::Manual, true, false));
    assert!(job("canary").guarded() && job("prod").guarded() && !job("scan").guarded());
    assert!(job("build").needs.is_none());
    assert_eq!(job("canary").planned().needs, Some(vec![name("scan")]));
    let producers: Vec<&str> = plan.producers_of(job("scan")).iter().map(|job| job.name.as_str()).collect();
    assert_eq!(producers, ["build", "test"]);
    let producers: Vec<&str> = plan.producers_of(job("prod")).iter().map(|job| job.name.as_str()).collect();
    assert_eq!(producers, ["canary"]);
}

#[test]
fn it_runs_to_the_gate_and_past_it() {
    let mut world = World::new(planned(FILE));
    assert_eq!(world.step(), [Step::Queue(name("build"))]);
    for job in ["build", "test", "scan", "canary"] {
        world.end(job, JobStatus::Success);
    }
    assert_eq!(world.status("prod"), JobStatus::Manual);
    assert!(world.step().is_empty(), "it waits for a person");
    let opened = next(&world.plan, &|job| (world.statuses[job], job.as_str() == "prod"));
    assert_eq!(opened, [Step::Queue(name("prod"))]);
}

#[test]
fn a_failed_canary_never_reaches_the_gate() {
    let mut world = World::new(planned(FILE));
    world.step();
    for job in ["build", "test", "scan"] {
        world.end(job, JobStatus::Success);
    }
    world.end("canary", JobStatus::Failed);
    assert_eq!(world.status("prod"), JobStatus::Skipped);
    assert_eq!(world.why[&name("prod")], "`canary` failed");
}

#[test]
fn settings_are_kept_and_not_read() {
    let whole = format!("{FILE}\n{SETTINGS}");
    let reading = reading(&whole);
    let pipeline = reading.pipeline.unwrap();
    let settings = pipeline.settings().unwrap();
    assert_eq!(settings.get("app").unwrap().as_str(), Some("irs-api"));
    assert_eq!(settings.get("watch").unwrap().get("on").unwrap().as_str(), Some("commit"));
    assert_eq!(settings.get("canary").unwrap().get("steps").unwrap().items().unwrap().len(), 3);
    assert_eq!(pipeline.job_names().collect::<Vec<_>>(), ["build", "test", "scan", "canary", "prod"]);
}

#[test]
fn strictly_it_is_no_gitlab_file() {
    let reading = strict(FILE);
    assert_eq!(shown(&of_severity(&reading, Severity::Error)), ["6:14 type"]);
    let long = FILE.replace("artifacts: dist/", "artifacts: {paths: [dist/]}");
    let reading = strict(&long);
    assert!(reading.problems.is_empty(), "{:?}", reading.problems);
    let plan = plan(&reading.pipeline.unwrap(), &PlanInputs::default()).unwrap();
    assert_eq!(plan.stages, ["test"]);
    assert!(!plan.job(&name("prod")).unwrap().blocking);
}

#[test]
fn parallel_and_a_manual_migrate_before_the_canary() {
    let text = FILE.replace("  script: npm test", "  script: npm test\n  parallel: 4").replace(
        "canary:\n  needs: [scan]",
        "migrate:\n  stage: scan\n  when: manual\n  needs: [test]\n  script: migrate\n\ncanary:\n  needs: [scan, migrate]",
    );
    let mut world = World::new(planned(&text));
    world.step();
    world.end("build", JobStatus::Success);
    for index in 1..=4 {
        world.end(&format!("test {index}/4"), JobStatus::Success);
    }
    assert_eq!(world.status("migrate"), JobStatus::Manual);
    world.end("scan", JobStatus::Success);
    assert_eq!(world.status("canary"), JobStatus::Created, "the gate holds it back");
    world.set("migrate", JobStatus::Success);
    assert_eq!(world.step(), [Step::Queue(name("canary"))]);
}

#[test]
fn a_deploy_that_passes_a_manual_job_by_is_warned_about() {
    let text =
        FILE.replace("canary:\n  needs: [scan]", "migrate:\n  stage: scan\n  when: manual\n  script: migrate\n\ncanary:\n  needs: [scan]");
    let reading = reading(&text);
    let warnings = of_severity(&reading, Severity::Warning);
    assert_eq!(shown(&warnings), ["22:3 gate-passed-over", "27:3 gate-passed-over"]);
    assert_eq!(warnings[0].hint.as_deref(), Some("to wait for it write `needs: [scan, migrate]`"));
    let waits = text.replace("  needs: [scan]", "  needs: [scan, migrate]");
    assert!(of_severity(&self::reading(&waits), Severity::Warning).is_empty(), "what the hint says mends it");
    let by_rule = text.replace("when: manual\n  script: migrate", "rules: [{when: manual}]\n  script: migrate");
    assert_eq!(shown(&of_severity(&self::reading(&by_rule), Severity::Warning)), ["22:3 gate-passed-over", "27:3 gate-passed-over"]);
}
