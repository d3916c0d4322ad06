//! How a file is put together: stages, defaults, `extends`, `!reference`, anchors. Each table names where GitLab says so.

use std::fmt::Write as _;

use hms::pipeline::Severity;

use super::world::Commit;
use super::*;

fn script(text: &str, job: &str) -> Vec<String> {
    planned(text).job(&name(job)).unwrap().script.clone()
}

/// `doc/ci/yaml/_index.md#extends`, `lib/gitlab/ci/config/extendable/entry.rb`.
#[test]
fn extends_merges_mappings_and_replaces_the_rest() {
    let text = "
.base:
  script: [base]
  image: {name: one, entrypoint: ['']}
  variables: {A: base, B: base}
.other: {variables: {B: other, C: other}, tags: [x]}
a:
  extends: .base
b:
  extends: [.base, .other]
  variables: {C: own}
  script: [own]
c:
  extends: a
  variables: {A: c}
";
    let plan = planned(text);
    let job = |job: &str| plan.job(&name(job)).unwrap();
    assert_eq!(job("a").script, ["base"]);
    assert_eq!(job("b").script, ["own"], "a list is replaced, not joined");
    assert_eq!(job("b").variables, variables(&[("A", "base"), ("B", "other"), ("C", "own")]), "the later of two bases wins");
    assert_eq!((job("b").image.as_deref(), &job("b").image_options.entrypoint), (Some("one"), &Some(vec![String::new()])));
    assert_eq!(job("c").variables, variables(&[("A", "c"), ("B", "base")]), "a base may extend another");
    assert_eq!(job("b").tags, ["x"]);
}

#[test]
fn a_key_of_nothing_takes_a_bases_value_away() {
    let plan = planned(".base: {script: x, variables: {A: b}}\na:\n  extends: .base\n  variables: ~\n  needs: []\n");
    assert!(plan.jobs[0].variables.is_empty());
}

#[test]
fn eleven_levels_are_followed_and_twelve_are_not() {
    let chain = |levels: usize| {
        let mut text = String::from(".l0: {script: x}\n");
        for level in 1..levels {
            let _ = writeln!(text, ".l{level}: {{extends: .l{}}}", level - 1);
        }
        text + &format!("a:\n  extends: .l{}\n", levels - 1)
    };
    assert_eq!(script(&chain(11), "a"), ["x"]);
    let reading = reading(&chain(12));
    let shown = shown(&of_severity(&reading, Severity::Error));
    assert!(shown.contains(&"14:12 extends-depth".to_owned()), "{shown:?}");
}

#[test]
fn what_cannot_be_extended_is_told_with_its_place() {
    let table: &[(&str, &[&str], &str)] = &[
        ("a:\n  extends: .bas\n  script: x\n.base: {script: x}\n", &["2:12 unknown-extends"], "did you mean `.base`?"),
        ("a:\n  extends: [.b, 3]\n  script: x\n.b: text\n", &["2:13 extends-base", "2:17 type"], ".b"),
        ("a:\n  extends: b\n  script: x\nb:\n  extends: a\n  script: x\n", &["5:12 extends-circle"], "a → b → a"),
        ("a:\n  extends: a\n  script: x\n", &["2:12 extends-circle"], "a → a"),
    ];
    for (text, expected, part) in table {
        let reading = reading(text);
        let errors = of_severity(&reading, Severity::Error);
        assert_eq!(shown(&errors), *expected, "{text}\n{errors:#?}");
        let told = format!("{} {}", errors[0].message, errors[0].hint.clone().unwrap_or_default());
        assert!(told.contains(part), "{told}");
    }
}

/// `doc/ci/yaml/yaml_optimization.md#reference-tags`, `lib/gitlab/ci/config/yaml/tags/`.
#[test]
fn references_are_put_in_after_extends() {
    let text = "
.setup: {script: [one, two], vars: {A: a}}
.more:
  extends: .setup
  after: [three]
.nested:
  script:
    - !reference [.setup, script]
    - inner
a:
  script:
    - !reference [.more, script]
    - !reference [.more, after]
    - !reference [.nested, script]
  variables: !reference [.setup, vars]
  rules: [!reference [.rules]]
.rules:
  - if: $A == 'a'
";
    let plan = planned(text);
    assert_eq!(plan.jobs[0].script, ["one", "two", "three", "one", "two", "inner"]);
    assert_eq!(plan.jobs[0].variables["A"], "a");
}

#[test]
fn references_that_lead_nowhere_are_told_with_their_place() {
    let table: &[(&str, &str, &str)] = &[
        ("a: {script: [!reference [.setpu, script]]}\n.setup: {script: x}\n", "1:14 unknown-reference", "did you mean `.setup`?"),
        ("a: {script: [!reference [.setup, scritp]]}\n.setup: {script: x}\n", "1:14 unknown-reference", "`.setup` is there"),
        (
            "a: {script: [!reference [.b, script]]}\n.b: {script: [!reference [.b, script]]}\n",
            "2:15 reference-circle",
            "[.b, script] → [.b, script]",
        ),
        ("a: {script: [!reference [.b, x]]}\n.b: {x: false}\n", "1:14 unknown-reference", "leads to nothing"),
        ("a: {script: [!reference []]}\n", "1:14 yaml", "names nothing"),
        ("a: {script: [!reference [3, [x]]]}\n", "1:26 yaml", "a list of keys"),
        ("a: {script: !reference text}\n", "1:13 yaml", "`!reference`"),
    ];
    for (text, expected, part) in table {
        let reading = reading(text);
        let errors = of_severity(&reading, Severity::Error);
        assert!(shown(&errors).contains(&(*expected).to_owned()), "{text}\n{errors:#?}");
        let told: Vec<String> =
            errors.iter().map(|error| format!("{} {}", error.message, error.hint.clone().unwrap_or_default())).collect();
        assert!(told.join(" ").contains(part), "{told:?}");
    }
}

/// `doc/ci/yaml/_index.md#default` and `#inherit`, `lib/gitlab/ci/config/entry/inherit/`.
#[test]
fn defaults_are_taken_as_inherit_says() {
    let text = "
default:
  before_script: [d]
  after_script: [z]
  image: i
  timeout: 1h
  retry: 2
  interruptible: true
  tags: [t]
  artifacts: {paths: [p]}
  services: [s]
  cache: {paths: [c]}
variables: {A: g, B: g}
all: {script: x}
none:
  inherit: {default: false, variables: false}
  script: x
some:
  inherit: {default: [image, retry], variables: [A]}
  script: x
own:
  script: x
  image: mine
  retry: 0
";
    let plan = Commit::of(&[(".hms-ci.yml", text)]).planned(&PlanInputs::default());
    let job = |job: &str| plan.job(&name(job)).unwrap();
    let all = job("all");
    assert_eq!((all.script.clone(), all.after_script.clone()), (vec!["d".to_owned(), "x".to_owned()], vec!["z".to_owned()]));
    assert_eq!((all.image.as_deref(), all.timeout_seconds, all.retry.max, all.interruptible), (Some("i"), Some(3600), 2, true));
    assert_eq!((all.tags.len(), all.artifacts.paths.len(), all.services.len(), all.cache.len()), (1, 1, 1, 1));
    let none = job("none");
    assert_eq!(none.script, ["x"]);
    assert!(none.after_script.is_empty() && none.image.is_none() && none.tags.is_empty() && none.variables.is_empty());
    assert_eq!((none.timeout_seconds, none.retry.max, none.interruptible), (None, 0, false));
    assert_eq!((none.artifacts.paths.len(), none.services.len(), none.cache.len()), (0, 0, 0));
    let some = job("some");
    assert_eq!((some.script.len(), some.image.as_deref(), some.retry.max, some.timeout_seconds), (1, Some("i"), 2, None));
    assert_eq!(some.variables, variables(&[("A", "g")]));
    assert_eq!((job("own").image.as_deref(), job("own").retry.max), (Some("mine"), 0));
}

#[test]
fn inherit_names_only_what_default_can_hold() {
    let reading = reading("a: {script: x, inherit: {default: [imagee]}}\nb: {script: x, inherit: {variables: yes, default: 3}}\n");
    assert_eq!(shown(&of_severity(&reading, Severity::Error)), ["1:36 unknown-value", "2:51 type"]);
}

#[test]
fn hidden_jobs_anchors_and_stages() {
    let text = "
stages: [one, .pre, two]
workflow: {name: n}
.hidden: &hidden {script: x}
a:
  <<: *hidden
  stage: two
b: {<<: *hidden, stage: .post}
c: {<<: *hidden, stage: .pre}
";
    let plan = planned(text);
    assert_eq!(plan.stages, [".pre", "two", ".post"]);
    assert_eq!(plan.jobs.iter().map(|job| job.name.as_str()).collect::<Vec<_>>(), ["c", "a", "b"]);
}

/// What peers do otherwise: hidden jobs run, jobs without `stage` are there twice, `extends` is not merged (WRK 0.8);
/// `default: retry` and `timeout` are passed over (GCL).
#[test]
fn mistakes_of_peers_with_structure() {
    let plan = planned("default: {retry: 1, timeout: 2h}\n.h: {script: hidden}\na: {extends: .h}\nb: {script: x}\n");
    assert_eq!(plan.jobs.len(), 2);
    assert_eq!(plan.jobs[0].script, ["hidden"]);
    assert!(plan.jobs.iter().all(|job| job.stage == "test" && job.retry.max == 1 && job.timeout_seconds == Some(7200)));
}

/// Included files come first, so that what they hold can be extended and referenced (`lib/gitlab/ci/config.rb`).
#[test]
fn what_is_included_can_be_extended_and_referenced() {
    let main = "include: base.yml\na:\n  extends: .base\n  script:\n    - !reference [.lines, script]\n    - own\n";
    let base = ".base: {tags: [t]}\n.lines: {script: [included]}\n";
    let plan = Commit::of(&[(".hms-ci.yml", main), ("base.yml", base)]).planned(&PlanInputs::default());
    assert_eq!(
        (plan.jobs[0].script.clone(), plan.jobs[0].tags.clone()),
        (vec!["included".to_owned(), "own".to_owned()], vec!["t".to_owned()])
    );
}
