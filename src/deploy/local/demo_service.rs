//! `hms demo-service FILE`: a small web service whose latency and errors its file says, for `hms demo` and for tests.
//!
//! `service.json`: `{"version":"1","latency_ms":20,"error_rate":0.01}`. Errors are not left to chance: of n requests exactly
//! ⌊n × `error_rate`⌋ were answered with `error_status` (500), whenever one counts; so are slow ones (`slow_rate`, `slow_ms`), and, while the
//! file `outage` names is there, half of all requests, as when what every release needs is down. Paths: `/slow?ms=N` begins its answer at once and ends it N ms
//! later; a POST is answered with its own body; `Upgrade: echo` changes to a connection that sends back what it gets; all else
//! gets the version as JSON.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::header::{CONNECTION, HeaderValue, UPGRADE};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::time::{Instant, Sleep};

use super::child_server::{Reply, reply, serve};
use super::supervisor::complain;

const JSON: &str = "application/json";
/// How often a slow answer sends a piece.
const PIECE: Duration = Duration::from_millis(50);

/// How the service behaves.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Service {
    /// What it says it is.
    version: String,
    /// How long each answer takes.
    #[serde(default)]
    latency_ms: u64,
    /// The share of requests that fail, 0 to 1.
    #[serde(default)]
    error_rate: f64,
    /// What they are answered with, 400 to 599.
    #[serde(default = "internal_error")]
    error_status: u16,
    /// The share of requests that are slow, 0 to 1.
    #[serde(default)]
    slow_rate: f64,
    /// How long these take.
    #[serde(default)]
    slow_ms: u64,
    /// While this file is there, half of the requests are answered with 503.
    #[serde(default)]
    outage: Option<PathBuf>,
}

/// The share of requests that fail in an outage.
const OUTAGE_RATE: f64 = 0.5;

fn internal_error() -> u16 {
    500
}

impl Service {
    /// The first of its numbers that means nothing.
    fn flaw(&self) -> Option<String> {
        let shares = [("error_rate", self.error_rate), ("slow_rate", self.slow_rate)];
        let share = shares.into_iter().find(|(_, share)| !(0.0..=1.0).contains(share));
        let status = (!(400..600).contains(&self.error_status)).then(|| format!("error_status is {}, no error", self.error_status));
        share.map(|(key, share)| format!("{key} is {share}, which is no share")).or(status)
    }
}

/// Serves what `file` says at `$HOST:$PORT` until the process is ended. Exit code 2 when the file is wrong, 3 when it cannot serve.
#[must_use]
pub fn demo_service_main(file: &Path, variable: &dyn Fn(&str) -> Option<String>) -> u8 {
    let read = std::fs::read(file).map_err(|error| error.to_string());
    let service = match read.and_then(|bytes| serde_json::from_slice::<Service>(&bytes).map_err(|error| error.to_string())) {
        Ok(service) => match service.flaw() {
            Some(flaw) => return refuse(file, &flaw),
            None => service,
        },
        Err(reason) => return refuse(file, &reason),
    };
    let service = Arc::new((service, Chosen::default()));
    serve(variable, move |request| {
        let service = Arc::clone(&service);
        async move { answer(&service.0, &service.1, request).await }
    })
}

fn refuse(file: &Path, reason: &str) -> u8 {
    complain(&format!("{}: {reason}", file.display()));
    2
}

/// Which requests fail, which are slow, and which meet an outage.
#[derive(Debug, Default)]
struct Chosen {
    failing: Share,
    slow: Share,
    outage: Share,
}

/// So many of so many.
#[derive(Debug, Default)]
struct Share {
    requests: AtomicU64,
}

impl Share {
    /// Counts a request, and says whether it is one of those.
    fn next_is(&self, rate: f64) -> bool {
        let before = self.requests.fetch_add(1, Ordering::Relaxed);
        let failed = |requests: u64| (f64::from(u32::try_from(requests).unwrap_or(u32::MAX)) * rate + 1e-9).floor();
        failed(before + 1) > failed(before)
    }
}

async fn answer(service: &Service, chosen: &Chosen, request: Request<Incoming>) -> Reply {
    if request.headers().get(UPGRADE).is_some_and(|protocol| protocol == "echo") {
        return echo(request);
    }
    let slow = chosen.slow.next_is(service.slow_rate);
    tokio::time::sleep(Duration::from_millis(if slow { service.slow_ms } else { service.latency_ms })).await;
    if service.outage.as_ref().is_some_and(|outage| outage.exists()) && chosen.outage.next_is(OUTAGE_RATE) {
        return reply(StatusCode::SERVICE_UNAVAILABLE, JSON, "{\"error\":\"what this service needs is down\"}\n");
    }
    if chosen.failing.next_is(service.error_rate) {
        let status = StatusCode::from_u16(service.error_status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        return reply(status, JSON, "{\"error\":\"this request was chosen to fail\"}\n");
    }
    if request.method() == Method::POST {
        return Response::new(request.into_body().map_err(io::Error::other).boxed());
    }
    if request.uri().path() == "/slow" {
        let milliseconds = request.uri().query().and_then(|query| query.strip_prefix("ms=")).and_then(|ms| ms.parse().ok());
        let end = Instant::now() + Duration::from_millis(milliseconds.unwrap_or(1000));
        return Response::new(Slow { end, next: Box::pin(tokio::time::sleep(Duration::ZERO)), done: false }.boxed());
    }
    let text = serde_json::json!({ "version": service.version, "path": request.uri().path() });
    reply(StatusCode::OK, JSON, format!("{text}\n"))
}

fn echo(mut request: Request<Incoming>) -> Reply {
    let upgrade = hyper::upgrade::on(&mut request);
    // Ends with the client.
    tokio::spawn(async move {
        let Ok(stream) = upgrade.await else { return };
        let (mut reader, mut writer) = tokio::io::split(TokioIo::new(stream));
        let _ = tokio::io::copy(&mut reader, &mut writer).await;
    });
    let mut response = Response::new(Empty::new().map_err(|never| match never {}).boxed());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static("echo"));
    response
}

/// A dot every 50 ms until its end, then `end`.
struct Slow {
    end: Instant,
    next: Pin<Box<Sleep>>,
    done: bool,
}

impl Body for Slow {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.done {
            return Poll::Ready(None);
        }
        ready!(self.next.as_mut().poll(context));
        let now = Instant::now();
        if now >= self.end {
            self.done = true;
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"end\n")))));
        }
        let next = (now + PIECE).min(self.end);
        self.next.as_mut().reset(next);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b".")))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_exactly_their_share() {
        for (rate, expected) in [(0.0, 0), (0.01, 10), (0.2, 200), (0.333, 333), (1.0, 1000)] {
            let errors = Share::default();
            assert_eq!((0..1000).filter(|_| errors.next_is(rate)).count(), expected, "{rate}");
        }
    }
}
