//! A `/metrics` address, read directly: no Prometheus between. The smallest provider, and the example for others.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, Response, StatusCode, Url};

use super::collect::{CollectError, collect};
use super::exposition::Dialect;
use super::metrics::MetricsSettings;
use crate::event::Sample;

/// From connecting to the last byte; below the default scrape interval, so that scrapes never pile up.
const TIME_LIMIT: Duration = Duration::from_secs(4);
/// A page of metrics is some hundred KiB; more than this is something else.
const BODY_LIMIT_BYTES: usize = 16 << 20;
/// Redirects followed, within the same origin.
const REDIRECT_LIMIT: usize = 3;

/// Scrapes one address.
#[derive(Debug, Clone)]
pub struct MetricsScrape {
    client: Client,
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
    #[error("{url} answered {status}")]
    Status {
        /// The address.
        url: Url,
        /// The answer.
        status: StatusCode,
    },
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
    pub fn new(address: &str, settings: MetricsSettings) -> Result<Self, ScrapeError> {
        let bad = || ScrapeError::BadAddress(without_credentials(address));
        let url = Url::parse(address).map_err(|_| bad())?;
        let has_credentials = !url.username().is_empty() || url.password().is_some();
        if !["http", "https"].contains(&url.scheme()) || has_credentials || url.host_str().is_none() {
            return Err(bad());
        }
        // A second installation is refused, and the first one is as good.
        let _already = rustls::crypto::ring::default_provider().install_default();
        let builder = Client::builder()
            .user_agent(concat!("hms/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(TIME_LIMIT)
            .timeout(TIME_LIMIT)
            .redirect(Policy::custom(same_origin))
            .referer(false)
            // A connection kept open would hold up the drain of what is scraped.
            .pool_max_idle_per_host(0)
            .no_proxy();
        // Plain http must work on a machine without any certificate authority, where loading them is an error.
        let builder = if url.scheme() == "http" { builder.tls_certs_only([]) } else { builder };
        Ok(Self { client: builder.build().map_err(ScrapeError::Client)?, url, settings })
    }

    /// The address.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Takes one sample; `now` is its time where the series have no timestamps of their own.
    ///
    /// # Errors
    /// When the address cannot be reached, does not answer in time with 200, sends too much, or sends metrics that cannot be used.
    pub async fn scrape(&self, now: DateTime<Utc>) -> Result<Sample, ScrapeError> {
        let request = self.client.get(self.url.clone()).header("accept", "text/plain;version=0.0.4;q=1,*/*;q=0.1");
        let response = request.send().await.map_err(|error| self.broken(error))?;
        if response.status() != StatusCode::OK {
            return Err(ScrapeError::Status { url: self.url.clone(), status: response.status() });
        }
        let dialect = dialect(&response);
        let text = String::from_utf8(self.body(response).await?).map_err(|_| ScrapeError::NotText(self.url.clone()))?;
        // A page can be megabytes; reading it must not hold up a key or a timer.
        let settings = self.settings.clone();
        let read = tokio::task::spawn_blocking(move || collect(&text, dialect, &settings, now));
        let collected = read.await.map_err(|_| ScrapeError::Stopped(self.url.clone()))?;
        collected.map_err(|source| ScrapeError::Unusable { url: self.url.clone(), source: Box::new(source) })
    }

    /// Reads the body up to the limit, whatever length it says it has.
    async fn body(&self, mut response: Response) -> Result<Vec<u8>, ScrapeError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.broken(error))? {
            if body.len() + chunk.len() > BODY_LIMIT_BYTES {
                return Err(ScrapeError::TooLarge(self.url.clone()));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn broken(&self, error: reqwest::Error) -> ScrapeError {
        let url = self.url.clone();
        // The address is in our own message already.
        if error.is_timeout() { ScrapeError::TimedOut(url) } else { ScrapeError::Unreachable { url, source: error.without_url() } }
    }
}

/// Another host is another source: a redirect there is refused, or whoever answers at the address chooses what is judged.
fn same_origin(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let first = attempt.previous().first().map(Url::origin);
    if first != Some(attempt.url().origin()) {
        return attempt.error("it redirects to another host, which is refused");
    }
    if attempt.previous().len() > REDIRECT_LIMIT {
        return attempt.error("it redirects in circles");
    }
    attempt.follow()
}

fn dialect(response: &Response) -> Dialect {
    let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.starts_with("application/openmetrics-text") { Dialect::OpenMetrics } else { Dialect::Prometheus }
}

/// An address for an error message: what stands before an `@` may be a password.
fn without_credentials(address: &str) -> String {
    match address.rsplit_once('@') {
        Some((_, host)) => format!("…@{host}"),
        None => address.to_owned(),
    }
}
