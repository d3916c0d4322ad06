//! What is fed with anything: each takes any bytes, must return, and stops with a panic where a law does not hold.
//!
//! `fuzz/fuzz_targets/` and the test beside this file call the same functions. A target names nothing but `hms`.

use std::collections::BTreeMap;

use hms::event::JobStatus;
use hms::executor::{DOTENV_BYTES, artifact_glob_names, is_variable_name, read_dotenv};
use hms::pipeline::{Pipeline, PlanInputs, Purpose, ReadOptions, Seen, expand_for_runner, next, plan, read};

/// A target, by the name of its corpus.
pub(crate) type Target = (&'static str, fn(&[u8]));

/// All of them.
pub(crate) const TARGETS: [Target; 5] =
    [("pipeline", pipeline), ("condition", condition), ("expansion", expansion), ("dotenv", dotenv), ("artifact_glob", artifact_glob)];

/// A whole file: it is read or refused with places in it, and what is read is planned, and the plan comes to an end.
pub(crate) fn pipeline(data: &[u8]) {
    for purpose in [Purpose::Run, Purpose::Look] {
        let reading = read(data, &ReadOptions { gitlab_strict: false, purpose });
        // As YAML counts them: `\r\n` is one end, a `\r` alone is one, too.
        let lines = data.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count() + 2;
        for problem in &reading.problems {
            let line = problem.place.and_then(|place| usize::try_from(place.line).ok());
            assert!(line.is_none_or(|line| (1..=lines).contains(&line)), "{problem:?}");
        }
        if let Some(pipeline) = reading.pipeline {
            ends(&pipeline, &PlanInputs::default());
        }
    }
}

/// A pipeline's plan runs to an end when every job succeeds: each step is one that leads on.
fn ends(pipeline: &Pipeline, inputs: &PlanInputs) {
    let Ok(plan) = plan(pipeline, inputs) else { return };
    let mut statuses: BTreeMap<String, JobStatus> = BTreeMap::new();
    for _ in 0..=plan.jobs.len() {
        let look = |name: &hms::event::JobName| {
            let status = statuses.get(name.as_str()).copied().unwrap_or(JobStatus::Created);
            Seen { status, gate_open: false, exit_code: None }
        };
        let steps = next(&plan, &look);
        if steps.is_empty() {
            assert!(plan.jobs.iter().all(|job| statuses.contains_key(job.name.as_str())), "jobs without an end");
            return;
        }
        for step in steps {
            use hms::pipeline::Step::{Delay, Gate, Queue, Skip};
            let (job, status) = match step {
                Queue(job) | Gate(job) | Delay(job, _) => (job, JobStatus::Success),
                Skip(job, why) => {
                    assert!(!why.is_empty(), "a job that is skipped says why");
                    (job, JobStatus::Skipped)
                }
            };
            assert!(statuses.insert(job.to_string(), status).is_none(), "{job} twice");
        }
    }
    panic!("more rounds than jobs");
}

/// The `if` of a rule: decided or refused, and twice the same.
pub(crate) fn condition(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // As JSON has it, which is YAML.
    let Ok(quoted) = serde_json::to_string(text) else { return };
    let file = format!("a:\n  script: x\n  rules: [{{if: {quoted}}}]\nb: {{script: x}}\n");
    let Some(pipeline) = read(file.as_bytes(), &ReadOptions::default()).pipeline else { return };
    let variables = [("A", "a"), ("E", ""), ("P", "/^a/i"), ("N", "1234")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let inputs = PlanInputs { variables: variables.into(), ..PlanInputs::default() };
    let decided = || plan(&pipeline, &inputs).map(|plan| plan.jobs.len()).map_err(|problems| problems.len());
    assert_eq!(decided(), decided());
}

/// Variables in values: GitLab's expansion and the runner's end, and change nothing that names nothing.
pub(crate) fn expansion(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let known: BTreeMap<String, String> =
        [("A", "$B"), ("B", "b"), ("_1", "")].map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let expanded = expand_for_runner(text, &known);
    if !text.contains('$') {
        assert_eq!(expanded, text);
    }
    assert!(expanded.len() <= text.len() * 2, "one pass puts in one value a name");
    let Ok(quoted) = serde_json::to_string(text) else { return };
    let file = format!("variables: {{A: {quoted}, B: $A, C: \"$B%B%\"}}\na: {{script: x}}\n");
    let Some(pipeline) = read(file.as_bytes(), &ReadOptions::default()).pipeline else { return };
    if let Ok(plan) = plan(&pipeline, &PlanInputs::default()) {
        let all = plan.jobs[0].runner_variables(&BTreeMap::new(), &BTreeMap::new());
        assert!(all.values().map(String::len).sum::<usize>() < 1 << 20);
    }
}

/// A dotenv report: taken or not, and what is taken is taken again when it is written anew.
pub(crate) fn dotenv(data: &[u8]) {
    let Ok(variables) = read_dotenv(data) else { return };
    assert!(data.len() < DOTENV_BYTES);
    let digits = |name: &str| name.bytes().next().is_some_and(|first| first.is_ascii_digit());
    for (name, value) in &variables {
        assert!(
            is_variable_name(name) || digits(name) || name.chars().all(|letter| letter.is_ascii_uppercase() || letter == '_'),
            "{name:?}"
        );
        assert!(!value.contains('\n'), "{value:?}");
    }
    let anew = variables.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("\n");
    if anew.len() < DOTENV_BYTES {
        assert_eq!(read_dotenv(anew.as_bytes()), Ok(variables));
    }
}

/// A glob of `artifacts: paths`: read or refused, and never one that leads out of the checkout.
pub(crate) fn artifact_glob(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (glob, path) = text.split_once('\n').unwrap_or((text, "dist/a b/c.txt"));
    let Ok(names) = artifact_glob_names(glob, "/build".as_ref(), path.as_ref()) else { return };
    assert!(!glob.split('/').any(|part| part == ".."), "{glob:?}");
    let plain = !glob.contains(['*', '?', '[', ']', '{', '}', '\\', '!', ',']);
    let clean = |text: &str| text.split('/').filter(|part| !part.is_empty() && *part != ".").map(str::to_owned).collect::<Vec<_>>();
    if plain && !glob.starts_with('/') && !path.starts_with('/') && path == clean(path).join("/") {
        assert_eq!(names, clean(glob) == clean(path), "{glob:?} {path:?}");
    }
}
