//! `include: remote` fetched: `https` alone, bounded in time, size and redirects, and kept by digest (`docs/decisions.md` 15.40).
//!
//! ```text
//! <git common dir>/hms/includes/<64 hex digits of its SHA-256>        bytes, looked at by their digest before they are used
//! <git common dir>/hms/includes/<64 hex digits of the address's>.at   {"address": …, "digest": "sha256:…", "fetched_ms": …}
//! ```

use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::header::LOCATION;
use reqwest::{Certificate, Client, Response, StatusCode, Url};
use serde::{Deserialize, Serialize};

use crate::event::Digest;
use crate::pipeline::Remote;
use crate::policy::{Includes, RemoteOrigin};
use crate::store::{chain, make_private_folder, monotonic_ms, now, read_if_there, replace};

/// All that one reading of a pipeline may wait for servers (GitLab's bound for includes).
const TIME_LIMIT_MS: u64 = 30_000;
/// For one server to be connected to.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// The reader takes no larger file.
const BODY_LIMIT_BYTES: usize = 1 << 20;
const REDIRECT_LIMIT: usize = 5;
/// So many files are kept; what was not used for longest goes first.
const KEPT_LIMIT: usize = 400;

/// Fetches for one reading of a pipeline.
pub(crate) struct Fetcher {
    folder: PathBuf,
    origins: Option<Vec<RemoteOrigin>>,
    /// When the reading's time for servers is over.
    deadline_ms: Cell<Option<u64>>,
}

/// What an address came to when it was fetched.
#[derive(Serialize, Deserialize)]
struct At {
    address: String,
    digest: Digest,
    fetched_ms: i64,
}

impl Fetcher {
    pub(crate) fn new(common_dir: &Path, includes: &Includes) -> Self {
        let folder = common_dir.join("hms").join("includes");
        Self { folder, origins: includes.remote.clone(), deadline_ms: Cell::new(None) }
    }

    /// The bytes: those kept where the pipeline lets them be, else the server's.
    ///
    /// # Errors
    /// When the address may not be asked, or its server does not give them, with why.
    pub(crate) fn fetch(&self, remote: &Remote) -> Result<Vec<u8>, String> {
        if let Some(bytes) = self.kept(remote) {
            return Ok(bytes);
        }
        let bytes = self.over_the_network(&remote.address)?;
        // What cannot be kept is fetched again another time.
        let _ = self.keep(remote, &bytes);
        Ok(bytes)
    }

    fn kept(&self, remote: &Remote) -> Option<Vec<u8>> {
        let digest = match (&remote.integrity, remote.cache_seconds) {
            (Some(digest), _) => digest.clone(),
            (None, None) => return None,
            (None, Some(seconds)) => {
                let at: At = serde_json::from_slice(&read_if_there(&self.at(&remote.address)).ok()??).ok()?;
                let age_ms = now().timestamp_millis().checked_sub(at.fetched_ms).and_then(|age| u64::try_from(age).ok())?;
                (at.address == remote.address && age_ms < seconds.saturating_mul(1000)).then_some(at.digest)?
            }
        };
        let bytes = read_if_there(&self.folder.join(digest.hex())).ok()??;
        (Digest::of(&bytes) == digest).then_some(bytes)
    }

    fn keep(&self, remote: &Remote, bytes: &[u8]) -> Result<(), crate::store::DiskError> {
        make_private_folder(&self.folder)?;
        let digest = Digest::of(bytes);
        replace(&self.folder.join(digest.hex()), bytes)?;
        let at = At { address: remote.address.clone(), digest, fetched_ms: now().timestamp_millis() };
        replace(&self.at(&remote.address), &serde_json::to_vec(&at).unwrap_or_default())?;
        self.forget_oldest();
        Ok(())
    }

    fn at(&self, address: &str) -> PathBuf {
        self.folder.join(format!("{}.at", Digest::of(address.as_bytes()).hex()))
    }

    fn forget_oldest(&self) {
        let found = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut files: Vec<_> = found.filter_map(|file| Some((file.metadata().ok()?.modified().ok()?, file.path()))).collect();
        files.sort();
        let over = files.len().saturating_sub(KEPT_LIMIT);
        for (_, file) in files.into_iter().take(over) {
            let _ = std::fs::remove_file(file);
        }
    }

    fn over_the_network(&self, address: &str) -> Result<Vec<u8>, String> {
        let began = monotonic_ms();
        let deadline = self.deadline_ms.get().unwrap_or(began + TIME_LIMIT_MS);
        self.deadline_ms.set(Some(deadline));
        let left = Duration::from_millis(deadline.saturating_sub(began));
        let origins = self.origins.as_deref();
        // On a thread of its own: the caller may be inside a runtime.
        std::thread::scope(|scope| {
            let asked = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
                runtime.block_on(async {
                    let answer = tokio::time::timeout(left, follow(address, origins)).await;
                    answer.unwrap_or_else(|_| Err(format!("its server was not through after {} s of all includes", TIME_LIMIT_MS / 1000)))
                })
            });
            asked.join().unwrap_or_else(|_| Err("it could not be asked for".to_owned()))
        })
    }
}

/// Asks for an address and what it redirects to.
async fn follow(address: &str, origins: Option<&[RemoteOrigin]>) -> Result<Vec<u8>, String> {
    let mut url = Url::parse(address).map_err(|error| format!("it is no address: {error}"))?;
    for _ in 0..=REDIRECT_LIMIT {
        let client = client(&url, origins)?;
        let response = client.get(url.clone()).send().await.map_err(told)?;
        let status = response.status();
        if status.is_redirection() && status != StatusCode::NOT_MODIFIED {
            let to = response.headers().get(LOCATION).and_then(|to| to.to_str().ok());
            let to = to.ok_or_else(|| format!("its server answers {status} and does not say where it is"))?;
            url = url.join(to).map_err(|error| format!("it redirects to what is no address: {error}"))?;
            continue;
        }
        return if status == StatusCode::OK { body(response).await } else { Err(format!("its server answers {status}")) };
    }
    Err(format!("it redirects more than {REDIRECT_LIMIT} times"))
}

/// A client for one address that may be asked.
fn client(url: &Url, origins: Option<&[RemoteOrigin]>) -> Result<Client, String> {
    // A second installation is refused, and the first one is as good.
    let _already = rustls::crypto::ring::default_provider().install_default();
    if url.scheme() != "https" {
        return Err(format!("it redirects to {}, without TLS", url.host_str().unwrap_or_default()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it redirects to an address with a name or password in it".to_owned());
    }
    let own = url.origin().ascii_serialization();
    let builder = Client::builder()
        .user_agent(concat!("hms/", env!("CARGO_PKG_VERSION")))
        .https_only(true)
        .connect_timeout(CONNECT_LIMIT)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false);
    let builder = match origins {
        None => {
            let literal = url.host_str().and_then(|host| host.trim_matches(['[', ']']).parse().ok());
            if literal.is_some_and(is_this_machine) {
                return Err(format!(
                    "{own} is this machine itself or beside it; only the operator's file can let it in: {}",
                    example(&own)
                ));
            }
            builder.dns_resolver(Elsewhere)
        }
        Some(origins) => {
            let named = |named: &&RemoteOrigin| Url::parse(&named.origin).is_ok_and(|named| named.origin() == url.origin());
            let Some(named) = origins.iter().find(named) else {
                return Err(format!("the operator's file does not name {own}: {}", example(&own)));
            };
            match &named.ca {
                None => builder,
                Some(ca) => {
                    let pem = std::fs::read(ca).map_err(|error| format!("{}: {error}", ca.display()))?;
                    let authorities = Certificate::from_pem_bundle(&pem).unwrap_or_default();
                    if authorities.is_empty() {
                        return Err(format!("{} holds no certificate", ca.display()));
                    }
                    builder.tls_certs_only(authorities)
                }
            }
        }
    };
    builder.build().map_err(told)
}

fn example(origin: &str) -> String {
    format!("`includes: {{remote: [{{origin: {origin}}}]}}`")
}

async fn body(mut response: Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(told)? {
        if body.len() + chunk.len() > BODY_LIMIT_BYTES {
            return Err(format!("it is larger than {BODY_LIMIT_BYTES} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn told(error: reqwest::Error) -> String {
    format!("it cannot be fetched: {}", chain(&error.without_url()))
}

/// Names of elsewhere: a file that anybody could have committed must not reach what listens on this machine alone.
struct Elsewhere;

impl reqwest::dns::Resolve for Elsewhere {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let outside: Vec<SocketAddr> = found.filter(|address| !is_this_machine(address.ip())).collect();
            if outside.is_empty() {
                return Err(format!("{} is this machine itself or beside it", name.as_str()).into());
            }
            let outside: reqwest::dns::Addrs = Box::new(outside.into_iter());
            Ok(outside)
        })
    }
}

/// Loopback, link-local (where clouds keep their machines' credentials), and no address at all.
fn is_this_machine(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(four) => four.is_loopback() || four.is_link_local() || four.is_unspecified(),
        IpAddr::V6(six) => match six.to_ipv4_mapped() {
            Some(four) => is_this_machine(IpAddr::V4(four)),
            None => six.is_loopback() || six.is_unicast_link_local() || six.is_unspecified(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_this_machine_are_known() {
        let table = [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("169.254.169.254", true),
            ("0.0.0.0", true),
            ("::1", true),
            ("fe80::1", true),
            ("::ffff:127.0.0.1", true),
            ("10.0.0.1", false),
            ("192.0.2.1", false),
            ("2001:db8::1", false),
        ];
        for (address, expected) in table {
            assert_eq!(is_this_machine(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn what_may_not_be_asked_is_refused_with_the_reason() {
        let origin = |origin: &str| RemoteOrigin { origin: origin.to_owned(), ca: None };
        let named = [origin("https://files.example.org")];
        let table: [(&str, Option<&[RemoteOrigin]>, &str); 5] = [
            ("http://files.example.org/a.yml", None, "without TLS"),
            ("https://a:b@files.example.org/a.yml", None, "a name or password"),
            ("https://127.0.0.1/a.yml", None, "this machine itself"),
            ("https://[::1]:8443/a.yml", None, "this machine itself"),
            ("https://other.example.org/a.yml", Some(&named), "does not name https://other.example.org"),
        ];
        for (address, origins, part) in table {
            let told = client(&Url::parse(address).unwrap(), origins).unwrap_err();
            assert!(told.contains(part), "{told}");
        }
        assert!(client(&Url::parse("https://files.example.org:443/a.yml").unwrap(), Some(&named)).is_ok());
    }
}
