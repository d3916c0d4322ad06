//! One question to a registry: with the right credentials, tried again as far as that is harmless, redirected without them.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use reqwest::{Body, Client, Method, Response, StatusCode, Url};
use serde::Deserialize;

use super::challenge::{Challenge, Scopes, challenge};
use super::credentials::Credentials;
use super::error::{Problem, RegistryError, Said};
use super::name::ImageName;
use super::settings::RegistrySettings;
use super::token::Shown;

/// An error's text; more is a page of something else.
const ERROR_LIMIT_BYTES: usize = 64 << 10;
/// As much of a registry's own words as one line holds.
const MESSAGE_LIMIT: usize = 200;
/// Redirects followed: to a mirror, to storage.
const REDIRECT_LIMIT: u32 = 5;
/// The longest pause that a registry can ask for and a number can hold.
const PAUSE_LIMIT_SECONDS: u64 = 86_400;

/// What is asked.
#[derive(Debug, Clone)]
pub(super) struct Question<'a> {
    /// Of which image.
    pub(super) image: &'a ImageName,
    /// What is wanted, to be read after `cannot`.
    pub(super) action: String,
    pub(super) method: Method,
    pub(super) url: Url,
    /// Media types that can be used; empty for any.
    pub(super) accept: &'static str,
    /// What a token must allow.
    pub(super) scopes: Scopes,
    /// Its media type and bytes.
    pub(super) content: Option<(String, Vec<u8>)>,
}

/// An answer of the 200s, read to its end.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// What is sent with a request and not of small size: only once, and never again by itself.
pub(super) struct Stream {
    pub(super) body: Body,
    pub(super) bytes: u64,
}

/// A response, and whether it was given to nobody in particular.
struct Sent {
    response: Response,
    anonymous: bool,
}

/// HTTP to registries, with what they were shown before.
pub(super) struct Transport {
    pub(super) credentials: Credentials,
    pub(super) settings: RegistrySettings,
    plain: Client,
    secure: OnceLock<Client>,
    /// By the host asked and the scopes: what was accepted there.
    shown: Mutex<HashMap<(String, Scopes), Shown>>,
}

impl Question<'_> {
    fn changes_nothing(&self) -> bool {
        self.method == Method::GET || self.method == Method::HEAD
    }

    pub(super) fn failed(&self, problem: impl Into<Problem>) -> RegistryError {
        RegistryError::new(self.image, self.action.clone(), problem)
    }
}

impl Answer {
    /// A header's text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

impl Transport {
    pub(super) fn new(credentials: Credentials, settings: RegistrySettings) -> Result<Self, Problem> {
        // A second installation is refused, and the first one is as good.
        let _already = rustls::crypto::ring::default_provider().install_default();
        // No certificates: plain http must work on a machine without any authority, where loading them is an error. No proxy: what
        // is spoken to without TLS is this machine or the lab's.
        let plain = builder(&settings).tls_certs_only([]).no_proxy().build().map_err(Problem::Client)?;
        Ok(Self { credentials, settings, plain, secure: OnceLock::new(), shown: Mutex::default() })
    }

    /// The API's address for a path below the image's repository.
    pub(super) fn url(&self, image: &ImageName, path: &str) -> Result<Url, Problem> {
        let host = image.api_host();
        let scheme = if self.settings.may_be_plain(host) { "http" } else { "https" };
        let text = format!("{scheme}://{host}/v2/{}/{path}", image.repository());
        Url::parse(&text).map_err(|_| Problem::Unsupported(format!("{text} is no address")))
    }

    /// Asks, and reads at most `limit_bytes` of the answer; with an answer outside the 200s it is an error.
    pub(super) async fn ask(&self, question: &Question<'_>, limit_bytes: usize) -> Result<Answer, RegistryError> {
        self.tried(question, limit_bytes).await.map_err(|problem| question.failed(problem))
    }

    async fn tried(&self, question: &Question<'_>, limit_bytes: usize) -> Result<Answer, Problem> {
        let begun = Instant::now();
        let mut pause = self.settings.pause;
        let mut attempt = 1;
        loop {
            let outcome = match self.authorized(question, None, self.settings.answer).await {
                Ok(sent) => read(sent, limit_bytes).await,
                Err(problem) => Err(problem),
            };
            let problem = match outcome {
                Ok(answer) => return Ok(answer),
                Err(problem) => problem,
            };
            let asked_for = match again(&problem, question.changes_nothing()) {
                Again::Never => return Err(problem),
                Again::After(wait) => wait,
            };
            let wait = asked_for.unwrap_or(pause);
            if attempt >= self.settings.attempts || begun.elapsed() + wait > self.settings.within {
                return Err(problem);
            }
            tokio::time::sleep(wait).await;
            pause *= 2;
            attempt += 1;
        }
    }

    /// Asks once and gives the answer before its body is read. Its status is of the 200s.
    pub(super) async fn open(&self, question: &Question<'_>, bound: Duration) -> Result<Response, RegistryError> {
        let sent = self.authorized(question, None, bound).await.map_err(|problem| question.failed(problem))?;
        if sent.response.status().is_success() {
            return Ok(sent.response);
        }
        Err(question.failed(problem_of(sent).await))
    }

    /// Sends bytes once. Whatever was shown for these scopes before is shown again, and nothing else.
    pub(super) async fn send_stream(&self, question: &Question<'_>, stream: Stream, bound: Duration) -> Result<Answer, RegistryError> {
        let sent = self.authorized(question, Some(stream), bound).await.map_err(|problem| question.failed(problem))?;
        read(sent, ERROR_LIMIT_BYTES).await.map_err(|problem| question.failed(problem))
    }

    /// Asks with what this host accepted before for these scopes, and after a 401 once more with fresh credentials.
    async fn authorized(&self, question: &Question<'_>, stream: Option<Stream>, bound: Duration) -> Result<Sent, Problem> {
        let key = (host_of(&question.url), question.scopes.clone());
        // Uploads may go to another host than the registry's own; that one has no claim on its credentials, nor has storage that
        // a redirect leads to.
        let own = self.url(question.image, "").is_ok_and(|own| own.origin() == question.url.origin());
        let before = if own { self.remembered(&key) } else { None };
        let may_be_asked_again = own && stream.is_none();
        let response = self.followed(question, before.as_ref(), stream, bound).await?;
        let refused = response.status() == StatusCode::UNAUTHORIZED && response.url().origin() == question.url.origin();
        let anonymous = before.is_none_or(|shown| shown.anonymous);
        let Some(challenge) = challenge_of(response.headers()).filter(|_| refused && may_be_asked_again) else {
            return Ok(Sent { response, anonymous });
        };
        let login = self.credentials.login(question.image.registry()).await?;
        let shown = match challenge {
            Challenge::Basic => match login.and_then(Shown::basic) {
                Some(shown) => shown,
                None => return Ok(Sent { response, anonymous: true }),
            },
            Challenge::Bearer { realm, service, scopes } => {
                let scopes = question.scopes.clone().and(&scopes);
                self.token(&realm, service.as_deref(), &scopes, login.as_ref()).await?
            }
        };
        let response = self.followed(question, Some(&shown), None, bound).await?;
        let anonymous = shown.anonymous;
        let mut all = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if response.status() == StatusCode::UNAUTHORIZED {
            all.remove(&key);
        } else {
            all.insert(key, shown);
        }
        drop(all);
        Ok(Sent { response, anonymous })
    }

    fn remembered(&self, key: &(String, Scopes)) -> Option<Shown> {
        let mut all = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if all.get(key).is_some_and(|shown| shown.is_over(Instant::now())) {
            all.remove(key);
        }
        all.get(key).cloned()
    }

    /// Sends, and follows redirects of what changes nothing. Credentials go to the origin that was asked and to no other.
    async fn followed(
        &self,
        question: &Question<'_>,
        shown: Option<&Shown>,
        mut stream: Option<Stream>,
        bound: Duration,
    ) -> Result<Response, Problem> {
        let mut url = question.url.clone();
        for _ in 0..=REDIRECT_LIMIT {
            let mut request = self.client(&url)?.request(question.method.clone(), url.clone()).timeout(bound);
            if !question.accept.is_empty() {
                request = request.header(ACCEPT, question.accept);
            }
            if let Some(shown) = shown.filter(|_| url.origin() == question.url.origin()) {
                request = request.header(AUTHORIZATION, shown.header()?);
            }
            request = match (&question.content, stream.take()) {
                (_, Some(stream)) => {
                    request.header(CONTENT_TYPE, "application/octet-stream").header(CONTENT_LENGTH, stream.bytes).body(stream.body)
                }
                (Some((kind, bytes)), None) => request.header(CONTENT_TYPE, kind).body(bytes.clone()),
                // Some proxies refuse a POST that does not say that it is empty.
                (None, None) if !question.changes_nothing() => request.header(CONTENT_LENGTH, 0),
                (None, None) => request,
            };
            let response = request.send().await.map_err(broken)?;
            let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
            let Some(location) = location.filter(|_| response.status().is_redirection() && question.changes_nothing()) else {
                return Ok(response);
            };
            url = url.join(location).map_err(|_| Problem::Malformed("it redirects to what is no address".to_owned()))?;
            if !self.settings.may_be_asked(&url) {
                return Err(Problem::Malformed(format!("it redirects to {}, without TLS", url.host_str().unwrap_or_default())));
            }
        }
        Err(Problem::Malformed("it redirects in circles".to_owned()))
    }

    pub(super) fn client(&self, url: &Url) -> Result<&Client, Problem> {
        if url.scheme() == "http" {
            return Ok(&self.plain);
        }
        if let Some(client) = self.secure.get() {
            return Ok(client);
        }
        let client = builder(&self.settings).build().map_err(Problem::Client)?;
        Ok(self.secure.get_or_init(|| client))
    }
}

async fn read(sent: Sent, limit_bytes: usize) -> Result<Answer, Problem> {
    if !sent.response.status().is_success() {
        return Err(problem_of(sent).await);
    }
    let (status, headers) = (sent.response.status(), sent.response.headers().clone());
    Ok(Answer { status, headers, body: body(sent.response, limit_bytes).await? })
}

/// What an answer outside the 200s means.
async fn problem_of(sent: Sent) -> Problem {
    let wait = retry_after(sent.response.headers());
    let said = said(sent.response).await;
    match said.status {
        StatusCode::NOT_FOUND => Problem::NotThere(said),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Problem::Denied { said, anonymous: sent.anonymous },
        StatusCode::TOO_MANY_REQUESTS => Problem::Throttled { said, wait },
        _ => Problem::Answered(said),
    }
}

/// Whether a question may be asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Again {
    Never,
    /// After what the registry wants, or the usual pause.
    After(Option<Duration>),
}

/// Too many requests: nothing was done, so anything may be asked again. No connection: likewise. The rest only for what changes nothing.
fn again(problem: &Problem, changes_nothing: bool) -> Again {
    match problem {
        Problem::Throttled { wait, .. } => Again::After(*wait),
        Problem::Unreachable(error) if changes_nothing || error.is_connect() => Again::After(None),
        Problem::TimedOut if changes_nothing => Again::After(None),
        Problem::Answered(said) if changes_nothing && said.status.is_server_error() => Again::After(None),
        Problem::Unreachable(_)
        | Problem::TimedOut
        | Problem::Answered(_)
        | Problem::NotThere(_)
        | Problem::Denied { .. }
        | Problem::DeletionOff(_)
        | Problem::Malformed(_)
        | Problem::TooLarge { .. }
        | Problem::WrongBytes { .. }
        | Problem::Unsupported(_)
        | Problem::TagTaken { .. }
        | Problem::Credentials(_)
        | Problem::Client(_)
        | Problem::File { .. }
        | Problem::Unfit { .. }
        | Problem::Tree(_)
        | Problem::Stopped => Again::Never,
    }
}

fn builder(settings: &RegistrySettings) -> reqwest::ClientBuilder {
    Client::builder()
        .user_agent(concat!("hms/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(settings.answer)
        // Followed by hand: with which credentials must be ours to say.
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
}

/// An address can hold a signature that opens storage to whoever has it; it is in no error.
pub(super) fn broken(error: reqwest::Error) -> Problem {
    if error.is_timeout() { Problem::TimedOut } else { Problem::Unreachable(error.without_url()) }
}

/// Reads a body up to the limit, whatever length it says it has.
pub(super) async fn body(mut response: Response, limit_bytes: usize) -> Result<Vec<u8>, Problem> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        if body.len() + chunk.len() > limit_bytes {
            return Err(Problem::TooLarge { limit_bytes });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The first error of an answer: `{"errors": [{"code": …, "message": …}]}`, or what token servers write.
pub(super) async fn said(response: Response) -> Said {
    #[derive(Deserialize)]
    struct Page {
        #[serde(default)]
        errors: Vec<One>,
        #[serde(default)]
        details: Option<String>,
        #[serde(default)]
        error_description: Option<String>,
    }
    #[derive(Default, Deserialize)]
    struct One {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: Option<String>,
    }
    let status = response.status();
    let page = body(response, ERROR_LIMIT_BYTES).await.ok().and_then(|body| serde_json::from_slice::<Page>(&body).ok());
    let Some(page) = page else { return Said { status, code: String::new(), message: String::new() } };
    let first = page.errors.into_iter().next().unwrap_or_default();
    let message = first.message.or(page.details).or(page.error_description).unwrap_or_default();
    Said { status, code: cut(&first.code), message: cut(&message) }
}

/// A stranger's words as one short line.
fn cut(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(MESSAGE_LIMIT).collect()
}

fn challenge_of(headers: &HeaderMap) -> Option<Challenge> {
    challenge(headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok()))
}

/// Seconds; a date is read as none, and the usual pause is made.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds.min(PAUSE_LIMIT_SECONDS)))
}

fn host_of(url: &Url) -> String {
    format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default())
}
