//! Variables, and the scheduler case by case.

use hms::event::{JobStatus, RunId};
use hms::pipeline::{AutoStop, Job, JobFacts, PipelineFacts, Reference, Step, environment_slug, predefined, predefined_for_job};

use super::world::Commit;
use super::*;

const BEFORE: &str = "1111111111111111111111111111111111111111";

fn facts() -> PipelineFacts {
    PipelineFacts {
        revision: "8c4f2d3000000000000000000000000000000000".parse().unwrap(),
        message: Some("hot-fix: no $HOME\n\nmore\nof it\n".to_owned()),
        author: Some("Ann <ann@example.org>".to_owned()),
        timestamp: Some("2026-11-24T16:02:11Z".to_owned()),
        before: None,
        tag_message: None,
        reference: Some(Reference::Branch("Feature/One".to_owned())),
        default_branch: Some("main".to_owned()),
        project_name: Some("irs-api".to_owned()),
        project_path: Some("Irs/Tax Group/irs-api".to_owned()),
        server_host: Some("gitlab.example.org".to_owned()),
        config_path: Some(".hms-ci.yml".to_owned()),
        number: Some(42),
        run: Some(RunId::from_ulid("01JDEADBEEF000000000000000".parse().unwrap())),
        created_at: None,
        source: Some("push".to_owned()),
        name: None,
        protected: Some(true),
    }
}

#[test]
fn ci_variables_are_true_or_not_there() {
    let set = predefined(&facts());
    let table = [
        ("CI", Some("true")),
        ("CI_COMMIT_SHORT_SHA", Some("8c4f2d30")),
        ("CI_COMMIT_TITLE", Some("hot-fix: no $HOME")),
        ("CI_COMMIT_DESCRIPTION", Some("more\nof it")),
        ("CI_COMMIT_BRANCH", Some("Feature/One")),
        ("CI_COMMIT_REF_SLUG", Some("feature-one")),
        ("CI_COMMIT_TAG", None),
        ("CI_COMMIT_BEFORE_SHA", Some("0000000000000000000000000000000000000000")),
        ("CI_COMMIT_TAG_MESSAGE", None),
        ("CI_PIPELINE_IID", Some("42")),
        ("CI_PIPELINE_CREATED_AT", None),
        ("CI_PROJECT_PATH", Some("Irs/Tax Group/irs-api")),
        ("CI_PROJECT_PATH_SLUG", Some("irs-tax-group-irs-api")),
        ("CI_PROJECT_NAMESPACE", Some("Irs/Tax Group")),
        ("CI_PROJECT_ROOT_NAMESPACE", Some("Irs")),
        ("CI_SERVER_HOST", Some("gitlab.example.org")),
        ("GITLAB_CI", None),
    ];
    for (name, value) in table {
        assert_eq!(set.get(name).map(String::as_str), value, "{name}");
    }
    let tag = Some(Reference::Tag("v1.0".to_owned()));
    let before = Some(BEFORE.parse().unwrap());
    let tagged = predefined(&PipelineFacts { reference: tag, tag_message: Some("first".to_owned()), before, ..facts() });
    assert_eq!((tagged["CI_COMMIT_TAG_MESSAGE"].as_str(), tagged["CI_COMMIT_BEFORE_SHA"].as_str()), ("first", BEFORE));
    assert_eq!((tagged.get("CI_COMMIT_TAG").unwrap().as_str(), tagged.get("CI_COMMIT_BRANCH")), ("v1.0", None));
}

#[test]
fn a_jobs_own_variables() {
    let plan = planned("a b: {script: x, parallel: 2, environment: {name: Production EU, url: u}}\n");
    let facts = JobFacts {
        job: &plan.jobs[1],
        id: None,
        project_dir: Some("/p"),
        started_at: None,
        timeout_seconds: Some(60),
        actionable: true,
        image: None,
    };
    let set = predefined_for_job(&facts);
    let expected = [
        ("CI_BUILDS_DIR", "/"),
        ("CI_ENVIRONMENT_ACTION", "start"),
        ("CI_ENVIRONMENT_NAME", "Production EU"),
        ("CI_ENVIRONMENT_SLUG", "production-eu-dxh713"),
        ("CI_ENVIRONMENT_TIER", "production"),
        ("CI_ENVIRONMENT_URL", "u"),
        ("CI_JOB_GROUP_NAME", "a b"),
        ("CI_JOB_MANUAL", "true"),
        ("CI_JOB_NAME", "a b 2/2"),
        ("CI_JOB_NAME_SLUG", "a-b-2-2"),
        ("CI_JOB_STAGE", "test"),
        ("CI_JOB_TIMEOUT", "60"),
        ("CI_NODE_INDEX", "2"),
        ("CI_NODE_TOTAL", "2"),
        ("CI_PROJECT_DIR", "/p"),
        ("CI_SERVER", "yes"),
    ];
    assert_eq!(set, variables(&expected));
}

/// `doc/ci/variables/where_variables_can_be_used.md`: name, address and `auto_stop_in`; `app/models/environment.rb`: the tier.
#[test]
fn an_environments_name_address_and_tier_are_made_of_variables() {
    let text = "
variables: {LIFE: 2 days, DOMAIN: example.org}
go:
  script: x
  resource_group: $CI_ENVIRONMENT_SLUG
  environment: {name: review/$CI_COMMIT_REF_SLUG$GONE, url: 'https://$CI_ENVIRONMENT_SLUG.$DOMAIN/$PORT', auto_stop_in: $LIFE, deployment_tier: staging}
check:
  script: x
  environment: {name: review/$CI_COMMIT_REF_SLUG, action: verify, auto_stop_in: $GONE}
other:
  script: x
  environment: {name: customers}
";
    let reading = reading(text);
    let inputs = PlanInputs { predefined: predefined(&facts()), ..PlanInputs::default() };
    let plan = hms::pipeline::plan(&reading.pipeline.unwrap(), &inputs).unwrap();
    let of = |job: &str| plan.job(&name(job)).unwrap().environment.clone().unwrap();
    let slug = environment_slug(&of("go").name);
    assert_eq!(of("go").name, format!("review/{}", inputs.predefined["CI_COMMIT_REF_SLUG"]), "what is unknown becomes nothing");
    assert_eq!(of("go").url.unwrap(), format!("https://{slug}.example.org/$PORT"), "what is left is for the runner");
    assert_eq!(plan.job(&name("go")).unwrap().resource_group.as_ref(), Some(&slug));
    assert_eq!(
        (of("go").auto_stop, of("check").auto_stop, of("other").auto_stop),
        (Some(AutoStop::After(172_800)), Some(AutoStop::Never), None)
    );
    assert_eq!((of("check").tier.as_deref(), of("other").tier), (Some("staging"), None), "the environment's, whichever job says it");
    let facts = |job: &str| JobFacts {
        job: plan.job(&name(job)).unwrap(),
        id: None,
        project_dir: None,
        started_at: None,
        timeout_seconds: None,
        actionable: false,
        image: None,
    };
    assert_eq!(predefined_for_job(&facts("other"))["CI_ENVIRONMENT_TIER"], "other");
    assert_eq!(predefined_for_job(&facts("check"))["CI_ENVIRONMENT_ACTION"], "verify");
    let wrong = planned_or_not("a: {script: x, environment: {name: e, auto_stop_in: $LIFE}}\n", &[("LIFE", "soon")]);
    assert_eq!(shown(&wrong.iter().collect::<Vec<_>>()), ["1:53 duration"]);
}

fn planned_or_not(text: &str, given: &[(&str, &str)]) -> Vec<hms::pipeline::Problem> {
    let inputs = PlanInputs { variables: variables(given), ..PlanInputs::default() };
    hms::pipeline::plan(&reading(text).pipeline.unwrap(), &inputs).err().unwrap_or_default()
}

fn job_with(text: &str, given: &[(&str, &str)]) -> Job {
    planned_with(text, &PlanInputs { variables: variables(given), predefined: predefined(&facts()), ..PlanInputs::default() })
        .jobs
        .remove(0)
}

#[test]
fn variables_go_from_low_to_high_and_are_expanded_once() {
    let text = "variables: {A: g, B: g, C: g, N: 012, Y: yes, F: 1.10, E: }\na:\n  script: x\n  variables:\n    B: j\n    C: j\n    D: $A-$B-$C-$CI_COMMIT_SHORT_SHA-$CI_JOB_NAME-$GONE-$$A\n    T: $CI_COMMIT_TITLE\n    R: {value: $A, expand: false}\n    S: $R\n";
    let job = job_with(text, &[("C", "run"), ("CI_COMMIT_SHORT_SHA", "mine")]);
    let table = [
        ("A", "g"),
        ("B", "j"),
        ("C", "run"),
        ("N", "10"),
        ("Y", "true"),
        ("F", "1.1"),
        ("E", ""),
        ("D", "g-j-run-mine-a-$GONE-$$A"),
        ("T", "hot-fix: no $HOME"),
        ("R", "$A"),
        ("S", "$R"),
    ];
    for (name, value) in table {
        assert_eq!(job.variables[name], value, "{name}");
    }
    assert!(job.raw_variables.contains("R"));
    let all = job.runner_variables(&predefined(&facts()), &BTreeMap::new());
    assert_eq!(all["D"], "g-j-run-mine-a--$A");
    assert_eq!(all["R"], "$A");
    assert_eq!(all["S"], "$A");
    assert_eq!(all["CI_COMMIT_TITLE"], "hot-fix: no $HOME", "a commit's message is never expanded");
    // What a job reports or a person gives comes after the plan, and changes what names it.
    let late = [("A", "late-$CI_JOB_STAGE"), ("R", "$A")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let all = job.runner_variables(&predefined(&facts()), &late.into());
    assert_eq!((all["A"].as_str(), all["R"].as_str(), all["S"].as_str()), ("late-", "late-", "late-"));
    assert_eq!(all["D"], "late--j-run-mine---$A");
    let circle = [("A", "$D"), ("D", "$A")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(job.runner_variables(&predefined(&facts()), &circle.into())["C"], "run");
}

#[test]
fn rules_choose_and_add_variables() {
    let text = "a:\n  script: x\n  variables: {A: job}\n  rules:\n    - if: $CI_COMMIT_BRANCH == 'main'\n      when: never\n    - if: $CI_COMMIT_BRANCH =~ /^feature/i && $A == 'job'\n      variables: {A: rule}\nb:\n  script: x\n  rules: [{if: $GONE}]\n";
    let plan = planned_with(text, &PlanInputs { predefined: predefined(&facts()), ..PlanInputs::default() });
    assert_eq!(plan.jobs.len(), 1);
    assert_eq!(plan.jobs[0].variables["A"], "rule");
}

#[test]
fn a_job_starts_when_its_last_need_ends_and_not_with_a_wave() {
    let mut world = World::new(planned(
        "stages: [build, test]\nslow: {stage: build, script: x}\nfast: {stage: build, script: x}\nchild: {stage: test, script: x, needs: [fast]}\nlate: {stage: test, script: x}\n",
    ));
    world.step();
    world.end("fast", JobStatus::Success);
    assert_eq!(world.status("child"), JobStatus::Running);
    assert_eq!(world.status("late"), JobStatus::Created);
    world.end("slow", JobStatus::Success);
    assert_eq!(world.status("late"), JobStatus::Running);
}

#[test]
fn what_follows_a_failure() {
    let mut world = World::new(planned(
        "stages: [one, two, three]\na: {stage: one, script: x}\nok: {stage: two, script: x}\ncleanup: {stage: two, script: x, when: on_failure}\nalways: {stage: two, script: x, when: always}\ngate: {stage: two, script: x, when: manual, allow_failure: false}\nlast: {stage: three, script: x}\n",
    ));
    world.step();
    world.end("a", JobStatus::Failed);
    assert_eq!(world.status("ok"), JobStatus::Skipped);
    assert_eq!(world.status("gate"), JobStatus::Skipped, "a gate is not offered after a failure");
    assert_eq!(world.why[&name("ok")], "`a` failed");
    world.end("cleanup", JobStatus::Success);
    world.end("always", JobStatus::Success);
    assert_eq!(world.status("last"), JobStatus::Skipped);
}

#[test]
fn an_allowed_failure_is_a_warning() {
    let mut world = World::new(planned(
        "a: {stage: build, script: x, allow_failure: true}\nb: {script: x}\nc: {script: x, needs: [a]}\nd: {script: x, when: on_failure}\n",
    ));
    world.step();
    world.end("a", JobStatus::Failed);
    assert_eq!((world.status("b"), world.status("c")), (JobStatus::Running, JobStatus::Running));
    assert_eq!(world.status("d"), JobStatus::Skipped);
    assert_eq!(world.why[&name("d")], "nothing before it failed");
}

#[test]
fn an_optional_manual_job_blocks_no_stage_but_what_needs_it() {
    let mut world = World::new(planned("a: {stage: build, script: x, when: manual}\nb: {script: x}\nc: {script: x, needs: [a]}\n"));
    world.step();
    assert_eq!(world.status("a"), JobStatus::Manual);
    assert_eq!(world.status("b"), JobStatus::Running);
    assert_eq!(world.status("c"), JobStatus::Skipped);
    assert_eq!(world.why[&name("c")], "`a` is optional and nobody has started it");
}

#[test]
fn a_blocking_manual_job_holds_every_later_stage() {
    let mut world = World::new(planned(
        "a: {stage: build, script: x, when: manual, allow_failure: false}\nb: {script: x}\nc: {stage: deploy, script: x}\nd: {script: x, needs: []}\n",
    ));
    let steps = world.step();
    assert_eq!(steps, [Step::Gate(name("a")), Step::Queue(name("d"))]);
    world.end("d", JobStatus::Success);
    assert_eq!((world.status("b"), world.status("c")), (JobStatus::Created, JobStatus::Created));
    world.set("a", JobStatus::Success);
    assert_eq!(world.step(), [Step::Queue(name("b"))]);
}

#[test]
fn nothing_starts_after_a_cancel() {
    let mut world = World::new(planned("a: {stage: build, script: x}\nb: {script: x, when: always}\n"));
    world.step();
    world.end("a", JobStatus::Canceled);
    assert_eq!(world.status("b"), JobStatus::Skipped);
    assert_eq!(world.why[&name("b")], "`a` was cancelled");
}

#[test]
fn a_pipelines_number_is_known_to_its_jobs_and_not_before_and_its_id_to_no_rule() {
    // doc/ci/variables/predefined_variables.md (pre-pipeline, pipeline, job-only); pipeline/chain/seed.rb.
    let text = "
include: {local: more.yml, rules: [{if: $CI_PIPELINE_IID}]}
workflow: {name: 'run $CI_PIPELINE_IID', rules: [{if: $CI_PIPELINE_IID, variables: {W: known}}, {when: always}]}
number: {script: x, rules: [{if: $CI_PIPELINE_IID == '42'}], variables: {V: v-$CI_PIPELINE_IID-$CI_PIPELINE_ID}}
id: {script: x, rules: [{if: $CI_PIPELINE_ID}]}
";
    let facts = PipelineFacts { run: None, ..facts() };
    let inputs = PlanInputs { predefined: predefined(&facts), ..PlanInputs::default() };
    let plan = Commit::of(&[(".hms-ci.yml", text), ("more.yml", "more: {script: x}\n")]).planned(&inputs);
    let [job] = plan.jobs.as_slice() else { panic!("{:#?}", plan.jobs) };
    assert_eq!((job.name.as_str(), plan.name.as_deref(), job.variables.get("W")), ("number", Some("run 42"), None));
    let all = job.runner_variables(&predefined(&self::facts()), &BTreeMap::new());
    assert_eq!(all["V"], "v-42-01JDEADBEEF000000000000000");
}
