//! What is shown to a registry: name and password, or a token that a token server gave for them.
//!
//! Source: github.com/distribution/distribution, docs/content/spec/auth/token.md (GET) and oauth.md (POST).

use std::time::{Duration, Instant};

use base64::Engine as _;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{StatusCode, Url};
use serde::Deserialize;

use super::challenge::Scopes;
use super::credentials::{Login, Secret};
use super::error::Problem;
use super::transport::{Transport, body, broken, said};

/// What a token lives where its server does not say (token.md, `expires_in`).
const LIFE: Duration = Duration::from_mins(1);
/// A token is not shown in its last seconds: it would end on the way.
const MARGIN: Duration = Duration::from_secs(5);
/// A token is some KiB.
const TOKEN_LIMIT_BYTES: usize = 1 << 20;

/// What a registry was shown, and accepted.
#[derive(Debug, Clone)]
pub(super) struct Shown {
    header: Secret,
    /// When it ends; none for a password.
    until: Option<Instant>,
    /// A token that anybody gets.
    pub(super) anonymous: bool,
}

impl Shown {
    /// A name and a password as they are; none for tokens, which `Basic` cannot carry.
    pub(super) fn basic(login: Login) -> Option<Self> {
        match login {
            Login::Password { user, password } => Some(Self { header: basic(&user, &password), until: None, anonymous: false }),
            Login::Identity(_) | Login::Registry(_) => None,
        }
    }

    fn bearer(token: &Secret) -> Self {
        Self { header: Secret::new(format!("Bearer {}", token.reveal())), until: None, anonymous: false }
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    pub(super) fn header(&self) -> Result<HeaderValue, Problem> {
        sensitive(&self.header)
    }
}

#[derive(Deserialize)]
struct Given {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
    #[serde(default)]
    expires_in: Option<u64>,
}

impl Transport {
    /// Has a token made. Without credentials it is an anonymous one, which public repositories want too.
    pub(super) async fn token(&self, realm: &str, service: Option<&str>, scopes: &Scopes, login: Option<&Login>) -> Result<Shown, Problem> {
        let mut url = Url::parse(realm).map_err(|_| Problem::Malformed("the address of its token server is none".to_owned()))?;
        if !self.settings.may_be_asked(&url) {
            let host = url.host_str().unwrap_or_default();
            return Err(Problem::Malformed(format!("it sends credentials to {host} without TLS, for a token")));
        }
        let mut fields: Vec<(&str, String)> = service.map(|service| ("service", service.to_owned())).into_iter().collect();
        let request = match login {
            Some(Login::Registry(token)) => return Ok(Shown::bearer(token)),
            Some(Login::Identity(identity)) => {
                fields.push(("grant_type", "refresh_token".to_owned()));
                fields.push(("client_id", "hms".to_owned()));
                fields.push(("scope", scopes.texts().collect::<Vec<_>>().join(" ")));
                fields.push(("refresh_token", identity.reveal().to_owned()));
                let form = encoded(&url, &fields);
                self.client(&url)?.post(url).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form)
            }
            Some(Login::Password { .. }) | None => {
                fields.extend(scopes.texts().map(|scope| ("scope", scope)));
                url.query_pairs_mut().extend_pairs(fields);
                let request = self.client(&url)?.get(url);
                match login {
                    Some(Login::Password { user, password }) => request.header(AUTHORIZATION, sensitive(&basic(user, password))?),
                    Some(Login::Identity(_) | Login::Registry(_)) | None => request,
                }
            }
        };
        let asked = Instant::now();
        let response = request.timeout(self.settings.answer).send().await.map_err(broken)?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST => {
                return Err(Problem::Denied { said: said(response).await, anonymous: login.is_none() });
            }
            StatusCode::TOO_MANY_REQUESTS => return Err(Problem::Throttled { said: said(response).await, wait: None }),
            _ => return Err(Problem::Answered(said(response).await)),
        }
        let given = body(response, TOKEN_LIMIT_BYTES).await?;
        let unusable = || Problem::Malformed("its token server gave no token".to_owned());
        let given: Given = serde_json::from_slice(&given).map_err(|_| unusable())?;
        let token = if given.token.is_empty() { given.access_token } else { given.token };
        if token.is_empty() {
            return Err(unusable());
        }
        let life = given.expires_in.map_or(LIFE, Duration::from_secs).saturating_sub(MARGIN);
        let until = Some(asked.checked_add(life).unwrap_or(asked));
        Ok(Shown { until, anonymous: login.is_none(), ..Shown::bearer(&Secret::new(token)) })
    }
}

fn basic(user: &str, password: &Secret) -> Secret {
    let pair = format!("{user}:{}", password.reveal());
    Secret::new(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair)))
}

fn sensitive(header: &Secret) -> Result<HeaderValue, Problem> {
    let mut value = HeaderValue::from_str(header.reveal())
        .map_err(|_| Problem::Unsupported("the credentials have characters that no header can hold".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Fields as a form: what stands after the `?` of an address with them.
fn encoded(url: &Url, fields: &[(&str, String)]) -> String {
    let mut form = url.clone();
    form.set_query(None);
    form.query_pairs_mut().extend_pairs(fields);
    form.query().unwrap_or_default().to_owned()
}
