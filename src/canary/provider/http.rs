//! The one HTTP client of all providers: bounded in time and size, without redirects to other hosts, and with credentials that go to
//! one origin and no other.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Certificate, Client, Response, StatusCode, Url};

use super::scrape::ScrapeError;

/// From connecting to the last byte; below the default scrape interval, so that scrapes never pile up.
pub(super) const TIME_LIMIT: Duration = Duration::from_secs(4);
/// A page of metrics is some hundred KiB; more than this is something else.
pub(super) const BODY_LIMIT_BYTES: usize = 16 << 20;
/// Redirects followed, within the same origin.
const REDIRECT_LIMIT: usize = 3;
/// So much of an error's page is looked at.
const EXCERPT_BYTES: usize = 4096;

/// What the operator lets one origin see: who asks, and which certificate authority speaks for it.
///
/// It is bound to the origin (scheme, host, port): a request to another one carries none of it, whatever policy says.
#[derive(Clone, Default)]
pub struct Access {
    origin: String,
    headers: HeaderMap,
    authorities: Vec<Certificate>,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// An access that cannot be meant. What is secret in it is not repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAccess {
    /// It is bound to no origin.
    #[error("`{0}` is no origin: write https://host:port, without a path")]
    Origin(String),
    /// A header that HTTP does not have.
    #[error("the header `{0}` has a name or value that HTTP does not allow")]
    Header(String),
    /// Text that is no certificate.
    #[error("the certificate authority is no PEM text")]
    Authority,
}

impl Access {
    /// Binds to an origin.
    ///
    /// # Errors
    /// When the text is no http or https origin, or has a path or credentials.
    pub fn to(origin: &str) -> Result<Self, BadAccess> {
        let bad = || BadAccess::Origin(without_credentials(origin));
        let url = Url::parse(origin).map_err(|_| bad())?;
        let plain = ["http", "https"].contains(&url.scheme()) && url.path() == "/" && url.query().is_none() && url.username().is_empty();
        if plain { Ok(Self { origin: url.origin().ascii_serialization(), ..Self::default() }) } else { Err(bad()) }
    }

    /// Shows a bearer token.
    ///
    /// # Errors
    /// When it cannot stand in a header.
    pub fn bearer(self, token: &str) -> Result<Self, BadAccess> {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// Shows a name and a password.
    ///
    /// # Errors
    /// When they cannot stand in a header.
    pub fn basic(self, user: &str, password: &str) -> Result<Self, BadAccess> {
        self.header("authorization", &format!("Basic {}", base64(format!("{user}:{password}").as_bytes())))
    }

    /// Sends a header with each request, as a tenant's name.
    ///
    /// # Errors
    /// When it cannot be a header.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, BadAccess> {
        let bad = || BadAccess::Header(name.to_owned());
        let header = HeaderName::try_from(name).map_err(|_| bad())?;
        let mut value = HeaderValue::try_from(value).map_err(|_| bad())?;
        value.set_sensitive(true);
        self.headers.insert(header, value);
        Ok(self)
    }

    /// Trusts these certificate authorities (PEM) for the origin, and no others.
    ///
    /// # Errors
    /// When there is none in the text.
    pub fn authorities(mut self, pem: &[u8]) -> Result<Self, BadAccess> {
        self.authorities = Certificate::from_pem_bundle(pem).map_err(|_| BadAccess::Authority)?;
        if self.authorities.is_empty() { Err(BadAccess::Authority) } else { Ok(self) }
    }

    fn is_for(&self, url: &Url) -> bool {
        self.origin == url.origin().ascii_serialization()
    }
}

/// A client for one origin.
#[derive(Debug, Clone)]
pub(super) struct Http {
    client: Client,
    headers: HeaderMap,
}

impl Http {
    /// Makes a client for an address; of the accesses it takes the one that is bound to the address's origin.
    pub(super) fn new(url: &Url, accesses: &[Access]) -> Result<Self, ScrapeError> {
        // A second installation is refused, and the first one is as good.
        let _already = rustls::crypto::ring::default_provider().install_default();
        let access = accesses.iter().find(|access| access.is_for(url)).cloned().unwrap_or_default();
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
        let only_these = url.scheme() == "http" || !access.authorities.is_empty();
        let builder = if only_these { builder.tls_certs_only(access.authorities) } else { builder };
        Ok(Self { client: builder.build().map_err(ScrapeError::Client)?, headers: access.headers })
    }

    /// Asks for a page of metrics or an answer of an API; anything but 200 is an error.
    pub(super) async fn get(&self, url: &Url, accept: &'static str) -> Result<Response, ScrapeError> {
        let request = self.client.get(url.clone()).headers(self.headers.clone()).header("accept", accept);
        let response = request.send().await.map_err(|error| broken(url, error))?;
        match response.status() {
            StatusCode::OK => Ok(response),
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                let shown = if self.headers.contains_key(AUTHORIZATION) { Shown::Something } else { Shown::Nothing };
                Err(ScrapeError::NotLetIn { url: shown_url(url), status, shown })
            }
            status => {
                let why = excerpt_of(response).await;
                Err(ScrapeError::Status { url: shown_url(url), status, why })
            }
        }
    }
}

/// What a server that let nobody in was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// Credentials, which it did not take.
    Something,
    /// None: the operator's file names none for this origin.
    Nothing,
}

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Something => "it does not take the credentials of the operator's file",
            Self::Nothing => "it wants credentials: name them for this origin in the operator's file",
        })
    }
}

/// What an API says of its error, when it says something.
async fn excerpt_of(mut response: Response) -> Option<String> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > EXCERPT_BYTES {
            return None;
        }
    }
    let value: serde_json::Value = serde_json::from_slice(&body).ok()?;
    let text = value.get("error")?.as_str()?;
    Some(text.chars().filter(|letter| !letter.is_control()).take(200).collect())
}

/// Reads a body up to the limit, whatever length it says it has.
pub(super) async fn body(url: &Url, mut response: Response) -> Result<Vec<u8>, ScrapeError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| broken(url, error))? {
        if body.len() + chunk.len() > BODY_LIMIT_BYTES {
            return Err(ScrapeError::TooLarge(shown_url(url)));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn broken(url: &Url, error: reqwest::Error) -> ScrapeError {
    let url = shown_url(url);
    // The address is in our own message already.
    if error.is_timeout() { ScrapeError::TimedOut(url) } else { ScrapeError::Unreachable { url, source: error.without_url() } }
}

/// An address for a message: a query's text is longer than its news.
fn shown_url(url: &Url) -> Url {
    let mut url = url.clone();
    url.set_query(None);
    url
}

/// Reads an address.
pub(super) fn address(text: &str) -> Result<Url, ScrapeError> {
    let bad = || ScrapeError::BadAddress(without_credentials(text));
    let url = Url::parse(text).map_err(|_| bad())?;
    let has_credentials = !url.username().is_empty() || url.password().is_some();
    if !["http", "https"].contains(&url.scheme()) || has_credentials || url.host_str().is_none() {
        return Err(bad());
    }
    Ok(url)
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

/// An address for an error message: what stands before an `@` may be a password.
fn without_credentials(address: &str) -> String {
    match address.rsplit_once('@') {
        Some((_, host)) => format!("…@{host}"),
        None => address.to_owned(),
    }
}

/// RFC 4648, with padding: a dependency for one header is not earned.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = three.iter().chain([&0, &0]).take(3).fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        for place in 0..4_usize {
            let six = usize::try_from(bits >> (18 - 6 * place) & 63).unwrap_or(0);
            text.push(if place <= three.len() { char::from(LETTERS[six]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (plain, coded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn an_access_is_bound_to_one_origin_and_says_no_secret() {
        let access = Access::to("https://prom.example.gov").unwrap().bearer("s3cret").unwrap();
        for (url, is_for) in [
            ("https://prom.example.gov/api", true),
            ("https://prom.example.gov:443/", true),
            ("http://prom.example.gov/", false),
            ("https://prom.example.gov:9090/", false),
            ("https://prom.example.gov.evil.example/", false),
        ] {
            assert_eq!(access.is_for(&Url::parse(url).unwrap()), is_for, "{url}");
        }
        assert!(!format!("{access:?}").contains("s3cret"));
        for bad in ["prom", "ftp://x", "https://x/path", "https://user:s3cret@x"] {
            let error = Access::to(bad).unwrap_err();
            assert!(!error.to_string().contains("s3cret"), "{error}");
        }
        assert!(Access::to("https://x").unwrap().bearer("a\nb").is_err());
        assert!(Access::to("https://x").unwrap().authorities(b"no certificate").is_err());
    }
}
