//! Laws: reading never panics; a plan is acyclic and complete; a run always ends.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

const STAGES: [&str; 3] = ["one", "two", "three"];
const WHENS: [&str; 4] = ["on_success", "on_failure", "always", "manual"];

/// A need: its job, and whether its artifacts are wanted.
type Need = (usize, bool);

/// A job as it is written.
#[derive(Debug, Clone)]
struct Written {
    stage: usize,
    when: usize,
    allow_failure: Option<bool>,
    parallel: u32,
    needs: Option<Vec<Need>>,
}

impl Written {
    /// The names of its instances.
    fn names(&self, at: usize) -> Vec<String> {
        let total = self.parallel;
        if total > 1 { (1..=total).map(|index| format!("j{at} {index}/{total}")).collect() } else { vec![format!("j{at}")] }
    }
}

/// The file that says so.
fn file(jobs: &[Written]) -> String {
    let mut text = format!("stages: [{}]\n", STAGES.join(", "));
    for (at, job) in jobs.iter().enumerate() {
        let _ = write!(text, "j{at}: {{script: x, stage: {}, when: {}", STAGES[job.stage], WHENS[job.when]);
        if let Some(allow) = job.allow_failure {
            let _ = write!(text, ", allow_failure: {allow}");
        }
        if job.parallel > 1 {
            let _ = write!(text, ", parallel: {}", job.parallel);
        }
        if let Some(needs) = &job.needs {
            let one =
                |(need, artifacts): &Need| if *artifacts { format!("j{need}") } else { format!("{{job: j{need}, artifacts: false}}") };
            let _ = write!(text, ", needs: [{}]", needs.iter().map(one).collect::<Vec<_>>().join(", "));
        }
        text += "}\n";
    }
    text
}

/// What is drawn of a job.
type Drawn = (usize, usize, Option<bool>, Option<Vec<(prop::sample::Index, bool)>>, u32);

/// Jobs with needs anywhere, each once.
fn any_jobs() -> impl Strategy<Value = Vec<Written>> {
    let needs = proptest::option::of(proptest::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..4));
    let job = (0..3usize, 0..4usize, any::<Option<bool>>(), needs, 0..4u32);
    proptest::collection::vec(job, 1..12).prop_map(|jobs| {
        let count = jobs.len();
        let written = |(stage, when, allow_failure, needs, parallel): Drawn| {
            let mut seen = BTreeSet::new();
            let needs = needs.map(|needs| {
                needs.iter().map(|(need, artifacts)| (need.index(count), *artifacts)).filter(|(need, _)| seen.insert(*need)).collect()
            });
            Written { stage, when, allow_failure, parallel, needs }
        };
        jobs.into_iter().map(written).collect()
    })
}

/// Jobs with needs among those before them, never of a later stage.
fn any_plannable() -> impl Strategy<Value = Vec<Written>> {
    any_jobs().prop_map(|mut jobs| {
        let stages: Vec<usize> = jobs.iter().map(|job| job.stage).collect();
        for (at, job) in jobs.iter_mut().enumerate() {
            let stage = job.stage;
            job.needs = job.needs.take().map(|needs| needs.into_iter().filter(|(need, _)| *need < at && stages[*need] <= stage).collect());
        }
        jobs
    })
}

fn any_pipeline() -> impl Strategy<Value = String> {
    any_plannable().prop_map(|jobs| file(&jobs))
}

/// Whether following needs leads back to where it began.
fn has_circle(needs: &[Vec<usize>]) -> bool {
    let mut left: BTreeSet<usize> = (0..needs.len()).collect();
    loop {
        let free: Vec<usize> = left.iter().copied().filter(|at| !needs[*at].iter().any(|need| left.contains(need))).collect();
        if free.is_empty() {
            return !left.is_empty();
        }
        left.retain(|at| !free.contains(at));
    }
}

/// A part of a value.
#[derive(Debug, Clone)]
enum Part {
    Text(String),
    /// Another variable, written in one of three ways.
    Variable(prop::sample::Index, usize),
    /// One that is nowhere.
    Unknown(usize),
    /// `$$`, `%%`.
    Doubled(usize),
}

fn reference_to(name: &str, way: usize) -> String {
    [format!("${{{name}}}"), format!("${name}"), format!("%{name}%")][way].clone()
}

fn any_part() -> impl Strategy<Value = Part> {
    prop_oneof![
        "[a-c .]{0,4}".prop_map(Part::Text),
        (any::<prop::sample::Index>(), 0..3usize).prop_map(|(of, way)| Part::Variable(of, way)),
        (0..3usize).prop_map(Part::Unknown),
        (0..2usize).prop_map(Part::Doubled),
    ]
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

    /// What GitLab's deep merge is: a base of nothing changes nothing, the later of two bases wins, what a job says itself wins over both
    /// (nothing among it), to extend in two steps is to extend at once, and a list takes the place of a list.
    #[test]
    fn merges_of_extends_have_their_laws(one in any_variables(), two in any_variables(), three in any_variables(), list in any::<[bool; 3]>()) {
        let plain = |variables: &BTreeMap<String, String>| -> String {
            variables.iter().map(|(name, value)| format!("{name}: '{value}'")).collect::<Vec<_>>().join(", ")
        };
        let script = |at: usize| if list[at] { format!(", script: [s{at}, t{at}]") } else { String::new() };
        let text = format!(
            ".none: {{variables: {{}}}}\n.one: {{image: i, variables: {{{}}}{}}}\n.two: {{variables: {{{}}}{}}}\n.twice: {{extends: [.one, .two]}}\n.script: {{script: x}}\nempty: {{extends: [.none, .one], script: x}}\nboth: {{extends: [.script, .one, .two], variables: {{{}}}{}}}\nsteps: {{extends: [.script, .twice], variables: {{{}}}{}}}\nsame: {{extends: [.one, .one], script: x}}\nnothing: {{extends: .one, script: x, variables: ~, image: ~}}\n",
            plain(&one), script(0), plain(&two), script(1), plain(&three), script(2), plain(&three), script(2)
        );
        let plan = planned(&text);
        let of = |job: &str| plan.job(&name(job)).unwrap();
        prop_assert_eq!(&of("empty").variables, &one);
        prop_assert_eq!(&of("same").variables, &one);
        prop_assert!(of("nothing").variables.is_empty() && of("nothing").image.is_none());
        prop_assert_eq!(of("same").image.as_deref(), Some("i"));
        let mut all = one;
        all.extend(two);
        all.extend(three);
        let last = (0..3).rev().find(|at| list[*at]).map_or(vec!["x".to_owned()], |at| vec![format!("s{at}"), format!("t{at}")]);
        for job in ["both", "steps"] {
            prop_assert_eq!(&of(job).variables, &all, "{}", job);
            prop_assert_eq!(&of(job).script, &last, "{}", job);
        }
    }

    /// Each value is what one gets by hand, whatever the order of the names: another variable's value in its place, but one that nobody
    /// expands, one that is nowhere, and what is doubled, as they are written. And expanding what was expanded changes nothing.
    #[test]
    fn expansion_is_by_hand_and_idempotent(
        values in proptest::collection::vec((proptest::collection::vec(any_part(), 0..4), any::<bool>()), 5),
        order in Just((0..5usize).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        // The variable at a place names those before it, and their names are in no order.
        let name_of = |at: usize| format!("V{}", order[at]);
        let (mut written, mut by_hand): (BTreeMap<String, (String, bool)>, BTreeMap<String, String>) = (BTreeMap::new(), BTreeMap::new());
        for (at, (parts, raw)) in values.iter().enumerate() {
            let (mut text, mut value) = (String::new(), String::new());
            for part in parts {
                let (plain, put_in) = match part {
                    Part::Text(text) => (text.clone(), text.clone()),
                    Part::Variable(..) if at == 0 => (String::new(), String::new()),
                    Part::Variable(of, way) => {
                        let of = of.index(at);
                        let reference = reference_to(&name_of(of), *way);
                        let value = if values[of].1 { reference.clone() } else { by_hand[&name_of(of)].clone() };
                        (reference, value)
                    }
                    Part::Unknown(way) => (reference_to("GONE", *way), reference_to("GONE", *way)),
                    Part::Doubled(way) => (["$$", "%%"][*way].to_owned(), ["$$", "%%"][*way].to_owned()),
                };
                // A dot ends a name that no bracket ends.
                let _ = write!(text, "{plain}.");
                let _ = write!(value, "{put_in}.");
            }
            by_hand.insert(name_of(at), if *raw { text.clone() } else { value });
            written.insert(name_of(at), (text, *raw));
        }
        let of = |written: &BTreeMap<String, (String, bool)>| {
            let lines: Vec<String> = written.iter().map(|(name, (text, raw))| format!("  {name}: {{value: '{text}', expand: {}}}\n", !raw)).collect();
            planned(&format!("variables:\n{}a: {{script: x}}\n", lines.concat())).jobs.remove(0).variables
        };
        let once = of(&written);
        prop_assert_eq!(&once, &by_hand);
        let again = once.iter().map(|(name, value)| (name.clone(), (value.clone(), written[name].1))).collect();
        prop_assert_eq!(&once, &of(&again));
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

    /// All jobs of the file with all their instances, and nothing else; each as it is written, with its needs written out.
    #[test]
    fn a_plan_is_acyclic_and_complete(jobs in any_plannable()) {
        let plan = planned(&file(&jobs));
        let names: BTreeSet<String> = plan.jobs.iter().map(|job| job.name.to_string()).collect();
        prop_assert_eq!(names.len(), plan.jobs.len(), "no name is there twice");
        prop_assert_eq!(names, jobs.iter().enumerate().flat_map(|(at, job)| job.names(at)).collect::<BTreeSet<_>>());
        for (at, written) in jobs.iter().enumerate() {
            for of in written.names(at) {
                let job = plan.job(&name(&of)).unwrap();
                prop_assert_eq!(format!("{:?}", job.when).to_lowercase(), WHENS[written.when].replace('_', ""));
                prop_assert_eq!((&plan.stages[job.stage_index], job.stage.as_str()), (&job.stage, STAGES[written.stage]));
                prop_assert_eq!(job.allow_failure, written.allow_failure.unwrap_or(WHENS[written.when] == "manual"));
                let needs = job.needs.as_ref().map(|needs| needs.iter().map(|need| (need.job.to_string(), need.artifacts, need.optional)).collect::<BTreeSet<_>>());
                let wanted = written.needs.as_ref().map(|needs| {
                    needs.iter().flat_map(|(need, artifacts)| jobs[*need].names(*need).into_iter().map(|name| (name, *artifacts, false))).collect::<BTreeSet<_>>()
                });
                prop_assert_eq!(needs, wanted, "{}", of);
            }
        }
        let mut done: BTreeSet<&JobName> = BTreeSet::new();
        while done.len() < plan.jobs.len() {
            let ready: Vec<&JobName> = plan.jobs.iter().filter(|job| !done.contains(&job.name))
                .filter(|job| job.needs.iter().flatten().all(|need| done.contains(&need.job)))
                .map(|job| &job.name).collect();
            prop_assert!(!ready.is_empty(), "a cycle, or a need that is not there");
            done.extend(ready);
        }
        let json = serde_json::to_string(&plan).unwrap();
        prop_assert_eq!(serde_json::from_str::<Plan>(&json).unwrap(), plan);
    }

    /// Needs anywhere: a file is refused for those of a later stage, of the job itself and in a circle, and for no others; and where rules
    /// bring them in, the plan is.
    #[test]
    fn needs_that_cannot_be_met_are_refused(jobs in any_jobs(), by_rules in any::<bool>()) {
        let needs: Vec<Vec<usize>> = jobs.iter().map(|job| job.needs.iter().flatten().map(|(need, _)| *need).collect()).collect();
        let of_itself = needs.iter().enumerate().any(|(at, needs)| needs.contains(&at));
        let of_later = needs.iter().enumerate().any(|(at, needs)| needs.iter().any(|need| jobs[*need].stage > jobs[at].stage));
        let text = file(&jobs);
        // The same as rules say it: `needs: […]` as `rules: [{needs: […]}]`.
        let text = if by_rules { text.replace(", needs: [", ", rules: [{needs: [").replace("]}\n", "]}]}\n") } else { text };
        let reading = reading(&text);
        let plan = reading.pipeline.as_ref().map(|pipeline| plan(pipeline, &PlanInputs::default()));
        let refused_reading = of_itself || of_later || (!by_rules && has_circle(&needs));
        prop_assert_eq!(plan.is_none(), refused_reading, "{:?}", reading.problems);
        if let Some(plan) = plan {
            prop_assert_eq!(plan.is_err(), has_circle(&needs), "{}", text);
        }
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
