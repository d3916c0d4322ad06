//! Manual jobs: which of them block (deviation (c)), and deploys whose `needs` pass one by.

use super::fields::Context;
use crate::event::When;
use crate::pipeline::spec::{AllowFailure, JobSpec};

/// What a manual job is to the jobs after it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    None,
    /// Manual, and later stages do not wait for it.
    Optional,
    /// It blocks because GitLab says so.
    Blocking,
    /// It blocks by deviation (c).
    Deviation,
}

/// Deviation (c): a manual job that deploys, or that a job that deploys needs, blocks unless it sets `allow_failure`.
pub(super) fn gates(context: &mut Context, jobs: &[JobSpec], edges: &[Vec<usize>]) -> Vec<Gate> {
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
        let allowed = job.allow_failure.as_ref().map(AllowFailure::at_once);
        gates.push(match (job.when, allowed) {
            (When::OnSuccess | When::OnFailure | When::Always | When::Never | When::Delayed, allowed) if by_rule => {
                if allowed == Some(true) { Gate::Optional } else { Gate::Blocking }
            }
            (When::OnSuccess | When::OnFailure | When::Always | When::Never | When::Delayed, _) => Gate::None,
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
pub(super) fn passed_over(context: &mut Context, jobs: &[JobSpec], edges: &[Vec<usize>], places: &[usize], gates: &[Gate]) {
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
