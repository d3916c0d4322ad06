//! Calls to one API server: each bounded in time, reads tried again, every failure told with its cause (`docs/decisions.md` 20.11).
//!
//! Nothing here knows what an object means. A write is sent once: whoever gets no answer to one reads back what became of it.

use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::Status;
use kube::{Client, Config, Error, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::OnceCell;

use crate::deploy::TargetError;
use crate::event::TargetIdentity;
use crate::store::chain;

/// How long one call may take.
const CALL: Duration = Duration::from_secs(10);
/// How often a read is tried.
const TRIES: u32 = 4;
/// The pause before a read's second try; it doubles.
const PAUSE: Duration = Duration::from_millis(150);
/// The longest pause that a server's Retry-After is granted.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A connection to one cluster, in one namespace.
#[derive(Clone)]
pub(super) struct Access {
    client: Client,
    context: String,
    namespace: String,
    uid: std::sync::Arc<OnceCell<String>>,
}

impl Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").field("context", &self.context).field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

/// Why a call gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Trouble {
    /// Somebody else wrote meanwhile, or the object is there already.
    #[error("{what}: {message}")]
    Conflict {
        /// What was done to which object.
        what: String,
        /// The server's words.
        message: String,
    },
    /// Server-side apply: these fields are another manager's.
    #[error("{what}: {}", said_fields(.fields))]
    Owned {
        /// What was done to which object.
        what: String,
        /// Manager and field.
        fields: Vec<(String, String)>,
    },
    /// The object is not there.
    #[error("{what}: it is not there")]
    Gone {
        /// What was done to which object.
        what: String,
    },
    /// The server answers that it will not: rights, admission, quota, a field it does not take.
    #[error("{what}: {message}")]
    Refused {
        /// What was done to which object.
        what: String,
        /// HTTP status.
        code: u16,
        /// The server's words.
        message: String,
    },
    /// No answer, or none that can be read; what became of a write is unknown.
    #[error("{what}: {message}")]
    Silent {
        /// What was done to which object.
        what: String,
        /// What went wrong on the way.
        message: String,
    },
}

fn said_fields(fields: &[(String, String)]) -> String {
    let told: Vec<String> = fields.iter().map(|(manager, field)| format!("{field} is managed by {manager}")).collect();
    told.join(", ")
}

impl From<Trouble> for TargetError {
    fn from(trouble: Trouble) -> Self {
        let reason = trouble.to_string();
        match trouble {
            Trouble::Conflict { .. } | Trouble::Silent { .. } => Self::Unreachable { reason },
            Trouble::Gone { .. } | Trouble::Refused { .. } => Self::NotPossible { reason },
            Trouble::Owned { .. } => {
                Self::NotPossible { reason: format!("{reason} (hint: list the manager under `take_over` of this environment in .hms)") }
            }
        }
    }
}

impl Access {
    /// Connects by the context of the user's kubeconfig (`KUBECONFIG`, a list, else `~/.kube/config`); without a context inside a
    /// cluster by the pod's service account. Nothing is asked of the server yet.
    pub(super) async fn open(context: Option<&str>, namespace: &str) -> Result<Self, TargetError> {
        let unreachable = |reason: String| TargetError::Unreachable { reason };
        let (mut config, name) = if let Some(context) = context {
            let kubeconfig =
                Kubeconfig::read().map_err(|error| unreachable(format!("the kubeconfig cannot be read: {}", chain(&error))))?;
            let known: Vec<String> = kubeconfig.contexts.iter().map(|named| named.name.clone()).collect();
            if !known.iter().any(|name| name == context) {
                let there = if known.is_empty() { "it has none".to_owned() } else { format!("it has {}", known.join(", ")) };
                return Err(unreachable(format!(
                    "the kubeconfig has no context `{context}`; {there} (hint: KUBECONFIG names the file, or a list of files)"
                )));
            }
            let options = KubeConfigOptions { context: Some(context.to_owned()), ..KubeConfigOptions::default() };
            let config = Config::from_custom_kubeconfig(kubeconfig, &options)
                .await
                .map_err(|error| unreachable(format!("context {context} cannot be used: {}", chain(&error))))?;
            (config, context.to_owned())
        } else {
            let config = Config::incluster().map_err(|error| {
                unreachable(format!("no context is named and this is no pod with a service account: {}", chain(&error)))
            })?;
            (config, "in-cluster".to_owned())
        };
        config.connect_timeout = Some(CALL);
        // A watch and a followed log are read for as long as they last; single calls are bounded by `bounded`.
        config.read_timeout = None;
        let client = Client::try_from(config).map_err(|error| unreachable(format!("context {name} cannot be used: {}", chain(&error))))?;
        Ok(Self { client, context: name, namespace: namespace.to_owned(), uid: std::sync::Arc::default() })
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// What people call this place.
    pub(super) fn name(&self) -> String {
        format!("{}/{}", self.context, self.namespace)
    }

    /// The cluster by the uid of its kube-system, which no changed context can bend.
    pub(super) async fn identity(&self) -> Result<TargetIdentity, TargetError> {
        let uid = self
            .uid
            .get_or_try_init(|| async {
                let all: Api<Namespace> = Api::all(self.client.clone());
                let found = read("namespace kube-system", || all.get_opt("kube-system")).await?;
                found.and_then(|namespace| namespace.metadata.uid).ok_or_else(|| Trouble::Gone { what: "namespace kube-system".to_owned() })
            })
            .await?;
        Ok(TargetIdentity { kind: "kubernetes".to_owned(), id: format!("{uid}/{}", self.namespace), name: self.name() })
    }

    /// Objects of a kind in this namespace.
    pub(super) fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// An object; none when it is not there.
    pub(super) async fn get<K>(&self, name: &str) -> Result<Option<K>, Trouble>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
        K::DynamicType: Default,
    {
        get(&self.api::<K>(), name, &what::<K>("read", name)).await
    }

    /// All objects with these labels.
    pub(super) async fn list<K>(&self, labels: &str) -> Result<Vec<K>, Trouble>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
        K::DynamicType: Default,
    {
        let (api, parameters) = (self.api::<K>(), ListParams::default().labels(labels));
        Ok(read(&what::<K>("list", labels), || api.list(&parameters)).await?.items)
    }

    /// Makes an object that is not there yet.
    pub(super) async fn create<K>(&self, object: &K, manager: &str) -> Result<K, Trouble>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug + Serialize,
        K::DynamicType: Default,
    {
        let name = object.meta().name.clone().unwrap_or_default();
        let parameters = PostParams { field_manager: Some(manager.to_owned()), ..PostParams::default() };
        bounded(&what::<K>("create", &name), self.api::<K>().create(&parameters, object)).await
    }

    /// Puts an object in the place of the one with its resourceVersion.
    pub(super) async fn replace<K>(&self, object: &K, manager: &str) -> Result<K, Trouble>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug + Serialize,
        K::DynamicType: Default,
    {
        let name = object.meta().name.clone().unwrap_or_default();
        let parameters = PostParams { field_manager: Some(manager.to_owned()), ..PostParams::default() };
        bounded(&what::<K>("write", &name), self.api::<K>().replace(&name, &parameters, object)).await
    }

    /// Takes an object away, if it is the one with this uid. One that is not there is no trouble.
    pub(super) async fn delete<K>(&self, name: &str, uid: Option<&str>) -> Result<(), Trouble>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
        K::DynamicType: Default,
    {
        let preconditions = uid.map(|uid| kube::api::Preconditions { uid: Some(uid.to_owned()), resource_version: None });
        let parameters = DeleteParams { preconditions, ..DeleteParams::background() };
        match bounded(&what::<K>("delete", name), self.api::<K>().delete(name, &parameters)).await {
            Ok(_) | Err(Trouble::Gone { .. }) => Ok(()),
            Err(trouble) => Err(trouble),
        }
    }
}

/// What is done to which object, in words.
pub(super) fn what<K>(verb: &str, name: &str) -> String
where
    K: Resource,
    K::DynamicType: Default,
{
    format!("{verb} {} {name}", K::kind(&K::DynamicType::default()).to_lowercase())
}

/// An object; none when it is not there.
pub(super) async fn get<K: Clone + DeserializeOwned + Debug>(api: &Api<K>, name: &str, what: &str) -> Result<Option<K>, Trouble> {
    read(what, || api.get_opt(name)).await
}

/// Patches once; with `test` operations or a resourceVersion in it the server refuses it when the object changed.
pub(super) async fn patch<K, P>(api: &Api<K>, name: &str, manager: &str, patch: &Patch<P>, what: &str) -> Result<K, Trouble>
where
    K: Clone + DeserializeOwned + Debug,
    P: Serialize + Debug,
{
    let parameters = PatchParams { field_manager: Some(manager.to_owned()), ..PatchParams::default() };
    bounded(what, api.patch(name, &parameters, patch)).await
}

/// A read: tried again while the server is busy or does not answer.
pub(super) async fn read<T, F: Future<Output = Result<T, Error>> + Send>(what: &str, call: impl Fn() -> F + Send) -> Result<T, Trouble> {
    let mut pause = PAUSE;
    for _ in 1..TRIES {
        let wait = match tokio::time::timeout(CALL, call()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(Error::Api(status))) if status.code == 429 || status.code >= 500 => {
                let asked = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
                pause.max(Duration::from_secs(u64::from(asked))).min(LONGEST_PAUSE)
            }
            Ok(Err(error @ (Error::Service(_) | Error::HyperError(_)))) if !is_refusal_to_speak(&error) => pause,
            Ok(Err(Error::Api(status))) if !is_an_api_servers(&status) => pause,
            // Half an answer: what is between here and there was cut off.
            Ok(Err(Error::SerdeError(_))) => pause,
            Ok(Err(error)) => return Err(trouble(what, &error)),
            Err(_) => return Err(late(what)),
        };
        tokio::time::sleep(wait).await;
        pause *= 2;
    }
    bounded(what, call()).await
}

/// A call that is made once.
pub(super) async fn bounded<T>(what: &str, call: impl Future<Output = Result<T, Error>>) -> Result<T, Trouble> {
    match tokio::time::timeout(CALL, call).await {
        Ok(answer) => answer.map_err(|error| trouble(what, &error)),
        Err(_) => Err(late(what)),
    }
}

fn late(what: &str) -> Trouble {
    Trouble::Silent { what: what.to_owned(), message: format!("the API server did not answer within {} s", CALL.as_secs()) }
}

/// TLS and credentials do not get better by asking again.
fn is_refusal_to_speak(error: &Error) -> bool {
    let text = chain(error).to_lowercase();
    ["certificate", "credential", "exec plugin", "auth"].iter().any(|word| text.contains(word))
}

/// Whether an error is told as an API server tells it: a proxy's own 404, or half of one, says nothing of an object. A server that does not
/// know a kind answers in plain words.
fn is_an_api_servers(status: &Status) -> bool {
    status.reason != "Failed to parse error data" || status.message == "404 page not found"
}

fn trouble(what: &str, error: &Error) -> Trouble {
    let what = what.to_owned();
    if let Error::Api(status) = &error {
        if !is_an_api_servers(status) {
            let said: String = status.message.chars().take(80).collect();
            return Trouble::Silent { what, message: format!("what answered {} is no API server, or broke off: {said}", status.code) };
        }
        return answered(what, status);
    }
    let broken = if matches!(error, Error::SerdeError(_)) { "the answer of the API server is none, or broke off: " } else { "" };
    Trouble::Silent { what, message: format!("{broken}{}", chain(&error)) }
}

fn answered(what: String, status: &Status) -> Trouble {
    let fields: Vec<(String, String)> = status
        .details
        .iter()
        .flat_map(|details| &details.causes)
        .filter(|cause| cause.reason == "FieldManagerConflict")
        .map(|cause| (manager_of(&cause.message), cause.field.clone()))
        .collect();
    let message = match (status.code, status.message.as_str()) {
        (401, _) => "the API server does not accept the credential (401); log in again for this context".to_owned(),
        (code, "") => format!("the API server answered {code}"),
        (429, message) => format!("the API server is busy (429): {message}"),
        (code @ 500.., message) => format!("the API server failed ({code}): {message}"),
        (_, message) => message.to_owned(),
    };
    match status.code {
        404 => Trouble::Gone { what },
        409 if !fields.is_empty() => Trouble::Owned { what, fields },
        409 => Trouble::Conflict { what, message },
        // A failed `test` of a JSON patch has no reason of its own.
        422 if message.contains("the server rejected our request due to an error in our request") => Trouble::Conflict { what, message },
        // A field that the schema does not have is answered with 500; asking again does not help.
        500 if message.contains("field not declared in schema") => Trouble::Refused { what, code: 422, message },
        429 | 500.. => Trouble::Silent { what, message },
        code => Trouble::Refused { what, code, message },
    }
}

/// `conflict with "gitops"` → `gitops`.
fn manager_of(message: &str) -> String {
    message.split('"').nth(1).unwrap_or(message).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxys_own_404_is_no_word_on_an_object() {
        let said = |message: &str, reason: &str| {
            let status = Status::failure(message, reason).with_code(404);
            trouble("read deployment shop", &Error::Api(Box::new(status)))
        };
        assert!(matches!(said("<html>no such site</html>", "Failed to parse error data"), Trouble::Silent { .. }));
        assert!(matches!(said(r#"{"kind":"Status","#, "Failed to parse error data"), Trouble::Silent { .. }));
        assert!(matches!(said("404 page not found", "Failed to parse error data"), Trouble::Gone { .. }), "a kind that is not served");
        assert!(matches!(said(r#"deployments.apps "shop" not found"#, "NotFound"), Trouble::Gone { .. }));
    }
}
