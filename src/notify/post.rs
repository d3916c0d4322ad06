//! A POST of the notice as JSON. No redirect is followed, the token goes to this address alone, and no proxy of the environment's is used.

use std::path::Path;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Certificate, Client, StatusCode};

use super::Trouble;

/// The largest file of a token or of authorities.
const FILE_BYTES: u64 = 1 << 20;

pub(super) async fn send(
    url: &str,
    bearer_file: Option<&Path>,
    ca: Option<&Path>,
    id: &str,
    body: Vec<u8>,
    limit: Duration,
) -> Result<(), Trouble> {
    // A second installation is refused, and the first one is as good.
    let _already = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .user_agent(concat!("hms/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(limit);
    if let Some(ca) = ca {
        let bundle = Certificate::from_pem_bundle(&read(ca)?).map_err(|_| Trouble::ForGood(format!("{} is no PEM text", ca.display())))?;
        builder = builder.tls_certs_only(bundle);
    }
    let client = builder.build().map_err(|error| Trouble::ForGood(kind(&error)))?;
    let mut request = client.post(url).header(CONTENT_TYPE, "application/json").header("hms-notice", id).body(body);
    if let Some(file) = bearer_file {
        let token = String::from_utf8(read(file)?).map_err(|_| Trouble::ForGood(format!("{} is no text", file.display())))?;
        let value = HeaderValue::try_from(format!("Bearer {}", token.trim()));
        let mut value = value.map_err(|_| Trouble::ForGood(format!("{} holds no token", file.display())))?;
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    let answer = request.send().await.map_err(|error| Trouble::ForNow(kind(&error)))?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let again = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::REQUEST_TIMEOUT;
    let why = format!("it answered {status}");
    Err(if again { Trouble::ForNow(why) } else { Trouble::ForGood(why) })
}

fn read(path: &Path) -> Result<Vec<u8>, Trouble> {
    let unread = |error: std::io::Error| Trouble::ForGood(format!("{} cannot be read: {error}", path.display()));
    let length = std::fs::metadata(path).map_err(unread)?.len();
    if length > FILE_BYTES {
        return Err(Trouble::ForGood(format!("{} is too large", path.display())));
    }
    std::fs::read(path).map_err(unread)
}

/// What kind of trouble it is, without the address: a path may be a secret of its own.
fn kind(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        "no answer in time".to_owned()
    } else if error.is_connect() {
        "no connection".to_owned()
    } else {
        "the request failed".to_owned()
    }
}
