//! Retention on a real registry, with the traps that it has been seen to set.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use hms::deploy::registry::{KnownImages, Problem, Reason, Registry, ReleasedImage, Removed, RetentionPlan, plan_retention};
use hms::event::Digest;
use reqwest::{Method, StatusCode};
use serde_json::json;

use super::server::{Server, answer};
use super::token_server::{certificate, token_server};
use super::world::{Deletion, DockerFolder, Door, OCI_INDEX, OCI_MANIFEST, RealRegistry, anonymous, client, entry, open_registry, told};

const REPOSITORY: &str = "shop/api";

fn keep(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).unwrap()
}

/// Pushes an image a release, oldest first, and knows them newest first.
async fn released(real: &RealRegistry, releases: &[(&str, &str)]) -> KnownImages {
    let mut known = KnownImages::default();
    for (tag, content) in releases {
        let digest = real.put_image(REPOSITORY, tag, content).await;
        known.released.insert(0, ReleasedImage { tag: (*tag).to_owned(), digest });
    }
    known
}

async fn plan(registry: &Registry, real: &RealRegistry, known: &KnownImages, number: usize) -> RetentionPlan {
    let survey = registry.survey(&real.image(REPOSITORY), known).await.unwrap();
    plan_retention(known, &survey, keep(number))
}

async fn tags(real: &RealRegistry) -> Vec<String> {
    anonymous().tags(&real.image(REPOSITORY)).await.unwrap()
}

fn gone(done: &[(hms::deploy::registry::Removal, Removed)]) -> Vec<bool> {
    done.iter().map(|(_, outcome)| matches!(outcome, Removed::Gone)).collect()
}

#[tokio::test]
async fn removal_by_tag_is_not_to_be_had_and_by_digest_takes_every_tag() {
    let Some(real) = open_registry().await else { return };
    let digest = real.put_image(REPOSITORY, "v1", "one").await;
    real.put_image(REPOSITORY, "v1-hotfix", "one").await;
    let by_tag = real.send(Method::DELETE, &format!("{REPOSITORY}/manifests/v1"), "", vec![]).await;
    // Version 2 refuses it; version 3 can.
    let refused = by_tag.status() == StatusCode::BAD_REQUEST;
    assert!(refused || by_tag.status() == StatusCode::ACCEPTED, "{}", by_tag.status());
    assert_eq!(anonymous().tags(&real.image(REPOSITORY)).await.unwrap().len(), if refused { 2 } else { 1 });
    assert!(matches!(anonymous().delete(&real.image(REPOSITORY), &digest).await.unwrap(), Removed::Gone));
    assert_eq!(tags(&real).await, Vec::<String>::new(), "both tags went with the digest");
    assert!(matches!(anonymous().delete(&real.image(REPOSITORY), &digest).await.unwrap(), Removed::WasNotThere));
}

#[tokio::test]
async fn an_old_tag_on_the_running_digest_costs_nobody_the_running_release() {
    let Some(real) = open_registry().await else { return };
    // By tags alone `v1` is the oldest of six; its digest is what runs, as `v1-hotfix`.
    let mut known = released(&real, &[("v1", "a"), ("v2", "b"), ("v3", "c"), ("v4", "d"), ("v5", "e"), ("v1-hotfix", "a")]).await;
    known.running = BTreeSet::from([known.released[0].digest.clone()]);
    let registry = anonymous();
    let shown = plan(&registry, &real, &known, 2).await;
    assert_eq!(tags(&real).await.len(), 6, "showing removes nothing");
    assert_eq!(shown.keep[0].tags, ["v1", "v1-hotfix"]);
    let done = registry.remove_images(&real.image(REPOSITORY), &shown, &known, keep(2)).await.unwrap();
    assert_eq!(gone(&done), [true, true, true]);
    assert_eq!(tags(&real).await, ["v1", "v1-hotfix", "v5"]);
    assert!(registry.exists(&real.image(REPOSITORY), &known.released[0].digest).await.unwrap());
    let again = registry.remove_images(&real.image(REPOSITORY), &shown, &known, keep(2)).await.unwrap();
    assert_eq!(gone(&again), [false, false, false], "twice is once");
}

#[tokio::test]
async fn a_strangers_tag_and_a_tag_that_moved_are_respected() {
    let Some(real) = open_registry().await else { return };
    let known = released(&real, &[("v1", "a"), ("v2", "b"), ("v3", "c")]).await;
    real.put_image(REPOSITORY, "audited", "a").await;
    real.put_image(REPOSITORY, "theirs", "z").await;
    let registry = anonymous();
    let shown = plan(&registry, &real, &known, 1).await;
    assert_eq!(shown.keep[1].why, Reason::OtherTags { tags: vec!["audited".to_owned()] });
    assert_eq!((shown.remove.len(), shown.foreign.as_slice()), (1, ["theirs".to_owned()].as_slice()));
    // Between the list and the deed somebody puts a tag on what was to go.
    real.put_image(REPOSITORY, "keep-me", "b").await;
    let done = registry.remove_images(&real.image(REPOSITORY), &shown, &known, keep(1)).await.unwrap();
    assert!(matches!(done.as_slice(), [(_, Removed::Stays)]), "{done:?}");
    // Or it becomes what runs.
    let shown = plan(&registry, &real, &released(&real, &[("v1", "a2"), ("v2", "b2"), ("v3", "c2")]).await, 1).await;
    let mut now = released(&real, &[("v1", "a2"), ("v2", "b2"), ("v3", "c2")]).await;
    now.running = BTreeSet::from([now.released[2].digest.clone()]);
    let done = registry.remove_images(&real.image(REPOSITORY), &shown, &now, keep(1)).await.unwrap();
    assert_eq!(gone(&done), [true, false], "{done:?}");
    assert!(registry.exists(&real.image(REPOSITORY), &now.released[2].digest).await.unwrap());
}

#[tokio::test]
async fn a_part_of_an_index_that_stays_is_not_removed() {
    let Some(real) = open_registry().await else { return };
    let mut known = released(&real, &[("v1", "a"), ("v2", "b")]).await;
    let part = &known.released[1].digest;
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [{
        "mediaType": OCI_MANIFEST, "digest": part, "size": 1, "platform": {"os": "linux", "architecture": "amd64"},
    }]});
    let digest = real.put_manifest(REPOSITORY, "v3", OCI_INDEX, &index).await;
    known.released.insert(0, ReleasedImage { tag: "v3".to_owned(), digest: digest.clone() });
    // The index has no tag any more and is kept for being the newest release.
    real.put_image(REPOSITORY, "v3", "another").await;
    let shown = plan(&anonymous(), &real, &known, 1).await;
    assert_eq!(shown.keep[1].why, Reason::PartOf { index: digest });
    assert_eq!(shown.remove.len(), 1);
}

#[tokio::test]
async fn deletion_that_is_switched_off_is_said_once() {
    let Some(real) = RealRegistry::start(Door::Open, Deletion::Off).await else { return };
    let known = released(&real, &[("v1", "a"), ("v2", "b"), ("v3", "c")]).await;
    let shown = plan(&anonymous(), &real, &known, 1).await;
    let off = anonymous().remove_images(&real.image(REPOSITORY), &shown, &known, keep(1)).await.unwrap_err();
    assert!(matches!(*off.problem, Problem::DeletionOff(_)), "{off:?}");
    assert!(told(&off).contains("deletion is switched off there (405 UNSUPPORTED"), "{}", told(&off));
    assert!(off.hint().unwrap().contains("REGISTRY_STORAGE_DELETE_ENABLED"));
    assert_eq!(tags(&real).await.len(), 3);
}

#[tokio::test]
async fn a_token_for_removal_names_it() {
    let tokens = token_server(300).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("certificate.pem");
    std::fs::write(&file, certificate()).unwrap();
    let realm = format!("http://{}/token", tokens.host);
    let Some(real) = RealRegistry::start(Door::Token { realm: &realm, certificate: &file }, Deletion::On).await else { return };
    let docker = DockerFolder::new(&entry(&real.host, "anna", "correct horse"));
    let outcome = client(docker.credentials()).delete(&real.image(REPOSITORY), &Digest::of(b"x")).await.unwrap();
    assert!(matches!(outcome, Removed::WasNotThere), "{outcome:?}");
    assert!(tokens.lines()[0].contains("scope=repository%3Ashop%2Fapi%3Adelete%2Cpull"), "{:?}", tokens.lines());
}

#[tokio::test]
async fn a_removal_without_an_answer_is_read_back() {
    for (status, is_gone) in [(404, true), (200, false)] {
        let server =
            Server::start(move |_, asked| if asked.line.starts_with("DELETE") { Vec::new() } else { answer(status, "", "") }).await;
        let name = format!("{}/{REPOSITORY}", server.host).parse().unwrap();
        let outcome = anonymous().delete(&name, &Digest::of(b"x")).await;
        assert_eq!(matches!(outcome, Ok(Removed::Gone)), is_gone, "{outcome:?}");
        assert_eq!(server.lines().iter().filter(|line| line.starts_with("DELETE")).count(), 1, "never asked for twice");
    }
}

#[tokio::test]
async fn a_survey_that_saw_less_than_everything_decides_nothing() {
    let digest = Digest::of(b"x");
    let server = Server::start(move |_, asked| {
        if asked.line.contains("tags/list") {
            return answer(200, "", r#"{"tags":["v1","v2"]}"#);
        }
        if asked.line.contains("manifests/v2") { answer(500, "", "") } else { answer(404, "", "") }
    })
    .await;
    let name = format!("{}/{REPOSITORY}", server.host).parse().unwrap();
    let known = KnownImages { released: vec![ReleasedImage { tag: "v1".to_owned(), digest }], ..KnownImages::default() };
    let failed = anonymous().survey(&name, &known).await.unwrap_err();
    assert!(told(&failed).contains("cannot find it by v2"), "{}", told(&failed));
}
