//! What only all jobs together show: unknown needs, cycles, gates, and deploys that pass a gate by.

use std::collections::HashMap;

use super::fields::{Context, shorten};
use super::globals::Globals;
use crate::event::{EnvironmentName, When};
use crate::pipeline::graph;
use crate::pipeline::spec::{Action, JobSpec, NeedSpec};

pub(super) fn check(context: &mut Context, globals: &Globals, jobs: &mut [JobSpec]) {
    let index: HashMap<&str, usize> = jobs.iter().enumerate().map(|(at, job)| (job.name.as_str(), at)).collect();
    let stage: HashMap<&str, usize> = globals.stages.iter().enumerate().map(|(at, stage)| (stage.as_str(), at)).collect();
    let places: Vec<usize> = jobs.iter().map(|job| stage.get(job.stage.as_str()).copied().unwrap_or_default()).collect();
    instance_collisions(context, jobs, &index);
    let edges: Vec<Vec<usize>> = (0..jobs.len()).map(|at| edges_of(context, jobs, &index, &places, at)).collect();
    cycles(context, jobs, &edges);
    environment_names(context, jobs);
    let gates = gates(context, jobs, &edges);
    passed_over(context, jobs, &edges, &places, &gates);
    for (job, gate) in jobs.iter_mut().zip(gates) {
        job.gate = gate == Gate::Deviation;
    }
}

/// A job that is named like an instance of another.
fn instance_collisions(context: &mut Context, jobs: &[JobSpec], index: &HashMap<&str, usize>) {
    for job in jobs {
        if let Some(base) = base_of(&job.name).and_then(|base| jobs.get(*index.get(base)?))
            && base.has_instance(&job.name)
        {
            let message = format!("`{}` is also the name of an instance of `{}`", job.name, base.name);
            context.problems.error(job.place, "job-name", message).hint("give one of the two another name");
        }
    }
}

/// `test` of `test 1/4`.
fn base_of(name: &str) -> Option<&str> {
    let (base, share) = name.rsplit_once(' ')?;
    share.split_once('/').map(|_| base)
}

fn edges_of(context: &mut Context, jobs: &[JobSpec], index: &HashMap<&str, usize>, places: &[usize], at: usize) -> Vec<usize> {
    let Some(job) = jobs.get(at) else { return Vec::new() };
    let mut edges = Vec::new();
    for need in job.needs.iter().flatten() {
        let Some(target) = find(jobs, index, &need.job) else {
            unknown_need(context, jobs, job, need);
            continue;
        };
        let Some(needed) = jobs.get(target) else { continue };
        if target == at {
            context.problems.error(need.place, "self-need", format!("`{}` needs itself", job.name)).hint("remove it from `needs`");
        } else if places.get(target) > places.get(at) {
            let message = format!("`{}` needs `{}`, which is in the later stage `{}`", job.name, need.job, needed.stage);
            context
                .problems
                .error(need.place, "later-need", message)
                .hint(format!("move `{}` to the stage `{}` or later", job.name, needed.stage));
        } else {
            if needed.when == When::Never && needed.rules.is_none() && !need.optional {
                let message = format!("`{}` needs `{}`, which is left out by `when: never`", job.name, need.job);
                context.problems.error(need.place, "unknown-need", message).hint("add `optional: true` to the need");
            }
            edges.push(target);
        }
    }
    edges
}

/// A job by its name, or by that of one of its instances.
fn find(jobs: &[JobSpec], index: &HashMap<&str, usize>, name: &str) -> Option<usize> {
    index.get(name).copied().or_else(|| {
        let at = *index.get(base_of(name)?)?;
        jobs.get(at)?.has_instance(name).then_some(at)
    })
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
            told.hint("the job gets the name in CI_ENVIRONMENT_NAME and is not taken for one that deploys");
        }
    }
}

/// What a manual job is to the jobs after it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gate {
    None,
    /// Manual, and later stages do not wait for it.
    Optional,
    /// It blocks because GitLab says so.
    Blocking,
    /// It blocks by deviation (c).
    Deviation,
}

/// Deviation (c): a manual job that deploys, or that a job that deploys needs, blocks unless it sets `allow_failure`.
fn gates(context: &mut Context, jobs: &[JobSpec], edges: &[Vec<usize>]) -> Vec<Gate> {
    let mut needed_by: Vec<Option<usize>> = vec![None; jobs.len()];
    for (at, _) in jobs.iter().enumerate().filter(|(_, job)| job.deploys()) {
        for target in edges.get(at).into_iter().flatten() {
            if let Some(slot) = needed_by.get_mut(*target).filter(|slot| slot.is_none()) {
                *slot = Some(at);
            }
        }
    }
    let mut gates = Vec::with_capacity(jobs.len());
    for (job, needed_by) in jobs.iter().zip(needed_by) {
        let deployer = needed_by.and_then(|at| jobs.get(at));
        let by_rule = job.rules.iter().flatten().any(|rule| rule.when == Some(When::Manual));
        gates.push(match (job.when, job.allow_failure) {
            (When::OnSuccess | When::OnFailure | When::Always | When::Never, allowed) if by_rule => {
                if allowed == Some(true) {
                    Gate::Optional
                } else {
                    Gate::Blocking
                }
            }
            (When::OnSuccess | When::OnFailure | When::Always | When::Never, _) => Gate::None,
            (When::Manual, Some(true)) => Gate::Optional,
            (When::Manual, Some(false)) => Gate::Blocking,
            (When::Manual, None) if context.strict || (!job.deploys() && deployer.is_none()) => Gate::Optional,
            (When::Manual, None) => {
                let why = match deployer {
                    Some(deployer) if !job.deploys() => format!("because `{}`, which deploys, needs it", deployer.name),
                    Some(_) | None => "because it deploys".to_owned(),
                };
                let message = format!("the manual job `{}` holds back what comes after it, {why}; in GitLab it is optional", job.name);
                let told = context.problems.note(job.when_place, "deviation-gate", message);
                told.hint("for GitLab add `allow_failure: false`; for an optional job `allow_failure: true`");
                Gate::Deviation
            }
        });
    }
    gates
}

/// How many jobs and needs are looked at for one warning each; far more than any honest file has.
const STEP_LIMIT: usize = 5_000_000;

/// A job that deploys and whose `needs` let it start before a manual job of an earlier stage was answered.
fn passed_over(context: &mut Context, jobs: &[JobSpec], edges: &[Vec<usize>], places: &[usize], gates: &[Gate]) {
    let manual: Vec<usize> = (0..jobs.len()).filter(|at| gates.get(*at).is_some_and(|gate| *gate != Gate::None)).collect();
    let Some(first) = manual.iter().filter_map(|at| places.get(*at)).min() else { return };
    let mut steps: usize = 0;
    for (at, job) in jobs.iter().enumerate() {
        let (Some(needs), Some(place)) = (&job.needs, places.get(at)) else { continue };
        if !job.deploys() || place <= first {
            continue;
        }
        if steps > STEP_LIMIT {
            let message = "there are too many jobs to see of all that deploy whether they pass over a manual job";
            context.problems.warning(job.needs_place, "gate-passed-over", message);
            return;
        }
        let waits = waits_for(jobs, edges, places, at);
        steps += waits.steps + manual.len();
        let passed: Vec<&str> = manual
            .iter()
            .filter(|gate| places.get(**gate) < Some(place) && !waits.for_job(**gate, places, gates))
            .filter_map(|gate| jobs.get(*gate).map(|job| job.name.as_str()))
            .collect();
        if passed.is_empty() {
            continue;
        }
        let shown = passed.iter().take(3).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let more = if passed.len() > 3 { format!(" and {} more", passed.len() - 3) } else { String::new() };
        let line: Vec<&str> = needs.iter().map(|need| need.job.as_str()).chain(passed.iter().take(3).copied()).collect();
        let message = format!("`{}` deploys, and its `needs` pass over the manual {shown}{more} of an earlier stage", job.name);
        let told = context.problems.warning(job.needs_place, "gate-passed-over", message);
        told.hint(format!("to wait for it write `needs: [{}]`", line.join(", ")));
    }
}

/// Everything a job waits for: what it needs, and for what is scheduled by stages, the stages before it.
struct Waits {
    needed: Vec<bool>,
    /// All of the stages before this one, their optional manual jobs apart.
    before_stage: usize,
    /// How many jobs and needs were looked at.
    steps: usize,
}

impl Waits {
    fn for_job(&self, at: usize, places: &[usize], gates: &[Gate]) -> bool {
        let by_stage = places.get(at).is_some_and(|place| *place < self.before_stage) && gates.get(at) != Some(&Gate::Optional);
        by_stage || self.needed.get(at).copied().unwrap_or_default()
    }
}

fn waits_for(jobs: &[JobSpec], edges: &[Vec<usize>], places: &[usize], at: usize) -> Waits {
    let mut waits = Waits { needed: vec![false; jobs.len()], before_stage: 0, steps: jobs.len() };
    let mut open = vec![at];
    while let Some(at) = open.pop() {
        if jobs.get(at).is_some_and(|job| job.needs.is_none()) {
            waits.before_stage = waits.before_stage.max(places.get(at).copied().unwrap_or_default());
        }
        for target in edges.get(at).into_iter().flatten() {
            waits.steps += 1;
            if let Some(seen) = waits.needed.get_mut(*target).filter(|seen| !**seen) {
                *seen = true;
                open.push(*target);
            }
        }
    }
    waits
}
