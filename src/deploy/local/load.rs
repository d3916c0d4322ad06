//! `hms local load`: bounded synthetic traffic to the proxy, so that a canary is seen by somebody when there are no users yet.
//!
//! An open loop: each request has its time, whether the one before was answered or not, so that a slow service is not asked less.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::{Request, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::held;

/// The most requests a second.
const MOST_PER_SECOND: u32 = 5000;
/// The longest load.
const LONGEST: Duration = Duration::from_hours(1);
/// How many requests may be open at once; those whose time comes then are not sent, and counted as such.
const OPEN: usize = 1000;
/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many latencies are kept for the percentiles: the first million.
const KEPT: usize = 1_000_000;

/// A load that was not begun.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The rate is out of bounds.
    #[error("{0} requests a second are out of bounds: 1 to {MOST_PER_SECOND}")]
    Rate(u32),
    /// The duration is out of bounds.
    #[error("the load would take {0:?}; it may take more than nothing and an hour at most")]
    Duration(Duration),
    /// The address is not this machine's, or the path is no path.
    #[error("`{0}` is no address of this machine that load may go to")]
    Address(String),
}

/// How a load goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadProgress {
    /// How long it has been going.
    pub elapsed: Duration,
    /// How many requests were sent.
    pub sent: u64,
    /// How many were answered with 5xx, or not at all.
    pub failed: u64,
}

/// How a load went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoadReport {
    /// 1.
    pub format: u32,
    /// Where it went.
    pub url: String,
    /// How many requests a second were wanted.
    pub rps: u32,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// How many requests were sent.
    pub sent: u64,
    /// Answers by status code.
    pub statuses: BTreeMap<u16, u64>,
    /// Requests without a whole answer.
    pub unanswered: u64,
    /// Requests whose time came while 1,000 others were open: they were not sent.
    pub unsent: u64,
    /// Half of the answers were at least as fast, in milliseconds to the last byte; none without answers.
    pub p50_ms: Option<f64>,
    /// 95 of 100 answers were at least as fast.
    pub p95_ms: Option<f64>,
}

#[derive(Debug, Default)]
struct Tally {
    sent: u64,
    statuses: BTreeMap<u16, u64>,
    unanswered: u64,
    unsent: u64,
    took: Vec<Duration>,
}

/// Sends `rps` requests a second to `path` at `address` (`http://127.0.0.1:8080`) for `duration`, each marked as synthetic, and
/// waits for their answers. `progress` is told once a second. It ends when the future is dropped.
///
/// # Errors
/// When a bound is passed, or the address is not a loopback one.
pub async fn load(
    address: &str,
    rps: u32,
    duration: Duration,
    path: &str,
    progress: &(dyn Fn(LoadProgress) + Send + Sync),
) -> Result<LoadReport, LoadError> {
    if rps == 0 || rps > MOST_PER_SECOND {
        return Err(LoadError::Rate(rps));
    }
    if duration.is_zero() || duration > LONGEST {
        return Err(LoadError::Duration(duration));
    }
    let url = url(address, path)?;
    let client: Client<HttpConnector, Empty<Bytes>> =
        Client::builder(TokioExecutor::new()).pool_idle_timeout(Duration::from_secs(2)).build_http();
    let tally = Arc::new(Mutex::new(Tally::default()));
    let open = Arc::new(Semaphore::new(OPEN));
    let mut requests = JoinSet::new();
    let started = Instant::now();
    let mut told = started;
    let mut number = 0u32;
    loop {
        let due = started + Duration::from_secs(1) * number / rps;
        if due >= started + duration {
            break;
        }
        tokio::time::sleep_until(due).await;
        number += 1;
        match Arc::clone(&open).try_acquire_owned() {
            Ok(permit) => {
                held(&tally).sent += 1;
                let (client, url, tally) = (client.clone(), url.clone(), Arc::clone(&tally));
                requests.spawn(async move {
                    one(&client, url, &tally).await;
                    drop(permit);
                });
            }
            Err(_) => held(&tally).unsent += 1,
        }
        while requests.try_join_next().is_some() {}
        if told.elapsed() >= Duration::from_secs(1) {
            told = Instant::now();
            progress(so_far(&tally, started));
        }
    }
    while requests.join_next().await.is_some() {}
    progress(so_far(&tally, started));
    let mut tally = std::mem::take(&mut *held(&tally));
    tally.took.sort_unstable();
    Ok(LoadReport {
        format: 1,
        url: url.to_string(),
        rps,
        duration_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        sent: tally.sent,
        statuses: tally.statuses,
        unanswered: tally.unanswered,
        unsent: tally.unsent,
        p50_ms: percentile(&tally.took, 50),
        p95_ms: percentile(&tally.took, 95),
    })
}

fn url(address: &str, path: &str) -> Result<Uri, LoadError> {
    let bad = || LoadError::Address(format!("{address}{path}"));
    let base: Uri = address.parse().map_err(|_| bad())?;
    let host = base.host().unwrap_or_default().trim_matches(['[', ']']);
    let here = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if base.scheme_str() != Some("http") || !here || !path.starts_with('/') {
        return Err(bad());
    }
    format!("{}{path}", address.trim_end_matches('/')).parse().map_err(|_| bad())
}

async fn one(client: &Client<HttpConnector, Empty<Bytes>>, url: Uri, tally: &Mutex<Tally>) {
    let started = Instant::now();
    let exchange = async {
        let request = Request::get(url).header("hms-synthetic", "1").header("user-agent", "hms-load").body(Empty::new()).ok()?;
        let mut response = client.request(request).await.ok()?;
        while let Some(frame) = response.body_mut().frame().await {
            frame.ok()?;
        }
        Some(response.status().as_u16())
    };
    let answered = tokio::time::timeout(PATIENCE, exchange).await.ok().flatten();
    let mut tally = held(tally);
    match answered {
        Some(status) => {
            *tally.statuses.entry(status).or_default() += 1;
            if tally.took.len() < KEPT {
                tally.took.push(started.elapsed());
            }
        }
        None => tally.unanswered += 1,
    }
}

fn so_far(tally: &Mutex<Tally>, started: Instant) -> LoadProgress {
    let tally = held(tally);
    let bad: u64 = tally.statuses.range(500..).map(|(_, number)| number).sum();
    LoadProgress { elapsed: started.elapsed(), sent: tally.sent, failed: bad + tally.unanswered }
}

/// The smallest value that so many of a hundred do not pass (nearest rank).
fn percentile(sorted: &[Duration], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.checked_sub(1)?).map(|took| took.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_nearest_rank() {
        let took: Vec<Duration> = (1..=20).map(Duration::from_millis).collect();
        assert_eq!(percentile(&took, 50), Some(10.0));
        assert_eq!(percentile(&took, 95), Some(19.0));
        assert_eq!(percentile(&[], 95), None);
    }

    #[test]
    fn load_goes_to_this_machine_only() {
        assert!(url("http://127.0.0.1:8080", "/x?y=1").is_ok());
        assert!(url("http://[::1]:8080", "/").is_ok());
        for bad in ["http://example.com", "https://127.0.0.1", "http://127.0.0.1.example.com", "ftp://localhost"] {
            assert!(url(bad, "/").is_err(), "{bad}");
        }
        assert!(url("http://localhost", "@example.com/").is_err());
    }
}
