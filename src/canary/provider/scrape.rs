//! A `/metrics` address, read directly: no Prometheus between. The smallest provider, and the example for others.

use chrono::{DateTime, Utc};
use reqwest::{Response, StatusCode, Url};

use super::collect::{CollectError, collect};
use super::exposition::{Dialect, Labels, points};
use super::http::{Access, BODY_LIMIT_BYTES, Http, Shown, TIME_LIMIT, address, body};
use super::metrics::MetricsSettings;
use crate::event::Sample;

/// Both text formats are read; the plain one is asked for first.
const ACCEPT: &str = "text/plain;version=0.0.4;q=1,application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1";

/// Scrapes one address.
#[derive(Debug, Clone)]
pub struct MetricsScrape {
    http: Http,
    url: Url,
    settings: MetricsSettings,
}

/// A scrape that brought no sample.
#[derive(Debug, thiserror::Error)]
pub enum ScrapeError {
    /// The address is no http or https URL, or has a password in it.
    #[error("`{0}` is no address to scrape: write http://host:port/path, without credentials")]
    BadAddress(String),
    /// The client could not be made.
    #[error("no HTTP client could be made")]
    Client(#[source] reqwest::Error),
    /// No answer in time.
    #[error("{0} did not answer within {limit} s", limit = TIME_LIMIT.as_secs())]
    TimedOut(Url),
    /// No connection, or one that broke.
    #[error("{url} cannot be read")]
    Unreachable {
        /// The address.
        url: Url,
        /// What happened.
        #[source]
        source: reqwest::Error,
    },
    /// An answer that is no metrics.
    #[error("{url} answered {status}{}", why.as_ref().map(|why| format!(": {why}")).unwrap_or_default())]
    Status {
        /// The address.
        url: Url,
        /// The answer.
        status: StatusCode,
        /// What it says of it, if it is an API that does.
        why: Option<String>,
    },
    /// The server lets nobody in.
    #[error("{url} answered {status}: {shown}")]
    NotLetIn {
        /// The address.
        url: Url,
        /// The answer.
        status: StatusCode,
        /// What it was shown.
        shown: Shown,
    },
    /// An answer that is no answer of the query API.
    #[error("{url} does not answer as Prometheus's query API does: {why}")]
    NoApi {
        /// The address.
        url: Url,
        /// What is wrong with it.
        why: String,
    },
    /// An answer with warnings: some of it may be missing, and errors with it.
    #[error("{url} warns, so its answer may lack something: {warnings}")]
    Warned {
        /// The address.
        url: Url,
        /// Its words.
        warnings: String,
    },
    /// None of several servers.
    #[error("none of the {} servers brought a sample: {}", .0.len(), .0.join("; "))]
    NoServer(Vec<String>),
    /// More than a page of metrics.
    #[error("{0} sends more than {limit} MiB", limit = BODY_LIMIT_BYTES >> 20)]
    TooLarge(Url),
    /// Bytes that are no text.
    #[error("{0} sends what is not UTF-8")]
    NotText(Url),
    /// The process is ending, or reading panicked.
    #[error("the reading of {0} was stopped")]
    Stopped(Url),
    /// Metrics that cannot be used.
    #[error("{url} sends metrics that cannot be used")]
    Unusable {
        /// The address.
        url: Url,
        /// Why.
        #[source]
        source: Box<CollectError>,
    },
}

impl MetricsScrape {
    /// Makes a scraper of an address. It trusts the system's certificate authorities for https, and takes no proxy from the
    /// environment: what is scraped is what policy names.
    ///
    /// # Errors
    /// When the address is no http or https URL or carries credentials, or the HTTP client cannot be made.
    pub fn new(text: &str, settings: MetricsSettings) -> Result<Self, ScrapeError> {
        Self::with_access(text, settings, &[])
    }

    /// The same, with what the operator lets each origin see.
    ///
    /// # Errors
    /// As [`MetricsScrape::new`].
    pub fn with_access(text: &str, settings: MetricsSettings, accesses: &[Access]) -> Result<Self, ScrapeError> {
        let url = address(text)?;
        Ok(Self { http: Http::new(&url, accesses)?, url, settings })
    }

    /// The address.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// All series, with their labels.
    pub(super) async fn series(&self) -> Result<Vec<(String, Labels)>, ScrapeError> {
        let response = self.http.get(&self.url, ACCEPT).await?;
        let dialect = dialect(&response);
        let text = String::from_utf8(body(&self.url, response).await?).map_err(|_| ScrapeError::NotText(self.url.clone()))?;
        let read = points(&text, dialect).map(|point| point.map(|point| (point.name, point.labels))).collect::<Result<_, _>>();
        read.map_err(|error| ScrapeError::Unusable { url: self.url.clone(), source: Box::new(CollectError::Malformed(error)) })
    }

    /// Takes one sample; `now` is its time where the series have no timestamps of their own.
    ///
    /// # Errors
    /// When the address cannot be reached, does not answer in time with 200, sends too much, or sends metrics that cannot be used.
    pub async fn scrape(&self, now: DateTime<Utc>) -> Result<Sample, ScrapeError> {
        let response = self.http.get(&self.url, ACCEPT).await?;
        let dialect = dialect(&response);
        let text = String::from_utf8(body(&self.url, response).await?).map_err(|_| ScrapeError::NotText(self.url.clone()))?;
        // A page can be megabytes; reading it must not hold up a key or a timer.
        let settings = self.settings.clone();
        let read = tokio::task::spawn_blocking(move || collect(&text, dialect, &settings, now));
        let collected = read.await.map_err(|_| ScrapeError::Stopped(self.url.clone()))?;
        collected.map_err(|source| ScrapeError::Unusable { url: self.url.clone(), source: Box::new(source) })
    }
}

fn dialect(response: &Response) -> Dialect {
    let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.starts_with("application/openmetrics-text") { Dialect::OpenMetrics } else { Dialect::Prometheus }
}
