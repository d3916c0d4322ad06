//! Several `/metrics` addresses that serve one app together, as its instances do.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::exposition::Labels;
use super::http::Access;
use super::metrics::MetricsSettings;
use super::scrape::{MetricsScrape, ScrapeError};
use crate::event::{OwnCounters, Sample, VersionCounters};

/// Scrapes several addresses at once. All of them count or none does: a canary's instance that is missing is half an arm.
#[derive(Debug, Clone)]
pub struct ManyScrapes {
    scrapes: Vec<MetricsScrape>,
}

impl ManyScrapes {
    /// Makes a scraper of each address.
    ///
    /// # Errors
    /// When one is no http or https URL or carries credentials, there is none, or an HTTP client cannot be made.
    pub fn new<'a>(
        addresses: impl IntoIterator<Item = &'a str>,
        settings: &MetricsSettings,
        accesses: &[Access],
    ) -> Result<Self, ScrapeError> {
        let scrapes = addresses
            .into_iter()
            .map(|address| MetricsScrape::with_access(address, settings.clone(), accesses))
            .collect::<Result<Vec<_>, _>>()?;
        if scrapes.is_empty() { Err(ScrapeError::BadAddress(String::new())) } else { Ok(Self { scrapes }) }
    }

    /// All series of all addresses.
    pub(super) async fn series(&self) -> Result<Vec<(String, Labels)>, ScrapeError> {
        let mut all = Vec::new();
        for scrape in &self.scrapes {
            all.extend(scrape.series().await?);
        }
        Ok(all)
    }

    /// Takes one sample of all.
    ///
    /// # Errors
    /// When one of them brings none.
    pub async fn scrape(&self, now: DateTime<Utc>) -> Result<Sample, ScrapeError> {
        let mut going = tokio::task::JoinSet::new();
        for scrape in self.scrapes.clone() {
            going.spawn(async move { (scrape.url().to_string(), scrape.scrape(now).await) });
        }
        let mut all = BTreeMap::new();
        while let Some(done) = going.join_next().await {
            // A task that was stopped or panicked brought nothing; whoever dropped it is ending.
            let Ok((address, sample)) = done else { return Err(ScrapeError::NoServer(vec!["the scrape was stopped".into()])) };
            all.insert(address, sample?);
        }
        Ok(together(all, now))
    }
}

/// The sum: each series carries the address it came from, so that one instance's restart is seen as its own.
pub(super) fn together(all: BTreeMap<String, Sample>, now: DateTime<Utc>) -> Sample {
    let at = all.values().map(|sample| sample.at).max().unwrap_or(now);
    let mut versions: BTreeMap<String, VersionCounters> = BTreeMap::new();
    for (address, sample) in all {
        let named = |key: &mut String| *key = format!("{key},@={address:?}");
        for (version, mut counters) in sample.versions {
            let sum = versions.entry(version).or_default();
            counters.requests.iter_mut().for_each(|series| named(&mut series.key));
            counters.latency.iter_mut().for_each(|series| named(&mut series.key));
            sum.requests.append(&mut counters.requests);
            sum.latency.append(&mut counters.latency);
            if let Some(synthetic) = counters.synthetic {
                *sum.synthetic.get_or_insert(0.0) += synthetic;
            }
            for (name, mut own) in counters.own {
                match &mut own {
                    OwnCounters::Ratio { all, bad } => all.iter_mut().chain(bad).for_each(|series| named(&mut series.key)),
                    OwnCounters::Latency(series) => series.iter_mut().for_each(|series| named(&mut series.key)),
                }
                match (sum.own.get_mut(&name), own) {
                    (Some(OwnCounters::Ratio { all, bad }), OwnCounters::Ratio { all: mut more, bad: mut worse }) => {
                        all.append(&mut more);
                        bad.append(&mut worse);
                    }
                    (Some(OwnCounters::Latency(series)), OwnCounters::Latency(mut more)) => series.append(&mut more),
                    (_, own) => {
                        sum.own.insert(name, own);
                    }
                }
            }
        }
    }
    Sample { at, versions, source: None }
}
