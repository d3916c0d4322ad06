//! Large files and hostile ones: an answer in under a second of work, whatever else the machine does meanwhile.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use hms::pipeline::Severity;
use rustix::time::{ClockId, clock_gettime};

use super::*;

/// The work of this thread so far.
fn worked() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap()
}

fn refused_quickly(text: &[u8]) -> Reading {
    let start = worked();
    let reading = read(text, &ReadOptions::default());
    let work = worked().saturating_sub(start);
    assert!(work < Duration::from_secs(1), "{work:?}");
    assert!(reading.pipeline.is_none());
    assert!(!of_severity(&reading, Severity::Error).is_empty());
    reading
}

#[test]
fn bombs_are_refused() {
    refused_quickly(&b"[".repeat(1 << 20));
    refused_quickly(&b"a: [".repeat(1 << 18));
    refused_quickly(b"a: &a {script: *a}\n");
    let mut bomb = String::from(".a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..20 {
        let before = level - 1;
        let _ = writeln!(bomb, ".a{level}: &a{level} [{}]", vec![format!("*a{before}"); 10].join(", "));
    }
    bomb += "a:\n  script: *a19\n";
    assert_eq!(refused_quickly(bomb.as_bytes()).problems[0].code, "yaml");
}

#[test]
fn a_file_of_nothing_but_errors_is_told_in_part() {
    let mut text = String::new();
    for index in 0..12_000 {
        let _ = writeln!(text, "job-number-{index}: {{scirpt: x, needs: [job-numbr-{index}]}}");
    }
    let reading = refused_quickly(text.as_bytes());
    assert_eq!(reading.problems.len(), 201);
    assert_eq!(reading.problems[200].code, "too-many-problems");
}

#[test]
fn a_web_of_cycles_is_told_in_part() {
    let mut text = String::new();
    for index in 0..2_000 {
        let needs: Vec<String> = (0..40).map(|other| format!("j{}", (index * 7 + other * 13) % 2_000)).collect();
        let _ = writeln!(text, "j{index}: {{script: x, needs: [{}]}}", needs.join(", "));
    }
    refused_quickly(text.as_bytes());
}

#[test]
fn defaults_times_jobs_are_refused_before_they_are_made() {
    let mut text = format!("default: {{before_script: \"{}\"}}\n", "x".repeat(500_000));
    for index in 0..5_000 {
        let _ = writeln!(text, "j{index}: {{script: x, parallel: 200}}");
    }
    let pipeline = reading(&text).pipeline.unwrap();
    assert_eq!(plan(&pipeline, &PlanInputs::default()).unwrap_err()[0].code, "plan-too-large");
    let pipeline = reading(&text.replace(", parallel: 200", "")).pipeline.unwrap();
    assert_eq!(plan(&pipeline, &PlanInputs::default()).unwrap_err()[0].code, "plan-too-large");
}

#[test]
fn variables_times_rules_are_refused_before_they_are_made() {
    let mut text = String::from("variables:\n");
    for index in 0..40_000 {
        let _ = writeln!(text, "  V{index}: x");
    }
    for index in 0..4_000 {
        let _ = writeln!(text, "j{index}: {{script: x, rules: [{{if: $A}}]}}");
    }
    let pipeline = reading(&text).pipeline.unwrap();
    let problems = plan(&pipeline, &PlanInputs::default()).unwrap_err();
    assert_eq!(shown(&problems.iter().collect::<Vec<_>>()).len(), 1, "{problems:?}");
    assert_eq!(problems[0].code, "plan-too-large");
}

#[test]
fn very_many_deploys_behind_very_many_gates_are_read() {
    let mut text = String::from("stages: [one, two]\n");
    for index in 0..3_000 {
        let _ = writeln!(text, "m{index}: {{stage: one, script: x, when: manual}}");
    }
    for index in 0..3_000 {
        let needs: Vec<String> = (1..=10.min(index)).map(|other| format!("d{}", index - other)).collect();
        let _ = writeln!(text, "d{index}: {{stage: two, script: hms-deploy --env prod, needs: [{}]}}", needs.join(", "));
    }
    let start = Instant::now();
    let reading = reading(&text);
    println!("3,000 gates times 3,000 deploys were read in {:?}", start.elapsed());
    assert!(reading.pipeline.is_some());
    assert!(reading.problems.iter().any(|problem| problem.code == "gate-passed-over"));
}

#[test]
fn ten_thousand_jobs() {
    let mut text = String::from("stages: [build, test]\nvariables: {A: a, B: $A}\n");
    for index in 0..5_000 {
        let _ = writeln!(text, "b{index}: {{stage: build, script: make}}\nt{index}: {{stage: test, script: make, needs: [b{index}]}}");
    }
    let start = Instant::now();
    let plan = planned(&text);
    let steps = next(&plan, &|_| (JobStatus::Created, false));
    println!("10,000 jobs were read, planned and scheduled in {:?}", start.elapsed());
    assert_eq!((plan.jobs.len(), steps.len()), (10_000, 5_000));
}

#[test]
fn hundreds_of_instances_and_included_files() {
    let mut text = String::from("include: ['ci/*.yml']\n");
    let values: Vec<String> = (0..200).map(|value| format!("v{value}")).collect();
    for index in 0..20 {
        let _ = writeln!(text, "m{index}: {{script: x, parallel: {{matrix: [{{A: [{}]}}]}}, rules: [{{if: $A}}]}}", values.join(", "));
    }
    let mut commit = world::Commit::of(&[(".hms-ci.yml", &text)]);
    for index in 0..100 {
        let mut file = format!(".base{index}: {{script: [a, b, c], variables: {{A: a, B: b}}}}\n");
        for job in 0..20 {
            let _ = writeln!(file, "j{index}-{job}: {{extends: .base{index}, script: [!reference [.base{index}, script], own]}}");
        }
        commit.files.insert(format!("ci/f{index}.yml"), file);
    }
    let start = Instant::now();
    let plan = commit.planned(&PlanInputs::default());
    println!("20 matrices of 200 and 100 files of 20 jobs were planned in {:?}", start.elapsed());
    assert_eq!(plan.jobs.len(), 20 * 200 + 100 * 20);
}

#[test]
fn bombs_of_references_and_extends_are_refused() {
    let mut references = String::from(".r0: {script: [x, x, x, x, x, x, x, x, x, x]}\n");
    for level in 1..20 {
        let one = format!("!reference [.r{}, script]", level - 1);
        let _ = writeln!(references, ".r{level}: {{script: [{}]}}", vec![one; 10].join(", "));
    }
    references += "a: {script: [!reference [.r19, script]]}\n";
    let reading = reading(&references);
    assert!(reading.problems.iter().any(|problem| problem.code == "pipeline-too-large"), "{:?}", reading.problems);
    let mut text = String::from(".big:\n  script: x\n  variables:\n");
    for index in 0..5_000 {
        let _ = writeln!(text, "    V{index}: x");
    }
    for index in 0..2_000 {
        let _ = writeln!(text, "j{index}: {{extends: .big}}");
    }
    let reading = self::reading(&text);
    assert!(reading.problems.iter().any(|problem| problem.code == "pipeline-too-large"));
}

#[test]
fn a_chain_of_ten_thousand_is_skipped_in_one_answer() {
    let mut text = String::new();
    for index in 0..10_000 {
        let _ =
            writeln!(text, "j{index}: {{script: x, needs: [{}]}}", if index < 9_999 { format!("j{}", index + 1) } else { String::new() });
    }
    let plan = planned(&text);
    let last = name("j9999");
    let steps = next(&plan, &|job| (if job == &last { JobStatus::Failed } else { JobStatus::Created }, false));
    assert_eq!(steps.len(), 9_999);
}
