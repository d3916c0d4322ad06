//! Which jobs are in the pipeline: `rules`, `only`, `except`, instance by instance.

use super::{Chosen, Considered, JOB_LIMIT, Known, Planner, Why, predefined};
use crate::event::When;
use crate::pipeline::matrix::Instance;
use crate::pipeline::only::MERGE_REQUEST;
use crate::pipeline::rule::{Finding, Rule};
use crate::pipeline::spec::{JobSpec, Variable};
use crate::pipeline::trace::{Layers, Origin, RuleLook};
use std::collections::HashMap;

/// How many instances rules are asked about; those that are left out cost time too.
const CONSIDERED_LIMIT: usize = 5 * JOB_LIMIT;

/// What a job's rules say.
struct Verdict<'p> {
    rule: Option<&'p Rule>,
    looks: Vec<RuleLook>,
    why: Why,
}

impl<'p> Planner<'p> {
    /// The jobs that are in the pipeline, by stage.
    pub(super) fn choose(&mut self) -> Vec<Chosen<'p>> {
        let pipeline = self.pipeline;
        let places: HashMap<&str, usize> = pipeline.stages.iter().enumerate().map(|(at, stage)| (stage.as_str(), at)).collect();
        let mut chosen = Vec::new();
        let mut considered = 0;
        for spec in &pipeline.jobs {
            let stage = places.get(spec.stage.as_str()).copied().unwrap_or_default();
            for instance in spec.instances() {
                considered += 1;
                if considered > CONSIDERED_LIMIT || chosen.len() >= JOB_LIMIT {
                    let message = format!("with `parallel` written out there are more than {JOB_LIMIT} jobs");
                    self.problems.error(spec.place, "plan-too-large", message);
                    return Vec::new();
                }
                let Some(mut verdict) = self.verdict(spec, &instance) else { return Vec::new() };
                let regardless = [&spec.name, &instance.name].into_iter().any(|name| self.inputs.regardless.contains(name));
                if regardless && matches!(verdict.why, Why::LeftOut(_)) {
                    verdict.why = Why::Taken("its rules are passed over, as was asked".to_owned());
                }
                let traced = self.trace.jobs.len();
                let taken = matches!(verdict.why, Why::Taken(_));
                self.trace.jobs.push(Considered::new(&instance.name, spec.place, verdict.looks, verdict.why));
                if let Some(name) = instance.name.parse().ok().filter(|_| taken) {
                    let when = verdict.rule.and_then(|rule| rule.when).unwrap_or(spec.when);
                    // Only what is wanted regardless comes here with `never`.
                    let when = if when == When::Never { When::OnSuccess } else { when };
                    chosen.push(Chosen { spec, stage, rule: verdict.rule, instance, name, when, traced });
                }
            }
        }
        chosen.sort_by_key(|chosen| chosen.stage);
        chosen
    }

    /// Why a plan of these jobs does not run at all (GitLab `pipeline/chain/populate.rb`, `doc/ci/yaml/_index.md#stage-pre`).
    pub(super) fn nothing_left(&self, chosen: &[Chosen<'p>]) -> Option<String> {
        if self.problems.has_errors() {
            return None;
        }
        if chosen.is_empty() {
            return Some("its rules leave out every job".to_owned());
        }
        let last = self.pipeline.stages.len().saturating_sub(1);
        let only_edges = chosen.iter().all(|chosen| chosen.stage == 0 || chosen.stage == last);
        only_edges.then(|| "there are only jobs of `.pre` and `.post`, which do not run alone".to_owned())
    }

    /// What the rules of an instance say; none when there is no use in going on.
    fn verdict(&mut self, spec: &'p JobSpec, instance: &Instance) -> Option<Verdict<'p>> {
        let plain = |why: Why| Some(Verdict { rule: None, looks: Vec::new(), why });
        let refs = spec.only.is_some() || spec.except.is_some();
        if spec.rules.is_none() && self.is_of_merge_request() && self.takes_branches_and_tags(spec) {
            let why = "without rules, or `only: [merge_requests]`, it is for branches and tags";
            return plain(Why::LeftOut(why.to_owned()));
        }
        if spec.rules.is_none() && !refs {
            return plain(match spec.when {
                When::Never => Why::LeftOut("it says `when: never`".to_owned()),
                When::OnSuccess | When::OnFailure | When::Always | When::Manual | When::Delayed => Why::Taken("it has no rules".to_owned()),
            });
        }
        if !self.spend(self.variable_bytes(spec), spec.place) {
            return None;
        }
        let Some(known) = self.known_of(spec, instance) else { return plain(Why::LeftOut("its variables cannot be made".to_owned())) };
        match &spec.rules {
            None => plain(self.by_refs(spec, &known)),
            Some(rules) => Some(self.by_rules(spec, rules, &known)),
        }
    }

    /// Whether it is planned as if a merge request had started it, which no run of hms is.
    fn is_of_merge_request(&self) -> bool {
        let source = self.inputs.variables.get("CI_PIPELINE_SOURCE").or_else(|| self.inputs.predefined.get("CI_PIPELINE_SOURCE"));
        source.is_some_and(|source| source == MERGE_REQUEST)
    }

    /// Where `only` says nothing of refs, and where there is neither `only` nor `workflow: rules` (`entry/policy.rb`, `DEFAULT_ONLY`;
    /// `entry/processable.rb`).
    fn takes_branches_and_tags(&self, spec: &JobSpec) -> bool {
        spec.only.as_ref().map_or(self.pipeline.workflow.rules.is_none(), |only| only.refs.is_none())
    }

    fn by_rules(&mut self, spec: &'p JobSpec, rules: &'p [Rule], known: &Known) -> Verdict<'p> {
        let (found, looks) = self.first(rules, known);
        let (rule, why) = match found {
            Err(undecided) => {
                self.undecided(undecided);
                (None, Why::LeftOut("a rule cannot be decided".to_owned()))
            }
            Ok(None) if rules.is_empty() => (None, Why::LeftOut("its `rules` are empty".to_owned())),
            Ok(None) => (None, Why::LeftOut("none of its rules matches".to_owned())),
            Ok(Some(rule)) => {
                let at = rules.iter().position(|other| std::ptr::eq(other, rule)).unwrap_or_default() + 1;
                let place = format!("rule {at} ({}{})", self.file_prefix(rule.place), rule.place);
                match rule.when.unwrap_or(spec.when) {
                    When::Never => (None, Why::LeftOut(format!("{place} says `never`"))),
                    When::OnSuccess | When::OnFailure | When::Always | When::Manual | When::Delayed => {
                        (Some(rule), Why::Taken(format!("{place} matches")))
                    }
                }
            }
        };
        Verdict { rule, looks, why }
    }

    fn by_refs(&mut self, spec: &'p JobSpec, known: &Known) -> Why {
        let sight = self.sight(known);
        let only = spec.only.as_ref().map(|only| only.all(&sight)).transpose();
        let except = spec.except.as_ref().map(|except| except.any(&sight)).transpose();
        let (only, except) = match (only, except) {
            (Ok(only), Ok(except)) => (only, except),
            (Err(undecided), _) | (_, Err(undecided)) => {
                self.undecided(undecided);
                return Why::LeftOut("`changes` cannot be decided".to_owned());
            }
        };
        match (only, except) {
            (Some(Finding::Missed(why)), _) => Why::LeftOut(format!("`only`: {why}")),
            (_, Some(Finding::Matched(why))) => Why::LeftOut(format!("`except`: {why}")),
            (Some(Finding::Matched(why)), _) => Why::Taken(format!("`only`: {why}")),
            (None, _) => Why::Taken("`except` does not hold".to_owned()),
        }
    }

    /// What the rules of an instance know.
    fn known_of(&mut self, spec: &'p JobSpec, instance: &Instance) -> Option<Known> {
        let own = predefined::of_planned(&instance.name, &spec.stage, instance.node);
        let layers = self.layers(spec, instance, &[]);
        self.known_of_layers(layers, &own, Some(spec))
    }

    /// A job's variables from the weakest to the strongest.
    pub(super) fn layers<'a>(&self, spec: &'a JobSpec, instance: &'a Instance, ruled: &'a [Variable]) -> Layers<'a>
    where
        'p: 'a,
    {
        let (pipeline, inputs, workflow): (&'a _, &'a super::PlanInputs, &'a [Variable]) = (self.pipeline, self.inputs, self.workflow);
        let takes = |variable: &&Variable| spec.inherit_variables.takes(&variable.name);
        let mut layers = Layers::default();
        layers.put(pipeline.variables.iter().filter(takes), Origin::File);
        layers.put(workflow.iter().filter(takes), Origin::Workflow);
        layers.put(&spec.variables, Origin::Job);
        layers.put_plain(instance.variables.iter().map(|(name, value)| (name, value)), Origin::Matrix);
        layers.put(ruled, Origin::Rule);
        layers.put_plain(&inputs.variables, Origin::Run);
        layers
    }
}
