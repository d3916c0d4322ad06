//! Manifests, indexes and configurations of images, as registries keep them. Pure.
//!
//! Source: github.com/opencontainers/image-spec, `manifest.md`, `image-index.md`, `config.md`; github.com/distribution/distribution,
//! `docs/content/spec/manifest-v2-2.md` for Docker's older names of the same.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::error::Problem;
use crate::event::{BadName, Digest};

/// A manifest of the Open Container Initiative.
pub(super) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Docker's own of version 2, schema 2.
pub(super) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// What hms asks registries for.
pub(super) const ACCEPT: &str = concat!(
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, ",
    "application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json"
);

/// What kind of system an image is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Platform {
    /// For instance `linux`.
    pub os: String,
    /// For instance `amd64`: Go's name of it.
    pub architecture: String,
    /// For instance `v8`, where it matters.
    pub variant: Option<String>,
}

/// What an image says about how it is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageConfig {
    /// What it is for.
    pub platform: Platform,
    /// What is always run; empty when `command` is the whole of it.
    pub entrypoint: Vec<String>,
    /// Arguments of the entrypoint, or the command.
    pub command: Vec<String>,
    /// Variables as `NAME=value`, in the image's order.
    pub environment: Vec<String>,
    /// Where it is started; empty for `/`.
    pub working_directory: String,
    /// As whom; empty for root.
    pub user: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// What a manifest names: bytes by digest, with their size and kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    pub(super) media_type: String,
    pub(super) digest: Digest,
    pub(super) size: u64,
    /// Where bytes lie that no registry keeps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) urls: Vec<String>,
    #[serde(flatten)]
    pub(super) other: Map<String, Value>,
}

/// One image for one platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Manifest {
    pub(super) schema_version: u32,
    pub(super) media_type: String,
    pub(super) config: Descriptor,
    pub(super) layers: Vec<Descriptor>,
}

/// What a digest of a repository names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Document {
    Image(Manifest),
    /// Manifests, each for a platform.
    Index(Vec<Descriptor>),
}

/// Reads a document; `content_type` is the registry's word for what it is.
pub(super) fn read_document(bytes: &[u8], content_type: Option<&str>) -> Result<(String, Document), Problem> {
    let malformed = |why: &str| Problem::Malformed(format!("the manifest is none: {why}"));
    let Ok(Value::Object(mut value)) = serde_json::from_slice(bytes) else { return Err(malformed("it is no JSON object")) };
    let content_type = content_type.map(|kind| kind.split(';').next().unwrap_or(kind).trim());
    let own = value.get("mediaType").and_then(Value::as_str);
    // One text with two meanings would be two images under one digest (CVE-2021-41190).
    if value.contains_key("manifests") && (value.contains_key("layers") || value.contains_key("config")) {
        return Err(malformed("it is an index and an image at once"));
    }
    if let (Some(own), Some(content_type)) = (own, content_type.filter(|kind| is_known(kind)))
        && own != content_type
    {
        return Err(malformed("it says another kind than the registry"));
    }
    let kind = own.or(content_type.filter(|kind| is_known(kind))).unwrap_or(OCI_MANIFEST).to_owned();
    let read = |value: Value| serde_json::from_value(value).map_err(|error| malformed(&error.to_string()));
    match kind.as_str() {
        OCI_INDEX | DOCKER_LIST => {
            let manifests = value.remove("manifests").ok_or_else(|| malformed("an index without manifests"))?;
            let manifests = serde_json::from_value(manifests).map_err(|error| malformed(&error.to_string()))?;
            Ok((kind, Document::Index(manifests)))
        }
        OCI_MANIFEST | DOCKER_MANIFEST => {
            value.insert("mediaType".to_owned(), kind.clone().into());
            Ok((kind, Document::Image(read(Value::Object(value))?)))
        }
        other => Err(Problem::Unsupported(format!("its manifest is of the kind {other:?}, which hms does not read"))),
    }
}

fn is_known(kind: &str) -> bool {
    [OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST].contains(&kind)
}

/// The manifest of an index for a platform.
pub(super) fn for_platform<'a>(manifests: &'a [Descriptor], wanted: &Platform) -> Result<&'a Descriptor, Problem> {
    let platform = |descriptor: &Descriptor| -> Option<Platform> {
        let platform = descriptor.other.get("platform")?;
        let text = |key: &str| platform.get(key).and_then(Value::as_str).map(str::to_owned);
        Some(Platform { os: text("os")?, architecture: text("architecture")?, variant: text("variant") })
    };
    let fits = |descriptor: &&Descriptor| platform(descriptor).is_some_and(|found| wanted.is_met_by(&found));
    manifests.iter().find(fits).ok_or_else(|| {
        let there: Vec<String> = manifests.iter().filter_map(platform).map(|found| found.to_string()).collect();
        Problem::Unsupported(format!("it is not made for {wanted}, but for {}", there.join(", ")))
    })
}

/// Reads how an image is started from its configuration.
pub(super) fn read_config(config: &Value) -> Result<ImageConfig, Problem> {
    let malformed = |what: &str| Problem::Malformed(format!("the image's configuration has no usable {what}"));
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let inner = config.get("config").unwrap_or(&Value::Null);
    let list = |key: &str| match inner.get(key) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(list) => serde_json::from_value::<Vec<String>>(list.clone()).map_err(|_| malformed(key)),
    };
    let labels = match inner.get("Labels") {
        None | Some(Value::Null) => BTreeMap::new(),
        Some(labels) => serde_json::from_value(labels.clone()).map_err(|_| malformed("Labels"))?,
    };
    let variant = config.get("variant").and_then(Value::as_str).map(str::to_owned);
    Ok(ImageConfig {
        platform: Platform { os: text(config, "os"), architecture: text(config, "architecture"), variant },
        entrypoint: list("Entrypoint")?,
        command: list("Cmd")?,
        environment: list("Env")?,
        working_directory: text(inner, "WorkingDir"),
        user: text(inner, "User"),
        labels,
    })
}

impl Platform {
    /// Linux on the processor that hms runs on: what a cluster beside it most likely is.
    #[must_use]
    pub fn here() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Self { os: "linux".to_owned(), architecture: architecture.to_owned(), variant: None }
    }

    /// A variant counts where it is asked for.
    fn is_met_by(&self, found: &Self) -> bool {
        self.os == found.os && self.architecture == found.architecture && (self.variant.is_none() || self.variant == found.variant)
    }
}

impl FromStr for Platform {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let bad = |why| BadName { what: "platform", given: text.to_owned(), why };
        let mut parts = text.split('/').map(str::to_owned);
        let (Some(os), Some(architecture), variant, None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(bad("is not `os/architecture` or `os/architecture/variant`"));
        };
        let plain = |part: &String| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if plain(&os) && plain(&architecture) && variant.as_ref().is_none_or(plain) {
            Ok(Self { os, architecture, variant })
        } else {
            Err(bad("may hold lower case letters and digits only"))
        }
    }
}

impl TryFrom<String> for Platform {
    type Error = BadName;

    fn try_from(text: String) -> Result<Self, BadName> {
        text.parse()
    }
}

impl From<Platform> for String {
    fn from(platform: Platform) -> Self {
        platform.to_string()
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn descriptor(size: u64) -> Value {
        json!({"mediaType": "x", "digest": Digest::of(b"x"), "size": size})
    }

    fn read(value: &Value, content_type: Option<&str>) -> Result<(String, Document), Problem> {
        read_document(value.to_string().as_bytes(), content_type)
    }

    #[test]
    fn a_document_is_one_thing() {
        let image = json!({"schemaVersion": 2, "config": descriptor(1), "layers": [descriptor(2)]});
        let (kind, document) = read(&image, Some("application/vnd.oci.image.manifest.v1+json; charset=utf-8")).unwrap();
        assert_eq!(kind, OCI_MANIFEST);
        assert!(matches!(document, Document::Image(manifest) if manifest.layers[0].size == 2 && manifest.media_type == OCI_MANIFEST));
        let index = json!({"schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": [descriptor(1)]});
        assert!(matches!(read(&index, None).unwrap(), (_, Document::Index(manifests)) if manifests.len() == 1));

        let mut both = image.clone();
        both["manifests"] = json!([]);
        for bad in [
            read(&both, None),
            read(&index, Some(OCI_MANIFEST)),
            read(&image, Some(OCI_INDEX)),
            read(&json!([]), None),
            read(&json!({"mediaType": OCI_MANIFEST}), None),
        ] {
            assert!(matches!(bad, Err(Problem::Malformed(_))), "{bad:?}");
        }
        let old = json!({"schemaVersion": 1, "mediaType": "application/vnd.docker.distribution.manifest.v1+prettyjws"});
        assert!(matches!(read(&old, None), Err(Problem::Unsupported(why)) if why.contains("prettyjws")));
    }

    #[test]
    fn a_platform_is_found_and_what_is_there_is_said() {
        let of = |platform: Value| {
            let mut one = descriptor(1);
            one["platform"] = platform;
            serde_json::from_value::<Descriptor>(one).unwrap()
        };
        let manifests = [
            of(json!({"os": "unknown", "architecture": "unknown"})),
            of(json!({"os": "linux", "architecture": "arm", "variant": "v6"})),
            of(json!({"os": "linux", "architecture": "arm", "variant": "v7"})),
            of(json!({"os": "linux", "architecture": "amd64"})),
        ];
        let found = |text: &str| for_platform(&manifests, &text.parse().unwrap()).map(|one| one.other["platform"]["variant"].clone());
        assert_eq!(found("linux/arm/v7").unwrap(), "v7");
        assert_eq!(found("linux/arm").unwrap(), "v6");
        assert_eq!(found("linux/amd64").unwrap(), Value::Null);
        assert!(found("linux/s390x").unwrap_err().to_string().contains("linux/arm/v7, linux/amd64"));
        for bad in ["linux", "linux/", "a/b/c/d", "linux/AMD64", ""] {
            assert!(bad.parse::<Platform>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_configuration_may_leave_out_almost_everything() {
        let config = read_config(&json!({"os": "linux", "architecture": "amd64", "config": {"Entrypoint": null, "Cmd": ["sh"]}})).unwrap();
        assert_eq!((config.entrypoint, config.command, config.user), (vec![], vec!["sh".to_owned()], String::new()));
        assert!(read_config(&json!({"config": {"Env": "PATH=/bin"}})).is_err());
        assert!(read_config(&json!({})).unwrap().labels.is_empty());
    }
}
