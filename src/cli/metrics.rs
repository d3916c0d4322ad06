//! `hms metrics doctor`: which usual metrics a source has, and what they lack.

use std::io::Write;

use serde_json::json;

use super::arguments::{MetricsVerb, Output};
use super::environment::operator;
use super::failure::{Exit, Failure};
use crate::canary::provider::presets::{Found, look};
use crate::policy::{Metrics, MetricsSource, Policy};
use crate::rollout::wired::ground::provider;
use crate::text::plain;

/// Carries out a verb of the metrics.
pub(crate) fn metrics(verb: &MetricsVerb, output: Output) -> Result<u8, Failure> {
    match verb {
        MetricsVerb::Doctor { scrape, prometheus, version_label } => {
            let (key, addresses) = if prometheus.is_empty() { ("scrape", scrape) } else { ("prometheus", prometheus) };
            let found = find(key, addresses, version_label.as_deref())?;
            let place = addresses.join(", ");
            told(&place, &found, key, output)?;
            Ok(if found.iter().any(Found::usable) { 0 } else { Exit::NotCarriedOut.code() })
        }
    }
}

fn find(key: &str, addresses: &[String], version_label: Option<&str>) -> Result<Vec<Found>, Failure> {
    let mut addresses = addresses.iter().cloned();
    let first = addresses.next().unwrap_or_default();
    let source = if key == "scrape" { MetricsSource::Scrape(first) } else { MetricsSource::Prometheus(first) };
    let policy = Policy { metrics: Metrics { source, fallbacks: addresses.collect(), ..Metrics::default() }, ..Policy::default() };
    let provider = provider(&policy, &operator()?.floors.metrics).map_err(|why| Failure::new(Exit::Usage, why))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let series = runtime.block_on(provider.series()).map_err(|error| Failure::of(Exit::NotCarriedOut, &error))?;
    Ok(look(&series, version_label))
}

fn told(place: &str, found: &[Found], key: &str, output: Output) -> Result<(), Failure> {
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
        writeln!(out, "{}", json!({"format": 1, "source": place, "found": all}))?;
        return Ok(());
    }
    if found.is_empty() {
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
