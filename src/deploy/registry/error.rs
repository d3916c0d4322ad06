//! What went wrong with a registry: where, what was asked, what it answered, and the way out. Never with a credential in it.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::StatusCode;

use super::credentials::CredentialError;
use super::name::ImageName;
use crate::event::Digest;

/// A question to a registry that brought no answer that can be used.
#[derive(Debug, thiserror::Error)]
#[error("{registry}/{repository}: cannot {action}")]
pub struct RegistryError {
    /// Host and port as the image's name has them.
    pub registry: String,
    /// The repository.
    pub repository: String,
    /// What was wanted, to be read after `cannot`.
    pub action: String,
    /// Why not.
    #[source]
    pub problem: Box<Problem>,
}

/// Why a registry did not do it.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The registry is there, and that is not in it.
    #[error("it is not there ({0})")]
    NotThere(Said),
    /// The registry does not let these credentials do that, or wants some.
    #[error("the registry refused {who}: {said}", who = if *.anonymous { "the anonymous request" } else { "these credentials" })]
    Denied {
        /// What it said.
        said: Said,
        /// Whether no credentials were known for it.
        anonymous: bool,
    },
    /// The registry has deletion switched off.
    #[error("deletion is switched off there ({0})")]
    DeletionOff(Said),
    /// Too many requests, and it wants a longer pause than hms makes.
    #[error("the registry wants fewer requests ({said}){}", .wait.map(|wait| format!(" and a pause of {} s", wait.as_secs())).unwrap_or_default())]
    Throttled {
        /// What it said.
        said: Said,
        /// How long it wants to be left alone.
        wait: Option<Duration>,
    },
    /// Another answer than was asked for.
    #[error("the registry answered {0}")]
    Answered(Said),
    /// No connection, or one that broke.
    #[error("the registry cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    /// No whole answer in time.
    #[error("the registry did not answer in time")]
    TimedOut,
    /// An answer that does not follow the protocol.
    #[error("the registry's answer cannot be used: {0}")]
    Malformed(String),
    /// More bytes than such an answer has.
    #[error("the registry sends more than {} MiB for that", .limit_bytes >> 20)]
    TooLarge {
        /// The most that is read.
        limit_bytes: usize,
    },
    /// Bytes that are not those of their digest.
    #[error("the bytes are those of {found}, not of {expected}")]
    WrongBytes {
        /// What was asked for, or promised.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// An image that hms cannot handle.
    #[error("{0}")]
    Unsupported(String),
    /// The tag is there already and names something else.
    #[error("the tag {tag} names {has} there")]
    TagTaken {
        /// Which tag.
        tag: String,
        /// What it names.
        has: Digest,
    },
    /// Credentials could not be had.
    #[error(transparent)]
    Credentials(#[from] CredentialError),
    /// The HTTP client could not be made.
    #[error("no HTTP client could be made")]
    Client(#[source] reqwest::Error),
    /// A file that is to be sent could not be read, or the layer not be written.
    #[error("cannot use {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The release cannot become a layer.
    #[error("{path:?} cannot be part of an image: {why}")]
    Unfit {
        /// Which path of the release.
        path: String,
        /// Why not.
        why: &'static str,
    },
    /// The release's tree cannot be read.
    #[error(transparent)]
    Tree(#[from] crate::deploy::release::ReleaseError),
    /// The process is ending, or the work panicked.
    #[error("the work was stopped")]
    Stopped,
}

/// What a registry answered: its status, and the first of its errors in its own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The HTTP status.
    pub status: StatusCode,
    /// The error's code of the distribution specification, for instance `MANIFEST_UNKNOWN`; empty when it gave none.
    pub code: String,
    /// Its text, without control characters, cut; empty when it gave none.
    pub message: String,
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.status.as_u16())?;
        match (self.code.as_str(), self.message.as_str()) {
            ("", "") => write!(f, " {}", self.status.canonical_reason().unwrap_or_default()),
            ("", message) => write!(f, ": {message}"),
            (code, "") => write!(f, " {code}"),
            (code, message) => write!(f, " {code}: {message}"),
        }
    }
}

impl RegistryError {
    pub(super) fn new(image: &ImageName, action: impl Into<String>, problem: impl Into<Problem>) -> Self {
        let (registry, repository) = (image.registry().to_owned(), image.repository().to_owned());
        Self { registry, repository, action: action.into(), problem: Box::new(problem.into()) }
    }

    /// Whether the registry answered, and what was asked for is not in it.
    #[must_use]
    pub fn is_not_there(&self) -> bool {
        matches!(*self.problem, Problem::NotThere(_))
    }

    /// Whether it is not known whether the registry did it.
    pub(super) fn has_no_answer(&self) -> bool {
        matches!(*self.problem, Problem::TimedOut | Problem::Unreachable(_))
    }

    /// The status of an answer that has no meaning of its own.
    pub(super) fn status(&self) -> Option<StatusCode> {
        if let Problem::Answered(said) = &*self.problem { Some(said.status) } else { None }
    }

    /// The way out, where one is known: for a person, with a command where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let registry = &self.registry;
        let hint = match &*self.problem {
            Problem::NotThere(_) => format!("look at what is there: {registry}/{} may lack a push, or have lost the tag", self.repository),
            Problem::Denied { anonymous: true, .. } => {
                format!(
                    "docker login {registry}, or put its credentials into $DOCKER_CONFIG/config.json; a repository that is not there may look the same"
                )
            }
            Problem::Denied { anonymous: false, .. } => {
                format!("see that these credentials may do that at {registry}; a repository that is not there may look the same")
            }
            Problem::DeletionOff(_) => {
                "the registry's operator switches it on (REGISTRY_STORAGE_DELETE_ENABLED=true for distribution's registry)".to_owned()
            }
            Problem::Throttled { .. } => "wait, or log in: registries give anonymous requests less".to_owned(),
            Problem::Unreachable(_) | Problem::TimedOut => {
                format!(
                    "see that {registry} is up and its name right; http alone is used for loopback and for hosts that the operator lists"
                )
            }
            Problem::TagTaken { .. } => "name another tag, or take this one over knowingly".to_owned(),
            Problem::Credentials(error) => return error.hint(),
            Problem::Answered(_)
            | Problem::Malformed(_)
            | Problem::TooLarge { .. }
            | Problem::WrongBytes { .. }
            | Problem::Unsupported(_)
            | Problem::Client(_)
            | Problem::File { .. }
            | Problem::Unfit { .. }
            | Problem::Tree(_)
            | Problem::Stopped => return None,
        };
        Some(hint)
    }
}
