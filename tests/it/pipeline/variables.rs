//! Variables: what they may be, where they are from, and how they are put into each other (`doc/ci/variables/`,
//! `lib/gitlab/ci/variables/collection.rb`).

use hms::pipeline::{Origin, Severity};

use super::world::Commit;
use super::*;

#[test]
fn a_variable_may_be_described() {
    let text = "
variables:
  PLAIN: text
  LEVEL: {value: full, description: how much, options: [full, quick]}
  RAW: {value: $PLAIN, expand: false}
  NONE: {description: asked for}
a: {script: x, variables: {OWN: $LEVEL-$RAW}}
";
    let plan = planned(text);
    assert_eq!(plan.jobs[0].variables["OWN"], "full-$RAW");
    assert_eq!((plan.jobs[0].variables["RAW"].as_str(), plan.jobs[0].variables["NONE"].as_str()), ("$PLAIN", ""));
    assert!(plan.jobs[0].raw_variables.contains("RAW"));
}

#[test]
fn each_value_has_its_source() {
    let text = "
variables: {A: file, B: file, C: file, D: file, E: file}
workflow: {rules: [{when: always, variables: {B: workflow}}]}
a:
  script: x
  variables: {C: job, D: job}
  parallel: {matrix: [{D: [matrix]}]}
  rules: [{when: always, variables: {E: rule, F: rule}}]
";
    let inputs = PlanInputs { variables: variables(&[("F", "run")]), ..PlanInputs::default() };
    let (plan, trace) = Commit::of(&[(".hms-ci.yml", text)]).plan(&inputs);
    let word = |origin: Origin| match origin {
        Origin::Predefined => "predefined",
        Origin::File(_) => "file",
        Origin::Workflow(_) => "workflow",
        Origin::Job(_) => "job",
        Origin::Matrix => "matrix",
        Origin::Rule(_) => "rule",
        Origin::Run => "run",
    };
    let valued = &trace.jobs[0].variables;
    assert_eq!(valued.len(), 6);
    for one in valued {
        assert_eq!(one.value, word(one.origin), "{}", one.name);
        assert_eq!(plan.as_ref().unwrap().jobs[0].variables[&one.name], one.value);
    }
}

#[test]
fn a_masked_variable_is_in_no_plan() {
    let text = "variables: {COPY: $TOKEN}\na: {script: x, rules: [{if: $TOKEN == 'secret-value'}]}\n";
    let inputs = PlanInputs { masked: variables(&[("TOKEN", "secret-value")]), ..PlanInputs::default() };
    let plan = Commit::of(&[(".hms-ci.yml", text)]).planned(&inputs);
    assert_eq!(plan.jobs[0].variables["COPY"], "$TOKEN", "the runner puts it in");
    assert!(!serde_json::to_string(&plan).unwrap().contains("secret-value"));
}

/// `spec/lib/gitlab/ci/variables/collection_spec.rb` and `sort_spec.rb`.
#[test]
fn values_go_into_each_other_in_the_order_of_their_names() {
    type Row<'t> = (&'t [(&'t str, &'t str)], &'t str, &'t str);
    let table: &[Row] = &[
        (&[("variable", "value"), ("variable2", "result"), ("x", "key$variable$variable2")], "x", "keyvalueresult"),
        (&[("x", "key${variable}"), ("variable", "value")], "x", "keyvalue"),
        (&[("x", "key%variable%"), ("variable", "value")], "x", "keyvalue"),
        (&[("x", "key$missing")], "x", "key$missing"),
        (&[("x", "$$variable_a"), ("variable_a", "value")], "x", "$$variable_a"),
        (&[("x", "$b"), ("b", "$c"), ("c", "deep")], "x", "deep"),
    ];
    for (defined, wanted, expected) in table {
        let lines: Vec<String> = defined.iter().map(|(name, value)| format!("  {name}: '{value}'\n")).collect();
        let plan = planned(&format!("variables:\n{}a: {{script: x}}\n", lines.concat()));
        assert_eq!(plan.jobs[0].variables[*wanted], *expected, "{defined:?}");
    }
    let circle = "variables:\n  variable: $variable2\n  variable2: $variable3\n  variable3: key$variable$variable2\na: {script: x}\n";
    let problems = plan(&reading(circle).pipeline.unwrap(), &PlanInputs::default()).unwrap_err();
    assert!(problems[0].message.contains("variable → variable2 → variable3"), "{problems:?}");
}

#[test]
fn names_of_the_environment_and_its_group_are_expanded() {
    let text = "a:\n  script: x\n  variables: {WHERE: eu}\n  environment: {name: prod-$WHERE}\n  resource_group: deploy-$WHERE\n  tags: [$WHERE]\n";
    let plan = planned(text);
    assert_eq!(plan.jobs[0].environment.as_ref().unwrap().name, "prod-eu");
    assert_eq!((plan.jobs[0].resource_group.as_deref(), plan.jobs[0].tags[0].as_str()), (Some("deploy-eu"), "eu"));
}

#[test]
fn errors_of_variables() {
    let table: &[(&str, &[&str])] = &[
        ("variables: {A: {value: x, vlaue: y}}\na: {script: x}\n", &["1:27 unknown-key"]),
        ("variables: {1A: x}\na: {script: x}\n", &["1:13 variable-name"]),
        ("variables: {A: {value: x, expand: maybe}}\na: {script: x}\n", &["1:35 type"]),
        ("variables: {A: {options: [x]}}\na: {script: x}\n", &["1:13 variable-value"]),
        ("a: {script: x, variables: text}\n", &["1:27 type"]),
    ];
    for (text, expected) in table {
        assert_eq!(shown(&of_severity(&reading(text), Severity::Error)), *expected, "{text}");
    }
}

/// GitLab's `doc/ci/runners/configure_runners.md`.
#[test]
fn what_steers_gitlabs_runner_and_is_not_obeyed_is_warned_about() {
    let warned = |text: &str| shown(&of_severity(&reading(text), Severity::Warning));
    for (given, told) in [
        ("RUNNER_SCRIPT_TIMEOUT: 1s", true),
        ("RUNNER_AFTER_SCRIPT_TIMEOUT: 1h", true),
        ("RUNNER_AFTER_SCRIPT_TIMEOUT: 5m", false),
        ("GIT_STRATEGY: none", true),
        ("GIT_STRATEGY: empty", true),
        ("GIT_STRATEGY: clone", false),
        ("GIT_CHECKOUT: false", true),
        ("GIT_CHECKOUT: true", false),
        ("GIT_CLEAN_FLAGS: none", true),
        ("GIT_CLONE_PATH: $CI_BUILDS_DIR/x", true),
        ("CI_DEBUG_TRACE: true", true),
        ("GIT_DEPTH: 1", false),
        ("GIT_SUBMODULE_STRATEGY: recursive", false),
        ("GIT_SUBMODULE_PATHS: a", true),
        ("GIT_SUBMODULE_STRATEGY: none", false),
        ("CACHE_FALLBACK_KEY: x", false),
    ] {
        let expected = |place: &str| if told { vec![format!("{place} not-honoured")] } else { Vec::new() };
        assert_eq!(warned(&format!("a:\n  variables: {{{given}}}\n  script: x\n")), expected("2:15"), "{given}");
        assert_eq!(warned(&format!("variables:\n  {given}\na: {{script: x}}\n")), expected("2:3"), "{given}");
        assert_eq!(warned(&format!("a: {{script: x, rules: [{{variables: {{{given}}}}}]}}\n")), expected("1:37"), "{given}");
    }
}
