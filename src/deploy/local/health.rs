//! The health check: a TCP connection, then `GET /`; any answer below 500 is healthy.
//!
//! A 404 or a 401 at `/` is an application that works and has nothing there; a 5xx says itself that it does not.

use std::time::Duration;

use http_body_util::{Either, Empty};
use hyper::Request;

use super::pool::{Outgoing, connect};

/// How long one check may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks whatever listens at a loopback port.
///
/// # Errors
/// What is wrong, in words.
pub(super) async fn check(port: u16) -> Result<(), String> {
    tokio::time::timeout(PATIENCE, ask(port)).await.unwrap_or_else(|_| Err(format!("did not answer GET / within {} s", PATIENCE.as_secs())))
}

async fn ask(port: u16) -> Result<(), String> {
    let mut connection = connect(port).await.map_err(|_| format!("does not listen on port {port}"))?;
    let request =
        Request::get("/").header("host", format!("127.0.0.1:{port}")).header("user-agent", "hms-health").header("connection", "close");
    let request: Request<Outgoing> = request.body(Either::Right(Empty::new())).map_err(|error| error.to_string())?;
    let response = connection.send_request(request).await.map_err(|error| format!("broke off GET /: {error}"))?;
    let status = response.status();
    if status.is_server_error() { Err(format!("answers GET / with {}", status.as_u16())) } else { Ok(()) }
}
