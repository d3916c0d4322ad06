//! Prometheus's HTTP API, as Prometheus, Thanos, Mimir and `VictoriaMetrics` speak it.
//!
//! Asked is for the raw samples of the last minutes (`selector[2m]`), not for `rate()`: counters as they were scraped, each with the
//! time of its own scrape. A rate finds nothing in a counter that was born at 1, and an instant query stamps what is minutes old with
//! now. One query brings both arms, and durations too where they are selected by the same labels.
//!
//! Source: prometheus.io, "HTTP API", 3.x: instant queries, range queries, native histograms in the JSON format.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Url;
use serde::Deserialize;

use super::collect::{Collector, Native};
use super::exposition::{Labels, Point};
use super::http::{Access, Http, address, body};
use super::metrics::MetricsSettings;
use super::presets::PRESETS;
use super::scrape::ScrapeError;
use super::selector::Selector;
use crate::event::Sample;

/// How far back raw samples are asked for: two scrapes of a server that scrapes once a minute.
const WINDOW_SECONDS: u32 = 120;
/// Points of a series that a server gives at most in one range query.
const MOST_POINTS: i32 = 11_000;

/// Asks one or more servers, in order.
#[derive(Debug, Clone)]
pub struct PrometheusApi {
    servers: Vec<Server>,
    settings: MetricsSettings,
}

#[derive(Debug, Clone)]
struct Server {
    http: Http,
    /// With the path up to `/api/v1/`.
    base: Url,
}

impl PrometheusApi {
    /// Makes a client for servers that hold the same metrics; the first that answers is taken.
    ///
    /// # Errors
    /// When an address is no http or https URL or carries credentials, there is none, or the HTTP client cannot be made.
    pub fn new<'a>(
        addresses: impl IntoIterator<Item = &'a str>,
        settings: MetricsSettings,
        accesses: &[Access],
    ) -> Result<Self, ScrapeError> {
        let server = |text: &str| {
            let mut base = address(text)?;
            base.set_path(&format!("{}/api/v1/", base.path().trim_end_matches('/')));
            base.set_query(None);
            base.set_fragment(None);
            Ok::<_, ScrapeError>(Server { http: Http::new(&base, accesses)?, base })
        };
        let servers = addresses.into_iter().map(server).collect::<Result<Vec<_>, _>>()?;
        if servers.is_empty() { Err(ScrapeError::BadAddress(String::new())) } else { Ok(Self { servers, settings }) }
    }

    /// The newest counters. The sample's time is that of the newest series, as scraped; `now` where there is no series at all.
    ///
    /// # Errors
    /// When no server answers in time with what can be read whole.
    pub async fn scrape(&self, now: DateTime<Utc>) -> Result<Sample, ScrapeError> {
        let mut failed = Vec::new();
        for server in &self.servers {
            match self.newest(server, now).await {
                Ok(sample) => return Ok(sample),
                Err(error) if self.servers.len() == 1 => return Err(error),
                Err(error) => failed.push(told(&error)),
            }
        }
        Err(ScrapeError::NoServer(failed))
    }

    /// The series of the usual families, at the first server that answers.
    pub(super) async fn series(&self) -> Result<Vec<(String, Labels)>, ScrapeError> {
        let names: BTreeSet<String> = PRESETS
            .iter()
            .flat_map(|preset| [preset.requests.to_owned(), preset.latency.to_owned(), format!("{}_bucket", preset.latency)])
            .collect();
        let names = names.into_iter().collect::<Vec<_>>().join("|");
        let asked = [("query", format!("{{__name__=~\"{names}\"}}"))];
        let mut failed = Vec::new();
        for server in &self.servers {
            match server.ask("query", &asked, "vector").await {
                Ok(series) => {
                    let apart = |mut series: Series| (series.metric.remove("__name__").unwrap_or_default(), series.metric);
                    return Ok(series.into_iter().map(apart).collect());
                }
                Err(error) if self.servers.len() == 1 => return Err(error),
                Err(error) => failed.push(told(&error)),
            }
        }
        Err(ScrapeError::NoServer(failed))
    }

    async fn newest(&self, server: &Server, now: DateTime<Utc>) -> Result<Sample, ScrapeError> {
        let mut all = Vec::new();
        for query in queries(&self.settings) {
            let asked = [("query", format!("{query}[{WINDOW_SECONDS}s]"))];
            all.extend(server.ask("query", &asked, "matrix").await?);
        }
        self.sample(server, all, now, None).await
    }

    /// The counters of a time that has passed, one sample a step, oldest first: what nobody was there to scrape.
    ///
    /// # Errors
    /// As [`PrometheusApi::scrape`]; and when the time has more steps than a server gives.
    pub async fn history(&self, from: DateTime<Utc>, to: DateTime<Utc>, step: TimeDelta) -> Result<Vec<Sample>, ScrapeError> {
        let mut moments: Vec<DateTime<Utc>> = Vec::new();
        let mut at = from;
        while at <= to && step > TimeDelta::zero() && moments.len() < usize::try_from(MOST_POINTS).unwrap_or(0) {
            moments.push(at);
            at += step;
        }
        let mut failed = Vec::new();
        for server in &self.servers {
            match self.past(server, &moments, step).await {
                Ok(samples) => return Ok(samples),
                Err(error) if self.servers.len() == 1 => return Err(error),
                Err(error) => failed.push(told(&error)),
            }
        }
        Err(ScrapeError::NoServer(failed))
    }

    async fn past(&self, server: &Server, moments: &[DateTime<Utc>], step: TimeDelta) -> Result<Vec<Sample>, ScrapeError> {
        let (Some(first), Some(last)) = (moments.first(), moments.last()) else { return Ok(Vec::new()) };
        let seconds = |milliseconds: i64| format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000);
        let mut all = Vec::new();
        for query in queries(&self.settings) {
            let asked = [
                ("query", query),
                ("start", seconds(first.timestamp_millis())),
                ("end", seconds(last.timestamp_millis())),
                ("step", seconds(step.num_milliseconds())),
            ];
            all.extend(server.ask("query_range", &asked, "matrix").await?);
        }
        let mut samples = Vec::with_capacity(moments.len());
        for moment in moments {
            let then = all.iter().filter_map(|series| series.at(*moment)).collect();
            samples.push(self.sample(server, then, *moment, Some(*moment)).await?);
        }
        Ok(samples)
    }

    /// Reads series into a sample; reading must not hold up a key or a timer.
    async fn sample(
        &self,
        server: &Server,
        series: Vec<Series>,
        now: DateTime<Utc>,
        at: Option<DateTime<Utc>>,
    ) -> Result<Sample, ScrapeError> {
        let settings = self.settings.clone();
        let read = tokio::task::spawn_blocking(move || {
            let mut collector = Collector::new(&settings);
            for (line, series) in (1..).zip(series) {
                series.hand_to(line, &mut collector)?;
            }
            collector.finish(now)
        });
        let url = || server.base.clone();
        let collected = read.await.map_err(|_| ScrapeError::Stopped(url()))?;
        let sample = collected.map_err(|source| ScrapeError::Unusable { url: url(), source: Box::new(source) })?;
        let source = (self.servers.len() > 1).then(|| server.base.to_string());
        Ok(Sample { at: at.unwrap_or(sample.at), source, ..sample })
    }
}

/// An error with its causes, in one line.
fn told(error: &ScrapeError) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    std::iter::once(error.to_string()).chain(causes.map(ToString::to_string)).collect::<Vec<_>>().join(": ")
}

/// One query where all metrics are selected by the same labels, else one a metric: never one a version.
fn queries(settings: &MetricsSettings) -> Vec<String> {
    let mut wanted: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut want = |selector: &Selector, endings: &[&str]| {
        let names = wanted.entry(selector.conditions()).or_default();
        names.extend(endings.iter().map(|ending| format!("{}{ending}", selector.base_name())));
    };
    want(&settings.requests, &[""]);
    if let Some(latency) = &settings.latency {
        want(latency, &["", "_bucket"]);
    }
    for own in &settings.own {
        for counter in own.counters() {
            want(counter, &[""]);
        }
        if let Some(histogram) = own.histogram() {
            want(histogram, &["", "_bucket"]);
        }
    }
    let query = |(conditions, mut names): (String, Vec<String>)| {
        names.sort();
        names.dedup();
        let comma = if conditions.is_empty() { "" } else { "," };
        format!("{{__name__=~\"{}\"{comma}{conditions}}}", names.join("|"))
    };
    wanted.into_iter().map(query).collect()
}

impl Server {
    async fn ask(&self, endpoint: &str, asked: &[(&str, String)], kind: &str) -> Result<Vec<Series>, ScrapeError> {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{endpoint}", self.base.path()));
        // Half of the stores' data is no data: Thanos would answer with what it has, and a warning.
        url.query_pairs_mut()
            .extend_pairs(asked.iter().map(|(key, value)| (*key, value.as_str())))
            .append_pair("partial_response", "false");
        let response = self.http.get(&url, "application/json").await?;
        let bytes = body(&url, response).await?;
        let place = self.base.clone();
        let no_api = |why: String| ScrapeError::NoApi { url: place.clone(), why };
        let answer: Answer = serde_json::from_slice(&bytes).map_err(|error| no_api(format!("its JSON cannot be read: {error}")))?;
        if answer.status != "success" {
            return Err(no_api(answer.error.unwrap_or(answer.status)));
        }
        if !answer.warnings.is_empty() {
            return Err(ScrapeError::Warned { url: place, warnings: answer.warnings.join("; ") });
        }
        match answer.data {
            Some(data) if data.kind == kind => Ok(data.result),
            Some(data) => Err(no_api(format!("it answers with a {} instead of a {kind}", data.kind))),
            None => Err(no_api("it answers without data".into())),
        }
    }
}

#[derive(Deserialize)]
struct Answer {
    status: String,
    data: Option<Data>,
    error: Option<String>,
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Deserialize)]
struct Data {
    #[serde(rename = "resultType")]
    kind: String,
    result: Vec<Series>,
}

/// A series: its labels, and its values or histograms with their times in seconds.
#[derive(Deserialize, Clone)]
struct Series {
    metric: BTreeMap<String, String>,
    #[serde(default)]
    values: Vec<(f64, String)>,
    #[serde(default)]
    histograms: Vec<(f64, NativeJson)>,
}

/// A native histogram: buckets as which ends are inside, lower end, upper end, count.
#[derive(Deserialize, Clone)]
struct NativeJson {
    count: String,
    #[serde(default)]
    buckets: Vec<(u8, String, String, String)>,
}

impl Series {
    /// What it had at a moment of a range query.
    fn at(&self, moment: DateTime<Utc>) -> Option<Self> {
        let then = |time: f64| milliseconds(time) == Some(moment.timestamp_millis());
        let values: Vec<_> = self.values.iter().filter(|(time, _)| then(*time)).cloned().collect();
        let histograms: Vec<_> = self.histograms.iter().filter(|(time, _)| then(*time)).cloned().collect();
        (!values.is_empty() || !histograms.is_empty()).then(|| Self { metric: self.metric.clone(), values, histograms })
    }

    /// Gives its newest value on.
    fn hand_to(mut self, line: usize, collector: &mut Collector<'_>) -> Result<(), super::collect::CollectError> {
        let name = self.metric.remove("__name__").unwrap_or_default();
        if let Some((time, value)) = self.values.pop() {
            let value = value.parse().unwrap_or(f64::NAN);
            return collector.take(Point { line, name, labels: self.metric, value, timestamp_ms: milliseconds(time) });
        }
        let Some((time, histogram)) = self.histograms.pop() else { return Ok(()) };
        let number = |text: &str| text.parse::<f64>().unwrap_or(f64::NAN);
        let buckets = histogram.buckets.iter().map(|(_, low, high, count)| (number(low), number(high), number(count))).collect();
        let native = Native { count: number(&histogram.count), buckets };
        collector.take_native(line, &name, &self.metric, &native, milliseconds(time))
    }
}

/// Seconds with a fraction as whole milliseconds; none outside the calendar.
fn milliseconds(seconds: f64) -> Option<i64> {
    let duration = std::time::Duration::try_from_secs_f64(seconds).ok()?;
    i64::try_from((duration + std::time::Duration::from_micros(500)).as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selector(text: &str) -> Selector {
        text.parse().unwrap()
    }

    #[test]
    fn one_query_brings_all_that_is_selected_alike() {
        let same = MetricsSettings::new(selector("a_total{app=\"x\"}"), Some(selector("b_seconds{app=\"x\"}")), "version");
        assert_eq!(queries(&same), [r#"{__name__=~"a_total|b_seconds|b_seconds_bucket",app="x"}"#]);
        let apart = MetricsSettings::new(selector("a_total"), Some(selector("b_seconds_bucket{app=~\"x|y\"}")), "version");
        assert_eq!(queries(&apart), [r#"{__name__=~"a_total"}"#, r#"{__name__=~"b_seconds|b_seconds_bucket",app=~"x|y"}"#]);
    }
}
