//! `include` and `spec: inputs`: which files, in which order, with which places (`doc/ci/yaml/includes.md`, `doc/ci/inputs/`).

use hms::pipeline::{Elsewhere, Foreign, Remote, Severity, Since};

use super::world::Commit;
use super::*;

const MAIN: &str = ".hms-ci.yml";

fn errors(commit: &Commit) -> Vec<String> {
    let reading = commit.read(&PlanInputs::default());
    let place = |problem: &Problem| problem.place.map_or("-".to_owned(), |place| place.to_string());
    let file = |problem: &Problem| problem.file.as_ref().map(|file| format!("{file}:")).unwrap_or_default();
    let errors = of_severity(&reading, Severity::Error);
    errors.iter().map(|problem| format!("{}{} {}", file(problem), place(problem), problem.code)).collect()
}

#[test]
fn the_including_file_wins_and_later_files_win_over_earlier() {
    let commit = Commit::of(&[
        (MAIN, "include: [one.yml, /two.yml]\nvariables: {C: main}\na: {variables: {X: main}}\n"),
        ("one.yml", "variables: {A: one, B: one, C: one}\na: {script: [one], image: one}\nstages: [x]\n"),
        ("two.yml", "include: {local: deep/three.yml}\nvariables: {B: two}\na: {image: two}\nstages: [test]\n"),
        ("deep/three.yml", "variables: {A: three}\nb: {script: three}\n"),
    ]);
    let plan = commit.planned(&PlanInputs::default());
    let job = plan.job(&name("a")).unwrap();
    assert_eq!((job.image.as_deref(), job.script.clone()), (Some("two"), vec!["one".to_owned()]));
    assert_eq!(job.variables, variables(&[("A", "three"), ("B", "two"), ("C", "main"), ("X", "main")]));
    assert_eq!(plan.jobs.len(), 2);
}

#[test]
fn globs_find_files_of_the_commit() {
    let commit = Commit::of(&[
        (MAIN, "include: 'ci/*.yml'\nmain: {script: x}\n"),
        ("ci/a.yml", "a: {script: x}\n"),
        ("ci/b.yml", "b: {script: x}\n"),
        ("ci/deep/c.yml", "c: {script: x}\n"),
    ]);
    let names = |plan: Plan| plan.jobs.iter().map(|job| job.name.to_string()).collect::<Vec<_>>();
    assert_eq!(names(commit.planned(&PlanInputs::default())), ["a", "b", "main"]);
    let deep = Commit {
        files: commit.files.into_iter().map(|(path, text)| (path, text.replace("ci/*.yml", "ci/**.yml"))).collect(),
        ..Commit::default()
    };
    assert_eq!(names(deep.planned(&PlanInputs::default())), ["a", "b", "c", "main"]);
}

#[test]
fn rules_of_an_include_see_variables_of_the_run() {
    let text = "
include:
  - local: a.yml
    rules: [{if: $WITH == 'a'}]
  - local: b.yml
    rules: [{if: $WITH == 'a', when: never}, {exists: ['*.rs']}]
  - local: c.yml
    rules: [{changes: [src/*]}]
main: {script: x}
";
    let job = |job: &str| format!("{job}: {{script: x}}\n");
    let commit = Commit::of(&[(MAIN, text), ("a.yml", &job("a")), ("b.yml", &job("b")), ("c.yml", &job("c")), ("x.rs", "")]);
    let commit = commit.changing(Since::Revision("1".repeat(40)), &["docs/x"]);
    let names = |given: &[(&str, &str)]| {
        let predefined = variables(&[("CI_PIPELINE_SOURCE", "push"), ("CI_COMMIT_BEFORE_SHA", &"1".repeat(40))]);
        let inputs = PlanInputs { variables: variables(given), predefined, ..PlanInputs::default() };
        commit.planned(&inputs).jobs.iter().map(|job| job.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(&[("WITH", "a")]), ["a", "main"]);
    assert_eq!(names(&[]), ["b", "main"]);
}

#[test]
fn an_included_file_takes_inputs() {
    let text = "
include:
  - local: /t.yml
    inputs: {stage: build, tags: [x, y], count: 2, flag: true}
";
    let template = "spec:
  inputs:
    stage: {description: where}
    tags: {type: array}
    count: {type: number, default: 1, options: [1, 2]}
    flag: {type: boolean}
    name: {default: job, regex: ^j}
---
$[[ inputs.name ]]-$[[ inputs.stage ]]:
  stage: $[[ inputs.stage ]]
  tags: $[[ inputs.tags ]]
  parallel: $[[ inputs.count ]]
  interruptible: $[[ inputs.flag ]]
  script: [\"echo $[[ inputs.stage | truncate(0,3) ]]\"]
";
    let plan = Commit::of(&[(MAIN, text), ("t.yml", template)]).planned(&PlanInputs::default());
    assert_eq!(plan.jobs[0].name.as_str(), "job-build 1/2");
    assert_eq!((plan.jobs[0].tags.clone(), plan.jobs[0].interruptible), (vec!["x".to_owned(), "y".to_owned()], true));
    assert_eq!(plan.jobs[0].script, ["echo bui"]);
}

#[test]
fn the_pipeline_file_takes_inputs_too() {
    let text = "spec:\n  inputs:\n    where: {default: here}\n---\na: {script: \"$[[ inputs.where ]]\"}\n";
    let commit = Commit::of(&[(MAIN, text)]);
    assert_eq!(commit.planned(&PlanInputs::default()).jobs[0].script, ["here"]);
    let given = PlanInputs { inputs: variables(&[("where", "there")]), ..PlanInputs::default() };
    assert_eq!(commit.planned(&given).jobs[0].script, ["there"]);
}

/// Files, and `file:line:column code` of each error.
type Row<'t> = (&'t [(&'t str, &'t str)], &'t [&'t str]);

#[test]
fn errors_have_the_place_in_their_own_file() {
    let spec = "spec:\n  inputs:\n    a: {type: number}\n---\n";
    let table: &[Row] = &[
        (&[(MAIN, "include: [x.yml]\n"), ("x.yml", "\na:\n  script: 3\n")], &["x.yml:3:11 type"]),
        (&[(MAIN, "include: [x.yml]\n"), ("x.yml", "a: {script: x\n")], &["x.yml:2:1 yaml"]),
        (&[(MAIN, "a: {script: x}\ninclude: [y.yml]\n")], &["2:11 unknown-include"]),
        (&[(MAIN, "a: {script: x}\ninclude: [y.txt]\n"), ("y.txt", "")], &["2:11 include-refused"]),
        (&[(MAIN, "a: {script: x}\ninclude: [b.yml]\n"), ("b.yml", "include: b.yml\n")], &["b.yml:1:10 include-circle"]),
        (&[(MAIN, "a: {script: x}\ninclude: [{template: Bash.yml}]\n")], &["2:22 include-refused"]),
        (&[(MAIN, "a: {script: x}\ninclude: [{component: build@1}]\n")], &["2:23 include"]),
        (&[(MAIN, "a: {script: x}\ninclude: [{project: g/p, ref: v1}]\n")], &["2:21 include"]),
        (&[(MAIN, "a: {script: x}\ninclude: [{lcoal: b.yml}]\n")], &["2:11 include", "2:12 unknown-key"]),
        (&[(MAIN, "a: {script: x}\ninclude: [{local: b.yml, template: x}]\n")], &["2:11 include"]),
        (&[(MAIN, "a: {script: x}\ninclude: [{remote: 'https://x'}]\n")], &["2:20 include-refused"]),
        (&[(MAIN, "a: {script: x}\ninclude: [{remote: 'https://x/y.txt'}]\n")], &["2:20 include-refused"]),
        (&[(MAIN, "a: {script: x}\ninclude: [{remote: 'https://a:b@x/y.yml'}]\n")], &["2:20 include-refused"]),
        (&[(MAIN, "a: {script: x}\ninclude: ['http://example.org/x.yml']\n")], &["2:11 include-refused"]),
        (&[(MAIN, "a: {script: x}\ninclude: ['https://example.org/x.yml']\n")], &["2:11 unknown-include"]),
        (&[(MAIN, "a: {script: x}\ninclude: [{remote: 'https://x/y.yml', integrity: md5-x}]\n")], &["2:50 integrity"]),
        (&[(MAIN, "a: {script: x}\ninclude: [{remote: 'https://x/y.yml', integrity: sha256-?}]\n")], &["2:50 integrity"]),
        (&[(MAIN, "a: {script: x}\ninclude: [{remote: 'https://x/y.yml', integrity: sha256-YQ==}]\n")], &["2:50 integrity"]),
        (&[(MAIN, "a: {script: x}\ninclude: [{remote: 'https://x/y.yml', cache: 30 seconds}]\n")], &["2:46 duration"]),
        (&[(MAIN, "a: {script: x}\ninclude: [{remote: 'https://x/y.yml', cache: 3}]\n")], &["2:46 type"]),
        (&[(MAIN, "a: {script: x}\ninclude: [{local: y.yml, integrity: sha256-x}]\n")], &["2:26 include"]),
        (&[(MAIN, "a: {script: x}\ninclude: [{local: y.yml, cache: true}]\n")], &["2:26 include"]),
        (&[(MAIN, "a: {script: x}\ninclude: [{artifact: x.yml, job: a}]\n")], &["2:12 refused-keyword", "2:29 refused-keyword"]),
        (&[(MAIN, "a: {script: x}\ninclude: [x.yml]\n"), ("x.yml", ".hms: {app: other}\n")], &["x.yml:1:1 included-settings"]),
        (&[(MAIN, &format!("{spec}a: {{script: x}}\n"))], &["3:5 missing-input"]),
        (
            &[(MAIN, "a: {script: x}\ninclude: [{local: x.yml, inputs: {a: text, b: 1}}]\n"), ("x.yml", spec)],
            &["2:38 input-value", "2:44 unknown-input"],
        ),
        (&[(MAIN, "a: {script: x}\ninclude: [{local: x.yml, inputs: {a: 1}}]\n"), ("x.yml", "b: {script: x}\n")], &["2:35 unknown-input"]),
        (&[(MAIN, "spec: {inputs: {a: {default: b}}}\n---\na: {script: \"$[[ inputs.b ]]\"}\n")], &["3:13 input-block"]),
        (&[(MAIN, "spec: {inputs: {a: {default: b}}}\n---\na: {image: \"$[[ inputs.a ]]\", script: 3}\n")], &["3:39 type"]),
        (&[(MAIN, "spec: {inputs: {a: {default: b, options: [c]}}}\n---\na: {script: x}\n")], &["1:30 input-value"]),
        (&[(MAIN, "spec: {inputs: {a: {default: b, regex: ^c}}}\n---\na: {script: x}\n")], &["1:30 input-value"]),
        (&[(MAIN, "spec: {inputs: {a: {default: b}}}\n---\na: {script: x}\n.hms: {app: \"$[[ inputs.a ]]\"}\n")], &["4:7 settings-inputs"]),
        (&[(MAIN, "spec: {inputs: {}}\na: {script: x}\n")], &["1:1 refused-keyword"]),
        (
            &[
                (MAIN, "a: {script: x}\ninclude: [{local: x.yml, inputs: {a: b}}]\n"),
                ("x.yml", "spec: {inputs: {a: {type: number, default: b}}}\n---\n"),
            ],
            &["x.yml:1:44 input-value"],
        ),
    ];
    for (files, expected) in table {
        assert_eq!(errors(&Commit::of(files)), *expected, "{files:?}");
    }
}

fn project(project: &str, reference: Option<&str>, path: &str) -> Foreign {
    Foreign::Of(Elsewhere::Project { project: project.to_owned(), reference: reference.map(str::to_owned) }, path.to_owned())
}

fn component(project: &str, version: &str, path: &str) -> Foreign {
    Foreign::Of(Elsewhere::Component { project: project.to_owned(), version: version.to_owned() }, path.to_owned())
}

#[test]
fn files_of_elsewhere_come_from_where_they_are_said_to_be() {
    let text = "
include:
  - project: $GROUP/ci
    ref: v1
    file: [/a.yml, b.yml]
  - template: T.gitlab-ci.yml
  - component: $CI_SERVER_FQDN/group/parts/build@1.0
";
    let commit = Commit::of(&[(MAIN, text)])
        .with_foreign(project("group/ci", Some("v1"), "a.yml"), "include: {local: sub/c.yml}\na: {script: x}\n")
        .with_foreign(project("group/ci", Some("v1"), "b.yml"), "b: {script: x}\n")
        .with_foreign(project("group/ci", Some("v1"), "sub/c.yml"), "c: {script: x}\n")
        .with_foreign(component("gitlab.example.org/group/parts", "1.0", "templates/build/template.yml"), "d: {script: x}\n")
        .with_foreign(Foreign::Template("T.gitlab-ci.yml".to_owned()), "e: {script: x}\n");
    let inputs =
        PlanInputs { variables: variables(&[("GROUP", "group"), ("CI_SERVER_FQDN", "gitlab.example.org")]), ..PlanInputs::default() };
    let names: Vec<String> = commit.planned(&inputs).jobs.iter().map(|job| job.name.to_string()).collect();
    assert_eq!(names, ["c", "a", "b", "e", "d"]);
}

#[test]
fn a_hundred_and_fifty_files_and_no_more() {
    let commit = |count: usize| {
        let list: Vec<String> = (0..count).map(|index| format!("f{index}.yml")).collect();
        let mut files = vec![(MAIN.to_owned(), format!("include: [{}]\n", list.join(", ")))];
        files.extend((0..count).map(|index| (format!("f{index}.yml"), format!("j{index}: {{script: x}}\n"))));
        Commit { files: files.into_iter().collect(), ..Commit::default() }
    };
    assert_eq!(commit(150).planned(&PlanInputs::default()).jobs.len(), 150);
    assert_eq!(errors(&commit(151)).len(), 1);
    assert!(errors(&commit(151))[0].contains("too-many-includes"));
}

#[test]
fn a_file_by_itself_includes_nothing() {
    let reading = reading("include: [x.yml]\na: {script: x}\n");
    assert_eq!(shown(&of_severity(&reading, Severity::Error)), ["1:11 include-refused"]);
}

#[test]
fn settings_are_read_whatever_the_rest_is() {
    let settings = |text: &str| hms::pipeline::settings(text.as_bytes()).map(|node| node.get("app").unwrap().as_str().unwrap().to_owned());
    assert_eq!(settings(".hms: {app: x}\na: {scirpt: y}\ninclude: gone.yml\n").as_deref(), Some("x"));
    assert_eq!(settings("spec: {inputs: {a: }}\n---\n.hms: {app: x}\n").as_deref(), Some("x"));
    assert_eq!(settings("a: {script: [!reference [b]]}\n.hms: {app: x}\n").as_deref(), Some("x"));
    assert_eq!(settings("a: {script: x}\n"), None);
}

/// Bytes at an address, and what the pipeline says they must come to.
fn remote(address: &str, text: &str) -> (Foreign, String) {
    let integrity = hms::event::Digest::of(text.as_bytes());
    (Foreign::Remote(Remote { address: address.to_owned(), integrity: Some(integrity), cache_seconds: None }), text.to_owned())
}

#[test]
fn bytes_from_an_address_are_held_to_their_integrity_whoever_hands_them_in() {
    // `printf 'far: {script: x}\n' | openssl dgst -sha256 -binary | base64`
    let text = "far: {script: x}\n";
    let pinned = "include: [{remote: 'https://example.org/a.yml', integrity: 'sha256-6YpCoTJjZzFehp7wckA12+IDlmjWKE1qYVArV+4VN3U='}]\n";
    let (wanted, _) = remote("https://example.org/a.yml", text);
    let good = Commit::of(&[(MAIN, pinned)]).with_foreign(wanted.clone(), text);
    let plan = good.planned(&PlanInputs::default());
    assert_eq!((plan.jobs[0].name.as_str(), plan.fetched.len(), plan.fetched[0].pinned), ("far", 1, true));
    let bad = Commit::of(&[(MAIN, pinned)]).with_foreign(wanted, "far: {script: other}\n");
    assert_eq!(errors(&bad), ["1:20 integrity"]);
}

#[test]
fn what_an_address_includes_sees_no_variables_and_no_files_beside_it() {
    let address = |name: &str| format!("https://example.org/{name}.yml");
    let unpinned = |name: &str| Foreign::Remote(Remote { address: address(name), integrity: None, cache_seconds: None });
    let outer = "include:\n  - {remote: 'https://example.org/inner.yml', rules: [{if: $WITH}]}\n  - {remote: 'https://example.org/always.yml', rules: [{if: $WITH == null}]}\nouter: {script: x}\n";
    let commit = Commit::of(&[(MAIN, "include: 'https://example.org/outer.yml'\n")])
        .with_foreign(unpinned("outer"), outer)
        .with_foreign(unpinned("inner"), "inner: {script: x}\n")
        .with_foreign(unpinned("always"), "always: {script: x}\n");
    let inputs = PlanInputs { variables: variables(&[("WITH", "1")]), ..PlanInputs::default() };
    let names: Vec<String> = commit.planned(&inputs).jobs.iter().map(|job| job.name.to_string()).collect();
    assert_eq!(names, ["always", "outer"]);
    let local = Commit::of(&[(MAIN, "include: 'https://example.org/outer.yml'\n"), ("x.yml", "x: {script: x}\n")])
        .with_foreign(unpinned("outer"), "include: x.yml\nouter: {script: x}\n");
    assert_eq!(errors(&local), ["https://example.org/outer.yml:1:10 include-refused"]);
    let warned = commit.read(&inputs);
    let warned: Vec<_> = of_severity(&warned, Severity::Warning).iter().map(|problem| problem.code).collect();
    assert_eq!(warned, ["unpinned-include"; 2]);
}

#[test]
fn a_file_of_a_project_sees_the_files_of_that_project() {
    let text = "include: {project: group/ci, file: a.yml}\nhere: {script: x}\n";
    let theirs = "include:\n  - local: parts/*.yml\n  - {local: with.yml, rules: [{exists: [Theirs]}]}\n  - {local: without.yml, rules: [{exists: [Ours]}]}\na: {script: x}\n";
    let mut commit = Commit::of(&[(MAIN, text), ("Ours", ""), ("parts/ours.yml", "ours: {script: x}\n")]);
    for (path, text) in [("a.yml", theirs), ("parts/one.yml", "one: {script: x}\n"), ("with.yml", "with: {script: x}\n"), ("Theirs", "")] {
        commit = commit.with_foreign(project("group/ci", None, path), text);
    }
    let names: Vec<String> = commit.planned(&PlanInputs::default()).jobs.iter().map(|job| job.name.to_string()).collect();
    assert_eq!(names, ["one", "with", "a", "here"]);
}

/// `doc/ci/yaml/_index.md#speccomponent`.
#[test]
fn a_component_knows_itself() {
    let text = "spec:\n  component: [name, sha, version, reference]\n---\n\"$[[ component.name ]]-$[[ component.version ]]\": {script: \"x $[[ component.sha ]] $[[ component.reference ]]\"}\n";
    let commit = Commit::of(&[(MAIN, "include: {component: h.example/g/p/build@1.0}\n")])
        .with_foreign(component("h.example/g/p", "1.0", "templates/build.yml"), text);
    let plan = commit.planned(&PlanInputs::default());
    assert_eq!((plan.jobs[0].name.as_str(), plan.jobs[0].script[0].clone()), ("build-1.0", format!("x {} 1.0", "1".repeat(40))));
    assert_eq!(errors(&Commit::of(&[(MAIN, text)])), ["4:1 input-block", "4:1 input-block", "4:60 input-block", "4:60 input-block"]);
    let unasked = "spec: {component: [name]}\n---\na: {script: \"$[[ component.sha ]]\"}\n";
    let commit = Commit::of(&[(MAIN, "include: {component: h.example/g/p/build@1.0}\n")])
        .with_foreign(component("h.example/g/p", "1.0", "templates/build.yml"), unasked);
    assert_eq!(errors(&commit), ["component h.example/g/p/build@1.0:3:13 input-block"]);
}
