//! Part of a pipeline: what is kept, what falls away, and what is said of it.

use hms::pipeline::{Needed, NoPart, Part};

use super::world::Commit;
use super::*;

const FILE: &str = "stages: [build, test, ship, end]\n\
    build: {stage: build, script: x}\n\
    lint: {stage: build, script: x}\n\
    test: {stage: test, script: x, parallel: 2}\n\
    unit: {stage: test, script: x, needs: [lint], dependencies: [lint]}\n\
    gate: {stage: test, script: x, when: manual, allow_failure: false}\n\
    ship: {stage: ship, script: x, environment: prod, needs: [build, gate]}\n\
    never: {stage: end, script: x, rules: [{if: $NEVER}], needs: [unit]}\n\
    end: {stage: end, script: x}\n";

type Names = &'static [&'static str];

fn part(jobs: &[&str], stages: &[&str], needed: Needed, regardless: &[&str]) -> Result<(Plan, Vec<String>), NoPart> {
    let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let inputs = PlanInputs { regardless: own(regardless).into_iter().collect(), ..PlanInputs::default() };
    let reading = Commit::of(&[(".hms-ci.yml", FILE)]).read_for(&inputs, hms::pipeline::Purpose::Run);
    let (plan, trace) = hms::pipeline::plan_in(&reading.pipeline.unwrap(), &inputs, &hms::pipeline::NoFiles);
    plan.unwrap().part(&Part { jobs: own(jobs), stages: own(stages), needed }, &trace)
}

fn kept(jobs: &[&str], stages: &[&str], needed: Needed) -> Vec<String> {
    part(jobs, stages, needed, &[]).unwrap().0.jobs.iter().map(|job| job.name.to_string()).collect()
}

#[test]
fn a_part_is_what_was_named_with_or_without_what_it_waits_for() {
    let table: &[(Names, Names, Needed, Names)] = &[
        (&["build"], &[], Needed::LeftOut, &["build"]),
        (&["test"], &[], Needed::LeftOut, &["test 1/2", "test 2/2"]),
        (&["test 2/2"], &[], Needed::LeftOut, &["test 2/2"]),
        (&["unit"], &[], Needed::LeftOut, &["unit"]),
        (&["unit"], &[], Needed::Taken, &["lint", "unit"]),
        (&["test 1/2"], &[], Needed::Taken, &["build", "lint", "test 1/2"]),
        (&["build"], &["test"], Needed::LeftOut, &["build", "test 1/2", "test 2/2", "unit", "gate"]),
        (&["end"], &[], Needed::Taken, &["build", "lint", "test 1/2", "test 2/2", "unit", "gate", "ship", "end"]),
        // A gate is not passed by naming the job behind it.
        (&["ship"], &[], Needed::LeftOut, &["build", "lint", "gate", "ship"]),
    ];
    for (jobs, stages, needed, expected) in table {
        assert_eq!(kept(jobs, stages, *needed), *expected, "{jobs:?} {stages:?} {needed:?}");
    }
}

#[test]
fn what_falls_away_is_said_and_the_rest_is_a_whole_plan() {
    let (plan, said) = part(&["unit", "end"], &[], Needed::LeftOut, &[]).unwrap();
    assert_eq!(plan.stages, ["test", "end"]);
    let shown: Vec<_> = plan.jobs.iter().map(|job| (job.name.as_str(), job.stage_index, job.needs.as_ref().map(Vec::len))).collect();
    assert_eq!(shown, [("unit", 0, Some(0)), ("end", 1, None)]);
    assert_eq!(plan.jobs[0].dependencies.as_ref().map(Vec::len), Some(0));
    assert_eq!(
        said,
        [
            "a part of the pipeline: unit, end; 6 of its 8 jobs are not in this run",
            "unit does not wait for, and gets nothing of: lint",
            "end does not wait for, and gets nothing of: build, lint, test 1/2, test 2/2, gate, ship",
        ]
    );
    let said = part(&["ship"], &[], Needed::LeftOut, &[]).unwrap().1;
    assert_eq!(said.last().unwrap(), "all that these wait for is in it, because they deploy: ship");
}

#[test]
fn what_is_not_there_is_named_with_the_rule_or_the_name_that_was_meant() {
    let told = |jobs: &[&str], stages: &[&str]| part(jobs, stages, Needed::LeftOut, &[]).unwrap_err();
    let why = "none of its rules matches".to_owned();
    assert_eq!(told(&["never"], &[]), NoPart::LeftOut { name: "never".to_owned(), why });
    assert_eq!(told(&["biuld"], &[]), NoPart::UnknownJob { name: "biuld".to_owned(), meant: Some("build".to_owned()) });
    assert_eq!(told(&["zzzzzz"], &[]), NoPart::UnknownJob { name: "zzzzzz".to_owned(), meant: None });
    assert_eq!(told(&[], &["tset"]), NoPart::UnknownStage { name: "tset".to_owned(), meant: Some("test".to_owned()) });
    let (plan, _) = part(&["never"], &[], Needed::LeftOut, &["never"]).unwrap();
    assert_eq!(plan.jobs.len(), 1, "whatever its rules say");
}
