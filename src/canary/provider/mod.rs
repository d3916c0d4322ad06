//! Where samples come from; one file each. The only code of this room that does I/O.
//!
//! A provider brings cumulative counters as they are found, by version, and judges nothing. What it cannot read whole it refuses: half
//! a scrape would count requests without their errors. A new one is a variant of [`Provider`] and a file; `scrape` is the example.

mod collect;
mod exposition;
mod metrics;
mod scrape;
mod selector;

use chrono::{DateTime, Utc};

pub use collect::CollectError;
pub use exposition::LineError;
pub use metrics::MetricsSettings;
pub use scrape::{MetricsScrape, ScrapeError};
pub use selector::{BadSelector, Selector};

use crate::event::Sample;

/// A source of samples.
#[derive(Debug, Clone)]
pub enum Provider {
    /// A `/metrics` address, read directly.
    Scrape(MetricsScrape),
}

impl Provider {
    /// Takes one sample. `now` is its time where the source does not say one. Bounded in time (4 s) and in size.
    ///
    /// # Errors
    /// When the source cannot be reached, does not answer in time, or says what cannot be read whole.
    pub async fn scrape(&self, now: DateTime<Utc>) -> Result<Sample, ScrapeError> {
        match self {
            Self::Scrape(scrape) => scrape.scrape(now).await,
        }
    }
}
