//! A job's own keywords, as they are kept in a plan (`doc/ci/yaml/_index.md`, `lib/gitlab/ci/config/entry/`).

use hms::event::When;
use hms::pipeline::{ArtifactsWhen, CacheKey, Job, Retry, RetryWhen, Severity};

use super::world::Commit;
use super::*;

/// The one job of a file whose job `a` has these lines; what no engine does yet is let pass.
fn job(lines: &str) -> Job {
    let lines = lines.replace('\n', "\n  ");
    Commit::of(&[(".hms-ci.yml", &format!("a:\n  script: x\n  {lines}\n"))]).planned(&PlanInputs::default()).jobs.remove(0)
}

#[test]
fn retries() {
    assert_eq!(job("retry: 2").retry, Retry { max: 2, ..Retry::default() });
    let full = job("retry: {max: 1, when: [script_failure, runner_system_failure], exit_codes: [137, 1]}").retry;
    assert_eq!((full.max, full.when.len(), full.exit_codes.clone()), (1, 2, vec![137, 1]));
    assert_eq!(job("retry: {max: 1, when: always, exit_codes: 3}").retry.when, [RetryWhen::Always]);
    let deploys =
        reading("default: {retry: 1}\na: {script: x, environment: prod}\nb: {script: x}\nc: {script: x, retry: 0, environment: prod}\n");
    assert_eq!(shown(&of_severity(&deploys, Severity::Warning)), ["2:1 not-honoured"]);
}

#[test]
fn failures_that_are_allowed() {
    assert_eq!((job("allow_failure: true").allow_failure, job("allow_failure: false").allow_failure), (true, false));
    let by_code = job("allow_failure:\n  exit_codes: [3, 4]");
    assert!(
        !by_code.allow_failure && by_code.failure_allowed(Some(4)) && !by_code.failure_allowed(Some(1)) && !by_code.failure_allowed(None)
    );
    assert_eq!(job("allow_failure: {exit_codes: 137}").planned().allow_failure_exit_codes, [137]);
}

#[test]
fn manual_and_delayed() {
    let manual = job("when: manual\nmanual_confirmation: Really?\nresource_group: one");
    assert_eq!(
        (manual.when, manual.manual_confirmation.as_deref(), manual.resource_group.as_deref()),
        (When::Manual, Some("Really?"), Some("one"))
    );
    let delayed = job("when: delayed\nstart_in: 1 day");
    assert_eq!((delayed.when, delayed.start_in_seconds), (When::Delayed, Some(86_400)));
    let mut world = World::new(
        Commit::of(&[(".hms-ci.yml", "a: {script: x, when: delayed, start_in: 5}\n".replace(": 5", ": 5 s").as_str())])
            .planned(&PlanInputs::default()),
    );
    assert_eq!(world.step(), [Step::Delay(name("a"), 5)]);
}

#[test]
fn artifacts_and_reports() {
    let kept = job(
        "artifacts:\n  paths: [dist/]\n  exclude: [dist/tmp]\n  untracked: true\n  when: always\n  expire_in: 1 week\n  name: all-$CI_JOB_NAME\n  reports:\n    junit: [a.xml, b.xml]\n    dotenv: build.env\n    sast: s.json\n    codequality: q.json\n    secret_detection: d.json\n    cyclonedx: [b.json]\n    coverage_report: {coverage_format: cobertura, path: c.xml}",
    )
    .artifacts;
    assert_eq!((kept.paths.clone(), kept.exclude.clone(), kept.untracked), (vec!["dist/".to_owned()], vec!["dist/tmp".to_owned()], true));
    assert_eq!((kept.when, kept.expire_in_seconds, kept.name.as_deref()), (ArtifactsWhen::Always, Some(604_800), Some("all-$CI_JOB_NAME")));
    assert_eq!(kept.reports_junit, ["a.xml", "b.xml"]);
    let kinds: Vec<&str> = kept.reports.keys().map(String::as_str).collect();
    assert_eq!(kinds, ["codequality", "coverage_report", "cyclonedx", "dotenv", "sast", "secret_detection"]);
    assert_eq!(kept.reports["coverage_report"], ["c.xml"]);
    assert_eq!(job("artifacts: {paths: [x], expire_in: never}").artifacts.expire_in_seconds, None);
}

#[test]
fn environments() {
    let text = "
start:
  script: x
  environment: {name: review/$CI_COMMIT_REF_SLUG, url: https://x, on_stop: stop, auto_stop_in: 2 days, deployment_tier: testing}
stop:
  script: x
  when: manual
  environment: {name: review/$CI_COMMIT_REF_SLUG, action: stop}
";
    let plan = planned(text);
    let environment = plan.job(&name("start")).unwrap().environment.clone().unwrap();
    assert_eq!((environment.on_stop.as_deref(), environment.auto_stop), (Some("stop"), Some(hms::pipeline::AutoStop::After(172_800))));
    assert_eq!((environment.tier.as_deref(), environment.action.as_str()), (Some("testing"), "start"));
    assert!(plan.job(&name("stop")).unwrap().environments.is_empty(), "a stop deploys nothing");
}

#[test]
fn images_services_caches_and_tags() {
    let job = job(
        "image:\n  name: node:20\n  entrypoint: ['']\n  pull_policy: [always, if-not-present]\n  docker: {platform: linux/arm64, user: dave}\nservices:\n  - postgres:16\n  - name: redis:7\n    alias: cache, kv\n    entrypoint: [r]\n    command: [serve]\n    variables: {A: b}\n    pull_policy: never\ncache:\n  - key: {files: [a.lock], prefix: p}\n    paths: [node_modules/]\n    untracked: false\n    policy: pull\n    when: on_failure\n    fallback_keys: [main]\n    unprotect: true\n  - key: text-$CI_COMMIT_REF_SLUG\n    paths: [x]\ntags: [docker]\ncoverage: '/total: (\\d+)%/'\ninterruptible: true\ntimeout: 2h",
    );
    assert_eq!((job.image.as_deref(), &job.image_options.entrypoint), (Some("node:20"), &Some(vec![String::new()])));
    assert_eq!((job.image_options.platform.as_deref(), job.image_options.user.as_deref()), (Some("linux/arm64"), Some("dave")));
    assert_eq!(job.image_options.pull_policy, ["always", "if-not-present"]);
    assert_eq!((job.services[0].name.as_str(), job.services[1].alias.clone()), ("postgres:16", vec!["cache".to_owned(), "kv".to_owned()]));
    assert_eq!(
        (job.services[1].command.clone().unwrap(), &job.services[1].variables),
        (vec!["serve".to_owned()], &variables(&[("A", "b")]))
    );
    assert_eq!(job.services[1].image.pull_policy, ["never"]);
    assert_eq!(
        job.cache[0].key,
        CacheKey::Files { files: vec!["a.lock".to_owned()], prefix: Some("p".to_owned()), of: hms::pipeline::KeyOf::Contents }
    );
    assert_eq!(
        (job.cache[0].policy.as_deref(), job.cache[0].when, job.cache[0].fallback_keys.len()),
        (Some("pull"), ArtifactsWhen::OnFailure, 1)
    );
    assert_eq!(job.cache[1].key, CacheKey::Text("text-$CI_COMMIT_REF_SLUG".to_owned()));
    assert_eq!(
        (job.tags.clone(), job.coverage.as_deref(), job.interruptible, job.timeout_seconds),
        (vec!["docker".to_owned()], Some("total: (\\d+)%"), true, Some(7200))
    );
    let fresh = self::job("cache: {key: {files_commits: [a, /b/c]}, paths: [x]}");
    let CacheKey::Files { files, .. } = &fresh.cache[0].key else { panic!("{fresh:?}") };
    assert_eq!(files, &["a", "b/c"], "from the top of the repository either way");
}

#[test]
fn a_plan_of_all_keywords_is_kept_and_read_again() {
    let plan = Commit::of(&[(
        ".hms-ci.yml",
        "a: {script: x, stage: build, before_script: [b], after_script: [c], retry: {max: 1, when: [api_failure], exit_codes: 1}, services: [s], cache: {key: {files: [f]}}, needs: [], dependencies: [], parallel: {matrix: [{A: b}]}}\n",
    )])
    .planned(&PlanInputs::default());
    let text = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
    // What an earlier hms wrote has none of the newer fields.
    let old = r#"{"stages":["test"],"jobs":[{"name":"a","base_name":"a","stage":"test","stage_index":0,"needs":null,"when":"on_success","allow_failure":false,"blocking":false,"environments":[],"script":["x"]}]}"#;
    assert_eq!(serde_json::from_str::<Plan>(old).unwrap().jobs[0].retry.max, 0);
}

#[test]
fn each_error_has_its_place() {
    let table: &[(&str, &str)] = &[
        ("retry: 3", "1:23 retry"),
        ("retry: {max: -1}", "1:29 retry"),
        ("retry: often", "1:23 type"),
        ("retry: {max: 1, when: sometimes}", "1:38 unknown-value"),
        ("retry: {maxx: 1}", "1:24 unknown-key"),
        ("retry: {max: 1, exit_codes: [a]}", "1:45 type"),
        ("allow_failure: {exit_codes: [x]}", "1:45 type"),
        ("interruptible: maybe", "1:31 type"),
        ("tags: docker", "1:22 type"),
        ("coverage: total", "1:26 condition"),
        ("coverage: '/(/'", "1:26 condition"),
        ("start_in: 8 days, when: delayed", "1:26 duration"),
        ("publish: dist", "1:16 publish"),
        ("services: postgres", "1:26 type"),
        ("services: [{alias: x}]", "1:27 image-name"),
        ("services: [{name: x, pull_policy: later}]", "1:50 unknown-value"),
        ("cache: [{}, {}, {}, {}, {}]", "1:23 cache"),
        ("cache: {key: a/b}", "1:29 cache"),
        ("cache: {key: {files: []}}", "1:37 cache"),
        ("cache: {key: {files: [a, b, c, d, e, f, g, h, i, j, k]}}", "1:37 cache"),
        ("cache: {key: {files_commits: [a, b, c]}}", "1:45 cache"),
        ("cache: {key: {prefix: x}}", "1:29 cache"),
        ("cache: {policy: pul}", "1:32 unknown-value"),
        ("cache: {fallback_keys: [a, b, c, d, e, f]}", "1:39 cache"),
        ("environment: {name: x, auto_stop_in: soon}", "1:53 duration"),
        ("environment: {name: x, on_stop: b}", "1:48 on-stop"),
        ("artifacts: {paths: [x], expose_as: 'a/b'}", "1:51 artifacts"),
        ("artifacts: {paths: ['*'], expose_as: a}", "1:36 artifacts"),
        ("artifacts: {paths: [x], access: noone}", "1:48 unknown-value"),
        ("artifacts: {paths: [x], access: all, public: true}", "1:40 artifacts"),
        ("artifacts: {reports: {coverage_report: {path: x}}}", "1:55 artifacts"),
        ("artifacts: {reports: {coverage_report: {coverage_format: lcov, path: x}}}", "1:73 unknown-value"),
    ];
    for (fields, expected) in table {
        let text = format!("a: {{script: x, {fields}}}\n");
        let reading = Commit::of(&[(".hms-ci.yml", &text)]).read_for(&PlanInputs::default(), hms::pipeline::Purpose::Look);
        assert_eq!(shown(&of_severity(&reading, Severity::Error)), [*expected], "{text}");
    }
}

/// GCL: `retry` and `timeout` are passed over, `artifacts: when` is turned round, `rules: interruptible` is not known; WRK: each line
/// of a script has a shell of its own. Here they are in the plan, for one shell.
#[test]
fn mistakes_of_peers_with_jobs() {
    let job = planned("a: {before_script: [cd x], script: [pwd, 'false | true'], retry: 2, timeout: 1 second, artifacts: {paths: [x], when: on_failure}, rules: [{interruptible: true}]}\n").jobs.remove(0);
    assert_eq!(job.script, ["cd x", "pwd", "false | true"]);
    assert_eq!((job.retry.max, job.timeout_seconds, job.artifacts.when, job.interruptible), (2, Some(1), ArtifactsWhen::OnFailure, true));
}

#[test]
fn what_a_job_takes_from_elsewhere_and_when_it_is_there() {
    let text = "default: {image: d}\n.base: {script: base}\na:\n  extends: .base\n  inherit: {default: false}\n  only: [main]\nb: {extends: .base, except: [main]}\n";
    let inputs = PlanInputs { predefined: variables(&[("CI_COMMIT_REF_NAME", "main")]), ..PlanInputs::default() };
    let plan = Commit::of(&[(".hms-ci.yml", text)]).planned(&inputs);
    assert_eq!(plan.jobs.len(), 1);
    assert_eq!((plan.jobs[0].script[0].as_str(), &plan.jobs[0].image), ("base", &None));
}

/// `doc/ci/environments/_index.md`, "Run a pipeline job when environment is stopped": the stop job needs a `when: manual` of its own or of a rule.
#[test]
fn a_job_that_stops_by_itself_is_warned_about() {
    let text = |more: &str| {
        format!(
            "a: {{script: x, environment: {{name: r/a, on_stop: b}}}}\nb: {{script: x, environment: {{name: r/a, action: stop}}{more}}}\n"
        )
    };
    let told = |more: &str| {
        let reading = reading(&text(more));
        shown(&of_severity(&reading, Severity::Warning).into_iter().filter(|problem| problem.code == "on-stop").collect::<Vec<_>>())
    };
    assert_eq!(told(""), ["1:50 on-stop"]);
    assert_eq!(told(", rules: [{if: $A}]"), ["1:50 on-stop"]);
    for fine in [", when: manual", ", rules: [{if: $A, when: manual}]", ", when: manual, rules: [{if: $A}]"] {
        assert!(told(fine).is_empty(), "{fine}");
    }
    let plan = planned(&text(", rules: [{if: $A, when: manual}]"));
    assert_eq!(plan.without_their_stops().map(|(job, stop)| (job.name.as_str(), stop)).collect::<Vec<_>>(), [("a", "b")]);
}
