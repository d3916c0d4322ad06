//! Where samples come from; one file each. The only code of this room that does I/O.
//!
//! A provider brings cumulative counters as they are found, by version, and judges nothing. What it cannot read whole it refuses: half
//! a scrape would count requests without their errors. A new one is a variant of [`Provider`] and a file; `scrape` is the example.

mod collect;
mod exposition;
mod http;
mod many;
mod metrics;
mod own_page;
mod pods;
pub mod presets;
mod prometheus;
mod scrape;
mod selector;

use chrono::{DateTime, TimeDelta, Utc};

pub use collect::{CollectError, read_page};
pub use exposition::{Labels, LineError};
pub use http::{Access, BadAccess, Shown};
pub use many::ManyScrapes;
pub use metrics::{BadStatus, MetricsSettings, OwnSelectors, OwnSeries, StatusRange};
pub use own_page::requests_on;
pub use pods::{BadPage, PodPage, read_pods};
pub use prometheus::PrometheusApi;
pub use scrape::{MetricsScrape, ScrapeError};
pub use selector::{BadSelector, Selector};

use crate::event::Sample;

/// A source of samples.
#[derive(Debug, Clone)]
pub enum Provider {
    /// A `/metrics` address, read directly.
    Scrape(MetricsScrape),
    /// Several of them that serve together.
    Scrapes(ManyScrapes),
    /// A server that has scraped already.
    Prometheus(PrometheusApi),
}

impl Provider {
    /// Takes one sample. `now` is its time where the source does not say one. Bounded in time (4 s) and in size.
    ///
    /// # Errors
    /// When the source cannot be reached, does not answer in time, or says what cannot be read whole.
    pub async fn scrape(&self, now: DateTime<Utc>) -> Result<Sample, ScrapeError> {
        match self {
            Self::Scrape(scrape) => scrape.scrape(now).await,
            Self::Scrapes(scrapes) => scrapes.scrape(now).await,
            Self::Prometheus(api) => api.scrape(now).await,
        }
    }

    /// The series of the usual families that are there, each with its labels, for [`presets::look`].
    ///
    /// # Errors
    /// As [`Provider::scrape`].
    pub async fn series(&self) -> Result<Vec<(String, Labels)>, ScrapeError> {
        match self {
            Self::Scrape(scrape) => scrape.series().await,
            Self::Scrapes(scrapes) => scrapes.series().await,
            Self::Prometheus(api) => api.series().await,
        }
    }

    /// What was measured in a time when nobody asked, one sample a step, oldest first; empty where the source keeps no past.
    ///
    /// # Errors
    /// As [`Provider::scrape`].
    pub async fn history(&self, from: DateTime<Utc>, to: DateTime<Utc>, step: TimeDelta) -> Result<Vec<Sample>, ScrapeError> {
        match self {
            Self::Scrape(_) | Self::Scrapes(_) => Ok(Vec::new()),
            Self::Prometheus(api) => api.history(from, to, step).await,
        }
    }
}
