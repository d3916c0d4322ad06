//! One job of the plan.

use super::{Chosen, Planner, Valued, predefined};
use crate::event::{EnvironmentName, JobName, When};
use crate::pipeline::expand;
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
        let known =
            |name: &str| variables.get(name).or_else(|| own.get(name)).or_else(|| self.inputs.predefined.get(name)).map(String::as_str);
        let full = |text: &str| expand::text(text, &known).unwrap_or_else(|| text.to_owned());
        let (allow_failure, allow_failure_exit_codes) = allow_failure(spec, rule);
        let environment = spec.environment.as_ref().map(|environment| self::environment(environment, &full));
        let environments = environments(spec, environment.as_ref());
        let resource_group = spec.resource_group.as_deref().map(full);
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

fn environment(spec: &EnvironmentSpec, full: &impl Fn(&str) -> String) -> JobEnvironment {
    JobEnvironment {
        name: full(&spec.name),
        url: spec.url.as_deref().map(full),
        tier: spec.tier.clone(),
        action: spec.action.as_str().to_owned(),
        on_stop: spec.on_stop.as_ref().map(|(job, _)| job.clone()),
        auto_stop_in_seconds: spec.auto_stop_in_seconds,
    }
}
