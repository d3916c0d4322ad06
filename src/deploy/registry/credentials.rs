//! Who hms is to a registry: the file of `docker login`, and the helper programs that it names.
//!
//! ```json
//! {"auths": {"registry.example": {"auth": "<base64 of user:password>", "identitytoken": "…", "registrytoken": "…"}},
//!  "credHelpers": {"registry.example": "NAME"}, "credsStore": "NAME"}
//! ```
//! A helper is the program `docker-credential-NAME`: `get` on its arguments, the server on its standard input, JSON on its output.
//! Source: docs.docker.com, `docker login`; github.com/docker/docker-credential-helpers, README.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

use crate::store::{DiskError, read_if_there};

/// How long a helper may take; some ask another machine.
const HELPER_LIMIT: Duration = Duration::from_secs(10);
/// The most that a helper's answer has; a token is some KiB.
const HELPER_LIMIT_BYTES: u64 = 1 << 20;
/// What Docker Hub's credentials are filed under, for history's sake.
const HUB_KEY: &str = "https://index.docker.io/v1/";
/// The name under which a helper gives a token instead of a password.
const TOKEN_USER: &str = "<token>";

/// Where credentials of registries are found; nothing is read from it but what a registry asks for.
#[derive(Clone, Default)]
pub struct Credentials {
    file: DockerConfig,
    /// The environment of helpers: they look for their own files and programs in it.
    environment: Vec<(String, OsString)>,
}

/// A secret; its text is in no debug output.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret(String);

/// What hms shows to a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Login {
    /// A name and a password.
    Password { user: String, password: Secret },
    /// A token that the token server changes into others (a refresh token).
    Identity(Secret),
    /// A token for the registry itself.
    Registry(Secret),
}

/// Credentials that are there and cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The file cannot be read.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The file is no such file.
    #[error("{path} is no Docker configuration: {why}")]
    BadFile {
        /// Which file.
        path: PathBuf,
        /// What is wrong, without what stands there.
        why: String,
    },
    /// The file's entry for a registry cannot be used.
    #[error("the credentials for {registry} are not base64 of `user:password`")]
    BadEntry {
        /// Which registry.
        registry: String,
    },
    /// A helper gave nothing that can be used.
    #[error("{program} get, for {registry}: {why}")]
    Helper {
        /// The program's name.
        program: String,
        /// For which registry.
        registry: String,
        /// What happened, without what it wrote.
        why: String,
    },
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct DockerConfig {
    auths: BTreeMap<String, Entry>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
    registrytoken: String,
}

impl Credentials {
    /// None for any registry.
    #[must_use]
    pub fn anonymous() -> Self {
        Self::default()
    }

    /// Reads `$DOCKER_CONFIG/config.json`, else `$HOME/.docker/config.json`; no such file is no credentials. `variable` reads the
    /// environment; helpers get `PATH`, `HOME` and what else they need of it when they are started.
    ///
    /// # Errors
    /// When the file is there and cannot be read, or is no such file.
    pub fn of_docker(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, CredentialError> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let folder = set("DOCKER_CONFIG").map(PathBuf::from).or_else(|| set("HOME").map(|home| Path::new(&home).join(".docker")));
        let Some(folder) = folder else { return Ok(Self::anonymous()) };
        let path = folder.join("config.json");
        let file = match read_if_there(&path)? {
            // What the parser says of the text may quote it.
            Some(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| CredentialError::BadFile { why: format!("line {}, column {}", error.line(), error.column()), path })?,
            None => DockerConfig::default(),
        };
        let environment = HELPER_VARIABLES.iter().filter_map(|name| set(name).map(|value| ((*name).to_owned(), value))).collect();
        Ok(Self { file, environment })
    }

    /// What is known for a registry; none is anonymous. A helper is asked anew each time: its tokens may be short-lived.
    pub(super) async fn login(&self, registry: &str) -> Result<Option<Login>, CredentialError> {
        let key = if registry == "docker.io" { HUB_KEY } else { registry };
        let helper = self.file.cred_helpers.iter().find(|(host, _)| host_of(host) == host_of(key)).map(|(_, name)| name);
        if let Some(name) = helper.or(self.file.creds_store.as_ref()).filter(|name| !name.is_empty()) {
            return self.ask_helper(name, registry, key).await;
        }
        let entry = self.file.auths.get(key).or_else(|| {
            let same = self.file.auths.iter().find(|(host, _)| host_of(host) == host_of(key));
            same.map(|(_, entry)| entry)
        });
        entry.map_or(Ok(None), |entry| entry.login(registry))
    }

    async fn ask_helper(&self, name: &str, registry: &str, key: &str) -> Result<Option<Login>, CredentialError> {
        let program = format!("docker-credential-{name}");
        let failed = |why: String| CredentialError::Helper { program: program.clone(), registry: registry.to_owned(), why };
        let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
        if !plain {
            return Err(failed("a helper's name may hold letters, digits, `-`, `_` and `.` only".to_owned()));
        }
        let asked = tokio::time::timeout(HELPER_LIMIT, self.run_helper(&program, key)).await;
        let (success, output) = match asked {
            Ok(answer) => answer.map_err(|error| failed(format!("it cannot be run: {error}")))?,
            Err(_) => return Err(failed(format!("no answer within {} s", HELPER_LIMIT.as_secs()))),
        };
        if !success {
            // The helpers' own words for "I have none".
            let said = String::from_utf8_lossy(&output);
            let none = said.trim() == "credentials not found in native keychain";
            return if none { Ok(None) } else { Err(failed("it ended with an error".to_owned())) };
        }
        let answer: HelperAnswer = serde_json::from_slice(&output).map_err(|_| failed("its answer is not its JSON".to_owned()))?;
        Ok(Some(if answer.username == TOKEN_USER {
            Login::Identity(Secret(answer.secret))
        } else {
            Login::Password { user: answer.username, password: Secret(answer.secret) }
        }))
    }

    async fn run_helper(&self, program: &str, key: &str) -> std::io::Result<(bool, Vec<u8>)> {
        let path = self.environment.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value.clone()).unwrap_or_default();
        let found = std::env::split_paths(&path).filter(|folder| folder.is_absolute()).map(|folder| folder.join(program));
        let found = found.into_iter().find(|file| file.is_file()).ok_or_else(|| std::io::Error::other("it is not on PATH"))?;
        let mut helper = Command::new(found)
            .arg("get")
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(mut input) = helper.stdin.take() {
            // One that has read enough may be gone already.
            let _ = input.write_all(key.as_bytes()).await;
        }
        let mut output = Vec::new();
        if let Some(stdout) = helper.stdout.take() {
            stdout.take(HELPER_LIMIT_BYTES).read_to_end(&mut output).await?;
        }
        Ok((helper.wait().await?.success(), output))
    }
}

/// What helpers may see: where programs and their own files are, the session's bus and display for keychains, and cloud vendors'
/// own variables; nothing that is a job's.
const HELPER_VARIABLES: [&str; 27] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "TMPDIR",
    "DOCKER_CONFIG",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
    "DISPLAY",
    "GNUPGHOME",
    "PASSWORD_STORE_DIR",
    "HTTPS_PROXY",
    "NO_PROXY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "CLOUDSDK_CONFIG",
    "GOOGLE_APPLICATION_CREDENTIALS",
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HelperAnswer {
    username: String,
    secret: String,
}

impl Entry {
    fn login(&self, registry: &str) -> Result<Option<Login>, CredentialError> {
        if !self.registrytoken.is_empty() {
            return Ok(Some(Login::Registry(Secret(self.registrytoken.clone()))));
        }
        if !self.identitytoken.is_empty() {
            return Ok(Some(Login::Identity(Secret(self.identitytoken.clone()))));
        }
        if !self.auth.is_empty() {
            let pair = base64::engine::general_purpose::STANDARD.decode(self.auth.trim()).ok();
            let pair = pair.and_then(|bytes| String::from_utf8(bytes).ok());
            // Docker itself ends some of them in a zero byte.
            let pair = pair.as_deref().and_then(|pair| pair.trim_end_matches('\0').split_once(':'));
            let (user, password) = pair.ok_or_else(|| CredentialError::BadEntry { registry: registry.to_owned() })?;
            return Ok(Some(Login::Password { user: user.to_owned(), password: Secret(password.to_owned()) }));
        }
        let named = !self.username.is_empty();
        Ok(named.then(|| Login::Password { user: self.username.clone(), password: Secret(self.password.clone()) }))
    }
}

impl Secret {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for a header and nothing else.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("file", &self.file).finish_non_exhaustive()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entry(…)")
    }
}

impl CredentialError {
    /// The way out, where one is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Disk(_) => None,
            Self::BadFile { path, .. } => Some(format!("mend {}, or name another folder with DOCKER_CONFIG", path.display())),
            Self::BadEntry { registry } => Some(format!("docker login {registry}")),
            Self::Helper { program, registry, .. } => Some(format!("try it by hand: echo {registry} | {program} get")),
        }
    }
}

/// The host in a key of the file: those of old have `https://` before it and a path behind.
fn host_of(key: &str) -> &str {
    let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    bare.split_once('/').map_or(bare, |(host, _)| host)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn login(config: &serde_json::Value, registry: &str) -> Result<Option<Login>, CredentialError> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        let folder = folder.path().as_os_str().to_owned();
        let credentials = Credentials::of_docker(|name| (name == "DOCKER_CONFIG").then(|| folder.clone())).unwrap();
        credentials.login(registry).await
    }

    fn password(user: &str, password: &str) -> Login {
        Login::Password { user: user.to_owned(), password: Secret::new(password) }
    }

    #[tokio::test]
    async fn entries_are_found_as_docker_finds_them() {
        let config = serde_json::json!({"auths": {
            "https://index.docker.io/v1/": {"auth": "aHViOnB3"},
            "https://old.example/v2/": {"auth": "b2xkOnA6dw=="},
            "new.example:5000": {"username": "new", "password": "pw"},
            "empty.example": {},
            "identity.example": {"auth": "eDp5", "identitytoken": "id"},
            "token.example": {"registrytoken": "bearer"},
        }});
        let table = [
            ("docker.io", Some(password("hub", "pw"))),
            ("old.example", Some(password("old", "p:w"))),
            ("new.example:5000", Some(password("new", "pw"))),
            ("new.example", None),
            ("empty.example", None),
            ("other.example", None),
            ("identity.example", Some(Login::Identity(Secret::new("id")))),
            ("token.example", Some(Login::Registry(Secret::new("bearer")))),
        ];
        for (registry, wanted) in table {
            assert_eq!(login(&config, registry).await.unwrap(), wanted, "{registry}");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_used_is_said_without_the_secret() {
        let config = serde_json::json!({"auths": {"bad.example": {"auth": "c2VjcmV0"}}});
        let refused = login(&config, "bad.example").await.unwrap_err();
        assert!(matches!(refused, CredentialError::BadEntry { .. }), "{refused}");
        assert!(!format!("{refused} {refused:?}").contains("secret"), "{refused:?}");
        let config = serde_json::json!({"credsStore": "../../evil"});
        assert!(login(&config, "bad.example").await.unwrap_err().to_string().contains("helper's name"));

        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), "{\"auths\": \"hunter2\"}").unwrap();
        let folder = folder.path().as_os_str().to_owned();
        let refused = Credentials::of_docker(|name| (name == "DOCKER_CONFIG").then(|| folder.clone())).unwrap_err();
        assert!(!format!("{refused} {refused:?}").contains("hunter2"), "{refused:?}");
        assert!(Credentials::of_docker(|_| None).unwrap().login("a.example").await.unwrap().is_none());
    }

    #[test]
    fn no_debug_output_holds_a_secret() {
        let config = r#"{"auths": {"a.example": {"auth": "aHVudGVyMg==", "password": "hunter2", "identitytoken": "hunter2"}}}"#;
        let file: DockerConfig = serde_json::from_str(config).unwrap();
        let shown = format!("{file:?} {:?}", Login::Identity(Secret::new("hunter2")));
        assert!(!shown.contains("hunter2") && !shown.contains("aHVudGVyMg"), "{shown}");
    }
}
