//! Whether a job, or a pipeline, is there: `workflow`, `rules`, `only`, `except` (`doc/ci/jobs/job_rules.md`,
//! `doc/ci/yaml/workflow.md`, `doc/ci/yaml/deprecated_keywords.md`, `lib/gitlab/ci/build/{rules,policy}/`).

use hms::event::When;
use hms::pipeline::{Elsewhere, Foreign, Severity, Since, Why};

use super::world::Commit;
use super::*;

const MAIN: &str = ".hms-ci.yml";
const BEFORE: &str = "1111111111111111111111111111111111111111";

fn push(branch: &str) -> PlanInputs {
    let predefined = [
        ("CI_PIPELINE_SOURCE", "push"),
        ("CI_COMMIT_BEFORE_SHA", BEFORE),
        ("CI_COMMIT_BRANCH", branch),
        ("CI_COMMIT_REF_NAME", branch),
        ("CI_DEFAULT_BRANCH", "main"),
        ("CI_PROJECT_PATH", "group/project"),
    ];
    PlanInputs { predefined: variables(&predefined), ..PlanInputs::default() }
}

fn tag(name: &str) -> PlanInputs {
    let predefined = [("CI_PIPELINE_SOURCE", "web"), ("CI_COMMIT_TAG", name), ("CI_COMMIT_REF_NAME", name)];
    PlanInputs { predefined: variables(&predefined), ..PlanInputs::default() }
}

fn names(plan: &Plan) -> Vec<&str> {
    plan.jobs.iter().map(|job| job.name.as_str()).collect()
}

#[test]
fn workflow_decides_whether_there_is_a_pipeline() {
    let table = [
        ("[{if: $CI_COMMIT_BRANCH == 'main'}]", true),
        ("[{if: $CI_COMMIT_BRANCH == 'x'}]", false),
        ("[{if: $CI_COMMIT_BRANCH == 'main', when: never}, {when: always}]", false),
        ("[{if: $CI_COMMIT_BRANCH == 'x', when: never}, {when: always}]", true),
        ("[{exists: [Makefile]}]", true),
        ("[{changes: [docs/*]}]", false),
    ];
    for (rules, runs) in table {
        let text = format!("workflow:\n  name: 'run of $CI_COMMIT_BRANCH'\n  rules: {rules}\na: {{script: x}}\n");
        let commit = Commit::of(&[(MAIN, &text), ("Makefile", "")]).changing(Since::Revision(BEFORE.to_owned()), &["src/a"]);
        let plan = commit.planned(&push("main"));
        assert_eq!(plan.nothing.is_none(), runs, "{rules}: {:?}", plan.nothing);
        assert_eq!(plan.jobs.len(), usize::from(runs));
        assert_eq!(plan.name.as_deref(), runs.then_some("run of main"));
    }
}

#[test]
fn workflow_variables_stand_between_the_files_and_the_jobs() {
    let text = "
variables: {A: file, B: file, C: file}
workflow:
  rules:
    - if: $CI_COMMIT_BRANCH
      variables: {A: workflow, B: workflow}
a: {script: x, variables: {B: job}}
";
    let plan = Commit::of(&[(MAIN, text)]).planned(&push("main"));
    assert_eq!(plan.jobs[0].variables, variables(&[("A", "workflow"), ("B", "job"), ("C", "file")]));
}

#[test]
fn a_plan_without_jobs_says_why() {
    let table = [
        ("a: {script: x, rules: [{if: $GONE}]}\n", "its rules leave out every job"),
        ("a: {script: x, stage: .pre}\nb: {script: x, stage: .post}\n", "only jobs of `.pre` and `.post`"),
    ];
    for (text, why) in table {
        let plan = Commit::of(&[(MAIN, text)]).planned(&push("main"));
        assert!(plan.jobs.is_empty() && plan.nothing.as_ref().unwrap().contains(why), "{:?}", plan.nothing);
    }
}

/// The first rule that matches decides; what each said is told.
#[test]
fn rules_are_told_one_by_one() {
    let text = "
a:
  script: x
  rules:
    - if: $CI_COMMIT_BRANCH == 'x'
    - exists: ['*.lock']
    - changes: {paths: ['src/**/*.rs'], compare_to: refs/heads/main}
      when: manual
      allow_failure: true
      variables: {A: rule}
      interruptible: true
    - when: always
";
    let commit = Commit::of(&[(MAIN, text)]).changing(Since::MergeBase("refs/heads/main".to_owned()), &["src/deep/a.rs"]);
    let (plan, trace) = commit.plan(&push("main"));
    let job = plan.unwrap().jobs.remove(0);
    assert_eq!((job.when, job.allow_failure, job.interruptible), (When::Manual, true, true));
    assert_eq!(job.variables["A"], "rule");
    let looks = &trace.jobs[0].rules;
    let told: Vec<String> = looks.iter().map(|look| format!("{:?}", look.matched)).collect();
    assert_eq!(told[0], r#"Some(Err("`$CI_COMMIT_BRANCH == 'x'` ($CI_COMMIT_BRANCH is \"main\") does not hold"))"#);
    assert_eq!(told[1], r#"Some(Err("no file matches `*.lock`"))"#);
    assert_eq!(told[2], r#"Some(Ok("`src/deep/a.rs` changed and matches `src/**/*.rs`"))"#);
    assert_eq!(told[3], "None");
    assert_eq!(trace.jobs[0].why, Why::Taken("rule 3 (7:7) matches".to_owned()));
}

#[test]
fn a_rule_holds_when_all_of_its_clauses_do() {
    let text = |rule: &str| format!("a:\n  script: x\n  rules: [{rule}]\nb: {{script: x}}\n");
    let table = [
        ("{if: $CI_COMMIT_BRANCH, exists: [Makefile]}", true),
        ("{if: $CI_COMMIT_BRANCH, exists: [gone]}", false),
        ("{if: $GONE, exists: [Makefile]}", false),
        ("{exists: [src/*.rs]}", true),
        ("{exists: ['**/*.rs']}", true),
        ("{exists: [src]}", false),
        ("{exists: {paths: [gone, Makefile]}}", true),
        ("{exists: [$WHERE/a.rs]}", true),
        ("{changes: [src/a.rs]}", true),
        ("{changes: [$WHERE/*]}", true),
        ("{changes: ['*']}", false),
        ("{changes: {paths: [docs/*]}}", false),
    ];
    for (rule, taken) in table {
        let commit = Commit::of(&[(MAIN, &text(rule)), ("Makefile", ""), ("src/a.rs", "")]);
        let commit = commit.changing(Since::Revision(BEFORE.to_owned()), &["src/a.rs"]);
        let inputs = PlanInputs { variables: variables(&[("WHERE", "src")]), ..push("main") };
        assert_eq!(commit.planned(&inputs).jobs.len() == 2, taken, "{rule}");
    }
}

#[test]
fn exists_may_speak_of_another_project() {
    let text = |more: &str| format!("a: {{script: x, rules: [{{exists: {{paths: [Makefile], {more}}}}}]}}\nb: {{script: x}}\n");
    let elsewhere = Elsewhere::Project { project: "g/p".to_owned(), reference: Some("v1".to_owned()) };
    for (more, taken) in [("project: $GROUP/p, ref: v1", true), ("project: g/p, ref: $WHERE", true)] {
        let commit = Commit::of(&[(MAIN, &text(more))]).with_foreign(Foreign::Of(elsewhere.clone(), "Makefile".to_owned()), "");
        let inputs = PlanInputs { variables: variables(&[("GROUP", "g"), ("WHERE", "v1")]), ..push("main") };
        assert_eq!(commit.planned(&inputs).jobs.len() == 2, taken, "{more}");
    }
    let gone = Commit::of(&[(MAIN, &text("project: g/gone"))]);
    let problems = gone.plan(&push("main")).0.unwrap_err();
    assert_eq!(shown(&problems.iter().collect::<Vec<_>>()), ["1:25 undecided-rule"]);
    assert!(problems[0].message.contains("`g/gone`"), "{}", problems[0].message);
}

/// Without a push there is nothing to compare with, and `changes` holds (`clause/changes.rb`: `return true unless modified_paths`).
#[test]
fn changes_hold_where_no_push_started_the_run() {
    let text = "a: {script: x, rules: [{changes: [gone]}]}\n";
    let plan = Commit::of(&[(MAIN, text)]).planned(&tag("v1"));
    assert_eq!(names(&plan), ["a"]);
}

#[test]
fn what_cannot_be_compared_is_an_error_and_no_guess() {
    let text = "a:\n  script: x\n  rules:\n    - changes: {paths: [x], compare_to: gone}\n";
    let problems = Commit::of(&[(MAIN, text)]).plan(&push("main")).0.unwrap_err();
    assert_eq!(shown(&problems.iter().collect::<Vec<_>>()), ["4:41 undecided-rule"]);
    let alone = reading(text).pipeline.unwrap();
    assert_eq!(plan(&alone, &PlanInputs::default()).unwrap_err()[0].code, "undecided-rule");
}

/// `lib/gitlab/ci/build/rules.rb`: the rule's needs take the place of the job's, unless they are empty.
#[test]
fn needs_of_a_rule_take_the_place_of_the_jobs() {
    let text = "
x: {stage: build, script: x}
y: {stage: build, script: x}
a:
  script: x
  needs: [x]
  rules:
    - if: $Y
      needs: [y]
    - if: $NONE
      needs: []
    - when: on_success
";
    let needs = |given: &[(&str, &str)]| {
        let inputs = PlanInputs { variables: variables(given), ..PlanInputs::default() };
        let plan = Commit::of(&[(MAIN, text)]).planned(&inputs);
        plan.job(&name("a")).unwrap().needs.as_ref().unwrap().iter().map(|need| need.job.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(needs(&[("Y", "1")]), ["y"]);
    assert_eq!(needs(&[("NONE", "1")]), ["x"]);
    assert_eq!(needs(&[]), ["x"]);
    let circle = "a: {script: x, rules: [{if: $A, needs: [b]}, {when: always}]}\nb: {script: x, needs: [a]}\n";
    let with = PlanInputs { variables: variables(&[("A", "1")]), ..PlanInputs::default() };
    assert_eq!(Commit::of(&[(MAIN, circle)]).plan(&with).0.unwrap_err()[0].code, "cycle");
    assert_eq!(Commit::of(&[(MAIN, circle)]).planned(&PlanInputs::default()).jobs.len(), 2);
}

/// `entry/job.rb`, `ignored?`: what a job says of `manual` stays, whatever its rule says of `when`.
#[test]
fn allow_failure_is_the_rules_then_the_jobs_then_manual() {
    let table = [
        ("rules: [{when: manual}]", When::Manual, false, true),
        ("when: manual, rules: [{if: $GONE}, {when: manual}]", When::Manual, true, false),
        ("when: manual, rules: [{when: on_success}]", When::OnSuccess, true, false),
        ("when: manual, rules: [{when: on_success, allow_failure: false}]", When::OnSuccess, false, false),
        ("allow_failure: true, rules: [{when: manual}]", When::Manual, true, false),
        ("allow_failure: {exit_codes: 3}, rules: [{when: manual}]", When::Manual, false, true),
    ];
    for (fields, when, allow_failure, blocking) in table {
        let job = planned(&format!("a: {{script: x, {fields}}}\n")).jobs.remove(0);
        assert_eq!((job.when, job.allow_failure, job.blocking), (when, allow_failure, blocking), "{fields}");
    }
    let job = planned("a: {script: x, allow_failure: {exit_codes: 3}, rules: [{allow_failure: false}]}\n").jobs.remove(0);
    assert!(job.allow_failure_exit_codes.is_empty(), "a rule that says something takes the exit codes away");
}

#[test]
fn rules_see_the_matrix_and_masked_variables() {
    let text = "
a:
  script: x
  parallel: {matrix: [{OS: [linux, mac]}]}
  rules: [{if: $OS == 'linux' && $TOKEN}]
b: {script: x}
";
    let masked = PlanInputs { masked: variables(&[("TOKEN", "secret-value")]), ..PlanInputs::default() };
    let (plan, trace) = Commit::of(&[(MAIN, text)]).plan(&masked);
    let plan = plan.unwrap();
    assert_eq!(names(&plan), ["a: [linux]", "b"]);
    assert!(!format!("{trace:?}{plan:?}{masked:?}").contains("secret-value"));
    assert_eq!(names(&Commit::of(&[(MAIN, text)]).planned(&PlanInputs::default())), ["b"]);
}

#[test]
fn a_delayed_rule_says_for_how_long() {
    let job = Commit::of(&[(MAIN, "a: {script: x, rules: [{when: delayed, start_in: 30 minutes}]}\n")])
        .planned(&PlanInputs::default())
        .jobs
        .remove(0);
    assert_eq!((job.when, job.start_in_seconds), (When::Delayed, Some(1800)));
    let table = [
        ("rules: [{when: delayed}]", "1:24 start-in"),
        ("rules: [{start_in: 1h}]", "1:24 start-in"),
        ("rules: [{when: delayed, start_in: 2 weeks}]", "1:50 duration"),
        ("rules: [{if: $A, only: x}]", "1:33 unknown-key"),
        ("rules: [{}]", "1:24 blank"),
        ("rules: [{changes: {path: [x]}}]", "1:34 blank"),
    ];
    for (fields, expected) in table {
        let reading =
            Commit::of(&[(MAIN, &format!("a: {{script: x, {fields}}}\n"))]).read_for(&PlanInputs::default(), hms::pipeline::Purpose::Look);
        assert!(shown(&of_severity(&reading, Severity::Error)).contains(&expected.to_owned()), "{fields} {:?}", reading.problems);
    }
}

#[test]
fn only_and_except_are_gitlabs() {
    let table: &[(&str, bool, bool)] = &[
        // On the branch main by a push; on the tag v1 by hand.
        ("only: [branches]", true, false),
        ("only: [tags]", false, true),
        ("only: [main]", true, false),
        ("only: [main]", true, false),
        ("only: [pushes]", true, false),
        ("only: [web]", false, true),
        ("only: [/^ma/]", true, false),
        ("only: [/^MA/i]", true, false),
        ("only: [/^v\\d+$/]", false, true),
        ("only: [main@group/project]", true, false),
        ("only: [main@group/fork]", false, false),
        ("except: [tags]", true, false),
        ("except: [main, /^v/]", false, false),
        ("only: {refs: [branches], variables: [$X == '1']}", true, false),
        ("only: {variables: [$GONE, $X]}", true, true),
        ("only: {refs: [branches], changes: [src/*]}", true, false),
        ("only: {changes: [docs/*]}", false, true),
        ("except: {variables: [$GONE]}", true, true),
        ("except: {changes: [src/*]}", false, false),
        ("only: [branches, tags], except: {refs: [main], variables: [$GONE]}", false, true),
    ];
    for (fields, on_branch, on_tag) in table {
        let commit = Commit::of(&[(MAIN, &format!("a: {{script: x, {fields}}}\nb: {{script: x}}\n"))]);
        let commit = commit.changing(Since::Revision(BEFORE.to_owned()), &["src/a"]);
        let taken = |inputs: PlanInputs| {
            let inputs = PlanInputs { variables: variables(&[("X", "1")]), ..inputs };
            commit.planned(&inputs).jobs.len() == 2
        };
        assert_eq!((taken(push("main")), taken(tag("v1"))), (*on_branch, *on_tag), "{fields}");
    }
}

#[test]
fn only_and_except_have_their_errors() {
    let table = [
        ("only: [x], rules: [{if: $A}]", "1:16 with-rules"),
        ("except: {}", "1:24 blank"),
        ("only: 3", "1:22 type"),
        ("only: {kubernetes: active}", "1:23 refused-keyword"),
        ("only: {variables: ['$A =']}", "1:35 condition"),
        ("only: [/(/]", "1:23 condition"),
        ("only: {reffs: [x]}", "1:23 unknown-key"),
    ];
    for (fields, expected) in table {
        let reading = reading(&format!("a: {{script: x, {fields}}}\n"));
        assert_eq!(shown(&of_severity(&reading, Severity::Error)), [expected], "{fields}");
    }
}

/// GitLab `entry/auto_cancel.rb`, and `pipeline/chain/populate_metadata.rb`: a rule's beats that of `workflow`, each key for itself.
#[test]
fn what_a_workflow_says_of_cancelling() {
    use hms::pipeline::{AutoCancel, OnJobFailure, OnNewCommit};
    let table = [
        ("", OnNewCommit::Conservative, OnJobFailure::None),
        ("workflow: {name: n}", OnNewCommit::Conservative, OnJobFailure::None),
        ("workflow: {auto_cancel: }", OnNewCommit::Conservative, OnJobFailure::None),
        ("workflow: {auto_cancel: {on_new_commit: interruptible}}", OnNewCommit::Interruptible, OnJobFailure::None),
        ("workflow: {auto_cancel: {on_new_commit: none, on_job_failure: all}}", OnNewCommit::None, OnJobFailure::All),
        (
            "workflow: {auto_cancel: {on_new_commit: none, on_job_failure: all}, rules: [{if: $GONE}, {auto_cancel: {on_new_commit: conservative}}]}",
            OnNewCommit::Conservative,
            OnJobFailure::All,
        ),
        (
            "workflow: {auto_cancel: {on_job_failure: all}, rules: [{if: $GONE, auto_cancel: {on_job_failure: none}}, {when: always}]}",
            OnNewCommit::Conservative,
            OnJobFailure::All,
        ),
    ];
    for (workflow, on_new_commit, on_job_failure) in table {
        let plan = planned(&format!("{workflow}\na: {{script: x}}\n"));
        assert_eq!(plan.auto_cancel, AutoCancel { on_new_commit, on_job_failure }, "{workflow}");
    }
    for (says, expected) in [
        ("{on_new_commit: all}", "1:40 unknown-value"),
        ("{on_job_failure: interruptible}", "1:41 unknown-value"),
        ("{on_new_comit: none}", "1:25 unknown-key"),
        ("none", "1:11 type"),
    ] {
        let reading = reading(&format!("workflow: {{auto_cancel: {says}}}\na: {{script: x}}\n"));
        assert_eq!(shown(&of_severity(&reading, Severity::Error)).len(), 1, "{says}");
        let told = shown(&of_severity(&reading, Severity::Error))[0].clone();
        assert_eq!(told.split(' ').nth(1), expected.split(' ').nth(1), "{says}: {told}");
    }
}

/// GCL: `only` is passed over in silence, `workflow: rules` with `when: never` runs anyway, `"23" =~ "1234"` is an error,
/// `when: delayed` runs at once; WRK: `rules: if` never parses.
#[test]
fn mistakes_of_peers_with_conditions() {
    let run = |text: &str| Commit::of(&[(MAIN, text)]).planned(&push("main"));
    assert_eq!(names(&run("a: {script: x, only: [tags]}\nb: {script: x}\n")), ["b"]);
    assert!(run("workflow: {rules: [{when: never}]}\na: {script: x}\n").nothing.is_some());
    assert_eq!(run("a: {script: x, rules: [{if: '\"23\" =~ \"1234\"'}]}\n").jobs.len(), 1);
    let delayed = &run("a: {script: x, when: delayed, start_in: 1 h}\n").jobs[0];
    assert_eq!((delayed.when, delayed.start_in_seconds), (When::Delayed, Some(3600)));
    assert_eq!(run("a: {script: x, rules: [{if: $CI_COMMIT_BRANCH == 'x'}]}\nb: {script: x}\n").jobs.len(), 1);
}

/// `entry/policy.rb`: without `only`, a job is for branches and tags; `policy/refs.rb`: no name fits a merge request's pipeline.
#[test]
fn a_merge_request_gets_only_the_jobs_that_name_it() {
    let text = "
plain: {script: x}
named: {script: x, only: [main]}
pattern: {script: x, only: [/.*/]}
branches: {script: x, only: [branches]}
asked: {script: x, only: [merge_requests]}
changed: {script: x, only: {changes: [x]}}
ruled: {script: x, rules: [{if: $CI_PIPELINE_SOURCE == 'merge_request_event'}]}
excepted: {script: x, except: [tags]}
";
    let planned = |text: &str| {
        let source = variables(&[("CI_PIPELINE_SOURCE", "merge_request_event")]);
        let plan = Commit::of(&[(MAIN, text)]).planned(&PlanInputs { variables: source, ..push("main") });
        plan.jobs.iter().map(|job| job.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(planned(text), ["asked", "ruled"]);
    let with_workflow = format!("workflow: {{rules: [{{when: always}}]}}{text}");
    assert_eq!(planned(&with_workflow), ["plain", "asked", "ruled", "excepted"]);
}

/// `pipeline/chain/populate_metadata.rb`: the name is made when the rule is known, and what is unknown becomes nothing.
#[test]
fn the_name_of_a_run_sees_what_the_rule_sets() {
    let text = "
variables: {KIND: plain, OTHER: other}
workflow:
  name: '[$KIND] $OTHER$GONE of $CI_COMMIT_BRANCH'
  rules: [{if: $CI_COMMIT_BRANCH == 'main', variables: {KIND: main}}, {when: always}]
a: {script: x}
";
    let named = |branch: &str| Commit::of(&[(MAIN, text)]).planned(&push(branch)).name.unwrap();
    assert_eq!((named("main").as_str(), named("x").as_str()), ("[main] other of main", "[plain] other of x"));
}
