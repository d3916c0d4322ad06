//! What is typed after `--input`, and what a run that is looked at knows: the same as one that is made.

use super::World;

const INPUTS: &str = r#"spec:
  inputs:
    text: {}
    my-number: {type: number, default: 1}
    list: {type: array, default: []}
    truth: {type: boolean, default: false}
---
j:
  script:
    - printf '%s\n' "$[[ inputs.text ]]" "$[[ inputs.my-number ]]" "$[[ inputs.truth ]]" > $OUT
    - $[[ inputs.list ]]
"#;

#[test]
fn an_input_is_taken_by_its_type_and_text_as_it_was_typed() {
    let world = World::new(INPUTS);
    let out = format!("OUT={}", world.path("out").display());
    for (text, arrives) in [("5", "5"), ("1.10", "1.10"), ("true", "true"), ("0x10", "0x10"), ("a: b", "a: b"), ("", ""), ("'5'", "'5'")] {
        let given = format!("text={text}");
        let said =
            world.hms(&["run", "--headless", "--variable", &out, "--input", &given, "--input", "my-number=3", "--input", "truth=true"]);
        assert_eq!((said.code, world.read("out")), (Some(0), format!("{arrives}\n3\ntrue\n")), "{text}: {said:?}");
    }
    let said = world.hms(&["run", "--headless", "--variable", &out, "--input", "text=x", "--input", r#"list=["echo more >> $OUT"]"#]);
    assert_eq!((said.code, world.read("out")), (Some(0), "x\n1\nfalse\nmore\n".to_owned()), "{said:?}");
    for (given, told) in [
        ("my-number=two", ".hms-ci.yml:4:5: error: the value of the input `my-number` must be a number, not text"),
        ("truth=true", ".hms-ci.yml:3:5: error: the input `text` must be given: it has no default\n  hint: give it: `--input text=…`"),
    ] {
        let said = world.hms(&["run", "--headless", "--input", given]);
        assert!(said.code == Some(2) && said.err.contains(told), "{given}: {said:?}");
    }
    assert!(world.hms(&["list", "--input", "x"]).err.contains("`--input x` is not KEY=VALUE"));
}

#[test]
fn a_plan_and_a_run_decide_alike_what_asks_for_the_runs_number_and_id() {
    let pipeline = "\
one: {script: 'true', rules: [{if: $CI_PIPELINE_IID == '1'}]}
two: {script: 'true', rules: [{if: $CI_PIPELINE_IID == '2'}]}
id: {script: 'true', rules: [{if: $CI_PIPELINE_ID}]}
created: {script: 'true', rules: [{if: $CI_PIPELINE_CREATED_AT != null}]}
always: {script: test $CI_PIPELINE_IID -gt 0 && test -n $CI_PIPELINE_ID}
";
    let world = World::new(pipeline);
    for (run, names) in [("1", ["one", "always"]), ("2", ["two", "always"])] {
        let listed = world.hms(&["list"]);
        let listed: Vec<&str> = listed.out.lines().filter_map(|line| line.split_whitespace().next()).collect();
        assert_eq!(listed, names, "planned");
        assert_eq!(world.hms(&["run", "--headless"]).code, Some(0));
        let jobs = world.status(run)["jobs"].as_array().unwrap().clone();
        let ran: Vec<&str> = jobs.iter().filter_map(|job| job["name"].as_str()).collect();
        assert_eq!(ran, names, "run");
    }
}

#[test]
fn runs_that_begin_at_once_have_the_number_that_their_rules_saw() {
    let world = World::new(
        "j: {script: 'test $SEEN = $CI_PIPELINE_IID', rules: [{if: $CI_PIPELINE_IID == '1', variables: {SEEN: '1'}}, {if: $CI_PIPELINE_IID == '2', variables: {SEEN: '2'}}, {if: $CI_PIPELINE_IID == '3', variables: {SEEN: '3'}}, {if: $CI_PIPELINE_IID == '4', variables: {SEEN: '4'}}]}\n",
    );
    let started: Vec<_> = (0..4).map(|_| world.start(&["run", "--headless"])).collect();
    for child in started {
        let said = super::Said::of(&child.wait_with_output().unwrap());
        assert_eq!(said.code, Some(0), "{said:?}");
    }
    assert_eq!(world.status("4")["jobs"].as_array().unwrap().len(), 1);
}
