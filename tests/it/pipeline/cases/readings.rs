//! Whole files with what GitLab makes of them: what is taken, what is refused and where, and what comes of it. Sources are files below
//! `lib/gitlab/ci/config/` of GitLab's repository unless they say otherwise; `spec` is below `spec/lib/gitlab/ci/`.

use super::super::*;

/// What becomes of a file.
pub(super) enum Outcome {
    /// It is read and planned without an error.
    Fine,
    /// Line, column and code of an error.
    Error(&'static str),
    /// The code of an error of the plan.
    PlanError(&'static str),
    /// The names of the jobs that it plans.
    Jobs(&'static str),
    /// What of its plan is looked at, and what that is.
    Shows(fn(&Plan) -> String, &'static str),
}

use Outcome::{Error, Fine, Jobs, PlanError, Shows};

/// A source with what GitLab says there, a file, variables of the run, and what becomes of the file.
pub(super) type Readings = &'static [(&'static str, &'static str, &'static [(&'static str, &'static str)], Outcome)];

fn first(plan: &Plan) -> &hms::pipeline::Job {
    &plan.jobs[0]
}

fn values(plan: &Plan) -> String {
    first(plan).variables.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}

fn script(plan: &Plan) -> String {
    first(plan).script.join("; ")
}

fn when(plan: &Plan) -> String {
    plan.jobs
        .iter()
        .map(|job| format!("{} {} {}", job.name, format!("{:?}", job.when).to_lowercase(), job.allow_failure))
        .collect::<Vec<_>>()
        .join(", ")
}

fn stages(plan: &Plan) -> String {
    plan.stages.join(" ")
}

fn needs(plan: &Plan) -> String {
    let of = |job: &hms::pipeline::Job| job.needs.iter().flatten().map(|need| need.job.to_string()).collect::<Vec<_>>().join("+");
    plan.jobs.iter().filter(|job| job.needs.is_some()).map(|job| format!("{}<{}", job.name, of(job))).collect::<Vec<_>>().join(", ")
}

fn timeout(plan: &Plan) -> String {
    first(plan).timeout_seconds.map(|seconds| seconds.to_string()).unwrap_or_default()
}

fn paths(plan: &Plan) -> String {
    first(plan).artifacts.paths.join(" ")
}

fn codes(plan: &Plan) -> String {
    format!("{} {:?}", first(plan).allow_failure, first(plan).allow_failure_exit_codes)
}

fn group(plan: &Plan) -> String {
    format!("{:?}", first(plan).resource_group)
}

fn environment(plan: &Plan) -> String {
    first(plan).environment.as_ref().map(|environment| environment.name.clone()).unwrap_or_default()
}

fn image(plan: &Plan) -> String {
    format!("{:?}", first(plan).image)
}

const PUSH: (&str, &str) = ("CI_PIPELINE_SOURCE", "push");

pub(super) const READINGS: Readings = &[
    // Conditions see variables as they are written.
    (
        "../build/rules/rule/clause/if.rb: `variables_hash`; doc rules:if: no nested variables",
        "variables: {B: x, A: $B}\na: {script: x, rules: [{if: '$A == \"x\"'}]}\nb: {script: x, rules: [{if: '$A == \"$B\"'}]}\n",
        &[],
        Jobs("b"),
    ),
    (
        "../build/policy/variables.rb: `variables_hash`",
        "variables: {B: x, A: '${B}y'}\na: {script: x, only: {variables: ['$A == \"xy\"']}}\nb: {script: x, except: {variables: ['$A == \"xy\"']}}\n",
        &[("CI_COMMIT_BRANCH", "m"), ("CI_COMMIT_REF_NAME", "m")],
        Jobs("b"),
    ),
    (
        "../build/rules/rule/clause/exists.rb: `variables_hash_expanded`",
        "variables: {B: src, A: '$B/*.rs'}\na: {script: x, rules: [{exists: [$A]}]}\n",
        &[],
        Jobs("a"),
    ),
    (
        "../pipeline/expression/lexeme/not.rb",
        "a: {script: x, rules: [{if: '!$A'}]}\nb: {script: x, rules: [{if: '!$A'}]}\nc: {script: x, rules: [{if: '$A && !$GONE'}]}\n",
        &[("A", "1")],
        Jobs("c"),
    ),
    (
        "../pipeline/expression/lexeme/boolean.rb",
        "a: {script: x, rules: [{if: 'true'}]}\nb: {script: x, rules: [{if: 'false'}]}\nc: {script: x, rules: [{if: '$A == true'}]}\n",
        &[("A", "true")],
        Jobs("a c"),
    ),
    (
        "spec pipeline/expression/statement_spec.rb: a variable may hold a pattern",
        "a: {script: x, rules: [{if: '$A =~ $P'}]}\nb: {script: x, rules: [{if: '$A !~ $P'}]}\n",
        &[("A", "abc"), ("P", "/^ab.*/")],
        Jobs("a"),
    ),
    ("../pipeline/expression/lexer.rb: no other operators", "a: {script: x, rules: [{if: '$A > 1'}]}\n", &[], Error("1:29 condition")),
    (
        "../pipeline/expression/lexeme/string.rb: either quote, and no escape",
        "a: {script: x, rules: [{if: \"$A == 'it\\\"s'\"}]}\n",
        &[("A", "it\"s")],
        Jobs("a"),
    ),
    // `exists`.
    (
        "entry/rules/rule/exists.rb, SimpleExists: a string",
        "a: {script: x, rules: [{exists: src/a.rs}]}\nb: {script: x, rules: [{exists: gone}]}\n",
        &[],
        Jobs("a"),
    ),
    (
        "../build/rules/rule/clause/exists.rb, exact_matches?: a folder",
        "a: {script: x, rules: [{exists: [src/]}]}\nb: {script: x, rules: [{exists: [src]}]}\nc: {script: x, rules: [{exists: [sr/]}]}\n",
        &[],
        Jobs("a"),
    ),
    (
        "../build/rules/rule/clause/exists.rb, matches_extension?",
        "a: {script: x, rules: [{exists: ['**/*.rs']}]}\nb: {script: x, rules: [{exists: ['*.rs']}]}\n",
        &[],
        Jobs("a"),
    ),
    ("../build/rules/rule/clause/exists.rb: no globs, no match", "a: {script: x, rules: [{exists: []}]}\nb: {script: x}\n", &[], Jobs("b")),
    (
        "entry/rules/rule/exists.rb, ComplexExists: `paths` may be nothing",
        "a: {script: x, rules: [{exists: {paths: ~}}]}\nb: {script: x}\n",
        &[],
        Jobs("b"),
    ),
    (
        "entry/rules/rule/exists.rb: `ref` needs `project`",
        "a: {script: x, rules: [{exists: {paths: [x], ref: r}}]}\n",
        &[],
        Error("1:46 exists"),
    ),
    ("entry/include/rules/rule.rb: no limit for a list", MANY_PATHS_OF_INCLUDE, &[], Fine),
    // `changes`.
    (
        "../build/rules/rule/clause/changes.rb: `return true unless modified_paths`",
        "a: {script: x, rules: [{changes: [gone]}]}\n",
        &[],
        Jobs("a"),
    ),
    ("entry/rules/rule/changes.rb: `paths` is a list", "a: {script: x, rules: [{changes: {paths: ~}}]}\n", &[], Error("1:34 blank")),
    (
        "entry/rules/rule/changes.rb: `compare_to` may be nothing",
        "a: {script: x, rules: [{changes: {paths: [x], compare_to: ~}}]}\n",
        &[],
        Jobs("a"),
    ),
    (
        "../build/rules/rule/clause/changes.rb: `compare_to` is a ref",
        "a: {script: x, rules: [{changes: {paths: [x], compare_to: gone}}]}\n",
        &[],
        PlanError("undecided-rule"),
    ),
    // `rules`.
    ("entry/rules.rb: `presence: true`", "a: {script: x, rules: []}\n", &[], Error("1:23 blank")),
    ("entry/rules.rb: `presence: true`", "workflow: {rules: []}\na: {script: x}\n", &[], Error("1:19 blank")),
    ("entry/include/rules.rb: `presence: true`", "include: [{local: x.yml, rules: []}]\na: {script: x}\n", &[], Error("1:33 blank")),
    ("entry/factory.rb: nothing is not specified", "a: {script: x, rules: ~, when: manual}\n", &[], Shows(when, "a manual true")),
    ("entry/processable.rb: `ignore_nil`", "a: {script: x, rules: [{when: always}], only: ~, except: ~, start_in: ~}\n", &[], Jobs("a")),
    (
        "entry/workflow.rb: `allow_failure` and `needs` are allowed keys",
        "workflow: {rules: [{when: always, allow_failure: true, needs: []}]}\na: {script: x}\n",
        &[],
        Jobs("a"),
    ),
    (
        "entry/workflow.rb: `interruptible` is none",
        "workflow: {rules: [{when: always, interruptible: true}]}\na: {script: x}\n",
        &[],
        Error("1:35 unknown-key"),
    ),
    (
        "entry/rules/rule.rb: `if` may be nothing",
        "a: {script: x, rules: [{if: ~, when: always, changes: ~, exists: ~, allow_failure: ~, variables: ~, needs: ~}]}\n",
        &[],
        Jobs("a"),
    ),
    (
        "entry/rules/rule.rb, entry/variable.rb: of rules a scalar, and nothing is a hash",
        "a: {script: x, rules: [{variables: {A: ~}}]}\n",
        &[],
        Error("1:37 type"),
    ),
    (
        "../build/rules.rb: the job's `when` is the rule's where it says none",
        "a: {script: x, when: always, rules: [{if: '$A == null'}]}\nb: {script: x, when: manual, rules: [{if: '$A == null', allow_failure: false}]}\n",
        &[],
        Shows(when, "a always false, b manual false"),
    ),
    (
        "../pipeline/seed/build.rb, allow_failure_criteria_attributes: a rule takes the codes away",
        "a: {script: x, allow_failure: {exit_codes: 3}, rules: [{when: always, allow_failure: false}]}\n",
        &[],
        Shows(codes, "false []"),
    ),
    (
        "../pipeline/seed/build.rb, allow_failure_criteria_attributes: a rule that says nothing leaves them",
        "a: {script: x, allow_failure: {exit_codes: [3, 4]}, rules: [{when: always}]}\n",
        &[],
        Shows(codes, "false [3, 4]"),
    ),
    ("entry/allow_failure.rb: no key is required", "a: {script: x, allow_failure: {}}\n", &[], Shows(codes, "false []")),
    ("entry/allow_failure.rb: `allow_nil`", "a: {script: x, allow_failure: {exit_codes: ~}}\n", &[], Shows(codes, "false []")),
    // `only` and `except`.
    (
        "../build/policy/refs.rb: the source without `_event`",
        "a: {script: x, only: [merge_request]}\nb: {script: x, only: [merge_requests]}\nc: {script: x, only: [merge_request_event]}\n",
        &[("CI_PIPELINE_SOURCE", "merge_request_event")],
        Jobs("a b"),
    ),
    (
        "../build/policy/refs.rb: `pushes`",
        "a: {script: x, only: [pushes]}\nb: {script: x, except: [push]}\n",
        &[PUSH, ("CI_COMMIT_BRANCH", "m"), ("CI_COMMIT_REF_NAME", "m")],
        Jobs("a"),
    ),
    (
        "../build/policy/refs.rb, UntrustedRegexp::RubySyntax: flags `ismU`",
        "a: {script: x, only: [/^REL.*?x/iU]}\n",
        &[("CI_COMMIT_BRANCH", "rel-x"), ("CI_COMMIT_REF_NAME", "rel-x")],
        Jobs("a"),
    ),
    (
        "../build/policy/refs.rb: a name of another project",
        "a: {script: x, only: [m@g/other]}\nb: {script: x, only: [m@g/p]}\n",
        &[("CI_PROJECT_PATH", "g/p"), ("CI_COMMIT_BRANCH", "m"), ("CI_COMMIT_REF_NAME", "m")],
        Jobs("b"),
    ),
    ("entry/policy.rb: `allow_nil`", "a: {script: x, only: {refs: ~, variables: ~, changes: ~}}\n", &[], Fine),
    (
        "entry/policy.rb, DEFAULT_ONLY is merged under `only`",
        "workflow: {rules: [{when: always}]}\na: {script: x, only: {variables: [$A]}}\nb: {script: x}\n",
        &[("CI_PIPELINE_SOURCE", "merge_request_event"), ("A", "1")],
        Jobs("b"),
    ),
    (
        "entry/policy.rb: no refs, no job",
        "a: {script: x, only: []}\nb: {script: x}\n",
        &[("CI_COMMIT_BRANCH", "m"), ("CI_COMMIT_REF_NAME", "m")],
        Jobs("b"),
    ),
    // `needs`.
    ("entry/needs.rb: a hash alone", "b: {script: x}\na: {script: x, needs: {job: b, artifacts: false}}\n", &[], Shows(needs, "a<b")),
    ("entry/needs.rb: and no empty one", "b: {script: x}\na: {script: x, needs: {}}\n", &[], Error("2:23 type")),
    ("entry/need.rb: `job` is there", "a: {script: x, needs: [{job: ~}]}\n", &[], Error("1:24 needs")),
    (
        "entry/need.rb: `allow_nil`",
        "b: {script: x}\na: {script: x, needs: [{job: b, artifacts: ~, optional: ~}]}\n",
        &[],
        Shows(needs, "a<b"),
    ),
    (
        "../yaml_processor.rb: of a prior stage or its own",
        "a: {script: x, stage: build, needs: [b]}\nb: {script: x, stage: test}\n",
        &[],
        Error("1:38 later-need"),
    ),
    (
        "../yaml_processor.rb: `optional` may name what is not there",
        "a: {script: x, needs: [{job: gone, optional: true}]}\n",
        &[],
        Shows(needs, "a<"),
    ),
    ("../yaml_processor/dag.rb: `self-dependency`", "a: {script: x, needs: [a]}\n", &[], Error("1:24 self-need")),
    (
        "../yaml_processor.rb: duplicated needs",
        "b: {script: x}\na: {script: x, needs: [b, {job: b, artifacts: false}]}\n",
        &[],
        Error("2:33 duplicate-need"),
    ),
    (
        "normalizer.rb: `dependencies` of a parallel job are all its instances",
        "b: {script: x, parallel: 2, stage: build}\na: {script: x, needs: [b], dependencies: [b]}\n",
        &[],
        Shows(needs, "a<b 1/2+b 2/2"),
    ),
    (
        "entry/job.rb: empty `needs` and `dependencies` go together",
        "b: {script: x, stage: build}\na: {script: x, needs: [], dependencies: [b]}\n",
        &[],
        Shows(needs, "a<"),
    ),
    // `parallel`.
    (
        "legacy_validation_helpers.rb: values of a matrix are strings or integers",
        "a: {script: x, parallel: {matrix: [{A: [1.5]}]}}\n",
        &[],
        Error("1:41 type"),
    ),
    (
        "legacy_validation_helpers.rb: values of a matrix are strings or integers",
        "a: {script: x, parallel: {matrix: [{A: true}]}}\n",
        &[],
        Error("1:40 type"),
    ),
    (
        "normalizer/matrix_strategy.rb: names",
        "a: {script: x, parallel: {matrix: [{A: [1, 'b c'], B: [x, '']}]}}\n",
        &[],
        Jobs("a: [1, x]|a: [1, ]|a: [b c, x]|a: [b c, ]"),
    ),
    ("normalizer/number_strategy.rb: names", "a b: {script: x, parallel: 2}\n", &[], Jobs("a b 1/2|a b 2/2")),
    ("entry/product/parallel.rb: `matrix` is required", "a: {script: x, parallel: {matrix: ~}}\n", &[], Error("1:26 parallel")),
    ("entry/product/parallel.rb: an integer", "a: {script: x, parallel: 2.5}\n", &[], Error("1:26 type")),
    // `stages`.
    (
        "entry/stages.rb: nested at most ten deep",
        "stages: [one, [two, [three]]]\na: {script: x, stage: three}\n",
        &[],
        Shows(stages, "three"),
    ),
    (
        "entry/stages.rb: nested at most ten deep",
        "stages: [[[[[[[[[[[x]]]]]]]]]]]\na: {script: x, stage: x}\n",
        &[],
        Error("1:19 too-deep"),
    ),
    (
        "stages.rb, wrap_with_edge_stages: the edges stay there",
        "stages: [.post, one, .pre]\na: {script: x, stage: one}\nb: {script: x, stage: .pre}\nc: {script: x, stage: .post}\n",
        &[],
        Shows(stages, ".pre one .post"),
    ),
    (
        "../yaml_processor/result.rb: `stages.uniq`",
        "stages: [one, two, one]\na: {script: x, stage: two}\nb: {script: x, stage: one}\n",
        &[],
        Shows(stages, "one two"),
    ),
    (
        "../pipeline/chain/populate.rb: not `.pre` and `.post` alone",
        "a: {script: x, stage: .pre}\nb: {script: x, stage: .post}\n",
        &[],
        Jobs(""),
    ),
    // `tags`.
    ("entry/tags.rb: `>= TAGS_LIMIT`, after the same ones are one", FIFTY_TAGS, &[], Error("1:22 too-many-tags")),
    ("../tags/parser.rb, tag_list.rb: the same one twice is one", "a: {script: x, tags: [t, t, t]}\n", &[], Fine),
    // Durations.
    ("entry/timeout.rb: less than `1.month`, 2629746 seconds", "a: {script: x, timeout: 2629747 seconds}\n", &[], Error("1:25 duration")),
    ("entry/timeout.rb: 30 days are less", "a: {script: x, timeout: 30 days}\n", &[], Shows(timeout, "2592000")),
    ("entry/timeout.rb: 31 days are more", "a: {script: x, timeout: 31 days}\n", &[], Error("1:25 duration")),
    ("chronic_duration.rb: a unit alone is one of it", "a: {script: x, timeout: hour}\n", &[], Shows(timeout, "3600")),
    (
        "chronic_duration.rb, numerizer: numbers in words",
        "a: {script: x, timeout: two hours and thirty mins}\n",
        &[],
        Shows(timeout, "9000"),
    ),
    ("chronic_duration.rb, filter_by_type: a clock", "a: {script: x, timeout: '1:02:03'}\n", &[], Shows(timeout, "3723")),
    ("chronic_duration.rb: no other words", "a: {script: x, timeout: about 1h}\n", &[], Error("1:25 duration")),
    ("chronic_duration.rb: none of zero", "a: {script: x, timeout: 0 seconds}\n", &[], Error("1:25 duration")),
    ("../build/duration_parser.rb: `casecmp('never')`", "a: {script: x, artifacts: {paths: [p], expire_in: Never}}\n", &[], Fine),
    // `artifacts`.
    (
        "entry/artifacts.rb: `allow_nil`",
        "a: {script: x, artifacts: {paths: ~, name: ~, untracked: ~, reports: ~, when: ~, expire_in: ~, exclude: ~}}\n",
        &[],
        Fine,
    ),
    (
        "entry/reports.rb: `allow_nil`",
        "a: {script: x, artifacts: {reports: {junit: ~, sarif: s.json, performance: [p.json], lsif: l, requirements_v2: r, cluster_image_scanning: c}}}\n",
        &[],
        Fine,
    ),
    (
        "entry/artifacts.rb, EXPOSE_AS_REGEX: starts with a letter, a digit or `_`",
        "a: {script: x, artifacts: {paths: [p], expose_as: -x}}\n",
        &[],
        Error("1:51 artifacts"),
    ),
    (
        "entry/artifacts.rb: with `expose_as`, paths are not blank",
        "a: {script: x, artifacts: {paths: [], expose_as: x}}\n",
        &[],
        Error("1:39 artifacts"),
    ),
    ("entry/job.rb, artifacts_with_pages_publish_path", "pages: {script: x, artifacts: {paths: [p]}}\n", &[], Shows(paths, "p public")),
    ("entry/job.rb, pages_job?: `pages: false`", "pages: {script: x, pages: false, artifacts: {paths: [p]}}\n", &[], Shows(paths, "p")),
    ("entry/job.rb, pages_publish_path", "a: {script: x, pages: {publish: site}}\n", &[], Shows(paths, "site")),
    ("entry/job.rb: `publish` in a job of pages", "a: {script: x, publish: dist}\n", &[], Error("1:16 publish")),
    // Variables.
    (
        "../variables/collection/item.rb: `$$` stays",
        "variables: {A: x, B: '$$A $A', C: '%A% %%A%%'}\na: {script: x}\n",
        &[],
        Shows(values, "A=x B=$$A x C=x %%A%%"),
    ),
    (
        "../variables/collection.rb: a raw one is left for the runner",
        "variables: {A: {value: $X, expand: false}, B: $A}\na: {script: x}\n",
        &[],
        Shows(values, "A=$X B=$A"),
    ),
    ("../variables/collection/sort.rb: circles", "variables: {A: $B, B: $A}\na: {script: x}\n", &[], PlanError("variable-expansion")),
    (
        "entry/variable.rb: scalars",
        "variables: {A: 012, B: 1.10, C: yes, D: 0x1F, E: ~, F: 1_000}\na: {script: x}\n",
        &[],
        Shows(values, "A=10 B=1.1 C=true D=31 E= F=1000"),
    ),
    ("entry/variable.rb: no list", "variables: {A: [x]}\na: {script: x}\n", &[], Error("1:16 type")),
    (
        "entry/variable.rb: `description` is alphanumeric",
        "variables: {A: {value: x, description: 3, expand: ~, options: ~}}\na: {script: x}\n",
        &[],
        Fine,
    ),
    (
        "entry/variable.rb: options are strings, so no number is among them",
        "variables: {A: {value: 3, options: ['3']}}\na: {script: x}\n",
        &[],
        Error("1:24 variable-value"),
    ),
    ("entry/inherit/variables.rb", "variables: {A: x, B: y}\na: {script: x, inherit: {variables: [B]}}\n", &[], Shows(values, "B=y")),
    (
        "../variables/helpers.rb: the job's win, the run's over them",
        "variables: {A: x, B: x, C: x}\na: {script: x, variables: {B: y, C: y}}\n",
        &[("C", "z")],
        Shows(values, "A=x B=y C=z"),
    ),
    (
        "lib/expand_variables.rb: outside of variables `$$` is no escape, and what is unknown is nothing",
        "a: {script: x, resource_group: 'g$$A$GONE'}\n",
        &[("A", "x")],
        Shows(group, "Some(\"g$x\")"),
    ),
    (
        "../pipeline/seed/processable/resource_group.rb: a blank one is none",
        "a: {script: x, resource_group: $GONE}\n",
        &[],
        Shows(group, "None"),
    ),
    (
        "../build/context/build.rb: what is unknown is nothing",
        "a: {script: x, environment: review/$A$GONE}\n",
        &[("A", "x")],
        Shows(environment, "review/x"),
    ),
    // `services` and `image`.
    (
        "entry/service.rb: `command` is `Entry::Commands`",
        "a: {script: x, services: [{name: s, command: run it}, {name: t, command: [a, [b]]}]}\n",
        &[],
        Fine,
    ),
    (
        "entry/service.rb, entry/variable.rb: scalars alone",
        "a: {script: x, services: [{name: s, variables: {A: {value: b}}}]}\n",
        &[],
        Error("1:52 type"),
    ),
    ("entry/imageable.rb: no `user`, but of an executor", "a: {script: x, image: {name: i, user: u}}\n", &[], Error("1:33 unknown-key")),
    ("entry/imageable.rb: `name` is there", "a: {script: x, image: {name: ~}}\n", &[], Error("1:23 image-name")),
    (
        "entry/imageable.rb: `allow_nil`",
        "a: {script: x, image: {name: i, entrypoint: ~, pull_policy: ~}}\n",
        &[],
        Shows(image, "Some(\"i\")"),
    ),
    (
        "entry/factory.rb: nothing takes the default away no more than not being there",
        "default: {image: i}\na: {script: x, image: ~}\n",
        &[],
        Shows(image, "Some(\"i\")"),
    ),
    // `extends`, merges, references.
    ("extendable/entry.rb: `Array(nil)`", "a: {script: x, extends: ~}\n", &[], Jobs("a")),
    (
        "extendable/entry.rb: `deep_merge!` with nothing",
        ".b: {variables: {A: x}, image: i, script: y}\na: {extends: .b, variables: ~, image: ~}\n",
        &[],
        Shows(values, ""),
    ),
    ("extendable/entry.rb: lists are replaced", ".b: {script: [x, y]}\na: {extends: .b, script: [z]}\n", &[], Shows(script, "z")),
    (
        "extendable/entry.rb: the later base wins",
        ".b: {script: x, image: one}\n.c: {image: two}\na: {extends: [.b, .c]}\n",
        &[],
        Shows(image, "Some(\"two\")"),
    ),
    (
        "yaml/tags/reference.rb: in lists of a script",
        ".b: {script: [x, y]}\na: {script: [!reference [.b, script], z]}\n",
        &[],
        Shows(script, "x; y; z"),
    ),
    (
        "yaml/tags/reference.rb: one that leads to another",
        ".c: {script: [y]}\n.b: {script: [x, !reference [.c, script]]}\na: {script: [!reference [.b, script]]}\n",
        &[],
        Shows(script, "x; y"),
    ),
    (
        "yaml/tags/reference.rb: in variables, rules and needs",
        ".b: {variables: {A: x}, rules: [{if: '$A == \"x\"'}], needs: [b]}\nb: {script: x}\na: {script: x, variables: !reference [.b, variables], rules: [!reference [.b, rules]], needs: !reference [.b, needs]}\n",
        &[],
        Jobs("b a"),
    ),
    (
        "yaml/tags/reference.rb: circles",
        ".b: {script: [!reference [.c, script]]}\n.c: {script: [!reference [.b, script]]}\na: {script: [!reference [.b, script]]}\n",
        &[],
        Error("1:15 reference-circle"),
    ),
    (
        "psych: anchors of anchors, and `<<` of lists",
        ".a: &a {image: i}\n.b: &b {<<: *a, tags: [t]}\n.c: &c {<<: [*b], script: y}\n.d: &d {<<: *c}\na: {<<: *d, script: z}\n",
        &[],
        Shows(script, "z"),
    ),
    ("config/loader/yaml.rb: of tags only `!reference`", "a: {script: !!binary eA==}\n", &[], Error("1:13 yaml")),
    ("psych: a tab cannot indent", "a:\n\tscript: x\n", &[], Error("2:1 yaml")),
    // What is left.
    ("entry/job.rb: a string, whatever `when` says", "a: {script: x, manual_confirmation: Really?}\n", &[], Fine),
    ("entry/job.rb: `start_in` with `when: delayed`", "a: {script: x, when: manual, start_in: 1h}\n", &[], Error("1:30 start-in")),
    ("entry/job.rb: at most a week", "a: {script: x, when: delayed, start_in: 1 week}\n", &[], Fine),
    ("entry/retry.rb: `allow_nil`", "a: {script: x, retry: {max: ~, when: ~, exit_codes: ~}}\n", &[], Fine),
    (
        "entry/retry.rb: names of failures",
        "a: {script: x, retry: {max: 1, when: [script_failure, unknown]}}\n",
        &[],
        Error("1:55 unknown-value"),
    ),
    ("entry/cache.rb: `allow_nil`", "a: {script: x, cache: {key: ~, paths: ~, policy: ~, when: ~, untracked: ~}}\n", &[], Fine),
    (
        "entry/auto_cancel.rb: `allow_nil`",
        "workflow: {name: ~, auto_cancel: {on_new_commit: ~, on_job_failure: ~}}\na: {script: x}\n",
        &[],
        Jobs("a"),
    ),
    (
        "entry/include.rb: `rules` and `ref` may be nothing",
        "include: [{local: x.yml, rules: ~, inputs: ~}]\na: {script: x}\n",
        &[],
        Jobs("j a"),
    ),
    ("entry/bridge.rb: `needs` alone make no job", "b: {script: x}\na: {needs: [b]}\n", &[], Error("2:1 no-script")),
    ("entry/root.rb: a job called `pages` is a job", "pages: {script: build}\n", &[], Shows(script, "build")),
    (
        "entry/default.rb: not also at the top",
        "default: {before_script: [x]}\nbefore_script: [y]\na: {script: x}\n",
        &[],
        Error("2:1 duplicate-default"),
    ),
    (
        "entry/inherit/default.rb: of lists those that are named",
        "default: {image: i, before_script: [b]}\na: {script: x, inherit: {default: [before_script]}}\n",
        &[],
        Shows(image, "None"),
    ),
    ("entry/commands.rb: blank lines are lines", "a: {script: ['', x]}\n", &[], Fine),
    (
        "entry/release.rb, entry/trigger.rb, entry/hooks.rb: not carried out, and refused by name",
        "a: {script: x, release: {tag_name: t, description: d}}\n",
        &[],
        Error("1:16 refused-keyword"),
    ),
    (
        "entry/id_token.rb: not carried out, and refused by name",
        "a: {script: x, id_tokens: {T: {aud: x}}}\n",
        &[],
        Error("1:16 refused-keyword"),
    ),
    (
        "entry/need.rb, CrossPipelineDependency: not carried out, and refused by name",
        "a: {script: x, needs: [{pipeline: '1', job: b}]}\n",
        &[],
        Error("1:25 refused-keyword"),
    ),
];

const FIFTY_TAGS: &str = "a: {script: x, tags: [a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t,u,v,w,x,z,a1,b1,c1,d1,e1,f1,g1,h1,i1,j1,k1,l1,m1,n1,o1,p1,q1,r1,s1,t1,u1,v1,w1,x1,z1]}\n";
const MANY_PATHS_OF_INCLUDE: &str = "include: [{local: x.yml, rules: [{exists: [a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t,u,v,w,x,z,a1,b1,c1,d1,e1,f1,g1,h1,i1,j1,k1,l1,m1,n1,o1,p1,q1,r1,s1,t1,u1,v1,w1,x1,z1,a2]}]}]\na: {script: x}\n";
