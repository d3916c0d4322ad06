//! What is asked of a real registry: resolve, exists, presence, tags, configuration.

use hms::deploy::registry::{Platform, Presence, Problem, TagState};
use hms::event::Digest;
use reqwest::Method;
use serde_json::json;

use super::world::{DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, anonymous, open_registry, told};

#[tokio::test]
async fn a_tag_is_resolved_to_the_digest_of_its_bytes() {
    let Some(real) = open_registry().await else { return };
    let digest = real.put_image("shop/api", "v1", "one").await;
    let name = real.image("shop/api:v1");
    let registry = anonymous();
    let resolved = registry.resolve(&name).await.unwrap();
    assert_eq!((&resolved.digest, resolved.media_type.as_str(), resolved.is_index()), (&digest, OCI_MANIFEST, false));
    assert_eq!(resolved.pinned().to_string(), format!("{}/shop/api@{digest}", real.host));
    assert_eq!(registry.resolve(&resolved.pinned()).await.unwrap().digest, digest);

    assert!(registry.exists(&name, &digest).await.unwrap());
    assert!(!registry.exists(&name, &Digest::of(b"another")).await.unwrap());
    assert!(!registry.exists(&real.image("nothing/here"), &digest).await.unwrap());

    let docker = real.image_of("shop/api", "two", DOCKER_MANIFEST).await;
    let docker = real.put_manifest("shop/api", "v2", DOCKER_MANIFEST, &docker).await;
    let resolved = registry.resolve(&real.image("shop/api:v2")).await.unwrap();
    assert_eq!((&resolved.digest, resolved.media_type.as_str()), (&docker, DOCKER_MANIFEST));
}

#[tokio::test]
async fn what_is_not_there_is_said_with_its_name() {
    let Some(real) = open_registry().await else { return };
    real.put_image("shop/api", "v1", "one").await;
    let missing = anonymous().resolve(&real.image("shop/api:v9")).await.unwrap_err();
    assert!(missing.is_not_there());
    assert_eq!(told(&missing), format!("{}/shop/api: cannot find it by v9: it is not there (404 Not Found)", real.host));
    assert!(missing.hint().is_some());
    let nobody = anonymous().resolve(&"127.0.0.1:1/shop/api".parse().unwrap()).await.unwrap_err();
    assert!(matches!(*nobody.problem, Problem::Unreachable(_)), "{nobody:?}");
}

#[tokio::test]
async fn a_tag_that_moved_is_found_out() {
    let Some(real) = open_registry().await else { return };
    let one = real.put_image("shop/api", "v1", "one").await;
    let name = real.image("shop/api:v1");
    let registry = anonymous();
    assert_eq!(registry.tag_state(&name, &one).await.unwrap(), TagState::Same);
    let two = real.put_image("shop/api", "v1", "two").await;
    assert_eq!(registry.tag_state(&name, &one).await.unwrap(), TagState::Moved { to: two });
    assert_eq!(registry.tag_state(&real.image("shop/api:v9"), &one).await.unwrap(), TagState::NotThere);
    assert!(registry.exists(&name, &one).await.unwrap(), "the old bytes are still there by digest");
}

#[tokio::test]
async fn an_index_is_the_release_and_its_platforms_manifest_the_configuration() {
    let Some(real) = open_registry().await else { return };
    let inner = real.image_of("shop/api", "amd", OCI_MANIFEST).await;
    let manifest = real.put_manifest("shop/api", &Digest::of(inner.to_string().as_bytes()).to_string(), OCI_MANIFEST, &inner).await;
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [{
        "mediaType": OCI_MANIFEST, "digest": manifest, "size": inner.to_string().len(),
        "platform": {"os": "linux", "architecture": "amd64"},
    }]});
    let digest = real.put_manifest("shop/api", "v1", OCI_INDEX, &index).await;
    let registry = anonymous();
    let resolved = registry.resolve(&real.image("shop/api:v1")).await.unwrap();
    assert_eq!((&resolved.digest, resolved.is_index()), (&digest, true));
    let amd: Platform = "linux/amd64".parse().unwrap();
    let config = registry.config(&resolved, &amd).await.unwrap();
    assert_eq!((config.entrypoint.as_slice(), config.labels["content"].as_str()), (["/bin/base".to_owned()].as_slice(), "amd"));
    let other = registry.config(&resolved, &"linux/s390x".parse().unwrap()).await.unwrap_err();
    assert!(told(&other).contains("linux/s390x, but for linux/amd64"), "{}", told(&other));

    assert_eq!(registry.presence(&resolved.name, &digest, &amd).await.unwrap(), Presence::Whole);
    real.send(Method::DELETE, &format!("shop/api/manifests/{manifest}"), "", vec![]).await;
    assert!(registry.exists(&resolved.name, &digest).await.unwrap(), "the index alone is there");
    assert_eq!(registry.presence(&resolved.name, &digest, &amd).await.unwrap(), Presence::Damaged { missing: vec![manifest] });
}

#[tokio::test]
async fn an_image_without_a_layer_is_not_whole() {
    let Some(real) = open_registry().await else { return };
    let digest = real.put_image("shop/api", "v1", "one").await;
    let (registry, name, platform) = (anonymous(), real.image("shop/api:v1"), Platform::here());
    assert_eq!(registry.presence(&name, &digest, &platform).await.unwrap(), Presence::Whole);
    real.send(Method::DELETE, &format!("shop/api/blobs/{}", Digest::of(b"one")), "", vec![]).await;
    let damaged = Presence::Damaged { missing: vec![Digest::of(b"one")] };
    assert_eq!(registry.presence(&name, &digest, &platform).await.unwrap(), damaged);
    assert_eq!(registry.presence(&name, &Digest::of(b"x"), &platform).await.unwrap(), Presence::Absent);
}

#[tokio::test]
async fn tags_are_listed_over_pages() {
    let Some(real) = open_registry().await else { return };
    let image = real.image_of("shop/api", "one", OCI_MANIFEST).await;
    let mut wanted: Vec<String> = (0..1003).map(|number| format!("v{number}")).collect();
    for tag in &wanted {
        real.put_manifest("shop/api", tag, OCI_MANIFEST, &image).await;
    }
    wanted.sort_unstable();
    assert_eq!(anonymous().tags(&real.image("shop/api")).await.unwrap(), wanted);
    assert!(anonymous().tags(&real.image("nothing/here")).await.unwrap_err().is_not_there());
}
