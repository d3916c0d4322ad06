//! What is wrong with a file: one case an error, each with its line and column.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use hms::pipeline::Severity;

use super::*;

/// The text, then `line:column code` of each error, and a part of the first one's message or hint.
fn assert_errors(text: &str, expected: &[&str], part: &str) {
    let start = Instant::now();
    let reading = reading(text);
    assert!(start.elapsed() < Duration::from_secs(1), "{text}");
    let errors = of_severity(&reading, Severity::Error);
    assert_eq!(shown(&errors), expected, "{text}\n{:#?}", reading.problems);
    assert!(reading.pipeline.is_none());
    let first = errors[0];
    let told = format!("{} / {}", first.message, first.hint.as_deref().unwrap_or_default());
    assert!(told.contains(part), "{told}");
}

#[test]
fn each_error_has_its_place() {
    let table: &[(&str, &[&str], &str)] = &[
        ("", &["1:1 no-jobs"], "empty"),
        ("stages: [a]\n", &["1:1 no-jobs"], "no jobs"),
        (".a: {script: x}\n", &["1:1 no-jobs"], "no jobs"),
        ("- a\n", &["1:1 type"], "a list"),
        ("just text\n", &["1:1 type"], "text"),
        ("a: {script: x}\na: {script: y}\n", &["2:1 yaml"], "line 1, column 1"),
        ("a:\n\tscript: x\n", &["2:1 yaml"], "tab"),
        ("a: {script: x}\nb: \"\n", &["2:4 yaml"], ""),
        ("a:\n  scirpt: x\n", &["1:1 no-script", "2:3 unknown-key"], "script"),
        ("a:\n  script: x\n  scirpts: x\n", &["3:3 unknown-key"], "did you mean `script`?"),
        ("stage: [a]\na: {script: x}\n", &["1:1 unknown-key"], "did you mean `stages`?"),
        ("variable: {A: b}\na: {script: x}\n", &["1:1 unknown-key"], "did you mean `variables`?"),
        ("build: make\n", &["1:1 unknown-key"], "a job is a mapping"),
        ("a: {stage: test}\n", &["1:1 no-script"], "has no `script`"),
        ("a:\n  script:\n", &["2:3 blank"], "blank"),
        ("a:\n  script: ''\n", &["2:11 blank"], "blank"),
        ("a:\n  script: []\n", &["2:3 blank"], "blank"),
        ("a:\n  script: ['', ' ']\n", &["2:11 blank"], "blank"),
        ("a:\n  script:\n    - x: y\n", &["3:7 type"], "quotes"),
        ("a:\n  script: yes\n", &["2:11 type"], "the boolean true"),
        ("a:\n  script: [x, 3]\n", &["2:15 type"], "the number 3"),
        ("a:\n  script: [[[[[[[[[[[x]]]]]]]]]]]\n", &["2:21 too-deep"], "10 deep"),
        ("a:\n  script: x\n  before_script: {a: b}\n", &["3:18 type"], "a mapping"),
        ("a:\n  script: x\n  stage: deplyo\n", &["3:10 unknown-stage"], "did you mean `deploy`?"),
        ("stages: [one]\na:\n  script: x\n", &["2:1 unknown-stage"], "add `stage:`"),
        ("stages: one\na: {script: x, stage: .pre}\n", &["1:9 type"], "a list"),
        ("a:\n  script: x\n  needs: [biuld]\nbuild: {script: x}\n", &["3:11 unknown-need"], "did you mean `build`?"),
        ("a:\n  script: x\n  needs:\n    - job: c\n", &["4:12 unknown-need"], "no such job"),
        ("a:\n  script: x\n  needs: [a]\n", &["3:11 self-need"], "itself"),
        ("a:\n  script: x\n  needs: [b]\nb:\n  script: x\n  needs: [c]\nc:\n  script: x\n  needs: [a]\n", &["3:11 cycle"], "a → b → c → a"),
        ("a: {script: x, needs: [b]}\nb: {script: x, stage: deploy}\n", &["1:24 later-need"], "later stage `deploy`"),
        ("a:\n  script: x\n  needs: b\nb: {script: x}\n", &["3:10 type"], "a list of jobs"),
        ("a:\n  script: x\n  needs: [{artifacts: true}]\n", &["3:11 needs"], "no `job`"),
        ("a:\n  script: x\n  needs: [{project: p, job: j, ref: r}]\n", &["3:12 refused-keyword", "3:32 refused-keyword"], "other projects"),
        ("a:\n  script: x\n  timeout: soon\n", &["3:12 duration"], "no duration"),
        ("a:\n  script: x\n  timeout: 60\n", &["3:12 type"], "quotes"),
        ("a:\n  script: x\n  timeout: 2 months\n", &["3:12 duration"], "longer than a month"),
        ("a:\n  script: x\n  artifacts: {paths: [x], expire_in: later}\n", &["3:38 duration"], "no duration"),
        ("a:\n  script: x\n  artifacts: [x]\n", &["3:14 type"], "a list"),
        ("a:\n  script: x\n  artifacts: {paths: x}\n", &["3:22 type"], "a list"),
        ("a:\n  script: x\n  artifacts: {path: [x]}\n", &["3:15 unknown-key"], "did you mean `paths`?"),
        ("a:\n  script: x\n  artifacts: {reports: {junits: x}}\n", &["3:25 unknown-key"], "did you mean `junit`?"),
        ("a:\n  script: x\n  artifacts: {reports: {dotenv: {x: y}}}\n", &["3:33 type"], ""),
        ("a:\n  script: x\n  artifacts: {when: allways}\n", &["3:21 unknown-value"], "did you mean `always`?"),
        ("a:\n  script: x\n  when: manually\n", &["3:9 unknown-value"], "did you mean `manual`?"),
        ("a:\n  script: x\n  when: delayed\n", &["3:9 start-in"], "no `start_in`"),
        ("a:\n  script: x\n  when: delayed\n  start_in: soon\n", &["4:13 duration"], "no duration"),
        ("a:\n  script: x\n  start_in: 1 h\n", &["3:3 start-in"], "goes with"),
        ("a:\n  script: x\n  allow_failure: maybe\n", &["3:18 type"], "true or false"),
        ("a:\n  script: x\n  allow_failure: {exit_codes: one}\n", &["3:31 type"], "whole number"),
        ("a:\n  script: x\n  rules: []\n", &["3:10 blank"], "is empty"),
        ("a:\n  script: x\n  parallel: 0\n", &["3:13 parallel"], "1 to 200"),
        ("a:\n  script: x\n  parallel: 201\n", &["3:13 parallel"], "1 to 200"),
        ("a:\n  script: x\n  parallel: four\n", &["3:13 type"], "whole number"),
        ("a:\n  script: x\n  parallel: {matrix: []}\n", &["3:22 parallel"], "empty"),
        ("a:\n  script: x\n  variables: [A]\n", &["3:14 type"], "a mapping"),
        ("a:\n  script: x\n  variables: {A-B: c}\n", &["3:15 variable-name"], "letters"),
        ("a:\n  script: x\n  variables: {A: [b]}\n", &["3:18 type"], "a list"),
        ("variables: {A: {value: x, options: [y, z]}}\na: {script: x}\n", &["1:24 variable-value"], "options"),
        ("variables: {A: {vlaue: x}}\na: {script: x}\n", &["1:17 unknown-key"], "did you mean `value`?"),
        ("a:\n  script: x\n  image: {nam: x}\n", &["3:10 image-name", "3:11 unknown-key"], "`name`"),
        ("a:\n  script: x\n  environment: {action: start}\n", &["3:16 environment-name"], "`name`"),
        ("a:\n  script: x\n  environment: {name: prod, action: begin}\n", &["3:37 unknown-value"], "start, prepare"),
        ("a:\n  script: hms-deploy --env Prod\n", &["2:11 environment-name"], "`Prod`"),
        ("default: {image: x}\nimage: y\na: {script: x}\n", &["2:1 duplicate-default"], "line 1"),
        ("default: {scirpt: x}\na: {script: x}\n", &["1:11 unknown-key"], "unknown key"),
        ("true: {script: x}\n", &["1:1 job-name"], "without quotes it is a truth value"),
        ("a: {script: x, parallel: 2}\na 1/2: {script: x}\n", &["2:1 job-name"], "instance of `a`"),
        ("a:\n  script: x\n  rules:\n    - if: $A = 1\n", &["4:11 condition"], "at `= 1`"),
        ("a:\n  script: x\n  rules:\n    - chages: [x]\n", &["4:7 unknown-key"], "did you mean `changes`?"),
        ("a:\n  script: x\n  rules: {if: $A}\n", &["3:10 type"], "a list"),
        ("a:\n  script: !reference [b, script]\n", &["2:3 blank", "2:11 unknown-reference"], ""),
        ("workflow: {rules: [{if: $A, when: manual}]}\na: {script: x}\n", &["1:20 unknown-value"], "always"),
    ];
    for (text, expected, part) in table {
        assert_errors(text, expected, part);
    }
}

#[test]
fn names_and_needs_have_their_limits() {
    let long = "n".repeat(256);
    assert_errors(&format!("{long}: {{script: x}}\n"), &["1:1 job-name"], "255");
    assert_errors(&format!("{}: {{script: x, parallel: 100}}\n", &long[..250]), &["1:1 job-name"], "255");
    let mut text = String::new();
    for index in 0..51 {
        let _ = writeln!(text, "j{index}: {{script: x}}");
    }
    let needs: Vec<String> = (0..51).map(|index| format!("j{index}")).collect();
    let _ = writeln!(text, "last:\n  script: x\n  needs: [{}]", needs.join(", "));
    assert_errors(&text, &["54:10 too-many-needs"], "at most 50");
}

#[test]
fn all_errors_are_told_at_once() {
    let text = "a:\n  script: 3\n  timeout: x\n  needs: [q]\nb:\n  scrip: x\nc: 1\n";
    assert_errors(text, &["2:11 type", "3:12 duration", "4:11 unknown-need", "5:1 no-script", "6:3 unknown-key", "7:1 unknown-key"], "");
}

#[test]
fn a_name_cannot_drive_the_terminal() {
    for text in ["\"a\\e[2J\": 1\n", "a: {script: x, needs: [\"\\e]0;x\\a\"]}\n", "\"\\e[1m\": 1\n\"\\e[1m\": 2\n"] {
        let reading = reading(text);
        assert!(!reading.problems.is_empty());
        for problem in &reading.problems {
            let hint = problem.hint.clone().unwrap_or_default();
            assert!(!format!("{problem}{hint}").chars().any(char::is_control), "{problem:?}");
        }
    }
}

#[test]
fn bytes_that_are_no_text_have_a_place_too() {
    let reading = read(b"a:\n  script: caf\xE9\n", &ReadOptions::default());
    assert_eq!(shown(&of_severity(&reading, Severity::Error)), ["2:14 yaml"]);
}

#[test]
fn variables_in_a_circle_are_named_with_their_place() {
    let reading = reading("variables:\n  A: $B\n  B: $C\n  C: $A\na: {script: x}\nb: {script: x}\n");
    let problems = plan(&reading.pipeline.unwrap(), &PlanInputs::default()).unwrap_err();
    assert_eq!(shown(&problems.iter().collect::<Vec<_>>()), ["2:3 variable-expansion"]);
    assert!(problems[0].message.contains("A → B → C → A"), "{}", problems[0].message);
}

#[test]
fn a_need_that_rules_leave_out_is_an_error_of_the_plan() {
    let text = "a:\n  script: x\n  rules: [{if: $A}]\nb:\n  script: x\n  needs: [a]\n";
    let pipeline = reading(text).pipeline.unwrap();
    let problems = plan(&pipeline, &PlanInputs::default()).unwrap_err();
    assert_eq!(shown(&problems.iter().collect::<Vec<_>>()), ["6:11 unknown-need"]);
    let inputs = PlanInputs { variables: variables(&[("A", "1")]), ..PlanInputs::default() };
    assert_eq!(plan(&pipeline, &inputs).unwrap().jobs.len(), 2);
    assert_eq!(planned(&text.replace("[a]", "[{job: a, optional: true}]")).jobs[0].needs, Some(vec![]));
}
