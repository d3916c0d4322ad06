//! `spec: inputs`: what a header may say, where its inputs come from, and what is put in (`doc/ci/inputs/_index.md`).

use hms::pipeline::{Elsewhere, Foreign, Remote, Severity};

use super::world::Commit;
use super::*;

const MAIN: &str = ".hms-ci.yml";

fn errors_with(commit: &Commit, given: &[(&str, &str)]) -> Vec<String> {
    let reading = commit.read(&PlanInputs { inputs: variables(given), ..PlanInputs::default() });
    let place = |problem: &Problem| problem.place.map_or("-".to_owned(), |place| place.to_string());
    let file = |problem: &Problem| problem.file.as_ref().map(|file| format!("{file}:")).unwrap_or_default();
    of_severity(&reading, Severity::Error).iter().map(|problem| format!("{}{} {}", file(problem), place(problem), problem.code)).collect()
}

fn errors(commit: &Commit) -> Vec<String> {
    errors_with(commit, &[])
}

/// The script of the only job for these inputs.
fn script(commit: &Commit, given: &[(&str, &str)]) -> String {
    let plan = commit.planned(&PlanInputs { inputs: variables(given), ..PlanInputs::default() });
    plan.jobs[0].script[0].clone()
}

/// `interpolation/template.rb`: a value that is a block alone has the input's type; `interpolation/config.rb`: a list in a list.
#[test]
fn a_value_is_of_the_type_of_its_input() {
    let text = "spec:
  inputs:
    odd: {default: 'a: b # c'}
    lines: {default: \"one\\ntwo\"}
    count: {type: number, default: 2}
    rules: {type: array, default: [{if: $A, when: manual}, {when: always}]}
    more: {type: array, default: [p, q]}
---
a:
  script:
    - echo $[[ inputs.odd ]]
    - $[[ inputs.more ]]
    - $[[ inputs.lines ]]
    - see $[[ inputs.more ]]
  parallel: $[[ inputs.count ]]
  rules: $[[ inputs.rules ]]
";
    let plan = Commit::of(&[(MAIN, text)]).planned(&PlanInputs::default());
    assert_eq!(plan.jobs.len(), 2);
    assert_eq!(plan.jobs[0].script, ["echo a: b # c", "p", "q", "one\ntwo", "see [\"p\", \"q\"]"]);
    // Text stays text, whatever it looks like.
    let text = "spec: {inputs: {n: {default: '3'}}}\n---\na:\n  script: x\n  parallel: $[[ inputs.n ]]\n";
    assert_eq!(errors(&Commit::of(&[(MAIN, text)])), ["5:13 type"]);
}

/// `lib/ci/inputs/base_input.rb` and `string_input.rb`, `coerced_value`.
#[test]
fn what_is_given_becomes_of_the_type_of_its_input() {
    let spec = "spec:\n  inputs:\n    t: {description: any text, regex: ^, default: ''}\n    n: {type: number, default: 0}\n    b: {type: boolean, default: false}\n    l: {type: array, default: []}\n---\n";
    let commit =
        Commit::of(&[(MAIN, &format!("{spec}a: {{script: 'x $[[ inputs.t ]] $[[ inputs.n ]] $[[ inputs.b ]] $[[ inputs.l ]]'}}\n"))]);
    assert_eq!(script(&commit, &[]), "x  0 false []");
    assert_eq!(
        script(&commit, &[("t", "1.10"), ("n", "2.5"), ("b", "true"), ("l", "[\"x\", 1, null]")]),
        "x 1.10 2.5 true [\"x\", 1, nil]"
    );
    for wrong in [("n", "two"), ("n", "012"), ("b", "yes"), ("l", "[x]"), ("l", "x"), ("n", "null")] {
        let line = 3 + ["t", "n", "b", "l"].iter().position(|name| *name == wrong.0).unwrap();
        assert_eq!(errors_with(&commit, &[wrong]), [format!("{line}:5 input-value")], "{wrong:?}");
    }
    assert_eq!(errors_with(&commit, &[("gone", "x")]), ["1:1 unknown-input"]);
}

const RULED: &str = "spec:
  inputs:
    cloud: {options: [aws, gcp], default: aws}
    live: {type: boolean, default: false}
    size:
      rules:
        - if: $[[ inputs.cloud ]] == 'aws' && $[[ inputs.live ]] == true
          options: [xlarge, 2xlarge]
          default: xlarge
        - if: $[[ inputs.cloud ]] == 'aws'
          options: [micro, small]
          default: micro
        - if: $[[ inputs.cloud ]] == 'gcp'
          default: ~
    zone:
      rules:
        - if: $[[ inputs.size ]] == 'xlarge'
          default: a
        - default: z
---
a: {script: 'run $[[ inputs.size ]] $[[ inputs.zone ]]'}
";

/// `doc/ci/inputs/_index.md`, spec:inputs:rules; `spec/lib/ci/inputs/builder_spec.rb`.
#[test]
fn the_first_rule_that_holds_says_what_an_input_may_be() {
    let commit = Commit::of(&[(MAIN, RULED)]);
    let table: &[(&[(&str, &str)], &str)] = &[
        (&[], "run micro z"),
        (&[("live", "true")], "run xlarge a"),
        (&[("live", "true"), ("size", "2xlarge")], "run 2xlarge z"),
        (&[("size", "small")], "run small z"),
        // A default of nothing, and no options: any value is taken.
        (&[("cloud", "gcp")], "run  z"),
        (&[("cloud", "gcp"), ("size", "whatever")], "run whatever z"),
        // Nothing given for an input with rules is its default.
        (&[("size", "")], "run micro z"),
    ];
    for (given, expected) in table {
        assert_eq!(script(&commit, given), *expected, "{given:?}");
    }
    assert_eq!(errors_with(&commit, &[("size", "xlarge")]), ["5:5 input-value"]);
    assert_eq!(errors_with(&commit, &[("live", "true"), ("size", "small")]), ["5:5 input-value"]);
    // Without a default in any rule a value must be given; that is an error of the rule already.
    let never = "spec: {inputs: {e: {default: x}, i: {rules: [{if: \"$[[ inputs.e ]] == 'y'\", default: z}]}}}\n---\na: {script: 'run $[[ inputs.i ]]'}\n";
    assert_eq!(script(&Commit::of(&[(MAIN, never)]), &[]), "run ");
    assert_eq!(script(&Commit::of(&[(MAIN, never)]), &[("i", "own")]), "run own");
}

/// `header/inputs/validator.rb`; its specs.
#[test]
fn rules_of_inputs_name_others_and_in_no_circle() {
    let table = [
        ("a: {rules: [{if: '$[[ inputs.gone ]]', default: x}]}", "1:29 unknown-input"),
        ("a: {rules: [{if: '$[[ inputs.a ]]', default: x}]}", "1:17 input-rules"),
        ("a: {rules: [{if: '$[[ inputs.b ]]', default: x}]}, b: {rules: [{if: '$[[ inputs.a ]]', default: x}]}", "1:17 input-rules"),
        ("a: {rules: [{if: '&&&&', default: x}]}", "1:34 condition"),
        ("a: {rules: []}", "1:17 missing-input"),
    ];
    for (inputs, expected) in table {
        let text = format!("spec: {{inputs: {{{inputs}}}}}\n---\na: {{script: x}}\n");
        assert_eq!(errors(&Commit::of(&[(MAIN, &text)])), [expected], "{inputs}");
    }
    // Variables are no inputs: nothing is known of them, and nothing is wrong.
    let text = "spec: {inputs: {a: {rules: [{if: '$CI_COMMIT_BRANCH', default: x}, {default: y}]}}}\n---\na: {script: '$[[ inputs.a ]]'}\n";
    assert_eq!(script(&Commit::of(&[(MAIN, text)]), &[]), "y");
}

/// Bytes at an address that a pipeline pins.
fn remote(address: &str, text: &str) -> Foreign {
    Foreign::Remote(Remote { address: address.to_owned(), integrity: Some(hms::event::Digest::of(text.as_bytes())), cache_seconds: None })
}

/// `doc/ci/inputs/_index.md`, "Use inputs from external files"; `spec/lib/gitlab/ci/config/external/header/processor_spec.rb`.
#[test]
fn inputs_come_from_other_files_too() {
    let text = "spec:
  include:
    - local: /shared.yml
    - {project: g/p, ref: v1, file: [ci/more.yml]}
    - {remote: 'https://h.example/far.yml', integrity: 'sha256-3jzCT1nJtdU7XCKLxh7UkcDXex7R6ZSRYFcRlPn6aiI='}
  inputs:
    own: {default: o}
---
a: {script: '$[[ inputs.region ]] $[[ inputs.more ]] $[[ inputs.far ]] $[[ inputs.own ]]'}
";
    let far = "inputs: {far: {type: number, default: 7}}\n";
    let project = Elsewhere::Project { project: "g/p".to_owned(), reference: Some("v1".to_owned()) };
    let commit = Commit::of(&[(MAIN, text), ("shared.yml", "inputs:\n  region: {default: us, options: [us, eu]}\n")])
        .with_foreign(Foreign::Of(project, "ci/more.yml".to_owned()), "inputs: {more: {default: m}}\n")
        .with_foreign(remote("https://h.example/far.yml", far), far);
    assert_eq!(script(&commit, &[]), "us m 7 o");
    assert_eq!(script(&commit, &[("region", "eu"), ("far", "8")]), "eu m 8 o");
    assert_eq!(errors_with(&commit, &[("region", "xx")]), ["shared.yml:2:3 input-value"]);
    assert_eq!(commit.planned(&PlanInputs::default()).fetched.len(), 1);
    // An included file has them from beside itself.
    let theirs = "spec: {include: inputs.yml}\n---\nb: {script: '$[[ inputs.i ]]'}\n";
    let project = |path: &str| Foreign::Of(Elsewhere::Project { project: "g/p".to_owned(), reference: None }, path.to_owned());
    let commit = Commit::of(&[(MAIN, "include: {project: g/p, file: t.yml, inputs: {i: given}}\n")])
        .with_foreign(project("t.yml"), theirs)
        .with_foreign(project("inputs.yml"), "inputs: {i: }\n");
    assert_eq!(script(&commit, &[]), "given");
}

#[test]
fn a_file_of_inputs_has_nothing_else() {
    let main = |include: &str| format!("spec: {{include: [{include}], inputs: {{own: {{default: o}}}}}}\n---\na: {{script: x}}\n");
    let table: &[(&str, &str, &[&str])] = &[
        ("{local: i.yml}", "inputs: {own: {default: x}}\n", &["1:44 duplicate-input"]),
        ("{local: i.yml}, {local: i.yml}", "inputs: {i: {default: x}}\n", &["i.yml:1:10 duplicate-input"]),
        ("{local: i.yml}", "inputs: {i: {default: x}}\nj: {script: x}\n", &["i.yml:2:1 unknown-key"]),
        ("{local: i.yml}", "inputs: {i: {default: x}}\ninclude: [j.yml]\n", &["i.yml:2:1 unknown-key"]),
        ("{local: i.yml}", "", &["1:26 blank"]),
        ("{local: i.yml}", "inputs:\n", &[]),
        ("{local: i.yml}", "inputs: [i]\n", &["i.yml:1:9 type"]),
        ("{local: i.yml}", "- i\n", &["i.yml:1:1 type"]),
        ("{local: i.yml}", "inputs: {i: {dflt: x}}\n", &["i.yml:1:10 missing-input", "i.yml:1:14 unknown-key"]),
        ("{local: i.yml}", "inputs: {\n", &["i.yml:2:1 yaml"]),
        ("gone.yml", "", &["1:18 unknown-include"]),
        ("{component: h.example/g/p/c@1.0}", "", &["1:18 include", "1:19 unknown-key"]),
    ];
    for (include, file, expected) in table {
        assert_eq!(errors(&Commit::of(&[(MAIN, &main(include)), ("i.yml", file)])), *expected, "{include} {file}");
    }
}

/// In brackets YAML reads `[` itself (GitLab reads the file before it puts anything in).
#[test]
fn in_brackets_a_block_is_quoted() {
    let text = "spec: {inputs: {i: {default: x}}}\n---\na: {script: [$[[ inputs.i ]]]}\n";
    assert_eq!(errors(&Commit::of(&[(MAIN, text)])).len(), 1);
    assert!(errors(&Commit::of(&[(MAIN, text)]))[0].ends_with("yaml"));
    let quoted = text.replace("$[[ inputs.i ]]", "'$[[ inputs.i ]]'");
    assert_eq!(script(&Commit::of(&[(MAIN, &quoted)]), &[]), "x");
}
