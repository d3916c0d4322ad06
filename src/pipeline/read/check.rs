//! What only all jobs together show: unknown needs, cycles, gates, and deploys that pass a gate by.

use std::collections::HashMap;

use super::fields::{Context, shorten};
use super::gates::{Gate, gates, passed_over};
use super::globals::Globals;
use crate::document::Place;
use crate::event::{EnvironmentName, When};
use crate::pipeline::graph;
use crate::pipeline::matrix;
use crate::pipeline::spec::{Action, JobSpec, NeedSpec};

pub(super) fn check(context: &mut Context, globals: &Globals, jobs: &mut [JobSpec]) {
    let index: HashMap<&str, usize> = jobs.iter().enumerate().map(|(at, job)| (job.name.as_str(), at)).collect();
    let stage: HashMap<&str, usize> = globals.stages.iter().enumerate().map(|(at, stage)| (stage.as_str(), at)).collect();
    let places: Vec<usize> = jobs.iter().map(|job| stage.get(job.stage.as_str()).copied().unwrap_or_default()).collect();
    instance_collisions(context, jobs, &index);
    let edges = Edges::of(context, jobs, &index, &places);
    cycles(context, jobs, &edges.own);
    dependencies(context, jobs, &index, &places);
    environment_names(context, jobs);
    stops(context, jobs, &index);
    retries(context, jobs);
    let gates = gates(context, jobs, &edges.all);
    passed_over(context, jobs, &edges.own, &places, &gates);
    for (job, gate) in jobs.iter_mut().zip(gates) {
        job.gate = gate == Gate::Deviation;
    }
}

/// What a job that deploys did before it failed may be half done: only a person may say that it can be done again.
fn retries(context: &mut Context, jobs: &[JobSpec]) {
    for job in jobs.iter().filter(|job| job.deploys() && job.retry.as_ref().is_some_and(|retry| retry.max > 0)) {
        let message = format!("`retry` of `{}` is not honoured: it deploys, and nothing is deployed twice without a person", job.name);
        context.problems.warning(job.place, "not-honoured", message).hint("when it has failed, look, then `hms retry RUN JOB`");
    }
}

/// A job that is named like an instance of another.
fn instance_collisions(context: &mut Context, jobs: &[JobSpec], index: &HashMap<&str, usize>) {
    for job in jobs {
        if let Some(base) = bases_of(&job.name).find_map(|base| jobs.get(*index.get(base)?).filter(|base| base.has_instance(&job.name))) {
            let message = format!("`{}` is also the name of an instance of `{}`", job.name, base.name);
            context.problems.error(job.place, "job-name", message).hint("give one of the two another name");
        }
    }
}

/// The names that something may be an instance of: `test` of `test 1/4`, `job` of `job: [a, b]`.
fn bases_of(name: &str) -> impl Iterator<Item = &str> {
    let count = name.rsplit_once(' ').filter(|(_, share)| share.contains('/')).map(|(base, _)| base);
    let matrix = name.ends_with(']').then(|| name.match_indices(": [").map(|(at, _)| name.get(..at).unwrap_or_default()));
    count.into_iter().chain(matrix.into_iter().flatten())
}

/// The jobs that a job needs, and those that its rules may make it need. Circles among the first are errors of the file; among
/// the second they are known when the rules are.
struct Edges {
    own: Vec<Vec<usize>>,
    all: Vec<Vec<usize>>,
}

impl Edges {
    fn of(context: &mut Context, jobs: &[JobSpec], index: &HashMap<&str, usize>, places: &[usize]) -> Self {
        let mut edges = Self { own: Vec::with_capacity(jobs.len()), all: Vec::with_capacity(jobs.len()) };
        for (at, job) in jobs.iter().enumerate() {
            let own: Vec<usize> = job.needs.iter().flatten().filter_map(|need| target_of(context, jobs, index, places, at, need)).collect();
            let of_rules = job.rules.iter().flatten().flat_map(|rule| rule.needs.iter().flatten());
            let ruled: Vec<usize> = of_rules.filter_map(|need| target_of(context, jobs, index, places, at, need)).collect();
            edges.all.push(own.iter().copied().chain(ruled).collect());
            edges.own.push(own);
        }
        edges
    }
}

/// The job that an entry of `needs` names, if it may be needed.
fn target_of(
    context: &mut Context,
    jobs: &[JobSpec],
    index: &HashMap<&str, usize>,
    places: &[usize],
    at: usize,
    need: &NeedSpec,
) -> Option<usize> {
    let job = jobs.get(at)?;
    // A name that is made of a matrix is known when its instances are.
    if need.job.contains("$[[") {
        return None;
    }
    let Some(target) = find(jobs, index, &need.job) else {
        unknown_need(context, jobs, job, need);
        return None;
    };
    let needed = jobs.get(target)?;
    if target == at {
        context.problems.error(need.place, "self-need", format!("`{}` needs itself", job.name)).hint("remove it from `needs`");
        return None;
    }
    if places.get(target) > places.get(at) {
        let message = format!("`{}` needs `{}`, which is in the later stage `{}`", job.name, need.job, needed.stage);
        context
            .problems
            .error(need.place, "later-need", message)
            .hint(format!("move `{}` to the stage `{}` or later", job.name, needed.stage));
        return None;
    }
    if let Some(wanted) = need.matrix.as_ref().filter(|_| !need.optional) {
        part_of_matrix(context, needed, need, wanted);
    }
    Some(target)
}

/// A job by its name, or by that of one of its instances.
fn find(jobs: &[JobSpec], index: &HashMap<&str, usize>, name: &str) -> Option<usize> {
    index.get(name).copied().or_else(|| {
        bases_of(name).find_map(|base| {
            let at = *index.get(base)?;
            jobs.get(at)?.has_instance(name).then_some(at)
        })
    })
}

/// `dependencies` name jobs of this stage or earlier ones, and with `needs` only jobs among these (`yaml_processor.rb`, `entry/job.rb`).
fn dependencies(context: &mut Context, jobs: &[JobSpec], index: &HashMap<&str, usize>, places: &[usize]) {
    for (at, job) in jobs.iter().enumerate() {
        for (name, place) in job.dependencies.iter().flatten() {
            let Some(target) = find(jobs, index, name) else {
                let message = format!("`{}` depends on `{}`, and there is no such job", job.name, shorten(name));
                let names = jobs.iter().map(|other| other.name.as_str()).filter(|other| *other != job.name);
                context.problems.error(*place, "unknown-dependency", message).suggest(name, names, None);
                continue;
            };
            let Some(other) = jobs.get(target) else { continue };
            if target == at {
                context.problems.error(*place, "unknown-dependency", format!("`{}` depends on itself", job.name));
            } else if places.get(target) > places.get(at) {
                let message = format!("`{}` depends on `{name}`, which is in the later stage `{}`", job.name, other.stage);
                context.problems.error(*place, "later-dependency", message).hint("a job gets artifacts of its own stage or earlier ones");
            } else if let Some(needs) = job.needs.as_ref().filter(|needs| !needs.is_empty())
                && !needs.iter().any(|need| need.job == *name || find(jobs, index, &need.job) == Some(target))
            {
                let message = format!("`{}` depends on `{name}`, which is not among its `needs`", job.name);
                context.problems.error(*place, "dependency-not-needed", message).hint(format!("add `{name}` to `needs`"));
            }
        }
    }
}

/// `environment: on_stop` names a job that stops the same environment (`yaml_processor.rb`).
fn stops(context: &mut Context, jobs: &[JobSpec], index: &HashMap<&str, usize>) {
    for job in jobs {
        let Some(environment) = &job.environment else { continue };
        let Some((name, place)) = &environment.on_stop else { continue };
        let why = match index.get(name.as_str()).and_then(|at| jobs.get(*at)) {
            None => Some("and there is no such job".to_owned()),
            Some(stop) => match &stop.environment {
                None => Some("which has no `environment`".to_owned()),
                Some(other) if other.name != environment.name => Some(format!("whose environment is `{}`", shorten(&other.name))),
                Some(other) if other.action != Action::Stop => Some("whose environment does not say `action: stop`".to_owned()),
                Some(_) => None,
            },
        };
        if why.is_none() {
            by_hand(context, jobs, index, (name, *place));
        }
        if let Some(why) = why {
            let message = format!("`{}`: `on_stop` names `{}`, {why}", job.name, shorten(name));
            let names = jobs.iter().map(|other| other.name.as_str()).filter(|other| *other != job.name);
            context.problems.error(*place, "on-stop", message).suggest(name, names, None);
        }
    }
}

/// Only a manual job is started to stop an environment (`doc/ci/environments/_index.md`, "Run a pipeline job when environment is stopped").
fn by_hand(context: &mut Context, jobs: &[JobSpec], index: &HashMap<&str, usize>, (name, place): (&str, Place)) {
    let Some(stop) = index.get(name).and_then(|at| jobs.get(*at)) else { return };
    let by_rule = stop.rules.iter().flatten().any(|rule| rule.when == Some(When::Manual));
    if stop.when != When::Manual && !by_rule {
        let message = format!(
            "`on_stop` names `{}`, which is not `when: manual`: it runs by itself, and nothing stops the environment later",
            shorten(name)
        );
        context.problems.warning(place, "on-stop", message).hint(format!("add `when: manual` to `{}`", shorten(name)));
    }
}

/// What a need names of a matrix must be in it. What is made of the own matrix is looked at when it is planned.
fn part_of_matrix(context: &mut Context, needed: &JobSpec, need: &NeedSpec, wanted: &matrix::Matrix) {
    let made = wanted.iter().flatten().any(|(_, values)| values.iter().any(|value| value.contains("$[[")));
    if made {
        return;
    }
    let all: std::collections::HashSet<String> = needed.instances().into_iter().map(|instance| instance.name).collect();
    if let Some(missing) = matrix::names(&needed.name, wanted).into_iter().find(|name| !all.contains(name)) {
        let message = format!("`{}` has no instance `{}`", needed.name, shorten(&missing));
        let told = context.problems.error(need.place, "unknown-need", message);
        told.suggest(&missing, all.iter().map(String::as_str), None);
    }
}

fn unknown_need(context: &mut Context, jobs: &[JobSpec], job: &JobSpec, need: &NeedSpec) {
    let message = format!("`{}` needs `{}`, and there is no such job", job.name, shorten(&need.job));
    let names = jobs.iter().map(|other| other.name.as_str()).filter(|name| *name != job.name);
    if need.optional {
        context.problems.warning(need.place, "unknown-need", message).suggest(&need.job, names, None);
    } else {
        context.problems.error(need.place, "unknown-need", message).suggest(&need.job, names, None);
    }
}

fn cycles(context: &mut Context, jobs: &[JobSpec], edges: &[Vec<usize>]) {
    for cycle in graph::order(edges).1 {
        let mut members = cycle.iter().filter_map(|at| jobs.get(*at));
        let Some(first) = members.next() else { continue };
        let shown: Vec<&str> =
            std::iter::once(first.name.as_str()).chain(members.map(|job| job.name.as_str())).chain([first.name.as_str()]).collect();
        let path = shown.join(" → ");
        let needs = first.needs.iter().flatten();
        let place = needs.clone().find(|need| shown.get(1) == Some(&need.job.as_str())).map_or(first.needs_place, |need| need.place);
        context.problems.error(place, "cycle", format!("these jobs need each other: {path}")).hint("remove one of these needs");
    }
}

fn environment_names(context: &mut Context, jobs: &[JobSpec]) {
    for job in jobs {
        let Some(environment) = &job.environment else { continue };
        if environment.action == Action::Start
            && !environment.name.contains('$')
            && let Err(error) = environment.name.parse::<EnvironmentName>()
        {
            let message = format!("`{}`: hms has no environment `{}`: the name {}", job.name, shorten(&environment.name), error.why);
            let told = context.problems.warning(environment.place, "environment-name", message);
            told.hint("it is kept as an environment of jobs (`hms environments`); hms itself delivers nothing there");
        }
    }
}
