//! Laws: reading never panics; a plan is acyclic and complete; a run always ends.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

const STAGES: [&str; 3] = ["one", "two", "three"];
const WHENS: [&str; 4] = ["on_success", "on_failure", "always", "manual"];

/// Jobs with needs among those before them, never of a later stage.
fn any_pipeline() -> impl Strategy<Value = String> {
    let job = (
        0..3usize,
        0..4usize,
        any::<Option<bool>>(),
        proptest::option::of(proptest::collection::vec(any::<prop::sample::Index>(), 0..4)),
        0..4u32,
    );
    proptest::collection::vec(job, 1..12).prop_map(|jobs| {
        let mut text = format!("stages: [{}]\n", STAGES.join(", "));
        let mut stages: Vec<usize> = Vec::new();
        for (index, (stage, when, allow_failure, needs, parallel)) in jobs.into_iter().enumerate() {
            let _ = write!(text, "j{index}: {{script: x, stage: {}, when: {}", STAGES[stage], WHENS[when]);
            if let Some(allow) = allow_failure {
                let _ = write!(text, ", allow_failure: {allow}");
            }
            if parallel > 1 {
                let _ = write!(text, ", parallel: {parallel}");
            }
            if let Some(needs) = needs {
                let possible: Vec<usize> = (0..index).filter(|other| stages[*other] <= stage).collect();
                let names: BTreeSet<String> =
                    needs.iter().filter(|_| !possible.is_empty()).map(|need| format!("j{}", need.get(&possible))).collect();
                let _ = write!(text, ", needs: [{}]", names.into_iter().collect::<Vec<_>>().join(", "));
            }
            stages.push(stage);
            text += "}\n";
        }
        text
    })
}

fn any_variables() -> impl Strategy<Value = BTreeMap<String, String>> {
    proptest::collection::btree_map("[A-D]", "[a-z]{1,3}", 0..4)
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let reading = read(&bytes, &ReadOptions::default());
        prop_assert!(reading.pipeline.is_some() || !reading.problems.is_empty());
    }

    #[test]
    fn any_mixture_of_keywords_is_read_or_refused(
        words in proptest::collection::vec(
            prop::sample::select(vec![
                "a:", "b:", " script: x", " needs: [a, b]", " stage: test", " when: manual", " rules:", "  - if: $A", "  - x", " variables:", "  A: $B", "  B: $A",
                " parallel: 2", " environment: prod", " artifacts: x", " script: hms-deploy --env prod", "stages: [a, b]", "default:", " image: x", " timeout: 1h", "",
            ]),
            0..25,
        )
    ) {
        let reading = reading(&words.join("\n"));
        match reading.pipeline {
            Some(pipeline) => { let _ = plan(&pipeline, &PlanInputs::default()); }
            None => prop_assert!(reading.problems.iter().any(|problem| problem.severity == Severity::Error)),
        }
    }

    /// What GitLab's deep merge is: a base of nothing changes nothing, the later of two bases wins, and to extend in two steps is to
    /// extend at once.
    #[test]
    fn merges_of_extends_have_their_laws(one in any_variables(), two in any_variables(), three in any_variables()) {
        let plain = |variables: &BTreeMap<String, String>| -> String {
            variables.iter().map(|(name, value)| format!("{name}: '{value}'")).collect::<Vec<_>>().join(", ")
        };
        let text = format!(
            ".none: {{variables: {{}}}}\n.one: {{variables: {{{}}}}}\n.two: {{variables: {{{}}}}}\n.twice: {{extends: [.one, .two]}}\nempty: {{extends: [.none, .one], script: x}}\nboth: {{extends: [.one, .two], script: x, variables: {{{}}}}}\nsteps: {{extends: .twice, script: x, variables: {{{}}}}}\nsame: {{extends: [.one, .one], script: x}}\n",
            plain(&one), plain(&two), plain(&three), plain(&three)
        );
        let plan = planned(&text);
        let of = |job: &str| plan.job(&name(job)).unwrap().variables.clone();
        prop_assert_eq!(of("empty"), one.clone());
        prop_assert_eq!(of("same"), one.clone());
        let mut all = one;
        all.extend(two);
        all.extend(three);
        prop_assert_eq!(of("both"), all.clone());
        prop_assert_eq!(of("steps"), all);
    }

    /// Where nothing is escaped and none names itself, expanding what was expanded changes nothing.
    #[test]
    fn expansion_is_idempotent(values in proptest::collection::vec("[a-c ]{0,4}(\\$\\{V[0-4]\\}){0,2}[a-c]{0,3}", 5)) {
        // Each names only those before it.
        let earlier = |at: usize, value: &str| (at..5).fold(value.to_owned(), |value, later| value.replace(&format!("${{V{later}}}"), "x"));
        let lines: Vec<String> = values.iter().enumerate().map(|(at, value)| format!("  V{at}: \"{}\"\n", earlier(at, value))).collect();
        let reading = reading(&format!("variables:\n{}a: {{script: x}}\n", lines.concat()));
        let Ok(plan) = plan(&reading.pipeline.unwrap(), &PlanInputs::default()) else { return Ok(()) };
        let once = plan.jobs[0].variables.clone();
        let again: Vec<String> = once.iter().map(|(name, value)| format!("  {name}: \"{value}\"\n")).collect();
        let twice = planned(&format!("variables:\n{}a: {{script: x}}\n", again.concat()));
        prop_assert_eq!(&once, &twice.jobs[0].variables);
        // And it is what one gets by hand, one after the other.
        let mut by_hand: Vec<String> = Vec::new();
        for (at, value) in values.iter().enumerate() {
            let put_in = |value: String, (before, text): (usize, &String)| value.replace(&format!("${{V{before}}}"), text);
            by_hand.push(by_hand.iter().enumerate().fold(earlier(at, value), put_in));
        }
        prop_assert_eq!(once.values().cloned().collect::<Vec<_>>(), by_hand);
    }

    #[test]
    fn any_mixture_of_the_whole_language_is_read_or_refused(
        words in proptest::collection::vec(
            prop::sample::select(vec![
                "spec: {inputs: {a: }}", "---", "include: [a.yml]", "include: {local: '*.yml', rules: [{if: $A}]}", ".b:", "a:", "a b:", " script: [!reference [.b, script]]",
                " script: \"$[[ inputs.a ]]\"", " extends: [.b, a]", " extends: .b", " parallel: {matrix: [{A: [x, y], B: z}]}", " needs: [{job: a, parallel: {matrix: [{A: x, B: z}]}}]",
                " needs: ['a: [x, z]']", " rules: [{changes: [x], exists: [y], when: never}, {needs: [a]}]", " only: [main, /x/]", " except: {variables: [$A]}", " dependencies: [a]",
                " retry: {max: 2, when: [always], exit_codes: [1]}", " when: delayed", " start_in: 1h", " allow_failure: {exit_codes: 3}", " inherit: {default: [image], variables: false}",
                "default: {image: x, cache: {key: {files: [a]}}}", "workflow: {rules: [{if: $A}], name: $B}", "variables: {A: $B, B: {value: x, expand: false}}", " environment: {name: x, on_stop: a}", "",
            ]),
            0..25,
        )
    ) {
        let text = words.join("\n");
        let commit = world::Commit::of(&[(".hms-ci.yml", &text), ("a.yml", "spec: {inputs: {b: {default: c}}}\n---\n.b: {script: \"$[[ inputs.b ]]\"}\n")]);
        let reading = commit.read(&PlanInputs::default());
        match reading.pipeline {
            Some(pipeline) => { let _ = hms::pipeline::plan_in(&pipeline, &PlanInputs::default(), &commit); }
            None => prop_assert!(reading.problems.iter().any(|problem| problem.severity == Severity::Error)),
        }
    }

    #[test]
    fn a_plan_is_acyclic_and_complete(text in any_pipeline()) {
        let plan = planned(&text);
        let names: BTreeSet<&JobName> = plan.jobs.iter().map(|job| &job.name).collect();
        prop_assert_eq!(names.len(), plan.jobs.len(), "no name is there twice");
        // A line of a job, which has no rules: all its instances are there, and nothing else is.
        let wanted: BTreeSet<String> = text.lines().filter(|line| line.starts_with('j')).flat_map(|line| {
            let name = line.split(':').next().unwrap_or_default();
            let total = line.split_once("parallel: ").and_then(|(_, rest)| rest.split([',', '}']).next()?.parse::<u32>().ok());
            let of = |index: u32, total: u32| format!("{name} {index}/{total}");
            total.map_or_else(|| vec![name.to_owned()], |total| (1..=total).map(|index| of(index, total)).collect())
        }).collect();
        prop_assert_eq!(names.iter().map(ToString::to_string).collect::<BTreeSet<_>>(), wanted);
        let mut done: BTreeSet<&JobName> = BTreeSet::new();
        while done.len() < plan.jobs.len() {
            let ready: Vec<&JobName> = plan.jobs.iter().filter(|job| !done.contains(&job.name))
                .filter(|job| job.needs.iter().flatten().all(|need| done.contains(&need.job)))
                .map(|job| &job.name).collect();
            prop_assert!(!ready.is_empty(), "a cycle, or a need that is not there");
            done.extend(ready);
        }
        for job in &plan.jobs {
            prop_assert_eq!(&plan.stages[job.stage_index], &job.stage);
            for need in job.needs.iter().flatten() {
                prop_assert!(plan.job(&need.job).unwrap().stage_index <= job.stage_index);
            }
        }
        let json = serde_json::to_string(&plan).unwrap();
        prop_assert_eq!(serde_json::from_str::<Plan>(&json).unwrap(), plan);
    }

    #[test]
    fn a_run_always_ends(text in any_pipeline(), outcomes in proptest::collection::vec(0..3u8, 40), answers in any::<bool>(), pick in any::<prop::sample::Index>()) {
        let mut world = World::new(planned(&text));
        let mut turns = 0;
        let mut ended = 0;
        loop {
            turns += 1;
            prop_assert!(turns < 500, "it does not end");
            world.step();
            prop_assert!(world.step().is_empty(), "one answer holds all steps");
            let running: Vec<JobName> = world.statuses.iter().filter(|(_, status)| **status == JobStatus::Running).map(|(job, _)| job.clone()).collect();
            if !running.is_empty() {
                let job = pick.get(&running).clone();
                let status = [JobStatus::Success, JobStatus::Failed, JobStatus::Canceled][usize::from(outcomes[ended % outcomes.len()])];
                ended += 1;
                world.set(job.as_str(), status);
                continue;
            }
            let gate = world.statuses.iter().find(|(_, status)| **status == JobStatus::Manual).map(|(job, _)| job.clone());
            match gate.filter(|_| answers) {
                Some(job) => {
                    let opened = next(&world.plan, &|other| (world.statuses[other], *other == job));
                    prop_assert!(opened.contains(&Step::Queue(job.clone())));
                    world.set(job.as_str(), JobStatus::Running);
                }
                None => break,
            }
        }
        // Whoever is left waits for a person, or for a stage that a person holds back.
        let held = world.statuses.values().any(|status| *status == JobStatus::Manual);
        for (job, status) in &world.statuses {
            let settled = status.is_finished() || *status == JobStatus::Manual || (held && *status == JobStatus::Created);
            prop_assert!(settled, "{} is {:?}", job, status);
        }
    }
}
