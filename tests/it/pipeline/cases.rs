//! A table of cases for every keyword that is taken, with GitLab's answer and where that is from; and the schema for editors held to
//! the same table.

mod readings;
mod table;

use std::collections::BTreeSet;

use hms::document::{self, Node, Value};
use hms::pipeline::keyword::{FAMILIES, Standing};
use hms::pipeline::{Elsewhere, Foreign, Purpose, Remote, Severity};

use super::world::Commit;
use super::*;
use readings::{Outcome, READINGS};
use table::{ROWS, WHOLE};

/// What becomes of a piece of a file.
#[derive(Debug, Clone, Copy)]
pub(super) enum Answer {
    Taken,
    /// The code of the error, the text that stands at its place, and whether the schema refuses it as well.
    Refused(&'static str, &'static str, Schema),
}

/// What the schema for editors makes of what is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Schema {
    /// It refuses it, too.
    Sees,
    /// It takes it: only the whole file shows the error, or more than a schema can say.
    Blind,
}

/// What stands before and after a piece of each family.
fn around(family: &str) -> (&'static str, &'static str) {
    const JOBS: &str = "\nb: {script: x}\n";
    match family {
        "global" => ("", "\na: {script: x}\n"),
        "spec" => ("spec: {", "}\n---\na: {script: x}\n"),
        "header_include" => ("spec: {include: [{", "}]}\n---\na: {script: x}\n"),
        "input" => ("spec: {inputs: {i: {", "}}}\n---\na: {script: x}\n"),
        "input_rule" => ("spec: {inputs: {o: {default: b}, i: {rules: [{", "}]}}}\n---\na: {script: x}\n"),
        "include" => ("include: [{", "}]\na: {script: x}\n"),
        "include_rule" => ("include: [{local: x.yml, rules: [{", "}]}]\na: {script: x}\n"),
        "workflow" => ("workflow: {", "}\na: {script: x}\n"),
        "workflow_rule" => ("workflow: {rules: [{", "}]}\na: {script: x}\n"),
        "auto_cancel" => ("workflow: {auto_cancel: {", "}}\na: {script: x}\n"),
        "default" => ("default: {", "}\na: {script: x}\n"),
        "inherit" => ("variables: {V: v}\na: {script: x, inherit: {", "}}\n"),
        "job" => (
            "a: {script: x, ",
            "}\nb: {script: x}\nd: {script: x}\nlater: {script: x, stage: deploy}\n.base: {image: i}\n.more: {timeout: 1h}\n",
        ),
        "rule" => ("a: {script: x, rules: [{", "}]}\nb: {script: x}\n"),
        "changes" => ("a: {script: x, rules: [{changes: {", "}}]}\nb: {script: x}\n"),
        "exists" => ("a: {script: x, rules: [{exists: {", "}}]}\nb: {script: x}\n"),
        "policy" => ("a: {script: x, only: {", "}}\nb: {script: x}\n"),
        "need" => ("a: {script: x, needs: [{", "}]}\nb: {script: x}\nm: {script: x, parallel: {matrix: [{M: [x, y]}]}}\n"),
        "parallel" => ("a: {script: x, parallel: {", "}}\n"),
        "allow_failure" => ("a: {script: x, allow_failure: {", "}}\n"),
        "retry" => ("a: {script: x, retry: {", "}}\n"),
        "artifacts" => ("a: {script: x, artifacts: {", "}}\n"),
        "reports" => ("a: {script: x, artifacts: {reports: {", "}}}\n"),
        "environment" => {
            ("a: {script: x, environment: {", "}}\nb: {script: x}\nstop: {script: x, when: manual, environment: {name: s, action: stop}}\n")
        }
        "variable" => ("variables: {V: {", "}}\na: {script: x}\n"),
        "image" => ("a: {script: x, image: {", "}}\n"),
        "service" => ("a: {script: x, services: [{", "}]}\n"),
        "cache" => ("a: {script: x, cache: {", "}}\n"),
        "cache_key" => ("a: {script: x, cache: {key: {", "}}}\n"),
        other => panic!("no place for {other}{JOBS}"),
    }
}

/// A commit with the files that the cases include.
fn commit(text: &str) -> Commit {
    let job = "j: {script: x}\n";
    let spec = "spec: {inputs: {i: {}}}\n---\nj: {script: x}\n";
    let inputs = "inputs: {more: {default: b}}\n";
    let project = |reference: Option<&str>, path: &str| {
        Foreign::Of(Elsewhere::Project { project: "g/p".to_owned(), reference: reference.map(str::to_owned) }, path.to_owned())
    };
    let component = Elsewhere::Component { project: "h.example/g/p".to_owned(), version: "1.0".to_owned() };
    let remote = |name: &str, integrity: Option<&str>, cache_seconds| {
        let integrity = integrity.map(|hex| format!("sha256:{hex}").parse().unwrap());
        Foreign::Remote(Remote { address: format!("https://h.example/{name}.yml"), integrity, cache_seconds })
    };
    let far = "far: {script: x}\n";
    let sum = hms::event::Digest::of(far.as_bytes());
    Commit::of(&[
        (".hms-ci.yml", text),
        ("x.yml", job),
        ("y.yml", "k: {script: x}\n"),
        ("i.yml", spec),
        ("x.txt", job),
        ("inputs.yml", inputs),
    ])
    .with_foreign(project(None, "a.yml"), job)
    .with_foreign(project(Some("v1"), "b.yml"), job)
    .with_foreign(project(None, "inputs.yml"), inputs)
    .with_foreign(project(Some("v1"), "inputs.yml"), inputs)
    .with_foreign(remote("inputs", None, None), inputs)
    .with_foreign(remote("inputs", Some(hms::event::Digest::of(inputs.as_bytes()).hex()), None), inputs)
    .with_foreign(Foreign::Template("T.gitlab-ci.yml".to_owned()), job)
    .with_foreign(Foreign::Of(component, "templates/c.yml".to_owned()), job)
    .with_foreign(remote("r", None, None), far)
    .with_foreign(remote("r", Some(sum.hex()), None), far)
    .with_foreign(remote("c", None, Some(86_400)), far)
}

/// The cases with the whole text of each.
fn cases() -> Vec<(&'static str, &'static str, String, Answer)> {
    let mut all = Vec::new();
    for (family, keyword, _, cases) in ROWS {
        let (before, after) = around(family);
        all.extend(cases.iter().map(|(piece, answer)| (*family, *keyword, format!("{before}{piece}{after}"), *answer)));
    }
    // Every kind of report is one of globs, but one.
    let reports = FAMILIES.iter().find(|family| family.name == "reports").unwrap();
    let (before, after) = around("reports");
    for (kind, _) in reports.table {
        let taken = if *kind == "coverage_report" { "{coverage_format: cobertura, path: c.xml}" } else { "[a.json, b.json]" };
        all.push(("reports", *kind, format!("{before}{kind}: {taken}{after}"), Answer::Taken));
        for wrong in ["{a: b}", "[[3]]"] {
            let (code, at) = if *kind == "coverage_report" && wrong == "{a: b}" { ("unknown-key", "a: b}") } else { ("type", wrong) };
            let at = if wrong == "[[3]]" && *kind != "coverage_report" { "[3]]" } else { at };
            all.push(("reports", *kind, format!("{before}{kind}: {wrong}{after}"), Answer::Refused(code, at, Schema::Sees)));
        }
    }
    all
}

#[test]
fn every_case_has_gitlabs_answer() {
    let mut wrong = Vec::new();
    for (family, keyword, text, answer) in cases() {
        let reading = commit(&text).read_for(&PlanInputs::default(), Purpose::Look);
        let errors = shown(&of_severity(&reading, Severity::Error));
        let right = match answer {
            Answer::Taken => reading.pipeline.is_some() && errors.is_empty(),
            Answer::Refused(code, at, _) => {
                let (before, _) = around(family);
                // From just before the piece, so that the bracket around it can be named as well, and the name that has it.
                let from = before.len().saturating_sub(4);
                let offset = text[from..].find(at).map_or_else(|| panic!("{at} is not in {text}"), |found| from + found);
                let line = text[..offset].matches('\n').count() + 1;
                let column = offset - text[..offset].rfind('\n').map_or(0, |end| end + 1) + 1;
                errors.contains(&format!("{line}:{column} {code}"))
            }
        };
        if !right {
            wrong.push(format!("{family}.{keyword}: {} → {answer:?}, but {errors:?}", text.trim_end()));
        }
    }
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_error_of_a_whole_file_has_its_place() {
    for (source, text, expected) in WHOLE {
        let reading = reading(text);
        let errors = shown(&of_severity(&reading, Severity::Error));
        assert!(errors.contains(&(*expected).to_owned()), "{source}: {text} → {errors:?}");
    }
}

/// What GitLab makes of whole files, constructs that are easily read otherwise among them.
#[test]
fn every_file_comes_to_what_gitlab_makes_of_it() {
    let mut wrong = Vec::new();
    for (source, text, given, outcome) in READINGS {
        let mut commit = commit(text);
        commit.files.extend([("src/a.rs".to_owned(), String::new()), ("docs/x.md".to_owned(), String::new())]);
        let inputs = PlanInputs { variables: variables(given), ..PlanInputs::default() };
        let reading = commit.read_for(&inputs, Purpose::Look);
        let mut errors = shown(&of_severity(&reading, Severity::Error));
        let plan = reading.pipeline.as_ref().map(|pipeline| hms::pipeline::plan_in(pipeline, &inputs, &commit).0);
        if let Some(Err(problems)) = &plan {
            errors.extend(problems.iter().map(|problem| format!("plan {}", problem.code)));
        }
        let plan = plan.and_then(Result::ok);
        let (right, told) = match (outcome, &plan) {
            (Outcome::Error(expected), None) => (errors.contains(&(*expected).to_owned()), format!("{errors:?}")),
            (Outcome::PlanError(code), None) => (errors == [format!("plan {code}")], format!("{errors:?}")),
            (Outcome::Fine, Some(_)) => (true, String::new()),
            (Outcome::Jobs(expected), Some(plan)) => {
                let names: Vec<String> = plan.jobs.iter().map(|job| job.name.to_string()).collect();
                (names.join(" ") == *expected || names.join("|") == *expected, names.join("|"))
            }
            (Outcome::Shows(look, expected), Some(plan)) if !plan.jobs.is_empty() => (look(plan) == *expected, look(plan)),
            (Outcome::Shows(..) | Outcome::Error(_) | Outcome::PlanError(_) | Outcome::Fine | Outcome::Jobs(_), _) => {
                (false, format!("{errors:?}, {} jobs", plan.map_or(0, |plan| plan.jobs.len())))
            }
        };
        if !right {
            wrong.push(format!("{source}: {text} → {told}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} files:\n{}", wrong.len(), READINGS.len(), wrong.join("\n"));
    assert!(READINGS.iter().all(|(source, ..)| !source.is_empty()));
}

/// Keywords whose value is never looked at, because nothing is done with it: each is named by a warning.
const NOT_LOOKED_AT: [&str; 3] = ["job.pages", "job.dast_configuration", "environment.kubernetes"];

#[test]
fn every_keyword_that_is_taken_has_cases_of_both_kinds() {
    let all = cases();
    for family in FAMILIES {
        for (keyword, standing) in family.table {
            let here = || all.iter().filter(|(of, name, ..)| *of == family.name && name == keyword);
            let (taken, refused) = (
                here().filter(|case| matches!(case.3, Answer::Taken)).count(),
                here().filter(|case| matches!(case.3, Answer::Refused(..))).count(),
            );
            let named = format!("{}.{keyword}", family.name);
            match standing {
                Standing::Refused(_) => assert_eq!(taken + refused, 0, "{named} is refused whatever it says"),
                Standing::Done | Standing::Warned(_) | Standing::Planned(_) => {
                    assert!(taken > 0, "{named} has no case that is taken");
                    assert!(refused > 0 || NOT_LOOKED_AT.contains(&named.as_str()), "{named} has no case that is refused");
                }
            }
        }
    }
    let rows: BTreeSet<_> = ROWS.iter().map(|(family, keyword, ..)| (family, keyword)).collect();
    assert_eq!(rows.len(), ROWS.len(), "a keyword has two rows");
    assert!(ROWS.iter().all(|(_, _, source, cases)| !source.is_empty() && !cases.is_empty()));
}

fn json(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(truth) => (*truth).into(),
        Value::Integer(number) => (*number).into(),
        Value::Float(number) => (*number).into(),
        Value::String(text) => text.clone().into(),
        Value::Sequence(items) => items.iter().map(json).collect(),
        Value::Mapping(entries) => entries.iter().map(|entry| (entry.key.clone(), json(&entry.value))).collect(),
        Value::Reference(path) => path.iter().cloned().collect(),
    }
}

/// An editor that goes by the schema refuses nothing that is taken, and sees all that the table says it sees, and no more.
#[test]
fn the_schema_for_editors_says_the_same() {
    let schema = jsonschema::validator_for(&hms::pipeline::schema()).unwrap();
    let mut wrong = Vec::new();
    for (family, keyword, text, answer) in cases() {
        // The header is a document of its own, which no schema of the file describes.
        if ["spec", "header_include", "input", "input_rule"].contains(&family) {
            continue;
        }
        let Ok(root) = document::parse_with_references(text.as_bytes()) else { continue };
        let valid = schema.is_valid(&json(&root));
        let expected = matches!(answer, Answer::Taken | Answer::Refused(_, _, Schema::Blind));
        if valid != expected {
            let errors: Vec<String> = schema.iter_errors(&json(&root)).take(2).map(|error| error.to_string()).collect();
            wrong.push(format!("{family}.{keyword}: {} → {answer:?}, {errors:?}", text.trim_end()));
        }
    }
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
}
