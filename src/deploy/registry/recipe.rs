//! What an image of hms's own is made from, and its configuration and manifest. Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::error::Problem;
use super::layer::Layer;
use super::manifest::{DOCKER_MANIFEST, Descriptor, Manifest, Platform};
use super::name::ImageName;
use crate::event::Digest;

/// When every image of hms was made: a time would make each one another.
const CREATED: &str = "1970-01-01T00:00:00Z";
/// The label that names the base (image-spec, `annotations.md`).
const BASE_LABEL: &str = "org.opencontainers.image.base.digest";

/// How an image is made of a release's tree. Equal recipes, base digests and trees give equal digests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRecipe {
    /// The image that the release's layer is put on.
    pub base: ImageName,
    /// Which of the base's images, where it has several.
    pub platform: Platform,
    /// The folder that the files go to, which is also where it is started: an absolute path, none of whose parts is a link in the base.
    pub folder: String,
    /// What is run; empty to leave it to the base.
    pub entrypoint: Vec<String>,
    /// Its arguments. Where an entrypoint is named, the base's are dropped with the base's entrypoint.
    pub command: Vec<String>,
    /// Labels beside the base's own. What stands here is part of the digest.
    pub labels: BTreeMap<String, String>,
}

/// An image that only has to be sent: its configuration and manifest as bytes.
pub(super) struct Made {
    pub(super) config: Vec<u8>,
    pub(super) manifest: Vec<u8>,
    pub(super) media_type: String,
    pub(super) digest: Digest,
}

/// The parts of a base that an image is made on.
pub(super) struct Base {
    pub(super) digest: Digest,
    pub(super) manifest: Manifest,
    pub(super) config: Value,
}

/// Puts the layer on the base. The result is of the base's own family, Docker's or the OCI's: engines refuse a mixture.
pub(super) fn make(recipe: &ImageRecipe, base: &Base, layer: &Layer) -> Result<Made, Problem> {
    let docker = base.manifest.media_type == DOCKER_MANIFEST;
    let layer_type =
        if docker { "application/vnd.docker.image.rootfs.diff.tar.gzip" } else { "application/vnd.oci.image.layer.v1.tar+gzip" };
    let config = canonical(&configure(recipe, base, &layer.unpacked)?)?;
    let descriptor = |media_type: &str, digest: Digest, size: u64| {
        let media_type = media_type.to_owned();
        Descriptor { media_type, digest, size, urls: Vec::new(), other: Map::new() }
    };
    let size = u64::try_from(config.len()).unwrap_or(u64::MAX);
    let mut layers = base.manifest.layers.clone();
    layers.push(descriptor(layer_type, layer.digest.clone(), layer.bytes));
    let manifest = Manifest {
        schema_version: 2,
        media_type: base.manifest.media_type.clone(),
        config: descriptor(&base.manifest.config.media_type, Digest::of(&config), size),
        layers,
    };
    let bytes = canonical(&serde_json::to_value(&manifest).map_err(|error| Problem::Malformed(error.to_string()))?)?;
    Ok(Made { digest: Digest::of(&bytes), manifest: bytes, media_type: manifest.media_type, config })
}

/// The base's configuration with what the recipe says. What hms does not know of stays.
fn configure(recipe: &ImageRecipe, base: &Base, unpacked: &Digest) -> Result<Value, Problem> {
    let malformed = |what: &str| Problem::Malformed(format!("the base's configuration has no usable {what}"));
    let Value::Object(mut config) = base.config.clone() else { return Err(malformed("object")) };
    // What an engine of old noted of the container it made the base in.
    for old in ["container", "container_config", "id", "parent"] {
        config.remove(old);
    }
    config.insert("created".to_owned(), CREATED.into());
    let layers = config.get_mut("rootfs").and_then(|rootfs| rootfs.get_mut("diff_ids")).and_then(Value::as_array_mut);
    let layers = layers.ok_or_else(|| malformed("rootfs"))?;
    if layers.len() != base.manifest.layers.len() {
        return Err(Problem::Malformed("the base's configuration and manifest differ in their layers".to_owned()));
    }
    layers.push(json!(unpacked));
    let step = json!({"created": CREATED, "created_by": "hms", "comment": format!("release in {}", recipe.folder)});
    let mut history = config.remove("history").and_then(|history| history.as_array().cloned()).unwrap_or_default();
    history.push(step);
    config.insert("history".to_owned(), history.into());

    let started = config.entry("config").or_insert_with(|| json!({}));
    if started.is_null() {
        *started = json!({});
    }
    let started = started.as_object_mut().ok_or_else(|| malformed("config"))?;
    if !recipe.entrypoint.is_empty() {
        started.insert("Entrypoint".to_owned(), json!(recipe.entrypoint));
        started.remove("Cmd");
    }
    if !recipe.command.is_empty() {
        started.insert("Cmd".to_owned(), json!(recipe.command));
    }
    started.insert("WorkingDir".to_owned(), recipe.folder.clone().into());
    // Docker's older builders name the base's configuration here; it would be another's.
    started.remove("Image");
    let labels = started.entry("Labels").or_insert_with(|| json!({}));
    if labels.is_null() {
        *labels = json!({});
    }
    let labels = labels.as_object_mut().ok_or_else(|| malformed("Labels"))?;
    labels.insert(BASE_LABEL.to_owned(), json!(base.digest));
    for (label, value) in &recipe.labels {
        labels.insert(label.clone(), value.clone().into());
    }
    Ok(Value::Object(config))
}

/// RFC 8785: one text for one value, whatever order a program keeps its fields in.
fn canonical(value: &Value) -> Result<Vec<u8>, Problem> {
    serde_json_canonicalizer::to_vec(value).map_err(|error| Problem::Malformed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor(bytes: &[u8]) -> Descriptor {
        let size = u64::try_from(bytes.len()).unwrap();
        Descriptor { media_type: "x".to_owned(), digest: Digest::of(bytes), size, urls: Vec::new(), other: Map::new() }
    }

    fn base(config: Value) -> Base {
        let manifest = Manifest {
            schema_version: 2,
            media_type: super::super::manifest::OCI_MANIFEST.to_owned(),
            config: descriptor(b"config"),
            layers: vec![descriptor(b"layer")],
        };
        Base { digest: Digest::of(b"base"), manifest, config }
    }

    fn recipe() -> ImageRecipe {
        ImageRecipe {
            base: "node:18".parse().unwrap(),
            platform: "linux/amd64".parse().unwrap(),
            folder: "/app".to_owned(),
            entrypoint: vec!["node".to_owned(), "server.js".to_owned()],
            command: Vec::new(),
            labels: BTreeMap::from([("team".to_owned(), "irs".to_owned())]),
        }
    }

    fn whole() -> Value {
        json!({
            "os": "linux", "architecture": "amd64", "created": "2026-01-02T03:04:05Z", "container_config": {"Hostname": "x"},
            "config": {"Entrypoint": ["docker-entrypoint.sh"], "Cmd": ["node"], "Env": ["A=1"], "User": "node", "Labels": null},
            "rootfs": {"type": "layers", "diff_ids": ["sha256:x"]}, "history": [{"created_by": "base"}], "os.version": "12",
        })
    }

    #[test]
    fn the_recipe_is_put_over_the_base_and_the_rest_stays() {
        let made = configure(&recipe(), &base(whole()), &Digest::of(b"layer")).unwrap();
        assert_eq!(
            made,
            json!({
                "os": "linux", "architecture": "amd64", "created": CREATED, "os.version": "12",
                "config": {"Entrypoint": ["node", "server.js"], "Env": ["A=1"], "User": "node", "WorkingDir": "/app",
                    "Labels": {"team": "irs", BASE_LABEL: Digest::of(b"base")}},
                "rootfs": {"type": "layers", "diff_ids": ["sha256:x", Digest::of(b"layer")]},
                "history": [{"created_by": "base"}, {"created": CREATED, "created_by": "hms", "comment": "release in /app"}],
            })
        );
        let plain = ImageRecipe { entrypoint: Vec::new(), ..recipe() };
        let made = configure(&plain, &base(whole()), &Digest::of(b"layer")).unwrap();
        assert_eq!((&made["config"]["Entrypoint"], &made["config"]["Cmd"]), (&json!(["docker-entrypoint.sh"]), &json!(["node"])));
    }

    #[test]
    fn a_base_that_is_not_whole_is_refused() {
        let mut less = whole();
        less["rootfs"]["diff_ids"] = json!([]);
        for bad in [json!([]), json!({}), less] {
            assert!(configure(&recipe(), &base(bad.clone()), &Digest::of(b"layer")).is_err(), "{bad}");
        }
    }
}
