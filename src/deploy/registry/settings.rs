//! How hms speaks to registries.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::Url;

/// Bounds, and the operator's exceptions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistrySettings {
    /// Hosts (with their port, as image names have them) that are spoken to without TLS. Loopback always is.
    pub insecure: BTreeSet<String>,
    /// How long one small answer may take, from connecting to its last byte.
    pub answer: Duration,
    /// How often a question is asked at most, when the answer is 429 or, for what changes nothing, 5xx or none at all.
    pub attempts: u32,
    /// Within what time those attempts begin.
    pub within: Duration,
    /// The pause before the second attempt where the registry names none; doubled each time.
    pub pause: Duration,
}

impl Default for RegistrySettings {
    /// No exception; 10 s an answer; 5 attempts within 10 s, the second after 200 ms (`docs/decisions.md` 20.11).
    fn default() -> Self {
        Self {
            insecure: BTreeSet::new(),
            answer: Duration::from_secs(10),
            attempts: 5,
            within: Duration::from_secs(10),
            pause: Duration::from_millis(200),
        }
    }
}

impl RegistrySettings {
    /// Whether this host, with its port if it has one, may be spoken to without TLS.
    pub(super) fn may_be_plain(&self, host: &str) -> bool {
        self.insecure.contains(host) || is_loopback(without_port(host))
    }

    /// Whether bytes may come from here: by https, or by http where that is allowed.
    pub(super) fn may_be_asked(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        let with_port = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        url.scheme() == "https" || (url.scheme() == "http" && self.may_be_plain(&with_port))
    }
}

pub(super) fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

pub(super) fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, _)) if !host.ends_with(']') => name,
        Some(_) | None => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_tls_only_where_nobody_listens_in_or_the_operator_says_so() {
        let settings = RegistrySettings { insecure: BTreeSet::from(["registry.lab:5000".to_owned()]), ..RegistrySettings::default() };
        for plain in ["localhost", "localhost:5000", "127.0.0.1:5000", "127.3.2.1", "[::1]", "[::1]:5000", "registry.lab:5000"] {
            assert!(settings.may_be_plain(plain), "{plain}");
        }
        for secure in ["registry.lab", "registry.lab:5001", "localhost.example", "10.0.0.1:5000", "[fd00::1]:5000", "127.0.0.1.example:1"] {
            assert!(!settings.may_be_plain(secure), "{secure}");
        }
        let may = |url: &str| settings.may_be_asked(&url.parse().unwrap());
        assert!(may("https://anywhere.example/x") && may("http://127.0.0.1:1/x") && may("http://registry.lab:5000/x"));
        assert!(!may("http://anywhere.example/x") && !may("ftp://127.0.0.1/x") && !may("http://registry.lab/x"));
    }
}
