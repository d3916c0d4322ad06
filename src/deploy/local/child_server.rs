//! The HTTP server of hms's own releases: the static server and the demo's service. It listens where `$PORT` and `$HOST` say.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

use super::supervisor::complain;

/// A response's body.
pub(super) type Reply = Response<BoxBody<Bytes, io::Error>>;
/// How a variable of the environment is read.
pub(super) type Variable<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Serves until the process is ended. Exit code 3 when it cannot.
pub(super) fn serve<F, A>(variable: Variable<'_>, answer: F) -> u8
where
    F: Fn(Request<Incoming>) -> A + Send + Sync + 'static,
    A: Future<Output = Reply> + Send + 'static,
{
    let served = address(variable).and_then(|address| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
        runtime.block_on(listen(address, Arc::new(answer))).map_err(|error| format!("cannot listen at {address}: {error}"))
    });
    match served {
        Ok(()) => 0,
        Err(reason) => {
            complain(&reason);
            3
        }
    }
}

fn address(variable: Variable<'_>) -> Result<SocketAddr, String> {
    let port = variable("PORT").ok_or("the variable PORT is missing: it says where to listen")?;
    let port: u16 = port.parse().map_err(|_| format!("PORT is `{port}`, which is no port"))?;
    let host = variable("HOST").and_then(|host| host.parse().ok()).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    Ok(SocketAddr::new(host, port))
}

async fn listen<F, A>(address: SocketAddr, answer: Arc<F>) -> io::Result<()>
where
    F: Fn(Request<Incoming>) -> A + Send + Sync + 'static,
    A: Future<Output = Reply> + Send + 'static,
{
    let listener = TcpListener::bind(address).await?;
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let answer = Arc::clone(&answer);
        // A task a connection; it ends with its client or with the process.
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let answered = answer(request);
                async move { Ok::<_, Infallible>(answered.await) }
            });
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new());
            let _ = builder.serve_connection(TokioIo::new(stream), service).with_upgrades().await;
        });
    }
}

/// A whole body with its kind.
pub(super) fn reply(status: StatusCode, kind: &'static str, bytes: impl Into<Bytes>) -> Reply {
    let mut response = Response::new(Full::new(bytes.into()).map_err(|never| match never {}).boxed());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
