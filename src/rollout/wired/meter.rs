//! The meter over a metrics provider.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Mutex;

use crate::canary::provider::{MetricsScrape, MetricsSettings, OwnSelectors, PodPage, Provider, read_pods};
use crate::deploy::{MetricsPage, Target};
use crate::event::{AppName, EnvironmentName, Sample};
use crate::rollout::ports::{Meter, Past, Scrape};
use crate::store::{chain, now};

/// Metrics by a provider.
#[derive(Debug)]
pub struct MetricsMeter {
    provider: Provider,
}

impl MetricsMeter {
    /// Reads from that provider.
    #[must_use]
    pub fn new(provider: Provider) -> Self {
        Self { provider }
    }
}

impl Meter for MetricsMeter {
    fn scrape(&self) -> Scrape<'_> {
        Box::pin(async { self.provider.scrape(now()).await.map_err(|error| chain(&error)) })
    }

    fn history(&self, from: DateTime<Utc>, to: DateTime<Utc>, step: Duration) -> Past<'_> {
        let step = TimeDelta::from_std(step).unwrap_or(TimeDelta::MAX);
        Box::pin(async move { self.provider.history(from, to, step).await.map_err(|error| error.to_string()) })
    }
}

/// The measurements of the target itself. Where they are is asked at each scrape: a target that is started again may have them
/// elsewhere, and one that was never used has none yet.
pub struct TargetMeter<T> {
    target: Arc<T>,
    app: AppName,
    environment: EnvironmentName,
    own: Vec<OwnSelectors>,
    known: Mutex<Option<(String, Arc<Provider>)>>,
}

impl<T: Target> TargetMeter<T> {
    /// Reads what the target says of that environment, and of these metrics.
    #[must_use]
    pub fn new(target: Arc<T>, app: AppName, environment: EnvironmentName, own: Vec<OwnSelectors>) -> Self {
        Self { target, app, environment, own, known: Mutex::new(None) }
    }

    async fn provider(&self) -> Result<Arc<Provider>, String> {
        let observation = self.target.observe(&self.environment).await.map_err(|error| error.to_string())?;
        let address = observation.metrics.ok_or_else(|| "the target does not measure itself; set `metrics` in .hms".to_owned())?;
        let mut known = self.known.lock().await;
        if let Some((_, provider)) = known.as_ref().filter(|(there, _)| *there == address) {
            return Ok(Arc::clone(provider));
        }
        let settings = MetricsSettings { own: self.own.clone(), ..MetricsSettings::local_proxy(&self.app, &self.environment) };
        let provider = Arc::new(Provider::Scrape(MetricsScrape::new(&address, settings).map_err(|error| error.to_string())?));
        *known = Some((address, Arc::clone(&provider)));
        Ok(provider)
    }
}

impl<T: Target> Meter for TargetMeter<T> {
    fn scrape(&self) -> Scrape<'_> {
        Box::pin(async { self.provider().await?.scrape(now()).await.map_err(|error| chain(&error)) })
    }
}

/// The pages of a cluster's pods, through its API server.
pub struct PodsMeter<T> {
    target: Arc<T>,
    labels: String,
    settings: MetricsSettings,
}

impl<T: Target> PodsMeter<T> {
    /// Reads from the pods with those labels.
    #[must_use]
    pub fn new(target: Arc<T>, labels: String, settings: MetricsSettings) -> Self {
        Self { target, labels, settings }
    }

    async fn read(&self) -> Result<Sample, String> {
        let pages = self.target.pages(&self.labels).await.map_err(|error| error.to_string())?;
        if pages.is_empty() {
            return Err(format!("no running pod has the labels `{}`: see `metrics.pods`", self.labels));
        }
        let page = |page: MetricsPage| PodPage { instance: page.instance, version: page.version, text: page.text };
        let pages: Vec<PodPage> = pages.into_iter().map(page).collect();
        // Pages can be megabytes; reading them must not hold up a key or a timer.
        let settings = self.settings.clone();
        let read = tokio::task::spawn_blocking(move || read_pods(&pages, &settings, now()));
        read.await.map_err(|error| error.to_string())?.map_err(|error| chain(&error))
    }
}

impl<T: Target> Meter for PodsMeter<T> {
    fn scrape(&self) -> Scrape<'_> {
        Box::pin(self.read())
    }
}

/// No metrics: every scrape fails with the reason, so that the judge holds and says why.
#[derive(Debug)]
pub struct NoMeter(
    /// Why there are none.
    pub String,
);

impl Meter for NoMeter {
    fn scrape(&self) -> Scrape<'_> {
        Box::pin(async { Err(self.0.clone()) })
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    /// What answers there is no metrics endpoint, and the reason says what it is instead.
    #[tokio::test]
    async fn a_scrape_that_fails_says_why() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/metrics", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\nConnection: close\r\n\r\n<html>no</html>").unwrap();
        });
        let settings = MetricsSettings::local_proxy(&"shop".parse().unwrap(), &"prod".parse().unwrap());
        let meter = MetricsMeter::new(Provider::Scrape(MetricsScrape::new(&address, settings).unwrap()));
        let why = meter.scrape().await.unwrap_err();
        server.join().unwrap();
        assert!(why.contains("sends metrics that cannot be used: "), "the cause is left out: {why}");
    }
}
