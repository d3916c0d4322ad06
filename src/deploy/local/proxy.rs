//! The proxy: a request in, an instance chosen, its answer streamed out and counted.
//!
//! What may be sent twice: a request of which nothing was sent, and one without a body whose method is idempotent (RFC 9110
//! 9.2.2) and that got no answer. Everything else gets a connection of its own and one try. A request that the canary could not
//! take counts for it as 502 and goes to stable.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Either, Empty, Full, combinators::BoxBody};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode, Uri, Version};
use hyper_util::rt::TokioIo;

use super::instance::Ticket;
use super::metrics::Series;
use super::pool::{Connection, connect};
use super::split::Side;
use super::supervisor::Supervisor;
use crate::event::EnvironmentName;

/// The body of a response on its way to a client.
pub(super) type Answer = BoxBody<Bytes, hyper::Error>;

/// How long an instance may take to begin its answer.
const HEAD: Duration = Duration::from_mins(10);
/// The header by which hms's own load is known. It is not passed on.
const SYNTHETIC: HeaderName = HeaderName::from_static("hms-synthetic");
/// Headers of one connection only (RFC 9110 7.6.1), and `expect`, which hyper has answered already.
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::EXPECT,
];
/// nginx's code for a client that left before it was answered.
const CLIENT_LEFT: u16 = 499;

/// A request that can be sent: its head, and its body unless it has none.
struct Message {
    head: Parts,
    body: Option<Incoming>,
}

/// Why an instance gave no answer.
enum Unanswered {
    /// Nothing was sent, or it may be sent again.
    Whole(Box<Message>),
    /// It may have been acted upon.
    Spent,
    /// It took too long.
    Late,
}

/// Answers one request for an environment.
pub(super) async fn answer(
    supervisor: &Arc<Supervisor>,
    environment: &EnvironmentName,
    peer: SocketAddr,
    mut request: Request<Incoming>,
) -> Response<Answer> {
    let synthetic = request.headers_mut().remove(SYNTHETIC).is_some_and(|value| value == "1");
    let measure = |version: &str| Measure {
        supervisor: Arc::clone(supervisor),
        series: Series { environment: environment.clone(), version: version.to_owned() },
        synthetic,
        since: Instant::now(),
        code: CLIENT_LEFT,
    };
    if request.method() == Method::CONNECT {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "this proxy has no tunnels");
    }
    let Some((side, ticket)) = supervisor.with_world(|world| world.choose(environment)) else {
        measure("none").code = StatusCode::SERVICE_UNAVAILABLE.as_u16();
        return plain(StatusCode::SERVICE_UNAVAILABLE, "no release has this traffic");
    };
    let upgrade = wants_upgrade(request.headers());
    let switched = upgrade.is_some().then(|| hyper::upgrade::on(&mut request));
    let message = outgoing(request, peer, upgrade);
    let mut counted = measure(&ticket.instance().series.version);
    let (mut counted, ticket, found) = match exchange(&ticket, message).await {
        Ok(answered) => (counted, ticket, Ok(answered)),
        Err(Unanswered::Whole(message)) if side == Side::Canary => {
            let Some(stable) = supervisor.with_world(|world| world.stable(environment)) else {
                counted.code = StatusCode::BAD_GATEWAY.as_u16();
                return plain(StatusCode::BAD_GATEWAY, "the release does not answer");
            };
            counted.code = StatusCode::BAD_GATEWAY.as_u16();
            drop(counted);
            drop(ticket);
            let counted = measure(&stable.instance().series.version);
            let found = exchange(&stable, *message).await;
            (counted, stable, found)
        }
        Err(error) => (counted, ticket, Err(error)),
    };
    match found {
        Ok((response, connection)) => {
            counted.code = response.status().as_u16();
            match switched {
                Some(client) if response.status() == StatusCode::SWITCHING_PROTOCOLS => join(client, response, counted, ticket),
                _ => pass_on(response, connection, counted, ticket),
            }
        }
        Err(Unanswered::Late) => {
            counted.code = StatusCode::GATEWAY_TIMEOUT.as_u16();
            plain(StatusCode::GATEWAY_TIMEOUT, "the release took too long")
        }
        Err(Unanswered::Whole(_) | Unanswered::Spent) => {
            counted.code = StatusCode::BAD_GATEWAY.as_u16();
            plain(StatusCode::BAD_GATEWAY, "the release does not answer")
        }
    }
}

/// Answers a request at the metrics address.
pub(super) fn metrics(supervisor: &Supervisor, request: &Request<Incoming>) -> Response<Answer> {
    if request.uri().path() != "/metrics" {
        return plain(StatusCode::NOT_FOUND, "metrics are at /metrics");
    }
    let mut response = plain(StatusCode::OK, &supervisor.metrics.text());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
    response
}

fn plain(status: StatusCode, text: &str) -> Response<Answer> {
    let text = if text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") };
    let mut response = Response::new(Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// The protocol that a request wants to change to.
fn wants_upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut connection = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let asked = connection.any(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case("upgrade")));
    asked.then(|| headers.get(header::UPGRADE).cloned()).flatten()
}

/// The request as the instance gets it.
fn outgoing(request: Request<Incoming>, peer: SocketAddr, upgrade: Option<HeaderValue>) -> Message {
    let (mut head, body) = request.into_parts();
    let host = head.headers.get(header::HOST).cloned().or_else(|| head.uri.authority().and_then(|name| name.as_str().parse().ok()));
    strip(&mut head.headers);
    if let Some(protocol) = upgrade {
        head.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        head.headers.insert(header::UPGRADE, protocol);
    }
    let mut set = |name: &'static str, value: Option<HeaderValue>| {
        if let Some(value) = value {
            head.headers.insert(name, value);
        }
    };
    set("host", host.clone());
    set("x-forwarded-host", host);
    set("x-forwarded-proto", Some(HeaderValue::from_static("http")));
    set("x-forwarded-for", HeaderValue::from_str(&peer.ip().to_string()).ok());
    let path = head.uri.path_and_query().cloned();
    head.uri = path.map_or_else(|| Uri::from_static("/"), Uri::from);
    head.version = Version::HTTP_11;
    head.extensions.clear();
    let body = (!body.is_end_stream()).then_some(body);
    Message { head, body }
}

fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in HOP_BY_HOP.iter().chain(&named) {
        headers.remove(name);
    }
    headers.remove("keep-alive");
    headers.remove("proxy-connection");
}

fn is_repeatable(message: &Message) -> bool {
    let method = &message.head.method;
    let idempotent = method.is_idempotent();
    idempotent && message.body.is_none() && !message.head.headers.contains_key(header::UPGRADE)
}

/// Sends a request to an instance and waits for the head of its answer.
async fn exchange(ticket: &Ticket, mut message: Message) -> Result<(Response<Incoming>, Connection), Unanswered> {
    let repeatable = is_repeatable(&message);
    let instance = ticket.instance();
    loop {
        let kept = if repeatable { instance.pool.take() } else { None };
        let fresh = kept.is_none();
        let mut connection = match kept {
            Some(connection) => connection,
            None => match connect(instance.now().port).await {
                Ok(connection) => connection,
                Err(_) => return Err(Unanswered::Whole(Box::new(message))),
            },
        };
        let body = message.body.take().map_or(Either::Right(Empty::new()), Either::Left);
        let request = Request::from_parts(message.head.clone(), body);
        match tokio::time::timeout(HEAD, connection.try_send_request(request)).await {
            Ok(Ok(response)) => return Ok((response, connection)),
            Err(_) => return Err(Unanswered::Late),
            Ok(Err(mut error)) => {
                match error.take_message().map(Request::into_body) {
                    Some(Either::Left(body)) => message.body = Some(body),
                    Some(Either::Right(_)) => {}
                    None if repeatable => {}
                    None => return Err(Unanswered::Spent),
                }
                if fresh {
                    return Err(Unanswered::Whole(Box::new(message)));
                }
            }
        }
    }
}

fn pass_on(response: Response<Incoming>, connection: Connection, counted: Measure, ticket: Ticket) -> Response<Answer> {
    let (mut head, body) = response.into_parts();
    strip(&mut head.headers);
    head.version = Version::HTTP_11;
    head.extensions.clear();
    let mut body = Counted { body, state: Some(Exchange { counted, connection, ticket }) };
    if body.body.is_end_stream() {
        body.finish();
    }
    Response::from_parts(head, body.boxed())
}

/// Lets client and instance speak their own protocol until one of them ends.
fn join(client: hyper::upgrade::OnUpgrade, mut response: Response<Incoming>, counted: Measure, ticket: Ticket) -> Response<Answer> {
    let instance = hyper::upgrade::on(&mut response);
    // Ended by either side, by the end of the instance, or with the process.
    tokio::spawn(async move {
        let ticket = ticket;
        if let (Ok(client), Ok(upstream)) = (client.await, instance.await) {
            let (mut client, mut upstream) = (TokioIo::new(client), TokioIo::new(upstream));
            let _ = tokio::io::copy_bidirectional(&mut client, &mut upstream).await;
        }
        drop(counted);
        drop(ticket);
    });
    let (mut head, _) = response.into_parts();
    head.extensions.clear();
    Response::from_parts(head, Empty::new().map_err(|never| match never {}).boxed())
}

/// Counts a request when it is dropped, whatever becomes of it.
struct Measure {
    supervisor: Arc<Supervisor>,
    series: Series,
    synthetic: bool,
    since: Instant,
    code: u16,
}

impl Drop for Measure {
    fn drop(&mut self) {
        self.supervisor.metrics.count(&self.series, self.code, self.synthetic, self.since.elapsed());
    }
}

/// What a response holds until its last byte.
struct Exchange {
    counted: Measure,
    connection: Connection,
    ticket: Ticket,
}

/// A response's body that gives back what it holds when it ends.
struct Counted {
    body: Incoming,
    state: Option<Exchange>,
}

impl Counted {
    fn finish(&mut self) {
        if let Some(Exchange { counted, connection, ticket }) = self.state.take() {
            drop(counted);
            ticket.instance().pool.give_back(connection);
        }
    }
}

impl Body for Counted {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Ready(None) => self.finish(),
            Poll::Ready(Some(Ok(_))) if self.body.is_end_stream() => self.finish(),
            Poll::Ready(Some(Err(_))) => {
                // The instance broke off in the middle: an error of its, whatever its head said.
                if let Some(state) = &mut self.state {
                    state.counted.code = StatusCode::BAD_GATEWAY.as_u16();
                }
                self.state = None;
            }
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
