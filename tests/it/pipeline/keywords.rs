//! Each keyword that is read, and each that is not: none is passed over in silence.

use hms::event::{EnvironmentName, When};
use hms::pipeline::keyword::{self, Standing};
use hms::pipeline::{ArtifactsWhen, Job, Severity};

use super::*;

/// The one job of a file whose job `a` has this line.
fn job(line: &str) -> Job {
    planned(&format!("a:\n  script: x\n  {line}\n")).jobs.remove(0)
}

#[test]
fn every_keyword_of_a_job_is_done_warned_about_or_refused() {
    for (key, standing) in keyword::JOB {
        let reading = reading(&format!("a:\n  script: x\n  {key}: 1\n"));
        if *key == "script" {
            continue;
        }
        let found: Vec<_> = reading.problems.iter().filter(|problem| problem.message.contains(&format!("`{key}`"))).collect();
        let expected = match standing {
            Standing::Done => {
                assert!(
                    !found.iter().any(|problem| matches!(problem.code, "refused-keyword" | "unknown-key" | "not-honoured")),
                    "{key}: {found:?}"
                );
                continue;
            }
            Standing::Warned(_) => "3:3 not-honoured",
            Standing::Planned(_) | Standing::Refused(_) => "3:3 refused-keyword",
        };
        assert_eq!(shown(&found)[0], expected, "{key}");
    }
}

#[test]
fn every_keyword_at_the_top_is_done_warned_about_or_refused() {
    for (key, standing) in keyword::GLOBAL {
        let reading = reading(&format!("a: {{script: x}}\n{key}: 1\n"));
        let codes: Vec<_> = reading.problems.iter().map(|problem| problem.code).collect();
        match standing {
            Standing::Done => assert!(!codes.contains(&"refused-keyword") && !codes.contains(&"not-honoured"), "{key}"),
            Standing::Warned(_) => assert_eq!(codes[0], "not-honoured", "{key}"),
            Standing::Planned(_) | Standing::Refused(_) => assert_eq!(codes[0], "refused-keyword", "{key}"),
        }
    }
}

#[test]
fn scripts() {
    let plan = planned(
        "default: {before_script: [d1, d2], after_script: z}\na: {script: x}\nb:\n  script: [x, [y, [z]]]\n  before_script: []\n  after_script: [w]\n",
    );
    assert_eq!(plan.jobs[0].script, ["d1", "d2", "x"]);
    assert_eq!(plan.jobs[0].after_script, ["z"]);
    assert_eq!(plan.jobs[1].script, ["x", "y", "z"]);
    assert_eq!(plan.jobs[1].after_script, ["w"]);
    let plan = planned("before_script: g\nimage: {name: n}\na:\n  script: |\n    one\n    two\n");
    assert_eq!(plan.jobs[0].script, ["g", "one\ntwo\n"]);
    assert_eq!(plan.jobs[0].image.as_deref(), Some("n"));
}

#[test]
fn when_and_allow_failure() {
    let table = [
        ("when: on_success", When::OnSuccess, false, false),
        ("when: on_failure", When::OnFailure, false, false),
        ("when: always", When::Always, false, false),
        ("when: manual", When::Manual, true, false),
        ("when: manual, allow_failure: false", When::Manual, false, true),
        ("when: manual, allow_failure: true", When::Manual, true, false),
        ("when: manual, environment: prod", When::Manual, false, true),
        ("when: manual, environment: prod, allow_failure: true", When::Manual, true, false),
        ("when: manual, environment: {name: prod, action: verify}", When::Manual, true, false),
        ("allow_failure: true", When::OnSuccess, true, false),
        ("rules: [{when: manual}]", When::Manual, false, true),
        ("rules: [{when: manual, allow_failure: true}]", When::Manual, true, false),
        ("when: manual, rules: [{if: '$GONE == null'}]", When::Manual, true, false),
        ("when: always, rules: [{if: '$GONE'}, {when: on_failure}]", When::OnFailure, false, false),
    ];
    for (fields, when, allow_failure, blocking) in table {
        let job = planned(&format!("a: {{script: x, {fields}}}\n")).jobs.remove(0);
        assert_eq!((job.when, job.allow_failure, job.blocking), (when, allow_failure, blocking), "{fields}");
    }
}

#[test]
fn never_is_for_rules_alone() {
    let text = "a: {script: x}\nb: {script: x, when: never}\n";
    for reading in [reading(text), strict(text)] {
        assert_eq!(shown(&of_severity(&reading, Severity::Error)), ["2:22 unknown-value"]);
    }
    assert_eq!(planned("a: {script: x}\nb: {script: x, rules: [{when: never}]}\n").jobs.len(), 1);
}

#[test]
fn artifacts() {
    let job = job("artifacts: {paths: [a, b], exclude: [c], when: always, untracked: true, expire_in: 1 week, reports: {junit: r.xml}}");
    assert_eq!(job.artifacts.paths, ["a", "b"]);
    assert_eq!(job.artifacts.exclude, ["c"]);
    assert_eq!(job.artifacts.when, ArtifactsWhen::Always);
    assert!(job.artifacts.untracked);
    assert_eq!(job.artifacts.reports_junit, ["r.xml"]);
    let reading = reading("a: {script: x, artifacts: {paths: [../x, /y, a/../../b]}}\n");
    assert_eq!(of_severity(&reading, Severity::Warning).len(), 3);
}

#[test]
fn artifacts_go_to_whom_gitlab_gives_them() {
    let plan = planned(
        "stages: [one, two, three]\na: {stage: one, script: x, parallel: 2}\nb: {stage: one, script: x}\nc: {stage: two, script: x, needs: [a, {job: b, artifacts: false}]}\nd: {stage: two, script: x, needs: []}\ne: {stage: three, script: x}\nf: {stage: two, script: x, needs: [a 2/2]}\n",
    );
    let producers = |job: &str| -> Vec<String> {
        let job = plan.job(&name(job)).unwrap();
        plan.producers_of(job).iter().map(|job| job.name.to_string()).collect()
    };
    assert!(producers("a 1/2").is_empty());
    assert_eq!(producers("c"), ["a 1/2", "a 2/2"]);
    assert!(producers("d").is_empty());
    assert_eq!(producers("e"), ["a 1/2", "a 2/2", "b", "c", "d", "f"]);
    assert_eq!(producers("f"), ["a 2/2"]);
}

#[test]
fn parallel_and_timeout() {
    let plan = planned("a: {script: x, parallel: 3, timeout: 1h 30m}\n");
    let shown: Vec<_> = plan.jobs.iter().map(|job| (job.name.as_str(), job.base_name.as_str(), job.node)).collect();
    assert_eq!(shown, [("a 1/3", "a", Some((1, 3))), ("a 2/3", "a", Some((2, 3))), ("a 3/3", "a", Some((3, 3)))]);
    assert_eq!(plan.jobs[0].timeout_seconds, Some(5400));
}

/// It would fail at the end of the pipeline, on production's doorstep.
#[test]
fn a_share_that_hms_deploy_will_not_take_is_told_with_its_place() {
    let text =
        "a:\n  script:\n    - make\n    - hms-deploy --env canary --traffic 150%\nb: {script: hms-deploy --env canary --traffic 5%}\n";
    let reading = reading(text);
    let warned = of_severity(&reading, Severity::Warning);
    assert_eq!(shown(&warned), ["4:7 traffic"]);
    assert!(warned[0].to_string().contains("`hms-deploy --traffic 150%` will fail: `150%` is no share of traffic"), "{}", warned[0]);
}

#[test]
fn environments() {
    let text = "variables: {WHERE: stage}\na:\n  script: [hms-deploy --env canary, hms-deploy --env=prod]\nb:\n  script: x\n  environment: {name: $WHERE, url: 'https://$WHERE.example', deployment_tier: staging}\nc: {script: x, environment: review/x}\nd: {script: hms-deploy --env $WHERE}\n";
    let reading = reading(text);
    assert_eq!(shown(&of_severity(&reading, Severity::Warning)), ["7:29 environment-name", "8:13 environment-not-literal"]);
    let plan = planned(text);
    let named = |at: usize| -> Vec<&str> { plan.jobs[at].environments.iter().map(EnvironmentName::as_str).collect() };
    assert_eq!(named(0), ["canary", "prod"]);
    assert_eq!(named(1), ["stage"]);
    assert_eq!(plan.jobs[1].environment.as_ref().unwrap().url.as_deref(), Some("https://stage.example"));
    assert!(named(2).is_empty() && named(3).is_empty());
    assert_eq!(plan.jobs[2].environment.as_ref().unwrap().name, "review/x");
}

#[test]
fn hidden_jobs_anchors_and_merges() {
    let plan = planned(".base: &base\n  image: i\n  script: x\n.more: 3\na:\n  <<: *base\n  script: y\n");
    assert_eq!(plan.jobs.len(), 1);
    assert_eq!((plan.jobs[0].image.as_deref(), plan.jobs[0].script[0].as_str()), (Some("i"), "y"));
}

#[test]
fn default_stages_and_those_at_the_ends() {
    let plan = planned("a: {script: x, stage: .post}\nb: {script: x}\nc: {script: x, stage: .pre}\nd: {script: x, stage: build}\n");
    assert_eq!(plan.stages, [".pre", "build", "test", ".post"]);
    let shown: Vec<_> = plan.jobs.iter().map(|job| (job.name.as_str(), job.stage_index)).collect();
    assert_eq!(shown, [("c", 0), ("d", 1), ("b", 2), ("a", 3)]);
}
