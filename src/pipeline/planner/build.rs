//! One job of the plan.

use std::collections::HashMap;

use super::{Chosen, Planner, Valued, predefined};
use crate::document::Place;
use crate::event::{EnvironmentName, JobName, When};
use crate::pipeline::duration;
use crate::pipeline::expand;
use crate::pipeline::kept::AutoStop;
use crate::pipeline::plan::{Job, JobEnvironment, Need};
use crate::pipeline::rule::Rule;
use crate::pipeline::spec::{Action, AllowFailure, EnvironmentSpec, JobSpec, Line};

impl Planner<'_> {
    /// Counts what one more job copies.
    pub(super) fn afford(&mut self, chosen: &Chosen<'_>) -> bool {
        let spec = chosen.spec;
        let variables = self.variable_bytes(spec);
        let script = spec.before_script.iter().chain(&spec.script).chain(spec.after_script.iter()).map(|line| line.text.len());
        let artifacts = &spec.artifacts;
        let reports = artifacts.reports.values().flatten().chain(&artifacts.reports_junit);
        let globs = artifacts.paths.iter().chain(&artifacts.exclude).chain(reports).map(String::len);
        let cached = spec.cache.iter().flat_map(|cache| &cache.paths).map(String::len);
        let services = spec.services.iter().map(|service| service.name.len() + 64 * service.variables.len());
        let image = spec.image.as_ref().map(String::len);
        let bytes = variables + script.chain(globs).chain(cached).chain(services).chain(image).sum::<usize>();
        self.spend(bytes, spec.place)
    }

    pub(super) fn job(
        &mut self,
        chosen: &Chosen<'_>,
        stage_index: usize,
        needs: Option<Vec<Need>>,
        dependencies: Option<Vec<JobName>>,
    ) -> Option<Job> {
        let (spec, rule) = (chosen.spec, chosen.rule);
        let own = predefined::of_planned(chosen.name.as_str(), &spec.stage, chosen.instance.node);
        let ruled = rule.map(|rule| rule.variables.as_slice()).unwrap_or_default();
        let expanded = self.expand(self.layers(spec, &chosen.instance, ruled), &own, Some(spec))?;
        if let Some(traced) = self.trace.jobs.get_mut(chosen.traced) {
            traced.variables = Valued::all(&expanded);
        }
        let (variables, written_variables, raw_variables) = (expanded.values, expanded.written, expanded.raw);
        let inputs = self.inputs;
        let known = |name: &str| variables.get(name).or_else(|| own.get(name)).or_else(|| inputs.predefined.get(name)).map(String::as_str);
        let (allow_failure, allow_failure_exit_codes) = allow_failure(spec, rule);
        let environment = spec.environment.as_ref().map(|environment| self.environment(spec, environment, &known));
        let placed = environment.as_ref().map(predefined::of_environment).unwrap_or_default();
        let with_place = |name: &str| known(name).or_else(|| placed.get(name).map(String::as_str));
        let full = |text: &str| expand::existing(text, &with_place).unwrap_or_else(|| text.to_owned());
        // What is unknown becomes nothing (`build/context/build.rb`, `seed/processable/resource_group.rb`).
        let blank = |text: &str| expand::blank(text, &with_place).unwrap_or_else(|| text.to_owned());
        let environments = environments(spec, environment.as_ref());
        let resource_group = spec.resource_group.as_deref().map(blank).filter(|group| !group.trim().is_empty());
        let tags = spec.tags.iter().map(|tag| full(tag)).collect();
        let text = |line: &Line| line.text.clone();
        Some(Job {
            name: chosen.name.clone(),
            base_name: spec.name.clone(),
            stage: spec.stage.clone(),
            stage_index,
            needs,
            dependencies,
            when: chosen.when,
            start_in_seconds: (chosen.when == When::Delayed)
                .then(|| rule.and_then(|rule| rule.start_in_seconds).or(spec.start_in_seconds))
                .flatten(),
            allow_failure,
            allow_failure_exit_codes,
            blocking: chosen.when == When::Manual && !allow_failure,
            manual_confirmation: spec.manual_confirmation.clone().filter(|_| chosen.when == When::Manual),
            environments,
            environment,
            script: spec.before_script.iter().chain(&spec.script).map(text).collect(),
            after_script: spec.after_script.iter().map(text).collect(),
            image: spec.image.clone(),
            image_options: spec.image_options.clone(),
            services: spec.services.to_vec(),
            cache: spec.cache.to_vec(),
            tags,
            variables,
            written_variables,
            raw_variables,
            node: chosen.instance.node,
            matrix: chosen.instance.variables.iter().cloned().collect(),
            artifacts: (*spec.artifacts).clone(),
            timeout_seconds: spec.timeout_seconds,
            retry: spec.retry.clone().unwrap_or_default(),
            interruptible: rule.and_then(|rule| rule.interruptible).or(spec.interruptible).unwrap_or_default(),
            coverage: spec.coverage.clone(),
            resource_group,
        })
    }

    /// What `environment` says in this run. In its name and its `auto_stop_in` what is unknown becomes nothing (`lib/expand_variables.rb`); in its
    /// address it stays for the runner, which knows what earlier jobs reported, and for the end of the job, which may report more.
    fn environment<'v>(&mut self, job: &JobSpec, spec: &EnvironmentSpec, known: &impl Fn(&str) -> Option<&'v str>) -> JobEnvironment {
        let whole = |text: &str| expand::blank(text, known).unwrap_or_else(|| text.to_owned());
        let auto_stop = spec.auto_stop_in.as_ref().and_then(|(text, place)| self.auto_stop(job, &whole(text), *place));
        let mut environment = JobEnvironment {
            name: whole(&spec.name),
            url: None,
            tier: spec.tier.clone(),
            action: spec.action.as_str().to_owned(),
            on_stop: spec.on_stop.as_ref().map(|(job, _)| job.clone()),
            auto_stop,
        };
        let own = predefined::of_environment(&environment);
        let known = |name: &str| known(name).or_else(|| own.get(name).map(String::as_str));
        environment.url = spec.url.as_ref().map(|url| expand::existing(url, &known).unwrap_or_else(|| url.clone()));
        environment
    }

    /// A duration, or nothing and `never`, which take a time away (`lib/gitlab/ci/build/duration_parser.rb`).
    fn auto_stop(&mut self, job: &JobSpec, text: &str, place: Place) -> Option<AutoStop> {
        if text.trim().is_empty() || text == "never" {
            return Some(AutoStop::Never);
        }
        let seconds = duration::parse(text);
        if seconds.is_none() && self.told.insert(Some(place)) {
            let message = format!("`{}`: `auto_stop_in` is `{text}` in this run, which is no duration", job.name);
            self.problems.error(place, "duration", message).hint("for instance `1 day` or `never`");
        }
        seconds.map(AutoStop::After)
    }
}

/// A job of an environment whose tier another job of the pipeline says has that one, as GitLab's record of the environment does.
pub(super) fn share_tiers(jobs: &mut [Job]) {
    let placed = jobs.iter().filter_map(|job| job.environment.as_ref());
    let said: HashMap<String, String> = placed.filter_map(|placed| Some((placed.name.clone(), placed.tier.clone()?))).collect();
    for placed in jobs.iter_mut().filter_map(|job| job.environment.as_mut()).filter(|placed| placed.tier.is_none()) {
        placed.tier = said.get(&placed.name).cloned();
    }
}

/// What is said wins, the rule's over the job's. Else a job that says `manual` is optional whatever its rule says
/// (`entry/job.rb`, `ignored?`), unless it is a gate by deviation (c); exit codes go with a rule that says something.
fn allow_failure(spec: &JobSpec, rule: Option<&Rule>) -> (bool, Vec<i32>) {
    match (rule.and_then(|rule| rule.allow_failure), &spec.allow_failure) {
        (Some(said), _) => (said, Vec::new()),
        (None, Some(AllowFailure::Always(said))) => (*said, Vec::new()),
        (None, Some(AllowFailure::ExitCodes(codes))) => (false, codes.clone()),
        (None, None) => (spec.when == When::Manual && !spec.gate, Vec::new()),
    }
}

/// The environments that a job deploys to.
fn environments(spec: &JobSpec, environment: Option<&JobEnvironment>) -> Vec<EnvironmentName> {
    let mut environments = Vec::new();
    if let Some(deployed) = environment.filter(|environment| environment.action == Action::Start.as_str()) {
        environments.extend(deployed.name.parse::<EnvironmentName>().ok());
    }
    for named in &spec.script_environments {
        if !environments.contains(named) {
            environments.push(named.clone());
        }
    }
    environments
}
