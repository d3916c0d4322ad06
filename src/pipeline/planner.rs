//! [`Pipeline`] and the facts of one run → [`Plan`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use crate::document::Place;
use crate::event::{JobName, When};

use super::expand::{self, Definition, Unexpandable};
use super::files::{Files, NoFiles};
use super::graph;
use super::kept::AutoCancel;
use super::matrix::Instance;
use super::plan::{Need, Plan};
use super::predefined;
use super::problem::{Problem, Problems};
use super::rule::{Rule, Sight, Undecided};
use super::spec::{AutoCancelSpec, JobSpec, Pipeline, Variable};
use super::trace::{Considered, Layers, Origin, RuleLook, Trace, Valued, Why};

mod build;
mod choose;
mod needs;

/// More jobs than a plan may have after `parallel`, more needs, more text: a small file can ask for very much of each.
const JOB_LIMIT: usize = 20_000;
const NEED_LIMIT: usize = 1_000_000;
const TEXT_LIMIT_BYTES: usize = 32 * 1024 * 1024;
const VARIABLE_PRICE_BYTES: usize = 64;

/// What is known of a run before it starts.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct PlanInputs {
    /// Variables given for this run; they win over all others. Masked ones do not belong here: a plan is kept on disk.
    pub variables: BTreeMap<String, String>,
    /// The `CI_*` variables of the pipeline, see [`predefined`](super::predefined()).
    pub predefined: BTreeMap<String, String>,
    /// Masked variables: conditions see them, and nothing else does. Their values are in no plan and no message.
    pub masked: BTreeMap<String, String>,
    /// Values for the pipeline file's own `spec: inputs`.
    pub inputs: BTreeMap<String, String>,
    /// Jobs that are in the pipeline whatever rules say, by name; what they need and is not there they do not wait for.
    pub regardless: BTreeSet<String>,
}

impl fmt::Debug for PlanInputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let masked: Vec<&String> = self.masked.keys().collect();
        let (variables, predefined) = (&self.variables, &self.predefined);
        f.debug_struct("PlanInputs")
            .field("variables", variables)
            .field("predefined", predefined)
            .field("masked", &masked)
            .field("inputs", &self.inputs)
            .field("regardless", &self.regardless)
            .finish()
    }
}

/// Decides a pipeline for one run, without a repository around it: `changes` and `exists` cannot be decided.
///
/// # Errors
/// As [`plan_in`].
pub fn plan(pipeline: &Pipeline, inputs: &PlanInputs) -> Result<Plan, Vec<Problem>> {
    plan_in(pipeline, inputs, &NoFiles).0
}

/// Decides a pipeline for one run, and tells how it came about.
///
/// # Errors
/// When a job needs one that its rules leave out, when variables name each other in a circle, when a clause cannot be decided, or
/// when the plan would be larger than any honest one.
pub fn plan_in(pipeline: &Pipeline, inputs: &PlanInputs, files: &dyn Files) -> (Result<Plan, Vec<Problem>>, Trace) {
    let given = inputs.variables.iter().map(|(name, value)| name.len() + value.len() + VARIABLE_PRICE_BYTES);
    let shared_bytes = written_bytes(&pipeline.variables) + given.sum::<usize>();
    let mut planner = Planner {
        pipeline,
        inputs,
        files,
        shared_bytes,
        problems: Problems::of_files(&pipeline.files),
        text_bytes: 0,
        told: BTreeSet::new(),
        workflow: &[],
        auto_cancel: pipeline.workflow.auto_cancel.under(AutoCancelSpec::default()),
        trace: Trace::default(),
    };
    let plan = planner.plan();
    let trace = planner.trace;
    (if planner.problems.has_errors() { Err(planner.problems.into_sorted()) } else { Ok(plan) }, trace)
}

struct Planner<'p> {
    pipeline: &'p Pipeline,
    inputs: &'p PlanInputs,
    files: &'p dyn Files,
    /// What the variables that every job gets come to.
    shared_bytes: usize,
    problems: Problems,
    text_bytes: usize,
    /// Variables of which a problem was told; a global one would be told with every job.
    told: BTreeSet<Option<Place>>,
    /// The variables of the `workflow` rule that matched.
    workflow: &'p [Variable],
    /// What ends the run before its time.
    auto_cancel: AutoCancel,
    trace: Trace,
}

/// A job that is in the pipeline, and how its rules want it.
struct Chosen<'p> {
    spec: &'p JobSpec,
    stage: usize,
    rule: Option<&'p Rule>,
    instance: Instance,
    name: JobName,
    when: When,
    /// Its place in the trace.
    traced: usize,
}

/// A job's variables, expanded.
struct Expanded {
    values: BTreeMap<String, String>,
    /// Those that expansion changed, as they were written.
    written: BTreeMap<String, String>,
    /// Names of those that nobody expands.
    raw: BTreeSet<String>,
    origins: Vec<(String, Origin)>,
}

impl<'p> Planner<'p> {
    fn plan(&mut self) -> Plan {
        let fetched = self.pipeline.fetched.clone();
        let name = match self.workflow() {
            Ok(name) => name,
            Err(why) => return Plan::nothing(None, why, fetched),
        };
        let chosen = self.choose();
        if let Some(why) = self.nothing_left(&chosen) {
            return Plan::nothing(name, why, fetched);
        }
        let needs = self.needs(&chosen);
        let mut used: Vec<usize> = chosen.iter().map(|chosen| chosen.stage).collect();
        used.dedup();
        let stages: Vec<String> = used.iter().filter_map(|stage| self.pipeline.stages.get(*stage)).cloned().collect();
        let dependencies = Self::dependencies(&chosen);
        let mut plan = Plan { stages, jobs: Vec::with_capacity(chosen.len()), name, nothing: None, auto_cancel: self.auto_cancel, fetched };
        for ((chosen, needs), dependencies) in chosen.iter().zip(needs).zip(dependencies) {
            let stage_index = used.iter().position(|stage| *stage == chosen.stage).unwrap_or_default();
            if !self.afford(chosen) {
                return plan;
            }
            if let Some(job) = self.job(chosen, stage_index, needs, dependencies) {
                plan.jobs.push(job);
            }
        }
        build::share_tiers(&mut plan.jobs);
        self.cycles(&chosen, &plan);
        plan
    }

    /// Whether there is a pipeline, and what it is called; else why there is none.
    fn workflow(&mut self) -> Result<Option<String>, String> {
        let workflow = &self.pipeline.workflow;
        let Some(known) = self.known(&self.pipeline.variables.iter().collect::<Vec<_>>(), &predefined::before_pipeline(), None) else {
            return Ok(None);
        };
        if let Some(rules) = workflow.rules.as_ref().filter(|_| self.inputs.regardless.is_empty()) {
            match self.first(rules, &known) {
                (Err(undecided), looks) => {
                    self.trace.workflow = looks;
                    self.undecided(undecided);
                }
                (Ok(found), looks) => {
                    self.trace.workflow = looks;
                    match found {
                        None => return Err("no rule of `workflow` matches".to_owned()),
                        Some(rule) if rule.when == Some(When::Never) => {
                            let place = rule.place;
                            return Err(format!("the rule of `workflow` at {}{place} says `never`", self.file_prefix(place)));
                        }
                        Some(rule) => {
                            self.workflow = &rule.variables;
                            self.auto_cancel = workflow.auto_cancel.under(rule.auto_cancel);
                        }
                    }
                }
            }
        }
        let Some(name) = workflow.name.as_deref() else { return Ok(None) };
        // It sees what the rule that matched sets, and what is unknown becomes nothing (`pipeline/chain/populate_metadata.rb`).
        let ruled = self.workflow;
        let own = self.pipeline.variables.iter().filter(|own| !ruled.iter().any(|other| other.name == own.name));
        let Some(known) = self.known(&own.chain(ruled).collect::<Vec<_>>(), &BTreeMap::new(), None) else { return Ok(None) };
        let full = expand::expand_for_include(name, &known.values);
        let name: String = full.trim().chars().take(255).collect();
        Ok(Some(name).filter(|name| !name.is_empty()))
    }

    fn file_prefix(&self, place: Place) -> String {
        self.pipeline.file_of(place).map(|file| format!("{file}:")).unwrap_or_default()
    }

    /// What rules know: predefined variables, over them these and those of the run. None when they cannot be expanded, which is told.
    fn known(&mut self, variables: &[&'p Variable], own: &BTreeMap<String, String>, spec: Option<&'p JobSpec>) -> Option<Known> {
        let mut layers = Layers::default();
        layers.put(variables.iter().copied(), Origin::File);
        layers.put_plain(&self.inputs.variables, Origin::Run);
        self.known_of_layers(layers, own, spec)
    }

    /// The same of layers that are put together.
    fn known_of_layers(&mut self, layers: Layers<'_>, own: &BTreeMap<String, String>, spec: Option<&'p JobSpec>) -> Option<Known> {
        let Expanded { mut values, written, .. } = self.expand(layers, own, spec)?;
        for (name, value) in own.iter().chain(&self.inputs.predefined) {
            values.entry(name.clone()).or_insert_with(|| value.clone());
        }
        Some(Known { values, written })
    }

    /// The first rule that matches, and what became of each.
    fn first(&self, rules: &'p [Rule], known: &Known) -> (Result<Option<&'p Rule>, Undecided>, Vec<RuleLook>) {
        let sight = self.sight(known);
        let mut findings = Vec::with_capacity(rules.len());
        let found = Rule::first(rules, &sight, |finding| findings.push(finding.clone()));
        let looks = rules.iter().enumerate().map(|(at, rule)| RuleLook::of(rule.place, findings.get(at))).collect();
        (found.map(|found| found.map(|(_, rule)| rule)), looks)
    }

    fn sight<'s>(&'s self, known: &'s Known) -> Sight<'s> {
        Sight { variables: &known.values, written: &known.written, masked: &self.inputs.masked, files: self.files }
    }

    fn undecided(&mut self, undecided: Undecided) {
        // A clause that many jobs share is told once.
        if self.told.insert(Some(undecided.place)) {
            self.problems.error(undecided.place, "undecided-rule", undecided.message);
        }
    }

    fn expand(&mut self, layers: Layers<'_>, own: &BTreeMap<String, String>, spec: Option<&JobSpec>) -> Option<Expanded> {
        let origins: Vec<(String, Origin)> = layers.defined.iter().map(|(name, (_, origin))| ((*name).to_owned(), *origin)).collect();
        let definitions: Vec<Definition> = layers.defined.into_values().map(|(definition, _)| definition).collect();
        let raw = definitions.iter().filter(|definition| definition.raw).map(|definition| definition.name.to_owned()).collect();
        let predefined = &self.inputs.predefined;
        let fixed = |name: &str| own.get(name).or_else(|| predefined.get(name)).map(String::as_str);
        match expand::all(&definitions, &fixed) {
            Ok(values) => {
                let changed = definitions.iter().filter(|written| values.get(written.name).is_some_and(|value| value != written.value));
                let written = changed.map(|written| (written.name.to_owned(), written.value.to_owned())).collect();
                Some(Expanded { values, written, raw, origins })
            }
            Err(error) => {
                self.unexpandable(spec, &origins, &error);
                None
            }
        }
    }

    fn unexpandable(&mut self, spec: Option<&JobSpec>, origins: &[(String, Origin)], error: &Unexpandable) {
        let of = spec.map(|spec| format!("`{}`: ", spec.name)).unwrap_or_default();
        let (name, message) = match error {
            Unexpandable::Cycle(names) => {
                let all = names.iter().chain(names.first()).map(String::as_str).collect::<Vec<_>>().join(" → ");
                (names.first(), format!("{of}these variables name each other in a circle: {all}"))
            }
            Unexpandable::TooLong(name) => (Some(name), format!("{of}the variable `{name}` grows too long when it is expanded")),
        };
        let origin = origins.iter().find(|(known, _)| Some(known) == name).map(|(_, origin)| *origin);
        let place = match origin {
            Some(Origin::File(place) | Origin::Workflow(place) | Origin::Job(place) | Origin::Rule(place)) => Some(place),
            Some(Origin::Predefined | Origin::Matrix | Origin::Run) | None => None,
        };
        if !self.told.insert(place) {
            return;
        }
        self.problems.error(place, "variable-expansion", message).hint("`$$NAME` or `expand: false` keeps a `$` as it is");
    }

    /// What the variables of a job come to.
    fn variable_bytes(&self, spec: &JobSpec) -> usize {
        self.shared_bytes + written_bytes(&spec.variables)
    }

    fn spend(&mut self, bytes: usize, place: Place) -> bool {
        let before = self.text_bytes;
        self.text_bytes = before.saturating_add(bytes);
        let affordable = self.text_bytes <= TEXT_LIMIT_BYTES;
        if !affordable && before <= TEXT_LIMIT_BYTES {
            let message =
                format!("with defaults, variables and `parallel` written out the jobs have more than {TEXT_LIMIT_BYTES} bytes of text");
            self.problems.error(place, "plan-too-large", message);
        }
        affordable
    }
}

/// What rules know of variables.
struct Known {
    values: BTreeMap<String, String>,
    /// Those that others are named in, as they are written.
    written: BTreeMap<String, String>,
}

/// What variables come to; each has a price beside its text, or very many short ones would cost nothing.
fn written_bytes(variables: &[Variable]) -> usize {
    variables.iter().map(|variable| variable.name.len() + variable.value.len() + VARIABLE_PRICE_BYTES).sum()
}

impl Plan {
    /// The places of the jobs in [`Plan::jobs`], each after all that it waits for.
    pub(super) fn order(&self) -> (Vec<usize>, Vec<Vec<usize>>) {
        let edges = self.edges();
        let (mut order, _) = graph::order(&edges);
        // Within a stage what is needed stays first: the sort is stable, and no need names a later stage.
        order.sort_by_key(|at| self.jobs.get(*at).map(|job| job.stage_index));
        (order, edges)
    }

    fn edges(&self) -> Vec<Vec<usize>> {
        let index: HashMap<&JobName, usize> = self.jobs.iter().enumerate().map(|(at, job)| (&job.name, at)).collect();
        let targets = |needs: &Vec<Need>| needs.iter().filter_map(|need| index.get(&need.job).copied()).collect::<Vec<_>>();
        self.jobs.iter().map(|job| job.needs.as_ref().map(targets).unwrap_or_default()).collect()
    }
}

impl Considered {
    fn new(name: &str, place: Place, rules: Vec<RuleLook>, why: Why) -> Self {
        Self { name: name.to_owned(), place, rules, why, variables: Vec::new() }
    }
}

impl Valued {
    fn all(expanded: &Expanded) -> Vec<Self> {
        let valued = |(name, origin): &(String, Origin)| {
            expanded.values.get(name).map(|value| Self { name: name.clone(), value: value.clone(), origin: *origin })
        };
        expanded.origins.iter().filter_map(valued).collect()
    }
}
