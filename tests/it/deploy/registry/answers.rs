//! Bad answers: too many requests, failures, half an answer, other bytes, circles.

use std::time::Duration;

use hms::deploy::registry::{Credentials, ImageName, Problem, Registry, RegistryError, RegistrySettings, TagState};
use hms::event::Digest;
use serde_json::json;

use super::server::{Server, answer};
use super::world::{OCI_MANIFEST, anonymous, quick, told};

fn image(server: &Server) -> ImageName {
    format!("{}/shop/api:v1", server.host).parse().unwrap()
}

fn manifest() -> String {
    let config = json!({"mediaType": "x", "digest": Digest::of(b"{}"), "size": 2});
    json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": []}).to_string()
}

fn good(line: &str) -> Vec<u8> {
    let headers = format!("content-type: {OCI_MANIFEST}\ndocker-content-digest: {}", Digest::of(manifest().as_bytes()));
    if line.starts_with("HEAD") {
        let length = manifest().len();
        return format!("HTTP/1.1 200 OK\r\n{}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n", headers.replace('\n', "\r\n"))
            .into_bytes();
    }
    answer(200, &headers, &manifest())
}

async fn resolve(server: &Server) -> Result<Digest, RegistryError> {
    anonymous().resolve(&image(server)).await.map(|resolved| resolved.digest)
}

#[tokio::test]
async fn what_passes_is_waited_for() {
    for bad in [
        answer(429, "retry-after: 0", ""),
        answer(503, "", ""),
        answer(500, "", r#"{"errors":[{"code":"UNKNOWN"}]}"#),
        b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\nhalf".to_vec(),
        Vec::new(),
    ] {
        let shown = String::from_utf8_lossy(&bad).into_owned();
        let server = Server::start(move |before, asked| if before % 3 < 2 { bad.clone() } else { good(&asked.line) }).await;
        assert_eq!(resolve(&server).await.unwrap(), Digest::of(manifest().as_bytes()), "{shown}");
    }
}

#[tokio::test]
async fn what_does_not_pass_is_said_after_five_attempts() {
    let page = r#"{"errors":[{"code":"UNKNOWN","message":"disk\u001b[31m full"}]}"#;
    let server = Server::start(move |_, _| answer(500, "content-type: application/json", page)).await;
    let failed = anonymous().tags(&image(&server)).await.unwrap_err();
    assert_eq!(server.lines().len(), 5);
    assert_eq!(told(&failed), format!("{}/shop/api: cannot list its tags: the registry answered 500 UNKNOWN: disk[31m full", server.host));
    for unknown in [
        anonymous().exists(&image(&server), &Digest::of(b"x")).await.is_err(),
        anonymous().tag_state(&image(&server), &Digest::of(b"x")).await.is_err(),
    ] {
        assert!(unknown, "a failure is neither there nor not there");
    }
}

#[tokio::test]
async fn a_pause_longer_than_ours_is_said_at_once() {
    let server = Server::start(|_, _| answer(429, "retry-after: 3600", "")).await;
    let throttled = resolve(&server).await.unwrap_err();
    assert!(matches!(*throttled.problem, Problem::Throttled { wait: Some(wait), .. } if wait == Duration::from_hours(1)), "{throttled:?}");
    assert_eq!(server.lines().len(), 1);
    assert!(told(&throttled).contains("a pause of 3600 s"), "{}", told(&throttled));
}

#[tokio::test]
async fn silence_ends() {
    let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let name: ImageName = format!("{}/shop/api:v1", server.local_addr().unwrap()).parse().unwrap();
    let settings = RegistrySettings { answer: Duration::from_millis(50), attempts: 2, ..quick() };
    let silent = Registry::new(Credentials::anonymous(), settings).unwrap().resolve(&name).await.unwrap_err();
    assert!(matches!(*silent.problem, Problem::TimedOut), "{silent:?}");
}

#[tokio::test]
async fn other_bytes_than_promised_are_refused() {
    let server =
        Server::start(
            |_, asked| {
                if asked.line.starts_with("HEAD") { good(&asked.line) } else { answer(200, "", &manifest().replace('2', "3")) }
            },
        )
        .await;
    let wrong = resolve(&server).await.unwrap_err();
    assert!(matches!(*wrong.problem, Problem::WrongBytes { .. }), "{wrong:?}");
}

#[tokio::test]
async fn a_registry_that_names_no_digest_is_hashed() {
    for head in [answer(405, "", ""), answer(200, "", "")] {
        let server = Server::start(move |_, asked| {
            if asked.line.starts_with("HEAD") { head.clone() } else { answer(200, &format!("content-type: {OCI_MANIFEST}"), &manifest()) }
        })
        .await;
        let digest = Digest::of(manifest().as_bytes());
        assert_eq!(resolve(&server).await.unwrap(), digest);
        assert_eq!(server.lines()[1], "GET /v2/shop/api/manifests/v1");
        assert_eq!(anonymous().tag_state(&image(&server), &digest).await.unwrap(), TagState::Same);
    }
}

#[tokio::test]
async fn what_is_endless_ends() {
    let circle = Server::start(|_, asked| answer(307, &format!("location: {}", asked.line.split_once(' ').unwrap().1), "")).await;
    assert!(told(&resolve(&circle).await.unwrap_err()).contains("circles"));
    let pages = Server::start(|_, _| answer(200, "link: </v2/shop/api/tags/list?n=1&last=v1>; rel=\"next\"", r#"{"tags":["v1"]}"#)).await;
    assert!(told(&anonymous().tags(&image(&pages)).await.unwrap_err()).contains("more than 1000 pages"));
    let large =
        Server::start(|_, asked| if asked.line.starts_with("HEAD") { good(&asked.line) } else { answer(200, "", &" ".repeat(5 << 20)) })
            .await;
    assert!(matches!(*resolve(&large).await.unwrap_err().problem, Problem::TooLarge { .. }));
}

#[tokio::test]
async fn no_redirect_leads_out_of_tls_or_to_another_hosts_pages() {
    let plain = Server::start(|_, _| answer(302, "location: http://elsewhere.example/x", "")).await;
    assert!(told(&resolve(&plain).await.unwrap_err()).contains("elsewhere.example, without TLS"));
    let other =
        Server::start(|_, _| answer(200, "link: <http://127.0.0.1:1/v2/shop/api/tags/list>; rel=\"next\"", r#"{"tags":["v1"]}"#)).await;
    assert!(told(&anonymous().tags(&image(&other)).await.unwrap_err()).contains("on another host"));
}

#[tokio::test]
async fn an_empty_list_is_no_tags() {
    let server = Server::start(|_, _| answer(200, "", r#"{"name":"shop/api","tags":null}"#)).await;
    assert!(anonymous().tags(&image(&server)).await.unwrap().is_empty());
}
