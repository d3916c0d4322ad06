//! A real registry for a test: started on a free port of loopback with a folder of its own, ended with the test.

use std::ffi::OsString;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use hms::deploy::registry::{Credentials, ImageName, Registry, RegistrySettings};
use hms::event::Digest;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use super::super::world::BOUND;

pub(super) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(super) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// `anna` with the password `correct horse`, as `htpasswd -nbB` writes it.
const HTPASSWD: &str = "anna:$2y$05$bAiPE5u7UIiG41Au.MvJ/.bTjSvmSMPHxSznRogzGvjyOJSkWMyci\n";

/// Whom the registry lets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door<'a> {
    /// Everybody.
    Open,
    /// `anna` with her password.
    Password,
    /// Whoever has a token of the server at this address that the certificate in this file proves.
    Token { realm: &'a str, certificate: &'a Path },
}

/// Whether deletion is switched on; the registry's own default is that it is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deletion {
    On,
    Off,
}

pub(super) struct RealRegistry {
    _folder: tempfile::TempDir,
    pub(super) host: String,
    process: Child,
    client: Client,
}

impl Drop for RealRegistry {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _ended = self.process.wait();
    }
}

/// The registry's program; none, said, when there is none, which continuous integration does not put up with.
fn program() -> Option<PathBuf> {
    let named = std::env::var_os("HMS_TEST_REGISTRY").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = |name: &str| std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file());
    let found = named.or_else(|| on_path("docker-registry")).or_else(|| on_path("registry"));
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "the registry's program is not here: install docker-registry");
        eprintln!("skipped: there is no registry (install docker-registry, or name one by HMS_TEST_REGISTRY)");
    }
    found
}

/// A registry that lets everybody in, with deletion on; none when there is no program.
pub(super) async fn open_registry() -> Option<RealRegistry> {
    RealRegistry::start(Door::Open, Deletion::On).await
}

impl RealRegistry {
    pub(super) async fn start(door: Door<'_>, deletion: Deletion) -> Option<Self> {
        let program = program()?;
        // Another process may take the port before the registry does.
        for _ in 0..5 {
            if let Some(started) = Self::try_start(&program, door, deletion).await {
                return Some(started);
            }
        }
        panic!("the registry never answered");
    }

    async fn try_start(program: &Path, door: Door<'_>, deletion: Deletion) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let host = format!("127.0.0.1:{port}");
        let users = folder.path().join("users");
        std::fs::write(&users, HTPASSWD).unwrap();
        let auth = match door {
            Door::Open => json!({}),
            Door::Password => json!({"auth": {"htpasswd": {"realm": "the tests", "path": users}}}),
            Door::Token { realm, certificate } => json!({"auth": {"token": {
                "realm": realm, "service": "the registry", "issuer": "the tests", "rootcertbundle": certificate,
            }}}),
        };
        let mut config = json!({
            "version": "0.1",
            "log": {"level": "error", "accesslog": {"disabled": true}},
            "storage": {"filesystem": {"rootdirectory": folder.path().join("data")}, "delete": {"enabled": deletion == Deletion::On}},
            "http": {"addr": host},
        });
        config.as_object_mut().unwrap().extend(auth.as_object().unwrap().clone());
        let file = folder.path().join("config.yml");
        // JSON is YAML.
        std::fs::write(&file, config.to_string()).unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new(program);
        command.arg("serve").arg(&file).env_clear().stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let process = command.spawn().unwrap();
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
        let mut registry = Self { _folder: folder, host, process, client };
        registry.answers().await.then_some(registry)
    }

    /// Waits until it does; false when it ended.
    async fn answers(&mut self) -> bool {
        let end = Instant::now() + BOUND;
        while Instant::now() < end {
            if self.client.get(format!("http://{}/v2/", self.host)).send().await.is_ok() {
                return true;
            }
            if self.process.try_wait().unwrap().is_some() {
                return false;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        false
    }

    pub(super) fn image(&self, name: &str) -> ImageName {
        format!("{}/{name}", self.host).parse().unwrap()
    }

    /// Speaks to the registry by hand, as `anna`.
    pub(super) async fn send(&self, method: Method, path: &str, kind: &str, body: Vec<u8>) -> reqwest::Response {
        let request = self.client.request(method, format!("http://{}/v2/{path}", self.host)).basic_auth("anna", Some("correct horse"));
        let accept = [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST].join(", ");
        request.header("content-type", kind).header("accept", accept).body(body).send().await.unwrap()
    }

    /// Puts a blob there by hand.
    pub(super) async fn put_blob(&self, repository: &str, bytes: &[u8]) -> Value {
        let begun = self.send(Method::POST, &format!("{repository}/blobs/uploads/"), "", vec![]).await;
        assert_eq!(begun.status(), StatusCode::ACCEPTED);
        let location = begun.headers()["location"].to_str().unwrap();
        let path = location.split_once("/v2/").unwrap().1;
        let digest = Digest::of(bytes);
        let put = self.send(Method::PUT, &format!("{path}&digest={digest}"), "application/octet-stream", bytes.to_vec()).await;
        assert_eq!(put.status(), StatusCode::CREATED);
        json!({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest, "size": bytes.len()})
    }

    /// Puts a manifest there by hand, under a tag or a digest.
    pub(super) async fn put_manifest(&self, repository: &str, reference: &str, kind: &str, manifest: &Value) -> Digest {
        let bytes = manifest.to_string().into_bytes();
        let digest = Digest::of(&bytes);
        let put = self.send(Method::PUT, &format!("{repository}/manifests/{reference}"), kind, bytes).await;
        assert_eq!(put.status(), StatusCode::CREATED, "{}", put.text().await.unwrap());
        digest
    }

    /// Puts an image there by hand whose only layer is `content`, and which says so in a label.
    pub(super) async fn put_image(&self, repository: &str, tag: &str, content: &str) -> Digest {
        let manifest = self.image_of(repository, content, OCI_MANIFEST).await;
        self.put_manifest(repository, tag, OCI_MANIFEST, &manifest).await
    }

    pub(super) async fn image_of(&self, repository: &str, content: &str, kind: &str) -> Value {
        let layer = self.put_blob(repository, content.as_bytes()).await;
        let config = json!({
            "os": "linux", "architecture": "amd64",
            "config": {"Entrypoint": ["/bin/base"], "Cmd": ["--serve"], "Env": ["PATH=/bin"], "Labels": {"content": content}},
            "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
            "history": [{"created": "2026-01-02T03:04:05Z", "created_by": "the base"}],
        });
        let mut config = self.put_blob(repository, config.to_string().as_bytes()).await;
        config["mediaType"] = match kind {
            DOCKER_MANIFEST => "application/vnd.docker.container.image.v1+json",
            _ => "application/vnd.oci.image.config.v1+json",
        }
        .into();
        json!({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": [layer]})
    }
}

/// A client that makes short pauses, so that a test does not last.
pub(super) fn client(credentials: Credentials) -> Registry {
    Registry::new(credentials, quick()).unwrap()
}

pub(super) fn quick() -> RegistrySettings {
    RegistrySettings { pause: std::time::Duration::from_millis(1), ..RegistrySettings::default() }
}

pub(super) fn anonymous() -> Registry {
    client(Credentials::anonymous())
}

/// A folder with a Docker configuration, and what the environment says with it.
pub(super) struct DockerFolder(pub(super) tempfile::TempDir);

impl DockerFolder {
    pub(super) fn new(config: &Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        Self(folder)
    }

    /// Adds a helper: a shell script that finds the server in `$server`.
    pub(super) fn with_helper(self, name: &str, script: &str) -> Self {
        let path = self.0.path().join(format!("docker-credential-{name}"));
        std::fs::write(&path, format!("#!/bin/sh\n[ \"$1\" = get ] || exit 9\nread -r server\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    pub(super) fn credentials(&self) -> Credentials {
        let variable = |name: &str| -> Option<OsString> {
            match name {
                "DOCKER_CONFIG" => Some(self.0.path().into()),
                "PATH" => Some(format!("{}:/usr/bin:/bin", self.0.path().display()).into()),
                _ => None,
            }
        };
        Credentials::of_docker(variable).unwrap()
    }
}

/// Credentials of one registry in Docker's configuration.
pub(super) fn entry(host: &str, user: &str, password: &str) -> Value {
    json!({"auths": {host: {"username": user, "password": password}}})
}

/// The whole chain of causes, as a door prints it.
pub(super) fn told(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    std::iter::once(error.to_string()).chain(causes.map(ToString::to_string)).collect::<Vec<_>>().join(": ")
}
