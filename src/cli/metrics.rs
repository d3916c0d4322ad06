//! `hms metrics doctor`: which usual metrics a source has, what they lack, and whether the user's own are there.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::arguments::{LookArguments, MetricsVerb, Output};
use super::environment::operator;
use super::failure::{Exit, Failure};
use super::look::Source;
use super::pipeline_file::read_settings;
use crate::canary::provider::presets::{Found, look};
use crate::canary::{Trials, own_totals};
use crate::event::{OwnMetric, Sample};
use crate::policy::{Metrics, MetricsSource, Policy};
use crate::rollout::wired::ground::{own_limits, provider};
use crate::store::{chain, now};
use crate::text::{plain, seconds_latency, share};

/// Carries out a verb of the metrics.
pub(crate) fn metrics(at: Option<&Path>, verb: &MetricsVerb, output: Output) -> Result<u8, Failure> {
    match verb {
        MetricsVerb::Doctor { scrape, prometheus, version_label } => {
            let policy = policy(at, scrape, prometheus, version_label.as_deref())?;
            let looked = Looked::at(&policy, version_label.as_deref())?;
            looked.told(&policy.metrics, output)?;
            Ok(if looked.good() { 0 } else { Exit::NotCarriedOut.code() })
        }
    }
}

/// What `.hms` says of metrics, with the addresses that were given in place of its own.
fn policy(at: Option<&Path>, scrape: &[String], prometheus: &[String], version_label: Option<&str>) -> Result<Policy, Failure> {
    let given = !scrape.is_empty() || !prometheus.is_empty();
    let mut policy = match Source::find(at, &LookArguments::default()) {
        Ok(source) => read_settings(&source.name, &source.bytes, &mut std::io::stderr())?.policy,
        Err(_) if given => Policy::default(),
        Err(failure) => return Err(failure),
    };
    let addresses = if prometheus.is_empty() { scrape } else { prometheus };
    if let Some((first, fallbacks)) = addresses.split_first() {
        let source = if prometheus.is_empty() { MetricsSource::Scrape } else { MetricsSource::Prometheus };
        policy.metrics = Metrics { source: source(first.clone()), fallbacks: fallbacks.to_vec(), ..policy.metrics };
    }
    if policy.metrics.source == MetricsSource::Target {
        let failure = Failure::new(Exit::NotCarriedOut, "`.hms.metrics` names no source: the target measures itself");
        return Err(failure.hint("hms metrics doctor --prometheus URL, or --scrape URL, looks at another one"));
    }
    if let MetricsSource::Pods(labels) = &policy.metrics.source {
        let message = format!("the pods `{labels}` are read through their cluster's API server while a canary is watched");
        return Err(Failure::new(Exit::NotCarriedOut, message).hint("hms doctor says whether the rights are there"));
    }
    if let Some(label) = version_label {
        label.clone_into(&mut policy.metrics.version_label);
    }
    Ok(policy)
}

/// What a source has.
struct Looked {
    found: Vec<Found>,
    own: Vec<Own>,
}

/// One of the user's own metrics, by version; a reason where it cannot be judged.
struct Own {
    metric: OwnMetric,
    versions: Result<BTreeMap<String, Result<Trials, String>>, String>,
}

impl Own {
    fn of(metric: OwnMetric, sample: &Result<Sample, String>) -> Self {
        let versions = sample.as_ref().map(|sample| own_totals(sample, &metric)).map_err(Clone::clone);
        Self { metric, versions }
    }

    /// What it lacks, a sentence each.
    fn lacks(&self) -> Vec<String> {
        match &self.versions {
            Err(why) => vec![why.clone()],
            Ok(versions) if versions.is_empty() => vec!["the source has no requests of any version".to_owned()],
            Ok(versions) => {
                versions.iter().filter_map(|(version, trials)| Some(format!("{version}: {}", trials.as_ref().err()?))).collect()
            }
        }
    }

    fn json(&self) -> Value {
        let trials = |(version, trials): (&String, &Result<Trials, String>)| {
            let trials = trials.as_ref().ok()?;
            Some(json!({"version": version, "all": trials.all, "bad": trials.bad}))
        };
        let versions: Vec<Value> = self.versions.iter().flatten().filter_map(trials).collect();
        json!({"name": self.metric.name, "slo": self.metric.slo, "slower_than_seconds": self.metric.threshold_seconds,
            "versions": versions, "lacks": self.lacks()})
    }

    fn text(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let mark = if self.lacks().is_empty() { "✔" } else { "✘" };
        let slower = self.metric.threshold_seconds.map(|seconds| format!(" slower than {}", seconds_latency(seconds)));
        let name = plain(&self.metric.name);
        writeln!(out, "{mark} {name}{}, at most {}", slower.unwrap_or_default(), share(self.metric.slo))?;
        for (version, trials) in self.versions.iter().flatten() {
            if let Ok(Trials { all, bad }) = trials {
                writeln!(out, "    {}: {bad} of {all}", plain(version))?;
            }
        }
        for lack in self.lacks() {
            writeln!(out, "    ! {}", plain(&lack))?;
        }
        Ok(())
    }
}

impl Looked {
    fn at(policy: &Policy, version_label: Option<&str>) -> Result<Self, Failure> {
        let provider = provider(policy, &operator()?.floors.metrics).map_err(|why| Failure::new(Exit::Usage, why))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let series = runtime.block_on(provider.series()).map_err(|error| Failure::of(Exit::NotCarriedOut, &error))?;
        let limits = own_limits(policy);
        let own = if limits.is_empty() {
            Vec::new()
        } else {
            let sample = runtime.block_on(provider.scrape(now())).map_err(|error| chain(&error));
            limits.into_iter().map(|metric| Own::of(metric, &sample)).collect()
        };
        Ok(Self { found: look(&series, version_label), own })
    }

    fn good(&self) -> bool {
        let usable = self.found.iter().any(Found::usable) || !self.own.is_empty();
        usable && self.own.iter().all(|own| own.lacks().is_empty())
    }

    fn told(&self, metrics: &Metrics, output: Output) -> Result<(), Failure> {
        let (key, first) = match &metrics.source {
            MetricsSource::Prometheus(first) => ("prometheus", first.as_str()),
            MetricsSource::Scrape(first) => ("scrape", first.as_str()),
            MetricsSource::Pods(labels) => ("pods", labels.as_str()),
            MetricsSource::Target => ("scrape", ""),
        };
        let place = std::iter::once(first).chain(metrics.fallbacks.iter().map(String::as_str)).collect::<Vec<_>>().join(", ");
        told(&place, &self.found, &self.own, key, output)?;
        if output == Output::Text {
            let mut out = std::io::stdout().lock();
            for own in &self.own {
                own.text(&mut out)?;
            }
        }
        Ok(())
    }
}

fn told(place: &str, found: &[Found], own: &[Own], key: &str, output: Output) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    if output == Output::Json {
        let all: Vec<_> = found
            .iter()
            .map(|found| {
                json!({"family": found.preset.name, "requests": found.preset.requests, "series": found.series, "status_label": found.status,
                    "latency": found.latency.then_some(found.preset.latency), "version_label": found.version.as_ref().map(|(label, _)| label),
                    "versions": found.version.as_ref().map(|(_, values)| values), "usable": found.usable(), "lacks": found.lacks()})
            })
            .collect();
        writeln!(out, "{}", json!({"format": 1, "source": place, "found": all, "own": own.iter().map(Own::json).collect::<Vec<_>>()}))?;
        return Ok(());
    }
    if found.is_empty() && own.is_empty() {
        writeln!(out, "✘ {}: none of the usual metrics is there; set `metrics.requests` and `metrics.latency` in .hms", plain(place))?;
    }
    for found in found {
        let mark = if found.usable() { "✔" } else { "✘" };
        writeln!(out, "{mark} {}: {} with {} series", found.preset.name, found.preset.requests, found.series)?;
        if let Some((label, values)) = &found.version {
            writeln!(out, "    versions by `{}`: {}", plain(label), plain(&values.join(", ")))?;
        }
        for lack in found.lacks() {
            writeln!(out, "    ! {}", plain(&lack))?;
        }
        if let (true, Some((label, _))) = (found.usable(), &found.version) {
            let (requests, latency) = (found.preset.requests, found.preset.latency);
            writeln!(
                out,
                "    metrics: {{ {key}: \"{}\", requests: {requests}, latency: {latency}, version_label: {} }}",
                plain(place),
                plain(label)
            )?;
        }
    }
    Ok(())
}
