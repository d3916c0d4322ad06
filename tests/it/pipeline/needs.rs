//! What a job waits for and gets: `needs`, `dependencies`, `parallel` (`doc/ci/yaml/needs.md`, `doc/ci/yaml/_index.md#parallelmatrix`,
//! `lib/gitlab/ci/config/normalizer.rb`).

use hms::pipeline::{Need, Severity};

use super::world::Commit;
use super::*;

fn needs(plan: &Plan, job: &str) -> Vec<String> {
    let job = plan.job(&name(job)).unwrap();
    job.needs.as_ref().unwrap().iter().map(|need| need.job.to_string()).collect()
}

const BUILDS: &str = "build:\n  stage: build\n  script: x\n  parallel: {matrix: [{OS: [linux, mac], ARCH: [arm, x86]}]}\n";

#[test]
fn a_matrix_has_gitlabs_names_and_variables() {
    let plan = planned(&format!("{BUILDS}plain: {{script: x, parallel: 2}}\n"));
    let shown: Vec<_> = plan.jobs.iter().map(|job| (job.name.as_str(), job.node)).collect();
    assert_eq!(
        shown,
        [
            ("build: [linux, arm]", Some((1, 4))),
            ("build: [linux, x86]", Some((2, 4))),
            ("build: [mac, arm]", Some((3, 4))),
            ("build: [mac, x86]", Some((4, 4))),
            ("plain 1/2", Some((1, 2))),
            ("plain 2/2", Some((2, 2))),
        ]
    );
    assert_eq!(plan.jobs[2].variables, variables(&[("OS", "mac"), ("ARCH", "arm")]));
    assert_eq!((plan.jobs[2].base_name.as_str(), &plan.jobs[2].matrix), ("build", &plan.jobs[2].variables));
    let several = planned("a: {script: x, variables: {A: job}, parallel: {matrix: [{A: [1, two]}, {B: '3.0'}]}}\n");
    let names: Vec<&str> = several.jobs.iter().map(|job| job.name.as_str()).collect();
    assert_eq!(names, ["a: [1]", "a: [two]", "a: [3.0]"]);
    assert_eq!(several.jobs[0].variables["A"], "1", "the matrix wins over the job");
}

#[test]
fn needs_of_a_matrix() {
    let with = |needs: &str| planned(&format!("{BUILDS}test:\n  script: x\n  needs: [{needs}]\n"));
    assert_eq!(needs(&with("build"), "test").len(), 4, "the plain name is all instances");
    assert_eq!(needs(&with("'build: [mac, arm]'"), "test"), ["build: [mac, arm]"]);
    let part = with("{job: build, parallel: {matrix: [{OS: linux, ARCH: [arm, x86]}]}}");
    assert_eq!(needs(&part, "test"), ["build: [linux, arm]", "build: [linux, x86]"]);
    let both = with(
        "{job: build, artifacts: false, parallel: {matrix: [{OS: mac, ARCH: arm}]}}, {job: build, parallel: {matrix: [{OS: linux, ARCH: arm}]}}",
    );
    assert_eq!(needs(&both, "test"), ["build: [mac, arm]", "build: [linux, arm]"]);
    assert!(!both.job(&name("test")).unwrap().needs.as_ref().unwrap()[0].artifacts);
}

#[test]
fn a_matrix_names_its_own_values_in_needs() {
    let text = format!(
        "{BUILDS}test:\n  script: x\n  parallel: {{matrix: [{{OS: [linux, mac]}}]}}\n  needs:\n    - job: build\n      parallel: {{matrix: [{{OS: ['$[[ matrix.OS ]]'], ARCH: arm}}]}}\n    - job: 'build: [$[[ matrix.OS ]], x86]'\n"
    );
    let plan = planned(&text);
    assert_eq!(needs(&plan, "test: [mac]"), ["build: [mac, arm]", "build: [mac, x86]"]);
    assert_eq!(needs(&plan, "test: [linux]"), ["build: [linux, arm]", "build: [linux, x86]"]);
    let pipeline = reading(&text.replace("matrix.OS", "matrix.OSS")).pipeline.unwrap();
    let problems = hms::pipeline::plan(&pipeline, &PlanInputs::default()).unwrap_err();
    assert!(problems[0].message.contains("`$[[ matrix.OSS ]]`"), "{problems:?}");
}

/// The plain name is every instance, so each must be there; and what `parallel` makes of the entries counts
/// (`normalizer.rb`, `pipeline/seed/build.rb`).
#[test]
fn needs_of_all_instances() {
    let some = "b: {stage: build, script: x, parallel: {matrix: [{A: [x, y]}]}, rules: [{if: $A == 'x'}]}\nt: {script: x, needs: [b]}\n";
    let problems = plan(&reading(some).pipeline.unwrap(), &PlanInputs::default()).unwrap_err();
    assert!(problems[0].message.contains("needs `b: [y]`, which is not in this pipeline"), "{problems:?}");
    let optional = some.replace("needs: [b]", "needs: [{job: b, optional: true}]");
    assert_eq!(needs(&planned(&optional), "t"), ["b: [x]"]);
    let many = "b: {stage: build, script: x, parallel: 51}\nt:\n  script: x\n  needs: [b]\n";
    let problems = plan(&reading(many).pipeline.unwrap(), &PlanInputs::default()).unwrap_err();
    assert_eq!(shown(&problems.iter().collect::<Vec<_>>()), ["4:3 too-many-needs"]);
    assert_eq!(needs(&planned(&many.replace("51", "50")), "t").len(), 50);
}

#[test]
fn optional_needs_may_be_missing() {
    let part =
        format!("{BUILDS}t: {{script: x, needs: [{{job: build, optional: true, parallel: {{matrix: [{{OS: bsd, ARCH: arm}}]}}}}]}}\n");
    assert!(needs(&planned(&part), "t").is_empty());
    let text = "a: {script: x, rules: [{if: $A}]}\nb: {script: x, needs: [{job: a, optional: true}]}\nc: {script: x}\n";
    assert_eq!(planned(text).job(&name("b")).unwrap().needs, Some(Vec::<Need>::new()), "it starts at once");
    let inputs = PlanInputs { variables: variables(&[("A", "1")]), ..PlanInputs::default() };
    assert_eq!(needs(&planned_with(text, &inputs), "b"), ["a"]);
}

/// `app/models/ci/processable_dependencies.rb`: `dependencies` takes some of what a job would get anyway.
#[test]
fn dependencies_take_some_of_the_artifacts() {
    let text = "
stages: [one, two]
a: {stage: one, script: x, parallel: 2}
b: {stage: one, script: x}
all: {stage: two, script: x}
some: {stage: two, script: x, dependencies: [a]}
none: {stage: two, script: x, dependencies: []}
needed: {stage: two, script: x, needs: [a, b], dependencies: [b]}
without: {stage: two, script: x, needs: [{job: a, artifacts: false}, b], dependencies: [a, b]}
";
    let plan = planned(text);
    let producers =
        |job: &str| -> Vec<String> { plan.producers_of(plan.job(&name(job)).unwrap()).iter().map(|job| job.name.to_string()).collect() };
    assert_eq!(producers("all"), ["a 1/2", "a 2/2", "b"]);
    assert_eq!(producers("some"), ["a 1/2", "a 2/2"]);
    assert!(producers("none").is_empty());
    assert_eq!(producers("needed"), ["b"]);
    assert_eq!(producers("without"), ["b"]);
}

#[test]
fn errors_of_needs_dependencies_and_parallel() {
    let late = "late: {stage: deploy, script: x}\n";
    let table: &[(&str, &[&str], &str)] = &[
        ("a: {script: x, dependencies: [b]}\n", &["1:31 unknown-dependency"], "no such job"),
        ("a: {script: x, dependencies: b}\n", &["1:30 type"], "a list"),
        ("a: {script: x, dependencies: [a]}\n", &["1:31 unknown-dependency"], "itself"),
        (&format!("a: {{script: x, dependencies: [late]}}\n{late}"), &["1:31 later-dependency"], "`deploy`"),
        ("a: {script: x, needs: [b], dependencies: [c]}\nb: {script: x}\nc: {script: x}\n", &["1:43 dependency-not-needed"], "add `c`"),
        ("a: {script: x, parallel: {matrix: [{A: []}]}}\n", &["1:40 type"], ""),
        ("a: {script: x, parallel: {matrix: [{A: {b: c}}]}}\n", &["1:40 type"], ""),
        ("a: {script: x, parallel: {matrix: {A: b}}}\n", &["1:35 type"], "a list"),
        ("a: {script: x, parallel: {matrix: [{}]}}\n", &["1:36 parallel"], "no variable"),
        ("a: {script: x, parallel: {}}\n", &["1:26 parallel"], "no `matrix`"),
        ("a: {script: x, parallel: {matrix: [{A-B: c}]}}\n", &["1:37 variable-name"], ""),
        ("a: {script: x, parallel: {matrix: [{A: x}, {A: x}]}}\n", &["1:1 job-name"], "twice"),
        ("'b: [x]': {script: x}\nb: {script: x, parallel: {matrix: [{A: x}]}}\n", &["1:1 job-name"], "instance of `b`"),
        (&format!("{BUILDS}t: {{script: x, needs: ['build: [bsd, arm]']}}\n"), &["5:24 unknown-need"], ""),
        (
            &format!("{BUILDS}t: {{script: x, needs: [{{job: build, parallel: {{matrix: [{{OS: bsd, ARCH: arm}}]}}}}]}}\n"),
            &["5:30 unknown-need"],
            "no instance",
        ),
        (&format!("{BUILDS}t: {{script: x, needs: [{{job: build, parallel: 2}}]}}\n"), &["5:47 type"], "a mapping"),
        ("a: {script: x, rules: [{when: always, needs: [b]}]}\n", &["1:47 unknown-need"], "no such job"),
    ];
    for (text, expected, part) in table {
        let reading = reading(text);
        let errors = of_severity(&reading, Severity::Error);
        assert_eq!(shown(&errors), *expected, "{text}\n{errors:#?}");
        let told = format!("{} {}", errors[0].message, errors[0].hint.clone().unwrap_or_default());
        assert!(told.contains(part), "{told}");
    }
    let values: Vec<String> = (0..201).map(|value| value.to_string()).collect();
    let reading = reading(&format!("a: {{script: x, parallel: {{matrix: [{{A: [{}]}}]}}}}\n", values.join(", ")));
    assert_eq!(shown(&of_severity(&reading, Severity::Error)), ["1:35 parallel"]);
}

/// GCL: `test: [1/4]` and `job: [a,b]`, and a need of `compile: [amd64]` is not found (#1777); `allow_failure: exit_codes` lets
/// later stages run for a code that is not in the list; ACT, GCL: a job waits for its wave. WRK: `needs` is passed over.
#[test]
fn mistakes_of_peers_with_needs() {
    let plan = planned(
        "compile: {stage: build, script: x, parallel: {matrix: [{A: [amd64, arm]}]}}\nt: {script: x, needs: ['compile: [amd64]']}\n",
    );
    let mut world = World::new(plan);
    world.step();
    world.end("compile: [amd64]", JobStatus::Success);
    assert_eq!(world.status("t"), JobStatus::Running, "it waits for nothing else");
    let plan = planned("a: {stage: build, script: x, allow_failure: {exit_codes: [3, 4]}}\nb: {script: x}\n");
    for (code, after) in [(Some(3), JobStatus::Pending), (Some(1), JobStatus::Skipped), (None, JobStatus::Skipped)] {
        let steps = next(&plan, &|job| hms::pipeline::Seen {
            status: if job.as_str() == "a" { JobStatus::Failed } else { JobStatus::Created },
            gate_open: false,
            exit_code: code,
        });
        let found = match &steps[0] {
            Step::Queue(_) => JobStatus::Pending,
            Step::Skip(_, why) => {
                assert_eq!(why, "`a` failed");
                JobStatus::Skipped
            }
            other @ (Step::Gate(_) | Step::Delay(..)) => panic!("{other:?}"),
        };
        assert_eq!(found, after, "{code:?}");
    }
    // A job that needs a manual one nobody started does not end the run (GCL #777): it is skipped, with why.
    let mut world = World::new(planned("m: {stage: build, script: x, when: manual}\nt: {script: x, needs: [m]}\nu: {script: x}\n"));
    world.step();
    assert_eq!((world.status("t"), world.status("u")), (JobStatus::Skipped, JobStatus::Running));
    assert_eq!(world.why[&name("t")], "`m` is optional and nobody has started it");
}

#[test]
fn needs_in_lists_of_references_count_as_one_list() {
    let text = ".common: {needs: [x]}\nx: {stage: build, script: x}\ny: {stage: build, script: x}\na:\n  script: x\n  needs:\n    - !reference [.common, needs]\n    - y\n";
    assert_eq!(needs(&Commit::of(&[(".hms-ci.yml", text)]).planned(&PlanInputs::default()), "a"), ["x", "y"]);
}
