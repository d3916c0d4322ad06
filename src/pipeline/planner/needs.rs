//! `needs` and `dependencies` as full names of jobs that are in the plan.

use std::collections::HashMap;

use super::{Chosen, NEED_LIMIT, Planner};
use crate::event::JobName;
use crate::pipeline::graph;
use crate::pipeline::matrix::{self, Instance, Matrix, Parallel};
use crate::pipeline::plan::{Need, Plan};
use crate::pipeline::spec::{JobSpec, NeedSpec};

/// GitLab's limit (`doc/ci/yaml/_index.md#needs`).
const LIMIT: usize = 50;

/// The jobs of the plan by their names, and by those in the file.
struct Index<'c> {
    by_name: HashMap<&'c str, Vec<&'c JobName>>,
    by_instance: HashMap<&'c str, &'c JobName>,
    /// The jobs of the file that are several of the plan.
    parallel: HashMap<&'c str, &'c JobSpec>,
}

impl<'c> Index<'c> {
    fn of(chosen: &'c [Chosen<'_>], specs: &'c [JobSpec]) -> Self {
        let parallel = specs.iter().filter(|spec| spec.parallel.is_some()).map(|spec| (spec.name.as_str(), spec)).collect();
        let mut index = Self { by_name: HashMap::new(), by_instance: HashMap::new(), parallel };
        for chosen in chosen {
            index.by_name.entry(chosen.spec.name.as_str()).or_default().push(&chosen.name);
            index.by_instance.insert(chosen.name.as_str(), &chosen.name);
        }
        index
    }

    fn names(&self, name: &str) -> Vec<&'c JobName> {
        match self.by_name.get(name) {
            Some(names) => names.clone(),
            None => self.by_instance.get(name).copied().into_iter().collect(),
        }
    }
}

impl Planner<'_> {
    /// The needs of each chosen job. Those of the rule that matched take the place of the job's, unless they are empty
    /// (`lib/gitlab/ci/build/rules.rb`: `needs_job.present?`).
    pub(super) fn needs(&mut self, chosen: &[Chosen<'_>]) -> Vec<Option<Vec<Need>>> {
        let specs = self.pipeline.jobs.as_slice();
        let index = Index::of(chosen, specs);
        let mut count: usize = 0;
        let mut all = Vec::with_capacity(chosen.len());
        for job in chosen {
            let by_rule = job.rule.and_then(|rule| rule.needs.as_ref()).filter(|needs| !needs.is_empty());
            let Some(specs) = by_rule.or(job.spec.needs.as_ref()) else {
                all.push(None);
                continue;
            };
            let mut needs: Vec<Need> = Vec::new();
            let mut seen: std::collections::HashSet<&JobName> = std::collections::HashSet::new();
            for spec in specs {
                let names = self.names(&index, job, spec);
                count += names.len();
                if count > NEED_LIMIT {
                    let message = format!("with `parallel` written out there are more than {NEED_LIMIT} needs");
                    self.problems.error(job.spec.needs_place, "plan-too-large", message);
                    return Vec::new();
                }
                for name in names {
                    if seen.insert(name) {
                        needs.push(Need { job: name.clone(), artifacts: spec.artifacts, optional: spec.optional });
                    }
                }
            }
            // GitLab's limit counts what `parallel` makes of the entries (`pipeline/seed/build.rb`, `needs_errors`).
            if needs.len() > LIMIT && self.told.insert(Some(job.spec.needs_place)) {
                let message = format!("`{}` needs {} jobs with `parallel` written out; at most {LIMIT} are allowed", job.name, needs.len());
                let told = self.problems.error(job.spec.needs_place, "too-many-needs", message);
                told.hint("without `needs` a job waits for all earlier stages");
            }
            all.push(Some(needs));
        }
        all
    }

    /// The jobs that one entry names.
    fn names<'c>(&mut self, index: &Index<'c>, job: &Chosen<'_>, spec: &NeedSpec) -> Vec<&'c JobName> {
        let Some((name, part)) = self.interpolated(job, spec) else { return Vec::new() };
        let wanted = match &part {
            None => vec![name.clone()],
            Some(part) => matrix::names(&name, part),
        };
        let mut found = Vec::new();
        for wanted in wanted {
            let names = index.names(&wanted);
            // Where the plain name stands for several, each of them must be there (`normalizer.rb`).
            let missing = match index.parallel.get(wanted.as_str()) {
                Some(base) if names.len() < instance_count(base) => {
                    base.instances().into_iter().map(|instance| instance.name).find(|name| !index.by_instance.contains_key(name.as_str()))
                }
                Some(_) => None,
                None => names.is_empty().then_some(wanted),
            };
            let regardless = [&job.spec.name, &job.instance.name].into_iter().any(|name| self.inputs.regardless.contains(name));
            if let Some(missing) = missing.filter(|_| !spec.optional && !regardless) {
                let message = format!("`{}` needs `{missing}`, which is not in this pipeline: its rules leave it out", job.name);
                self.problems
                    .error(spec.place, "unknown-need", message)
                    .hint("add `optional: true` to the need, or a rule like that of the job");
            }
            found.extend(names);
        }
        found
    }

    /// A need with `$[[ matrix.NAME ]]` of this instance put in.
    fn interpolated(&mut self, job: &Chosen<'_>, spec: &NeedSpec) -> Option<(String, Option<Matrix>)> {
        let put = |text: &str, instance: &Instance| matrix::interpolate(text, &instance.variables);
        let values = |values: &Vec<String>| values.iter().map(|value| put(value, &job.instance)).collect::<Result<Vec<_>, _>>();
        let lists = |lists: &Vec<(String, Vec<String>)>| {
            lists.iter().map(|(name, all)| Ok((name.clone(), values(all)?))).collect::<Result<Vec<_>, String>>()
        };
        let part = spec.matrix.as_ref().map(|part| part.iter().map(lists).collect::<Result<Matrix, String>>()).transpose();
        match (put(&spec.job, &job.instance), part) {
            (Ok(name), Ok(part)) => Some((name, part)),
            (Err(unknown), _) | (_, Err(unknown)) => {
                let message = format!("`{}`: `$[[ matrix.{unknown} ]]` is no variable of its matrix", job.spec.name);
                let names: Vec<&str> = job.instance.variables.iter().map(|(name, _)| name.as_str()).collect();
                if self.told.insert(Some(spec.place)) {
                    self.problems.error(spec.place, "unknown-need", message).suggest(&unknown, names, None);
                }
                None
            }
        }
    }

    /// The jobs of the plan whose artifacts each wants, where it says so.
    pub(super) fn dependencies(chosen: &[Chosen<'_>]) -> Vec<Option<Vec<JobName>>> {
        let index = Index::of(chosen, &[]);
        let named = |names: &Vec<(String, crate::document::Place)>| {
            names.iter().flat_map(|(name, _)| index.names(name)).cloned().collect::<Vec<_>>()
        };
        chosen.iter().map(|chosen| chosen.spec.dependencies.as_ref().map(named)).collect()
    }

    /// Needs that rules brought in may make a circle that the file alone does not have.
    pub(super) fn cycles(&mut self, chosen: &[Chosen<'_>], plan: &Plan) {
        if !chosen.iter().any(|chosen| chosen.rule.is_some_and(|rule| rule.needs.is_some())) {
            return;
        }
        for cycle in graph::order(&plan.edges()).1 {
            let members: Vec<&str> = cycle.iter().filter_map(|at| plan.jobs.get(*at)).map(|job| job.name.as_str()).collect();
            let Some(first) = members.first() else { continue };
            let place = chosen.iter().find(|chosen| chosen.name.as_str() == *first).map(|chosen| chosen.spec.needs_place);
            let path = members.iter().chain([first]).copied().collect::<Vec<_>>().join(" → ");
            self.problems.error(place, "cycle", format!("these jobs need each other: {path}")).hint("remove one of these needs");
        }
    }
}

/// How many instances a job of the file has in all.
fn instance_count(spec: &JobSpec) -> usize {
    match &spec.parallel {
        None => 1,
        Some(Parallel::Count(count)) => usize::try_from(*count).unwrap_or(usize::MAX),
        Some(Parallel::Matrix(lists)) => matrix::count(lists),
    }
}
