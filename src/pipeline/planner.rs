//! [`Pipeline`] and the facts of one run → [`Plan`].

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::document::Place;
use crate::event::{EnvironmentName, JobName, When};

use super::expand::{self, Definition, Unexpandable};
use super::graph;
use super::plan::{Job, JobEnvironment, Need, Plan};
use super::predefined;
use super::problem::{Problem, Problems};
use super::rule::Rule;
use super::spec::{Action, EnvironmentSpec, JobSpec, Line, Pipeline, Variable};

/// More jobs than a plan may have after `parallel`, more needs, more text: a small file can ask for very much of each.
const JOB_LIMIT: usize = 20_000;
const NEED_LIMIT: usize = 1_000_000;
const TEXT_LIMIT_BYTES: usize = 32 * 1024 * 1024;
const VARIABLE_PRICE_BYTES: usize = 64;

/// What is known of a run before it starts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PlanInputs {
    /// Variables given for this run; they win over all others. Masked ones do not belong here: a plan is kept on disk.
    pub variables: BTreeMap<String, String>,
    /// The `CI_*` variables of the pipeline, see [`predefined`](super::predefined()).
    pub predefined: BTreeMap<String, String>,
}

/// Decides a pipeline for one run.
///
/// # Errors
/// When a job needs one that its rules leave out, when variables name each other in a circle, or when the plan would be larger
/// than any honest one.
pub fn plan(pipeline: &Pipeline, inputs: &PlanInputs) -> Result<Plan, Vec<Problem>> {
    let given = inputs.variables.iter().map(|(name, value)| name.len() + value.len() + VARIABLE_PRICE_BYTES);
    let shared_bytes = written_bytes(&pipeline.variables) + given.sum::<usize>();
    let mut planner = Planner { pipeline, inputs, shared_bytes, problems: Problems::default(), text_bytes: 0, told: BTreeSet::new() };
    let plan = planner.plan();
    if planner.problems.has_errors() { Err(planner.problems.into_sorted()) } else { Ok(plan) }
}

struct Planner<'p> {
    pipeline: &'p Pipeline,
    inputs: &'p PlanInputs,
    /// What the variables that every job gets come to.
    shared_bytes: usize,
    problems: Problems,
    text_bytes: usize,
    /// Variables of which a problem was told; a global one would be told with every job.
    told: BTreeSet<Option<Place>>,
}

/// A job that is in the pipeline, and how its rules want it.
struct Chosen<'p> {
    spec: &'p JobSpec,
    stage: usize,
    rule: Option<&'p Rule>,
    instances: Vec<(JobName, Option<(u32, u32)>)>,
}

/// What a job's rules say.
enum Verdict<'p> {
    NoRules,
    Matched(&'p Rule),
    /// None matches, or a problem was told.
    LeftOut,
}

impl<'p> Planner<'p> {
    fn plan(&mut self) -> Plan {
        let chosen = self.choose();
        let needs = self.needs(&chosen);
        let mut used: Vec<usize> = chosen.iter().map(|chosen| chosen.stage).collect();
        used.dedup();
        let stages: Vec<String> = used.iter().filter_map(|stage| self.pipeline.stages.get(*stage)).cloned().collect();
        let mut jobs = Vec::new();
        for (chosen, needs) in chosen.iter().zip(needs) {
            let stage_index = used.iter().position(|stage| *stage == chosen.stage).unwrap_or_default();
            for (name, node) in &chosen.instances {
                if !self.afford(chosen) {
                    return Plan { stages, jobs };
                }
                if let Some(job) = self.job(chosen, name, *node, stage_index, needs.clone()) {
                    jobs.push(job);
                }
            }
        }
        Plan { stages, jobs }
    }

    /// The jobs that are in the pipeline, by stage.
    fn choose(&mut self) -> Vec<Chosen<'p>> {
        let pipeline = self.pipeline;
        let places: HashMap<&str, usize> = pipeline.stages.iter().enumerate().map(|(at, stage)| (stage.as_str(), at)).collect();
        let mut chosen = Vec::new();
        let mut count = 0;
        for spec in &pipeline.jobs {
            let rule = match self.verdict(spec) {
                Verdict::LeftOut => continue,
                Verdict::NoRules => None,
                Verdict::Matched(rule) => Some(rule),
            };
            if rule.and_then(|rule| rule.when).unwrap_or(spec.when) == When::Never {
                continue;
            }
            let named = spec.instances().into_iter().filter_map(|(name, node)| Some((name.parse().ok()?, node)));
            let instances: Vec<_> = named.collect();
            count += instances.len();
            if count > JOB_LIMIT {
                self.problems.error(
                    spec.place,
                    "plan-too-large",
                    format!("with `parallel` written out there are more than {JOB_LIMIT} jobs"),
                );
                break;
            }
            chosen.push(Chosen { spec, stage: places.get(spec.stage.as_str()).copied().unwrap_or_default(), rule, instances });
        }
        chosen.sort_by_key(|chosen| chosen.stage);
        chosen
    }

    fn verdict(&mut self, spec: &'p JobSpec) -> Verdict<'p> {
        let Some(rules) = &spec.rules else { return Verdict::NoRules };
        if !self.spend(self.variable_bytes(spec), spec.place) {
            return Verdict::LeftOut;
        }
        let own = predefined::of_planned(&spec.name, &spec.stage, None);
        let Some((mut known, _)) = self.variables(spec, None, &own) else { return Verdict::LeftOut };
        for (name, value) in self.inputs.predefined.iter().chain(&own) {
            known.entry(name.clone()).or_insert_with(|| value.clone());
        }
        Rule::first(rules, &known).map_or(Verdict::LeftOut, Verdict::Matched)
    }

    /// The needs of each chosen job, as full names.
    fn needs(&mut self, chosen: &[Chosen<'p>]) -> Vec<Option<Vec<Need>>> {
        let by_name: HashMap<&str, usize> = chosen.iter().enumerate().map(|(at, chosen)| (chosen.spec.name.as_str(), at)).collect();
        let by_instance: HashMap<&str, &JobName> =
            chosen.iter().flat_map(|chosen| &chosen.instances).map(|(name, _)| (name.as_str(), name)).collect();
        let mut count: usize = 0;
        let mut all = Vec::with_capacity(chosen.len());
        for job in chosen {
            let Some(specs) = &job.spec.needs else {
                all.push(None);
                continue;
            };
            let mut needs: Vec<Need> = Vec::new();
            for spec in specs {
                let names: Vec<&JobName> = match by_name.get(spec.job.as_str()).and_then(|at| chosen.get(*at)) {
                    Some(needed) => needed.instances.iter().map(|(name, _)| name).collect(),
                    None => by_instance.get(spec.job.as_str()).copied().into_iter().collect(),
                };
                if names.is_empty() && !spec.optional {
                    let message =
                        format!("`{}` needs `{}`, which is not in this pipeline: its rules leave it out", job.spec.name, spec.job);
                    self.problems
                        .error(spec.place, "unknown-need", message)
                        .hint("add `optional: true` to the need, or a rule like that of the job");
                }
                count += names.len() * job.instances.len();
                if count > NEED_LIMIT {
                    let message = format!("with `parallel` written out there are more than {NEED_LIMIT} needs");
                    self.problems.error(job.spec.needs_place, "plan-too-large", message);
                    return Vec::new();
                }
                let need = |name: &JobName| Need { job: name.clone(), artifacts: spec.artifacts, optional: spec.optional };
                needs.extend(names.into_iter().map(need));
            }
            all.push(Some(needs));
        }
        all
    }

    /// Counts what one more instance of the job copies.
    fn afford(&mut self, chosen: &Chosen) -> bool {
        let spec = chosen.spec;
        let variables = self.variable_bytes(spec);
        let script = spec.before_script.iter().chain(&spec.script).chain(spec.after_script.iter()).map(|line| line.text.len());
        let artifacts = spec.artifacts.paths.iter().chain(&spec.artifacts.exclude).chain(&spec.artifacts.reports_junit).map(String::len);
        let image = spec.image.as_ref().map(String::len);
        let bytes = variables + script.chain(artifacts).chain(image).sum::<usize>();
        self.spend(bytes, spec.place)
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

    fn job(
        &mut self,
        chosen: &Chosen<'p>,
        name: &JobName,
        node: Option<(u32, u32)>,
        stage_index: usize,
        needs: Option<Vec<Need>>,
    ) -> Option<Job> {
        let (spec, rule) = (chosen.spec, chosen.rule);
        let own = predefined::of_planned(name.as_str(), &spec.stage, node);
        let (variables, raw_variables) = self.variables(spec, rule, &own)?;
        let when = rule.and_then(|rule| rule.when).unwrap_or(spec.when);
        let allow_failure = allow_failure(spec, rule, when);
        let environment = spec.environment.as_ref().map(|environment| self.environment(environment, &variables, &own));
        let mut environments = Vec::new();
        if let Some(deployed) = environment.as_ref().filter(|environment| environment.action == Action::Start.as_str()) {
            environments.extend(deployed.name.parse::<EnvironmentName>().ok());
        }
        for named in &spec.script_environments {
            if !environments.contains(named) {
                environments.push(named.clone());
            }
        }
        let text = |line: &Line| line.text.clone();
        Some(Job {
            name: name.clone(),
            base_name: spec.name.clone(),
            stage: spec.stage.clone(),
            stage_index,
            needs,
            when,
            allow_failure,
            blocking: when == When::Manual && !allow_failure,
            environments,
            environment,
            script: spec.before_script.iter().chain(&spec.script).map(text).collect(),
            after_script: spec.after_script.iter().map(text).collect(),
            image: spec.image.clone(),
            variables,
            raw_variables,
            node,
            artifacts: (*spec.artifacts).clone(),
            timeout_seconds: spec.timeout_seconds,
            resource_group: spec.resource_group.clone(),
        })
    }

    /// The variables of a job, expanded, and the names of those that are raw. None when they cannot be expanded.
    fn variables(
        &mut self,
        spec: &JobSpec,
        rule: Option<&Rule>,
        own: &BTreeMap<String, String>,
    ) -> Option<(BTreeMap<String, String>, BTreeSet<String>)> {
        let mut defined: BTreeMap<&str, Definition> = BTreeMap::new();
        let ruled = rule.map(|rule| rule.variables.as_slice()).unwrap_or_default();
        for Variable { name, value, raw, .. } in self.pipeline.variables.iter().chain(&spec.variables).chain(ruled) {
            defined.insert(name, Definition { name, value, raw: *raw });
        }
        for (name, value) in &self.inputs.variables {
            defined.insert(name, Definition { name, value, raw: false });
        }
        let definitions: Vec<Definition> = defined.into_values().collect();
        let raw = definitions.iter().filter(|definition| definition.raw).map(|definition| definition.name.to_owned()).collect();
        let predefined = &self.inputs.predefined;
        let fixed = |name: &str| own.get(name).or_else(|| predefined.get(name)).map(String::as_str);
        match expand::all(&definitions, &fixed) {
            Ok(values) => Some((values, raw)),
            Err(error) => {
                self.unexpandable(spec, ruled, &error);
                None
            }
        }
    }

    fn unexpandable(&mut self, spec: &JobSpec, ruled: &[Variable], error: &Unexpandable) {
        let (name, message) = match error {
            Unexpandable::Cycle(names) => {
                let all = names.iter().chain(names.first()).map(String::as_str).collect::<Vec<_>>().join(" → ");
                (names.first(), format!("`{}`: these variables name each other in a circle: {all}", spec.name))
            }
            Unexpandable::TooLong(name) => {
                (Some(name), format!("`{}`: the variable `{name}` grows too long when it is expanded", spec.name))
            }
        };
        let mut known = ruled.iter().chain(&spec.variables).chain(&self.pipeline.variables);
        let place = known.find(|variable| Some(&variable.name) == name).map(|variable| variable.place);
        if !self.told.insert(place) {
            return;
        }
        self.problems.error(place, "variable-expansion", message).hint("`$$NAME` or `expand: false` keeps a `$` as it is");
    }

    fn environment(&self, spec: &EnvironmentSpec, variables: &BTreeMap<String, String>, own: &BTreeMap<String, String>) -> JobEnvironment {
        let known =
            |name: &str| variables.get(name).or_else(|| own.get(name)).or_else(|| self.inputs.predefined.get(name)).map(String::as_str);
        let expanded = |text: &str| expand::text(text, &known).unwrap_or_else(|| text.to_owned());
        JobEnvironment {
            name: expanded(&spec.name),
            url: spec.url.as_deref().map(expanded),
            tier: spec.tier.clone(),
            action: spec.action.as_str().to_owned(),
        }
    }
}

/// What variables come to; each has a price beside its text, or very many short ones would cost nothing.
fn written_bytes(variables: &[Variable]) -> usize {
    variables.iter().map(|variable| variable.name.len() + variable.value.len() + VARIABLE_PRICE_BYTES).sum()
}

/// What is said wins, the rule's over the job's. Else a manual job is optional when the job says `manual` (unless it is a gate
/// by deviation (c)), and blocks when a rule does.
fn allow_failure(spec: &JobSpec, rule: Option<&Rule>, when: When) -> bool {
    let said = rule.and_then(|rule| rule.allow_failure).or(spec.allow_failure);
    let by_rule = rule.is_some_and(|rule| rule.when.is_some());
    said.unwrap_or(when == When::Manual && !by_rule && !spec.gate)
}

impl Plan {
    /// The places of the jobs in [`Plan::jobs`], each after all that it waits for.
    pub(super) fn order(&self) -> (Vec<usize>, Vec<Vec<usize>>) {
        let index: HashMap<&JobName, usize> = self.jobs.iter().enumerate().map(|(at, job)| (&job.name, at)).collect();
        let edges: Vec<Vec<usize>> =
            self.jobs.iter().map(|job| job.needs.iter().flatten().filter_map(|need| index.get(&need.job).copied()).collect()).collect();
        let (mut order, _) = graph::order(&edges);
        // Within a stage what is needed stays first: the sort is stable, and no need names a later stage.
        order.sort_by_key(|at| self.jobs.get(*at).map(|job| job.stage_index));
        (order, edges)
    }
}
